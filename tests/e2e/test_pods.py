"""Several containers of one pod share a shim and a VM."""

import os
from pathlib import Path

import pytest

from cppvmdev.ctr import unique_id
from cppvmdev.identity import Identity
from cppvmdev.leftovers import Gone, Leftovers
from cppvmdev.waiting import wait_until
from harness import disks, session
from harness.shim import NAMESPACE, ShimBundle, Task, spec

pytestmark = pytest.mark.vm

_KIND = "io.kubernetes.cri.container-type"
_POD = "io.kubernetes.cri.sandbox-id"


def _spec(pod, kind, *args):
    return {**spec(*args), "annotations": {_KIND: kind, _POD: pod}}


@pytest.fixture(name="pod")
def pod_fixture(containerd, tmp_path):
    """Bundles of a pod's sandbox and of two containers in it."""
    assert containerd.process()  # set up with it: libvirt, the configuration
    name = unique_id("pod")
    sandbox = ShimBundle(tmp_path, name, session.config_file())
    sandbox.write_spec(_spec(name, "sandbox"))
    bundles = [sandbox]
    for number in range(2):
        bundle = ShimBundle(tmp_path, f"{name}-{number}", session.config_file(), sandbox)
        bundle.write_spec(_spec(name, "container"))
        bundles.append(bundle)
    yield bundles
    for bundle in bundles:
        print(bundle.log_text())
    sandbox.kill_daemon()
    for bundle in reversed(bundles):
        bundle.delete()
        bundle.close()
    identities = [bundle.identity for bundle in bundles]
    Leftovers(Gone(tmp_path, identities)).wait_none()


def test_one_vm_for_all(pod):
    sandbox, first, second = pod
    address = sandbox.start()
    assert first.start() == address
    assert second.start() == address
    for bundle in pod:
        assert (bundle.path / "address").read_text().strip().removeprefix("unix://") == address
    assert len(sandbox.daemons()) == 1

    with Task(sandbox, address) as a, Task(first, address) as b, Task(second, address) as c:
        for task in (a, b, c):
            task.create()
            task.call("Start")
            assert task.status() == "RUNNING"

        # The end of a container, with the shim's `delete` that follows it, leaves the rest alone.
        (daemon,) = sandbox.daemons()
        cgroups = Path(f"/proc/{daemon.pid}/cgroup").read_text()
        b.call("Kill", signal=9)
        b.call("Wait")
        b.call("Delete")
        b.call("Shutdown")
        first.delete()
        assert a.status() == c.status() == "RUNNING"
        assert sandbox.identity.domain in cgroups
        assert Path(f"/proc/{daemon.pid}/cgroup").read_text() == cgroups

        c.call("Kill", signal=9)
        c.call("Wait")
        c.call("Delete")
        assert a.end() == 137
    wait_until(lambda: not sandbox.daemons(), "end of the pod's daemon")


def test_namespaces_of_the_sandbox(pod):
    """As CRI names them: by the pid of the sandbox's task, which is that of a process of ours."""
    sandbox, first, second = pod
    document = _spec(sandbox.name, "sandbox")
    document["hostname"] = "the-pod"
    sandbox.write_spec(document)
    address = sandbox.start()
    first.start()
    second.start()
    with Task(sandbox, address) as a, Task(first, address) as b, Task(second, address) as c:
        pid = a.create().pid
        a.call("Start")
        look = "(hostname; ps) > /said; sleep 2000000"
        for task, bundle, kinds in ((b, first, ("pid", "ipc", "uts")), (c, second, ("ipc", "uts"))):
            document = _spec(sandbox.name, "container", "sh", "-c", look)
            for entry in document["linux"]["namespaces"]:
                if entry["type"] in kinds:
                    entry["path"] = f"/proc/{pid}/ns/{entry['type']}"
            bundle.write_spec(document)
            for applet in ("ps", "hostname"):
                (bundle.path / "rootfs/bin" / applet).symlink_to("busybox")
            task.create()
            task.call("Start")
        texts = []
        for bundle in (first, second):
            said = bundle.path / "rootfs/said"
            wait_until(lambda: said.exists() and "ps" in said.read_text(), "its words", 20)
            texts.append(said.read_text())
        assert all(text.startswith("the-pod\n") for text in texts)
        assert "sleep 1000000" in texts[0] and "sleep 1000000" not in texts[1]
        # The sandbox's init is the first process of the namespace, and takes its container along.
        a.call("Kill", signal=9)
        for task in (b, a):
            assert task.call("Wait").exit_status == 137
            task.call("Delete")
        c.call("Kill", signal=9)
        c.call("Wait")
        c.call("Delete")
        a.call("Shutdown")
    wait_until(lambda: not sandbox.daemons(), "end of the pod's daemon", 20)


def test_sandbox_dies_before_its_containers(pod):
    sandbox, first, _ = pod
    address = sandbox.start()
    first.start()
    with Task(sandbox, address) as a, Task(first, address) as b:
        for task in (a, b):
            task.create()
            task.call("Start")
        a.call("Kill", signal=9)
        a.call("Wait")
        a.call("Delete")
        a.call("Shutdown")
        b.call("Kill", signal=9)
        b.call("Wait")
        b.call("Delete")
        b.call("Shutdown")
    wait_until(lambda: not sandbox.daemons(), "end of the pod's daemon", 20)


def test_container_of_a_dead_pod(pod):
    """No second VM for it: an error."""
    sandbox, first, _ = pod
    sandbox.start()
    sandbox.kill_daemon()
    sandbox.delete()
    result = first.command("start")
    assert result.code != 0
    assert sandbox.name in result.error
    assert not sandbox.daemons()
    assert Identity(first.containerd_address, NAMESPACE, sandbox.name) == sandbox.identity


def _with_device(document, device):
    number = os.stat(device).st_rdev
    numbers = {"type": "b", "major": os.major(number), "minor": os.minor(number)}
    document["linux"]["devices"] = [{"path": "/dev/data", **numbers}]
    document["linux"]["resources"] = {"devices": [{"allow": True, "access": "rw", **numbers}]}
    return document


def _exec_status(task, name, script):
    task.exec(name, spec("sh", "-c", script)["process"])
    task.call("Start", exec_id=name)
    status = task.call("Wait", exec_id=name).exit_status
    task.call("Delete", exec_id=name)
    return status


def test_one_disk_for_all(pod, tmp_path):
    """What one container writes the other reads, and the disk goes with the last of them."""
    sandbox, first, second = pod
    document = _spec(sandbox.name, "sandbox")
    document["mounts"].append({"destination": "/sys", "type": "sysfs", "source": "sysfs"})
    sandbox.write_spec(document)
    with disks.loop_device(disks.make_image(tmp_path / "disk.img")) as device:
        for bundle in (first, second):
            bundle.write_spec(_with_device(_spec(sandbox.name, "container"), device))
        address = sandbox.start()
        for bundle in (first, second):
            bundle.start()
        with Task(sandbox, address) as a, Task(first, address) as b, Task(second, address) as c:
            for task in (a, b, c):
                task.create()
                task.call("Start")
            assert _exec_status(b, "write", "echo hello >/dev/data") == 0
            assert _exec_status(c, "read", "read word </dev/data; test $word = hello") == 0
            for task, remains in ((b, 0), (c, 1)):
                task.call("Kill", signal=9)
                task.call("Wait")
                task.call("Delete")
                assert _exec_status(a, f"look-{remains}", "test -d /sys/block/vda") == remains
            assert a.end() == 137
        wait_until(lambda: not sandbox.daemons(), "end of the pod's daemon")
