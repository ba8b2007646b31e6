"""`ctr`, the stock client of containerd, bound to one daemon and one namespace."""

import itertools
import os
import signal
import subprocess

from .shell import CommandFailed, run

_numbers = itertools.count(1)


def unique_id(stem="box"):
    """A container id that no other test of this machine uses."""
    return f"{stem}-{os.getpid()}-{next(_numbers)}"


class Ctr:
    def __init__(self, containerd, namespace):
        self.containerd = containerd
        self.namespace = namespace

    def argv(self, *args):
        head = [self.containerd.release.ctr, "--address", self.containerd.address]
        return [str(arg) for arg in (*head, "--namespace", self.namespace, *args)]

    def command(self, *args, timeout=60, stdin=b""):
        """Runs one ctr command to its end; see shell.run."""
        return run(
            *self.argv(*args), timeout=timeout, stdin=stdin, env=self.containerd.environ()
        )

    def popen(self, *args, **kwargs):
        """Starts a ctr command whose input, output and end the caller handles."""
        for stream in ("stdin", "stdout", "stderr"):
            kwargs.setdefault(stream, subprocess.PIPE)
        kwargs.setdefault("env", self.containerd.environ())
        return subprocess.Popen(self.argv(*args), **kwargs)

    def run_argv(self, image, container, command, runtime, options=()):
        """The arguments of `ctr run`; the container's names are remembered for leftover checks."""
        self.containerd.remember(self.namespace, container)
        return ["run", *runtime, *options, image, container, *command]

    # What there is

    def tasks(self):
        """Status by container id, as containerd's task list has it."""
        lines = self.command("tasks", "ls").check().text.splitlines()[1:]
        return {words[0]: words[2] for words in (line.split() for line in lines) if len(words) > 2}

    def task_pid(self, container):
        """The host pid that containerd was told for the container's init process."""
        lines = self.command("tasks", "ls").check().text.splitlines()[1:]
        return next((int(w[1]) for w in (line.split() for line in lines) if w[0] == container), 0)

    def containers(self):
        return self.command("containers", "ls", "-q").check().text.split()

    def images(self):
        return self.command("images", "ls", "-q").check().text.split()

    def snapshots(self):
        lines = self.command("snapshots", "ls").check().text.splitlines()[1:]
        return [words[0] for words in (line.split() for line in lines) if words[-1] == "Active"]

    def sandboxes(self):
        """Those of the Sandbox API, which containerd has from 1.7 on."""
        said = self.command("sandboxes", "ls")
        return [line.split()[0] for line in said.text.splitlines()[1:]] if said.code == 0 else []

    # Taking down

    def kill(self, container, sig=signal.SIGKILL, *options, timeout=30):
        return self.command("tasks", "kill", "-s", int(sig), *options, container, timeout=timeout)

    def remove(self, container):
        """Kills and deletes the task if there is one, then the container. Anything may be missing."""
        self.kill(container, signal.SIGKILL, "-a")
        self.command("tasks", "delete", "-f", container, timeout=30)
        self.command("containers", "delete", container, timeout=30)
        self.command("snapshots", "rm", container, timeout=30)

    def remove_all(self):
        """Empties the namespace, images too; errors are left to the leftover check."""
        try:
            for container in set(self.containers()) | set(self.tasks()):
                self.remove(container)
            for sandbox in self.sandboxes():
                self.command("sandboxes", "rm", sandbox)
            images = self.images()
            if images:
                self.command("images", "rm", *images)
        except CommandFailed:
            pass

    def import_image(self, path):
        return self.command("images", "import", path, timeout=120).check()
