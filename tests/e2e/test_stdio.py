"""Standard input, output and error between containerd's fifos and the container."""

import hashlib
import os
import threading
import time

from cppvmdev.waiting import wait_until
from conftest import both_versions
from harness.runner import LineReader

MIB = 1 << 20


def _block():
    # Not compressible and without a period that could hide a lost or doubled block.
    return os.urandom(MIB)


def _feed(pipe, mib, digest):
    for _ in range(mib):
        block = _block()
        digest.update(block)
        pipe.write(block)
    pipe.close()


def _drain(pipe, digest):
    size = 0
    while block := pipe.read(MIB):
        digest.update(block)
        size += len(block)
    return size


@both_versions
def test_64_mib_through_cat(runner):
    container = runner.popen("cat")
    sent, received = hashlib.sha256(), hashlib.sha256()
    feeder = threading.Thread(target=_feed, args=(container.process.stdin, 64, sent))
    feeder.start()
    size = _drain(container.process.stdout, received)
    feeder.join()
    assert container.process.wait(timeout=60) == 0, container.process.stderr.read()
    assert size == 64 * MIB
    assert received.digest() == sent.digest()


def test_8_mib_through_exec(runner):
    container = runner.start()
    data = os.urandom(8 * MIB)
    result = container.exec("cat", stdin=data)
    assert result.check().out == data
    container.delete()


def test_output_right_before_exit_is_whole(runner):
    result = runner.run("sh", "-c", "yes 0123456789abcde | head -c 4194304; echo last >&2; exit 3")
    assert (len(result.out), result.error, result.code) == (4 * MIB, "last", 3)


def test_streams_are_kept_apart(runner):
    script = "i=0; while [ $i -lt 2000 ]; do echo out$i; echo err$i >&2; i=$((i + 1)); done"
    result = runner.run("sh", "-c", script).check()
    assert result.text.splitlines() == [f"out{i}" for i in range(2000)]
    assert result.error.splitlines() == [f"err{i}" for i in range(2000)]


def test_empty_input_is_end_of_file(runner):
    container = runner.popen("cat")
    # ctr tells containerd of an end that it reads only once the task is there.
    container.wait_running()
    container.process.stdin.close()
    assert container.process.stdout.read() == b""
    assert container.process.wait(timeout=60) == 0


def test_input_that_nobody_reads(runner):
    container = runner.popen("sh", "-c", "exec <&-; echo closed; exit 5")
    assert container.process.stdout.readline() == b"closed\n"
    assert container.process.wait(timeout=60) == 5


def test_slow_reader_stops_the_writer(runner):
    """Nothing is lost and nothing piles up: the writer waits for whom reads."""
    container = runner.popen("sh", "-c", "yes 0123456789abcde | head -c 16777216; echo end >&2")
    progress = LineReader(container.process.stderr)
    first = container.process.stdout.read(16)
    assert first == b"0123456789abcde\n"
    # 16 MiB do not fit into all pipes and buffers on the way.
    container.wait_running()
    assert progress.lines() == []
    received = hashlib.sha256()
    received.update(first)
    assert _drain(container.process.stdout, received) == 16 * MIB - 16
    assert received.hexdigest() == hashlib.sha256(b"0123456789abcde\n" * MIB).hexdigest()
    progress.wait_line("end")
    assert container.process.wait(timeout=60) == 0


def test_one_slow_reader_does_not_stop_another(runner):
    container = runner.start()
    stuck = container.popen_exec("sh", "-c", "yes | head -c 16777216")
    assert stuck.stdout.read(2) == b"y\n"
    data = os.urandom(MIB)
    assert container.exec("cat", stdin=data).check().out == data
    assert _drain(stuck.stdout, hashlib.sha256()) == 16 * MIB - 2
    assert stuck.wait(timeout=30) == 0
    container.delete()


def test_grandchild_that_holds_the_output(runner):
    """The end of a process is reported though a child of it keeps the pipe open."""
    container = runner.start()
    begin = time.monotonic()
    result = container.exec("sh", "-c", "sleep 1000 & echo started; exit 4")
    assert (result.text, result.code) == ("started\n", 4)
    assert time.monotonic() - begin < 20
    container.delete()


def test_detached_output_to_file(runner, tmp_path):
    log = tmp_path / "deep/er/log"
    script = "echo out; echo err >&2; sleep 1000000"
    argv = runner.argv(
        name := "log-" + str(os.getpid()), "sh", "-c", script,
        options=("-d", "--log-uri", f"file://{log}"),
    )  # fmt: skip
    runner.ctr.command(*argv).check()
    try:
        lines = wait_until(
            lambda: log.exists() and len(log.read_text().split()) == 2 and log.read_text().split(),
            "both lines in the log file",
        )
        assert sorted(lines) == ["err", "out"]
    finally:
        runner.ctr.remove(name)
