"""QEMU alone, as like the product's machine as its options allow."""

from pathlib import Path

from .. import config
from .subject import MEMORY_MIB


def argv(kernel, command_line, *devices):
    """The arguments of a QEMU that boots `kernel`; its first serial port is at stdin and stdout."""
    processor = ["-accel", "tcg", "-cpu", "max,-erms,-fsrm"]
    if config.kvm_usable():
        processor = ["-accel", "kvm", "-cpu", "host"]
    # As host/config/firmware.hpp.
    firmware = ["-bios", "qboot.rom"] if Path("/usr/share/qemu/qboot.rom").exists() else []
    return [
        "qemu-system-x86_64", "-machine", "q35,vmport=off,hpet=off", *processor, *firmware,
        "-m", str(MEMORY_MIB), "-smp", "1", "-nodefaults", "-no-user-config",
        "-display", "none", "-no-reboot", "-serial", "stdio",
        "-kernel", kernel, "-append", command_line, *devices,
    ]  # fmt: skip
