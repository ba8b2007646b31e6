"""Memory of processes as the kernel accounts it (proc(5): smaps, smaps_rollup)."""

import re
from pathlib import Path


def pss_kib(pid):
    """Proportional set size: private pages, and a share of each page that others map too."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE).group(1))


def guest_kib(pid):
    """The part of a QEMU's PSS that is the guest's memory: its mappings of memory files."""
    total, of_guest = 0, False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        words = line.split()
        if re.fullmatch(r"[0-9a-f]+-[0-9a-f]+", words[0]):
            of_guest = "memfd:" in line
        elif of_guest and words[0] == "Pss:":
            total += int(words[1])
    return total
