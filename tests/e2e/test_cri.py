"""Kubernetes' side of it: containerd's CRI plugin with `sandboxer = "shim"`, driven as the kubelet
does."""

import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cppvmdev import libvirt, memory, processes, releases
from cppvmdev.identity import Identity
from cppvmdev.waiting import wait_until
from harness import growth, settings

grpc = pytest.importorskip("grpc", reason="python3-grpcio: scripts/install-deps test")

from harness.cri import CGROUP_PARENT, serving_cri  # noqa: E402  pylint: disable=wrong-import-position

pytestmark = pytest.mark.vm

_HANDLERS = {
    "cppvm": {"runtime_type": settings.RUNTIME, "sandboxer": "shim"},
    "pause": {"runtime_type": settings.RUNTIME},
    "streaming": {"runtime_type": settings.RUNTIME, "sandboxer": "shim", "io_type": "streaming"},
}
_POD = {"hostname": "web-1", "dns_config": {"servers": ["192.0.2.53"]}}
_READY, _RUNNING, _EXITED = 0, 1, 2


@pytest.fixture(name="cri")
def cri_fixture(containerd):
    assert containerd.process()  # set up with it: libvirt, the configuration
    if settings.RELEASE not in ("1.6", "2.3"):
        pytest.skip("this containerd has no private CRI plugin here")
    try:
        with serving_cri(_HANDLERS) as made:
            yield made
    except releases.Unavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture(name="pod")
def pod_fixture(cri):
    """(id, configuration) of one that runs."""
    return cri.run_pod("cppvm", **_POD)


def _cgroups(process):
    try:
        return Path(f"/proc/{process.pid}/cgroup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def test_life_of_a_pod(cri, pod):
    name, config = pod
    status = cri.call("PodSandboxStatus", pod_sandbox_id=name, verbose=True)
    assert status.status.state == _READY and status.status.created_at > 0
    assert status.status.network.ip.startswith("10.99.0.")
    first = cri.run_container(name, config, "sleep", "1000000")
    second = cri.run_container(name, config, "sleep", "2000000")
    (daemon,) = cri.containerd.shims()
    assert f"{CGROUP_PARENT}/cppvm-" in _cgroups(daemon)
    for container in (first, second):
        assert cri.status(container).state == _RUNNING
        assert cri.output(container, "hostname; cat /etc/hostname") == "web-1\nweb-1\n"
        assert "nameserver 192.0.2.53" in cri.output(container, "cat /etc/resolv.conf")
        assert status.status.network.ip in cri.output(container, "ip address")
        assert cri.call("ContainerStats", container_id=container).stats.memory.working_set_bytes.value
    cri.output(first, "echo hello > /dev/shm/word")
    assert cri.output(second, "cat /dev/shm/word") == "hello\n"
    assert cri.call("PodSandboxStats", pod_sandbox_id=name).stats.attributes.id == name

    cri.call("StopContainer", container_id=first, timeout=0)
    assert (cri.status(first).state, cri.status(first).exit_code) == (_EXITED, 137)
    cri.call("RemoveContainer", container_id=first)
    assert cri.status(second).state == _RUNNING
    cri.call("StopPodSandbox", pod_sandbox_id=name)
    assert cri.call("PodSandboxStatus", pod_sandbox_id=name).status.state != _READY
    # The kubelet kills what is left in there.
    assert CGROUP_PARENT not in "".join(map(_cgroups, processes.everything()))
    assert daemon in cri.containerd.shims()
    cri.call("StopPodSandbox", pod_sandbox_id=name)
    cri.remove_pod(name)
    wait_until(lambda: not cri.containerd.shims(), "end of the shim", 20)


def test_container_that_exits(cri, pod):
    name, config = pod
    container = cri.run_container(name, config, "sh", "-c", "exit 3")
    wait_until(lambda: cri.status(container).state == _EXITED, "its exit", 20)
    status = cri.status(container)
    assert (status.exit_code, status.reason) == (3, "Error") and status.finished_at > 0
    again = cri.run_container(name, config, "sleep", "1000000")
    assert cri.output(again, "echo works") == "works\n"


def test_shared_processes(cri, pod):
    name, config = pod
    shared = {"security_context": {"namespace_options": {"pid": "POD"}}}
    first = cri.run_container(name, config, "sleep", "1000000", **shared)
    second = cri.run_container(name, config, "sleep", "2000000", **shared)
    said = cri.output(second, "ps")
    assert "sleep 1000000" in said and "pod-init" in said and "cppvm-agent" not in said
    cri.call("StopContainer", container_id=first, timeout=0)
    assert cri.status(second).state == _RUNNING


def _qemu(pod, cri):
    (qemu,) = processes.helpers(Identity(cri.containerd.address, "k8s.io", pod), "qemu-system")
    return qemu


def _ends(cri, pod, kill):
    """The pod is not ready any more, and its container has exited; both can be removed."""
    name, config = pod
    container = cri.run_container(name, config, "sleep", "1000000")
    kill()
    wait_until(
        lambda: cri.call("PodSandboxStatus", pod_sandbox_id=name).status.state != _READY,
        "CRI to see it", 30,
    )  # fmt: skip
    wait_until(lambda: cri.status(container).state == _EXITED, "its exit", 30)
    with pytest.raises(grpc.RpcError):
        cri.run_container(name, config, "true")
    cri.remove_pod(name)
    wait_until(lambda: not cri.containerd.shims(), "end of the shim", 20)


def test_killed_machine(cri, pod):
    _ends(cri, pod, lambda: _qemu(pod[0], cri).kill())


def _can_be_removed(cri, pod):
    try:
        cri.remove_pod(pod)
    except grpc.RpcError:
        return False
    return True


@pytest.mark.kills_daemons
def test_killed_daemon_of_an_empty_pod(cri, pod):
    """containerd runs `delete` at once; while that lasts it answers `ttrpc: closed`."""
    (daemon,) = cri.containerd.shims()
    daemon.kill()
    wait_until(lambda: _can_be_removed(cri, pod[0]), "the pod's removal", 30)


@pytest.mark.kills_daemons
def test_killed_daemon(cri, pod):
    """What containerd 2.3 keeps of the container it forgets at its next start."""
    name, config = pod
    cri.run_container(name, config, "sleep", "1000000")
    (daemon,) = cri.containerd.shims()
    daemon.kill()
    daemon.wait_gone()
    with pytest.raises(grpc.RpcError):
        cri.run_container(name, config, "true")
    cri.containerd.restart()
    wait_until(cri.is_ready, "CRI and its network", 30)
    assert cri.call("PodSandboxStatus", pod_sandbox_id=name).status.state != _READY
    cri.remove_pod(name)


@pytest.mark.parametrize("handler", ["cppvm", "streaming"])
def test_restarted_containerd(cri, handler):
    name, config = cri.run_pod(handler, **_POD)
    container = cri.run_container(name, config, "sleep", "1000000")
    cri.containerd.restart()
    wait_until(
        lambda: cri.is_ready()
        and cri.call("PodSandboxStatus", pod_sandbox_id=name).status.state == _READY,
        "CRI to find the pod again", 30,
    )  # fmt: skip
    assert cri.status(container).state == _RUNNING
    assert cri.output(container, "echo works") == "works\n"
    cri.call("StopContainer", container_id=container, timeout=0)
    assert cri.status(container).exit_code == 137


def test_streaming(cri):
    """Standard streams by the shim's own Streaming service, a large one, too."""
    name, config = cri.run_pod("streaming", **_POD)
    container = cri.run_container(name, config, "sleep", "1000000")
    assert cri.output(container, "echo works") == "works\n"
    answer = cri.call("ExecSync", container_id=container, cmd=["sh", "-c", "echo no >&2; exit 4"])
    assert (answer.stderr, answer.exit_code) == (b"no\n", 4)
    assert len(cri.output(container, "head -c 1000000 /dev/zero")) == 1000000
    cri.call("StopContainer", container_id=container, timeout=0)
    assert cri.status(container).exit_code == 137


def test_execs_and_their_deadlines(cri, pod):
    """As probes are: nothing of them stays, in the daemon or in the guest; each fourth is ended by its
    deadline."""
    container = cri.run_container(*pod, "sleep", "1000000")
    (daemon,) = cri.containerd.shims()

    def probe(number):
        if number % 4:
            return cri.output(container, f"echo {number}") == f"{number}\n"
        with pytest.raises(grpc.RpcError) as caught:
            cri.call("ExecSync", container_id=container, cmd=["sleep", "4321"], timeout=1)
        return caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED

    def probes(count):
        with ThreadPoolExecutor(4) as pool:
            assert all(pool.map(probe, range(count)))
        used = cri.call("ContainerStats", container_id=container).stats.memory.working_set_bytes.value
        return daemon.descriptors(), memory.private_dirty_kib(daemon.pid), used

    descriptors, private, used = probes(20)
    left = "ps | grep -c '[s]leep 4321' || :"
    wait_until(lambda: cri.output(container, left) == "0\n", "no process of theirs in the guest", 20)
    after = probes(400 if settings.LONG else 60)
    print("descriptors, KiB of its own, bytes of the guest:", (descriptors, private, used), after)
    wait_until(lambda: cri.output(container, left) == "0\n", "no process of theirs in the guest", 20)
    wait_until(lambda: daemon.descriptors() <= descriptors, "the daemon's descriptors to be closed", 20)
    assert after[1] - private < 300
    assert after[2] - used < 2 << 20


@pytest.mark.parametrize("handler", ["cppvm", "pause"])
def test_pods_in_a_row(cri, handler):
    """50 with CPPVM_E2E_LONG=1: no daemon grows. What pods could leave is looked for after CRI's end."""

    def run(count):
        for _ in range(count):
            pod, config = cri.run_pod(handler, **_POD)
            container = cri.run_container(pod, config, "sleep", "1000000")
            assert cri.output(container, "echo alive") == "alive\n"
            cri.remove_pod(pod)
        wait_until(lambda: not cri.containerd.shims(), "end of the shims", 20)
        daemons = {name: libvirt.running(name) for name in ("libvirtd", "virtlogd")}
        return growth.sizes({"containerd": cri.containerd.process(), **daemons})

    number = 50 if settings.LONG else 5
    namespaces = os.listdir("/run/netns")
    # Each of libvirtd's threads has a heap of its own, which is as large as it ever has to be after some pods.
    before = run(10 if settings.LONG else 2)
    growth.require_none(before, run(number), number)
    assert os.listdir("/run/netns") == namespaces


def test_devices_that_others_name(cri, pod, tmp_path):
    """By CDI, and as a device plugin does: those that every machine has. One that is this host's alone is
    refused by its name."""
    specification = {
        "cdiVersion": "0.5.0",
        "kind": "cppvm.test/device",
        "devices": [
            {
                "name": "zero",
                "containerEdits": {
                    "deviceNodes": [{"path": "/dev/mine", "hostPath": "/dev/zero"}],
                    "env": ["MINE=/dev/mine"],
                },
            }
        ],
    }
    cri.cdi.mkdir()
    (cri.cdi / "test.json").write_text(json.dumps(specification))
    named = {"CDI_devices": [{"name": "cppvm.test/device=zero"}]}
    container = cri.run_container(*pod, "sleep", "1000000", config=named)
    assert cri.output(container, "head -c 3 $MINE | od -An -tx1") == " 00 00 00\n"
    os.mknod(tmp_path / "17", stat.S_IFCHR | 0o600, os.makedev(243, 17))
    vfio = {"host_path": str(tmp_path / "17"), "container_path": "/dev/vfio/17", "permissions": "rw"}
    with pytest.raises(grpc.RpcError, match=r"/dev/vfio/17 \(243:17\) stands for no IOMMU group"):
        cri.run_container(*pod, "true", config={"devices": [vfio]})
