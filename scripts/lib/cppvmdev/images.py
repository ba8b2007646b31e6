"""The images that demonstrations and tests run, made from Debian packages without a registry.

    python3 -m cppvmdev.images [small|real|servers|pause ...]      prints the path of each archive

Archives are kept in the cache directory under a name that changes with their recipe.
"""

import hashlib
import inspect
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from . import mounts, oci
from .releases import CACHE
from .shell import run

SMALL = "cppvm.test/busybox:1"
REAL = "cppvm.test/debian:1"
SERVERS = "cppvm.test/servers:1"
PAUSE = "cppvm.test/pause:1"

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class ImageError(Exception):
    """An image cannot be made; the text says why."""


def small():
    """Archive of SMALL: static busybox with all its applets, users root and nobody, nothing else."""
    return _cached("busybox", SMALL, fill_small, {"Env": [PATH], "Cmd": ["/bin/sh"]})


def pause():
    """Archive of PAUSE: what CRI runs first in each pod."""
    return _cached("pause", PAUSE, fill_small, {"Env": [PATH], "Cmd": ["/bin/sleep", "2147483647"]})


def of_user(number, user):
    """(reference, archive) of an image like SMALL, whose configuration has that user."""
    reference = f"cppvm.test/of-user-{number}:1"
    return reference, _cached("of-user", reference, fill_small, {"Env": [PATH], "User": user})


def real():
    """Archive of REAL: Debian's minimal system with bash, apt and python3, some 100 MB."""
    return _cached("debian", REAL, fill_debian, {"Env": [PATH], "Cmd": ["/bin/bash"]})


def servers():
    """Archive of SERVERS: Debian with nginx, Redis, PostgreSQL and iperf3, and their clients."""
    return _cached("servers", SERVERS, _fill_servers, {"Env": [PATH], "Cmd": ["/bin/bash"]})


def _cached(name, reference, fill, config):
    recipe = inspect.getsource(fill) + inspect.getsource(oci) + reference + repr(config)
    key = hashlib.sha256(recipe.encode()).hexdigest()[:12]
    archive = CACHE / "images" / f"{name}-{key}.tar"
    if archive.exists():
        return archive
    archive.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=archive.parent))
    try:
        (work / "root").mkdir(mode=0o755)
        fill(work / "root")
        oci.layer_from_directory(work / "root", work / "layer.tar")
        oci.write_archive(archive, work / "layer.tar", reference, config)
    finally:
        mounts.unmount_below(work)  # debootstrap mounts /proc
        shutil.rmtree(work)
    return archive


def fill_small(root):
    busybox = Path("/bin/busybox")
    if not busybox.exists() or not _is_static(busybox):
        raise ImageError("/bin/busybox is not the static one: scripts/install-deps run")
    for directory in ("bin", "sbin", "usr/bin", "usr/sbin", "etc", "root", "proc", "sys", "dev", "var"):
        (root / directory).mkdir(parents=True, exist_ok=True)
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)
    shutil.copy(busybox, root / "bin/busybox")
    for applet in run(busybox, "--list-full").check().text.split():
        link = root / applet
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.exists():
            link.symlink_to("/bin/busybox")
    (root / "etc/passwd").write_text(
        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"
    )
    (root / "etc/group").write_text("root:x:0:\ntty:x:5:\nnogroup:x:65534:\n")


# Who runs servers that want a user who has a name.
_OPERATOR = "operator:x:7000:7000:operator:/:/bin/sh\n"


def _fill_servers(root):
    fill_debian(root, "nginx-light,redis-server,postgresql-15,iperf3")
    with open(root / "etc/passwd", "a", encoding="utf-8") as users:
        users.write(_OPERATOR)


def fill_debian(root, packages="python3"):
    """Its minimal system, and these packages."""
    done = subprocess.run(
        ["debootstrap", "--variant=minbase", f"--include={packages}", "bookworm", str(root), mirror()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=dict(os.environ, DEBIAN_FRONTEND="noninteractive"),
        timeout=900,
        check=False,
    )
    if done.returncode != 0:
        said = done.stdout.decode(errors="replace")[-1500:]
        raise ImageError(f"debootstrap: exit code {done.returncode}; it said: {said}")
    mounts.unmount_below(root)
    # What no test reads: it doubles the size.
    for pattern in (
        "var/cache/apt/*", "var/lib/apt/lists/*", "var/lib/postgresql/*/*", "var/log/*", "usr/share/doc/*",
        "usr/share/man/*", "usr/share/info/*", "usr/share/locale/*", "usr/share/zoneinfo/*",
        "debootstrap", "usr/lib/python3*/test",
    ):  # fmt: skip
        for path in root.glob(pattern):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    # Device nodes come from the runtime.
    for path in (root / "dev").iterdir():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    (root / "etc/resolv.conf").write_text("")


def mirror():
    """The Debian mirror to fetch from."""
    return run(Path(__file__).parents[1] / "debian-mirror").check().text.strip()


def _is_static(program):
    """A 64-bit ELF program without a PT_INTERP segment needs no dynamic loader."""
    data = program.read_bytes()
    table = int.from_bytes(data[32:40], "little")
    size = int.from_bytes(data[54:56], "little")
    count = int.from_bytes(data[56:58], "little")
    pt_interp = 3
    kinds = (data[table + i * size : table + i * size + 4] for i in range(count))
    return data[:5] == b"\x7fELF\x02" and pt_interp.to_bytes(4, "little") not in kinds


def main(names):
    makers = {"small": small, "real": real, "servers": servers, "pause": pause}
    for name in names or makers:
        if name not in makers:
            sys.exit(f"unknown image '{name}'; known: {', '.join(makers)}")
        print(makers[name]())


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except ImageError as failure:
        sys.exit(f"images: {failure}")
