"""Block devices of the host, made of files."""

import subprocess
from contextlib import contextmanager
from pathlib import Path

MIB = 1024 * 1024


def make_image(path, mib=8):
    """A file of zeros."""
    with open(path, "wb") as file:
        file.truncate(mib * MIB)
    return Path(path)


def make_ext4(path, mib=64, source=None):
    """A file with an ext4 file system, of the files in the directory `source`."""
    make_image(path, mib)
    files = ("-d", source) if source else ()
    subprocess.run(["mkfs.ext4", "-q", "-F", *files, path], check=True)
    return Path(path)


def make_erofs(path, source):
    """A file with an erofs file system, of the files in the directory `source`."""
    subprocess.run(["mkfs.erofs", "--quiet", path, source], check=True, stdout=subprocess.DEVNULL)
    return Path(path)


@contextmanager
def loop_device(image, *options):
    """The path of a loop device on `image`."""
    argv = ["losetup", "--find", "--show", *options, str(image)]
    device = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()
    try:
        yield device
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)


def loops_of(image):
    """The loop devices that a file has."""
    argv = ["losetup", "--noheadings", "--output", "NAME", "--associated", str(image)]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.split()
