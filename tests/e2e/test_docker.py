"""Docker, its networks and its port publishing."""

import pytest

from cppvmdev import docker, images, mounts, releases
from cppvmdev.waiting import wait_until
from harness import engines, settings

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


def test_life_of_a_container_with_a_published_port(engine, world, namespaces):
    engines.live_with_a_published_port(engine, world, namespaces[0], "172.30.0")


def test_names_and_networks_that_come_and_go(engine):
    engine.text("network", "create", "first")
    engine.text("network", "create", "second")
    server = engine.start_container("--network", "first", images.SMALL, "sleep", "1000000")
    client = engine.start_container("--network", "first", images.SMALL, "sleep", "1000000")
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
    engines.have_no_network_or_the_hosts(engine)


def test_pause_stats_and_update(engine):
    name = engine.start_container("--memory", "128m", images.SMALL, "sleep", "1000000")

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
