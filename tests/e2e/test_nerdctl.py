"""nerdctl, whose networks are made by hooks of the spec."""

import pytest

from cppvmdev import docker
from cppvmdev.images import SMALL
from cppvmdev.namespaces import Pair
from harness import engines

pytestmark = pytest.mark.vm


def test_life_of_a_container_with_a_published_port(nerdctl, world, namespaces):
    engines.live_with_a_published_port(nerdctl, world, namespaces[0], "10.4.0")
    # Undone by the hook poststop; a rule of masquerading stays, with runc as well.
    assert "--dport 8080" not in world.run("iptables-save").text


def test_two_containers_on_a_network(nerdctl):
    nerdctl.text("network", "create", "--subnet", "10.5.0.0/24", "first")
    server = nerdctl.start_container("--network", "first", SMALL, "sleep", "1000000")
    client = nerdctl.start_container("--network", "first", SMALL, "sleep", "1000000")
    # By its name, which nerdctl writes into /etc/hosts.
    nerdctl.text("exec", client, "ping", "-c", "1", "-W", "10", server)


def test_no_network_and_the_hosts(nerdctl, world, namespaces):
    Pair(namespaces[0], world).default_routes()
    engines.have_no_network_or_the_hosts(nerdctl)


def test_terminals(nerdctl):
    engines.sit_before_terminals(nerdctl, exec_code=1)  # whatever the program's


def test_signals_and_ends(nerdctl):
    engines.signal_stop_and_wait(nerdctl)


def test_copies(nerdctl, tmp_path):
    engines.copy_in_and_out(nerdctl, tmp_path, replaces=False)


def test_restart_always(nerdctl):
    """The one policy of containerd 1.6, which looks every ten seconds."""
    engines.begin_again_always(nerdctl)


def test_init(nerdctl):
    program = docker.programs() / "usr/bin/docker-init"  # static, so it runs in any image
    engines.have_an_init(nerdctl, "--init-binary", program)


def test_compose(nerdctl, tmp_path):
    engines.compose_two_services(nerdctl, tmp_path)


def test_pause_stats_and_update(nerdctl):
    engines.pause_and_measure(nerdctl)
