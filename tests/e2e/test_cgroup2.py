"""CRI's pods in systemd slices, with version 2 of cgroups alone, as on most of today's Kubernetes nodes.
Whatever works for a pod is in its slice, is charged to it, and is gone before it."""

import contextlib
import os
import re
from pathlib import Path

import pytest

from cppvmdev import processes, releases
from cppvmdev.identity import Identity
from cppvmdev.shell import run
from cppvmdev.waiting import wait_until
from harness import pod_cgroups, settings

grpc = pytest.importorskip("grpc", reason="python3-grpcio: scripts/install-deps test")

from harness.cri import serving_cri  # noqa: E402  pylint: disable=wrong-import-position

pytestmark = [
    pytest.mark.vm,
    pytest.mark.kvm,
    pytest.mark.skipif(not pod_cgroups.is_host_of_systemd(), reason="no systemd here with version 2 of cgroups alone"),
]

_MIB = 1 << 20
_SHIM = {"cppvm": {"runtime_type": settings.RUNTIME, "sandboxer": "shim"}}
_PAUSE = {"pause": {"runtime_type": settings.RUNTIME}}
_RUNC = {"runc": {"runtime_type": "io.containerd.runc.v2", "options": {"SystemdCgroup": True}}}
_READY, _EXITED = 0, 2
# More than a machine of 512 MiB with its QEMU needs to boot, and less than it may use.
_TIGHT = 300


@contextlib.contextmanager
def _serving(handlers, release):
    try:
        with serving_cri(handlers, release) as made:
            yield made
    except releases.Unavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture(name="cri", scope="module")
def cri_fixture(containerd):
    assert containerd.process()  # set up with it: libvirt
    with _serving({**_SHIM, **_PAUSE}, "2.3") as made:
        yield made


@pytest.fixture(name="old_cri", scope="module")
def old_cri_fixture(containerd):
    """That of containerd 1.6, which asks for the shim's end whenever it deletes a container; with its runc."""
    assert containerd.process()
    with _serving({**_PAUSE, **_RUNC}, "1.6") as made:
        yield made


@pytest.fixture(name="pod_slice")
def pod_slice_fixture():
    made = pod_cgroups.Slice()
    yield made
    made.discard()


@pytest.fixture(name="pod_directory")
def pod_directory_fixture():
    made = pod_cgroups.Directory()
    yield made
    made.discard()


def _run_pod(cri, handler, its_cgroup):
    return cri.run_pod(handler, linux={"cgroup_parent": its_cgroup.path})


def _pod_state(cri, pod):
    return cri.call("PodSandboxStatus", pod_sandbox_id=pod).status.state


def _identity(cri, pod):
    return Identity(cri.containerd.address, "k8s.io", pod)


def _qemu(cri, pod):
    (found,) = processes.helpers(_identity(cri, pod), "qemu-system")
    return found


def _kernel_threads(qemu):
    """Those that the kernel makes in the name of a process and in its cgroup; from Linux 6.4 on vhost's are
    threads of it."""
    name = re.compile(rf"(vhost|kvm-nx-lpage-recovery)-{qemu.pid}")
    return [process.pid for process in processes.everything() if name.fullmatch(process.comm)]


def _all_that_works_for(cri, pod):
    """Numbers of processes and threads: the daemon and what it has started, QEMU's threads, the kernel's."""
    (daemon,) = [process for process in cri.containerd.shims() if pod in process.cmdline]
    everything = processes.everything()
    family = {daemon.pid}
    while more := {p.pid for p in everything if p.parent in family} - family:
        family |= more
    qemu = _qemu(cri, pod)
    threads = {int(entry.name) for entry in Path(f"/proc/{qemu.pid}/task").iterdir()}
    of_kernel = set(_kernel_threads(qemu))
    vhost = [t for t in threads | of_kernel if Path(f"/proc/{t}/comm").read_text().startswith("vhost-")]
    assert vhost, "vsock and network are vhost's here"
    assert len(family) >= 4, family  # with two virtiofsds and a stand-in
    return family | threads | of_kernel


def _expect_placed(cri, pod, its_cgroup):
    elsewhere = [pid for pid in _all_that_works_for(cri, pod) if not its_cgroup.holds(pid)]
    assert not elsewhere, [(processes.find(pid), pod_cgroups.cgroup_of(pid)) for pid in elsewhere]
    # libvirt's unit of the machine goes with the last that was in it.
    domain = _identity(cri, pod).domain
    wait_until(lambda: not _cgroups_of_libvirt(domain), f"the end of libvirt's cgroup of {domain}")


def _cgroups_of_libvirt(domain):
    names = [name for _, names, _ in os.walk(pod_cgroups.ROOT) for name in names]
    return [name for name in names if "qemu" in name and domain in name.replace("\\x2d", "-")]


def _fill(cri, container, mib):
    """Memory of the guest that stays in use: of the pod's /dev/shm."""
    cri.output(container, f"dd if=/dev/zero of=/dev/shm/{mib} bs=1M count={mib} 2>&1")


def _remove(cri, pod, its_cgroup):
    cri.remove_pod(pod)
    its_cgroup.remove()


@pytest.mark.parametrize("handler", ["cppvm", "pause"])
def test_pod_is_in_its_slice(cri, pod_slice, handler):
    pod, config = _run_pod(cri, handler, pod_slice)
    container = cri.run_container(pod, config, "sleep", "1000000")
    _expect_placed(cri, pod, pod_slice)

    before = pod_slice.number("memory.current")
    _fill(cri, container, 48)
    grown = pod_slice.number("memory.current") - before
    assert grown > 40 * _MIB, grown
    busy = pod_slice.count("cpu.stat", "usage_usec")
    cri.output(container, "i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); done")
    assert pod_slice.count("cpu.stat", "usage_usec") > busy

    # Nothing of it is undone when systemd looks at its units again.
    run("systemctl", "daemon-reload").check()
    pod_slice.set(MemoryMax=2048 * _MIB, CPUWeight=50, TasksMax=500)
    _expect_placed(cri, pod, pod_slice)
    before = pod_slice.number("memory.current")
    _fill(cri, container, 10)
    assert pod_slice.number("memory.current") - before > 8 * _MIB
    _remove(cri, pod, pod_slice)


def test_pod_is_in_its_directory(cri, pod_directory):
    """The same with the cgroupfs driver, where the sandbox's own cgroup accounts for it, too."""
    pod, config = _run_pod(cri, "cppvm", pod_directory)
    container = cri.run_container(pod, config, "sleep", "1000000")
    _expect_placed(cri, pod, pod_directory)
    own = pod_directory.directory / _identity(cri, pod).domain / "memory.current"
    before = int(own.read_text())
    _fill(cri, container, 48)
    assert int(own.read_text()) - before > 40 * _MIB
    assert pod_directory.number("memory.current") >= int(own.read_text())
    _remove(cri, pod, pod_directory)


def test_figures(cri, pod_slice):
    """A container's are those of the guest, the pod's those of its slice."""
    pod, config = _run_pod(cri, "cppvm", pod_slice)
    container = cri.run_container(pod, config, "sleep", "1000000")
    _fill(cri, container, 32)
    of_container = cri.call("ContainerStats", container_id=container).stats
    assert 30 * _MIB < of_container.memory.working_set_bytes.value < 60 * _MIB
    assert of_container.cpu.usage_core_nano_seconds.value > 0
    listed = cri.call("ListContainerStats").stats
    assert container in {stats.attributes.id for stats in listed}
    of_pod = cri.call("PodSandboxStats", pod_sandbox_id=pod).stats.linux
    used = pod_slice.number("memory.current")
    assert 0.5 * used < of_pod.memory.working_set_bytes.value <= 1.1 * used
    assert of_pod.memory.working_set_bytes.value > of_container.memory.working_set_bytes.value + 30 * _MIB
    cpu = pod_slice.count("cpu.stat", "usage_usec") * 1000
    assert 0.5 * cpu < of_pod.cpu.usage_core_nano_seconds.value <= cpu
    assert container in {stats.attributes.id for stats in of_pod.containers}
    _remove(cri, pod, pod_slice)


def test_pod_outlives_its_containers(old_cri, pod_slice):
    """It stays in its slice until it is stopped, whichever containers come and go."""
    pod, config = _run_pod(old_cri, "pause", pod_slice)
    first = old_cri.run_container(pod, config, "sleep", "1000000")
    second = old_cri.run_container(pod, config, "sleep", "2000000")
    old_cri.call("StopContainer", container_id=first, timeout=0)
    old_cri.call("RemoveContainer", container_id=first)
    _expect_placed(old_cri, pod, pod_slice)
    third = old_cri.run_container(pod, config, "sleep", "3000000")
    for container in (second, third):
        assert old_cri.output(container, "echo works") == "works\n"
        old_cri.call("StopContainer", container_id=container, timeout=0)
        old_cri.call("RemoveContainer", container_id=container)
    _expect_placed(old_cri, pod, pod_slice)
    _remove(old_cri, pod, pod_slice)


def test_container_out_of_memory(cri, pod_slice):
    """It alone: by the limit in the guest."""
    pod, config = _run_pod(cri, "cppvm", pod_slice)
    other = cri.run_container(pod, config, "sleep", "1000000")
    limit = {"memory_limit_in_bytes": 32 * _MIB}
    command = ("dd", "if=/dev/zero", "of=/dev/shm/x", "bs=1M", "count=60")
    doomed = cri.run_container(pod, config, *command, resources=limit)
    wait_until(lambda: cri.status(doomed).state == _EXITED, "the container's end", 60)
    assert (cri.status(doomed).exit_code, cri.status(doomed).reason) == (137, "OOMKilled")
    assert pod_slice.memory_kills() == 0
    assert _pod_state(cri, pod) == _READY
    assert cri.output(other, "echo works") == "works\n"
    _remove(cri, pod, pod_slice)


def _log_of(cri, pod):
    return [line for line in cri.containerd.log_text().splitlines() if pod in line]


@pytest.mark.parametrize("handler", ["cppvm", "pause"])
def test_pod_out_of_memory(cri, pod_slice, handler):
    """All of it: by the slice's limit, which ends the machine. The kubelet makes the next sandbox in the same
    slice; that one's end is not put down to want of memory as well."""
    pod_slice.limit(_TIGHT)
    pod, config = _run_pod(cri, handler, pod_slice)
    container = cri.run_container(pod, config, "sleep", "1000000")
    cri.run_container(pod, config, "tail", "/dev/zero")
    wait_until(lambda: cri.status(container).state == _EXITED, "the container's end", 60)
    assert pod_slice.memory_kills() >= 1
    assert (cri.status(container).exit_code, cri.status(container).reason) == (137, "OOMKilled")
    wait_until(lambda: _pod_state(cri, pod) != _READY, "the pod's end")
    assert any("killed a process of its cgroup for want of memory" in line for line in _log_of(cri, pod))
    cri.remove_pod(pod)
    pod_slice.wait_empty()

    pod, config = _run_pod(cri, handler, pod_slice)
    container = cri.run_container(pod, config, "sleep", "1000000")
    _qemu(cri, pod).kill()
    wait_until(lambda: cri.status(container).state == _EXITED, "the container's end", 60)
    assert (cri.status(container).exit_code, cri.status(container).reason) == (137, "Error")
    assert any("it ended by itself" in line for line in _log_of(cri, pod))
    _remove(cri, pod, pod_slice)


def test_slice_is_that_of_runc(old_cri, pod_slice):
    pod, config = _run_pod(old_cri, "runc", pod_slice)
    container = old_cri.run_container(pod, config, "sleep", "1000000")
    scopes = {path.name for path in pod_slice.directory.iterdir() if path.is_dir()}
    assert scopes == {f"cri-containerd-{name}.scope" for name in (pod, container)}
    _remove(old_cri, pod, pod_slice)
