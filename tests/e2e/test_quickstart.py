"""The quick start, as somebody new runs it."""

import os
import platform
import re
from pathlib import Path

import pytest

from cppvmdev import releases, shell
from cppvmdev.containerd import Containerd
from cppvmdev.leftovers import Gone, Leftovers

_PROGRAM = Path(__file__).parents[2] / "scripts/quickstart"
_BUILD_TIMEOUT = 1500  # without a compiler cache

pytestmark = pytest.mark.vm


@pytest.fixture(name="demo")
def demo_fixture(tmp_path):
    """A function that runs the quick start with a directory of its own; `--down` at the end."""
    base = tmp_path / "demo"
    environ = dict(os.environ, CPPVM_DEMO_BASE=str(base))

    def run(*arguments):
        return shell.run(_PROGRAM, *arguments, env=environ, timeout=_BUILD_TIMEOUT)

    run.base = base
    yield run
    run("--down")


def _commands(output):
    """The ctr commands that the quick start prints, without the one that wants a terminal."""
    lines = [line.strip() for line in output.split("Try next:")[1].splitlines()]
    return [line for line in lines if line.startswith("ctr ") and " -t " not in line]


def test_up_twice_and_down(demo):
    first = demo().check().text
    guest = re.search(r"guest kernel +(\S+)", first).group(1)
    assert re.search(r"host kernel +(\S+)", first).group(1) == platform.release() != guest
    assert re.search(r"ready for containers +\d+", first)

    second = demo().check().text
    assert re.search(r"guest kernel +(\S+)", second).group(1) == guest

    outputs = [shell.run("sh", "-c", line).check().text for line in _commands(second)]
    assert any(guest in output for output in outputs), outputs

    traces = Gone(demo.base / "containerd", _containers(demo.base))
    assert traces.known
    demo("--down").check()
    assert not demo.base.exists()
    Leftovers(traces).wait_none()
    demo("--down").check()


def test_down_takes_running_containers_along(demo):
    output = demo().check().text
    start = next(line for line in _commands(output) if " run -d " in line)
    shell.run("sh", "-c", start).check()
    traces = Gone(demo.base / "containerd", _containers(demo.base, "box"))
    demo("--down").check()
    Leftovers(traces).wait_none()


def _containers(base, *more):
    containerd = Containerd(releases.distribution(), base / "containerd")
    for name in more:
        containerd.remember("demo", name)
    return containerd.identities()
