"""Random signals to random processes of the product, panics of guests and cut connections to their agents,
while containers start, exec and end.

    scripts/chaos [--seed N] [--signals N] [--seconds N] [--workers N] [--pause S]

Stops at whichever of signals and seconds is reached first. Afterwards there must be no trace of any
container (leaks), every command must have ended in time (hangs), and every exit status that was told
must be one that the program, or the victim of a signal, can have had (wrong exits). The seed decides
who gets which signal; when is up to the machine.
"""

import argparse
import contextlib
import random
import signal
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from cppvmdev import processes
from cppvmdev.ctr import unique_id
from cppvmdev.invariants import Invariants
from cppvmdev.leftovers import Leftovers
from cppvmdev.shell import CommandFailed
from cppvmdev.waiting import WaitTimeout

from . import session, settings
from .cut import cut_agent
from .runner import Container, Runner

# Under emulation a boot takes seconds, several at once take longer.
_RUN_LIMIT = 120
_COMMAND_LIMIT = 60
# containerd allows `delete` five seconds, and that goes on in the background.
_CLEAN_LIMIT = 30

_FIFOS = Path("/run/containerd/fifo")
_SIGNALS = (signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM)
_KIND_OF = {
    "containerd-shim": "daemon", "qemu-system": "QEMU", "virtiofsd": "virtiofsd",
    "vhost-device-vs": "vhost-device-vsock", "vm:": "stand-in", "cppvm-libvirt": "cppvm-libvirt",
}  # fmt: skip
# The kernel takes no signal for PID 1 from whom it started; what follows its death is a panic.
_PANIC = "echo c >/proc/sysrq-trigger"


def _kind(process):
    return next((kind for comm, kind in _KIND_OF.items() if process.comm.startswith(comm)), None)


@dataclass
class Report:
    seed: int
    sent: Counter = field(default_factory=Counter)  # (kind, signal's name) -> number
    lives: Counter = field(default_factory=Counter)  # how containers and execs ended -> number
    faults: list = field(default_factory=list)

    def __str__(self):
        lines = [f"seed {self.seed}: {sum(self.sent.values())} signals, {len(self.faults)} faults"]
        lines += [f"  {count:5} {name} to {kind}" for (kind, name), count in sorted(self.sent.items())]
        lines += [f"  {count:5} {what}" for what, count in sorted(self.lives.items())]
        return "\n".join(lines + [f"fault: {fault}" for fault in self.faults])


class Chaos:
    def __init__(self, runner, seed):
        self._runner = runner
        self._random = random.Random(seed)
        self.report = Report(seed)
        self._over = threading.Event()
        self._hit = {}  # container -> what was sent to its processes, in order
        self._stopped = []  # (process, when it goes on)
        self._panics = []  # threads

    def run(self, signals, seconds, workers, pause):
        """Signals come `pause` seconds after each other, on average. Returns the report. What the
        containers leave is the caller's to look for."""
        threads = [
            threading.Thread(target=self._work, args=(random.Random(f"{self.report.seed}-{n}"),))
            for n in range(workers)
        ]
        for thread in threads:
            thread.start()
        try:
            end = time.monotonic() + seconds
            while time.monotonic() < end and sum(self.report.sent.values()) < signals:
                self._over.wait(self._random.expovariate(1 / pause))
                self._go_on(time.monotonic())
                self._strike()
        finally:
            self._over.set()
            # What hangs on a stopped process must not count as a hang for that.
            self._go_on(float("inf"))
            for thread in threads + self._panics:
                thread.join()
        return self.report

    # Signals

    def _strike(self):
        victims = {}
        for process, name in self._victims():
            victims.setdefault(_kind(process), []).append((process, name))
        if not victims:
            return
        kind = self._random.choice(sorted(victims) + ["agent", "link"])
        if kind == "agent":
            containers = self._containers()
            if containers:
                self._panic(self._random.choice(containers))
            return
        if kind == "link":
            self._cut(*self._random.choice(victims.get("daemon", [(None, None)])))
            return
        process, name = self._random.choice(victims[kind])
        sig = self._random.choice(_SIGNALS)
        hit = f"{sig.name} to {kind} {process.pid} at {time.strftime('%H:%M:%S')}"
        # Before it is sent: whoever looks why a container ended finds it.
        self._hit.setdefault(name, []).append(hit)
        process.kill(sig)
        self.report.sent[kind, sig.name] += 1
        if sig == signal.SIGSTOP:
            self._stopped.append((process, time.monotonic() + self._random.uniform(0.1, 5)))

    def _cut(self, daemon, name):
        """Every connection of a daemon to its agent; a call that is under way may fail of it."""
        with contextlib.suppress(OSError):  # it ended
            if daemon and cut_agent(daemon.pid):
                self._hit.setdefault(name, []).append(f"cut at {time.strftime('%H:%M:%S')}")
                self.report.sent["link", "cut"] += 1

    def _panic(self, container):
        """The end of the agent, as far as the host can see it, unless the container does not run yet."""
        self._hit.setdefault(container.name, []).append(f"panic at {time.strftime('%H:%M:%S')}")
        self.report.sent["agent", "panic"] += 1
        argv = container.exec_argv("sh", "-c", _PANIC)
        thread = threading.Thread(target=self._command, args=(container, *argv))
        thread.start()
        self._panics.append(thread)

    def _containers(self):
        return [container for container in list(self._runner.containers) if not container.over]

    def _victims(self):
        """(process, container's id) of everything that serves one of our containers."""
        everything = processes.everything()
        for container in self._containers():
            short, daemons = container.identity.short, set()
            for process in everything:
                argv = process.cmdline.split()
                # `start` and `delete` are containerd's children: who kills the latter has leaks.
                command = bool(argv) and argv[-1] in ("start", "delete")
                shim = process.comm.startswith("containerd-shim")
                if shim and container.name in argv and not command:
                    daemons.add(process.pid)
            for process in everything:
                if process.pid in daemons or (
                    _kind(process) not in (None, "daemon")
                    and (process.parent in daemons or short in process.cmdline)
                ):
                    yield process, container.name

    def _go_on(self, now):
        for process, until in self._stopped:
            if until <= now:
                process.kill(signal.SIGCONT)
        self._stopped = [entry for entry in self._stopped if entry[1] > now]

    # Containers

    def _work(self, rng):
        while not self._over.is_set():
            self._live(rng)

    def _live(self, rng):
        """The life of one container: it ends by itself, with a code of its own, or is killed."""
        code = rng.randrange(1, 100)
        container = Container(self._runner, unique_id("chaos"))
        container.over = False
        self._runner.containers.append(container)
        script = f"until [ -e /go ]; do sleep 0.1; done; exit {code}"
        options = ("--rm", "--privileged")
        argv = self._runner.argv(container.name, "sh", "-c", script, options=options)
        container.process = self._runner.ctr.popen(*argv)
        try:
            self._execs(rng, container)
            self._judge(container, "container", container.wait_exit(_RUN_LIMIT), code)
        except CommandFailed as late:
            self._fault(container, f"hang of ctr run: {late}")
        finally:
            self._clean(container)

    def _execs(self, rng, container):
        """Some, and at last one that lets the container end."""
        try:
            container.wait_running(_RUN_LIMIT)
        except (CommandFailed, WaitTimeout):
            return  # `ctr run` says why
        while not self._over.is_set() and rng.random() < 0.7:
            code = rng.randrange(1, 100)
            argv = container.exec_argv("sh", "-c", f"sleep {rng.uniform(0, 1):.2f}; exit {code}")
            result = self._command(container, *argv)
            if not result:
                return
            self._judge(container, "exec", result, code)
            if result.code != code:
                break  # the pod was hit: so is what follows
        if rng.random() < 0.7:
            last = self._command(container, *container.exec_argv("touch", "/go"))
            if last and last.code == 0:
                return
        self._hit.setdefault(container.name, []).append("our own kill")
        self._command(container, "tasks", "kill", "-s", "9", container.name)

    def _command(self, container, *arguments):
        try:
            return self._runner.ctr.command(*arguments, timeout=_COMMAND_LIMIT)
        except CommandFailed as late:
            self._fault(container, f"hang: {late}")
        return None

    def _judge(self, container, what, result, code):
        hits = self._hit.get(container.name, [])
        if result.code == code:
            end = "by itself"
        elif hits and result.code in (128 + signal.SIGKILL, 128 + signal.SIGTERM):
            end = "killed"
        elif hits and result.code == 1 and result.error:
            end = "with an error"
        else:
            end = "wrongly"
            said = result.error[-500:]
            self._fault(container, f"{what} ended with {result.code} instead of {code}: {said}")
        self.report.lives[f"{what} ended {end}"] += 1

    def _clean(self, container):
        container.over = True
        try:
            container.clean()
        except CommandFailed as late:
            self._fault(container, f"hang of the clean-up: {late}")
        # ctr leaves its own when the shim dies under it, with runc's shim as well.
        for fifo in _FIFOS.glob(f"*/{container.name}-*"):
            fifo.unlink()
        self._runner.containers.remove(container)

    def _fault(self, container, what):
        hit = self._hit.get(container.name, [])
        self.report.faults.append(f"{container.name}: {what}; signals: {hit}")


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--signals", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--pause", type=float, default=1)
    options = parser.parse_args(arguments)
    running = session.attach(settings.RELEASE)
    containerd = running or session.start(settings.RELEASE)
    try:
        sys.exit(_run(containerd, options))
    finally:
        if not running:
            session.stop()


def _run(containerd, options):
    leftovers = Leftovers(containerd)
    known = leftovers.find()
    held = Invariants([f"CPPVM_OWNER={settings.BASE}/"], [settings.BASE, "/run/cppvm"], containerd.log_text)
    chaos = Chaos(Runner(containerd, session.NAMESPACE, session.config_file()), options.seed)
    report = chaos.run(options.signals, options.seconds, options.workers, options.pause)
    for look in (lambda: leftovers.wait_none(_CLEAN_LIMIT, known=known), lambda: held.check(allow_panic=True, allow_kill=True)):
        try:
            look()
        except AssertionError as found:
            report.faults.append(str(found))
    print(report)
    return 1 if report.faults else 0


if __name__ == "__main__":
    main(sys.argv[1:])
