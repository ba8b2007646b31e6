"""The shim's commands and its Task service, driven without containerd: good order first, then
everything that can be wrong."""

import json
import os
import threading

import pytest

from cppvmdev import config, memory, messages, wire
from cppvmdev.leftovers import Gone, Leftovers
from cppvmdev.waiting import wait_until
from cppvmdev.wire import Refused
from harness import settings
from harness.shim import Task, spec


@pytest.fixture(name="running")
def running_fixture(task):
    task.create()
    task.call("Start")
    yield task
    # Whatever a test did to it, the task is usable and ends properly.
    assert task.status() == "RUNNING"
    assert task.end() == 137


def _refused(code, call, *args, **kwargs):
    with pytest.raises(Refused) as caught:
        call(*args, **kwargs)
    assert caught.value.code == code, caught.value
    return caught.value.text


# The commands


def test_life_without_containerd(bundle):
    with Task(bundle, bundle.start()) as task:
        task.create()
        assert task.status() == "CREATED"
        pid = task.call("Start").pid
        assert task.status() == "RUNNING"
        assert os.path.exists(f"/proc/{pid}")
        assert task.call("Connect").task_pid == pid
        assert task.end() == 137
    wait_until(lambda: not bundle.daemons(), "end of the daemon after Shutdown")
    assert bundle.delete().code == 0


def test_events_in_order(bundle):
    with Task(bundle, bundle.start()) as task:
        task.create()
        task.call("Start")
        task.exec("more", spec("sh", "-c", "exit 5")["process"])
        task.call("Start", exec_id="more")
        assert task.call("Wait", exec_id="more").exit_status == 5
        task.call("Delete", exec_id="more")
        task.end()
    wanted = "create start exec-added exec-started exit exit delete".split()
    wait_until(lambda: len(bundle.events.topics()) >= len(wanted), "all events")
    assert bundle.events.topics() == [f"/tasks/{word}" for word in wanted]
    exits = [event for topic, event in bundle.events.events() if topic == "/tasks/exit"]
    told = [(event.container_id, event.id, event.exit_status) for event in exits]
    assert told == [(bundle.name, "more", 5), (bundle.name, bundle.name, 137)]
    assert all(event.pid > 0 and event.exited_at.seconds > 0 for event in exits)


@pytest.mark.vm
def test_end_while_nobody_takes_events(bundle):
    with Task(bundle, bundle.start()) as task:
        task.create()
        task.call("Start")
        bundle.events.close()
        bundle.events = None
        task.end()
    wait_until(lambda: not bundle.daemons(), "end of the daemon after Shutdown", 15)


@pytest.mark.vm
def test_end_where_nobody_comes(bundle, tmp_path):
    """containerd, or start itself, was killed before containerd knew of the daemon."""
    path = tmp_path / "config.toml"
    bundle.use_config(config.write(path, settings.CONFIG_STAGE, {"vm": {"boot_timeout": 1}}))
    bundle.start()
    wait_until(lambda: not bundle.daemons(), "end of the daemon", 30)
    assert "containerd never connected" in bundle.log_text()
    Leftovers(Gone(bundle.path.parent, [bundle.identity])).wait_none()


@pytest.mark.vm
def test_version_and_info(bundle):
    assert bundle.command("-v").check().out
    info = messages.RuntimeInfo.FromString(bundle.command("-info", stdin=b"").check().out)
    assert info.name == settings.RUNTIME


@pytest.mark.vm
def test_delete_of_nothing(bundle):
    for _ in range(2):
        answer = messages.DeleteResponse.FromString(bundle.delete().check().out)
        assert answer.exit_status in (0, 137)


@pytest.mark.vm
def test_delete_after_the_bundle_is_gone(bundle):
    bundle.start()
    bundle.kill_daemon()
    (bundle.path / "config.json").unlink()
    assert bundle.delete().code == 0


@pytest.mark.vm
@pytest.mark.parametrize(
    "flags, wanted",
    [
        (["-no-such-flag", "start"], "no-such-flag"),
        (["no-such-action"], "no-such-action"),
        (["start", "extra"], "extra"),
    ],
)
def test_unknown_arguments(bundle, flags, wanted):
    result = bundle.command(*flags)
    assert result.code != 0 and wanted in result.error
    assert not bundle.daemons()


@pytest.mark.vm
def test_empty_namespace(bundle):
    result = bundle.command("start", namespace="")
    assert result.code != 0 and "namespace" in result.error


@pytest.mark.vm
@pytest.mark.parametrize("name", ["", "a/b", "..", "x" * 200, "-x", "a b", "ä"])
def test_bad_id(bundle, name):
    result = bundle.command("start", name=name)
    assert result.code != 0 and "id" in result.error
    assert not bundle.daemons()


def _start_or_create_fails(bundle, wanted):
    """`start` or Create refuses, whichever reads that far first."""
    result = bundle.command("start")
    if result.code != 0:
        assert wanted in result.error
        assert len(result.error) < 4096
        return
    with Task(bundle, result.text.strip().removeprefix("unix://")) as task:
        with pytest.raises(Refused) as caught:
            task.create()
        assert wanted in caught.value.text
        assert len(caught.value.text) < 4096
        task.call("Shutdown")
    wait_until(lambda: not bundle.daemons(), "end of the daemon after Shutdown")


@pytest.mark.vm
def test_missing_config(bundle):
    (bundle.path / "config.json").unlink()
    _start_or_create_fails(bundle, "config.json")


@pytest.mark.vm
@pytest.mark.parametrize(
    "content, wanted",
    [
        ("this is no JSON", "config.json"),
        ("[]", "config.json"),
        (json.dumps({"ociVersion": "7.0.0", "process": {}}), "7.0.0"),
        ('{"ociVersion":"1.0.2","x":"' + "y" * 20_000_000 + '"}', "config.json"),
        ("[" * 1_000_000, "config.json"),
    ],
    ids=["not JSON", "not an object", "unknown version", "20 MB", "deeply nested"],
)
def test_bad_config(bundle, content, wanted):
    (bundle.path / "config.json").write_text(content)
    _start_or_create_fails(bundle, wanted)


@pytest.mark.vm
def test_noise_on_stdin(bundle):
    result = bundle.command("start", stdin=os.urandom(1 << 20))
    if result.code == 0:  # "no options" is as good an answer
        with Task(bundle, result.text.strip().removeprefix("unix://")) as task:
            task.call("Shutdown")
    else:
        assert result.error


@pytest.mark.vm
def test_bundle_that_does_not_exist(bundle, tmp_path):
    result = bundle.command("-bundle", tmp_path / "nowhere", "start", cwd=tmp_path)
    assert result.code != 0 and "nowhere" in result.error
    gone = bundle.command("-bundle", tmp_path / "nowhere", "delete", stdin=b"", cwd=tmp_path)
    assert gone.code == 0


@pytest.mark.vm
def test_missing_configuration_file(bundle):
    bundle.use_config("/no/such.toml")
    result = bundle.command("start")
    assert result.code != 0 and "/no/such.toml" in result.error


# The Task service


@pytest.mark.vm
def test_every_method_is_answered(running):
    for service in ("containerd.task.v2.Task", "containerd.task.v3.Task"):
        running.service = service
        assert running.status() == "RUNNING"
        assert running.call("Pids").processes
        running.call("ResizePty", width=80, height=24)
        running.call("CloseIO", stdin=True)
        running.call("Pause")
        running.call("Resume")
        assert running.call("Stats").stats.type_url.startswith("io.containerd.cgroups.v")
        _refused(wire.UNIMPLEMENTED, running.call, "Checkpoint")
        resources = {"type_url": "x", "value": b"{}"}
        _refused(wire.INVALID_ARGUMENT, running.call, "Update", resources=resources)
        running.call("Shutdown")  # with a task: nothing happens


def test_unknown_service_and_method(running):
    call = running.connection.call
    assert "no.such.Service" in _refused(wire.UNIMPLEMENTED, call, "no.such.Service", "X")
    assert "NoSuch" in _refused(wire.UNIMPLEMENTED, call, running.service, "NoSuch")


def test_unknown_ids(running):
    for method in ("State", "Delete", "Wait", "Kill"):
        unknown = "id" if method == "State" else "exec_id"
        _refused(wire.NOT_FOUND, running.call, method, **{unknown: "nobody"})


@pytest.mark.vm
def test_existing_id(running):
    _refused(wire.ALREADY_EXISTS, running.create)


@pytest.mark.vm
def test_unknown_signal(running):
    _refused(wire.INVALID_ARGUMENT, running.call, "Kill", signal=12345)


@pytest.mark.vm
def test_delete_of_a_running_task(running):
    _refused(wire.FAILED_PRECONDITION, running.call, "Delete")


@pytest.mark.vm
@pytest.mark.parametrize(
    "process",
    [
        {"cwd": "/", "args": []},
        {"cwd": "/"},
        {"cwd": "", "args": ["true"]},
        {"args": "true"},
        "no JSON",
        "",
    ],
)
def test_bad_exec(running, process):
    try:
        running.exec("bad", process)
    except Refused as refused:
        assert refused.code == wire.INVALID_ARGUMENT, refused
        return
    with pytest.raises(Refused):
        running.call("Start", exec_id="bad")
    running.call("Delete", exec_id="bad")


def test_exec_of_a_missing_program(running):
    running.exec("lost", spec("/no/such/program")["process"])
    with pytest.raises(Refused) as caught:
        running.call("Start", exec_id="lost")
    assert "no such file or directory" in caught.value.text
    running.call("Delete", exec_id="lost")


def _descriptors(bundle):
    (daemon,) = bundle.daemons()
    return daemon.descriptors()


@pytest.mark.vm
def test_many_execs_at_once(running):
    """Each is there, listed under its id, and leaves nothing behind."""
    before = _descriptors(running.bundle)
    names = [f"e{number}" for number in range(200)]
    for name in names:
        running.exec(name, spec()["process"])
        running.call("Start", exec_id=name)
    listed = running.call("Pids").processes
    assert len({entry.pid for entry in listed}) == len(names) + 1
    # ProcessDetails has nothing but the exec's id.
    assert {entry.info.value[2:].decode() for entry in listed if entry.info.value} == set(names)
    for name in names:
        running.call("Kill", exec_id=name, signal=9)
    for name in names:
        assert running.call("Wait", exec_id=name).exit_status == 137
        running.call("Delete", exec_id=name)
    assert len(running.call("Pids").processes) == 1
    wait_until(lambda: _descriptors(running.bundle) <= before, "the daemon's descriptors to be closed")


@pytest.mark.vm
def test_many_execs_in_a_row(running):
    """5,000 with CPPVM_E2E_LONG=1: neither the daemon nor the guest grows."""
    (daemon,) = running.bundle.daemons()
    process = spec("true")["process"]

    def run(count):
        for _ in range(count):
            running.exec("again", process)
            running.call("Start", exec_id="again")
            assert running.call("Wait", exec_id="again").exit_status == 0
            running.call("Delete", exec_id="again")
        usage = messages.named((stats := running.call("Stats").stats).type_url).FromString(stats.value).memory.usage
        # A number of version 2, a message of version 1.
        return _descriptors(running.bundle), memory.private_dirty_kib(daemon.pid), getattr(usage, "usage", usage)

    count = 5000 if settings.LONG else 200
    descriptors, private, used = run(100)
    descriptors_after, private_after, used_after = run(count)
    print("descriptors", descriptors, descriptors_after, "KiB", private, private_after, "guest", used, used_after)
    wait_until(lambda: _descriptors(running.bundle) <= descriptors, "the daemon's descriptors to be closed")
    assert private_after - private < 300
    assert used_after - used < 2 << 20


@pytest.mark.vm
def test_output_that_is_read_before_the_exit_is_told(running):
    """containerd 1.6 closes its ends when it hears of the exit."""
    out = running.bundle.path / "out"
    os.mkfifo(out)
    for number in range(5):
        sizes = []
        thread = threading.Thread(target=_count, args=(out, sizes))
        running.exec(f"e{number}", spec("busybox", "head", "-c", "200000", "/dev/zero")["process"], stdout=str(out))
        thread.start()
        running.call("Start", exec_id=f"e{number}")
        assert running.call("Wait", exec_id=f"e{number}").exit_status == 0
        assert sum(sizes) == 200000
        running.call("Delete", exec_id=f"e{number}")
        thread.join()


def _count(fifo, sizes):
    with open(fifo, "rb", buffering=0) as pieces:
        while piece := pieces.read(1):
            sizes.append(len(piece))


def test_output_after_the_end_of_an_exec(running):
    """What a child of it writes comes until the exec is deleted, as with runc."""
    out = running.bundle.path / "out"
    os.mkfifo(out)
    reader = os.open(out, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reader, True)
    # Longer than an exec that is deleted is waited for.
    running.exec("parent", spec("sh", "-c", "(sleep 5; echo late) & echo early")["process"], stdout=str(out))
    running.call("Start", exec_id="parent")
    assert running.call("Wait", exec_id="parent").exit_status == 0
    with open(reader, "rb") as lines:
        assert lines.read() == b"early\nlate\n"
    running.call("Delete", exec_id="parent")


def test_exec_before_the_start(bundle, task):
    """And of a container that then never starts. As runc's shim does it."""
    task.create()
    out = bundle.path / "out"
    task.exec("early", spec("sh", "-c", "echo early; exit 4")["process"], stdout=f"file://{out}")
    task.call("Start", exec_id="early")
    assert task.call("Wait", exec_id="early").exit_status == 4
    assert out.read_text() == "early\n"
    assert task.status() == "CREATED"
    task.call("Delete", exec_id="early")
    task.exec("beside", spec()["process"])
    task.call("Start", exec_id="beside")
    assert task.end() == 137


@pytest.mark.vm
def test_oversized_frame(running):
    size = (4 << 20) + 1
    running.connection.send_frame(b"\0" * size)
    with pytest.raises(Refused) as caught:
        running.connection.receive_answer()
    assert caught.value.code == wire.RESOURCE_EXHAUSTED


def test_malformed_request(running):
    running.connection.send_frame(b"\xff" * 100)
    with pytest.raises(Refused) as caught:
        running.connection.receive_answer()
    assert caught.value.code == wire.INVALID_ARGUMENT


@pytest.mark.vm
def test_malformed_payload(running):
    payload = b"\xff" * 10
    _refused(wire.INVALID_ARGUMENT, running.connection.call, running.service, "State", payload)


def test_cut_off_frame(running, bundle):
    path = running.connection.socket.getpeername()
    with wire.Connection(path) as other:
        other.send_frame(b"begin", length=1000)
    with Task(bundle, path) as again:
        assert again.status() == "RUNNING"


@pytest.mark.vm
@pytest.mark.parametrize("stream", ["stdin", "stdout", "stderr"])
def test_fifo_that_does_not_exist(task, bundle, tmp_path, stream):
    with pytest.raises(Refused) as caught:
        task.create(**{stream: str(tmp_path / f"no-{stream}")})
    assert f"no-{stream}" in caught.value.text
    task.call("Shutdown")
    wait_until(lambda: not bundle.daemons(), "end of the daemon")


@pytest.mark.vm
def test_fifos_that_nobody_reads(bundle, tmp_path):
    """The container runs as far as its output fits into the pipe, and dies when it is told to."""
    for name in ("out", "err"):
        os.mkfifo(tmp_path / name)
    bundle.write_spec(spec("sh", "-c", "while :; do echo 0123456789abcdef; done"))
    with Task(bundle, bundle.start()) as task:
        task.create(stdout=str(tmp_path / "out"), stderr=str(tmp_path / "err"))
        task.call("Start")
        assert task.status() == "RUNNING"
        assert task.end() == 137


@pytest.mark.vm
def test_unknown_scheme_of_output(task):
    text = _refused(wire.INVALID_ARGUMENT, task.create, stdout="carrier-pigeon:///x")
    assert "carrier-pigeon" in text
    task.call("Shutdown")


@pytest.mark.vm
def test_unknown_mount_type_of_rootfs(task):
    mount = {"type": "nosuchfs", "source": "/dev/null"}
    with pytest.raises(Refused) as caught:
        task.create(rootfs=[mount])
    assert "nosuchfs" in caught.value.text
    task.call("Shutdown")


def test_container_that_never_starts(task):
    task.create()
    task.call("Kill", signal=9)
    task.call("Wait")
    task.call("Delete")
    task.call("Shutdown")
