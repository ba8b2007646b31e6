"""What differs between two reports, and which of that is accepted: the tables of docs/differences.md."""

import re
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

DOCUMENT = Path(__file__).parents[3] / "docs/differences.md"
_ROW = re.compile(r"^\| `([^`]+)` \| `([^`]+)` \| (.+) \|$")
# Words of errors differ; what they name is compared.
_IGNORED = "failure text"
_UNNAMED = "failure unnamed"


@dataclass
class Accepted:
    """A line of the document: which cases, which part of the report (shell patterns), and why."""

    cases: str
    part: str
    reason: str

    def covers(self, case, part):
        return fnmatchcase(case, self.cases) and fnmatchcase(part, self.part)


def accepted():
    rows = (_ROW.match(line) for line in DOCUMENT.read_text().splitlines())
    return [Accepted(*row.groups()) for row in rows if row]


def flatten(value, path=()):
    """Values by path ("mounts /proc 0 options"); lists are values, but for those of objects."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        value = {str(number): entry for number, entry in enumerate(value)}
    if not isinstance(value, dict) or not value:
        return {" ".join(path): value}
    result = {}
    for name, entry in value.items():
        result.update(flatten(entry, (*path, name)))
    return result


def differences(theirs, ours):
    """(path, theirs, ours) of each value that is not the same; None where there is none. Where one of
    the two failed, that alone."""
    if ("failure" in theirs) != ("failure" in ours):
        ended = [
            f"fails in {report['failure']['phase']}: {report['failure']['text']}" if "failure" in report else "runs"
            for report in (theirs, ours)
        ]
        return [("outcome", *ended)]
    left, right = flatten(theirs), flatten(ours)
    found = []
    for path in sorted(left.keys() | right.keys()):
        old, new = left.get(path), right.get(path)
        is_better = path == _UNNAMED and not new
        if path != _IGNORED and old != new and not is_better:
            found.append((path, old, new))
    return found


def _reference(runc, case):
    """runc's report. On a busy machine containerd now and then loses what a container of runc's said, or a part of
    it: that says nothing about the case, so it is asked again at once, while what cases share is as it was."""
    report = runc.report(case)
    if report.get("failure", {}).get("phase") == "probe":
        warnings.warn(f"{case.name}: not all was heard from the container with runc")
        report = runc.report(case)
    return report


def _not_accepted(case, found, ours, rules):
    """A line for each of these differences that no rule covers."""
    text = ours.get("failure", {}).get("text", "")
    return [
        f"{case.name}: {part}: {old!r} with runc, {new!r} here {text}"
        for part, old, new in found
        if not any(rule.covers(case.name, part) for rule in rules)
    ]


def assert_alike(sides, cases):
    """Runs the cases on both sides, runc's first, at the same time; AssertionError with one line for
    each difference that is not accepted."""
    rules = accepted()
    runc, our_own = sides
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(lambda: [_reference(runc, case) for case in cases])
        ours = [our_own.report(case) for case in cases]
        theirs = asked.result()
    values, differing, wrong = 0, 0, []
    for case, left, right in zip(cases, theirs, ours):
        values += len(flatten(left))
        if lines := _not_accepted(case, differences(left, right), right, rules):
            # As above, where it shows only beside ours: an empty log, or an end that was heard of before the
            # start. Ours gets no second chance.
            warnings.warn(f"runc was asked again: {'; '.join(lines)}")
            left = runc.report(case)
        found = differences(left, right)
        differing += len(found)
        wrong += _not_accepted(case, found, right, rules)
        if "failure" in left and not getattr(case, "may_fail", True):
            wrong.append(f"{case.name}: does not run with runc: {left['failure']['text']}")
    accepted_ones = differing - len(wrong)
    print(f"{len(cases)} cases, {values} values: {accepted_ones} differ and may, {len(wrong)} are wrong")
    assert not wrong, f"{len(wrong)} differences:\n" + "\n".join(wrong)
