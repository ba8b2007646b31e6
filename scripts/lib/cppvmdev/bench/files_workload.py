"""What is done with files where they are measured: in a container, or as the first process of a bare
machine (--init). Uses the standard library only.

    python3 files_workload.py DIRECTORY FILES
    python3 files_workload.py --init DIRECTORY FILES

Prints one JSON object: rates, all "more is better".
"""

import json
import os
import random
import shutil
import sys
import time

_MIB = 1 << 20
_BIG_MIB = 64
_BLOCK = 4096
_OPERATIONS = 2000
MARK = "RESULT "


def _rate(amount, work, *args):
    begin = time.monotonic()
    work(*args)
    return amount / (time.monotonic() - begin)


def _forget(path):
    """Drops what the kernel has cached of a file that is on the disk."""
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)


def _write_big(path):
    chunk = os.urandom(_MIB)
    with open(path, "wb", buffering=0) as file:
        for _ in range(_BIG_MIB):
            file.write(chunk)
        os.fsync(file.fileno())


def _read_big(path):
    with open(path, "rb", buffering=0) as file:
        while file.read(_MIB):
            pass


def _offsets():
    chosen = random.Random(1)
    return [chosen.randrange(_BIG_MIB * _MIB // _BLOCK) * _BLOCK for _ in range(_OPERATIONS)]


def _read_blocks(path):
    fd = os.open(path, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
    for offset in _offsets():
        os.pread(fd, _BLOCK, offset)
    os.close(fd)


def _write_blocks(path):
    block = os.urandom(_BLOCK)
    fd = os.open(path, os.O_WRONLY)
    for offset in _offsets():
        os.pwrite(fd, block, offset)
    os.fsync(fd)
    os.close(fd)


def _names(directory, count, per_directory):
    for number in range(count):
        parent = os.path.join(directory, str(number // per_directory))
        if number % per_directory == 0:
            os.makedirs(parent)
        yield os.path.join(parent, str(number))


def _small_files(directory, count):
    """Written, read, removed."""
    names = list(_names(directory, count, 100))
    for name in names:
        with open(name, "wb", buffering=0) as file:
            file.write(b"x" * 1024)
    for name in names:
        with open(name, "rb", buffering=0) as file:
            file.read()
    shutil.rmtree(directory)


def _clone(directory, count):
    """As git: a pack that is written and read, then a work tree of which each file is looked at."""
    os.makedirs(directory)
    pack = os.path.join(directory, "pack")
    _write_big(pack)
    _read_big(pack)
    names = list(_names(os.path.join(directory, "tree"), count, 20))
    for name in names:
        fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        os.write(fd, b"y" * 6000)
        os.fstat(fd)
        os.close(fd)
    for name in names:
        os.lstat(name)


def _install(directory, count):
    """As dpkg: each file under another name first, made safe, then renamed; a list of all."""
    os.makedirs(directory)
    for number in range(count):
        name = os.path.join(directory, str(number))
        with open(name + ".dpkg-new", "wb", buffering=0) as file:
            file.write(b"z" * 16384)
            os.fsync(file.fileno())
        os.utime(name + ".dpkg-new")
        os.chmod(name + ".dpkg-new", 0o755)
        os.rename(name + ".dpkg-new", name)
        if number % 10 == 0:
            with open(os.path.join(directory, "list"), "a", encoding="ascii") as file:
                file.write(name + "\n")
                file.flush()
                os.fsync(file.fileno())


def measure(directory, files):
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    big = os.path.join(directory, "big")
    result = {"sequential_write_mib_s": _rate(_BIG_MIB, _write_big, big)}
    _forget(big)
    result["sequential_read_mib_s"] = _rate(_BIG_MIB, _read_big, big)
    _forget(big)
    result["random_read_s"] = _rate(_OPERATIONS, _read_blocks, big)
    result["random_write_s"] = _rate(_OPERATIONS, _write_blocks, big)
    result["small_files_s"] = _rate(files, _small_files, os.path.join(directory, "small"), files)
    some = files // 10
    result["clone_files_s"] = _rate(some, _clone, os.path.join(directory, "clone"), some)
    result["install_files_s"] = _rate(some, _install, os.path.join(directory, "install"), some)
    shutil.rmtree(directory)
    return result


def main(arguments):
    as_init = arguments[0] == "--init"
    directory, files = arguments[-2:]
    print(MARK + json.dumps(measure(directory, int(files))), flush=True)
    if as_init:
        import ctypes

        os.sync()
        ctypes.CDLL(None).reboot(0x4321FEDC)  # RB_POWER_OFF, reboot(2)


if __name__ == "__main__":
    main(sys.argv[1:])
