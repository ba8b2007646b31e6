"""Files and directories of the host in the container."""

import pytest

from conftest import both_versions
from cppvmdev.waiting import wait_until
from harness.runner import bind


@pytest.mark.kvm
@both_versions
def test_directory_read_write_with_live_changes(runner, tmp_path):
    (tmp_path / "before").write_text("old")
    container = runner.start(options=bind(tmp_path))
    assert container.sh("cat /data/before") == "old"
    (tmp_path / "later").write_text("from the host")
    assert wait_until(lambda: container.exec("cat", "/data/later").text, "the host's new file")
    (tmp_path / "before").write_text("new content")
    wait_until(lambda: container.sh("cat /data/before") == "new content", "the host's change")
    (tmp_path / "later").unlink()
    wait_until(lambda: container.exec("test", "-e", "/data/later").code == 1, "the removal")
    container.sh("mkdir /data/sub && echo from the guest >/data/sub/file && rm /data/before")
    assert (tmp_path / "sub/file").read_text() == "from the guest\n"
    assert not (tmp_path / "before").exists()
    container.delete()


@pytest.mark.kvm
def test_directory_read_only(runner, tmp_path):
    (tmp_path / "file").write_text("content")
    container = runner.start(options=bind(tmp_path, mode="ro"))
    for script in ("echo x >/data/file", "echo x >/data/new", "rm /data/file", "mkdir /data/d"):
        result = container.exec("sh", "-c", script)
        assert result.code != 0 and "Read-only file system" in result.error
    (tmp_path / "file").write_text("changed")
    wait_until(lambda: container.sh("cat /data/file") == "changed", "the host's change")
    container.delete()
    assert (tmp_path / "file").read_text() == "changed"


@pytest.mark.parametrize("mode", ["ro", "rw"])
def test_single_file(runner, tmp_path, mode):
    (tmp_path / "file").write_text("content")
    (tmp_path / "neighbour").write_text("not shared")
    container = runner.start(options=bind(tmp_path / "file", "/etc/given", mode))
    assert container.sh("cat /etc/given") == "content"
    assert container.exec("test", "-e", "/etc/neighbour").code == 1
    with open(tmp_path / "file", "a", encoding="utf-8") as file:
        file.write(" and more")
    wait_until(lambda: container.sh("cat /etc/given") == "content and more", "the host's change")
    result = container.exec("sh", "-c", "echo guest >/etc/given")
    if mode == "ro":
        assert result.code != 0 and "Read-only file system" in result.error
    else:
        assert (tmp_path / "file").read_text() == "guest\n"
    container.delete()


def test_names_of_the_host_stay_on_the_host(runner, tmp_path):
    secret = tmp_path / "directory with a telling name"
    secret.mkdir()
    container = runner.start(options=bind(secret))
    assert "telling name" not in container.sh("cat /proc/self/mountinfo") or not runner.config
    container.delete()


def test_missing_source(runner, tmp_path):
    result = runner.run("true", options=bind(tmp_path / "nowhere"))
    assert result.code != 0
    assert "nowhere" in result.error
    assert "no such file or directory" in result.error.lower()
