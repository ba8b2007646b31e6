"""Whatever dies, and in whatever order: containers can be deleted, quickly, without a trace.

The fixture `runner` looks for traces after each test."""

import signal
import time

import pytest

from conftest import both_versions
from cppvmdev import processes
from cppvmdev.waiting import wait_until
from harness import session


def _one(found, what):
    assert len(found) == 1, f"{what}: {found}"
    return found[0]


@pytest.mark.kvm
@both_versions
def test_kill_and_delete(runner):
    container = runner.start()
    assert container.delete() == 137


def test_start_and_delete_at_once(runner):
    """Five times in a row under one name: nothing of the last one is in the way."""
    name = runner.start().name
    for _ in range(4):
        runner.containers[-1].delete()
        runner.start(name=name)
    runner.containers[-1].delete()


@pytest.mark.kvm
@pytest.mark.vm
@both_versions
def test_killed_daemon(runner):
    """containerd notices, runs the shim's `delete` and drops the task."""
    container = runner.start()
    daemon = _one(container.shims(), "shim daemon")
    begin = time.monotonic()
    daemon.kill()
    wait_until(lambda: not container.status(), "containerd to drop the task", 30)
    wait_until(lambda: not container.helpers(), "end of the VM", 5)
    assert time.monotonic() - begin < 8
    runner.ctr.command("containers", "delete", container.name).check()


@pytest.mark.kvm
@pytest.mark.vm
def test_killed_daemon_while_containerd_is_away(runner):
    container = runner.start()
    daemon = _one(container.shims(), "shim daemon")
    runner.containerd.end(signal.SIGKILL)
    daemon.kill()
    runner.containerd.start()
    wait_until(lambda: not container.status(), "containerd to drop the task", 30)
    runner.ctr.command("containers", "delete", container.name).check()


@pytest.mark.kvm
@pytest.mark.vm
@both_versions
def test_killed_qemu(runner):
    container = runner.start()
    _one(container.helpers("qemu-system"), "QEMU").kill()
    container.wait_status("STOPPED", 10)
    assert container.delete() == 137


@pytest.mark.vm
def test_qemu_that_ends_says_why(runner):
    """libvirt's log of it is removed with the domain, so containerd's must have its last words."""
    container = runner.start()
    logged = len(runner.containerd.log_text())
    _one(container.helpers("qemu-system"), "QEMU").kill(signal.SIGTERM)

    def console_tail():
        lines = runner.containerd.log_text()[logged:].splitlines()
        assert not any("virtiofsd has exited" in line for line in lines)
        return next((line for line in lines if "The VM has ended" in line), None)

    line = wait_until(console_tail, "the daemon to say that the VM has ended", 10)
    assert "QEMU: " in line and "terminating on signal 15" in line
    container.wait_status("STOPPED", 10)
    assert container.delete() == 137


@pytest.mark.vm
def test_killed_qemu_while_in_the_foreground(runner):
    container = runner.popen("sh", "-c", "echo up; sleep 1000000")
    assert container.process.stdout.readline() == b"up\n"
    _one(container.helpers("qemu-system"), "QEMU").kill()
    assert container.wait_exit(20).code == 137


@pytest.mark.vm
def test_killed_qemu_while_an_exec_runs(runner):
    container = runner.start()
    process = container.popen_exec("sh", "-c", "echo up; sleep 1000000")
    assert process.stdout.readline() == b"up\n"
    _one(container.helpers("qemu-system"), "QEMU").kill()
    process.communicate(timeout=20)
    assert process.returncode == 137
    container.delete()


@pytest.mark.vm
def test_stopped_qemu(runner):
    """A guest that does not answer any more can be killed nevertheless."""
    container = runner.start()
    qemu = _one(container.helpers("qemu-system"), "QEMU")
    qemu.kill(signal.SIGSTOP)
    try:
        begin = time.monotonic()
        container.kill().check()
        container.wait_status("STOPPED", 20)
        assert container.delete() == 137
        assert time.monotonic() - begin < 25
    finally:
        qemu.kill(signal.SIGCONT)


@pytest.mark.vm
@pytest.mark.parametrize("program", ["virtiofsd", "vhost-device-vs"])
def test_stopped_helper(runner, program):
    """As a volume that hangs on the host: no process in the guest can end, but the VM can."""
    container = runner.start("sh", "-c", "while :; do cat /bin/busybox >/dev/null; done")
    helpers = container.helpers(program)
    if not helpers and program == "vhost-device-vs":
        pytest.skip("this kernel has vhost-vsock, so there is no such helper")
    for process in helpers:
        process.kill(signal.SIGSTOP)
    try:
        begin = time.monotonic()
        container.kill().check()
        container.wait_status("STOPPED", 15)
        assert container.delete() == 137
        assert time.monotonic() - begin < 15
    finally:
        for process in helpers:
            process.kill(signal.SIGCONT)


@pytest.mark.vm
def test_killed_stand_in(runner):
    """`kill -9` of the pid that containerd shows is a SIGKILL of the container, as with runc."""
    container = runner.start()
    processes.find(container.pid()).kill()
    container.wait_status("STOPPED", 15)
    assert container.delete() == 137


@pytest.mark.kvm
@pytest.mark.vm
def test_killed_virtiofsd(runner):
    """The VM ends: processes that wait for a file could not be ended otherwise."""
    script = "while :; do cat /bin/busybox >/dev/null; sleep 0.01; done"
    container = runner.start("sh", "-c", script)
    for process in container.helpers("virtiofsd"):
        process.kill()
    container.wait_status("STOPPED", 30)
    assert container.delete() == 137


@pytest.mark.vm
def test_killed_vsock_device(runner):
    """Nothing can be known of the VM then, so it is ended, and its task is told dead after that."""
    container = runner.start()
    helpers = container.helpers("vhost-device-vs")
    if not helpers:
        pytest.skip("this kernel has vhost-vsock, so there is no such helper")
    for process in helpers:
        process.kill()
    container.wait_status("STOPPED", 15)
    assert not container.helpers("qemu-system")
    assert container.delete() == 137


@pytest.mark.kvm
@pytest.mark.vm
def test_killed_everything(runner):
    container = runner.start()
    for process in [*container.shims(), *container.helpers()]:
        process.kill()
    wait_until(lambda: not container.status(), "containerd to drop the task", 30)
    runner.ctr.command("containers", "delete", container.name).check()


@pytest.mark.kvm
@pytest.mark.vm
def test_killed_daemon_while_the_vm_starts(runner):
    process = runner.popen("true")
    daemon = wait_until(lambda: process.shims(), "the daemon", 30)[0]
    wait_until(lambda: process.helpers("qemu-system"), "QEMU", 30)
    daemon.kill()
    assert process.wait_exit(30).code != 0


@pytest.mark.vm
def test_killed_daemon_while_libvirtd_hangs(runner):
    """`delete` must do without libvirtd, within containerd's 5 seconds."""
    daemons = session.libvirt_daemons().started()
    if not daemons:
        pytest.skip("libvirtd was not started by these tests, so it is not theirs to stop")
    container = runner.start()
    for process in daemons:
        process.kill(signal.SIGSTOP)
    try:
        _one(container.shims(), "shim daemon").kill()
        # The task is out of containerd's list as soon as the daemon is gone, and `delete` comes then.
        wait_until(lambda: not container.helpers("qemu-system"), "end of QEMU", 10)
        wait_until(lambda: not container.status(), "containerd to drop the task", 15)
    finally:
        for process in daemons:
            process.kill(signal.SIGCONT)
    runner.ctr.command("containers", "delete", container.name).check()


@pytest.mark.vm
def test_client_that_goes_away(runner):
    """`ctr run` in the foreground is killed: the container goes on and can be deleted."""
    container = runner.popen("sleep", "1000000")
    container.wait_running()
    container.process.kill()
    container.process.wait()
    assert container.sh("echo well") == "well\n"
    container.delete()
