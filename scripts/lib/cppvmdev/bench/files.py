"""Options of virtiofsd compared: the product with each, a bare QEMU with the product's, and runc.

    python3 -m cppvmdev.bench.files [--runs N] [--files N] STAGE

STAGE holds an image with the tuned kernel, which can boot from virtiofs by itself.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from .. import config, images, libvirt
from ..ctr import unique_id
from ..shell import CommandFailed
from . import bare_machine, files_workload, report
from .subject import CPPVM, MEMORY_MIB, RUNC, prepared, say

# As host/vm/share/share_server.cpp has it.
_ATTRIBUTES = (
    "--xattrmap=:ok:all:user.:user.:"
    ":ok:all:security.capability:security.capability::unsupported:all:::"
)
_CACHE = "--cache=always"
_HANDLES = "--inode-file-handles=prefer"
_OWN = [_CACHE, "--announce-submounts", _HANDLES, "--killpriv-v2", "--xattr", _ATTRIBUTES]
# For the server of root file systems: name, one of the product's options, and another in its place.
_VARIANTS = {
    "product": None,
    "cache=auto": (_CACHE, "--cache=auto"),
    "cache=never": (_CACHE, "--cache=never"),
    "writeback": (_CACHE, f"{_CACHE} --writeback"),
    "no xattr": ("--xattr", ""),
    "no killpriv-v2": ("--killpriv-v2", ""),
    "no file handles": (_HANDLES, "--inode-file-handles=never"),
}
_TIMEOUT = 1800  # s


def _program(stage):
    packaged = Path("/usr/libexec/virtiofsd")
    return packaged if packaged.exists() else Path(stage) / "libexec/cppvm/virtiofsd"


def virtiofsd(stage):
    """With the product's options."""
    return [_program(stage), *_OWN]


def _wrapper(directory, name, program, change):
    """A program in place of virtiofsd that changes the options that the shim gives."""
    path = Path(directory) / f"virtiofsd-{name.replace(' ', '-').replace('=', '-')}"
    old, new = change or ("", "")
    path.write_text(
        "#!/bin/bash\n"
        "arguments=()\n"
        'for argument; do\n'
        f'    if [[ -n "{old}" && $argument == "{old}" ]]; then arguments+=({new}); '
        'else arguments+=("$argument"); fi\n'
        "done\n"
        f'exec {program} "${{arguments[@]}}"\n'
    )
    path.chmod(0o755)
    return path


class Bench:
    def __init__(self, subject, files):
        self.subject = subject
        self.workload = ["python3", "/workload.py", "/work", str(files)]
        self.samples = {}

    def add(self, name, text):
        for figure, value in report.result_of(text, files_workload.MARK).items():
            self.samples.setdefault(name, {}).setdefault(figure, []).append(value)

    def container(self, name, runtime, options=()):
        subject = self.subject
        mount = f"type=bind,src={files_workload.__file__},dst=/workload.py,options=rbind:ro"
        argv = subject.ctr.run_argv(
            images.REAL, unique_id("files"), self.workload, ["--runtime", runtime, *options],
            ["--rm", "--mount", mount],
        )  # fmt: skip
        done = subject.ctr.command(*argv, timeout=_TIMEOUT)
        if done.code:
            lines = subject.containerd.log_text().splitlines()
            log = "\n".join(line for line in lines if "level=debug" not in line)[-4000:]
            raise RuntimeError(f"{name}: exit code {done.code}; {done.error}; containerd:\n{log}")
        self.add(name, done.text)

    def variant(self, name, directory):
        wrapper = _wrapper(directory, name, _program(self.subject.stage), _VARIANTS[name])
        path = Path(directory) / "cppvm.toml"
        tables = {"vm": {"memory_mib": MEMORY_MIB}, "hypervisor": {"virtiofsd": str(wrapper)}}
        config.write(path, self.subject.stage, tables)
        self.container(name, CPPVM, ["--runtime-config-path", path])

    def bare(self, root, directory):
        """QEMU that boots from the image's files, with the same virtiofsd."""
        words = ["/workload.py", "--init", *self.workload[2:]]
        server = virtiofsd(self.subject.stage)
        text = bare_machine.run_python(self.subject.stage, server, root, directory, words, _TIMEOUT)
        self.add("bare QEMU", text)


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench --files")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--files", type=int, default=10000, help="how many small files")
    parser.add_argument("stage")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(dir="/var/tmp", prefix="cppvm-files-") as directory,
        prepared([("files", options.stage)]) as [subject],
    ):
        bench = Bench(subject, options.files)
        subject.start()
        subject.ctr.import_image(images.real())
        root = bare_machine.unpack(directory, files_workload.__file__)
        for turn in range(options.runs):
            for name in _VARIANTS:
                say(f"files: turn {turn + 1} of {options.runs}: {name}")
                bench.variant(name, directory)
            say(f"files: turn {turn + 1} of {options.runs}: bare QEMU, runc")
            bench.bare(root, directory)
            bench.container("runc", RUNC)
    print(report.compared(bench.samples))
    print(json.dumps(bench.samples))


if __name__ == "__main__":
    try:
        main()
    except (CommandFailed, RuntimeError, libvirt.LibvirtError, images.ImageError) as failure:
        sys.exit(f"bench: {failure}")
