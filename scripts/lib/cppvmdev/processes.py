"""Processes by pid and start time, so that a reused pid is never taken for the old process."""

import os
import signal
from dataclasses import dataclass, field
from pathlib import Path

from .waiting import WaitTimeout, wait_until

# Names of the product's programs, and of those that it runs on the host. Stand-ins are called "vm:"
# and what the guest's process is.
PROGRAMS = (
    "containerd-shim", "cppvm-", "vm:", "qemu-system", "virtiofsd", "vhost-device-vs",
)  # fmt: skip

_sent = set()


def sent_signals():
    """(pid, signal) of all that was sent through Process.kill."""
    return set(_sent)


@dataclass(frozen=True)
class Process:
    pid: int
    start: int  # clock ticks since boot, field 22 of /proc/<pid>/stat
    comm: str = field(compare=False, default="")
    cmdline: str = field(compare=False, default="")
    parent: int = field(compare=False, default=0)

    def __str__(self):
        return f"process {self.pid} {self.comm}: {self.cmdline[:200]}"

    def alive(self):
        """Neither gone nor a zombie, and still the same process."""
        current = find(self.pid)
        return current == self

    def environ(self):
        try:
            return Path(f"/proc/{self.pid}/environ").read_bytes().decode(errors="replace")
        except OSError:
            return ""

    def descriptors(self):
        """How many it has open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def kill(self, sig=signal.SIGKILL):
        """Sends a signal; a process that is gone is fine."""
        try:
            fd = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        try:
            if self.alive():
                _sent.add((self.pid, sig))
                signal.pidfd_send_signal(fd, sig)
        except ProcessLookupError:
            pass
        finally:
            os.close(fd)

    def wait_gone(self, timeout=10.0):
        wait_until(lambda: not self.alive(), f"end of {self}", timeout)

    def terminate(self, grace=10.0):
        """SIGTERM, and SIGKILL if that does not end it within `grace` seconds."""
        self.kill(signal.SIGTERM)
        try:
            self.wait_gone(grace)
        except WaitTimeout:
            self.kill()
            self.wait_gone()


def find(pid):
    """The live process of that pid, or None (also for zombies)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
        cmdline = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return None
    # The name is in parentheses and may itself hold any character.
    comm, rest = stat[stat.index("(") + 1 :].rsplit(")", 1)
    fields = rest.split()
    if fields[0] in "ZX":
        return None
    argv = cmdline.decode(errors="replace").split("\0")
    return Process(pid, int(fields[19]), comm, " ".join(argv).strip(), int(fields[1]))


def everything():
    """All live processes."""
    found = (find(int(name)) for name in os.listdir("/proc") if name.isdigit())
    return [process for process in found if process]


def helpers(identity, program=("qemu-system", "virtiofsd", "vhost-device-vs")):
    """Processes of that program (a prefix of its name, or several) that serve only this sandbox."""
    return [p for p in everything() if p.comm.startswith(program) and identity.short in p.cmdline]


def shims(address):
    """Live shim daemons (of any runtime) that serve the containerd at `address`, and `delete`
    commands; not the `start` commands that make daemons."""
    found = []
    for process in everything():
        argv = process.cmdline.split()
        if process.comm.startswith("containerd-shim") and address in argv and argv[-1] != "start":
            found.append(process)
    # On its way to another program a new process looks like its parent.
    pids = {process.pid for process in found}
    return [process for process in found if process.parent not in pids]
