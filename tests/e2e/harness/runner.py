"""Containers as a person makes them with `ctr run`, and their end."""

import os
import re
import signal
import subprocess
import threading
import time

from cppvmdev import processes
from cppvmdev.ctr import unique_id
from cppvmdev.identity import Identity
from cppvmdev.images import SMALL
from cppvmdev.shell import CommandFailed, Result
from cppvmdev.waiting import wait_until

from . import settings

# Under emulation on a busy machine a boot takes several seconds.
START_TIMEOUT = 90

_IDLE = ("sleep", "1000000")


def in_network(namespace, *more):
    """Options of `ctr run` for a container in that network namespace, with `more` of such tuples."""
    return ("--with-ns", f"network:{namespace.path}", *(word for options in more for word in options))


def bind(source, target="/data", mode="rw"):
    """Options of `ctr run` for a bind mount."""
    return ("--mount", f"type=bind,src={source},dst={target},options=rbind:{mode}")


class Runner:
    """Makes containers on one containerd with one configuration of the runtime."""

    def __init__(self, containerd, namespace, config=None, runtime=settings.RUNTIME):
        self.ctr = containerd.ctr(namespace)
        self.containerd = containerd
        self.config = config
        self.runtime = runtime
        self.containers = []

    def with_config(self, path):
        """Another runner that gives the runtime the configuration file `path`."""
        return self._with(path, self.runtime)

    def with_runtime(self, runtime):
        """Another runner, with another runtime's name, or the path of a shim."""
        return self._with(self.config, runtime)

    def _with(self, config, runtime):
        other = Runner(self.containerd, self.ctr.namespace, config, runtime)
        other.containers = self.containers
        return other

    def argv(self, container, *command, image=SMALL, options=()):
        runtime = ["--runtime", self.runtime]
        if self.config and settings.IS_VM:
            runtime += ["--runtime-config-path", self.config]
        return self.ctr.run_argv(image, container, command, runtime, options)

    def run(self, *command, image=SMALL, options=(), stdin=b"", timeout=START_TIMEOUT, name=None):
        """`ctr run --rm`: the whole life of a container; returns what ctr said and its code."""
        container = Container(self, name or unique_id())
        argv = self.argv(container.name, *command, image=image, options=("--rm", *options))
        try:
            return self.ctr.command(*argv, timeout=timeout, stdin=stdin)
        except CommandFailed:
            self.containers.append(container)
            raise

    def popen(self, *command, image=SMALL, options=(), **kwargs):
        """`ctr run --rm` in the foreground, for the caller to talk to."""
        container = Container(self, unique_id())
        self.containers.append(container)
        argv = self.argv(container.name, *command, image=image, options=("--rm", *options))
        container.process = self.ctr.popen(*argv, **kwargs)
        return container

    def start(self, *command, image=SMALL, options=(), name=None, null_io=True):
        """`ctr run -d`: a container that goes on by itself. Default: one that does nothing."""
        container = Container(self, name or unique_id())
        self.containers.append(container)
        options = ("-d", *(["--null-io"] if null_io else []), *options)
        argv = self.argv(container.name, *(command or _IDLE), image=image, options=options)
        self.ctr.command(*argv, timeout=START_TIMEOUT).check()
        return container

    def clean(self):
        """Takes down what a test did not; for the end of failed tests."""
        for container in self.containers:
            container.clean()


class Container:
    """One container."""

    def __init__(self, runner, name):
        self.runner = runner
        self.ctr = runner.ctr
        self.name = name
        self.process = None  # of `ctr run` in the foreground

    def status(self):
        """RUNNING, STOPPED and so on; None without a task."""
        return self.ctr.tasks().get(self.name)

    def wait_status(self, status, timeout=30):
        wait_until(lambda: self.status() == status, f"{self.name} to be {status}", timeout)

    def wait_running(self, timeout=START_TIMEOUT):
        def runs():
            if self.process and self.process.poll() is not None:
                self.wait_exit().check()
            return self.status() == "RUNNING"

        wait_until(runs, f"{self.name} to run", timeout)

    def pid(self):
        return self.ctr.task_pid(self.name)

    def exec_argv(self, *command, options=()):
        return ["tasks", "exec", "--exec-id", unique_id("exec"), *options, self.name, *command]

    def exec(self, *command, options=(), stdin=b"", timeout=60):
        """A further process in the container, to its end."""
        return self.ctr.command(
            *self.exec_argv(*command, options=options), stdin=stdin, timeout=timeout
        )

    def sh(self, script, **kwargs):
        """A shell script in the container; returns its output as text, raises when it fails."""
        return self.exec("sh", "-c", script, **kwargs).check().text

    def popen_exec(self, *command, options=(), **kwargs):
        return self.ctr.popen(*self.exec_argv(*command, options=options), **kwargs)

    # The processes behind it on the host

    @property
    def identity(self):
        return Identity(self.runner.containerd.address, self.ctr.namespace, self.name)

    def shims(self):
        """Its shim daemon, as a list of at most one."""
        return [p for p in self.runner.containerd.shims() if self.name in p.cmdline.split()]

    def helpers(self, *program):
        """Processes of that program (a prefix of its name; else of any) that serve only this container."""
        return processes.helpers(self.identity, *program)

    def kill(self, sig=signal.SIGKILL, *options):
        return self.ctr.kill(self.name, sig, *options)

    def delete(self):
        """Kills the task if it runs, waits for its end, deletes it and the container. Returns the
        code that containerd reports, and asserts that no step takes 5 seconds or more."""
        if self.status() == "RUNNING":
            self.kill().check()
            self.wait_status("STOPPED")
        begin = time.monotonic()
        result = self.ctr.command("tasks", "delete", self.name).check()
        took = time.monotonic() - begin
        assert took < 5, f"deleting task {self.name} took {took:.1f} s"
        self.ctr.command("containers", "delete", self.name).check()
        # ctr tells the code of a task in a warning, and only if it is not 0.
        code = re.search(r"exit code (\d+)", result.error)
        return int(code.group(1)) if code else 0

    def wait_exit(self, timeout=60):
        """The result of a container in the foreground."""
        try:
            out, err = self.process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            raise CommandFailed(
                Result(self.process.args, -1, b"", f"no exit within {timeout} s".encode())
            ) from None
        return Result(self.process.args, self.process.returncode, out or b"", err or b"")

    def clean(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for stream in ("stdin", "stdout", "stderr"):
            pipe = getattr(self.process, stream, None)
            if pipe and not pipe.closed:
                pipe.close()
        if self.name in self.ctr.containers() or self.name in self.ctr.tasks():
            self.ctr.remove(self.name)


class LineReader:
    """Lines of a pipe, read by a thread, so that a test can wait for one with a deadline."""

    def __init__(self, pipe):
        self._lines = []
        self._ended = False
        self._pipe = pipe
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        with open(os.dup(self._pipe.fileno()), "rb") as lines:
            for line in lines:
                self._lines.append(line.decode(errors="replace").rstrip("\r\n"))
        self._ended = True

    def lines(self):
        return list(self._lines)

    def wait_line(self, wanted, timeout=START_TIMEOUT):
        """Waits until a line equal to `wanted` has come; a stream that ended fails at once."""

        def seen():
            ended = self._ended
            if wanted in self._lines:
                return True
            assert not ended, f"the stream ended without {wanted!r}; it had: {self._lines[-20:]}"
            return False

        wait_until(seen, f"line {wanted!r}", timeout)

    def join(self, timeout=30):
        wait_until(lambda: self._ended, "end of the stream", timeout)
