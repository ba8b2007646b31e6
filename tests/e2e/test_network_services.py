"""What people do with a network: names, HTTP, packages."""

import pytest

from cppvmdev.images import REAL
from cppvmdev.shell import run
from cppvmdev.waiting import wait_until
from harness import cni
from harness.runner import bind, in_network

_BRIDGE = {
    "type": "bridge", "bridge": "named later", "isGateway": True,
    "ipam": cni.ranges("10.88.0.0/24"),
}  # fmt: skip


@pytest.fixture(name="pods")
def pods_fixture(world, namespaces):
    """At a bridge of `world`, whose address is 10.88.0.1."""
    network = cni.Network(world, _BRIDGE)
    for namespace in namespaces:
        network.add(namespace)
    yield namespaces
    network.close()


@pytest.fixture(name="serve")
def serve_fixture():
    """Starts programs in a namespace, which end with the test."""
    started = []

    def start(namespace, *command, port, protocol="-t"):
        started.append(namespace.popen(*command))
        wait_until(
            lambda: f":{port} " in namespace.run("ss", "-lnH", protocol).text, f"port {port}", 20
        )

    yield start
    for process in started:
        process.kill()
        process.wait()


def _name_server(serve, namespace, address):
    serve(
        namespace, "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv",
        "--no-hosts", f"--listen-address={address}", "--bind-interfaces", "--pid-file=",
        "--user=root", "--address=/service.test/192.0.2.55",
        *(f"--txt-record=long.test,{'x' * 250}" for _ in range(20)),
        port=53,
    )  # fmt: skip


def _resolv_conf(tmp_path, server):
    file = tmp_path / "resolv.conf"
    file.write_text(f"nameserver {server}\n")
    return bind(file, "/etc/resolv.conf", "ro")


@pytest.mark.parametrize("server", ("10.88.0.1", "127.0.0.11"))
def test_names(runner, world, pods, serve, tmp_path, server):
    """By a name server in the network, and as docker's at the namespace's loopback."""
    _name_server(serve, world if server == "10.88.0.1" else pods[0], server)
    container = runner.start(
        image=REAL,
        options=in_network(pods[0], _resolv_conf(tmp_path, server), bind("/usr", "/usr", "ro")),
    )
    shown = container.sh("getent ahostsv4 service.test")
    assert shown.startswith("192.0.2.55"), shown
    # Too much for a packet: by TCP.
    ask = f"""if True:
        import socket, struct
        question = struct.pack(">6H", 7, 256, 1, 0, 0, 0) + b"\\4long\\4test\\0" + struct.pack(">2H", 16, 1)
        with socket.create_connection(("{server}", 53)) as peer:
            peer.sendall(struct.pack(">H", len(question)) + question)
            size = struct.unpack(">H", peer.recv(2, socket.MSG_WAITALL))[0]
            print(peer.recv(size, socket.MSG_WAITALL).count(b"x" * 250))"""
    assert container.exec("python3", "-c", ask).check().text == "20\n"
    container.delete()


def test_web_server_in_one_vm_and_client_in_another(runner, pods, tmp_path):
    (tmp_path / "nginx.conf").write_text(
        "user root; daemon off; error_log stderr; pid /tmp/nginx.pid; events {}\n"
        "http { access_log off; client_body_temp_path /tmp/b; proxy_temp_path /tmp/p;\n"
        "fastcgi_temp_path /tmp/f; uwsgi_temp_path /tmp/u; scgi_temp_path /tmp/s;\n"
        "server { listen 80; location / { root /srv; } } }\n"
    )
    big = tmp_path / "big"
    big.write_bytes(bytes(range(256)) * 4096 * 8)
    usr = bind("/usr", "/usr", "ro")
    server = runner.start(
        *("nginx", "-c", "/srv/nginx.conf"),
        image=REAL,
        options=in_network(pods[0], usr, bind(tmp_path, "/srv", "ro")),
    )
    client = runner.start(image=REAL, options=in_network(pods[1], usr))
    address = server.sh("hostname -I").split()[0]
    get = f"curl -sSf --retry 20 --retry-connrefused --retry-delay 1 http://{address}/big | sha256sum"
    assert client.sh(get, timeout=120).split()[0] == run("sha256sum", big).check().text.split()[0]
    for container in (server, client):
        container.delete()


def test_apt_get_update(runner, world, pods, serve, tmp_path):
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / "Packages").write_text(
        "Package: from-the-test\nVersion: 1.5\nArchitecture: all\nMaintainer: T <t@example.org>\n"
        "Filename: ./x.deb\nSize: 1\nSHA256: " + "0" * 64 + "\nDescription: nothing\n"
    )
    (tmp_path / "sources.list").write_text("deb [trusted=yes] http://10.88.0.1:8000 ./\n")
    serve(
        world, *("python3", "-m", "http.server", "--directory", str(mirror)),
        *("--bind", "10.88.0.1", "8000"), port=8000,
    )  # fmt: skip
    options = "-o Dir::Etc::sourcelist=/run/sources.list -o Dir::Etc::sourceparts=/dev/null"
    container = runner.start(
        image=REAL, options=in_network(pods[0], bind(tmp_path / "sources.list", "/run/sources.list", "ro"))
    )
    container.sh(f"apt-get {options} -o APT::Sandbox::User=root update", timeout=120)
    assert "1.5" in container.sh(f"apt-cache {options} policy from-the-test")
    container.delete()


_DATAGRAMS = """if True:
    import socket, sys
    peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    peer.settimeout(5)
    for size in (1, 1400, 1472, 8000, 65507):
        peer.sendto(b"d" * size, ("10.88.0.1", 9999))
        data, sender = peer.recvfrom(65536)
        assert data == b"D" * size and sender == ("10.88.0.1", 9999), (size, len(data))
    print("all")"""

_DATAGRAM_SERVER = """if True:
    import socket
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("10.88.0.1", 9999))
    while True:
        data, sender = server.recvfrom(65536)
        server.sendto(data.upper(), sender)"""


def test_datagrams_of_every_size(runner, world, pods, serve):
    """Those above the MTU in fragments."""
    serve(world, "python3", "-c", _DATAGRAM_SERVER, port=9999, protocol="-u")
    container = runner.start(image=REAL, options=in_network(pods[0]))
    assert container.exec("python3", "-c", _DATAGRAMS).check().text == "all\n"
    container.delete()
