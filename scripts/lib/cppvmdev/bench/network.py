"""The network of the product, of a bare QEMU with the same NIC on the same bridge, and of runc, also
beside a pod that floods it; what an interface adds to a start; its memory.

    python3 -m cppvmdev.bench.network [--runs N] [--mib N] [--rounds N] STAGE

STAGE holds an image with the tuned kernel, which can boot from virtiofs by itself.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager

from .. import images, libvirt, memory
from ..ctr import unique_id
from ..namespaces import Namespace
from ..shell import CommandFailed
from . import bare_machine, boots, files, network_workload, report
from .subject import CPPVM, RUNC, prepared, say, seconds

_BRIDGE = "br0"
_SERVER = "10.99.0.1"
_TIMEOUT = 600  # s
_MANY = 5  # interfaces of one container
# What a neighbour does for as long as it lives: it works, sends small packets to the server, or to
# everybody.
_NEIGHBOURS = {
    "product beside one that works": "while True: pass",
    "product beside one that floods the server": f"""if True:
        import socket
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        while True:
            try:
                udp.sendto(bytes(18), ("{_SERVER}", 9))
            except OSError:
                pass""",
    "product beside one that floods all": """if True:
        import socket
        raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        raw.bind(("eth0", 0))
        frame = b"\\xff" * 6 + b"\\2" * 6 + b"\\x08\\6" + bytes(46)
        while True:
            try:
                raw.send(frame)
            except OSError:
                pass""",
}


class World:
    """A network namespace with a bridge, and a server at its address."""

    def __init__(self):
        self.namespace = Namespace()
        self._hosts = 1
        ip = self.namespace.ip
        ip("link", "add", _BRIDGE, "type", "bridge")
        ip("address", "add", f"{_SERVER}/24", "dev", _BRIDGE)
        ip("link", "set", _BRIDGE, "up")
        self._server = self.namespace.popen(
            sys.executable, network_workload.__file__, "--serve", _SERVER,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        )  # fmt: skip
        self._server.stdout.readline()

    def address(self):
        self._hosts += 1
        return f"10.99.0.{self._hosts}"

    @contextmanager
    def pod(self, interfaces=1):
        """A network namespace with so many interfaces at the bridge."""
        made = Namespace()
        try:
            for number in range(interfaces):
                far, near = unique_id("f")[:12], f"eth{number}"
                self.namespace.ip(
                    *("link", "add", far, "type", "veth"),
                    *("peer", "name", near, "netns", made.name),
                )
                self.namespace.ip("link", "set", far, "master", _BRIDGE, "up")
                made.ip("address", "add", f"{self.address()}/24", "dev", near)
                made.ip("link", "set", near, "up")
            yield ("--with-ns", f"network:{made.path}")
        finally:
            made.close()

    @contextmanager
    def tap(self):
        """A tap at the bridge, for a QEMU that runs in this namespace."""
        name = "tap0"
        self.namespace.ip("tuntap", "add", "dev", name, "mode", "tap", "vnet_hdr")
        self.namespace.ip("link", "set", name, "master", _BRIDGE, "up")
        vhost = ",vhost=on" if os.path.exists("/dev/vhost-net") else ""
        yield (
            *("-netdev", f"tap,id=net,ifname={name},script=no,downscript=no{vhost}"),
            *("-device", "virtio-net-pci,netdev=net,mac=02:00:00:00:00:77,romfile="),
        )
        self.namespace.ip("link", "delete", name)

    def close(self):
        self._server.kill()
        self._server.wait()
        self.namespace.close()


class Bench:
    def __init__(self, subject, world, options):
        self.subject, self.world = subject, world
        self.words = [_SERVER, str(options.mib), str(options.rounds)]
        self.samples = {}

    def add(self, name, figures):
        for figure, value in figures.items():
            self.samples.setdefault(name, {}).setdefault(figure, []).append(value)

    def container(self, name, runtime):
        subject = self.subject
        mount = f"type=bind,src={network_workload.__file__},dst=/workload.py,options=rbind:ro"
        with self.world.pod() as pod:
            argv = subject.argv(
                unique_id("net"), ["python3", "/workload.py", *self.words], runtime,
                "--rm", "--mount", mount, *pod, image=images.REAL,
            )  # fmt: skip
            text = subject.ctr.command(*argv, timeout=_TIMEOUT).check().text
        self.add(name, report.result_of(text, network_workload.MARK))

    def beside(self, name):
        """Where two pods have to share the processors in any case, the flood is what differs."""
        with self.world.pod() as pod:
            program = ("python3", "-c", _NEIGHBOURS[name])
            neighbour = self.subject.container(CPPVM, *pod, command=program, image=images.REAL)
            try:
                self.container(name, CPPVM)
            finally:
                self.subject.remove([neighbour])

    def bare(self, root, directory):
        words = ["/workload.py", "--init", self.world.address(), *self.words]
        within = ("ip", "netns", "exec", self.world.namespace.name)
        server = files.virtiofsd(self.subject.stage)
        with self.world.tap() as devices:
            text = bare_machine.run_python(
                self.subject.stage, server, root, directory, words, _TIMEOUT, *devices, within=within
            )
        self.add("bare QEMU", report.result_of(text, network_workload.MARK))

    def start(self, name, runtime, interfaces):
        """`ctr run --rm` of a container that does nothing."""
        with self.world.pod(interfaces) as pod:
            argv = self.subject.argv(unique_id("net"), ["true"], runtime, "--rm", *pod)
            took = seconds(lambda: self.subject.ctr.command(*argv, timeout=_TIMEOUT).check())
        self.add(name, {f"start_with_{interfaces}_s": took})

    def bare_start(self, interfaces):
        """What probing a NIC takes, apart from all that is ours."""
        with self.world.tap() as devices:
            machine = devices if interfaces else ()
            within = ("ip", "netns", "exec", self.world.namespace.name)
            took = boots.seconds_of_bare_boot(self.subject, *machine, within=within)
        self.add("bare QEMU", {f"start_with_{interfaces}_s": took})

    def memory_of(self, interfaces):
        """Host memory of a pod besides its guest's."""
        with self.world.pod(interfaces) as pod:
            container = self.subject.container(CPPVM, *pod)
            (daemon,) = self.subject.shims([container])
            (qemu,) = self.subject.helpers("qemu-system", [container])
            figures = {
                f"daemon_kib_with_{interfaces}": memory.private_dirty_kib(daemon.pid),
                f"qemu_kib_with_{interfaces}": memory.pss_kib(qemu.pid) - memory.guest_kib(qemu.pid),
                f"guest_kib_with_{interfaces}": memory.guest_kib(qemu.pid),
            }
            self.subject.remove([container])
        self.add("product", figures)


def _measure(bench, root, directory, runs):
    for turn in range(runs):
        say(f"network: turn {turn + 1} of {runs}")
        bench.container("product", CPPVM)
        bench.bare(root, directory)
        bench.container("runc", RUNC)
        for neighbour in _NEIGHBOURS:
            bench.beside(neighbour)
        for interfaces in (0, 1, 0, 1):
            bench.start("product", CPPVM, interfaces)
            bench.bare_start(interfaces)
            bench.start("runc", RUNC, interfaces)
        for interfaces in (0, 1, _MANY):
            bench.memory_of(interfaces)


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench --network")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--mib", type=int, default=128, help="sent each way")
    parser.add_argument("--rounds", type=int, default=3000, help="requests and responses")
    parser.add_argument("stage")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(dir="/var/tmp", prefix="cppvm-network-") as directory,
        prepared([("network", options.stage)]) as [subject],
    ):
        world = World()
        try:
            bench = Bench(subject, world, options)
            subject.start()
            subject.ctr.import_image(images.real())
            root = bare_machine.unpack(directory, network_workload.__file__)
            _measure(bench, root, directory, options.runs)
        finally:
            world.close()
    print(report.compared(bench.samples))
    print(json.dumps(bench.samples))


if __name__ == "__main__":
    try:
        main()
    except (CommandFailed, RuntimeError, libvirt.LibvirtError, images.ImageError) as failure:
        sys.exit(f"bench: {failure}")
