"""What holds for the host whatever was done with containers; checked after every end-to-end test.

Leftovers looks for what containers left; this for what must not have happened meanwhile.
"""

import os
import signal
import warnings

from . import exits, mounts, processes

# Signals by which a process ends itself, by a fault in it. Helpers are ended by SIGKILL as a rule.
_CRASHES = {
    signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGPIPE, signal.SIGQUIT,
    signal.SIGSEGV, signal.SIGSYS, signal.SIGTRAP, signal.SIGXCPU, signal.SIGXFSZ,
}  # fmt: skip
_PANIC = "Kernel panic - not syncing"


class Invariants:
    """From construction to check(). `marks` are words by which the environment of our processes can
    be told; `ours` are directories whose mounts come and go with containers."""

    def __init__(self, marks, ours, log_text=lambda: ""):
        self._marks = marks
        self._ours = [str(path) for path in ours]
        self._log_text = log_text
        self._logged = len(log_text())
        self._mounts = self._foreign_mounts()
        self._sent = processes.sent_signals()
        self.expected = set()  # (pid, signal) that a test has sent in another way than Process.kill
        try:
            self._exits = exits.Exits([os.getpid()], self._is_ours)
        except exits.Unavailable as reason:
            warnings.warn(f"the ends of processes are not watched: {reason}")
            self._exits = None

    def check(self, allow_panic=False, allow_kill=False, allow_unknown=False):
        """Raises AssertionError with a line for each invariant that does not hold. `allow_panic`:
        the test made a guest panic; `allow_kill`: it may have made containerd give up a daemon, which
        its `delete` kills then; `allow_unknown`: what had ended before it was looked at may be one of
        runc's containers, not ours."""
        ends = self._exits.close() if self._exits else []
        broken = [
            str(end) for end in ends
            if self._is_fault(end)
            and not (allow_kill and end.signal == signal.SIGKILL)
            and not (allow_unknown and not end.comm)
        ]
        before, after = self._mounts, self._foreign_mounts()
        broken += [f"mount gone: {mount}" for mount in before if mount not in after]
        broken += [f"mount appeared: {mount}" for mount in after if mount not in before]
        if not allow_panic:
            lines = self._log_text()[self._logged :].splitlines()
            broken += [f"the guest panicked: {line[:500]}" for line in lines if _PANIC in line]
        if broken:
            raise AssertionError("invariants broken:\n  " + "\n  ".join(broken))

    @property
    def watches(self):
        """Whether the ends of processes are watched here."""
        return self._exits is not None

    def seen(self, pid):
        """What is known of a process of ours so far: None, or a Process."""
        return self._exits.known(pid)

    def _is_ours(self, process):
        environ = process.environ()
        # libvirtd starts QEMU with an environment of its own making.
        return any(mark in environ for mark in self._marks) or "guest=cppvm-" in process.cmdline

    def _is_fault(self, end):
        if not end.signal or (end.comm and not end.comm.startswith(processes.PROGRAMS)):
            return False
        if (end.pid, end.signal) in self.expected | processes.sent_signals() - self._sent:
            return False
        # Helpers end by their daemon's SIGKILL or SIGTERM, also before they have executed their program;
        # a daemon by nobody's.
        is_daemon = end.comm.startswith("containerd-shim") and end.executed
        return is_daemon or end.signal in _CRASHES

    def _foreign_mounts(self):
        return [
            mount
            for mount in mounts.entries()
            if not any(mount.point == path or mount.point.startswith(path + "/") for path in self._ours)
        ]
