"""Containers that are made from a config.json, for what no option of `ctr run` says."""

import json
import subprocess

from cppvmdev.ctr import unique_id
from cppvmdev.images import SMALL

from .runner import START_TIMEOUT, Container


class SpecRunner:
    """Makes containers with the root file system of an image, copied into a directory."""

    def __init__(self, runner, directory, image=SMALL):
        self.runner = runner
        self.root = directory / "root"
        self.config = directory / "config.json"
        mount = directory / "image"
        mount.mkdir()
        self.runner.ctr.command("images", "mount", image, mount).check()
        subprocess.run(["cp", "-a", mount, self.root], check=True)
        self.runner.ctr.command("images", "unmount", "--rm", mount).check()

    def with_runtime(self, runtime):
        """The same directory for containers of another runtime."""
        other = object.__new__(SpecRunner)
        other.__dict__.update(self.__dict__)
        other.runner = self.runner.with_config(None).with_runtime(runtime)
        return other

    def _argv(self, edit, command, options):
        spec = json.loads(self.runner.ctr.command("oci", "spec").check().text)
        spec["linux"].pop("seccomp", None)
        spec["root"] = {"path": str(self.root)}
        spec["process"].update(args=list(command), env=["PATH=/usr/sbin:/usr/bin:/sbin:/bin"])
        container = Container(self.runner, unique_id())
        spec["linux"]["cgroupsPath"] = f"/cppvm-e2e/{container.name}"
        edit(spec)
        self.config.write_text(json.dumps(spec))
        options = (*options, "--config", self.config)
        argv = self.runner.argv(container.name, options=options, image="")
        return container, [argument for argument in argv if argument]

    def run(self, edit, *command):
        """The whole life of a container whose spec `edit(spec)` has changed."""
        container, argv = self._argv(edit, command, ("--rm",))
        self.runner.containers.append(container)
        return self.runner.ctr.command(*argv, timeout=START_TIMEOUT)

    def start(self, edit, *command):
        """One that goes on by itself."""
        container, argv = self._argv(edit, command, ("-d", "--null-io"))
        self.runner.containers.append(container)
        self.runner.ctr.command(*argv, timeout=START_TIMEOUT).check()
        return container
