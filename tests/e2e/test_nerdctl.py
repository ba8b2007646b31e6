"""nerdctl, whose networks are made by hooks of the spec."""

import pytest

from cppvmdev import images, mounts, nerdctl, releases
from cppvmdev.namespaces import Pair
from harness import engines, settings

pytestmark = pytest.mark.vm


@pytest.fixture(name="engine")
def engine_fixture(containerd, world, tmp_path):
    """nerdctl, whose bridges are in `world`."""
    assert containerd.process()  # set up with it: libvirt
    try:
        engine = nerdctl.Nerdctl(tmp_path, world, settings.STAGE, settings.RUNTIME)
    except releases.Unavailable as reason:
        pytest.skip(str(reason))
    try:
        engine.start()
        yield engine
    finally:
        print(engine.containerd.log_text()[-4000:])
        engine.close()
        mounts.unmount_below(tmp_path)


def test_life_of_a_container_with_a_published_port(engine, world, namespaces):
    engines.live_with_a_published_port(engine, world, namespaces[0], "10.4.0")
    # Undone by the hook poststop; a rule of masquerading stays, with runc as well.
    assert "--dport 8080" not in world.run("iptables-save").text


def test_two_containers_on_a_network(engine):
    engine.text("network", "create", "--subnet", "10.5.0.0/24", "first")
    server = engine.start_container("--network", "first", images.SMALL, "sleep", "1000000")
    client = engine.start_container("--network", "first", images.SMALL, "sleep", "1000000")
    # By its name, which nerdctl writes into /etc/hosts.
    engine.text("exec", client, "ping", "-c", "1", "-W", "10", server)


def test_no_network_and_the_hosts(engine, world, namespaces):
    Pair(namespaces[0], world).default_routes()
    engines.have_no_network_or_the_hosts(engine)
