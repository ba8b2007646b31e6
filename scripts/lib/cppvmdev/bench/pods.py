"""What running pods cost, and how many can be started at once."""

import os
import time

from .. import memory
from ..ctr import unique_id
from ..processes import find
from .subject import CPPVM, RUNC, seconds

PODS = 5
_HELPERS = {
    "qemu-system": "qemu_pss_less_guest_kib",
    "virtiofsd": "virtiofsd_pss_kib",
    "vhost-device-vs": "vsock_pss_kib",
}


def memory_of_pods(subject):
    """Each process's part of an idle pod, and the daemon against runc's shim, PODS of each."""
    containers = [subject.container(CPPVM) for _ in range(PODS)]
    for daemon in subject.shims(containers):
        subject.add("daemon_pss_kib", memory.pss_kib(daemon.pid))
        subject.add("daemon_private_dirty_kib", memory.private_dirty_kib(daemon.pid))
    pod = subject.median("daemon_pss_kib")
    for program, figure in _HELPERS.items():
        found = subject.helpers(program, containers)
        if found:
            of_guest = sum(memory.guest_kib(p.pid) for p in found)
            subject.add(figure, (sum(memory.pss_kib(p.pid) for p in found) - of_guest) / PODS)
            pod += subject.median(figure)
    for qemu in subject.helpers("qemu-system", containers):
        subject.add("guest_kib", memory.guest_kib(qemu.pid))
    subject.add("pod_besides_guest_mib", pod / 1024)
    subject.remove(containers)

    containers = [subject.container(RUNC) for _ in range(PODS)]
    for shim in subject.shims(containers):
        subject.add("runc_shim_pss_kib", memory.pss_kib(shim.pid))
        subject.add("runc_shim_private_dirty_kib", memory.private_dirty_kib(shim.pid))
    subject.remove(containers)


def idle(subject, container, window=10):
    """Context switches per second of the daemon of a pod in which nothing happens."""
    (daemon,) = subject.shims([container])
    begin = memory.context_switches(daemon.pid)
    time.sleep(window)
    subject.add("daemon_wakeups_s", (memory.context_switches(daemon.pid) - begin) / window)


def _cpu_seconds(pid):
    ticks = os.sysconf("SC_CLK_TCK")
    fields = open(f"/proc/{pid}/stat", encoding="ascii").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / ticks


def all_at_once(subject, count):
    """`count` VMs started together, against what one needs of the processors until it runs."""
    container = subject.container(CPPVM)
    helpers = [p for program in _HELPERS for p in subject.helpers(program, [container])]
    one = sum(_cpu_seconds(p.pid) for p in helpers + subject.shims([container]) if find(p.pid))
    subject.remove([container])

    names = [unique_id("bench") for _ in range(count)]
    begin = time.monotonic()
    clients = [
        subject.ctr.popen(
            *subject.argv(name, ["sleep", "1000000"], CPPVM, "-d", "--null-io"), stdin=None
        )
        for name in names
    ]
    errors = [client.communicate(timeout=600)[1] for client in clients]
    took = time.monotonic() - begin
    failed = [
        error.decode(errors="replace")
        for client, error in zip(clients, errors, strict=True)
        if client.returncode
    ]
    if failed:
        raise RuntimeError(f"{len(failed)} of {count} VMs did not start: {failed[0]}")
    subject.remove(names)
    subject.add("one_vm_cpu_s", one)
    subject.add("all_at_once_s", took)
    subject.add("all_at_once_over_cpu", took / (count * one / len(os.sched_getaffinity(0))))


def pod_of(subject, count):
    """A pod's VM with `count` containers in it besides the sandbox's own; returns their ids."""
    pod = unique_id("pod")
    names = [pod, *(unique_id("bench") for _ in range(count))]
    for name in names:
        subject.ctr.command(*_member(subject, pod, name), timeout=300).check()
    return names


def _member(subject, pod, name, *more):
    """The arguments of `ctr` that run a container of that pod, or the one that is the pod's own."""
    kind = "sandbox" if name == pod else "container"
    options = ["-d", "--null-io", "--annotation", f"io.kubernetes.cri.sandbox-id={pod}"]
    options += ["--annotation", f"io.kubernetes.cri.container-type={kind}", *more]
    return subject.argv(name, ["sleep", "1000000"], CPPVM, *options)


def starts_with_a_filter(subject, runs):
    """Of containers in a VM that is there, with the default seccomp profile and without it."""
    (pod,) = pod_of(subject, 0)
    for _ in range(runs):
        for figure, options in (("start_in_pod_ms", ()), ("start_in_pod_filter_ms", ("--seccomp",))):
            name = unique_id("bench")
            argv = _member(subject, pod, name, *options)
            subject.add(figure, 1000 * seconds(lambda: subject.ctr.command(*argv).check()))
            subject.ctr.remove(name)
    subject.remove([pod])
