"""What clients do with the pid that they are told for a task: they look at /proc/PID, as nerdctl cp
does, and kill it."""

import os
import signal
from pathlib import Path

import pytest

from harness.runner import bind


def _root(box):
    return Path(f"/proc/{box.pid()}/root")


@pytest.mark.vm
def test_root_is_the_containers(runner, tmp_path):
    """Nothing of the host shows there, and what is written there is in the container."""
    (tmp_path / "on-the-volume").write_text("volume\n")
    marker = Path("/tmp/cppvm-e2e-host-marker")
    marker.write_text("host\n")
    try:
        box = runner.start(options=bind(tmp_path, "/data/deep"))
        root = _root(box)
        box.sh("echo inside >/etc/made-inside")
        assert (root / "etc/made-inside").read_text() == "inside\n"
        assert (root / "data/deep/on-the-volume").read_text() == "volume\n"
        assert not (root / str(marker)[1:]).exists()
        (root / "copied").write_text("from the host\n")
        assert box.sh("cat /copied") == "from the host\n"
        assert not Path("/copied").exists()
        mounts = Path(f"/proc/{box.pid()}/mountinfo").read_text().splitlines()
        points = {line.split()[4] for line in mounts}
        assert points == {"/", "/data/deep"}, mounts
    finally:
        marker.unlink()
    box.delete()


@pytest.mark.vm
def test_links_of_the_container_lead_nowhere(runner):
    """An absolute link would be followed from the root of whoever opens it."""
    box = runner.start()
    box.sh("ln -s /etc/hostname /link; ln -s / /whole")
    for name in ("link", "whole/etc/hostname"):
        with pytest.raises(OSError):
            (_root(box) / name).read_text()
    box.delete()


@pytest.mark.vm
def test_looks_like_the_process(runner):
    box = runner.start("sh", "-c", "sleep 1000000 # marked", options=("--env", "MARK=1", "--cwd", "/bin"))
    proc = Path(f"/proc/{box.pid()}")
    assert (proc / "cmdline").read_bytes() == b"sh\0-c\0sleep 1000000 # marked\0"
    assert b"MARK=1\0" in (proc / "environ").read_bytes()
    assert os.readlink(proc / "cwd") == "/bin"
    for name in ("mnt", "uts", "ipc"):
        assert os.readlink(proc / "ns" / name) != os.readlink(f"/proc/self/ns/{name}")
    box.delete()


@pytest.mark.vm
def test_killed_by_its_pid(runner):
    box = runner.start("sh", "-c", "trap '' TERM; sleep 1000000")
    os.kill(box.pid(), signal.SIGKILL)
    box.wait_status("STOPPED", 15)
    assert box.delete() == 137
