"""A guest whose agent lies (tests/e2e/hostile), and what its host must do all the same."""

import fcntl
import hashlib
import time
from pathlib import Path

from cppvmdev import config, shell
from cppvmdev.releases import CACHE
from cppvmdev.waiting import wait_until
from cppvmdev.wire import NOT_FOUND, Refused

from . import settings
from .shim import Task, spec

# Seconds that Kill, Delete and Shutdown may take, each, whatever the guest does.
LIMIT = 15
# Of a daemon that has a well-behaved guest: 12 MiB and some ten lines.
MAX_MEMORY_KIB = 96 << 10
MAX_LOG_LINES = 100


def image():
    """The directory of an image with that agent; made where it is missing or older than the agent."""
    target = CACHE / f"hostile-{hashlib.sha256(str(settings.HOSTILE_AGENT).encode()).hexdigest()[:16]}"
    made = target / "initramfs.img"
    with open(f"{target}.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another test may make it
        if not made.exists() or made.stat().st_mtime < settings.HOSTILE_AGENT.stat().st_mtime:
            # Beside the cache's other images: QEMU's user need not be let in where the tests are.
            shell.run(
                settings.STAGE / "bin/cppvm", "image", "build", "--agent", settings.HOSTILE_AGENT,
                "--output", target, "--cache", CACHE, timeout=300,
            ).check()  # fmt: skip
    return target


def configuration(path, guest="", boot_timeout=60):
    """Writes a configuration for it to the file `path`, and returns that; `guest`: how it lies as a
    whole, words of tests/e2e/hostile/behaviour.hpp."""
    parameters = " ".join(f"hostile.{word}" for word in guest.split())
    vm = {"initramfs": str(image() / "initramfs.img"), "kernel": str(image() / "vmlinuz")}
    # The time that a guest has for a SIGKILL, so short that libvirt's share of LIMIT is a large one.
    vm |= {"kernel_parameters": parameters, "boot_timeout": boot_timeout, "kill_timeout": 4}
    return config.write(path, settings.CONFIG_STAGE, {"vm": vm})


class Ordeal:
    """One shim with such a guest, from start to end. What may fail on the way is remembered; the end
    may not."""

    def __init__(self, bundle):
        self.bundle = bundle
        self.address = bundle.start()
        self.refused = []
        self.started = []  # execs
        self.execs = []
        self.took = {}

    def attempt(self, method, timeout=90, **fields):
        """The answer of a call that the guest may make fail (then None), but not hang."""
        try:
            with Task(self.bundle, self.address) as task:
                task.connection.socket.settimeout(timeout)
                return task.create(**fields) if method == "Create" else task.call(method, **fields)
        except Refused as reason:
            self.refused.append(f"{method}: {reason}")
        return None

    def exec(self, name, *words):
        """Adds and starts an exec whose lies are `words`."""
        try:
            with Task(self.bundle, self.address) as task:
                task.exec(name, spec(*words)["process"])
        except Refused as reason:  # the guest says that the init has ended
            self.refused.append(f"Exec: {reason}")
            return
        self.execs.append(name)
        if self.attempt("Start", exec_id=name) is not None:
            self.started.append(name)

    def end(self):
        """Kill, Wait and Delete of each process, and Shutdown, within their limits."""
        for name in self.execs:
            self._timed("kill", "Kill", exec_id=name, signal=9)
            self._timed("wait", "Wait", exec_id=name)
            self._timed("delete", "Delete", exec_id=name)
        self._timed("kill", "Kill", signal=9)
        self._timed("wait", "Wait")
        self._timed("delete", "Delete")
        self.shut_down()

    def shut_down(self):
        daemons = self.bundle.daemons()
        for daemon in daemons:
            memory = _peak_kib(daemon.pid)
            assert memory < MAX_MEMORY_KIB, f"the daemon has taken {memory} KiB"
        begin = time.monotonic()
        self._timed("shutdown", "Shutdown")
        wait_until(lambda: not self.bundle.daemons(), "end of the daemon", LIMIT)
        self.took["end"] = time.monotonic() - begin

    def check(self, *inits):
        """After the end: one exit for each of the containers `inits` and of the execs that started, and
        no flood in the log."""
        topics = self.bundle.events.events()
        told = [event.id for topic, event in topics if topic == "/tasks/exit"]
        wanted = sorted([*inits, *self.started])
        assert sorted(told) == wanted, f"exits told: {told}, wanted: {wanted}"
        lines = self.bundle.log_text().splitlines()
        assert len(lines) <= MAX_LOG_LINES, f"{len(lines)} lines in the log, such as {lines[-1]}"

    def _timed(self, what, method, **fields):
        begin = time.monotonic()
        try:
            with Task(self.bundle, self.address) as task:
                task.connection.socket.settimeout(LIMIT)
                task.call(method, **fields)
        except Refused as reason:
            assert reason.code == NOT_FOUND, f"{method} {fields or ''}: {reason}"
        except TimeoutError:
            raise AssertionError(f"{method} {fields or ''} did not end within {LIMIT} s") from None
        self.took[what] = max(self.took.get(what, 0), time.monotonic() - begin)


def _peak_kib(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    return 0
