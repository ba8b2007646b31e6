"""libvirtd and virtlogd: found running (systemd, or somebody else's), or started and later ended."""

import grp
import json
import os
import shutil
import subprocess
from pathlib import Path

from . import processes
from .shell import CommandFailed, run
from .waiting import wait_until

URI = "qemu:///system"


class LibvirtError(Exception):
    """libvirtd cannot be had; the text says why."""


def reachable():
    """Where libvirtd has yet to look at what QEMU can do, its first answer may take a minute."""
    try:
        return run("virsh", "-c", URI, "-q", "version", timeout=60).code == 0
    except CommandFailed:
        return False


def domains():
    """Names of all domains, running or not; empty where libvirtd does not answer."""
    result = run("virsh", "-c", URI, "-q", "list", "--all", "--name", timeout=20)
    return set(result.text.split()) if result.code == 0 else set()


def running(name):
    """The daemon of that name, or None; one in another mount namespace has a /run of its own."""
    return next((p for p in processes.everything() if p.comm == name and _is_near(p.pid)), None)


def _is_near(pid):
    try:
        return os.readlink(f"/proc/{pid}/ns/mnt") == os.readlink("/proc/self/ns/mnt")
    except OSError:
        return False


class LibvirtDaemons:
    """Starts what does not run, remembers it in `state_file`, and ends only that.

    virtlogd holds the console logs of domains, libvirtd the domains. Where systemd is in charge
    its sockets start both, and nothing is done here.
    """

    def __init__(self, state_file):
        self.state_file = Path(state_file)

    def start(self):
        if reachable():
            return
        missing = [name for name in ("tini", "virtlogd", "libvirtd") if not shutil.which(name)]
        if missing:
            raise LibvirtError(f"{', '.join(missing)} not installed: scripts/install-deps run")
        state = {"kvm": self._open_kvm(), "started": []}
        self._save(state)
        for name in ("virtlogd", "libvirtd"):
            if running(name):
                continue
            log = self.state_file.with_name(f"{name}.log")
            with open(log, "ab") as sink:
                # QEMU is nobody's child once libvirtd has started it, and libvirtd takes a zombie
                # for alive: without a PID 1 that reaps at once each end of a domain takes seconds.
                # tini -s becomes the parent instead, and passes signals on.
                child = subprocess.Popen(
                    [shutil.which("tini"), "-s", "--", shutil.which(name)],
                    stdin=subprocess.DEVNULL,
                    stdout=sink,
                    stderr=sink,
                    start_new_session=True,
                )
            process = processes.find(child.pid)
            if process:
                state["started"].append([process.pid, process.start])
                self._save(state)
        try:
            wait_until(reachable, "libvirtd to answer virsh", 120)
        except Exception as failure:
            log = self.state_file.with_name("libvirtd.log")
            said = log.read_text(errors="replace")[-2000:] if log.exists() else ""
            self.stop()
            raise LibvirtError(f"start libvirtd: {failure}; its log: {said}") from None

    def started(self):
        """Live daemons that start() started; empty where they ran before."""
        reapers = {process.pid for process in self._reapers()}
        return [
            process
            for process in processes.everything()
            if process.parent in reapers and process.comm in ("virtlogd", "libvirtd")
        ]

    def _reapers(self):
        try:
            state = json.loads(self.state_file.read_text())
        except FileNotFoundError:
            return []
        found = ((processes.find(pid), start) for pid, start in state["started"])
        return [process for process, start in found if process and process.start == start]

    def stop(self):
        """Ends the daemons that start() started, and gives /dev/kvm its mode back."""
        try:
            state = json.loads(self.state_file.read_text())
        except FileNotFoundError:
            return
        # libvirtd before virtlogd; each reaper ends after its daemon.
        for process in sorted(self.started(), key=lambda process: process.comm):
            process.terminate()
        for process in self._reapers():
            process.terminate()
        if state["kvm"]:
            mode, gid = state["kvm"]
            os.chown("/dev/kvm", -1, gid)
            os.chmod("/dev/kvm", mode)
        self.state_file.unlink()

    def _save(self, state):
        self.state_file.parent.mkdir(parents=True, exist_ok=True)
        self.state_file.write_text(json.dumps(state))

    @staticmethod
    def _open_kvm():
        """What udev does elsewhere. With mode 0600 libvirt probes QEMU again at every call, which
        takes a minute each time. Returns the old mode and group, or None if nothing changed."""
        try:
            old = os.stat("/dev/kvm")
            gid = grp.getgrnam("kvm").gr_gid
        except (OSError, KeyError):
            return None
        if old.st_mode & 0o060 == 0o060 and old.st_gid == gid:
            return None
        os.chown("/dev/kvm", -1, gid)
        os.chmod("/dev/kvm", 0o660)
        return [old.st_mode & 0o7777, old.st_gid]
