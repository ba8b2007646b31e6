"""The connections between a daemon and its guest's agent break; nothing is lost."""

import subprocess

import pytest

from harness.cut import cut_agent
from harness.runner import LineReader

pytestmark = [pytest.mark.vm, pytest.mark.kvm]

_PIPES = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}


def _cut(container):
    (daemon,) = container.shims()
    return cut_agent(daemon.pid)


def test_everything_goes_on(runner):
    """Three times: the container, a talk with an exec, an exec that ends while nobody is connected, and
    new execs."""
    container = runner.start()
    talk = container.popen_exec("cat", **_PIPES)
    lines = LineReader(talk.stdout)
    for number in range(3):
        talk.stdin.write(f"before {number}\n".encode())
        talk.stdin.flush()
        lines.wait_line(f"before {number}")
        ends = container.popen_exec("sh", "-c", f"echo ready; read x; exit {number + 3}", **_PIPES)
        LineReader(ends.stdout).wait_line("ready")
        # RPC, three streams of one exec and three of the other.
        assert _cut(container) == 7
        ends.stdin.write(b"now\n")
        ends.stdin.close()
        assert ends.wait(timeout=30) == number + 3
        assert container.sh("echo new") == "new\n"
        talk.stdin.write(f"after {number}\n".encode())
        talk.stdin.flush()
        lines.wait_line(f"after {number}")
    talk.stdin.close()
    assert talk.wait(timeout=30) == 0
    assert container.status() == "RUNNING"
    assert container.delete() == 137


def test_no_byte_is_lost(runner):
    """A stream of numbers, of which each may be the last before a cut."""
    container = runner.start()
    count = 200_000
    counter = container.popen_exec("seq", str(count), **_PIPES)
    cuts = 0
    seen = 0
    for line in counter.stdout:
        seen += 1
        assert int(line) == seen
        if seen % 40_000 == 1:
            cuts += _cut(container)
    assert seen == count
    assert counter.wait(timeout=30) == 0
    assert cuts >= 5
    container.delete()
