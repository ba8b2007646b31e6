"""A pod's cgroup of version 2, as a kubelet makes and removes it with either driver."""

import contextlib
from pathlib import Path

from cppvmdev.ctr import unique_id
from cppvmdev.shell import run
from cppvmdev.waiting import wait_until

ROOT = Path("/sys/fs/cgroup")
_TOP = "cppvmtest"
_MIB = 1 << 20


def is_host_of_systemd():
    """With version 2 of cgroups alone."""
    return (ROOT / "cgroup.controllers").exists() and Path("/run/systemd/system").exists()


def cgroup_of(pid):
    """Of a process, or of a thread by its own number."""
    try:
        return Path(f"/proc/{pid}/cgroup").read_text().strip().removeprefix("0::")
    except (FileNotFoundError, ProcessLookupError):
        return ""


class _PodCgroup:
    """`path`: what the kubelet tells CRI."""

    def __init__(self, path):
        self.path = path
        self.directory = ROOT / path[1:]

    def number(self, file):
        return int((self.directory / file).read_text())

    def count(self, file, key):
        """Of a file with a word and a number in each line."""
        lines = (self.directory / file).read_text().splitlines()
        return int(dict(line.split() for line in lines)[key])

    def memory_kills(self):
        return self.count("memory.events", "oom_kill")

    def holds(self, pid):
        return cgroup_of(pid).startswith(self.path + "/")

    def wait_empty(self):
        wait_until(lambda: not self.count("cgroup.events", "populated"), f"no process in {self.path}", 30)


class Slice(_PodCgroup):
    """With the systemd driver: that of a burstable pod."""

    def __init__(self):
        self.name = f"{_TOP}-burstable-{unique_id('pod').replace('-', '_')}.slice"
        super().__init__(f"/{_TOP}.slice/{_TOP}-burstable.slice/{self.name}")
        properties = [
            ("Wants", "as", "1", f"{_TOP}-burstable.slice"), ("DefaultDependencies", "b", "false"),
            *((f"{what}Accounting", "b", "true") for what in ("CPU", "IO", "Memory", "Tasks")),
        ]  # fmt: skip
        manager = ("org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager")
        run(
            "busctl", "call", *manager, "StartTransientUnit", "ssa(sv)a(sa(sv))", self.name, "replace",
            str(len(properties)), *(word for words in properties for word in words), "0",
        ).check()  # fmt: skip
        wait_until(self.directory.is_dir, f"{self.name} to be made")

    def set(self, **properties):
        words = [f"{key}={value}" for key, value in properties.items()]
        run("systemctl", "set-property", "--runtime", self.name, *words).check()

    def limit(self, mib):
        self.set(MemoryMax=mib * _MIB)

    def remove(self):
        self.wait_empty()
        run("systemctl", "stop", self.name).check()
        wait_until(lambda: not self.directory.exists(), f"the end of {self.name}", 30)

    def discard(self):
        """Whatever is in it; after a test that has failed."""
        if self.directory.exists():
            run("systemctl", "kill", "--signal=KILL", self.name)
            run("systemctl", "stop", self.name)


class Directory(_PodCgroup):
    """With the cgroupfs driver."""

    def __init__(self):
        super().__init__(f"/{_TOP}/burstable/{unique_id('pod')}")
        self.directory.mkdir(parents=True)
        for parent in (ROOT, ROOT / _TOP, ROOT / _TOP / "burstable"):
            (parent / "cgroup.subtree_control").write_text("+cpu +io +memory +pids")

    def limit(self, mib):
        (self.directory / "memory.max").write_text(str(mib * _MIB))

    def remove(self):
        self.wait_empty()
        self.directory.rmdir()
        with contextlib.suppress(OSError):  # another pod's, too
            for parent in list(self.directory.parents)[:2]:
                parent.rmdir()

    def discard(self):
        """Whatever is in it; after a test that has failed."""
        if self.directory.exists():
            (self.directory / "cgroup.kill").write_text("1")
            self.wait_empty()
            for directory in (*(p for p in self.directory.iterdir() if p.is_dir()), self.directory):
                directory.rmdir()
