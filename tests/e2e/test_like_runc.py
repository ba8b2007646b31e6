"""To what runs in it a container looks the same as with runc, and so does it to containerd."""

import json
import os
from pathlib import Path

import pytest

from conftest import both_versions
from cppvmdev.ctr import unique_id
from cppvmdev.images import REAL
from cppvmdev.waiting import wait_until

pytestmark = pytest.mark.vm

_RUNC = "io.containerd.runc.v2"

_CGROUP = ("--mount", "type=cgroup,src=cgroup,dst=/sys/fs/cgroup,options=ro:nosuid:nodev:noexec")


def _limit(container, name):
    """Content of a file of the container's cgroup, which may be mounted itself or by its parent."""
    own = "/sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup)"
    return container.sh(f"cat /sys/fs/cgroup/{name} 2>/dev/null || cat {own}/{name}").strip()


def test_memory_limit(runner):
    container = runner.start(options=(*_CGROUP, "--memory-limit", str(64 << 20)))
    assert _limit(container, "memory.max") == str(64 << 20)
    # What takes more is killed: by the guest's kernel, and only that.
    result = container.exec("dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1")
    assert result.code == 137
    assert "oom_kill 1" in _limit(container, "memory.events").splitlines()
    assert container.sh("echo well") == "well\n"
    container.delete()


def test_processor_limit(runner):
    container = runner.start(options=(*_CGROUP, "--cpu-quota", "50000", "--cpu-period", "100000"))
    assert _limit(container, "cpu.max") == "50000 100000"
    container.delete()


def test_pids(runner):
    """All of the container; those that containerd has not started have none on the host."""
    container = runner.start("sh", "-c", "sleep 1000000 & wait")
    client = container.popen_exec("sh", "-c", "echo up; cat")
    assert client.stdout.readline() == b"up\n"

    def pids():
        listing = runner.ctr.command("tasks", "ps", container.name).check().text.splitlines()[1:]
        return [int(line.split()[0]) for line in listing]

    # init, its child, and the exec
    wait_until(lambda: len(pids()) == 3, "all processes to be listed")
    names = {pid: Path(f"/proc/{pid}/comm") for pid in pids()}
    on_the_host = {pid: name.read_text() for pid, name in names.items() if name.exists()}
    assert container.pid() in on_the_host
    assert list(on_the_host.values()) == ["vm:sh\n", "vm:sh\n"]
    client.communicate(timeout=30)
    wait_until(lambda: len(pids()) == 2, "the exec to be gone from the list")
    container.delete()


def test_pid_is_gone_after_the_end(runner):
    container = runner.start()
    pid = container.pid()
    os.kill(pid, 0)
    container.kill().check()
    container.wait_status("STOPPED")
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    container.delete()


def test_attach(runner):
    script = "while read -r line; do echo got $line; done"
    container = runner.start("sh", "-c", script, null_io=False)
    for line in ("one", "two"):
        client = runner.ctr.popen("tasks", "attach", container.name)
        client.stdin.write(line.encode() + b"\n")
        client.stdin.flush()
        assert client.stdout.readline() == f"got {line}\n".encode()
        client.kill()
        client.communicate()
    container.delete()


@both_versions
def test_longest_id(runner):
    name = (unique_id() + "-" + "x" * 76)[:76]
    assert runner.run("echo", "well", name=name).check().text == "well\n"


def test_long_argument(runner):
    word = "x" * 100_000
    assert runner.run("sh", "-c", "echo ${#0}", word).check().text == "100000\n"


@both_versions
def test_events(runner):
    watcher = runner.ctr.popen("events")
    runner.run("true").check()
    container = runner.start("sh", "-c", "exit 3")
    container.wait_status("STOPPED")
    container.delete()
    lines = []

    def seen():
        lines.append(watcher.stdout.readline().decode())
        return "/tasks/delete" in lines[-1] and container.name in lines[-1]

    wait_until(seen, "the delete event", 30)
    watcher.kill()
    watcher.communicate()
    events = [line for line in lines if container.name in line and "/tasks/" in line]
    topics = [next(word for word in line.split() if word.startswith("/tasks/")) for line in events]
    assert topics == ["/tasks/create", "/tasks/start", "/tasks/exit", "/tasks/delete"]
    exit_event = json.loads(events[2][events[2].index("{") :])
    assert exit_event["exit_status"] == 3 and exit_event["pid"] > 0


# Each system call in a process of its own, with arguments that make no sense.
_CALLS = """if True:
    import ctypes, os, signal
    libc = ctypes.CDLL(None, use_errno=True)
    refused = []
    forks = {57, 58}
    unused = set(range(335, 424))  # but for uprobes, which recent kernels let through any filter
    for number in set(range(600)) - forks - unused:
        pid = os.fork()
        if pid == 0:
            signal.alarm(5)
            os.closerange(0, 3)
            result = libc.syscall(number, *[ctypes.c_long(-1)] * 6)
            os._exit(ctypes.get_errno() if result == -1 else 0)
        status = os.waitpid(pid, 0)[1]
        if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 1:
            refused.append(number)
    print(refused)"""


@pytest.mark.parametrize("options", [(), ("--privileged",)], ids=["default", "privileged"])
def test_default_seccomp_profile(runner, options):
    """The same system calls are refused, whatever kernel answers the others."""

    def refused(runtime, *more):
        return json.loads(
            runtime.run("python3", "-c", _CALLS, image=REAL, options=(*options, *more)).check().text
        )

    runc = runner.with_config(None).with_runtime(_RUNC)
    ours, theirs = refused(runner, "--seccomp"), refused(runc, "--seccomp")
    assert ours == theirs
    assert len(ours) > len(refused(runner))
