"""Containers in user namespaces, and mounts whose owners are mapped. As with runc: the version of it
that does not know id-mapped mounts is compared with where it can be."""

import difflib
import os
from pathlib import Path

import pytest

from conftest import both_versions
from harness import settings
from harness.spec import SpecRunner
from harness.terminal import Terminal

pytestmark = pytest.mark.vm

_FIRST = 100000
_MAP = f"0:{_FIRST}:65536"
_MAPPED = ("--uidmap", _MAP, "--gidmap", _MAP)
_RUNC = "io.containerd.runc.v2"

# Without what a kernel of its own brings; nodes have the owners that the spec says, not nobody, and
# the group of /dev/mqueue is the root's.
_LOOK = """
id; cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups
grep -E '^(Cap|NoNewPrivs|Groups|Seccomp)' /proc/self/status
ls -l /dev | awk '!/kcore/ { print $1, $NF }'
awk '$5 !~ "cgroup|^/proc/." { print $5 }' /proc/self/mountinfo | sort
stat -c '%n %u %g %a' / /proc /dev /dev/shm /dev/pts /run /tmp /etc/passwd
stat -c '%n %u %a' /dev/mqueue
wc -c </proc/timer_list; ls /sys/firmware | wc -l
echo x 2>&1 >/proc/sys/kernel/hostname
mkdir /made && chown 5:6 /made && chmod 755 /made && touch /made/file && stat -c '%u %g' /made/file
echo x >/dev/null && echo x >/dev/stdout && head -c 2 /dev/zero | wc -c
mknod /made/null c 1 3 2>&1
ls -d /sys/class/net/lo
"""


def _look(runner, *options):
    return runner.run("sh", "-c", _LOOK, options=(*_MAPPED, *options)).check().text.splitlines()


@both_versions
@pytest.mark.parametrize("options", [(), ("--read-only", "--cwd", "/tmp")], ids=["plain", "read-only"])
def test_surroundings(preset, options):
    ours = _look(preset, *options)
    theirs = _look(preset.with_runtime(_RUNC), *options)
    difference = [line for line in difflib.ndiff(theirs, ours) if line[0] in "+-"]
    assert not difference, "\n".join(difference)


def test_layers_that_the_runtime_maps(preset):
    """As containerd asks for it by the options of the mounts of the root file system."""
    if settings.RELEASE == "1.6":
        pytest.skip("containerd 1.6 changes the owners of all files instead")
    script = "stat -c '%u %g' /bin/busybox /etc && echo new > /etc/passwd && stat -c '%u' /etc/passwd"
    result = preset.run("sh", "-c", script, options=(*_MAPPED, "--remap-labels"))
    assert result.check().text == "0 0\n0 0\n0\n"


@pytest.fixture(name="specs")
def specs_fixture(runner, tmp_path):
    """Root file systems that belong to the mapped root."""
    specs = SpecRunner(runner, tmp_path)
    for directory, names, files in os.walk(specs.root):
        for name in (".", *names, *files):
            os.chown(os.path.join(directory, name), _FIRST, _FIRST, follow_symlinks=False)
    return specs


def _mapping(first):
    mapping = [{"containerID": 0, "hostID": first, "size": 65536}]
    return {"uidMappings": mapping, "gidMappings": mapping}


def _in_user_namespace(spec):
    spec["linux"]["namespaces"].append({"type": "user"})
    spec["linux"].update(_mapping(_FIRST))


def _with_volume(source, options=("rbind",), mappings=None, edit=lambda spec: None):
    def change(spec):
        edit(spec)
        mount = {"destination": "/data", "type": "bind", "source": str(source), "options": options}
        spec["mounts"].append({**mount, **(mappings or {})})

    return change


def test_exec_with_a_terminal_and_another_user(specs):
    container = specs.start(_in_user_namespace, "sleep", "1000000")
    argv = container.exec_argv("sh", "-c", "tty; id -u", options=("-t",))
    with Terminal(container.ctr.argv(*argv), env=container.runner.containerd.environ()) as terminal:
        assert terminal.expect("\n0\r").strip().startswith("/dev/pts/")
    script = "id -u; echo out >/dev/stdout; grep -c . /proc/self/uid_map"
    result = container.exec("sh", "-c", script, options=("--user", "7:8"))
    assert result.check().text == "7\nout\n1\n"
    # As with runc: whoever looks at the pid on the host sees the host's numbers.
    assert f"\nUid:\t{_FIRST}\t" in Path(f"/proc/{container.pid()}/status").read_text()
    container.delete()


def test_limits_that_only_root_can_raise(specs):
    def edit(spec):
        _in_user_namespace(spec)
        spec["process"]["oomScoreAdj"] = -500
        spec["process"]["rlimits"] = [{"type": "RLIMIT_MSGQUEUE", "soft": 900000, "hard": 1000000}]

    script = "cat /proc/self/oom_score_adj; grep msgqueue /proc/self/limits"
    words = specs.run(edit, "sh", "-c", script).check().text.split()
    assert words == ["-500", "Max", "msgqueue", "size", "900000", "1000000", "bytes"]


@pytest.fixture(name="volume")
def volume_fixture(tmp_path):
    """A directory with files of root and of user 5."""
    volume = tmp_path / "volume"
    volume.mkdir()
    (volume / "roots").write_text("text")
    (volume / "fives").write_text("text")
    os.chown(volume / "fives", 5, 5)
    return volume


_OWNERS = "stat -c '%u %g' /data/roots /data/fives && touch /data/new && stat -c %u /data/new"


@pytest.mark.parametrize("options", [("rbind", "idmap"), ("rbind", "ridmap")], ids=["top", "all"])
def test_volume_with_the_containers_mappings(specs, volume, options):
    """What belongs to the host's root belongs to the container's, which the host takes for another."""
    edit = _with_volume(volume, options, edit=_in_user_namespace)
    assert specs.run(edit, "sh", "-c", _OWNERS).check().text == "0 0\n5 5\n0\n"
    assert os.stat(volume / "new").st_uid == 0


def test_volume_with_mappings_of_its_own(specs, volume):
    """With and without a user namespace."""
    plain = _with_volume(volume, mappings=_mapping(1000))
    owners = "stat -c '%u %g' /data/roots /data/fives"
    assert specs.run(plain, "sh", "-c", owners).check().text == "1000 1000\n1005 1005\n"
    edit = _with_volume(volume, mappings=_mapping(_FIRST), edit=_in_user_namespace)
    assert specs.run(edit, "sh", "-c", owners).check().text == "0 0\n5 5\n"


def test_volume_that_cannot_be_mapped(specs):
    result = specs.run(_with_volume("/proc/sys", mappings=_mapping(1000)), "true")
    assert "id-map /proc/sys: the host's kernel cannot do that" in result.error
    result = specs.run(_with_volume("/tmp", ("rbind", "idmap")), "true")
    assert ".options: ask for an id-mapped mount, but neither" in result.error
