"""Docker, its networks and its port publishing."""

import pytest

from cppvmdev import docker, images, mounts, releases
from cppvmdev.ctr import unique_id
from cppvmdev.namespaces import Pair
from cppvmdev.waiting import wait_until
from harness import settings

pytestmark = pytest.mark.vm


@pytest.fixture(name="engine")
def engine_fixture(containerd, world, tmp_path):
    """Docker, whose bridges are in `world`."""
    assert containerd.process()
    try:
        engine = docker.Docker(tmp_path, world, containerd, settings.CONFIG_STAGE)
    except releases.Unavailable as reason:
        pytest.skip(str(reason))
    try:
        engine.start()
        engine.load(images.small(), images.SMALL)
        yield engine
    finally:
        print(engine.log_text()[-4000:])
        engine.close()
        mounts.unmount_below(tmp_path)


def _run(engine, *args, runtime="cppvm"):
    """Starts a container; returns its name."""
    name = unique_id("dock")
    engine.text("run", "-d", "--runtime", runtime, "--name", name, *args)
    return name


def test_life_of_a_container_with_a_published_port(engine, world, namespaces):
    outside, _ = namespaces
    Pair(outside, world)
    script = "mkdir /www; echo from inside > /www/index.html; echo serving; exec httpd -f -v -p 80 -h /www"
    name = _run(engine, "-p", "8080:80", images.SMALL, "sh", "-c", script)
    wait_until(lambda: "serving" in engine.text("logs", name), "the server", 30)
    page = outside.run("curl", "-sS", "--max-time", "20", "http://10.77.0.2:8080/")
    assert page.check().text == "from inside\n"
    assert "172.30.0." in engine.text("exec", name, "ip", "address", "show", "eth0")
    engine.text("exec", name, "ping", "-c", "1", "-W", "5", "172.30.0.1")
    hostname = engine.text("exec", name, "hostname")
    assert hostname in engine.text("exec", name, "cat", "/etc/hosts")
    engine.text("stop", "-t", "1", name)
    assert engine.text("inspect", "-f", "{{.State.Status}}", name) == "exited"
    engine.text("rm", name)


def test_names_and_networks_that_come_and_go(engine):
    engine.text("network", "create", "first")
    engine.text("network", "create", "second")
    server = _run(engine, "--network", "first", images.SMALL, "sleep", "1000000")
    client = _run(engine, "--network", "first", images.SMALL, "sleep", "1000000")
    assert "127.0.0.11" in engine.text("exec", client, "cat", "/etc/resolv.conf")
    engine.text("exec", client, "ping", "-c", "1", "-W", "10", server)

    def interfaces():
        return engine.text("exec", client, "ls", "/sys/class/net").split()

    engine.text("network", "connect", "second", client)
    wait_until(lambda: "eth1" in interfaces(), "the second interface", 20)
    engine.text("network", "connect", "second", server)
    engine.text("network", "disconnect", "first", client)
    wait_until(lambda: "eth0" not in interfaces(), "the end of the first interface", 20)
    engine.text("exec", client, "ping", "-c", "1", "-W", "10", server)


def test_no_network_and_the_hosts(engine):
    inside = ("--rm", "--runtime", "cppvm")
    shown = engine.text("run", *inside, "--network", "none", images.SMALL, "ls", "/sys/class/net")
    assert shown == "lo"
    shown = engine.text("run", *inside, "--network", "host", images.SMALL, "ls", "/sys/class/net")
    assert shown.split() == ["eth0", "lo"]


def test_pause_stats_and_update(engine):
    name = _run(engine, "--memory", "128m", images.SMALL, "sleep", "1000000")

    def status():
        return engine.text("inspect", "-f", "{{.State.Status}}", name)

    def memory():
        return engine.text("stats", "--no-stream", "--format", "{{.MemUsage}}", name)

    engine.text("pause", name)
    assert status() == "paused"
    assert "paused" in engine.run("exec", name, "true").error
    engine.text("unpause", name)
    assert status() == "running"
    used, limit = memory().split(" / ")
    assert limit == "128MiB" and not used.startswith("0B")
    engine.text("update", "--memory", "96m", "--memory-swap", "96m", name)
    assert memory().endswith(" / 96MiB")
    assert "sleep" in engine.text("top", name)
