"""containerd goes and comes back while containers run."""

import os
import signal
from pathlib import Path

import pytest

from conftest import both_versions
from cppvmdev.waiting import wait_until


@pytest.mark.kvm
@both_versions
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_container_goes_on(runner, how):
    container = runner.start()
    boot_id = container.sh("cat /proc/sys/kernel/random/boot_id")
    pid = container.pid()
    runner.containerd.restart(how)
    container.wait_running()
    assert container.pid() == pid
    assert container.sh("cat /proc/sys/kernel/random/boot_id") == boot_id
    container.delete()


@pytest.mark.vm  # 2.3.4 takes runc's stopped task for a leaked one, see Pids
@both_versions
def test_exit_while_containerd_is_away(runner):
    container = runner.start("sh", "-c", "until [ -e /go ]; do sleep 0.05; done; exit 23")
    process = runner.ctr.popen(*container.exec_argv("sh", "-c", "echo here; sleep 1; touch /go"))
    assert process.stdout.readline() == b"here\n"
    pid = container.pid()
    runner.containerd.end(signal.SIGKILL)
    process.communicate(timeout=30)
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "end of the container", 30)
    runner.containerd.start()
    container.wait_status("STOPPED")
    assert container.delete() == 23


def _fifo(container, stream):
    (path,) = Path("/run/containerd/fifo").glob(f"*/{container.name}-{stream}")
    return path


@both_versions
def test_output_across_restart(runner):
    """What reads the output dies with containerd (as CRI's log copy does) and comes back later."""
    script = "until [ -e /go ]; do sleep 0.05; done; seq 1 100000; sleep 1000000"
    container = runner.start("sh", "-c", script, null_io=False)
    fifo = _fifo(container, "stdout")
    container.sh("touch /go")
    with open(fifo, "rb", buffering=0) as reader:
        received = reader.read(5000)
    runner.containerd.restart(signal.SIGKILL)
    expected = b"".join(b"%d\n" % number for number in range(1, 100001))
    with open(fifo, "rb", buffering=0) as reader:
        while len(received) < len(expected):
            received += reader.read(65536)
    assert received == expected
    container.wait_running()
    container.delete()


def test_input_across_restart(runner):
    """Who writes the input dies too; that is not its end for the container."""
    script = "while read -r line; do echo got $line; done"
    container = runner.start("sh", "-c", script, null_io=False)
    stdin, stdout = _fifo(container, "stdin"), _fifo(container, "stdout")
    with open(stdout, "rb", buffering=0) as reader:
        for line in (b"one\n", b"two\n"):
            with open(stdin, "wb", buffering=0) as writer:
                writer.write(line)
            assert reader.read(100) == b"got " + line
            runner.containerd.restart(signal.SIGTERM)
            container.wait_running()
    container.delete()
