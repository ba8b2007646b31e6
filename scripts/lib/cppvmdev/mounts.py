"""The mount table, and taking mounts down."""

import ctypes
import os
import re
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)
_MNT_DETACH = 2


def table():
    """Mount points of this mount namespace, in mount order."""
    points = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        point = line.split()[4]
        points.append(re.sub(r"\\([0-7]{3})", lambda m: chr(int(m.group(1), 8)), point))
    return points


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
