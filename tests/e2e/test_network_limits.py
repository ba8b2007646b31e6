"""Networks that cannot be had, and odd ones that can."""

import pytest

from cppvmdev.namespaces import Pair
from cppvmdev.waiting import wait_until
from harness.runner import in_network


def _fails(runner, path, *wanted):
    result = runner.run("true", options=("--with-ns", f"network:{path}"))
    assert result.code != 0
    for text in wanted:
        assert text in result.error, result.error


@pytest.mark.vm
def test_path_that_is_not_there(runner):
    _fails(runner, "/run/netns/no-such", "/run/netns/no-such", "No such file")


@pytest.mark.vm
@pytest.mark.parametrize("path", ("/etc/passwd", "/proc/self/ns/uts", "/dev/null"))
def test_path_that_is_no_network_namespace(runner, path):
    _fails(runner, path, f"network namespace {path}: it is not one")


@pytest.mark.vm
def test_too_many_interfaces(runner, namespaces):
    _, inside = namespaces
    for number in range(64):
        inside.ip("link", "add", f"br{number}", "type", "bridge")
    _fails(runner, inside.path, str(inside.path), "64 interfaces", "at most 24")


@pytest.mark.vm
@pytest.mark.parametrize(
    "kind, reason",
    (
        (("wg0", "type", "wireguard"), "passes no Ethernet frames"),
        (("tun0", "mode", "tun"), "passes no Ethernet frames"),
    ),
)
def test_interface_of_another_layer(runner, namespaces, kind, reason):
    _, inside = namespaces
    name, *rest = kind
    add = ("tuntap", "add", "dev", name, *rest) if name == "tun0" else ("link", "add", *kind)
    if inside.run("ip", *add).code != 0:
        pytest.skip(f"this kernel has no {rest[-1]}")
    inside.ip("link", "set", name, "up")
    _fails(runner, inside.path, f"network interface {name}", reason)


def test_names_of_every_length_and_kind(runner, namespaces):
    outside, inside = namespaces
    names = ("x", "fifteen-bytes-x", 'a"b\\c$(e)#!', "eth1", "eth0")
    for number, name in enumerate(names):
        Pair(outside, inside, number=number, name=name)
    container = runner.start(options=in_network(inside))
    shown = set(container.sh("ls /sys/class/net").split())
    assert shown == {"lo", *names}
    for number in range(len(names)):
        container.sh(f"ping -c 1 -W 5 10.77.{number}.1")
    container.delete()


def test_ten_thousand_routes(runner, namespaces):
    outside, inside = namespaces
    Pair(outside, inside).default_routes()
    routes = "\n".join(
        f"route add 100.{64 + number // 256}.{number % 256}.0/24 via 10.77.0.1"
        for number in range(10000)
    )
    inside.run("ip", "-batch", "-", stdin=routes.encode()).check()
    container = runner.start(options=in_network(inside))
    assert container.sh("ip route | wc -l", timeout=60).strip() == "10002"
    inside.ip("route", "delete", "100.64.7.0/24")
    wait_until(
        lambda: container.sh("ip route | wc -l", timeout=60).strip() == "10001", "one less", 60
    )
    container.delete()


def test_family_that_the_guest_lacks(configured, namespaces):
    """What it cannot have is named in the log; the rest is there."""
    outside, inside = namespaces
    Pair(outside, inside).default_routes()
    runner = configured(vm={"kernel_parameters": "ipv6.disable=1"})
    container = runner.start(options=in_network(inside))
    container.sh("ping -c 1 -W 5 10.77.0.1")
    assert "fd77" not in container.sh("ip address")
    container.delete()
