"""A build of the product under measurement, with a containerd of its own."""

import statistics
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

from .. import config, images, libvirt, processes, releases
from ..containerd import Containerd
from ..ctr import unique_id
from ..waiting import wait_until

BASE = Path("/var/lib/cppvm-bench")
NAMESPACE = "bench"
RUNC = "io.containerd.runc.v2"
CPPVM = "io.containerd.cppvm.v1"
MEMORY_MIB = 512


def say(text):
    """Tells the one who waits what is done now."""
    print(text, file=sys.stderr)


def seconds(work):
    """How long `work` took."""
    begin = time.monotonic()
    work()
    return time.monotonic() - begin


class Subject:
    def __init__(self, name, stage):
        self.name = name
        self.stage = Path(stage).resolve()
        self.samples = {}
        self.base = BASE / name
        programs = [self.stage / "bin", self.stage / "libexec/cppvm"]
        self.containerd = Containerd(releases.distribution(), self.base, programs)
        self.ctr = self.containerd.ctr(NAMESPACE)
        self.base.mkdir(parents=True, exist_ok=True)
        self.config = config.write(
            self.base / "cppvm.toml", self.stage, {"vm": {"memory_mib": MEMORY_MIB}}
        )

    def start(self):
        self.containerd.start()
        self.ctr.import_image(images.small())

    def add(self, figure, value):
        self.samples.setdefault(figure, []).append(value)

    def median(self, figure):
        return statistics.median(self.samples[figure])

    def argv(self, name, command, runtime, *options, image=images.SMALL):
        """The arguments of `ctr` that run a container."""
        runtime_options = ["--runtime", runtime]
        if runtime == CPPVM:
            runtime_options += ["--runtime-config-path", self.config]
        return self.ctr.run_argv(image, name, command, runtime_options, options)

    def container(self, runtime, *options, command=("sleep", "1000000"), image=images.SMALL):
        """A container that stays, for what is measured in it; returns its id."""
        name = unique_id("bench")
        argv = self.argv(name, list(command), runtime, "-d", "--null-io", *options, image=image)
        self.ctr.command(*argv, timeout=300).check()
        return name

    def identity(self, container):
        return next(i for i in self.containerd.identities() if i.group == container)

    def shim_address(self, container):
        """The Task API's socket of a running container."""
        text = (self.containerd.bundle(NAMESPACE, container) / "address").read_text()
        return text.removeprefix("unix://")

    def helpers(self, program, containers):
        """Processes of `program` that belong to these containers' VMs."""
        shorts = {self.identity(container).short for container in containers}
        return [
            process
            for process in processes.everything()
            if process.comm.startswith(program) and any(s in process.cmdline for s in shorts)
        ]

    def shims(self, containers):
        running = self.containerd.shims()
        return [p for p in running if any(c in p.cmdline.split() for c in containers)]

    def remove(self, containers):
        """Removes containers, and waits until their VMs are gone."""
        helpers = self.helpers("qemu-system", containers)
        for container in containers:
            self.ctr.remove(container)
        wait_until(lambda: not any(p.alive() for p in helpers), "end of the VMs", 60)


def _remove_base():
    """Not what is below: where a subject could not be removed, there may be mounts."""
    for path in BASE.glob("*"):
        if path.is_file():
            path.unlink()
    BASE.rmdir()


@contextmanager
def prepared(stages):
    """The subjects for pairs of name and stage, and libvirt for them; all is gone afterwards."""
    with ExitStack() as undo:
        BASE.mkdir(parents=True, exist_ok=True)
        undo.callback(_remove_base)
        daemons = libvirt.LibvirtDaemons(BASE / "libvirt.json")
        undo.callback(daemons.stop)
        daemons.start()
        subjects = []
        for name, stage in stages:
            subjects.append(Subject(name, stage))
            undo.callback(subjects[-1].containerd.remove)
        yield subjects
