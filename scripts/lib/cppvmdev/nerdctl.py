"""nerdctl with a containerd below a directory, both in a network namespace, where its bridges are, and
in a mount namespace, where the product's configuration is at its usual place: nerdctl names none."""

from pathlib import Path

from . import configured, images, releases
from .containerd import Containerd
from .engine import Engine
from .shell import run

_NAMESPACE = "nerdctl"


def program():
    """Raises releases.Unavailable unless it has been built."""
    done = run(Path(__file__).parents[2] / "fetch-nerdctl", "--cached")
    if done.code != 0:
        raise releases.Unavailable("nerdctl was not built: scripts/fetch-nerdctl")
    return done.text.strip()


class Nerdctl(Engine):
    """From start() to close()."""

    def __init__(self, base, namespace, stage, runtime):
        self.base, self.runtime = Path(base), runtime
        self._program = program()
        self.containerd = Containerd(
            releases.distribution(),
            self.base / "containerd",
            [stage / "bin", stage / "libexec/cppvm"],
            prefix=("nsenter", f"--net={namespace.path}", *configured.prefix(self.base, stage)),
        )

    def start(self):
        self.containerd.start()
        self.containerd.ctr(_NAMESPACE).import_image(images.small())

    def argv(self, *args):
        daemon = self.containerd.process()
        return (
            "nsenter", f"--target={daemon.pid}", "--net", "--mount",
            self._program, "--address", self.containerd.address, "--namespace", _NAMESPACE,
            "--cni-path", "/usr/lib/cni", "--cni-netconfpath", self.base / "networks",
            "--data-root", self.base / "data", *args,
        )  # fmt: skip

    def environ(self):
        return self.containerd.environ()

    def close(self):
        """Removes all containers, and the daemon with what it has mounted."""
        if self.containerd.process():
            self.remove_containers()
        self.containerd.remove()
