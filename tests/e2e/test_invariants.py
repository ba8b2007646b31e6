"""The checks that follow every test see what they are there for."""

import shutil
import signal
import subprocess

import pytest

from cppvmdev import mounts
from cppvmdev.invariants import Invariants
from cppvmdev.shell import run
from cppvmdev.waiting import wait_until


def _broken(held):
    with pytest.raises(AssertionError) as caught:
        held.check()
    return str(caught.value)


@pytest.mark.parametrize("name, sig", [("cppvm-x", signal.SIGSEGV), ("containerd-shim", signal.SIGKILL)])
def test_process_that_crashes(invariants, tmp_path, name, sig):
    held = Invariants([], [])
    if not held.watches:
        pytest.skip("the ends of processes cannot be watched here")
    shutil.copy("/bin/sleep", tmp_path / name)
    process = subprocess.Popen([tmp_path / name, "1000"])
    invariants.expected.add((process.pid, sig))
    wait_until(lambda: name in str(held.seen(process.pid)), "the watch to have seen it")
    process.send_signal(sig)
    process.wait()
    assert f"process {process.pid} {name} died of signal {int(sig)}" in _broken(held)


def test_helper_that_is_killed(tmp_path):
    """As the daemon ends its helpers: no fault."""
    shutil.copy("/bin/sleep", tmp_path / "virtiofsd")
    held = Invariants([], [])
    process = subprocess.Popen([tmp_path / "virtiofsd", "1000"])
    process.kill()
    process.wait()
    held.check()


def test_mounts_that_come_and_go(tmp_path):
    (tmp_path / "a").mkdir()
    held = Invariants([], [])
    run("mount", "-t", "tmpfs", "planted", tmp_path / "a").check()
    try:
        changed = Invariants([], [])
        assert f"mount appeared: planted (tmpfs, rw,relatime, root /) on {tmp_path}/a" in _broken(held)
    finally:
        mounts.unmount_below(tmp_path)
    assert f"mount gone: planted (tmpfs, rw,relatime, root /) on {tmp_path}/a" in _broken(changed)


def test_guest_that_panics():
    log = "an old Kernel panic - not syncing: before\n"
    held = Invariants([], [], lambda: log)
    log += 'level=warning msg="The VM has ended" console_tail="Kernel panic - not syncing: Attempted to kill init!"\n'
    assert "Attempted to kill init" in _broken(held)
