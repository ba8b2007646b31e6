"""One thing that is done by CRI, and what is reported of it."""

from dataclasses import dataclass


@dataclass
class Case:
    """`act(side)` gives the report, a dictionary. One that raises a gRPC error is reported as a failure,
    which with runc is a fault of the table's unless it `may_fail`."""

    name: str
    act: object
    may_fail: bool = False


def collect():
    """(cases, decorator): the decorator makes a function a case by the words of its docstring."""
    cases = []

    def case(function):
        cases.append(Case(function.__doc__, function))
        return function

    return cases, case


def saying(name, script, pod=None, may_fail=False, **config):
    """A container of that configuration that runs the script: how it exits and what it says."""
    return Case(name, lambda side: side.say(script, pod=pod, **config), may_fail)


def secured(name, script, may_fail=False, **context):
    """As above, with that security context."""
    return saying(name, script, may_fail=may_fail, linux={"security_context": context})


def refused(name, **config):
    """A container that does not start."""
    return saying(name, "true", may_fail=True, **config)
