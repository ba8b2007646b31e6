"""Watchers in containers (inotify) hear of what the host changes in a volume."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from cppvmdev import processes
from cppvmdev.ctr import unique_id
from cppvmdev.waiting import wait_until
from harness import settings
from harness.hung_volume import HungVolume
from harness.runner import LineReader, bind

_WATCHER = settings.STAGE.parent / "tests/watcher/watcher"
# All but open, access and close_nowrite.
_CHANGES = "fce"


class _Watcher:
    """The test's watcher in a container, as an exec."""

    def __init__(self, container, *paths, mask=_CHANGES):
        self._process = container.popen_exec(
            "/tools/watcher", mask, *paths, stdin=subprocess.PIPE
        )
        self._lines = LineReader(self._process.stdout)
        self._lines.wait_line("ready")

    def lines(self):
        return self._lines.lines()[1:]

    def wait(self, line):
        self._lines.wait_line(line)
        return self.lines()

    def write(self, line):
        self._process.stdin.write(f"{line}\n".encode())
        self._process.stdin.flush()

    def end(self):
        self._process.stdin.close()
        self._process.wait(timeout=30)


@pytest.fixture(name="volume")
def volume_fixture(tmp_path):
    volume = tmp_path / "volume"
    (volume / "sub").mkdir(parents=True)
    (volume / "file").write_text("one\n")
    return volume


@pytest.fixture(name="tools")
def tools_fixture(tmp_path):
    tools = tmp_path / "tools"
    tools.mkdir()
    shutil.copy(_WATCHER, tools)
    return bind(tools, "/tools", "ro")


def _change_all(volume):
    (volume / "new").write_text("x")
    os.chmod(volume / "new", 0o600)
    with open(volume / "file", "a", encoding="utf-8") as file:
        file.write("two\n")
    os.rename(volume / "new", volume / "sub/moved")
    os.rename(volume / "sub/moved", volume / "old")
    (volume / "dir").mkdir()
    os.rename(volume / "dir", volume / "other")
    (volume / "other").rmdir()
    os.link(volume / "file", volume / "hard")
    os.symlink("file", volume / "link")
    os.replace(volume / "old", volume / "file")
    os.rename(volume / "hard", volume / "sub/hard")
    shutil.rmtree(volume / "sub")
    (volume / "end").mkdir()


def _without_repetitions(lines):
    """The kernel takes equal events together if nobody has read the first one yet."""
    return [line for before, line in zip([None, *lines], lines) if line != before]


def _heard(runner, volume, tools, change):
    container = runner.start(options=(*bind(volume, "/v"), *tools))
    watcher = _Watcher(container, "/v", "/v/sub")
    change(volume)
    watcher.wait("/v create,isdir end")
    lines = _without_repetitions(watcher.wait("/v/sub ignored"))
    watcher.end()
    container.delete()
    # The end of what is watched comes when nobody has it open any more, as the guest still may.
    end = [line for line in lines if line in ("/v/sub delete_self", "/v/sub ignored")]
    return [line for line in lines if line not in end], end


def test_changes_of_the_host_are_heard_as_with_runc(runner, plain, tmp_path, tools):
    heard = {}
    for name, side in (("runc", plain), ("ours", runner)):
        volume = tmp_path / name
        (volume / "sub").mkdir(parents=True)
        (volume / "file").write_text("one\n")
        heard[name] = _heard(side, volume, tools, _change_all)
    assert heard["ours"] == heard["runc"]


def test_own_changes_are_heard_once(runner, volume, tools):
    container = runner.start(options=(*bind(volume, "/v"), *tools))
    watcher = _Watcher(container, "/v")
    container.sh("echo x > /v/a; mv /v/a /v/b; rm /v/b; mkdir /v/end")
    assert _without_repetitions(watcher.wait("/v create,isdir end")) == [
        "/v create a",
        "/v modify a",
        "/v close_write a",
        "/v moved_from a #1",
        "/v moved_to b #1",
        "/v delete b",
        "/v create,isdir end",
    ]
    watcher.end()
    container.delete()


class _ConfigMap:
    """A directory that is written as the kubelet does it: by a link that is renamed over another."""

    def __init__(self, path):
        self._path = path
        self._last = None
        path.mkdir()
        self.write("0")
        os.symlink("..data/config", path / "config")

    def write(self, text):
        directory = self._path / f"..{unique_id('ts')}"
        directory.mkdir()
        (directory / "config").write_text(text)
        os.symlink(directory.name, self._path / "..data_tmp")
        os.rename(self._path / "..data_tmp", self._path / "..data")
        if self._last:
            shutil.rmtree(self._last)
        self._last = directory


def _expect(container, text):
    # By the status: of the output of an exec, ctr 1.6 loses some where processors are busy, with runc, too.
    container.sh(f"test \"$(cat /v/config)\" = {text}")


@pytest.mark.parametrize("path", ["/v", "/v/config", "/v/..data"])
def test_config_map_wakes_a_reloader(runner, tmp_path, tools, path):
    """Whatever of it the reloader watches; and what it reads then is the new content."""
    config = _ConfigMap(tmp_path / "config-map")
    container = runner.start(options=(*bind(tmp_path / "config-map", "/v", "ro"), *tools))
    for text in ("1", "2", "3"):
        _expect(container, str(int(text) - 1))
        watcher = _Watcher(container, path)
        config.write(text)
        awaited = "/v moved_to ..data #1" if path == "/v" else f"{path} delete_self"
        watcher.wait(awaited)
        _expect(container, text)
        watcher.end()
    container.delete()


def test_thousand_swaps_in_a_minute(runner, tmp_path, tools):
    config = _ConfigMap(tmp_path / "config-map")
    container = runner.start(options=(*bind(tmp_path / "config-map", "/v", "ro"), *tools))
    watcher = _Watcher(container, "/v")
    for number in range(1000):
        config.write(str(number))
        time.sleep(0.05)  # the rate that is asked for
    (tmp_path / "config-map/end").mkdir()
    lines = watcher.wait("/v create,isdir end")
    swaps = [line for line in lines if " ..data #" in line]
    assert swaps == [f"/v moved_to ..data #{number + 1}" for number in range(1000)]
    _expect(container, "999")
    watcher.end()
    container.delete()


def _watching(daemon):
    """The inotify instances of a daemon."""
    links = [os.readlink(fd) for fd in Path(f"/proc/{daemon.pid}/fd").iterdir()]
    return links.count("anon_inode:inotify")


def _children(daemon):
    return {process.pid for process in processes.everything() if process.parent == daemon.pid}


def test_nothing_is_left_when_nobody_watches(runner, volume, tools):
    container = runner.start(options=(*bind(volume, "/v"), *tools))
    daemon = container.shims()[0]
    children = _children(daemon)
    assert _watching(daemon) == 0
    watcher = _Watcher(container, "/v", "/v/sub", "/v/file")
    assert _watching(daemon) == 1
    watcher.end()
    wait_until(lambda: _watching(daemon) == 0, "the end of the watches", 30)
    wait_until(lambda: _children(daemon) == children, "the end of the process that adds them", 30)
    container.delete()


def test_who_adds_watches_is_confined(runner, volume, tools):
    container = runner.start(options=(*bind(volume, "/v"), *tools))
    daemon = container.shims()[0]
    watcher = _Watcher(container, "/v")
    program = os.readlink(f"/proc/{daemon.pid}/exe")  # it is forked, and executes no other
    (adder,) = [pid for pid in _children(daemon) if os.readlink(f"/proc/{pid}/exe") == program]
    text = Path(f"/proc/{adder}/status").read_text(encoding="utf-8")
    status = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
    assert status["Seccomp"] == "2"
    assert status["NoNewPrivs"] == "1"
    assert int(status["CapEff"], 16) == 1 << 2  # CAP_DAC_READ_SEARCH
    assert status["CapBnd"] == status["CapEff"]
    root = sorted(entry.name for entry in Path(f"/proc/{adder}/root").iterdir())
    assert all(name.isdigit() for name in root)
    watcher.end()
    container.delete()


def test_hung_volume_holds_up_no_other_watch(runner, volume, tmp_path, tools):
    pod = ("--annotation", f"io.containerd.runc.v2.group={unique_id('pod')}")
    keeper = runner.start(options=(*pod, *bind(volume, "/v"), *tools))
    with HungVolume(tmp_path / "hung", answers_of_root=True) as hung:
        container = runner.start(options=(*pod, *bind(hung.path, "/hung"), *tools))
        stuck = container.popen_exec("/tools/watcher", _CHANGES, "/hung/file")
        watcher = _Watcher(keeper, "/v")
        (volume / "heard").mkdir()
        watcher.wait("/v create,isdir heard")
        assert stuck.poll() is None
        watcher.end()
        container.delete()
        stuck.communicate(timeout=30)
        keeper.delete()
