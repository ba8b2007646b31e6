"""A pod's slice, as a kubelet with the systemd driver has it made and removed."""

from pathlib import Path

from cppvmdev.ctr import unique_id
from cppvmdev.shell import run
from cppvmdev.waiting import wait_until

ROOT = Path("/sys/fs/cgroup")
_TOP = "cppvmtest"
_MIB = 1 << 20


def is_there():
    """Whether this is a host of systemd's with version 2 of cgroups alone."""
    return (ROOT / "cgroup.controllers").exists() and Path("/run/systemd/system").exists()


def cgroup_of(pid):
    """Of a process, or of a thread by its own number."""
    try:
        return Path(f"/proc/{pid}/cgroup").read_text().strip().removeprefix("0::")
    except (FileNotFoundError, ProcessLookupError):
        return ""


class Slice:
    """One of a burstable pod. `mib`: what the pod may use."""

    def __init__(self, mib=None):
        self.name = f"{_TOP}-burstable-{unique_id('pod').replace('-', '_')}.slice"
        # What the kubelet tells CRI.
        self.path = f"/{_TOP}.slice/{_TOP}-burstable.slice/{self.name}"
        self.directory = ROOT / self.path[1:]
        properties = [
            ("Wants", "as", "1", f"{_TOP}-burstable.slice"), ("DefaultDependencies", "b", "false"),
            *((f"{what}Accounting", "b", "true") for what in ("CPU", "IO", "Memory", "Tasks")),
        ]  # fmt: skip
        if mib:
            properties.append(("MemoryMax", "t", str(mib * _MIB)))
        manager = ("org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager")
        run(
            "busctl", "call", *manager, "StartTransientUnit", "ssa(sv)a(sa(sv))", self.name, "replace",
            str(len(properties)), *(word for words in properties for word in words), "0",
        ).check()  # fmt: skip
        wait_until(self.directory.is_dir, f"{self.name} to be made")

    def number(self, file):
        return int((self.directory / file).read_text())

    def count(self, file, key):
        """Of a file with a word and a number in each line."""
        return dict(line.split() for line in (self.directory / file).read_text().splitlines())[key]

    def memory_kills(self):
        return int(self.count("memory.events", "oom_kill"))

    def set(self, **properties):
        words = [f"{key}={value}" for key, value in properties.items()]
        run("systemctl", "set-property", "--runtime", self.name, *words).check()

    def processes(self):
        files = self.directory.rglob("cgroup.procs")
        return {int(pid) for file in files for pid in file.read_text().split()}

    def holds(self, pid):
        return cgroup_of(pid).startswith(self.path + "/")

    def remove(self):
        """As the kubelet does once the pod is gone: it must be empty."""
        wait_until(lambda: not self.processes(), f"no process in {self.name}", 30)
        run("systemctl", "stop", self.name).check()
        wait_until(lambda: not self.directory.exists(), f"the end of {self.name}", 30)

    def discard(self):
        """Whatever is in it; after a test that has failed."""
        if self.directory.exists():
            run("systemctl", "kill", "--signal=KILL", self.name)
            run("systemctl", "stop", self.name)
