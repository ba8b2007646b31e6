"""Options of virtiofsd compared: the product with each, a bare QEMU with the product's, and runc.

    python3 -m cppvmdev.bench.files [--runs N] [--files N] STAGE

STAGE holds an image with the tuned kernel, which can boot from virtiofs by itself.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from .. import config, images, libvirt
from ..ctr import unique_id
from ..shell import CommandFailed
from ..waiting import wait_until
from . import bare_machine, files_workload
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


def _result(text):
    for line in text.splitlines():
        if files_workload.MARK in line:
            return json.loads(line.split(files_workload.MARK, 1)[1])
    raise RuntimeError(f"the workload gave no result; it said: {text[-500:]}")


def _program(stage):
    packaged = Path("/usr/libexec/virtiofsd")
    return packaged if packaged.exists() else Path(stage) / "libexec/cppvm/virtiofsd"


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
        for figure, value in _result(text).items():
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
        socket = Path(directory) / "fs.sock"
        server = subprocess.Popen(
            [_program(self.subject.stage), f"--socket-path={socket}", "--shared-dir", root, *_OWN],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            wait_until(lambda: socket.exists() or server.poll() is not None, "virtiofsd")
            self.add("bare QEMU", self._boot(socket))
        finally:
            server.kill()
            server.wait()

    def _boot(self, socket):
        line = (
            "console=ttyS0 quiet panic=-1 noreplace-smp no_timer_check rootfstype=virtiofs "
            "root=root rw init=/usr/bin/python3 -- /workload.py --init "
        ) + " ".join(self.workload[2:])
        argv = bare_machine.argv(
            self.subject.stage / "share/cppvm/vmlinuz", line,
            "-object", f"memory-backend-memfd,id=mem,size={MEMORY_MIB}M,share=on",
            "-numa", "node,memdev=mem", "-chardev", f"socket,id=fs,path={socket}",
            "-device", "vhost-user-fs-pci,chardev=fs,tag=root",
        )  # fmt: skip
        return subprocess.run(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=_TIMEOUT, check=True
        ).stdout.decode(errors="replace")


def _unpack(directory):
    """The files of the image, with the workload among them."""
    root = Path(directory) / "root"
    with tarfile.open(images.real()) as archive:

        def blob(digest):
            return archive.extractfile("blobs/" + digest.replace(":", "/"))

        index = json.load(archive.extractfile("index.json"))
        for layer in json.load(blob(index["manifests"][0]["digest"]))["layers"]:
            with tarfile.open(fileobj=blob(layer["digest"])) as files:
                files.extractall(root)  # an image of ours, as root
    (root / "workload.py").write_bytes(Path(files_workload.__file__).read_bytes())
    return root


def _table(samples):
    names = list(samples)
    figures = list(samples[names[0]])
    lines = ["| | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for figure in figures:
        middle = [statistics.median(samples[name][figure]) for name in names]
        lines.append(f"| {figure} | " + " | ".join(f"{value:.3g}" for value in middle) + " |")
    return "\n".join(lines)


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
        root = _unpack(directory)
        for turn in range(options.runs):
            for name in _VARIANTS:
                say(f"files: turn {turn + 1} of {options.runs}: {name}")
                bench.variant(name, directory)
            say(f"files: turn {turn + 1} of {options.runs}: bare QEMU, runc")
            bench.bare(root, directory)
            bench.container("runc", RUNC)
    print(_table(bench.samples))
    print(json.dumps(bench.samples))


if __name__ == "__main__":
    try:
        main()
    except (CommandFailed, RuntimeError, libvirt.LibvirtError, images.ImageError) as failure:
        sys.exit(f"bench: {failure}")
