"""Networks that CNI plugins make."""

import hashlib
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from cppvmdev.ctr import unique_id
from cppvmdev.images import REAL
from cppvmdev.namespaces import Pair
from cppvmdev.shell import run
from cppvmdev.waiting import wait_until
from harness import cni
from harness.runner import in_network

_SUBNETS = ("10.88.0.0/24", "fd88::/64")


@pytest.fixture(name="pods")
def pods_fixture(namespaces):
    return namespaces


@pytest.fixture(name="network")
def network_fixture(world):
    """Makes a cni.Network of these plugins."""
    made = []

    def make(*plugins, **kwargs):
        made.append(cni.Network(world, *plugins, **kwargs))
        return made[-1]

    yield make
    for network in made:
        network.close()


def _bridge(*subnets, **more):
    return {
        "type": "bridge", "bridge": "named later", "isGateway": True,
        "ipam": cni.ranges(*(subnets or _SUBNETS)), **more,
    }  # fmt: skip


@pytest.mark.kvm
def test_bridge(runner, network, world, pods):
    """Two VMs on one bridge, and the host at it: each reaches each, by both families."""
    net = network(_bridge(mtu=1400))
    addresses = [net.add(pod) for pod in pods]
    containers = [runner.start(options=in_network(pod)) for pod in pods]
    for family, gateway in ((4, "10.88.0.1"), (6, "fd88::1")):
        containers[0].sh(f"ping -{family} -c 2 -W 5 {gateway}")
        containers[0].sh(f"ping -{family} -c 2 -W 5 {addresses[1][family]}")
        containers[1].sh(f"ping -{family} -c 2 -W 5 {addresses[0][family]}")
        world.run("ping", f"-{family}", "-c", "2", "-W", "5", addresses[0][family]).check()
    assert containers[0].sh("cat /sys/class/net/eth0/mtu") == "1400\n"
    for container in containers:
        container.delete()


def test_ipv6_only(runner, network, world, pods):
    net = network(_bridge("fd88::/64"))
    address = net.add(pods[0])[6]
    container = runner.start(options=in_network(pods[0]))
    container.sh("ping -6 -c 2 -W 5 fd88::1")
    world.run("ping", "-6", "-c", "2", "-W", "5", address).check()
    assert "inet " not in container.sh("ip address show eth0")
    container.delete()


def test_two_interfaces(runner, network, world, pods):
    """Of two networks; the second without a default route."""
    first = network(_bridge("10.88.0.0/24"))
    second = network(_bridge("10.89.0.0/24"))
    first.add(pods[0])
    pods[0].ip("route", "delete", "default")
    second.add(pods[0], "net1")
    container = runner.start(options=in_network(pods[0]))
    container.sh("ping -c 2 -W 5 10.88.0.1 && ping -c 2 -W 5 10.89.0.1")
    shown = container.sh("ip route")
    assert "default via 10.89.0.1 dev net1" in shown and "10.88.0.0/24 dev eth0" in shown
    container.delete()


@pytest.mark.kvm
def test_port_mapping(runner, network, world, pods):
    """portmap and firewall work in the host's netfilter, on what leaves the pod's namespace."""
    net = network(
        _bridge("10.88.0.0/24"),
        {"type": "portmap", "capabilities": {"portMappings": True}},
        {"type": "firewall"},
        ports=[(8080, 80)],
    )
    net.add(pods[0])
    pair = Pair(pods[1], world, name="uplink").default_routes()
    container = runner.start(options=in_network(pods[0]))
    server = container.popen_exec("nc", "-l", "-p", "80", "-e", "echo", "mapped")
    wait_until(lambda: ":80" in pods[0].run("ss", "-ltnH").text, "the server", 20)
    assert pods[1].run("nc", pair.addresses[4][1], "8080").check().text == "mapped\n"
    server.wait(20)
    container.delete()


def test_bandwidth(runner, network, world, pods):
    net = network(
        _bridge("10.88.0.0/24"),
        {
            "type": "bandwidth",
            **{"ingressRate": 8000000, "ingressBurst": 800000},
            **{"egressRate": 8000000, "egressBurst": 800000},
        },
    )
    net.add(pods[0])
    container = runner.start(options=in_network(pods[0]))
    container.sh("ping -c 2 -W 5 10.88.0.1")
    container.delete()


@pytest.mark.kvm
def test_macvlan(runner, network, world, pods):
    """Two of one master, which reach each other but not the master."""
    world.ip("link", "add", "cable0", "type", "veth", "peer", "name", "cable1")
    for end in ("cable0", "cable1"):
        world.ip("link", "set", end, "up")
    net = network({"type": "macvlan", "master": "cable0", "ipam": cni.ranges("10.88.0.0/24")})
    addresses = [net.add(pod) for pod in pods]
    containers = [runner.start(options=in_network(pod)) for pod in pods]
    containers[0].sh(f"ping -c 2 -W 5 {addresses[1][4]}")
    containers[1].sh(f"ping -c 2 -W 5 {addresses[0][4]}")
    for container in containers:
        container.delete()


@pytest.mark.parametrize("first", ("network", "container"))
def test_order_of_the_end(runner, network, pods, first):
    """CNI DEL before and after the container's end."""
    net = network(_bridge("10.88.0.0/24"))
    net.add(pods[0])
    container = runner.start(options=in_network(pods[0]))
    if first == "network":
        net.delete(pods[0])
        wait_until(lambda: "eth0" not in container.sh("ip link"), "the interface to go", 20)
    container.delete()
    net.delete(pods[0])


# ctr reads its plugins and networks from places that a test does not write to.
_WITH_PLUGINS = """
mount -t tmpfs none /opt && mkdir /opt/cni && ln -s /usr/lib/cni /opt/cni/bin &&
mkdir "$0/up" "$0/work" && mount -t overlay -o "lowerdir=/etc,upperdir=$0/up,workdir=$0/work" none /etc &&
mkdir -p /etc/cni/net.d && cp "$0/net.conflist" /etc/cni/net.d/ && exec "$@"
"""


def test_ctr_run_with_cni(runner, world, tmp_path):
    """ctr calls the plugins between Create and Start; the container needs them at once."""
    plugins = [{**_bridge("10.88.0.0/24"), "bridge": "br0"}]
    (tmp_path / "net.conflist").write_text(
        json.dumps({"cniVersion": "0.4.0", "name": unique_id("cni"), "plugins": plugins})
    )
    script = "ip address show eth0; ip route; ping -c 1 -W 5 10.88.0.1"
    argv = runner.argv(unique_id(), "sh", "-c", script, options=("--rm", "--cni"))
    result = run(
        "nsenter", f"--net={world.path}", "unshare", "--mount", "sh", "-c", _WITH_PLUGINS, tmp_path,
        *runner.ctr.argv(*argv), env=runner.containerd.environ(), timeout=90,
    ).check()  # fmt: skip
    for text in ("inet 10.88.0.2/24", "default via 10.88.0.1 dev eth0", "1 packets received"):
        assert text in result.text, result.text
    assert "br0" in world.ip("link")


def test_flood_does_not_reach_the_daemon_or_others(runner, network, pods):
    """Small packets with made-up senders, as many as the guest can make; meanwhile another pod is
    served, and the daemon has nothing to do with it."""
    net = network(_bridge("10.88.0.0/24"))
    for pod in pods:
        net.add(pod)
    hostile = runner.start(image=REAL, options=in_network(pods[0]))
    other = runner.start(options=in_network(pods[1]))
    (daemon,) = hostile.shims()
    before = _cpu_seconds(daemon)
    flood = hostile.popen_exec("python3", "-c", _FLOOD)
    other.sh("ping -c 3 -W 10 10.88.0.1")
    assert int(flood.communicate(timeout=60)[0]) > 1000
    assert _cpu_seconds(daemon) - before < 0.5  # the exec's own part of it
    other.delete()
    hostile.delete()


def test_guest_that_never_reads(runner, network, world, pods):
    """What is sent to it is dropped at its tap: neither senders nor the daemon wait for it."""
    net = network(_bridge("10.88.0.0/24"))
    addresses = [net.add(pod)[4] for pod in pods]
    deaf = runner.start(options=in_network(pods[0]))
    other = runner.start(options=in_network(pods[1]))
    (daemon,) = deaf.shims()
    # So that the sender needs no answer of it.
    mac = json.loads(pods[0].ip("-j", "link", "show", "eth0"))[0]["address"]
    world.ip("neighbour", "replace", addresses[0], "lladdr", mac, "dev", net.bridge)
    (qemu,) = deaf.helpers("qemu-system")
    os.kill(qemu.pid, signal.SIGSTOP)
    before = _cpu_seconds(daemon)
    sent = int(world.run("python3", "-c", _SEND_DATAGRAMS, addresses[0]).check().text)
    other.sh("ping -c 3 -W 10 10.88.0.1")
    taps = json.loads(pods[0].run("ip", "-j", "-s", "link").check().text)
    (tap,) = [link for link in taps if link["ifname"] not in ("lo", "eth0")]
    assert tap["stats64"]["tx"]["dropped"] > sent // 2
    assert _cpu_seconds(daemon) - before < 0.5
    os.kill(qemu.pid, signal.SIGCONT)
    world.run("ping", "-c", "1", "-W", "20", addresses[0]).check()
    other.delete()
    deaf.delete()


_SEND_DATAGRAMS = """if True:
    import socket, sys
    sender, sent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), 0
    for _ in range(20000):
        try:
            sender.sendto(bytes(1000), (sys.argv[1], 9))
            sent += 1
        except OSError:
            pass
    print(sent)"""


def test_spoofed_addresses_stay_where_they_would_under_runc(runner, network, world, pods):
    """A guest that sends with another pod's MAC address and claims its IP address and the
    gateway's: the host's stack in its namespace learns nothing of it, nor does the gateway forget
    its own, and the other pod is reached as soon as it speaks."""
    net = network(_bridge("10.88.0.0/24"))
    addresses = [net.add(pod)[4] for pod in pods]
    hostile = runner.start(image=REAL, options=in_network(pods[0]))
    other = runner.start(options=in_network(pods[1]))
    (daemon,) = hostile.shims()
    mac = json.loads(pods[1].ip("-j", "link", "show", "eth0"))[0]["address"]
    before = _cpu_seconds(daemon)
    hostile.exec("python3", "-c", _SPOOF, mac, addresses[1], "10.88.0.1").check()
    assert pods[0].ip("neighbour").strip() == ""
    other.sh("ping -c 3 -W 10 10.88.0.1")
    world.run("ping", "-c", "1", "-W", "10", addresses[1]).check()
    assert _cpu_seconds(daemon) - before < 0.5
    other.delete()
    hostile.delete()


_SPOOF = """if True:
    import socket, sys
    mac, *claimed = sys.argv[1:]
    mac = bytes.fromhex(mac.replace(":", ""))
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind(("eth0", 0))
        own = raw.getsockname()[4]
        for address in map(socket.inet_aton, claimed * 50):
            for sender in (mac, own):
                arp = bytes.fromhex("0001080006040002") + sender + address + sender + address
                raw.send(b"\\xff" * 6 + sender + b"\\x08\\x06" + arp.ljust(46, b"\\0"))"""


_FLOOD = """if True:
    import os, socket, time
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    raw.bind(("eth0", 0))
    end, sent = time.monotonic() + 5, 0
    while time.monotonic() < end:
        for _ in range(100):
            try:
                raw.send(b"\\xff" * 6 + b"\\2" + os.urandom(5) + b"\\x08\\6" + os.urandom(46))
                sent += 1
            except OSError:
                pass
    print(sent)"""


def _cpu_seconds(process):
    fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


_SUM = """if True:
    import hashlib, socket, sys
    digest, size = hashlib.sha256(), 0
    with socket.create_connection(("10.88.0.1", 7070)) as peer:
        block = bytes(range(256)) * 4096
        sent = hashlib.sha256()
        for _ in range(int(sys.argv[1])):
            peer.sendall(block)
            sent.update(block)
        peer.shutdown(socket.SHUT_WR)
        while data := peer.recv(1 << 20):
            digest.update(data)
    print(sent.hexdigest(), digest.hexdigest())"""

_PEER = """if True:
    import hashlib, socket, sys
    with socket.create_server(("10.88.0.1", 7070)) as server:
        print("ready", flush=True)
        peer = server.accept()[0]
        digest = hashlib.sha256()
        while data := peer.recv(1 << 20):
            digest.update(data)
        block, sent = bytes(reversed(range(256))) * 4096, hashlib.sha256()
        for _ in range(int(sys.argv[1])):
            peer.sendall(block)
            sent.update(block)
        peer.close()
        print(digest.hexdigest(), sent.hexdigest())"""


def test_bytes_both_ways(runner, network, world, pods):
    mib = int(os.environ.get("CPPVM_E2E_MIB", "64"))  # 1024 takes two minutes under emulation
    network(_bridge("10.88.0.0/24")).add(pods[0])
    peer = world.popen("python3", "-c", _PEER, str(mib), stdout=subprocess.PIPE, text=True)
    assert peer.stdout.readline() == "ready\n"
    container = runner.start(image=REAL, options=in_network(pods[0]))
    sums = container.exec("python3", "-c", _SUM, str(mib), timeout=500).check().text.split()
    assert sums == peer.stdout.read().split()
    assert peer.wait(10) == 0
    assert sums[0] == hashlib.sha256(bytes(range(256)) * 4096 * mib).hexdigest()
    container.delete()
