"""ExecSync, and logs."""

import time
from concurrent.futures import ThreadPoolExecutor

from cppvmdev.waiting import wait_until

from .case import collect

CASES, case = collect()

_MIB = 1 << 20


def _exec(name, script):
    def act(side):
        return side.shell(side.sleeper(envs=[{"key": "A", "value": "1"}], working_dir="/tmp"), script)

    act.__doc__ = f"exec {name}"
    case(act)


_exec("of both streams", "echo out; echo err >&2; exit 3")
_exec("of nothing", "")
_exec("that ends by a signal", "kill -9 $$")
_exec("with the container's environment and directory", "echo $A; pwd; echo $PATH")
_exec("without an input", "cat; echo $?")
_exec("without a terminal", "tty; test -t 1; echo $?")
_exec("of bytes that are no text", "printf '\\000\\377\\n'")


@case
def programs_that_are_absent(side):
    """exec of a program that is absent, or none"""
    container = side.sleeper()
    commands = (["/nowhere"], ["nowhere"], ["/etc"], ["/etc/passwd"], [])
    return {"fails": [side.attempt("ExecSync", container_id=container, cmd=command) != "OK" for command in commands]}


@case
def exec_with_a_deadline(side):
    """exec that its deadline ends"""
    container = side.sleeper()
    start = time.monotonic()
    end = side.attempt("ExecSync", container_id=container, cmd=["sleep", "4321"], timeout=2)
    soon = time.monotonic() - start < 20
    wait_until(lambda: side.shell(container, "ps | grep -c '[s]leep 4321'")["stdout"] == "0\n", "its end inside", 20)
    return {"end": end, "soon": soon, "works still": side.shell(container, "echo works")}


@case
def exec_before_its_deadline(side):
    """exec that ends before its deadline"""
    return side.exec(side.sleeper(), "true", timeout=60)


@case
def large_output(side):
    """exec of a MiB, and of nearly as much as CRI takes"""
    container = side.sleeper()
    sizes = []
    for size in (_MIB, 15 * _MIB):
        command = ["head", "-c", str(size), "/dev/zero"]
        answer = side.call("ExecSync", container_id=container, cmd=command, timeout=100)
        sizes.append(len(answer.stdout))
    return {"sizes": sizes}


@case
def many_execs(side):
    """execs at once"""
    container = side.sleeper()
    with ThreadPoolExecutor(8) as pool:
        return {"ends": list(pool.map(lambda n: side.shell(container, f"echo {n}; exit {n}"), range(8)))}


@case
def execs_outlived(side):
    """exec leaves a process behind"""
    container = side.sleeper()
    report = side.shell(container, "sleep 7777 >/dev/null 2>&1 </dev/null & echo left")
    return {**report, "lives": side.shell(container, "ps | grep -c '[s]leep 7777'")}


def _logged(name, script, **config):
    def act(side):
        container, made = side.create("sh", "-c", script, **config)
        side.call("StartContainer", container_id=container)
        side.ended(container)
        lines = side.log(made)
        tags = [f"{stream} {tag} {len(text)}" for stream, tag, text in lines]
        return {"lines": tags, "start": lines[:1] and lines[0][2][:40]}

    act.__doc__ = f"log {name}"
    case(act)


_logged("of both streams", "echo out; sleep 0.3; echo err >&2")
_logged("of a line without an end", "printf half")
_logged("of empty lines", "echo; echo; echo x")
_logged("of nothing", "true")
_logged("of a line that is too long", "head -c 40000 /dev/zero | tr '\\0' x; echo; echo next")
_logged("of a line that just fits", "head -c 16384 /dev/zero | tr '\\0' x; echo")
_logged("of many lines", "seq 1 2000")
_logged("of a terminal", "echo one; echo two >&2", tty=True)
_logged("of carriage returns", "printf 'a\\r\\nb\\n'")


@case
def log_in_a_directory(side):
    """log in a directory that is there"""
    (side.directory / side.shared_pod()[1]["metadata"]["name"] / "sub").mkdir(parents=True, exist_ok=True)
    return side.say("echo works", log_path="sub/c.log")


@case
def no_log(side):
    """log of no path"""
    container, _ = side.create("echo", "lost", log_path="")
    side.call("StartContainer", container_id=container)
    return side.ended(container)


@case
def log_reopened(side):
    """log reopened after it was moved away"""
    container, config = side.create("sh", "-c", "trap 'echo second' USR1; echo first; while :; do sleep 0.1; done")
    side.call("StartContainer", container_id=container)
    wait_until(lambda: side.log(config), "its first line", 30)
    log = side.log_file(config)
    old = log.rename(log.with_name("old.log"))
    side.call("ReopenContainerLog", container_id=container)
    side.shell(container, "kill -USR1 1")
    wait_until(lambda: side.log(config), "its second line", 30)
    return {"old": old.read_text().count("\n"), "new": [text for _, _, text in side.log(config)]}
