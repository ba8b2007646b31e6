"""Configuration files for the shim, for demonstrations and tests on this very machine."""

import json
import os
from pathlib import Path


def kvm_usable():
    """A stock kernel hangs on a KVM whose CPU has neither vmx nor svm, though /dev/kvm opens."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    words = set(Path("/proc/cpuinfo").read_text().split())
    return bool(words & {"vmx", "svm"})


def image_directory(stage):
    """Where the image of the product below `stage` is: a package's is not below it."""
    staged = Path(stage) / "share/cppvm"
    return staged.resolve() if staged.exists() else Path("/var/lib/cppvm")


def settings(stage, emulation=None):
    """Tables of a configuration that uses the programs and the image staged below `stage`.

    Emulation is set where KVM is unusable, unless `emulation` says otherwise. Empty where `stage` is
    None: an installed product needs no configuration.
    """
    if stage is None:
        return {}
    stage = Path(stage)
    libexec, image = stage / "libexec/cppvm", image_directory(stage)
    if emulation is None:
        emulation = not kvm_usable()
    tables = {
        "hypervisor": {"acceleration": "emulation" if emulation else "kvm"},
        "vsock": {},
        "vm": {
            "memory_mib": 512,
            "kernel": str(image / "vmlinuz"),
            "initramfs": str(image / "initramfs.img"),
        },
    }
    vsock_device = libexec / "vhost-device-vsock"
    if vsock_device.exists():
        tables["vsock"]["vhost_device_vsock"] = str(vsock_device)
    return tables


def to_toml(tables):
    """TOML text; keys outside a table stand under the name ""."""
    lines = []
    for name, keys in sorted(tables.items()):
        if name:
            lines.append(f"[{name}]")
        # JSON's strings, numbers and booleans are TOML's as well.
        lines += [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
    return "\n".join(lines) + "\n"


def write(path, stage, changes=None, emulation=None):
    """Writes settings() with `changes` (tables of keys) laid over them; returns the path."""
    tables = settings(stage, emulation)
    for name, keys in (changes or {}).items():
        tables.setdefault(name, {}).update(keys)
    Path(path).write_text(to_toml(tables))
    return Path(path)
