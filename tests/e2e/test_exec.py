"""Further processes in a running container."""

import concurrent.futures
import os

import pytest

from conftest import both_versions
from cppvmdev.ctr import unique_id


@pytest.mark.kvm
@both_versions
def test_ten_at_once(runner):
    container = runner.start()

    def one(number):
        data = os.urandom(100_000)
        result = container.exec("sh", "-c", f"cat; exit {number}", stdin=data)
        return result.out == data, result.code

    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        assert list(pool.map(one, range(10))) == [(True, number) for number in range(10)]
    container.delete()


def test_missing_command_leaves_the_task_usable(runner):
    container = runner.start()
    result = container.exec("no-such-command")
    assert result.code != 0
    assert "no-such-command" in result.error
    assert container.exec("/etc/passwd").code != 0
    assert container.status() == "RUNNING"
    assert container.sh("echo well") == "well\n"
    container.delete()


def test_directory(runner):
    container = runner.start()
    assert container.sh("pwd", options=("--cwd", "/var")) == "/var\n"
    container.delete()


def test_sees_the_processes_of_init(runner):
    container = runner.start()
    assert "sleep" in container.sh("cat /proc/1/comm")
    container.delete()


def test_existing_exec_id_is_refused(runner):
    container = runner.start()
    name = unique_id("same")
    argv = ("tasks", "exec", "--exec-id", name, container.name)
    first = runner.ctr.popen(*argv, "sh", "-c", "echo up; cat")
    assert first.stdout.readline() == b"up\n"
    second = runner.ctr.command(*argv, "true")
    assert second.code != 0
    assert "already exists" in second.error
    first.communicate(timeout=30)
    assert first.returncode == 0
    container.delete()


def test_detached_exec_is_killed_with_the_container(runner):
    container = runner.start()
    argv = container.exec_argv("sleep", "1000000", options=("--detach",))
    runner.ctr.command(*argv).check()
    assert container.sh("ps | grep -c 's[l]eep 1000000'").strip() == "2"
    container.delete()


def test_after_the_end_of_init(runner):
    container = runner.start("sh", "-c", "exit 3")
    container.wait_status("STOPPED")
    result = container.exec("true")
    assert result.code != 0
    assert result.error
    assert container.delete() == 3
