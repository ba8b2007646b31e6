"""The network of the namespace is the network of the container."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from cppvmdev import config
from cppvmdev.ctr import unique_id
from cppvmdev.images import REAL
from cppvmdev.namespaces import Namespace, Pair
from cppvmdev.waiting import wait_until
from cppvmdev.wire import Refused
from harness import session, settings
from harness.runner import in_network
from harness.shim import ShimBundle, Task, spec
from harness.spec import SpecRunner


_ECHO_ONCE = """if True:
    import socket, sys
    family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
    with socket.create_server((sys.argv[1], 8080), family=family) as server:
        client = server.accept()[0]
        while data := client.recv(65536):
            client.sendall(data)
        client.close()"""


def _serve_once(namespace, address, text):
    """Says that to the first that connects to port 7070."""
    server = namespace.popen(
        "nc", "-l", "-N", address, "7070", stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    server.stdin.write(text)
    server.stdin.close()
    wait_until(lambda: ":7070" in namespace.run("ss", "-ltnH").text, "the server", 10)
    return server


def _wait_untouched(namespace, interfaces=1):
    """Until nothing of ours is left there: containerd need not wait for the machine's end."""
    wait_until(lambda: "ingress" not in namespace.run("tc", "qdisc", "show").text, "no qdisc", 30)
    assert len(json.loads(namespace.ip("-j", "link"))) == 1 + interfaces


def test_interfaces_addresses_and_routes(runner, namespaces):
    outside, inside = namespaces
    Pair(outside, inside).default_routes()
    inside.ip("address", "add", "192.0.2.9/32", "dev", "eth0")
    inside.ip("route", "add", "198.51.100.0/24", "via", "10.77.0.1", "metric", "7", "mtu", "1300")
    inside.ip("route", "add", "203.0.113.0/24", "dev", "eth0", "scope", "link")
    inside.ip("route", "add", "unreachable", "203.0.113.128/25")
    mac = json.loads(inside.ip("-j", "link", "show", "eth0"))[0]["address"]
    container = runner.start(options=in_network(inside))
    shown = container.sh("ip address show eth0; ip route; ip -6 route")
    for text in (
        mac,
        "inet 10.77.0.2/24",
        "inet 192.0.2.9/32",
        "inet6 fd77:0::2/64".replace(":0:", ":"),
        "default via 10.77.0.1 dev eth0",
        "198.51.100.0/24 via 10.77.0.1 dev eth0",
        "203.0.113.0/24 dev eth0",
        "default via fd77:",
    ):
        assert text in shown, shown
    container.delete()
    _wait_untouched(inside)


@pytest.mark.kvm
@pytest.mark.parametrize("family", (4, 6))
def test_ping_both_ways(runner, namespaces, family):
    outside, inside = namespaces
    pair = Pair(outside, inside).default_routes()
    there, here = pair.addresses[family]
    container = runner.start(options=in_network(inside))
    container.sh(f"ping -{family} -c 3 -W 5 {there}")
    outside.run("ping", f"-{family}", "-c", "3", "-W", "5", here).check()
    container.delete()


def test_ready_at_the_first_instruction(runner, namespaces):
    outside, inside = namespaces
    pair = Pair(outside, inside).default_routes()
    result = runner.run("ping", "-c", "1", "-W", "5", pair.addresses[4][0], options=in_network(inside))
    assert result.check().text.count("1 packets received") == 1


@pytest.mark.kvm
@pytest.mark.parametrize("mtu", (1500, 9000, 65535))
def test_full_packets(runner, namespaces, mtu):
    outside, inside = namespaces
    pair = Pair(outside, inside, mtu=mtu).default_routes()
    container = runner.start(options=in_network(inside))
    assert container.sh("cat /sys/class/net/eth0/mtu") == f"{mtu}\n"
    whole = mtu - 28  # less the headers of IP and ICMP
    container.sh(f"ping -c 2 -W 5 -s {whole} {pair.addresses[4][0]}")
    outside.run("ping", "-c", "2", "-W", "5", "-M", "do", "-s", whole, pair.addresses[4][1]).check()
    container.delete()


@pytest.mark.kvm
def test_stream_both_ways(runner, namespaces):
    """What offloading and vhost-net are for; test_cni has a longer one."""
    outside, inside = namespaces
    there = Pair(outside, inside).default_routes().addresses[4][0]
    container = runner.start(options=in_network(inside))
    server = outside.popen("python3", "-c", _ECHO_ONCE, there)
    wait_until(lambda: ":8080" in outside.run("ss", "-ltnH").text, "the server", 20)
    sums = container.sh(f"seq 400000 | sha1sum; seq 400000 | nc {there} 8080 | sha1sum").split("\n")
    assert sums[0] == sums[1], sums
    assert server.wait(20) == 0
    container.delete()


def test_path_with_a_smaller_mtu(runner, namespaces):
    """The guest hears of it from the router that drops its packets, and sends smaller ones."""
    router, inside = namespaces
    Pair(router, inside).default_routes()
    beyond = Namespace()
    try:
        far = Pair(router, beyond, number=1).default_routes()
        for subnet, metric in (("10.77.1.0/24", "0"), ("fd77:1::/64", "256")):
            router.ip(
                *("route", "replace", subnet, "dev", far.far),
                *("metric", metric, "mtu", "lock", "1300"),
            )
        router.sysctl("net.ipv4.ip_forward", 1)
        router.sysctl("net.ipv6.conf.all.forwarding", 1)
        container = runner.start(image=REAL, options=in_network(inside))
        for family in (4, 6):
            there = far.addresses[family][1]
            server = beyond.popen("python3", "-c", _ECHO_ONCE, there)
            wait_until(lambda: ":8080" in beyond.run("ss", "-ltnH").text, "the server", 10)
            sent = container.exec("python3", "-c", _SEND_A_MEBIBYTE, there).check().text
            assert sent == "1048576 1300\n", (family, sent)
            assert server.wait(10) == 0
        container.delete()
    finally:
        beyond.close()


_SEND_A_MEBIBYTE = """if True:
    import socket, sys, threading
    with socket.create_connection((sys.argv[1], 8080)) as peer:
        def send():
            peer.sendall(bytes(1 << 20))
            peer.shutdown(socket.SHUT_WR)
        threading.Thread(target=send).start()
        received = 0
        while data := peer.recv(65536):
            received += len(data)
        level, option = (41, 24) if ":" in sys.argv[1] else (0, 14) # IPV6_MTU, IP_MTU
        print(received, peer.getsockopt(level, option))"""


def test_sysctls_of_the_spec(runner, namespaces, tmp_path):
    outside, inside = namespaces
    pair = Pair(outside, inside).default_routes()
    wanted = {
        "net.ipv4.ip_unprivileged_port_start": "77",
        "net.ipv4.ping_group_range": "5\t6",
        "net.ipv4.conf.eth0.rp_filter": "2",
        "net.ipv6.conf.all.forwarding": "1",
        "net.core.somaxconn": "99",
    }

    def edit(document):
        document["linux"]["sysctl"] = dict(wanted)
        for namespace in document["linux"]["namespaces"]:
            if namespace["type"] == "network":
                namespace["path"] = str(inside.path)

    files = " ".join("/proc/sys/" + key.replace(".", "/") for key in wanted)
    result = SpecRunner(runner, tmp_path).run(
        edit, "sh", "-c", f"cat {files}; ping -c 1 -W 5 {pair.addresses[4][0]}"
    )
    assert result.check().text.splitlines()[:len(wanted)] == list(wanted.values())


def test_host_stack_is_silent(runner, namespaces):
    """Nobody listens in the guest; the refusal must come once, from it."""
    outside, inside = namespaces
    pair = Pair(outside, inside).default_routes()
    container = runner.start(options=in_network(inside))
    outside.run("ping", "-c", "1", "-W", "5", pair.addresses[4][1]).check()
    counters = inside.run("nstat", "-az", "IcmpOutEchoReps", "TcpOutRsts").text
    for line in counters.splitlines()[1:]:
        assert line.split()[1] == "0", counters
    container.delete()


@pytest.mark.kvm
def test_changes_while_it_runs(runner, namespaces):
    outside, inside = namespaces
    Pair(outside, inside).default_routes()
    container = runner.start(options=in_network(inside))

    def shows(command, text, wanted=True):
        wait_until(
            lambda: (text in container.sh(command)) == wanted,
            f"{text} in `{command}`: {wanted}",
            20,
        )

    inside.ip("address", "add", "10.99.0.5/24", "dev", "eth0")
    shows("ip address", "10.99.0.5/24")
    inside.ip("route", "replace", "default", "via", "10.77.0.7")
    shows("ip route", "default via 10.77.0.7")
    shows("ip route", "default via 10.77.0.1", False)
    inside.ip("address", "delete", "10.99.0.5/24", "dev", "eth0")
    shows("ip address", "10.99.0.5/24", False)
    second = Pair(outside, inside, number=1, name="net1")
    shows("ip address", "10.77.1.2/24")
    outside.run("ping", "-c", "1", "-W", "5", second.addresses[4][1]).check()
    inside.ip("link", "delete", "net1")
    shows("ip link", "net1", False)
    container.delete()


@pytest.mark.vm
def test_namespace_that_is_filled_after_create(containerd, tmp_path, namespaces):
    """As `ctr run --cni` and hooks do."""
    assert containerd.process()  # set up with it: libvirt, the configuration
    outside, inside = namespaces
    bundle = ShimBundle(tmp_path, unique_id("net"), session.config_file())
    document = spec("busybox", "nc", "-w", "5", "10.77.0.1", "7070", network=inside.path)
    bundle.write_spec(document)
    try:
        with Task(bundle, bundle.start()) as task:
            task.create()
            pair = Pair(outside, inside).default_routes()
            server = _serve_once(outside, pair.addresses[4][0], b"")
            task.call("Start")
            assert task.call("Wait").exit_status == 0
            server.wait(10)
            task.call("Delete")
    finally:
        print(bundle.log_text())
        bundle.kill_daemon()
        bundle.delete()
        bundle.close()


@pytest.mark.vm
@pytest.mark.kills_daemons
def test_nothing_is_left_of_a_killed_daemon(runner, namespaces):
    outside, inside = namespaces
    Pair(outside, inside)
    container = runner.start(options=in_network(inside))
    assert "ingress" in inside.run("tc", "qdisc", "show").text
    (shim,) = container.shims()
    os.kill(shim.pid, signal.SIGKILL)
    wait_until(lambda: not container.helpers("qemu-system"), "the VM's end", 30)
    _wait_untouched(inside)


def test_namespace_that_goes_first(runner, namespaces):
    _, inside = namespaces
    container = runner.start(options=in_network(inside))
    inside.close()
    container.delete()


@pytest.mark.vm
def test_two_of_one_mac(runner, namespaces):
    outside, inside = namespaces
    for number, name in enumerate(("eth0", "net1")):
        Pair(outside, inside, number=number, name=name)
        inside.ip("link", "set", name, "address", "02:00:00:00:00:77")
    result = runner.run("true", options=in_network(inside))
    assert result.code != 0
    assert "eth0 and net1 have the same MAC address" in result.error, result.error


@pytest.mark.vm
@pytest.mark.parametrize("address", ("127.0.0.1", "::1"))
def test_loopback_of_the_host_reaches_the_guests(runner, namespaces, address):
    """As port-forwards and probes do; refused as refused."""
    outside, inside = namespaces
    Pair(outside, inside)
    container = runner.start(image=REAL, options=in_network(inside))
    server = container.popen_exec("python3", "-c", _ECHO_ONCE, address)

    def listens():
        return ":8080" in inside.run("ss", "-ltnH").text

    wait_until(listens, "the listener on the host", 20)
    reply = inside.run("nc", "-N", address, "8080", stdin=b"hello")
    assert reply.check().text == "hello"
    server.wait(20)
    wait_until(lambda: not listens(), "the end of the listener on the host", 20)
    assert inside.run("nc", "-z", address, "8080").code != 0
    container.delete()


class HostNetwork:
    """A container without a network namespace, whose shim takes a namespace of the test's for the
    host's network."""

    def __init__(self, directory, world, *words, **network):
        self.bundle = ShimBundle(directory, unique_id("hostnet"))
        changes = {"network": network} if network else None
        self.bundle.use_config(
            config.write(Path(directory) / "host-network.toml", settings.STAGE, changes)
        )
        self.bundle.write_spec(spec(*words, network=None))
        self._world = world

    def __enter__(self):
        return self

    def __exit__(self, *_):
        print(self.bundle.log_text())
        self.bundle.kill_daemon()
        self.bundle.delete()
        self.bundle.close()

    def task(self):
        return Task(self.bundle, self.bundle.start(inside=self._world))


def _run_to_end(task):
    task.create()
    task.call("Start")
    status = task.call("Wait").exit_status
    task.call("Delete")
    return status


@pytest.mark.vm
@pytest.mark.parametrize("family", (4, 6))
def test_host_network_by_passt(containerd, tmp_path, namespaces, family):
    """Out by the host's addresses, and in at those of its ports that somebody listens on."""
    assert containerd.process()
    outside, host = namespaces
    pair = Pair(outside, host).default_routes()
    there, here = pair.addresses[family]
    server = _serve_once(outside, there, b"from outside")
    script = (
        # An input that does not end: passt of 2023 loses what follows the client's own end.
        "busybox mkfifo /hold;"
        f"busybox nc {there} 7070 0<>/hold | busybox grep -q 'from outside' || exit 11;"
        f"busybox nc -l -p 7071 -e busybox echo inside"
    )
    with HostNetwork(tmp_path, host, "sh", "-c", script) as container:
        with container.task() as task:
            task.create()
            task.call("Start")
            wait_until(lambda: ":7071" in host.run("ss", "-ltnH").text, "the port on the host", 30)
            assert outside.run("nc", here, "7071").check().text == "inside\n"
            assert task.call("Wait").exit_status == 0
            task.call("Delete")
    server.wait(10)


@pytest.mark.vm
def test_host_network_without_one(containerd, tmp_path, namespaces):
    assert containerd.process()
    script = "test \"$(busybox ls /sys/class/net)\" = lo"
    with HostNetwork(tmp_path, namespaces[1], "sh", "-c", script, host="none") as container:
        document = spec("sh", "-c", script, network=None)
        document["mounts"].append({"destination": "/sys", "type": "sysfs", "source": "sysfs"})
        container.bundle.write_spec(document)
        with container.task() as task:
            assert _run_to_end(task) == 0
        assert "loopback alone" in container.bundle.log_text()


@pytest.mark.vm
@pytest.mark.parametrize("keys", ({"host": "refuse"}, {"host": "user", "passt": "/no/such/passt"}))
def test_host_network_refused(containerd, tmp_path, namespaces, keys):
    assert containerd.process()
    with HostNetwork(tmp_path, namespaces[1], "true", **keys) as container:
        with container.task() as task:
            with pytest.raises(Refused) as failure:
                task.create()
    for text in ("host's network", "network.host", "passt"):
        assert text in str(failure.value)


@pytest.mark.vm
def test_host_network_that_leads_nowhere(containerd, tmp_path, namespaces):
    """passt has nothing to pass on: no reason not to start, unless passt was asked for by name."""
    assert containerd.process()
    with HostNetwork(tmp_path, namespaces[0], "true") as container:
        with container.task() as task:
            assert _run_to_end(task) == 0
        assert "loopback alone" in container.bundle.log_text()
    with HostNetwork(tmp_path, namespaces[0], "true", host="user") as container:
        with container.task() as task:
            with pytest.raises(Refused, match='network.host to "none"'):
                task.create()
