"""The containerd that systemd runs, for tests on a machine that is theirs alone."""

import signal
from pathlib import Path

from . import processes
from .containerd import Containerd
from .shell import run
from .waiting import wait_until

_UNIT = "containerd.service"


class SystemContainerd(Containerd):
    """As Containerd, but of a machine and not of a directory: `scratch` holds only what the tests
    remember."""

    def __init__(self, release, scratch):
        super().__init__(release, "/run/containerd")
        self.root = Path("/var/lib/containerd")
        self.state = self.base
        self._ids_file = Path(scratch) / "ids"
        self._snapshotter_file = Path(scratch) / "snapshotter"  # never there: the default will do

    def start(self, timeout=60):
        run("systemctl", "start", _UNIT).check()
        wait_until(
            lambda: self.ctr("default").command("version", timeout=10).code == 0,
            f"containerd to answer at {self.address}",
            timeout,
        )

    def process(self):
        pid = int(run("systemctl", "show", "-p", "MainPID", "--value", _UNIT).check().text)
        return processes.find(pid) if pid else None

    def end(self, sig=signal.SIGTERM, timeout=15):
        process = self.process()
        if process and sig != signal.SIGTERM:
            process.kill(sig)
            process.wait_gone(timeout)
        # After a signal too, for systemd would start it again.
        run("systemctl", "stop", _UNIT).check()

    def remove(self):
        """Removes what tests made in it; it stays."""
        for namespace in self.namespaces():
            self.ctr(namespace).remove_all()
        self._ids_file.unlink(missing_ok=True)

    def log_text(self):
        return run("journalctl", "-q", "-o", "cat", "-u", _UNIT).text
