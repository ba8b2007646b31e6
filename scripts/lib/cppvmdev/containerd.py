"""Private containerd daemons: own root, state and address; a system containerd is not touched."""

import json
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from . import mounts, processes
from .ctr import Ctr
from .identity import Identity
from .shell import CommandFailed
from .waiting import WaitTimeout, wait_until

# They work on devices or file systems that are not there.
_DISABLED = ["aufs", "btrfs", "devmapper", "zfs"]

_SCRATCH_BYTES = 32 * 1024 * 1024

# Each container's writable layer is a file of that size. The differ of the same name wants a newer
# mkfs.erofs than Debian 12 has; without it the snapshotter makes a layer of what another has unpacked.
_EROFS_SECTION = """[plugins."io.containerd.snapshotter.v1.erofs"]
default_size = "64MiB"
"""


@dataclass(frozen=True)
class Release:
    """Programs of one containerd version."""

    name: str
    containerd: Path
    ctr: Path


class Containerd:
    """One daemon below `base`. It outlives this object and this process: another object made with
    the same arguments finds it again, so set-up, tests and tear-down may be separate processes."""

    def __init__(self, release, base, shim_dirs=(), environ=None, prefix=(), block_files=False, cri=""):
        """`prefix`: a command that executes the daemon, such as nsenter's. `block_files`: with the
        snapshotters blockfile, which releases before 1.7 do not have, and erofs (2.1): images as files.
        `cri`: tables for the CRI plugin, which does not run without."""
        self.release = release
        self.base = Path(base)
        self.root = self.base / "root"
        self.state = self.base / "state"
        self.address = str(self.base / "containerd.sock")
        self.log = self.base / "containerd.log"
        self._pid_file = self.base / "containerd.pid"
        self._ids_file = self.base / "ids"
        self._snapshotter_file = self.base / "snapshotter"
        self._shim_dirs = [str(path) for path in shim_dirs]
        self._environ = environ or {}
        self._prefix = prefix
        self._block_files = block_files
        self._cri = cri

    # Life of the daemon

    def start(self, timeout=30):
        """Starts the daemon unless it runs, and waits until it answers."""
        if self.process():
            return
        for directory in (self.root, self.state):
            directory.mkdir(parents=True, exist_ok=True)
        # The mark by which the search for leftovers knows the shims' helpers.
        environ = dict(os.environ, CPPVM_OWNER=str(self.base), **self._environ)
        path = [*self._shim_dirs, str(self.release.containerd.parent), environ["PATH"]]
        environ["PATH"] = os.pathsep.join(path)
        with open(self.log, "ab") as log:
            child = subprocess.Popen(
                [*self._prefix, self.release.containerd, "--config", self._write_config()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environ,
                cwd=self.base,
                start_new_session=True,
            )
        process = processes.find(child.pid)
        if process:
            self._pid_file.write_text(json.dumps([process.pid, process.start]))

        def answers():
            if child.poll() is not None:
                raise RuntimeError(
                    f"containerd {self.release.name} ended with code {child.returncode}; "
                    f"its log ends: {self.log_text()[-2000:]}"
                )
            return self.ctr("default").command("version", timeout=10).code == 0

        wait_until(answers, f"containerd {self.release.name} to answer at {self.address}", timeout)
        self._snapshotter_file.write_text(self._usable_snapshotter())

    def process(self):
        """The running daemon, or None."""
        try:
            pid, start = json.loads(self._pid_file.read_text())
        except (FileNotFoundError, ValueError):
            return None
        process = processes.find(pid)
        return process if process and process.start == start else None

    def end(self, sig=signal.SIGTERM, timeout=15):
        """Ends the daemon alone; its shims go on, as they do when it crashes or is upgraded."""
        process = self.process()
        if process:
            process.kill(sig)
            process.wait_gone(timeout)
        self._pid_file.unlink(missing_ok=True)

    def restart(self, sig=signal.SIGTERM):
        self.end(sig)
        self.start()

    def remove(self):
        """Ends everything of this containerd, and removes its files and mounts."""
        if self._ids_file.exists():
            self.start()  # where it was killed with its shims: only so their `delete` is called
        if self.process():
            for namespace in self.namespaces():
                self.ctr(namespace).remove_all()
            # Shims end some time after their last task, and while containerd is there it cleans up
            # after one that does not.
            self._end_shims(grace=15)
            self._wait_bundles_gone()
        self.end()
        self._end_shims(grace=0)
        mounts.unmount_below(self.base)
        if self.base.exists():
            shutil.rmtree(self.base)

    def _end_shims(self, grace):
        try:
            wait_until(lambda: not self.shims(), "end of the shims", grace)
        except WaitTimeout:
            for process in self.shims():
                process.kill()
                process.wait_gone()

    def _wait_bundles_gone(self):
        bundles = self.state / "io.containerd.runtime.v2.task"
        try:
            wait_until(lambda: not list(bundles.glob("*/*")), "end of the bundles", 10)
        except WaitTimeout:
            pass  # what stays is unmounted and removed with the directory

    # Talking to it

    def ctr(self, namespace="e2e"):
        return Ctr(self, namespace)

    def namespaces(self):
        try:
            return self.ctr("default").command("namespaces", "ls", "-q").check().text.split()
        except CommandFailed:
            return []

    def shims(self):
        """Live shim daemons (of any runtime) that serve this containerd."""
        return processes.shims(self.address)

    def log_text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    # Names of what it runs, for the search for leftovers

    def environ(self):
        """The environment for clients of this daemon."""
        environ = dict(os.environ, CONTAINERD_SUPPRESS_DEPRECATION_WARNINGS="true")
        if self._snapshotter_file.exists():
            environ["CONTAINERD_SNAPSHOTTER"] = self._snapshotter_file.read_text()
        return environ

    def _usable_snapshotter(self):
        """overlayfs, or native where the file system below the root cannot hold an overlay."""
        lines = self.ctr("default").command("plugins", "ls").text.splitlines()
        usable = any("overlayfs" in line and line.split()[-1] == "ok" for line in lines)
        return "overlayfs" if usable else "native"

    def remember(self, namespace, container):
        with open(self._ids_file, "a", encoding="utf-8") as ids:
            ids.write(f"{namespace} {container}\n")

    def identities(self):
        """Of every container that was ever asked for through Ctr."""
        if not self._ids_file.exists():
            return []
        lines = {tuple(line.split(" ", 1)) for line in self._ids_file.read_text().splitlines()}
        return [Identity(self.address, namespace, container) for namespace, container in lines]

    def bundle(self, namespace, container):
        return self.state / "io.containerd.runtime.v2.task" / namespace / container

    def _block_file_section(self):
        if not self._block_files:
            return ""
        scratch = self.base / "scratch.ext4"
        if not scratch.exists():
            with open(scratch, "wb") as file:
                file.truncate(_SCRATCH_BYTES)
            subprocess.run(["mkfs.ext4", "-q", "-F", scratch], check=True)
        return (
            '[plugins."io.containerd.snapshotter.v1.blockfile"]\n'
            f"scratch_file = {json.dumps(str(scratch))}\n"
            'fs_type = "ext4"\nmount_options = ["loop"]\nrecreate_scratch = true\n' + _EROFS_SECTION
        )

    def _write_config(self):
        plugins = [f"io.containerd.snapshotter.v1.{name}" for name in _DISABLED]
        if not self._cri:
            plugins += [
                "io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime",
            ]  # fmt: skip
        config = self.base / "config.toml"
        # Version 2 is what 1.6 reads; later releases migrate it.
        config.write_text(
            f"version = 2\nroot = {json.dumps(str(self.root))}\n"
            f"state = {json.dumps(str(self.state))}\ndisabled_plugins = {json.dumps(plugins)}\n"
            f"[grpc]\naddress = {json.dumps(self.address)}\n"
            f"[ttrpc]\naddress = {json.dumps(self.address + '.ttrpc')}\n"
            '[debug]\nlevel = "debug"\n' + self._block_file_section() + self._cri
        )
        return config

