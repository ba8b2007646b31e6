"""Stdio that goes to a streaming server (`ttrpc+unix://`)."""

import os
import time

import pytest

from conftest import both_versions
from cppvmdev.ctr import unique_id
from cppvmdev.waiting import wait_until
from harness.runner import START_TIMEOUT
from harness.shim import spec
from harness.streaming import StreamingServer
from cppvmdev.wire import Refused

pytestmark = pytest.mark.vm


@pytest.fixture(name="server")
def server_fixture(tmp_path):
    with StreamingServer(tmp_path / "streams") as server:
        yield server


@both_versions
def test_output_of_a_detached_container(runner, server):
    """ctr gives both streams the same address."""
    name = unique_id("log")
    script = "echo out; echo err >&2; head -c 1000000 /dev/zero; exit 3"
    argv = runner.argv(
        name, "sh", "-c", script, options=("-d", "--log-uri", server.uri("log"))
    )
    runner.ctr.command(*argv, timeout=START_TIMEOUT).check()
    try:
        log = server.stream("log")
        assert log.ended.wait(30)
        zeros = bytes(log.received)
        for line in (b"out\n", b"err\n"):
            assert line in zeros
            zeros = zeros.replace(line, b"")
        assert zeros == bytes(1000000)
        assert len(server.streams) == 1
        wait_until(lambda: runner.ctr.tasks().get(name) == "STOPPED", "its exit")
    finally:
        runner.ctr.remove(name)


def test_all_three_streams(bundle, task, server):
    bundle.write_spec(spec("sh", "-c", "echo to-err >&2; exec cat"))
    stdio = server.stdio("box")
    task.create(**stdio)
    task.call("Start")
    server.stream("box-stderr").wait_received(b"to-err\n")
    data = os.urandom(1 << 20)
    stdin = server.stream("box-stdin")
    stdin.send(data)
    state = task.call("State")
    assert {key: getattr(state, key) for key in stdio} == stdio
    stdin.end()
    task.call("CloseIO", stdin=True)
    assert task.call("Wait").exit_status == 0
    stdout = server.stream("box-stdout")
    assert stdout.ended.wait(30)
    assert bytes(stdout.received) == data
    task.call("Delete")
    task.call("Shutdown")


def test_exec_with_and_without_a_terminal(task, server):
    task.create()
    task.call("Start")
    for terminal in (False, True):
        name = f"exec-{terminal}"
        process = {"args": ["cat"], "cwd": "/", "terminal": terminal, "user": {"uid": 0, "gid": 0},
                   "env": ["PATH=/bin"]}  # fmt: skip
        task.exec(name, process, **server.stdio(name, terminal))
        task.call("Start", exec_id=name)
        stdin, stdout = server.stream(f"{name}-stdin"), server.stream(f"{name}-stdout")
        stdin.send(b"text\n")
        stdout.wait_received(b"text\r\ntext\r\n" if terminal else b"text\n")
        if terminal:
            stdin.send(b"\x04")  # the end of the program, and so of its streams
        else:
            stdin.end()
        assert task.call("Wait", exec_id=name).exit_status == 0
        assert stdout.ended.wait(30)
        task.call("Delete", exec_id=name)
    task.end()


def test_stream_that_the_server_does_not_know(bundle, task, tmp_path):
    with StreamingServer(tmp_path / "other", refuses=("box-stdout",)) as server:
        with pytest.raises(Refused) as refused:
            task.create(stdout=server.uri("box-stdout"))
    assert f"stream 'box-stdout' at {server.path}" in refused.value.text
    assert "not found" in refused.value.text
    with pytest.raises(Refused) as refused:
        task.create(stdout=server.uri("box-stdout"))  # it is gone altogether
    assert "No such file" in refused.value.text
    task.create()
    task.end()


def test_reader_that_reads_no_more(task, bundle, server):
    """The process waits; neither its end nor Delete does."""
    bundle.write_spec(spec("sh", "-c", "echo first; exec yes"))
    task.create(**{"stdout": server.uri("yes")})
    task.call("Start")
    yes = server.stream("yes")
    wait_until(lambda: yes.received, "the first bytes")
    yes.stall()
    begin = time.monotonic()
    assert task.end() == 137
    assert time.monotonic() - begin < 20


def test_server_that_comes_back(task, bundle, tmp_path):
    """As containerd does: nothing is lost of what was written while it was away."""
    bundle.write_spec(spec("sh", "-c", "echo before; while read line; do echo $line; done"))
    path = tmp_path / "streams"
    with StreamingServer(path) as server:
        task.create(**server.stdio("box"))
        task.call("Start")
        server.stream("box-stdout").wait_received(b"before\n")
        server.stream("box-stdin").send(b"away\n")
    with StreamingServer(path) as server:
        server.stream("box-stdin").send(b"back\n")
        stdout = server.stream("box-stdout")
        # What it wrote while nobody listened was kept; what had been sent before may be anywhere.
        wait_until(lambda: stdout.received.endswith(b"back\n"), "its answer")
        assert b"before" not in stdout.received
        server.stream("box-stdin").end()
        assert task.call("Wait").exit_status in (0, 1)
        assert stdout.ended.wait(30)
    task.call("Delete")
    task.call("Shutdown")
