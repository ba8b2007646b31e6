"""The same specs and the same commands under runc and under the runtime of this project: a probe inside
reports what it sees, and each difference is accepted by a line of docs/differences.md, or a fault."""

import pytest

from conftest import both_versions
from cppvmdev import releases, runc
from differential import commands, failures, table
from differential.compare import assert_alike
from differential.side import CommandSide, EngineSide, Side
from harness import settings

pytestmark = [pytest.mark.vm, pytest.mark.runs_runc]

_PROBE = settings.STAGE.parent / "tests/e2e/probe/probe"


@pytest.fixture(name="runc_options")
def runc_options_fixture():
    """Of `ctr run`, for a current runc."""
    try:
        return ("--runc-binary", runc.program())
    except releases.Unavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture(name="plain")
def plain_fixture(runner):
    """A runner of runc's."""
    return runner.with_config(None).with_runtime("io.containerd.runc.v2")


@pytest.fixture(name="sides")
def sides_fixture(runner, plain, runc_options, tmp_path):
    """runc's and ours."""
    theirs = Side(plain, tmp_path / "runc", _PROBE, runc_options)
    ours = Side(runner, tmp_path / "ours", _PROBE)
    ours.start_pod()
    yield theirs, ours
    ours.stop_pod()


@pytest.fixture(name="volume")
def volume_fixture(tmp_path):
    """What cases bind."""
    volume = tmp_path / "volume"
    (volume / "below").mkdir(parents=True)
    # Also a passwd(5).
    (volume / "file").write_text("root:x:0:0:root:/elsewhere:/bin/sh\n")
    return volume


def test_specs_that_run(sides, volume):
    assert_alike(sides, table.cases(volume))


def test_specs_that_fail(sides, volume):
    assert_alike(sides, failures.failures(volume))


@both_versions
def test_options_of_ctr_run(runner, plain, runc_options, volume):
    sides = (CommandSide(plain, _PROBE, runc_options), CommandSide(runner, _PROBE))
    every = commands.of_ctr(volume, settings.RELEASE)
    assert not commands.untried(runner.ctr.command("run", "--help").text, every)
    assert_alike(sides, every)


def test_options_of_docker_run(docker, volume):
    sides = (EngineSide(docker, "runc", _PROBE), EngineSide(docker, docker.runtime, _PROBE))
    every = commands.of_docker(volume)
    assert not commands.untried(docker.text("run", "--help"), every)
    assert_alike(sides, every)


@pytest.mark.skipif(not settings.LONG, reason="takes minutes: CPPVM_E2E_LONG=1")
def test_options_of_nerdctl_run(nerdctl, volume):
    sides = (
        EngineSide(nerdctl, "io.containerd.runc.v2", _PROBE),
        EngineSide(nerdctl, nerdctl.runtime, _PROBE),
    )
    every = commands.of_nerdctl(volume)
    assert not commands.untried(nerdctl.text("run", "--help"), every)
    assert_alike(sides, every)
