"""Docker, its networks and its port publishing."""

import pytest

from cppvmdev.images import SMALL
from cppvmdev.waiting import wait_until
from harness import engines

pytestmark = pytest.mark.vm


def test_life_of_a_container_with_a_published_port(docker, world, namespaces):
    engines.live_with_a_published_port(docker, world, namespaces[0], "172.30.0")


def test_names_and_networks_that_come_and_go(docker):
    docker.text("network", "create", "first")
    docker.text("network", "create", "second")
    server = docker.start_container("--network", "first", SMALL, "sleep", "1000000")
    client = docker.start_container("--network", "first", SMALL, "sleep", "1000000")
    assert "127.0.0.11" in docker.text("exec", client, "cat", "/etc/resolv.conf")
    docker.text("exec", client, "ping", "-c", "1", "-W", "10", server)

    def interfaces():
        return docker.text("exec", client, "ls", "/sys/class/net").split()

    docker.text("network", "connect", "second", client)
    wait_until(lambda: "eth1" in interfaces(), "the second interface", 20)
    docker.text("network", "connect", "second", server)
    docker.text("network", "disconnect", "first", client)
    wait_until(lambda: "eth0" not in interfaces(), "the end of the first interface", 20)
    docker.text("exec", client, "ping", "-c", "1", "-W", "10", server)


def test_no_network_and_the_hosts(docker):
    engines.have_no_network_or_the_hosts(docker)


def test_pause_stats_and_update(docker):
    engines.pause_and_measure(docker)


def test_terminals(docker):
    engines.sit_before_terminals(docker)


def test_signals_and_ends(docker):
    engines.signal_stop_and_wait(docker)


def test_copies(docker, tmp_path):
    engines.copy_in_and_out(docker, tmp_path)


def test_exec(docker):
    engines.exec_as_told(docker)


def test_attach_restart_and_rename(docker):
    engines.attach_restart_and_rename(docker)


def test_namespaces_of_another_container(docker):
    """Each has a machine of its own: an interface cannot be two machines'; processes stay apart."""
    name = docker.start_container(SMALL, "sleep", "1000000")

    def run(option, *command):
        return docker.run("run", "--rm", "--runtime", docker.runtime, option, f"container:{name}", SMALL, *command)

    docker.text("exec", name, "ping", "-c", "1", "-W", "10", "172.30.0.1")
    refused = run("--network", "true")
    assert refused.code != 0 and "eth0" in refused.error, refused.error
    docker.text("exec", name, "ping", "-c", "1", "-W", "10", "172.30.0.1")
    assert "sleep" not in run("--pid", "ps").check().text


def test_restart_on_failure(docker):
    engines.begin_again_on_failure(docker)


def test_restart_always(docker):
    engines.begin_again_always(docker)


def test_init(docker):
    engines.have_an_init(docker)


def test_compose(docker, tmp_path):
    engines.compose_two_services(docker, tmp_path)


_SPEAKS = (
    "trap 'exit 5' TERM; echo up; "
    "while :; do if [ -e /tmp/speak ]; then rm /tmp/speak; echo spoken; fi; sleep 0.1; done"
)


def _start_speaker(docker, *options):
    name = docker.start_container(*options, SMALL, "sh", "-c", _SPEAKS)
    wait_until(lambda: "up" in docker.text("logs", name), "the trap", 30)
    return name


def _state(docker, name, field):
    return docker.text("inspect", "-f", f"{{{{.State.{field}}}}}", name)


def test_restart_of_the_daemon(docker):
    """Its containers end with it, and those that are to run always begin again."""
    always = _start_speaker(docker, "--restart", "always")
    never = _start_speaker(docker)
    docker.stop()
    docker.start()
    wait_until(lambda: _state(docker, always, "Status") == "running", "the container that is to run always", 60)
    wait_until(lambda: docker.text("logs", always).count("up") == 2, "its second run", 30)
    assert _state(docker, never, "Status") == "exited"
    assert docker.text("wait", never) == "5"


def test_containers_outlive_the_daemon(docker):
    """`live-restore`: also their output, and what they are told to do."""
    docker.stop()
    docker.live_restore = True
    docker.start()
    name = _start_speaker(docker)
    pid = _state(docker, name, "Pid")
    docker.stop()
    docker.start()
    assert _state(docker, name, "Status") == "running"
    assert _state(docker, name, "Pid") == pid
    docker.text("exec", name, "touch", "/tmp/speak")
    wait_until(lambda: "spoken" in docker.text("logs", name), "output after the restart", 30)
    docker.text("stop", "-t", "30", name)
    assert docker.text("wait", name) == "5"
