"""The set-up around the tests: whose the daemons are, and what an interrupted run leaves."""

import os
import signal
import subprocess
import sys

import pytest

from cppvmdev import releases
from cppvmdev.containerd import Containerd
from cppvmdev.leftovers import Gone, Leftovers
from harness import session, settings
from harness.runner import Runner

_COMMAND = [sys.executable, "-m", "harness.session"]


@pytest.fixture(name="call")
def call_fixture(tmp_path):
    """call(stage, *arguments): the command with daemons of its own; returns its output and code."""

    stages = set()

    def call(stage, *arguments, before=()):
        stages.add(stage)
        environ = dict(os.environ, CPPVM_E2E_BASE=str(tmp_path / "b"), CPPVM_E2E_STAGE=str(stage))
        return subprocess.run(
            [*before, *_COMMAND, *arguments],
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=200,
            text=True,
            check=False,
        )

    yield call
    # A test that failed may have left them to either; we live, so the other one is refused.
    for stage in stages.copy():
        call(stage, "stop")


def test_daemons_of_a_clone_that_lives(call, tmp_path):
    other = tmp_path / "other"
    other.symlink_to(settings.STAGE)
    done = call(other, "start", "1.6")  # we are the program that asked
    assert done.returncode == 0, done.stdout
    for arguments in (("start", "1.6"), ("stop",)):
        done = call(settings.STAGE, *arguments)
        assert done.returncode == 1 and f"belongs to the tests of {other}" in done.stdout
    done = call(other, "stop")
    assert done.returncode == 0, done.stdout
    assert not (tmp_path / "b").exists()


@pytest.mark.vm
def test_daemons_of_a_clone_that_was_killed(call, tmp_path):
    """Its containerd, its shims and its VMs too: the next clone's run begins with their clean-up."""
    other = tmp_path / "other"
    other.symlink_to(settings.STAGE)
    # With a command after it bash stays the parent, and has ended when we go on.
    done = call(other, "start", "1.6", before=("bash", "-c", '"$@"; exit', "bash"))
    assert done.returncode == 0, done.stdout
    base = tmp_path / "b"
    containerd = Containerd(releases.get("1.6"), base / "1.6", settings.PROGRAMS)
    container = Runner(containerd, session.NAMESPACE, base / "config.toml").start()
    identities = containerd.identities()
    doomed = [*container.shims(), *container.helpers()]
    assert len(doomed) >= 4
    containerd.end(signal.SIGKILL)
    for process in doomed:
        process.kill()
        process.wait_gone()

    done = call(settings.STAGE, "start", "1.6")
    assert done.returncode == 0, done.stdout
    assert f"clean-up after the tests of {other}" in done.stdout
    Leftovers(Gone(base / "1.6", identities)).wait_none()
    done = call(settings.STAGE, "stop")
    assert done.returncode == 0, done.stdout
