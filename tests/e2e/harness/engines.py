"""What is tried with each client that has docker's commands (cppvmdev.engine)."""

import subprocess

from cppvmdev.ctr import unique_id
from cppvmdev.images import SMALL
from cppvmdev.namespaces import Pair
from cppvmdev.waiting import wait_until
from harness.terminal import Terminal

# httpd goes to the background once it listens.
_SERVER = "mkdir /www; echo from inside > /www/index.html; httpd -p 80 -h /www; echo serving; exec sleep 1000000"


def live_with_a_published_port(engine, world, outside, subnet):
    """From run to rm. The engine's bridge is in `world`, at `subnet`.1."""
    Pair(outside, world)
    name = engine.start_container("-p", "8080:80", SMALL, "sh", "-c", _SERVER)
    wait_until(lambda: "serving" in engine.text("logs", name), "the server", 30)
    page = outside.run("curl", "-sS", "--max-time", "20", "http://10.77.0.2:8080/")
    assert page.check().text == "from inside\n"
    assert f"{subnet}." in engine.text("exec", name, "ip", "address", "show", "eth0")
    engine.text("exec", name, "ping", "-c", "1", "-W", "5", f"{subnet}.1")
    hostname = engine.text("exec", name, "hostname")
    assert hostname in engine.text("exec", name, "cat", "/etc/hosts")
    engine.text("stop", "-t", "1", name)
    assert engine.text("inspect", "-f", "{{.State.Status}}", name) == "exited"
    engine.text("rm", name)


def have_no_network_or_the_hosts(engine):
    def interfaces(network):
        options = ("--rm", "--runtime", engine.runtime, "--network", network)
        return engine.text("run", *options, SMALL, "ls", "/sys/class/net").split()

    assert interfaces("none") == ["lo"]
    assert interfaces("host") == ["eth0", "lo"]


def pause_and_measure(engine):
    """pause, unpause, stats, update and top."""
    name = engine.start_container("--memory", "128m", SMALL, "sleep", "1000000")

    def status():
        return engine.text("inspect", "-f", "{{.State.Status}}", name)

    def memory():
        return engine.text("stats", "--no-stream", "--format", "{{.MemUsage}}", name)

    engine.text("pause", name)
    assert status() == "paused"
    assert "paused" in engine.run("exec", name, "true").error
    engine.text("unpause", name)
    assert status() == "running"
    used, limit = memory().split(" / ")
    assert limit == "128MiB" and not used.startswith("0B")
    engine.text("update", "--memory", "96m", "--memory-swap", "96m", name)
    assert memory().endswith(" / 96MiB")
    assert "sleep" in engine.text("top", name)


def sit_before_terminals(engine, exec_code=7):
    """Of `run -it` and of `exec -it`, with sizes that change. `exec_code`: the client's, when the program
    exits with 7."""
    name = unique_id("engine")
    options = ("--rm", "-it", "--runtime", engine.runtime, "--name", name)
    with _terminal(engine, "run", *options, SMALL, "sh", "-i") as first:
        _resize(first, 33, 111)
        with _terminal(engine, "exec", "-it", name, "sh", "-i") as second:
            _resize(second, 44, 122)
            second.type("exit 7\n")
            assert second.wait() == exec_code
        first.type("exit 9\n")
        assert first.wait() == 9


def _terminal(engine, *command):
    return Terminal([str(word) for word in engine.argv(*command)], env=engine.environ())


def _resize(terminal, rows, columns):
    # Answers are computed, so that the echo of what was typed is not taken for them.
    terminal.type("echo ready$((40 + 2))\n")
    terminal.expect("ready42")
    terminal.resize(rows, columns)
    # A client may not yet listen for changes when the program is there.
    terminal.type(
        f"until [ \"$(stty size)\" = '{rows} {columns}' ]; do sleep 0.05; done; echo size$((6 * 7))\n"
    )
    terminal.expect("size42", meanwhile=lambda: terminal.resize(rows, columns))


def exec_as_told(engine):
    """User, directory, variables, privileges, input, and one that nobody waits for."""
    name = engine.start_container(SMALL, "sleep", "1000000")
    look = 'id -u; pwd; echo "$A"; grep CapEff /proc/self/status; cat'
    options = ("-i", "--user", "nobody", "--workdir", "/tmp", "--env", "A=two words")
    said = engine.text("exec", *options, name, "sh", "-c", look, stdin=b"input\n")
    assert said == "65534\n/tmp\ntwo words\nCapEff:\t0000000000000000\ninput"
    capabilities = engine.text("exec", "--privileged", name, "grep", "CapEff", "/proc/self/status")
    # Those that the engine itself has, which may not be all.
    assert int(capabilities.split()[1], 16) & 1 << 21, "CAP_SYS_ADMIN"
    engine.text("exec", "-d", name, "touch", "/tmp/made")
    wait_until(lambda: engine.run("exec", name, "test", "-e", "/tmp/made").code == 0, "the file", 30)
    for command, code in (("exit 9", 9), ("kill -TERM $$", 143), ("exec nope", 127)):
        assert engine.run("exec", name, "sh", "-c", command).code == code
    assert engine.run("exec", name, "nope").code in (126, 127)


def attach_restart_and_rename(engine):
    """Of one container, whose files stay as they are."""
    script = "test -e /made && echo again; touch /made; while read -r line; do echo got $line; done; exec sleep 1000000"
    name = engine.start_container("-i", SMALL, "sh", "-c", script)
    argv = [str(word) for word in engine.argv("attach", "--sig-proxy=false", name)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(argv, env=engine.environ(), **pipes) as client:
        client.stdin.write(b"word\n")
        client.stdin.flush()
        assert client.stdout.readline() == b"got word\n"
        client.kill()
    engine.text("restart", "-t", "0", name)
    wait_until(lambda: "again" in engine.text("logs", name), "the second run", 60)
    engine.text("rename", name, f"{name}-later")
    assert engine.text("inspect", "-f", "{{.State.Status}}", f"{name}-later") == "running"
    assert "again" in engine.text("logs", "--tail", "5", f"{name}-later")


_ENDS = "trap 'echo usr1' USR1; trap 'echo bye >&2; exit 5' TERM; echo up; while :; do sleep 0.1; done"


def signal_stop_and_wait(engine):
    """What a container says and how it ends, by kill, stop, wait, logs and inspect."""
    name = engine.start_container(SMALL, "sh", "-c", _ENDS)
    wait_until(lambda: "up" in engine.text("logs", name), "the traps", 30)
    engine.text("kill", "-s", "USR1", name)
    wait_until(lambda: "usr1" in engine.text("logs", name), "the signal", 30)
    engine.text("stop", "-t", "30", name)
    assert engine.text("wait", name) == "5"
    logs = engine.run("logs", name).check()
    assert (logs.text, logs.error) == ("up\nusr1\n", "bye")
    assert engine.text("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", name) == "exited 5"
    engine.text("start", name)
    wait_until(lambda: engine.text("logs", name).count("up") == 2, "the second run", 30)
    engine.text("kill", name)
    assert engine.text("wait", name) == "137"
    engine.text("rm", name)


def copy_in_and_out(engine, directory, replaces=True):
    """By `cp`, of a container that runs and of one that has ended. `replaces`: the container sees
    what comes into the place of a file that it knows."""
    (directory / "in").write_text("from the host\n")
    (directory / "in").chmod(0o640)
    name = engine.start_container(SMALL, "sh", "-c", "echo from inside > /made; sleep 1000000")
    wait_until(lambda: engine.run("exec", name, "test", "-s", "/made").code == 0, "the file", 30)
    engine.text("cp", directory / "in", f"{name}:/tmp/in")
    shown = engine.text("exec", name, "sh", "-c", "cat /tmp/in; stat -c %a /tmp/in")
    assert shown == "from the host\n640"
    if replaces:
        _replace_by_copy(engine, name, directory)
    engine.text("exec", "-i", name, "sh", "-c", "cat > /tmp/in", stdin=b"again\n")
    assert engine.text("exec", name, "cat", "/tmp/in") == "again"
    engine.text("cp", f"{name}:/made", directory / "running")
    engine.text("exec", name, "sh", "-c", "echo changed > /made")
    engine.text("stop", "-t", "0", name)
    engine.text("cp", f"{name}:/made", directory / "stopped")
    assert (directory / "running").read_text() == "from inside\n"
    assert (directory / "stopped").read_text() == "changed\n"


_HOLDS = "exec 3< /tmp/in; touch /tmp/holds; sleep 1000000"


def _replace_by_copy(engine, name, directory):
    """Of a file that a process has open, and of what lies in a directory that it has read."""
    engine.text("exec", "-d", name, "sh", "-c", _HOLDS)
    wait_until(lambda: engine.run("exec", name, "test", "-e", "/tmp/holds").code == 0, "the file to be open", 30)
    tree = directory / "tree"
    (tree / "deep/er").mkdir(parents=True)
    for text in ("first\n", "second, of another length\n", "third!\n"):
        for path in (directory / "in", tree / "deep/er/file"):
            path.write_text(text)
        engine.text("cp", directory / "in", f"{name}:/tmp/in")
        engine.text("cp", tree, f"{name}:/tmp")
        for path in ("/tmp/in", "/tmp/tree/deep/er/file"):
            wait_until(lambda: engine.text("exec", name, "cat", path) == text.strip(), f"{path} to be {text!r}", 20)


_UNTIL_TOLD = "rm -f /tmp/end; echo run; until [ -e /tmp/end ]; do sleep 0.05; done"


def begin_again_on_failure(engine):
    """So many times as --restart says."""
    name = engine.start_container("--restart", "on-failure:2", SMALL, "sh", "-c", "echo run; exit 3")
    wait_until(lambda: engine.text("logs", name).count("run") == 3, "two more runs", 60)
    assert engine.text("wait", name) == "3"


def begin_again_always(engine):
    """Until it is told to stop."""
    name = engine.start_container("--restart", "always", SMALL, "sh", "-c", _UNTIL_TOLD)
    wait_until(lambda: engine.text("logs", name).count("run") == 1, "the first run", 60)
    engine.text("exec", name, "touch", "/tmp/end")
    wait_until(lambda: engine.text("logs", name).count("run") == 2, "the second run", 60)
    engine.text("stop", "-t", "0", name)
    # Not `inspect`: nerdctl's says "restarting" of a stopped one, with runc as well.
    assert name not in engine.text("ps", "--format", "{{.Names}}").split()


_LEAVES_A_CHILD = "(sleep 0.1 &); trap 'exit 6' TERM; echo up; while :; do sleep 0.1; done"


def have_an_init(engine, *options):
    """`--init`: process 1 reaps what is left to it, and hands signals on."""
    name = engine.start_container("--init", *options, SMALL, "sh", "-c", _LEAVES_A_CHILD)
    wait_until(lambda: "up" in engine.text("logs", name), "the program", 30)
    first = engine.text("exec", name, "cat", "/proc/1/cmdline").split("\0")
    assert first[0] in ("/sbin/docker-init", "/sbin/tini") and "sh" in first, first

    def zombies():
        # Some end meanwhile: cut's own word for that is no failure.
        script = "cut -d' ' -f3 /proc/[0-9]*/stat 2>/dev/null; true"
        return "Z" in engine.text("exec", name, "sh", "-c", script).split()

    wait_until(lambda: not zombies(), "the end of what was left", 30)
    engine.text("stop", "-t", "30", name)
    assert engine.text("wait", name) == "6"


_COMPOSITION = """services:
  server:
    image: {image}
    runtime: {runtime}
    command: sh -c "mkdir /www; echo from inside > /www/index.html; exec httpd -f -p 80 -h /www"
    volumes: ["kept:/kept"]
  client:
    image: {image}
    runtime: {runtime}
    depends_on: [server]
    command: sh -c "until wget -q -O - http://server/; do sleep 0.2; done; sleep 1000000"
volumes:
  kept:
"""


def compose_two_services(engine, directory):
    """One asks the other by its name."""
    file = directory / "compose.yaml"
    file.write_text(_COMPOSITION.format(image=SMALL, runtime=engine.runtime))

    def compose(*args):
        return engine.text("compose", "-p", "two", "-f", file, *args)

    compose("up", "-d")
    try:
        wait_until(lambda: "from inside" in compose("logs", "client"), "the answer", 60)
        compose("exec", "-T", "server", "touch", "/kept/file")
        assert "client" in compose("ps")
    finally:
        compose("kill")
        compose("down", "-v")
    assert not engine.text("ps", "-aq")
