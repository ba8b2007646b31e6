"""What the processes that work for a sandbox on the host may do, as the kernel tells it."""

import os
import signal
from pathlib import Path

import pytest

from cppvmdev import processes
from cppvmdev.waiting import wait_until
from harness import settings

pytestmark = pytest.mark.vm

_NONE = "0" * 16


def _status(process):
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def _one(container, program):
    found = container.helpers(program)
    # virtiofsd forks for a pid namespace of its own.
    assert len(found) == 1 or program == "virtiofsd", found
    return found[-1]


def _stand_in(container):
    return processes.find(container.pid())


def _namespace(process, kind):
    return os.readlink(f"/proc/{process.pid}/ns/{kind}")


def _user(process):
    return int(_status(process)["Uid"].split()[0])


def _vsock_device(container):
    if Path("/dev/vhost-vsock").exists():
        pytest.skip("the kernel carries vsock here")
    return _one(container, "vhost-device-vs")


_PRIVATE = {"etc", "root", "home", "proc", "sys", "dev", "bin", "var"}


def _private_names(device):
    """Which of the host's private folders a process sees. One that only leads to its own program does not
    count: the tree may have been built below /root."""
    root, program = Path(f"/proc/{device.pid}/root"), Path(device.cmdline.split()[0])
    seen = _PRIVATE & set(os.listdir(root))
    if program.parts[1] in seen:
        folders = [root / folder.relative_to("/") for folder in list(program.parents)[:-1]]
        if all(len(os.listdir(folder)) == 1 for folder in folders):
            seen.remove(program.parts[1])
    return seen


def test_vsock_device_has_nothing_that_it_does_not_need(runner):
    container = runner.start()
    device = _vsock_device(container)
    status = _status(device)
    assert _user(device) in settings.HELPER_USERS
    assert len(set(status["Uid"].split() + status["Gid"].split())) == 1
    assert status["Groups"] == ""
    for capabilities in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert status[capabilities] == _NONE, capabilities
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    for kind in ("mnt", "net", "ipc", "uts"):
        assert os.readlink(f"/proc/self/ns/{kind}") != _namespace(device, kind), kind
    interfaces = Path(f"/proc/{device.pid}/net/dev").read_text().splitlines()[2:]
    assert [line.split(":")[0].strip() for line in interfaces] == ["lo"]
    # Of the host's files: the libraries, the program, its sockets.
    assert not _private_names(device)
    limits = Path(f"/proc/{device.pid}/limits").read_text()
    assert "Max core file size        0                    0" in limits
    assert "Max open files            16384                16384" in limits
    assert container.sh("echo works") == "works\n"


def test_qemu_of_each_sandbox_has_a_user_of_its_own(runner):
    containers = [runner.start(), runner.start()]
    qemus = [_one(container, "qemu-system") for container in containers]
    users = {_user(qemu) for qemu in qemus}
    assert len(users) == 2
    assert all(user in settings.HELPER_USERS for user in users)
    for qemu in qemus:
        status = _status(qemu)
        assert status["CapEff"] == _NONE
        assert status["NoNewPrivs"] == "1"
        assert status["Seccomp"] == "2"
        assert "0" not in status["Gid"].split() + status["Groups"].split()
    if not Path("/dev/vhost-vsock").exists():
        assert not users & {_user(_vsock_device(container)) for container in containers}


def test_virtiofsd_and_stand_in_have_few_capabilities(runner):
    container = runner.start()
    stand_in = _status(_stand_in(container))
    assert stand_in["CapEff"] == stand_in["CapBnd"] == _NONE
    assert stand_in["NoNewPrivs"] == "1"
    assert stand_in["Seccomp"] == "2"
    virtiofsd = _one(container, "virtiofsd")
    status = _status(virtiofsd)
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    for kind in ("mnt", "net", "ipc", "uts"):
        assert os.readlink(f"/proc/self/ns/{kind}") != _namespace(virtiofsd, kind), kind
    assert "Max core file size        0 " in Path(f"/proc/{virtiofsd.pid}/limits").read_text()


def test_sockets_are_gone_once_qemu_holds_them(runner):
    container = runner.start()
    run_dir = Path("/run/cppvm") / container.identity.short
    left = {str(path.relative_to(run_dir)) for path in run_dir.rglob("*") if path.is_socket()}
    # Those that are dialled while it runs: the guest's by the daemon, the daemon's by `cppvm`.
    assert left <= {"vsock/vsock.sock", "control.sock"}, left
    assert (run_dir / "control.sock").stat().st_mode & 0o777 == 0o600


def test_no_inotify_instance_stays(runner):
    container = runner.start()
    daemon = container.shims()[0]
    links = [os.readlink(fd) for fd in Path(f"/proc/{daemon.pid}/fd").iterdir()]
    assert "anon_inode:inotify" not in links


def _cgroups(task):
    """Where a directory of /proc is, by controller; "" is version 2."""
    lines = (task / "cgroup").read_text().splitlines()
    found = {}
    for line in lines:
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            found[controller] = path
    return found


def _accounting():
    """The controllers whose hierarchies count, and their directories."""
    root = Path("/sys/fs/cgroup")
    if (root / "cgroup.controllers").exists():
        return {"": root}
    names = ("memory", "cpu", "cpuacct", "pids", "blkio")
    return {name: root / name for name in names if (root / name / "cgroup.procs").exists()}


def _everything_of(container):
    found = container.helpers() + container.shims() + [_stand_in(container)]
    assert len(found) >= 4, found
    return found


def _expect_all_in(container, path):
    for controller in _accounting():
        for process in _everything_of(container):
            at = _cgroups(Path(f"/proc/{process.pid}"))[controller]
            assert at == path, (controller, process)


@pytest.mark.kvm
def test_all_that_works_for_a_sandbox_is_in_its_cgroup(runner):
    container = runner.start()
    # Beside ctr's /<namespace>/<id>.
    path = f"/{container.ctr.namespace}/{container.identity.domain}"
    _expect_all_in(container, path)
    qemu = _one(container, "qemu-system")
    for thread in Path(f"/proc/{qemu.pid}/task").iterdir():
        for controller in _accounting():
            assert _cgroups(thread)[controller] == path, (thread, controller)
    for controller, root in _accounting().items():
        usage = {"memory": "memory.usage_in_bytes", "cpuacct": "cpuacct.usage"}.get(controller)
        if controller == "":
            usage = "memory.current"
        if usage and (root / path[1:] / usage).exists():
            assert int((root / path[1:] / usage).read_text()) > 1 << 20, usage
    container.delete()
    wait_until(
        lambda: not any((root / path[1:]).exists() for root in _accounting().values()),
        "the end of the cgroup", 10,
    )  # fmt: skip


@pytest.mark.parametrize(
    "given, parent",
    [
        ("/kubepods/pod1/{id}", "/kubepods/pod1"),
        ("kubepods-pod1.slice:cri-containerd:{id}", "/kubepods.slice/kubepods-pod1.slice"),
    ],
)
def test_cgroup_is_in_the_pods(runner, given, parent):
    """`ctr run --cgroup` says what CRI says for a pod's first container, in either form."""
    top = parent.split("/")[1]
    for root in _accounting().values():
        assert not (root / top).exists(), "this host has pods: the test would be in their way"
    try:
        container = runner.start(options=("--cgroup", given.format(id="me")))
        _expect_all_in(container, f"{parent}/{container.identity.domain}")
        container.delete()
    finally:
        for root in _accounting().values():
            for path in (parent, f"/{top}"):
                wait_until(lambda at=root / path[1:]: _removed(at), f"{path} to be empty", 10)


def _removed(directory):
    try:
        directory.rmdir()
    except FileNotFoundError:
        pass
    except OSError:
        return False
    return True


def test_cgroup_of_a_killed_daemon_goes(runner):
    """The fixture looks for what is left."""
    container = runner.start()
    container.shims()[0].kill(signal.SIGKILL)
    wait_until(lambda: not container.status(), "containerd to drop the task", 30)
