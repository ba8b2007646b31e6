"""The mount table, and taking mounts down."""

import ctypes
import os
import re
from dataclasses import dataclass
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)
_MNT_DETACH = 2


@dataclass(frozen=True)
class Mount:
    """One line of mountinfo, without the numbers that the kernel hands out for each mount."""

    point: str
    root: str
    options: str
    kind: str
    source: str

    def __str__(self):
        return f"{self.source} ({self.kind}, {self.options}, root {self.root}) on {self.point}"


def entries():
    """The mounts of this mount namespace, in mount order."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        head, tail = (part.split() for part in line.split(" - ", 1))
        found.append(Mount(_unescaped(head[4]), _unescaped(head[3]), head[5], tail[0], tail[1]))
    return found


def table():
    """Mount points of this mount namespace, in mount order."""
    return [mount.point for mount in entries()]


def _unescaped(word):
    return re.sub(r"\\([0-7]{3})", lambda m: chr(int(m.group(1), 8)), word)


def below(directory):
    """Mount points at or below `directory`, latest first."""
    prefix = str(directory).rstrip("/")
    return [p for p in reversed(table()) if p == prefix or p.startswith(prefix + "/")]


def unmount_below(directory):
    """Detaches every mount at or below `directory`; raises OSError if one stays."""
    for point in below(directory):
        if _libc.umount2(os.fsencode(point), _MNT_DETACH) != 0:
            error = ctypes.get_errno()
            if point in table():
                raise OSError(error, os.strerror(error), point)
