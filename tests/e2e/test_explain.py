"""`cppvm list` and `cppvm explain`."""

import json
import os
import signal

import pytest

from cppvmdev import shell
from cppvmdev.waiting import wait_until
from harness import session, settings

pytestmark = pytest.mark.vm


def _cppvm(*arguments):
    path = session.config_file()
    config = ("--config", path) if path else ()
    return shell.run(settings.STAGE / "bin/cppvm", arguments[0], *config, *arguments[1:])


def _explain(container):
    return json.loads(_cppvm("explain", "--json", container.name).check().text)


def test_running_sandbox(runner):
    container = runner.start()
    client = container.popen_exec("cat")
    everything = json.loads(_cppvm("list", "--json").check().text)
    (listed,) = [s for s in everything if s["id"] == container.name]
    assert listed["state"] == "running"
    assert listed["namespace"] == session.NAMESPACE
    assert listed["tasks"] == 1
    (daemon,) = container.shims()
    assert listed["daemon"] == daemon.pid

    def two_that_run():
        told = _explain(container)
        (task,) = told["tasks"]
        assert task["id"] == container.name
        running = [process for process in task["processes"] if process["state"] == "running"]
        return told if len(running) == 2 else None

    told = wait_until(two_that_run, "the exec to run")
    init, exec_ = told["tasks"][0]["processes"]
    assert init["pid"] == container.pid()
    assert exec_["exec_id"]
    names = [process["name"] for process in told["processes"]]
    assert names[0].startswith("containerd-shim")
    assert any(name.startswith("qemu-system") for name in names)
    assert names.count("virtiofsd") >= 2
    assert len([name for name in names if name.startswith("vm:")]) == 2
    (qemu,) = container.helpers("qemu-system")
    by_pid = {process["pid"]: process for process in told["processes"]}
    assert by_pid[qemu.pid]["memory_bytes"] > 16 << 20
    assert by_pid[qemu.pid]["cpu_us"] > 0
    phases = {phase["phase"]: phase["ended_us"] for phase in told["boot"]}
    assert len(phases) >= 3 and all(ended > 0 for ended in phases.values())
    assert told["address"] == str(runner.containerd.address)
    assert os.path.isdir(told["run_dir"])
    client.kill()

    text = _cppvm("explain", container.name).check().text
    assert f"{session.NAMESPACE}/{container.name}" in text
    assert "running" in text
    container.delete()
    wait_until(lambda: container.name not in _cppvm("list").check().text, "the sandbox to be gone")


def test_daemon_that_does_not_answer(runner):
    container = runner.start()
    (daemon,) = container.shims()
    daemon.kill(signal.SIGSTOP)
    try:
        told = _explain(container)
        assert told["state"] == "no answer"
        assert "timed out" in told["reason"]
        assert container.name in _cppvm("list").check().text
    finally:
        daemon.kill(signal.SIGCONT)
    container.delete()


def test_unknown_sandbox():
    result = _cppvm("explain", "nobody")
    assert result.code == 1
    assert "nobody: no such sandbox or container" in result.error
    assert "cppvm list" in result.error
