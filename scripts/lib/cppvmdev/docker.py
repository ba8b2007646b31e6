"""A Docker daemon below a directory, with its bridges in a network namespace and a containerd of
ours."""

import json
import os
import subprocess
from pathlib import Path

from . import config, oci
from .engine import Engine
from .releases import CACHE, Unavailable
from .shell import run
from .waiting import wait_until

# Debian's suite whose Docker is tried: trixie has 26.1, sid 28 or later.
SUITE = os.environ.get("CPPVM_E2E_DOCKER", "trixie")


def programs():
    """The directory that holds usr/bin/docker and usr/sbin/dockerd."""
    target = CACHE / f"docker-compose-{SUITE}"  # another name, where other parts are in it
    done = run(Path(__file__).parents[2] / "fetch-docker", target, SUITE, timeout=600)
    if done.code != 0:
        raise Unavailable(f"Docker of {SUITE}: {done.error}")
    return target


class Docker(Engine):
    """From start() to close(); between them stop() and start() any number of times. `live_restore`:
    containers outlive the daemon, from its next start on."""

    runtime = "cppvm"

    def __init__(self, base, namespace, containerd, stage, tables=None):
        self.base, self.namespace = Path(base), namespace
        self._containerd, self._root = containerd, programs()
        self._socket = self.base / "docker.sock"
        self._log = self.base / "docker.log"
        self._daemon = None
        self.live_restore = False
        plugins = self.base / "client/cli-plugins"  # of the client's: Compose
        plugins.parent.mkdir()
        plugins.symlink_to(self._root / "usr/libexec/docker/cli-plugins")
        self._config = config.write(self.base / "cppvm.toml", stage, tables or {})

    def start(self):
        settings = {
            "data-root": str(self.base / "data"),
            "exec-root": str(self.base / "exec"),
            "pidfile": str(self.base / "docker.pid"),
            "hosts": [f"unix://{self._socket}"],
            "containerd": self._containerd.address,
            "containerd-namespace": "docker",
            "bip": "172.30.0.1/24",
            "default-address-pools": [{"base": "172.31.0.0/16", "size": 24}],
            "userland-proxy": False,
            "live-restore": self.live_restore,
            "runtimes": {
                self.runtime: {
                    "runtimeType": "io.containerd.cppvm.v1",
                    "options": {"ConfigPath": str(self._config)},
                }
            },
        }
        file = self.base / "daemon.json"
        file.write_text(json.dumps(settings))
        # Not `ip netns exec`, whose mounts containerd would not see.
        argv = ["nsenter", f"--net={self.namespace.path}", self._root / "usr/sbin/dockerd"]
        environ = dict(os.environ, CPPVM_OWNER=str(self.base))
        environ["PATH"] = f"{self._root}/usr/sbin:{self._root}/usr/bin:{environ['PATH']}"
        with open(self._log, "ab") as log:
            self._daemon = subprocess.Popen(
                [*argv, "--config-file", file],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environ,
            )  # fmt: skip
        wait_until(self._answers, "dockerd", 60)

    def _answers(self):
        if self._daemon.poll() is not None:
            raise RuntimeError(f"dockerd has ended: {self.log_text()[-3000:]}")
        return self._socket.exists() and self.run("info").code == 0

    def argv(self, *args):
        return (self._root / "usr/bin/docker", "-H", f"unix://{self._socket}", *args)

    def environ(self):
        return dict(os.environ, DOCKER_CONFIG=str(self.base / "client"))

    def load(self, archive, reference):
        """An image of ours, which has one layer."""
        for layer in oci.layers(archive):
            self.run("import", "-", reference, stdin=layer.read()).check()

    def log_text(self):
        return self._log.read_text(errors="replace")

    def stop(self):
        """Ends the daemon, in order, as systemd does."""
        self._daemon.terminate()
        try:
            self._daemon.wait(40)
        except subprocess.TimeoutExpired:
            self._daemon.kill()
            self._daemon.wait()
            raise RuntimeError(f"dockerd does not end: {self.log_text()[-3000:]}") from None

    def close(self):
        """Removes all containers and networks, then the daemon and what it has mounted."""
        if self._daemon and self._daemon.poll() is None:
            self.remove_containers()
            self.stop()
