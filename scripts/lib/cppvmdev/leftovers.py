"""The search for what a container left on the host.

Everything that belongs to a container carries a name derived from its identity (the domain, the
run directory, the socket), lies below the private containerd's directories, or is a process with
one of those on its command line or the mark that its containerd gave it in its environment. So the search finds what is ours on a
machine where others work too.
"""

import glob
import os
from dataclasses import dataclass
from pathlib import Path

from . import libvirt, mounts, processes
from .waiting import WaitTimeout, wait_until

_SOCKETS = Path("/run/containerd/s")
_FIFOS = Path("/run/containerd/fifo")
_LIBVIRT_LOGS = Path("/var/log/libvirt/qemu")


@dataclass
class Gone:
    """Stands for a containerd that does not run (any more), where Leftovers wants one."""

    base: Path
    known: list  # Identity of each container

    @property
    def state(self):
        return self.base / "state"

    @property
    def root(self):
        return self.base / "root"

    def identities(self):
        return self.known

    @staticmethod
    def process():
        return None


class Leftovers:
    """Looks for traces of the containers of one containerd.

    `run_dirs` are the run directories that the containers' configuration may name.
    """

    def __init__(self, containerd, run_dirs=("/run/cppvm",)):
        self.containerd = containerd
        self.run_dirs = [Path(path) for path in run_dirs]
        self._links = set(os.listdir("/sys/class/net"))

    def find(self):
        """One line for each trace; empty when there is none."""
        identities = self.containerd.identities()
        shorts = {identity.short for identity in identities}
        found = []
        found += self._processes(shorts)
        found += [f"domain {d}" for d in libvirt.domains() & {i.domain for i in identities}]
        found += self._mounts(shorts)
        found += self._files(identities)
        nodes = (glob.glob(f"/dev/{identity.domain}.*") for identity in identities)
        found += [f"device node {path}" for paths in nodes for path in paths]
        found += self._cgroups(shorts | {identity.group for identity in identities})
        new = set(os.listdir("/sys/class/net")) - self._links
        found += [f"network interface {name}" for name in sorted(new) if _ours(name)]
        return found

    def find_records(self, namespace="e2e"):
        """What containerd itself still lists: tasks, containers, writable snapshots."""
        ctr = self.containerd.ctr(namespace)
        found = [f"containerd task {name}" for name in ctr.tasks()]
        found += [f"containerd container {name}" for name in ctr.containers()]
        return found + [f"containerd snapshot {name}" for name in ctr.snapshots()]

    def wait_none(self, timeout=10.0, namespace="e2e", known=()):
        """Waits until nothing is left but what is `known`; raises AssertionError with the list
        otherwise. containerd answers before a shim has quite exited, hence the wait."""

        def new():
            return [trace for trace in self.find() if trace not in known]

        try:
            wait_until(lambda: not new(), "nothing left behind", timeout)
        except WaitTimeout:
            pass
        records = self.find_records(namespace) if self.containerd.process() else []
        found = new() + [record for record in records if record not in known]
        if found:
            raise AssertionError("left behind:\n  " + "\n  ".join(found))

    def _processes(self, shorts):
        base = str(self.containerd.base)
        daemon = self.containerd.process()
        found = []
        for process in processes.everything():
            if process.pid == os.getpid() or process == daemon:
                continue
            command_line = process.cmdline
            if not process.comm.startswith(processes.PROGRAMS):
                continue
            named = base in command_line or any(short in command_line for short in shorts)
            if named or f"CPPVM_OWNER={base}" in process.environ():
                found.append(str(process))
        return found

    def _mounts(self, shorts):
        private = str(self.containerd.base) + "/"
        return [
            f"mount {point}"
            for point in mounts.table()
            if point.startswith(private) or any(short in point for short in shorts)
        ]

    def _files(self, identities):
        found = []
        for identity in identities:
            paths = [_SOCKETS / identity.hash, *_LIBVIRT_LOGS.glob(f"{identity.domain}*")]
            paths += [directory / identity.short for directory in self.run_dirs]
            for part in (self.containerd.state, self.containerd.root):
                bundles = part / "io.containerd.runtime.v2.task"
                paths.append(bundles / identity.namespace / identity.group)
            found += [f"file {path}" for path in paths if os.path.lexists(path)]
            # ctr makes the fifos, and removes them when the task is deleted.
            for fifo in _FIFOS.glob(f"*/{identity.group}-std*"):
                found.append(f"fifo {fifo}")
        return found

    @staticmethod
    def _cgroups(names_of_ours):
        root = Path("/sys/fs/cgroup")
        return [
            f"cgroup {base}/{name}"
            for base, names, _ in os.walk(root)
            for name in names
            if any(ours in name for ours in names_of_ours)
        ]


def _ours(interface):
    """libvirt names the taps that it makes vnetN or macvtapN; ours start with cppvm."""
    return interface.startswith(("cppvm", "vnet", "macvtap"))
