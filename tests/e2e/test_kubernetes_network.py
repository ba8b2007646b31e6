"""The network of pods of a real Kubernetes."""

import ipaddress

import pytest

from cppvmdev import kubernetes
from cppvmdev.waiting import wait_until
from harness.cluster import container, deployment, name_of, pod, service, shell

pytestmark = pytest.mark.vm

_NODE = kubernetes.ADDRESS


def _server(**fields):
    """It says its name at port 8080."""
    return shell("mkdir /www; hostname > /www/index.html; exec httpd -f -p 8080 -h /www", **fields)


def _url(address, port):
    host = f"[{address}]" if ipaddress.ip_address(address).version == 6 else address
    return f"http://{host}:{port}/"


def _fetch(address, port=8080):
    return f"wget -qO- {_url(address, port)}"


def _from_host(cluster, address, port=8080):
    return cluster.run("wget", "-T", "5", "-t", "1", "-qO-", _url(address, port)).text


def _wait_for_service(cluster, client, addresses):
    """By each address, from a pod and from the host."""
    for address in addresses:
        wait_until(lambda: "web-" in cluster.sh(client, f"{_fetch(address, 80)} || :"), f"{address} to answer", 60)
        wait_until(lambda: "web-" in _from_host(cluster, address, 80), f"{address} to answer to the host", 30)


@pytest.mark.old_containerd
def test_services(cluster):
    """Of both families, by each of kube-proxy's modes; a pod reaches itself by one, too."""
    app = service("web")
    app["spec"]["ipFamilyPolicy"] = "RequireDualStack"
    web = [deployment("web", pod(_server()), 2), app]
    cluster.apply(*web)
    cluster.kubectl("rollout", "status", "deployment/web", "--timeout=120s", timeout=130)
    addresses = cluster.get("service", "web")["spec"]["clusterIPs"]
    assert [ipaddress.ip_address(address).version for address in addresses] == [4, 6]
    client = cluster.ready(pod(shell()))
    _wait_for_service(cluster, client, addresses)
    cluster.kubectl("scale", "deployment/web", "--replicas=1")
    wait_until(lambda: len(cluster.items("pod", "-l", "app=web")) == 1, "one pod", 60)
    only = name_of(cluster.items("pod", "-l", "app=web")[0])
    for address in addresses:
        itself = f"{_fetch(address, 80)} || :"
        wait_until(lambda itself=itself: cluster.sh(only, itself) == f"{only}\n", "itself", 30)
    cluster.node.set_proxy_mode("nftables")
    for family, address in zip(("ip", "ip6"), addresses):
        rules = ("nft", "list", "table", family, "kube-proxy")
        wait_until(lambda a=address, rules=rules: a in cluster.run(*rules).text, "the rules", 60)
    _wait_for_service(cluster, client, addresses)
    cluster.node.set_proxy_mode("iptables")
    _wait_for_service(cluster, client, addresses)
    cluster.remove(*web)
    cluster.delete(client)


@pytest.mark.any_sandboxer
def test_pods_hosts_and_ports(cluster):
    """Pod to pod, pod to host, host to pod; by a port of the host's."""
    ports = [{"containerPort": 8080, "hostPort": 18088}]
    probe = {"tcpSocket": {"port": 8080}, "periodSeconds": 1}
    server = pod(_server(ports=ports, readinessProbe=probe))
    client = pod(shell())
    served = cluster.ready(server, client)
    asks = name_of(client)
    addresses = cluster.addresses(served)
    assert [ipaddress.ip_address(address).version for address in addresses] == [4, 6]
    for address in addresses:
        assert cluster.sh(asks, _fetch(address)) == f"{served}\n"
        assert _from_host(cluster, address) == f"{served}\n"
        assert "0% packet loss" in cluster.sh(asks, f"ping -c 2 -W 5 {address}")
    assert _from_host(cluster, _NODE, 18088) == f"{served}\n"
    assert cluster.sh(asks, _fetch(_NODE, 18088)) == f"{served}\n"
    # As pods reach the API.
    own = cluster.sh(asks, "echo $KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT").strip()
    assert "HTTP/1." in cluster.sh(asks, f"echo 'GET / HTTP/1.0' | nc -w 5 {own.replace(':', ' ')} || :")
    assert "HTTP/1." in cluster.sh(asks, f"echo 'GET / HTTP/1.0' | nc -w 5 {_NODE} 6443 || :")
    cluster.delete(served, asks)


@pytest.mark.any_sandboxer
def test_policies_of_the_node(cluster):
    """As an agent for NetworkPolicy has them: the host's rules about the addresses of pods."""
    server, client, other = pod(_server()), pod(shell()), pod(shell())
    served = cluster.ready(server, client, other)
    asks, may = name_of(client), name_of(other)
    for filters, address, source in zip(
        ("iptables", "ip6tables"), cluster.addresses(served), cluster.addresses(asks)
    ):
        fetch = f"timeout 3 {_fetch(address)}"
        wait_until(lambda fetch=fetch: cluster.sh(asks, f"{fetch} || :") == f"{served}\n", "the server", 30)
        rule = ("FORWARD", "-s", source, "-d", address, "-p", "tcp", "--dport", "8080", "-j", "DROP")
        cluster.run(filters, "-I", *rule).check()
        cluster.fails(asks, fetch)
        assert cluster.sh(may, fetch) == f"{served}\n"
        cluster.run(filters, "-D", *rule).check()
        assert cluster.sh(asks, fetch) == f"{served}\n"
    cluster.delete(served, asks, may)


def test_network_of_the_host(cluster):
    """As `network.host` of the configuration says: by passt, where that is installed."""
    probe = {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1}
    made = pod(_server(readinessProbe=probe), hostNetwork=True)
    name = cluster.ready(made)
    assert cluster.address(name) == _NODE
    assert _from_host(cluster, _NODE) == cluster.run("hostname").text
    # The API's server, which wants TLS.
    assert "400 Bad Request" in cluster.fails(name, f"wget -qO- http://{_NODE}:6443/")
    cluster.delete(name)


# Connects many times at once, then asks on each connection.
_MANY = """
import socket
held = [socket.create_connection(("127.0.0.1", 18081), 30) for _ in range(100)]
for connection in held:
    connection.sendall(b"GET /passwd HTTP/1.0\\r\\n\\r\\n")
for connection in held:
    connection.settimeout(60)
    with connection.makefile("rb") as answer:
        assert b"root:x:0:0" in answer.read()
print("all")
"""

# The server answers at the end of what it is sent. One after the other: it queues no more than two.
_ENDING = """
import socket
for size in range(0, 100000, 5000):
    with socket.create_connection(("127.0.0.1", 8082), 60) as connection:
        connection.sendall(b"x" * size)
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as answer:
            said = answer.read()
        assert said == b"%d\\n" % size, said
print("all")
"""


@pytest.mark.old_containerd
def test_forwarded_ports(cluster):
    """Also to a server on loopback alone, a hundred connections at a time; nothing of them stays. Within the
    pod's network namespace on the host a client may end its side before the answer; containerd closes a
    forwarded connection a second after that, whatever the runtime."""
    local = container("httpd", "-f", "-p", "127.0.0.1:8081", "-h", "/etc", name="local")
    counts = container("nc", "-ll", "-p", "8082", "-e", "wc", "-c", name="counts")
    probe = {"tcpSocket": {"port": 8080}, "periodSeconds": 1}
    name = cluster.ready(pod(_server(name="web", readinessProbe=probe), local, counts))
    daemon = cluster.only_daemon()
    (namespace,) = cluster.run("ls", "/run/netns").check().text.split()
    inside = ("nsenter", f"--net=/run/netns/{namespace}")

    def all_listen():
        sockets = cluster.run(*inside, "ss", "-lntH").check().text
        return all(f":{port} " in sockets for port in (8080, 8081, 8082))

    wait_until(all_listen, "the servers", 30)
    held = daemon.descriptors()
    with cluster.beside("port-forward", f"pod/{name}", "18080:8080", "18081:8081"):
        wait_until(lambda: _from_host(cluster, "127.0.0.1", 18080) == f"{name}\n", "the forwarded port", 30)
        assert cluster.run("/usr/bin/python3", "-c", _MANY, timeout=120).check().text == "all\n"
    assert cluster.run(*inside, "/usr/bin/python3", "-c", _ENDING, timeout=120).check().text == "all\n"
    wait_until(lambda: daemon.descriptors() <= held, "the end of the connections", 60)
    cluster.delete(name)
