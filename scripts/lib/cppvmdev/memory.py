"""Memory of processes as the kernel accounts it (proc(5): smaps, smaps_rollup)."""

import re
from pathlib import Path


def _rollup(pid, name):
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE).group(1))


def pss_kib(pid):
    """Proportional set size: private pages, and a share of each page that others map too."""
    return _rollup(pid, "Pss")


def private_dirty_kib(pid):
    """Pages that this process alone has, and has written."""
    return _rollup(pid, "Private_Dirty")


def context_switches(pid):
    """How often its threads were put aside and woken again, all together."""
    total = 0
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        total += sum(
            int(count) for count in re.findall(r"_ctxt_switches:\s+(\d+)", status.read_text())
        )
    return total


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
