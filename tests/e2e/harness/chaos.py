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
from .runner import Box, Runner

# Under emulation a boot takes seconds, several at once take longer.
_RUN_LIMIT = 120
_COMMAND_LIMIT = 60
# containerd allows `delete` five seconds, and that goes on in the background.
_CLEAN_LIMIT = 30

_FIFOS = Path("/run/containerd/fifo")
_SIGNALS = (signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM)
_KIND_OF = {
    "containerd-shim": "daemon", "qemu-system": "QEMU", "virtiofsd": "virtiofsd",
    "vhost-device-vs": "vhost-device-vsock", "cppvm-task": "stand-in", "cppvm-libvirt": "cppvm-libvirt",
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
        for process, container in self._victims():
            victims.setdefault(_kind(process), []).append((process, container))
        if not victims:
            return
        kind = self._random.choice(sorted(victims) + ["agent", "link"])
        if kind == "agent":
            boxes = self._boxes()
            if boxes:
                self._panic(self._random.choice(boxes))
            return
        if kind == "link":
            self._cut(*self._random.choice(victims.get("daemon", [(None, None)])))
            return
        process, container = self._random.choice(victims[kind])
        sig = self._random.choice(_SIGNALS)
        hit = f"{sig.name} to {kind} {process.pid} at {time.strftime('%H:%M:%S')}"
        # Before it is sent: whoever looks why a container ended finds it.
        self._hit.setdefault(container, []).append(hit)
        process.kill(sig)
        self.report.sent[kind, sig.name] += 1
        if sig == signal.SIGSTOP:
            self._stopped.append((process, time.monotonic() + self._random.uniform(0.1, 5)))

    def _cut(self, daemon, container):
        """Every connection of a daemon to its agent; a call that is under way may fail of it."""
        with contextlib.suppress(OSError):  # it ended
            if daemon and cut_agent(daemon.pid):
                self._hit.setdefault(container, []).append(f"cut at {time.strftime('%H:%M:%S')}")
                self.report.sent["link", "cut"] += 1

    def _panic(self, box):
        """The end of the agent, as far as the host can see it, unless the container does not run yet."""
        self._hit.setdefault(box.name, []).append(f"panic at {time.strftime('%H:%M:%S')}")
        self.report.sent["agent", "panic"] += 1
        words = box.exec_argv("sh", "-c", _PANIC)
        thread = threading.Thread(target=self._command, args=(box, *words))
        thread.start()
        self._panics.append(thread)

    def _boxes(self):
        return [box for box in list(self._runner.boxes) if not box.over]

    def _victims(self):
        """(process, container) of everything that serves one of our containers."""
        everything = processes.everything()
        for box in self._boxes():
            short, daemons = box.identity.short, set()
            for process in everything:
                words = process.cmdline.split()
                # `start` and `delete` are containerd's children: who kills the latter has leaks.
                command = bool(words) and words[-1] in ("start", "delete")
                if process.comm.startswith("containerd-shim") and box.name in words and not command:
                    daemons.add(process.pid)
            for process in everything:
                if process.pid in daemons or (
                    _kind(process) not in (None, "daemon")
                    and (process.parent in daemons or short in process.cmdline)
                ):
                    yield process, box.name

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
        box = Box(self._runner, unique_id("chaos"))
        box.over = False
        self._runner.boxes.append(box)
        script = f"until [ -e /go ]; do sleep 0.1; done; exit {code}"
        argv = self._runner.argv(box.name, "sh", "-c", script, options=("--rm", "--privileged"))
        box.process = self._runner.ctr.popen(*argv)
        try:
            self._execs(rng, box)
            self._judge(box, "container", box.wait_exit(_RUN_LIMIT), code)
        except CommandFailed as late:
            self._fault(box, f"hang of ctr run: {late}")
        finally:
            self._clean(box)

    def _execs(self, rng, box):
        """Some, and at last one that lets the container end."""
        try:
            box.wait_running(_RUN_LIMIT)
        except (CommandFailed, WaitTimeout):
            return  # `ctr run` says why
        while not self._over.is_set() and rng.random() < 0.7:
            code = rng.randrange(1, 100)
            words = box.exec_argv("sh", "-c", f"sleep {rng.uniform(0, 1):.2f}; exit {code}")
            result = self._command(box, *words)
            if not result:
                return
            self._judge(box, "exec", result, code)
            if result.code != code:
                break  # the pod was hit: so is what follows
        if rng.random() < 0.7:
            last = self._command(box, *box.exec_argv("touch", "/go"))
            if last and last.code == 0:
                return
        self._hit.setdefault(box.name, []).append("our own kill")
        self._command(box, "tasks", "kill", "-s", "9", box.name)

    def _command(self, box, *words):
        try:
            return self._runner.ctr.command(*words, timeout=_COMMAND_LIMIT)
        except CommandFailed as late:
            self._fault(box, f"hang: {late}")
        return None

    def _judge(self, box, what, result, code):
        hits = self._hit.get(box.name, [])
        if result.code == code:
            end = "by itself"
        elif hits and result.code in (128 + signal.SIGKILL, 128 + signal.SIGTERM):
            end = "killed"
        elif hits and result.code == 1 and result.error:
            end = "with an error"
        else:
            end = "wrongly"
            self._fault(box, f"{what} ended with {result.code} instead of {code}: {result.error[-500:]}")
        self.report.lives[f"{what} ended {end}"] += 1

    def _clean(self, box):
        box.over = True
        try:
            box.clean()
        except CommandFailed as late:
            self._fault(box, f"hang of the clean-up: {late}")
        # ctr leaves its own when the shim dies under it, with runc's shim as well.
        for fifo in _FIFOS.glob(f"*/{box.name}-*"):
            fifo.unlink()
        self._runner.boxes.remove(box)

    def _fault(self, box, what):
        self.report.faults.append(f"{box.name}: {what}; signals: {self._hit.get(box.name, [])}")


def main(words):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--signals", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--pause", type=float, default=1)
    options = parser.parse_args(words)
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
    held = Invariants([f"CPPVM_OWNER={settings.BASE}"], [settings.BASE, "/run/cppvm"], containerd.log_text)
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
