"""Debian 13 on Debian 12: a root of its own, in namespaces of its own, with the newer distribution's
libvirt, QEMU, virtiofsd and containerd on this machine's kernel.

    python3 -m cppvmdev.debian13 root             prints the directory of the root; made when missing
    python3 -m cppvmdev.debian13 run DIRECTORY    runs DIRECTORY/run in it; DIRECTORY is /mnt there

The root in the cache is never written to: an overlay takes what is changed, and is lost. No network
but a loopback is there, no systemd, and no process stays.
"""

import hashlib
import inspect
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from . import mounts
from .images import mirror
from .releases import CACHE
from .shell import run

PACKAGES = (
    "containerd", "runc", "libvirt-daemon-system", "libvirt-daemon-driver-qemu", "libvirt-clients",
    "qemu-system-x86", "virtiofsd", "busybox-static", "python3", "python3-pytest", "procps", "iproute2",
    "tini", "zstd",
    # For cppvmdev.messages; libprotobuf-dev has the .proto files of google.protobuf.
    "python3-protobuf", "protobuf-compiler", "libprotobuf-dev",
)  # fmt: skip

_INSTALL_TIMEOUT = 1500

# In a mount namespace of its own. $1: the root, $2: a directory for mount points, $3: the exchange.
_ENTER = """
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs "$2"
mkdir "$2/upper" "$2/work" "$2/root"
mount -t overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" overlay "$2/root"
cd "$2/root"
mount -t proc proc proc
# That of the network namespace; libvirtd looks up each interface that it shows.
mount -t sysfs sysfs sys
mount --rbind /sys/fs/cgroup sys/fs/cgroup
mount --rbind /dev dev
# Groups have other numbers here, and the host's libvirtd looks at the node's owner.
if [ -e dev/kvm ]; then
    cp -a dev/kvm "$2/kvm"
    mount --bind "$2/kvm" dev/kvm
fi
mount --bind "$3" mnt
# Not on the overlay, where containerd could not make another one.
for directory in run tmp var/lib/containerd; do
    mkdir -p "$directory"
    mount -t tmpfs -o mode=0755 tmpfs "$directory"
done
chmod 1777 tmp
ip link set lo up
# Not chroot(2) alone: the root of each mount namespace would still be the machine's, and a process that
# enters virtiofsd's by setns(2) would find itself there.
mkdir old
pivot_root . old
exec chroot . sh -c 'umount -l /old && rmdir /old && exec /mnt/run'
"""


class Debian13Error(Exception):
    """The root cannot be made; the text says why."""


def root():
    """Directory of the root; made when it is not in the cache."""
    recipe = repr(PACKAGES) + inspect.getsource(_install)
    target = CACHE / f"debian13-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    if target.exists():
        return target
    CACHE.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".debian13-", dir=CACHE))
    try:
        _install(work)
        for old in CACHE.glob("debian13-*"):
            shutil.rmtree(old)
        work.chmod(0o755)
        work.rename(target)
    finally:
        mounts.unmount_below(work)
        if work.exists():
            shutil.rmtree(work)
    return target


def _command(*argv):
    environ = dict(os.environ, DEBIAN_FRONTEND="noninteractive", LC_ALL="C")
    done = run(*argv, timeout=_INSTALL_TIMEOUT, env=environ)
    if done.code != 0:
        said = (done.text + done.error)[-1500:]
        raise Debian13Error(f"{argv[0]}: exit code {done.code}; it said: {said}")


def _install(directory):
    _command("debootstrap", "--variant=minbase", "trixie", directory, mirror())
    mounts.unmount_below(directory)
    policy = directory / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")  # no service starts here
    policy.chmod(0o755)
    # In namespaces of its own, so that no mount and no process of a package's script stays.
    _command(
        "unshare", "--mount", "--pid", "--fork", "--kill-child", f"--mount-proc={directory}/proc",
        "chroot", directory, "apt-get", "-q", "-y", "-o", "Dpkg::Use-Pty=0",
        "-o", "Dpkg::Options::=--force-unsafe-io", "install", "--no-install-recommends", *PACKAGES,
    )  # fmt: skip
    for pattern in ("var/cache/apt/*", "var/lib/apt/lists/*", "usr/share/doc/*", "usr/share/man/*"):
        for path in directory.glob(pattern):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def enter(exchange):
    """Runs `exchange`/run in the root, and ends every process that it leaves; returns its code."""
    directory = tempfile.mkdtemp(prefix="cppvm-debian13-")
    try:
        return subprocess.run(
            ["unshare", "--mount", "--pid", "--net", "--ipc", "--uts", "--fork", "--kill-child",
             "bash", "-c", _ENTER, "enter", root(), directory, exchange],
            stdin=subprocess.DEVNULL,
            check=False,
        ).returncode  # fmt: skip
    finally:
        os.rmdir(directory)


def main(arguments):
    if arguments == ["root"]:
        print(root())
    elif arguments[:1] == ["run"] and len(arguments) == 2:
        sys.exit(enter(Path(arguments[1]).resolve()))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except Debian13Error as failure:
        sys.exit(f"debian13: {failure}")
