"""Further processes in a running container."""

import concurrent.futures
import os

import pytest

from conftest import both_versions
from cppvmdev.ctr import unique_id


@pytest.mark.kvm
@both_versions
def test_ten_at_once(runner):
    box = runner.start()

    def one(number):
        data = os.urandom(100_000)
        result = box.exec("sh", "-c", f"cat; exit {number}", stdin=data)
        return result.out == data, result.code

    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        assert list(pool.map(one, range(10))) == [(True, number) for number in range(10)]
    box.delete()


def test_missing_command_leaves_the_task_usable(runner):
    box = runner.start()
    result = box.exec("no-such-command")
    assert result.code != 0
    assert "no-such-command" in result.error
    assert box.exec("/etc/passwd").code != 0
    assert box.status() == "RUNNING"
    assert box.sh("echo well") == "well\n"
    box.delete()


def test_directory(runner):
    box = runner.start()
    assert box.sh("pwd", options=("--cwd", "/var")) == "/var\n"
    box.delete()


def test_sees_the_processes_of_init(runner):
    box = runner.start()
    assert "sleep" in box.sh("cat /proc/1/comm")
    box.delete()


def test_existing_exec_id_is_refused(runner):
    box = runner.start()
    name = unique_id("same")
    words = ("tasks", "exec", "--exec-id", name, box.name)
    first = runner.ctr.popen(*words, "sh", "-c", "echo up; cat")
    assert first.stdout.readline() == b"up\n"
    second = runner.ctr.command(*words, "true")
    assert second.code != 0
    assert "already exists" in second.error
    first.communicate(timeout=30)
    assert first.returncode == 0
    box.delete()


def test_detached_exec_is_killed_with_the_container(runner):
    box = runner.start()
    words = box.exec_argv("sleep", "1000000", options=("--detach",))
    runner.ctr.command(*words).check()
    assert box.sh("ps | grep -c 's[l]eep 1000000'").strip() == "2"
    box.delete()


def test_after_the_end_of_init(runner):
    box = runner.start("sh", "-c", "exit 3")
    box.wait_status("STOPPED")
    result = box.exec("true")
    assert result.code != 0
    assert result.error
    assert box.delete() == 3
