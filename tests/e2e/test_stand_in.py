"""What clients do with the pid that they are told for a task: they look at /proc/PID, as nerdctl cp
does, and kill it."""

import os
import signal
from pathlib import Path

import pytest

from harness.runner import bind


def _root(container):
    return Path(f"/proc/{container.pid()}/root")


@pytest.mark.vm
def test_root_is_the_containers(runner, tmp_path):
    """Nothing of the host shows there, and what is written there is in the container."""
    (tmp_path / "on-the-volume").write_text("volume\n")
    marker = Path("/tmp/cppvm-e2e-host-marker")
    marker.write_text("host\n")
    try:
        container = runner.start(options=bind(tmp_path, "/data/deep"))
        root = _root(container)
        container.sh("echo inside >/etc/made-inside")
        assert (root / "etc/made-inside").read_text() == "inside\n"
        assert (root / "data/deep/on-the-volume").read_text() == "volume\n"
        assert not (root / str(marker)[1:]).exists()
        (root / "copied").write_text("from the host\n")
        assert container.sh("cat /copied") == "from the host\n"
        assert not Path("/copied").exists()
        mounts = Path(f"/proc/{container.pid()}/mountinfo").read_text().splitlines()
        points = {line.split()[4] for line in mounts}
        assert points == {"/", "/data/deep"}, mounts
    finally:
        marker.unlink()
    container.delete()


@pytest.mark.vm
def test_links_of_the_container_lead_nowhere(runner):
    """An absolute link would be followed from the root of whoever opens it."""
    container = runner.start()
    container.sh("ln -s /etc/hostname /link; ln -s / /whole")
    for name in ("link", "whole/etc/hostname"):
        with pytest.raises(OSError):
            (_root(container) / name).read_text()
    container.delete()


@pytest.mark.vm
def test_looks_like_the_process(runner):
    options = ("--env", "MARK=1", "--cwd", "/bin")
    container = runner.start("sh", "-c", "sleep 1000000 # marked", options=options)
    proc = Path(f"/proc/{container.pid()}")
    assert (proc / "cmdline").read_bytes() == b"sh\0-c\0sleep 1000000 # marked\0"
    assert b"MARK=1\0" in (proc / "environ").read_bytes()
    assert os.readlink(proc / "cwd") == "/bin"
    for name in ("mnt", "uts", "ipc"):
        assert os.readlink(proc / "ns" / name) != os.readlink(f"/proc/self/ns/{name}")
    container.delete()


@pytest.mark.vm
def test_killed_by_its_pid(runner):
    container = runner.start("sh", "-c", "trap '' TERM; sleep 1000000")
    os.kill(container.pid(), signal.SIGKILL)
    container.wait_status("STOPPED", 15)
    assert container.delete() == 137
