"""A machine with KVM and vhost-vsock on any machine: an outer VM under software emulation, whose
emulated processor has SVM.

    python3 -m cppvmdev.nested image                    prints the directory of the machine's image
    python3 -m cppvmdev.nested boot EXCHANGE [SECONDS]  boots it and runs EXCHANGE/run in it

The outer system is Debian 12 as its packages set it up: systemd, cgroup v2, containerd, libvirt with
socket activation, AppArmor, and QEMU as a user of its own. The directory EXCHANGE is /mnt there; the
machine is off when `run` has ended. What it writes to its disk is lost.
"""

import hashlib
import inspect
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from . import mounts
from .images import mirror
from .releases import CACHE
from .shell import run

PACKAGES = (
    "systemd-sysv", "udev", "dbus", "kmod", "procps", "iproute2", "busybox-static",
    # For the tests of the network.
    "containernetworking-plugins", "iptables", "iputils-ping", "netcat-openbsd",
    # The cloud kernel has neither kvm_amd nor the 9p file system.
    "linux-image-amd64", "initramfs-tools",
    "containerd", "runc", "libvirt-daemon-system", "libvirt-clients", "qemu-system-x86",
    "qemu-system-common", "apparmor", "python3", "python3-pytest",
    # For cppvmdev.messages; libprotobuf-dev has the .proto files of google.protobuf.
    "python3-protobuf", "protobuf-compiler", "libprotobuf-dev",
    # For those of CRI.
    "python3-grpcio",
)  # fmt: skip

_UNIT = """\
[Unit]
Description=What the machine was booted for
After=basic.target network.target

[Service]
Type=oneshot
TimeoutStartSec=infinity
ExecStartPre=modprobe 9pnet_virtio
ExecStartPre=udevadm settle
ExecStart=mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144 exchange /mnt
ExecStart=/mnt/run
ExecStopPost=-umount /mnt
ExecStopPost=systemctl poweroff --force --force

[Install]
WantedBy=multi-user.target
"""

# Two functions of one slot, so one IOMMU group. They do their DMA by the IOMMU, as hardware does.
SPARE_DEVICES = ("0000:00:10.0", "0000:00:10.1")
_SPARE_DEVICE = "virtio-rng-pci,iommu_platform=on,disable-legacy=on,multifunction=on,bus=pcie.0"

_INSTALL_TIMEOUT = 1500
_IMAGE_MIB = 6144  # sparse


class NestedError(Exception):
    """The machine cannot be made or did not end by itself; the text says why."""


def image():
    """Directory with `root.img`, `vmlinuz` and `initrd.img`; made when it is not in the cache."""
    recipe = _UNIT + repr(PACKAGES) + "".join(map(inspect.getsource, (_install, _set_up, _pack)))
    key = hashlib.sha256(recipe.encode()).hexdigest()[:12]
    target = CACHE / f"nested-{key}"
    if target.exists():
        return target
    CACHE.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".nested-", dir=CACHE))
    try:
        _install(work / "root")
        _set_up(work / "root")
        _pack(work)
        for old in CACHE.glob("nested-*"):
            shutil.rmtree(old)
        work.chmod(0o755)
        work.rename(target)
    finally:
        mounts.unmount_below(work)
        if work.exists():
            shutil.rmtree(work)
    return target


def _command(*argv, timeout=_INSTALL_TIMEOUT):
    environ = dict(os.environ, DEBIAN_FRONTEND="noninteractive", LC_ALL="C")
    done = run(*argv, timeout=timeout, env=environ)
    if done.code != 0:
        said = (done.text + done.error)[-1500:]
        raise NestedError(f"{argv[0]}: exit code {done.code}; it said: {said}")


def _chroot(root, *argv):
    """In namespaces of its own, so that no mount and no process of a package's script stays."""
    _command(
        "unshare", "--mount", "--pid", "--fork", "--kill-child", f"--mount-proc={root}/proc",
        "chroot", root, *argv,
    )  # fmt: skip


def _install(root):
    _command("debootstrap", "--variant=minbase", "bookworm", root, mirror())
    mounts.unmount_below(root)
    policy = root / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")  # no service starts here
    policy.chmod(0o755)
    # What the initial file system needs, instead of every driver there is: it takes as long to load
    # as the rest of the boot.
    (root / "etc/initramfs-tools/conf.d").mkdir(parents=True)
    (root / "etc/initramfs-tools/conf.d/machine").write_text("MODULES=list\nCOMPRESS=zstd\n")
    (root / "etc/initramfs-tools/modules").write_text("virtio_pci\nvirtio_blk\next4\n")
    _chroot(
        root, "apt-get", "-q", "-y", "-o", "Dpkg::Use-Pty=0",
        "-o", "Dpkg::Options::=--force-unsafe-io", "-o", "Dpkg::Options::=--force-confold",
        "install", "--no-install-recommends", *PACKAGES,
    )  # fmt: skip
    policy.unlink()


def _set_up(root):
    (root / "etc/hostname").write_text("nested\n")
    (root / "etc/fstab").write_text("")
    (root / "etc/resolv.conf").write_text("")
    (root / "etc/systemd/system/machine.service").write_text(_UNIT)
    _chroot(root, "systemctl", "enable", "machine.service")
    # Its socket starts it, as on a machine where it has been idle for two minutes.
    _chroot(root, "systemctl", "disable", "libvirtd.service")
    (root / "etc/systemd/system/libvirtd.socket.wants").mkdir(exist_ok=True)
    _chroot(root, "systemctl", "enable", "libvirtd.socket", "virtlogd.socket")
    for name in ("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer",
                 "e2scrub_all.timer", "fstrim.timer", "libvirt-guests.service"):  # fmt: skip
        (root / "etc/systemd/system" / name).symlink_to("/dev/null")
    for pattern in ("var/cache/apt/*", "var/lib/apt/lists/*", "usr/share/doc/*", "usr/share/man/*",
                    "usr/share/locale/*"):  # fmt: skip
        for path in root.glob(pattern):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _pack(work):
    root = work / "root"
    (work / "vmlinuz").write_bytes(next((root / "boot").glob("vmlinuz-*")).read_bytes())
    (work / "initrd.img").write_bytes(next((root / "boot").glob("initrd.img-*")).read_bytes())
    _command("mke2fs", "-q", "-t", "ext4", "-m", "0", "-O", "^has_journal", "-d", root,
             work / "root.img", f"{_IMAGE_MIB}M")  # fmt: skip
    shutil.rmtree(root)


def _processors(monitor):
    """What the machine's processors are at; or why that is not known."""
    said = b""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        try:
            connection.connect(monitor)
            connection.sendall(b"info registers -a\n")
            while part := connection.recv(65536):
                said += part
        except TimeoutError:
            pass  # it has said all
        except OSError as error:
            return f"its monitor does not answer: {error}"
    lines = said.decode(errors="replace").splitlines()
    return "; ".join(line.strip() for line in lines if line.startswith(("CPU#", "RIP", "CR3")))


def _spare_devices():
    """Their options."""
    for address in SPARE_DEVICES:
        yield from ("-device", f"{_SPARE_DEVICE},addr={address.rpartition(':')[2]}")


def boot(exchange, timeout):
    """Boots the machine, which runs `exchange`/run, and waits for its end. The outer console is
    written to `exchange`/console.log. Raises NestedError when the machine does not end in time."""
    files = image()
    console = Path(exchange) / "console.log"
    argv = [
        # It ends with this process, whatever ends this one.
        "setpriv", "--pdeathsig", "KILL", "--",
        "qemu-system-x86_64", "-nodefaults", "-no-reboot", "-display", "none",
        "-machine", "q35,sata=off,smbus=off,kernel-irqchip=split",
        # Before all that it stands in front of.
        "-device", "intel-iommu,intremap=on,caching-mode=on",
        "-accel", "tcg,thread=multi,tb-size=1024",
        # No erms and fsrm, as the product has it: they are slow where emulated.
        "-cpu", "max,-erms,-fsrm,-la57",
        "-smp", "2", "-m", "6144",
        "-kernel", files / "vmlinuz", "-initrd", files / "initrd.img",
        "-append", "root=/dev/vda rw console=ttyS0 panic=-1 quiet systemd.show_status=no "
        "intel_iommu=on iommu=pt",
        "-drive", f"file={files}/root.img,format=raw,if=none,id=root,snapshot=on,cache=unsafe",
        "-device", "virtio-blk-pci,drive=root",
        "-virtfs", f"local,path={exchange},mount_tag=exchange,security_model=none,multidevs=remap",
        "-device", "virtio-rng-pci",
        *_spare_devices(),
        "-serial", f"file:{console}", "-monitor", f"unix:{exchange}/monitor,server=on,wait=off",
    ]  # fmt: skip
    begin = time.monotonic()
    with subprocess.Popen(list(map(str, argv)), stdin=subprocess.DEVNULL) as machine:
        try:
            code = machine.wait(timeout)
        except subprocess.TimeoutExpired:
            state = _processors(f"{exchange}/monitor")
            raise NestedError(f"the machine did not end within {timeout} s: {state}") from None
        finally:
            machine.kill()
    if code != 0:
        raise NestedError(f"qemu-system-x86_64: exit code {code}")
    return time.monotonic() - begin


def main(arguments):
    if arguments == ["image"]:
        print(image())
    elif arguments[:1] == ["boot"] and len(arguments) in (2, 3):
        timeout = float(arguments[2]) if len(arguments) == 3 else 600
        seconds = boot(Path(arguments[1]).resolve(), timeout)
        print(f"the machine was up for {seconds:.0f} s")
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except NestedError as failure:
        sys.exit(f"nested: {failure}")
