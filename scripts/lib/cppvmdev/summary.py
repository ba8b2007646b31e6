"""Adds up JUnit files of a directory; the last line printed is "N passed, N failed".

    python3 -m cppvmdev.summary DIRECTORY

Before that come the names of failed tests, and those that were skipped with their reasons.
Exit code 1 if a test failed or none ran.
"""

import re
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path


def collect(directory):
    """(passed, failed names, (name, reason) of skipped ones)"""
    passed, failed, skipped = 0, [], []
    for path in sorted(Path(directory).glob("*.xml")):
        for case in ElementTree.parse(path).getroot().iter("testcase"):
            name = case.get("name")
            bad = case.find("failure") is not None or case.find("error") is not None
            if bad or case.get("status") == "fail":
                failed.append(f"{path.stem}: {name}")
            elif case.find("skipped") is not None:
                skipped.append((name, _reason(case)))
            else:
                passed += 1
    return passed, failed, skipped


def _reason(case):
    message = case.find("skipped").get("message")
    if case.get("classname", "").startswith("test_") and message:  # pytest's own file
        return message
    output = case.findtext("system-out") or ""
    # pytest: "SKIPPED [1] file:line: reason"; GoogleTest: "file:line: Skipped\nreason".
    for pattern in (r"SKIPPED \[\d+\] \S+: (.*)", r"Skipped\n+(.*)", r"^SKIPPED (.*)"):
        found = re.search(pattern, output, re.MULTILINE)
        if found:
            return found.group(1).strip()
    return "no reason given"


def main(directory):
    passed, failed, skipped = collect(directory)
    for name, reason in skipped:
        print(f"skipped: {name}: {reason}")
    for name in failed:
        print(f"failed: {name}")
    if skipped:
        print(f"{len(skipped)} skipped")
    print(f"{passed} passed, {len(failed)} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
