"""Commands of ctr besides `run` and `exec`, as with runc."""

import json
import os
import signal

import pytest

from conftest import both_versions
from cppvmdev.ctr import unique_id
from cppvmdev.images import SMALL
from harness import settings
from harness.runner import Container


def _task(container, *args, **kwargs):
    return container.ctr.command("tasks", *args, **kwargs)


@both_versions
def test_create_and_start(runner):
    """A container first, its task later."""
    container = Container(runner, unique_id())
    runner.containers.append(container)
    argv = runner.argv(container.name, "sleep", "1000000")[1:]
    runner.ctr.command("containers", "create", *argv).check()
    assert container.status() is None
    _task(container, "start", "-d", "--null-io", container.name, timeout=90).check()
    assert container.status() == "RUNNING"
    container.delete()


@both_versions
def test_pid_file(runner, tmp_path):
    container = runner.start(options=("--pid-file", tmp_path / "pid"))
    pid = int((tmp_path / "pid").read_text())
    assert pid == container.pid()
    os.kill(pid, 0)
    container.delete()


def test_log_of_a_program(runner, tmp_path):
    logger = tmp_path / "logger"
    logger.write_text(f'#!/bin/sh\necho "$@" >{tmp_path}/words\nexec 9>&5 5>&-; exec 9>&-; cat <&3 >{tmp_path}/out\n')
    logger.chmod(0o755)
    uri = f"binary://{logger}?--level=high"
    container = runner.start("echo", "logged", options=("--log-uri", uri), null_io=False)
    container.wait_status("STOPPED")
    container.delete()
    assert (tmp_path / "out").read_text() == "logged\n"
    assert (tmp_path / "words").read_text() == "--level high\n"


def test_log_at_an_odd_path_and_of_no_kind(runner, tmp_path):
    container = runner.start("echo", "logged", options=("--log-uri", f"file://{tmp_path}/a%20log"), null_io=False)
    container.wait_status("STOPPED")
    container.delete()
    assert (tmp_path / "a log").read_text() == "logged\n"
    refused = runner.run("true", options=("--log-uri", "nowhere:///log"))
    assert refused.code != 0 and "nowhere" in refused.error, refused.error


@pytest.mark.vm
@both_versions
def test_no_pivot_has_no_effect(preset):
    """It makes options of runc's, which take the place of --runtime-config-path."""
    assert preset.run("echo", "well", options=("--no-pivot",)).check().text == "well\n"
    assert "Runtime options of another runtime have no effect" in preset.containerd.log_text()


@pytest.mark.vm
@both_versions
def test_apparmor(runner):
    """No profile is loaded in the guest. Where ctr itself cannot load one, no runtime is asked."""
    container = runner.start(options=("--apparmor-profile", "some-profile"))
    assert container.sh("echo well") == "well\n"
    said = [line for line in runner.containerd.log_text().splitlines() if container.name in line]
    assert any("process.apparmorProfile" in line for line in said), said
    container.delete()
    runc = runner.with_config(None).with_runtime("io.containerd.runc.v2")
    results = []
    for each in (runner, runc):
        name = unique_id()
        results.append(each.run("echo", "well", options=("--apparmor-default-profile", "e2e-default"), name=name))
        runner.ctr.command("snapshots", "rm", name)  # what ctr has made before it fails
    ours, theirs = results
    assert ours.code == 0 or ours.error == theirs.error, (ours.error, theirs.error)


def test_kill_of_an_exec_and_of_all(runner):
    container = runner.start("sh", "-c", "trap '' TERM; sleep 1000000 & wait; wait")
    exec_id = unique_id("exec")
    client = container.ctr.popen("tasks", "exec", "--exec-id", exec_id, container.name, "sh", "-c", "echo up; sleep 1000000")
    assert client.stdout.readline() == b"up\n"
    _task(container, "kill", "--exec-id", exec_id, "-s", "SIGKILL", container.name).check()
    client.communicate(timeout=30)
    assert client.returncode == 128 + signal.SIGKILL
    assert container.status() == "RUNNING"
    container.kill(signal.SIGKILL, "-a").check()
    container.wait_status("STOPPED")
    assert container.delete() == 128 + signal.SIGKILL


def test_delete_by_force(runner):
    container = runner.start()
    _task(container, "delete", "-f", container.name).check()
    assert container.status() is None
    runner.ctr.command("containers", "delete", container.name).check()


def test_wrong_states(runner):
    container = runner.start()
    for words, command in (
        (("delete",), ("delete", container.name)),
        (("not paused", "resume"), ("resume", container.name)),
        (("nope",), ("exec", "--exec-id", "x", container.name, "nope")),
        (("not found",), ("kill", "--exec-id", "missing", container.name)),
    ):
        done = _task(container, *command)
        assert done.code != 0 and any(word in done.error for word in words), done.error
    container.delete()


@pytest.mark.vm
def test_checkpoint_is_refused(runner):
    container = runner.start()
    done = _task(container, "checkpoint", container.name)
    assert done.code != 0 and "checkpoint" in done.error.lower(), done.error
    assert container.status() == "RUNNING"
    container.delete()


@pytest.mark.vm
@both_versions
def test_what_the_runtime_says_of_itself(runner):
    """containerd 2.x has a command for it; older ones ask the shim themselves."""
    if settings.RELEASE == "1.6":
        pytest.skip("comes with containerd 2.0")
    text = runner.ctr.command("plugins", "inspect-runtime", "--runtime", settings.RUNTIME).check().text
    info = json.loads(text)
    assert info["Name"] == settings.RUNTIME
    assert "bind" in json.dumps(info) and "seccomp" in json.dumps(info)


@pytest.mark.vm
def test_commands_to_the_shim_itself(runner):
    """But for its exec: that of ctr 1.6 panics before it has asked any shim."""
    container = runner.start()

    def shim(command):
        return runner.ctr.command("shim", "--id", container.name, command)

    assert json.loads(shim("state").check().text)["status"] in (2, "RUNNING")
    assert shim("delete").code != 0  # it runs
    assert shim("start").code != 0
    assert container.status() == "RUNNING"
    container.delete()


def test_image_commands_beside_a_container(runner):
    """Nothing of a running container is in their way."""
    container = runner.start()
    assert SMALL in runner.ctr.images()
    assert container.name in runner.ctr.containers()
    runner.ctr.command("snapshots", "usage").check()
    container.delete()
