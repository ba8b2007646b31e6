"""The shim as a program: started, spoken to and deleted as containerd would, without containerd."""

import json
import os
import re
import shutil
import signal
import time
from pathlib import Path

from cppvmdev import messages, processes, shell, task
from cppvmdev.identity import Identity

from . import settings
from .events import EventSink

NAMESPACE = "e2e"


def program():
    """Path of the shim that belongs to the runtime under test."""
    _, name, version = settings.RUNTIME.rsplit(".", 2)
    binary = f"containerd-shim-{name}-{version}"
    found = shutil.which(binary, path=f"{settings.STAGE}/bin:{os.environ['PATH']}")
    assert found, f"{binary} is neither staged in {settings.STAGE} nor in PATH"
    return found


def spec(*args, network="", **process):
    """A small valid OCI spec, with a network namespace of its own, that at the path `network`, or
    with None the host's."""
    kinds = ("pid", "mount", "ipc", "uts") + (("network",) if network == "" else ())
    namespaces = [{"type": kind} for kind in kinds]
    if network:
        namespaces.append({"type": "network", "path": str(network)})
    return {
        "ociVersion": "1.0.2",
        "process": {
            "args": list(args) or ["sleep", "1000000"],
            "cwd": "/",
            "env": ["PATH=/bin:/usr/bin:/sbin:/usr/sbin"],
            "user": {"uid": 0, "gid": 0},
            **process,
        },
        "root": {"path": "rootfs"},
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
        "linux": {"namespaces": namespaces},
    }


class ShimBundle:
    """A bundle directory with a busybox root, and the shim commands run in it."""

    def __init__(self, directory, name, config=None, pod=None):
        self.path = Path(directory) / name
        self.name = name
        # Nothing answers there but the events that the shim publishes are taken.
        self.containerd_address = str(Path(directory) / "containerd.sock")
        self.identity = Identity(self.containerd_address, NAMESPACE, name)
        self._config = config
        # The containers of a pod have one containerd.
        self.events = pod.events if pod else EventSink(self.containerd_address + ".ttrpc")
        self._owns_events = pod is None
        (self.path / "rootfs/bin").mkdir(parents=True)
        (self.path / "rootfs/proc").mkdir()
        shutil.copy("/bin/busybox", self.path / "rootfs/bin/busybox")
        for applet in ("sh", "sleep", "cat", "true", "echo"):
            (self.path / "rootfs/bin" / applet).symlink_to("busybox")
        self.write_spec(spec())
        # As containerd does: the fifo is there before the shim, with both ends open.
        os.mkfifo(self.path / "log", 0o700)
        self._log = os.open(self.path / "log", os.O_RDWR | os.O_NONBLOCK)
        self._logged = b""

    def close(self):
        os.close(self._log)
        if self.events and self._owns_events:
            self.events.close()
            self.events = None

    def log_text(self):
        """What the daemon has logged so far."""
        try:
            while part := os.read(self._log, 65536):
                self._logged += part
        except BlockingIOError:
            pass
        return self._logged.decode(errors="replace")

    def use_config(self, path):
        """The configuration that the next `start` is given."""
        self._config = path

    def write_spec(self, document):
        (self.path / "config.json").write_text(json.dumps(document))

    def options(self):
        """What containerd 1.6 writes to stdin of `start`."""
        if not self._config:
            return b""
        options = messages.Options(config_path=str(self._config))
        return messages.Any(
            type_url="runtimeoptions.v1.Options", value=options.SerializeToString()
        ).SerializeToString()

    def command(
        self, *arguments,
        stdin=None, cwd=None, namespace=NAMESPACE, name=None, timeout=30, inside=None,
    ):  # fmt: skip
        """`inside`: the network.Namespace that the shim takes for the host's network."""
        environ = dict(os.environ, TTRPC_ADDRESS=self.containerd_address + ".ttrpc")
        path = [*map(str, settings.PROGRAMS), environ["PATH"]]
        environ["PATH"] = os.pathsep.join(path)
        flags = ["-namespace", namespace, "-address", self.containerd_address]
        flags += ["-publish-binary", "/bin/false", "-id", self.name if name is None else name]
        enter = ("nsenter", f"--net={inside.path}") if inside else ()
        return shell.run(
            *enter, program(), *flags, *arguments,
            stdin=self.options() if stdin is None else stdin,
            cwd=cwd or self.path, env=environ, timeout=timeout,
        )  # fmt: skip

    def start(self, **kwargs):
        """The socket's path that `start` answers."""
        answer = self.command("start", **kwargs).check()
        assert answer.err == b"", f"start said on stderr: {answer.error}"
        return re.fullmatch(r"unix://(\S+)", answer.text.strip()).group(1)

    def delete(self):
        """The shim's `delete`, which containerd allows 5 seconds."""
        begin = time.monotonic()
        result = self.command("-bundle", self.path, "delete", stdin=b"")
        took = time.monotonic() - begin
        assert took < 5, f"delete took {took:.1f} s"
        return result

    def daemons(self):
        return processes.shims(self.containerd_address)

    def kill_daemon(self):
        for process in self.daemons():
            process.kill(signal.SIGKILL)
            process.wait_gone()


class Task(task.Task):
    """The one of a bundle."""

    def __init__(self, bundle, address, **kwargs):
        super().__init__(bundle.name, address, **kwargs)
        self.bundle = bundle

    def create(self, **fields):
        return self.call("Create", bundle=str(self.bundle.path), **fields)
