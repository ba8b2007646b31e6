"""The same specs and the same commands under runc and under the runtime of this project: a probe inside
reports what it sees, and each difference is accepted by a line of docs/differences.md, or a fault."""

import subprocess

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


@pytest.fixture(name="tree")
def tree_fixture(tmp_path):
    """A file system with others below it: in one another, hidden by another, read-only, on a file."""
    top, file = tmp_path / "tree", tmp_path / "tree/mounted"
    mounted = []

    def mount(path, *words):
        subprocess.run(["mount", *words, path], check=True)
        mounted.append(path)

    try:
        for name in (".", "a", "a/deep", "hidden", "hidden/below", "hidden", "read-only", "bound"):
            (top / name).mkdir(exist_ok=True)
            mount(top / name, "-t", "tmpfs", "-o", "mode=777", "none")
        for directory in (top, top / "a", top / "read-only", top / "bound"):
            (directory / "program").write_text("#!/bin/sh\necho runs\n")
            (directory / "program").chmod(0o755)
        for path in (file, tmp_path / "file"):
            path.write_text("")
            path.chmod(0o666)
        mount(file, "--bind", tmp_path / "file")
        for name in ("read-only", "bound"):
            kind = "remount,ro" if name == "read-only" else "remount,bind,ro"
            subprocess.run(["mount", "-o", kind, top / name], check=True)
        yield top
    finally:
        for path in reversed(mounted):
            subprocess.run(["umount", "-l", path], check=True)


_BINDS = (
    "rbind:rw", "rbind:ro", "rbind:ro:rprivate", "rbind:rro", "rbind:ro:noexec", "rbind:ro:rnoexec",
    "rbind:noexec", "rbind:ro:rw", "rbind:nosuid:nodev", "bind:ro", "bind:rw",
)  # fmt: skip

_TRY_BELOW = """
for mount; do
  for place in . a a/deep hidden read-only bound; do
    touch $mount/$place/new 2>/dev/null && echo $mount $place is written to
    test -e $mount/$place/program && $mount/$place/program 2>/dev/null && echo ... in $mount $place
  done
  sh -c "echo x >>$mount/mounted" 2>/dev/null && echo $mount has a file that is written to
done
"""


@pytest.mark.parametrize("mapped", [False, True], ids=["plain", "user namespace"])
def test_what_is_mounted_below_a_volume(request, plain, runc_options, tree, mapped):
    # With --uidmap, ctr 1.6 drops the path of the configuration.
    ours = request.getfixturevalue("preset" if mapped else "runner")
    options = ("--uidmap", "0:100000:65536", "--gidmap", "0:100000:65536") if mapped else ()
    # runc's kernel refuses to uncover, in a user namespace, what mounts hide.
    binds = [words for words in _BINDS if words.startswith("rbind") or not mapped]
    for index, words in enumerate(binds):
        options += ("--mount", f"type=bind,src={tree},dst=/v{index},options={words}")
    script = ("sh", "-c", _TRY_BELOW, "sh", *(f"/v{index}" for index in range(len(binds))))
    expected = plain.run(*script, options=(*runc_options, *options)).check().text
    # What it is about: the flag is the volume's alone.
    read_only = f"/v{binds.index('rbind:ro')} "
    assert f"{read_only}a/deep is" in expected and f"{read_only}. is" not in expected
    assert ours.run(*script, options=options).check().text == expected


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
