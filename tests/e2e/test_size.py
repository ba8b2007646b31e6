"""How large the machine is, and what happens where its pod's cgroup on the host may use too little."""

import contextlib
from pathlib import Path

import pytest

from cppvmdev.ctr import unique_id
from cppvmdev.waiting import wait_until
from harness.shim import Task, spec

pytestmark = pytest.mark.vm

_MIB = 1 << 20
_SIZE = "nproc; while read name kib unit; do [ $name = MemTotal: ] && echo $kib; done < /proc/meminfo; true"


def _size(runner, *options):
    processors, kib = runner.run("sh", "-c", _SIZE, options=options).check().text.split()
    return int(processors), int(kib) // 1024


def test_limits_make_the_machine(runner):
    usual = _size(runner)
    assert usual[0] == 1
    # The kernel keeps some of it for itself before it counts.
    processors, mib = _size(runner, "--memory-limit", str(700 * _MIB), "--cpus", "1.5")
    assert processors == 2
    assert 700 < mib < 700 + 96 + 11
    assert _size(runner, "--cpus", "1000")[1] == usual[1]
    assert _size(runner, "--memory-limit", str(64 * _MIB))[1] < 64 + 96


class _Pod:
    """A cgroup on the host with a memory limit, as the kubelet makes for each pod."""

    def __init__(self):
        old = Path("/sys/fs/cgroup/memory")
        self.root = old if old.is_dir() else Path("/sys/fs/cgroup")
        self.limit_file = "memory.limit_in_bytes" if old.is_dir() else "memory.max"
        self.name = unique_id("cppvm-size")
        self.path = self.root / self.name
        self.path.mkdir()
        if not old.is_dir():
            (self.root / "cgroup.subtree_control").write_text("+memory")
            (self.path / "cgroup.subtree_control").write_text("+memory")

    def limit(self, mib):
        (self.path / self.limit_file).write_text(str(mib * _MIB))

    def cgroups_path(self):
        return f"/{self.name}/{unique_id()}"

    def remove(self):
        wait_until(lambda: not any(p.is_dir() for p in self.path.iterdir()), "its cgroups' end")
        top = Path("/sys/fs/cgroup")
        for hierarchy in (top, *top.iterdir()):  # those of version 1 are made with it
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                (hierarchy / self.name).rmdir()


@pytest.fixture(name="pod")
def pod_fixture():
    pod = _Pod()
    yield pod
    pod.remove()


def test_pod_without_room_for_a_machine(runner, pod):
    pod.limit(100)
    result = runner.run("true", options=("--cgroup", pod.cgroups_path()))
    assert result.code != 0
    assert "pod's cgroup may use 100 MiB of memory" in result.error
    assert "overhead.podFixed.memory" in result.error


def test_pod_that_uses_too_much(bundle, pod):
    """QEMU is killed, which is another thing than a container at its own limit."""
    pod.limit(260)
    document = spec("sh", "-c", "dd if=/dev/zero of=/big/file bs=1M count=400; sleep 1000")
    document["linux"]["cgroupsPath"] = pod.cgroups_path()
    (bundle.path / "rootfs/bin/dd").symlink_to("busybox")
    (bundle.path / "rootfs/big").mkdir()
    document["mounts"].append({"type": "tmpfs", "source": "tmpfs", "destination": "/big"})
    bundle.write_spec(document)
    with Task(bundle, bundle.start()) as task:
        task.create()
        task.call("Start")
        assert task.call("Wait").exit_status == 137
        task.call("Delete")
        task.call("Shutdown")
    topics = bundle.events.topics()
    assert topics.index("/tasks/oom") < topics.index("/tasks/exit")
    assert "killed a process of its cgroup for want of memory" in bundle.log_text()
