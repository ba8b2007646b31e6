"""QEMU alone, as like the product's machine as its options allow."""

import subprocess
import tarfile
from pathlib import Path

from .. import config, images, oci
from ..waiting import wait_until
from .subject import MEMORY_MIB


def argv(kernel, command_line, *devices):
    """The arguments of a QEMU that boots `kernel`; its first serial port is at stdin and stdout."""
    # As host/vm/libvirt/domain_xml.cpp.
    processor = ["-accel", "tcg", "-cpu", "max,-erms,-fsrm", "-smp", "1,maxcpus=2"]
    if config.kvm_usable():
        processor = ["-accel", "kvm", "-cpu", "host", "-smp", "1"]
    # As host/config/firmware.hpp.
    firmware = ["-bios", "qboot.rom"] if Path("/usr/share/qemu/qboot.rom").exists() else []
    return [
        "qemu-system-x86_64", "-machine", "q35,vmport=off,hpet=off", *processor, *firmware,
        "-m", str(MEMORY_MIB), "-nodefaults", "-no-user-config",
        "-display", "none", "-no-reboot", "-serial", "stdio",
        "-kernel", kernel, "-append", command_line, *devices,
    ]  # fmt: skip


def unpack(directory, workload):
    """The files of the larger image, with that Python program at /workload.py; returns the root."""
    root = Path(directory) / "root"
    for layer in oci.layers(images.real()):
        with tarfile.open(fileobj=layer) as files:
            files.extractall(root)  # an image of ours, as root
    (root / "workload.py").write_bytes(Path(workload).read_bytes())
    return root


def run_python(stage, server, root, directory, words, timeout, *devices, within=()):
    """Boots from `root` by a virtiofsd (`server`: program and options), with Python and `words` as
    the first process, by the tuned kernel; returns what it says. `within`: what starts QEMU."""
    socket = Path(directory) / "fs.sock"
    virtiofsd = subprocess.Popen(
        [*server, f"--socket-path={socket}", "--shared-dir", root],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    line = (
        "console=ttyS0 quiet panic=-1 noreplace-smp no_timer_check rootfstype=virtiofs "
        "root=root rw init=/usr/bin/python3 -- "
    ) + " ".join(words)
    machine = argv(
        Path(stage) / "share/cppvm/vmlinuz", line,
        "-object", f"memory-backend-memfd,id=mem,size={MEMORY_MIB}M,share=on",
        "-numa", "node,memdev=mem", "-chardev", f"socket,id=fs,path={socket}",
        "-device", "vhost-user-fs-pci,chardev=fs,tag=root", *devices,
    )  # fmt: skip
    try:
        wait_until(lambda: socket.exists() or virtiofsd.poll() is not None, "virtiofsd")
        return subprocess.run(
            [*within, *machine],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=timeout, check=True,
        ).stdout.decode(errors="replace")  # fmt: skip
    finally:
        virtiofsd.kill()
        virtiofsd.wait()
