"""Pods through CRI, of the product (with the Sandbox API) and of runc in turns: until a pod is ready, a further
container, a probe, a forwarded port, the host's change of a volume, the end; what an idle pod takes, and several
that start together.

    python3 -m cppvmdev.bench.cri [--runs N] [--mib N] --watcher PROGRAM STAGE
"""

import argparse
import json
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from .. import config, libvirt, memory, processes, releases
from ..cri import Cri
from ..identity import Identity
from ..namespaces import Namespace
from ..shell import CommandFailed
from ..websocket import STDIN, WebSocket
from . import boots, report
from .subject import BASE, CPPVM, RUNC, prepared, say

_RELEASE = "2.3"  # the first that has the Sandbox API and takes it from a shim
_CGROUP_PARENT = "/cppvm-bench-cri"
_PRODUCT, _RUNC = "cppvm", "runc"
_TOGETHER = (1, 5, 10)
_PORT = 9000
_FOREVER = ("sleep", "1000000")
# What an idle pod consists of, by the beginning of the process's name.
_PARTS = {
    "qemu-system": "QEMU less guest",
    "virtiofsd": "virtiofsd",
    "vhost-device-vs": "vhost-device-vsock",
    "containerd-shim": "shim",
    "vm:": "stand-ins",
}


class Node:
    """A containerd with both handlers, and the samples of each."""

    def __init__(self, world, stage):
        base = BASE / "node"
        base.mkdir(parents=True, exist_ok=True)
        file = config.write(base / "cppvm.toml", stage)
        handlers = {
            _PRODUCT: {"runtime_type": CPPVM, "sandboxer": "shim", "options": {"ConfigPath": str(file)}},
            _RUNC: {"runtime_type": RUNC, "options": {}},
        }
        self.base = base
        programs = [stage / "bin", stage / "libexec/cppvm"]
        self.cri = Cri(world, base / "cri", programs, handlers, _CGROUP_PARENT, _RELEASE)
        self.samples = {_PRODUCT: {}, _RUNC: {}}

    def add(self, handler, figure, value):
        self.samples[handler].setdefault(figure, []).append(value)

    def timed(self, handler, figure, work):
        """What `work` returns; how many milliseconds it took is a sample."""
        begin = time.monotonic()
        result = work()
        self.add(handler, figure, 1000 * (time.monotonic() - begin))
        return result

    def pod(self, handler):
        """(id, configuration) of one with a container."""
        pod = self.cri.run_pod(handler)
        self.cri.run_container(*pod, *_FOREVER)
        return pod

    def booted(self, pod):
        """The daemon's line on the boot of this pod's machine."""
        lines = self.cri.containerd.log_text().splitlines()
        return next(line for line in lines if "Sandbox booted" in line and pod in line)

    def parts(self, pod):
        """The processes that are there for this pod."""
        address = self.cri.containerd.address
        found = [p for p in processes.shims(address) if pod in p.cmdline.split()]
        found += processes.helpers(Identity(address, "k8s.io", pod))
        parents = {p.pid for p in found}
        return found + [p for p in processes.everything() if p.parent in parents and p not in found]


def _life(node, handler):
    cri = node.cri
    begin = time.monotonic()
    pod, configuration = node.timed(handler, "RunPodSandbox, ms", lambda: cri.run_pod(handler))
    container = node.timed(
        handler, "first container, ms", lambda: cri.run_container(pod, configuration, *_FOREVER)
    )
    node.add(handler, "pod ready, s", time.monotonic() - begin)
    if handler == _PRODUCT:
        for phase, value in boots.phases_of_boot(node.booted(pod)).items():
            node.add(handler, f"boot: {phase}", value)
    node.timed(handler, "second container, ms", lambda: cri.run_container(pod, configuration, *_FOREVER))
    for _ in range(5):
        node.timed(handler, "probe by exec, ms", lambda: cri.output(container, "true"))
    node.timed(handler, "stop and remove, ms", lambda: cri.remove_pod(pod))


def _forward(node, handler, mib):
    """From a server in the pod to the client of a forwarded port."""
    pod, configuration = node.cri.run_pod(handler)
    serve = f"exec nc -ll -p {_PORT} -e dd if=/dev/zero bs=64k count={mib * 16}"
    container = node.cri.run_container(pod, configuration, "sh", "-c", serve)
    node.cri.output(container, f"until netstat -ltn | grep -q :{_PORT}; do sleep 0.1; done")
    url = node.cri.call("PortForward", pod_sandbox_id=pod, port=[_PORT]).url
    begin = time.monotonic()
    with node.cri.world.call(lambda: WebSocket(url)) as connection:
        received = -2  # the port's number comes first
        while received < mib << 20:
            channel, data = connection.receive()
            if channel == 0:
                received += len(data)
    node.add(handler, "forwarded port, MiB/s", mib / (time.monotonic() - begin))
    node.cri.remove_pod(pod)


class _Lines:
    """Lines of the stdout of an exec."""

    def __init__(self, connection):
        self._connection = connection
        self._text = b""

    def wait(self, wanted):
        while wanted.encode() + b"\n" not in self._text:
            self._text += self._connection.receive()[1]
        self._text = b""


def _watch(node, handler, watcher):
    """From a change of the host's in a volume to the line of who watches it; and what a line takes alone."""
    volume = node.base / "volume"
    volume.mkdir()
    mounts = [
        {"host_path": str(volume), "container_path": "/v"},
        {"host_path": str(watcher), "container_path": "/watcher", "readonly": True},
    ]
    pod, configuration = node.cri.run_pod(handler)
    container = node.cri.run_container(pod, configuration, *_FOREVER, config={"mounts": mounts})
    command = ["/watcher", "100", "/v"]  # IN_CREATE
    url = node.cri.call("Exec", container_id=container, cmd=command, stdin=True, stdout=True).url
    with node.cri.world.call(lambda: WebSocket(url)) as connection:
        lines = _Lines(connection)
        lines.wait("ready")

        def change(name):
            (volume / name).touch()
            lines.wait(f"/v create {name}")

        def add():
            connection.send(STDIN, b"add /v\n")
            lines.wait("added")

        for number in range(10):
            node.timed(handler, "change of a volume heard, ms", partial(change, str(number)))
        for _ in range(10):
            node.timed(handler, "watch added, ms", add)
    node.cri.remove_pod(pod)
    shutil.rmtree(volume)


def _idle(node, handler):
    pod, _ = node.pod(handler)
    parts = node.parts(pod)
    total = 0
    for beginning, name in _PARTS.items():
        found = [p for p in parts if p.comm.startswith(beginning)]
        if found:
            guest = sum(memory.guest_kib(p.pid) for p in found if name == _PARTS["qemu-system"])
            own = sum(memory.pss_kib(p.pid) for p in found) - guest
            total += own
            node.add(handler, f"idle pod: {name}, MiB", own / 1024)
            if guest:
                total += guest
                node.add(handler, "idle pod: guest, MiB", guest / 1024)
    node.add(handler, "idle pod, MiB", total / 1024)
    node.cri.remove_pod(pod)


def _together(node, handler, count):
    with ThreadPoolExecutor(count) as pool:
        begin = time.monotonic()
        made = list(pool.map(lambda _: node.pod(handler), range(count)))
        node.add(handler, f"{count} together, s for each", (time.monotonic() - begin) / count)
    own = [p for pod, _ in made for p in node.parts(pod)]
    node.add(
        handler, f"{count} together, MiB each", sum(memory.pss_kib(p.pid) for p in own) / 1024 / count
    )
    for pod, _ in made:
        node.cri.remove_pod(pod)


def _measure(node, runs, mib, watcher):
    # Once outside the count: caches of the host, libvirt's knowledge of QEMU.
    for handler in node.samples:
        _life(node, handler)
        node.samples[handler].clear()
    for turn in range(runs):
        say(f"pods: turn {turn + 1} of {runs}")
        for handler in node.samples:
            _life(node, handler)
            _forward(node, handler, mib)
            _watch(node, handler, watcher)
            _idle(node, handler)
            for count in _TOGETHER:
                _together(node, handler, count)


@contextmanager
def _serving(stage):
    world = Namespace()
    try:
        node = Node(world, stage)
        try:
            node.cri.start()
            yield node
        finally:
            node.cri.close()
            (node.base / "cppvm.toml").unlink()
            node.base.rmdir()
    finally:
        world.close()


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench --cri")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--mib", type=int, default=64, help="sent through a forwarded port")
    parser.add_argument("--watcher", type=Path, required=True, help="tests/watcher")
    parser.add_argument("stage", type=Path)
    options = parser.parse_args()
    releases.get(_RELEASE)  # built now, if it was not
    with prepared([]), _serving(options.stage.resolve()) as node:
        _measure(node, options.runs, options.mib, options.watcher.resolve())
    print(report.compared(node.samples))
    print(json.dumps(report.rounded(node.samples)))


if __name__ == "__main__":
    try:
        main()
    except (CommandFailed, RuntimeError, libvirt.LibvirtError, releases.Unavailable) as failure:
        sys.exit(f"bench: {failure}")
