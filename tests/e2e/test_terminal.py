"""Sessions on a terminal."""

import pytest

from conftest import both_versions
from cppvmdev.ctr import unique_id
from harness.runner import Container
from harness.terminal import Terminal


def _session(runner, *command):
    container = Container(runner, unique_id("tty"))
    runner.containers.append(container)
    argv = runner.argv(container.name, *command, options=("--rm", "-t"))
    return container, Terminal(runner.ctr.argv(*argv), env=runner.containerd.environ())


@pytest.mark.kvm
@both_versions
def test_session_with_resize(runner):
    _, session = _session(runner, "sh", "-i")
    with session as terminal:
        # Answers are computed, so that the echo of what was typed is not taken for them.
        terminal.type("echo ready$((40 + 2))\n")
        terminal.expect("ready42")
        terminal.type("tty; test -t 0 && test -t 1 && test -t 2 && echo is$((1 + 1))tty\n")
        terminal.expect("is2tty")
        terminal.resize(33, 111)
        terminal.type(
            "until [ \"$(stty size)\" = '33 111' ]; do sleep 0.05; done; echo size$((6 * 7))\n"
        )
        terminal.expect("size42")
        terminal.type("exit 9\n")
        assert terminal.wait() == 9


def test_interrupt_key(runner):
    container, session = _session(runner, "sh", "-i")
    with session as terminal:
        terminal.type("echo ready$((40 + 2))\n")
        terminal.expect("ready42")
        terminal.type("sleep 1000\n")
        # While the shell edits a line the key is a character like any other.
        container.sh("until pidof sleep; do :; done")
        terminal.type("\x03")
        terminal.type("echo after$((40 + 2))\n")
        terminal.expect("after42")
        terminal.type("exit\n")
        terminal.wait()


def test_end_of_input_key(runner):
    _, session = _session(runner, "sh", "-c", "echo begun; cat; echo ended$((40 + 2)); exit 3")
    with session as terminal:
        terminal.expect("begun")
        terminal.type("line\n")
        terminal.expect("line")
        terminal.type("\x04")
        terminal.expect("ended42")
        assert terminal.wait() == 3


def test_terminal_of_exec(runner):
    container = runner.start()
    argv = runner.ctr.argv(*container.exec_argv("sh", "-i", options=("-t",)))
    with Terminal(argv, rows=40, columns=100, env=runner.containerd.environ()) as terminal:
        terminal.type(
            "until [ \"$(stty size)\" = '40 100' ]; do sleep 0.05; done; echo size$((6 * 7))\n"
        )
        terminal.expect("size42")
        terminal.type("exit 6\n")
        assert terminal.wait() == 6
    container.delete()


def test_big_output_on_terminal(runner):
    _, session = _session(runner, "sh", "-c", "seq 1 20000; echo end$((40 + 2))")
    with session as terminal:
        lines = terminal.expect("end42").split()
        assert lines == [str(n) for n in range(1, 20001)]
        assert terminal.wait() == 0
