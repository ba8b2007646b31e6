"""nerdctl, whose networks are made by hooks of the spec."""

import pytest

from cppvmdev import images, mounts, nerdctl, releases
from cppvmdev.ctr import unique_id
from cppvmdev.namespaces import Pair
from cppvmdev.waiting import wait_until
from harness import settings

pytestmark = pytest.mark.vm


@pytest.fixture(name="engine")
def engine_fixture(containerd, world, tmp_path):
    """nerdctl, whose bridges are in `world`."""
    assert containerd.process()  # set up with it: libvirt
    try:
        engine = nerdctl.Nerdctl(tmp_path, world, settings.STAGE)
    except releases.Unavailable as reason:
        pytest.skip(str(reason))
    try:
        engine.start()
        yield engine
    finally:
        print(engine.containerd.log_text()[-4000:])
        engine.close()
        mounts.unmount_below(tmp_path)


def _run(engine, *args):
    """Starts a container; returns its name."""
    name = unique_id("nerd")
    engine.text("run", "-d", "--runtime", settings.RUNTIME, "--name", name, *args)
    return name


def test_life_of_a_container_with_a_published_port(engine, world, namespaces):
    outside, _ = namespaces
    Pair(outside, world)
    script = "mkdir /www; echo from inside > /www/index.html; echo serving; exec httpd -f -v -p 80 -h /www"
    name = _run(engine, "-p", "8080:80", images.SMALL, "sh", "-c", script)
    wait_until(lambda: "serving" in engine.text("logs", name), "the server", 30)
    page = outside.run("curl", "-sS", "--max-time", "20", "http://10.77.0.2:8080/")
    assert page.check().text == "from inside\n"
    assert "10.4.0." in engine.text("exec", name, "ip", "address", "show", "eth0")
    engine.text("exec", name, "ping", "-c", "1", "-W", "5", "10.4.0.1")
    hostname = engine.text("exec", name, "hostname")
    assert hostname in engine.text("exec", name, "cat", "/etc/hosts")
    engine.text("stop", "-t", "1", name)
    assert engine.text("inspect", "-f", "{{.State.Status}}", name) == "exited"
    engine.text("rm", name)
    # Undone by the hook poststop; a rule of masquerading stays, with runc as well.
    assert "--dport 8080" not in world.run("iptables-save").text


def test_two_containers_on_a_network(engine):
    engine.text("network", "create", "--subnet", "10.5.0.0/24", "first")
    server = _run(engine, "--network", "first", images.SMALL, "sleep", "1000000")
    client = _run(engine, "--network", "first", images.SMALL, "sleep", "1000000")
    # By its name, which nerdctl writes into /etc/hosts.
    engine.text("exec", client, "ping", "-c", "1", "-W", "10", server)


def test_no_network_and_the_hosts(engine, world, namespaces):
    Pair(namespaces[0], world).default_routes()
    inside = ("--rm", "--runtime", settings.RUNTIME)
    shown = engine.text("run", *inside, "--network", "none", images.SMALL, "ls", "/sys/class/net")
    assert shown == "lo"
    shown = engine.text("run", *inside, "--network", "host", images.SMALL, "ls", "/sys/class/net")
    assert shown.split() == ["eth0", "lo"]
