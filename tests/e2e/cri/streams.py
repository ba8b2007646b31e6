"""Exec, Attach and PortForward through CRI's streaming server."""

import json
import struct
from contextlib import contextmanager

from cppvmdev.websocket import SIZE, STATUS, STDERR, STDIN, STDOUT, WebSocket

from .case import collect

CASES, case = collect()

@contextmanager
def _connected(side, method, **fields):
    url = side.call(method, **fields).url
    with side.cri.world.call(lambda: WebSocket(url)) as connection:
        yield connection


def _exec(side, container, *command, **fields):
    return _connected(side, "Exec", container_id=container, cmd=command, **{"stdout": True, **fields})


def _told(channels):
    """What was said, and the status without words of which only the number matters."""
    status = json.loads(channels.get(STATUS, b"{}"))
    causes = [cause["message"] for cause in status.get("details", {}).get("causes", ())]
    return {
        "stdout": channels.get(STDOUT, b"").decode(errors="replace"),
        "stderr": channels.get(STDERR, b"").decode(errors="replace"),
        "status": status.get("status"),
        "exit": causes if status.get("reason") == "NonZeroExitCode" else [],
    }


def _has(word):
    return lambda channels: word in channels.get(STDOUT, b"")


def _until_size(size):
    """A script that waits for the terminal to have it, for the size comes when it comes, and tells it."""
    return f"until stty size 2>/dev/null | grep '{size}'; do sleep 0.1; done"


@case
def exec_of_streams(side):
    """streams: exec with an exit code"""
    with _exec(side, side.sleeper(), "sh", "-c", "echo out; echo err >&2; exit 5", stderr=True) as connection:
        return _told(connection.rest())


@case
def exec_of_nothing_else(side):
    """streams: exec that succeeds"""
    with _exec(side, side.sleeper(), "echo", "out") as connection:
        return _told(connection.rest())


@case
def exec_of_an_absent_program(side):
    """streams: exec of a program that is absent"""
    with _exec(side, side.sleeper(), "/nowhere") as connection:
        return {"status": _told(connection.rest())["status"]}


@case
def exec_with_an_input(side):
    """streams: exec with an input"""
    with _exec(side, side.sleeper(), "sh", "-c", "read a; echo got $a", stdin=True) as connection:
        connection.send(STDIN, b"word\n")
        return _told(connection.rest())


@case
def exec_of_much(side):
    """streams: exec of four MiB"""
    with _exec(side, side.sleeper(), "head", "-c", str(4 << 20), "/dev/zero") as connection:
        return {"size": len(connection.rest().get(STDOUT, b""))}


@case
def exec_on_a_terminal(side):
    """streams: exec on a terminal, with its size"""
    script = f"{_until_size('40 100')}; read go; echo got $go; tty | cut -c 1-9; exit 3"
    with _exec(side, side.sleeper(), "sh", "-c", script, tty=True, stdin=True) as connection:
        connection.send(SIZE, json.dumps({"Width": 100, "Height": 40}).encode())
        sized = connection.rest(_has(b"40 100\r\n"))
        connection.send(STDIN, b"go\n")
        return {"sized": sized[STDOUT].decode(), **_told(connection.rest())}


@case
def exec_whose_client_goes(side):
    """streams: exec whose client goes away"""
    container = side.sleeper()
    with _exec(side, container, "cat", stdin=True) as connection:
        connection.send(STDIN, b"x\n")
        assert connection.receive() == (STDOUT, b"x\n")
    return side.shell(container, "echo works")


_READING = ("sh", "-c", "while read line; do echo got $line; echo err >&2; done; exit 6")


@case
def attached(side):
    """streams: attach, twice"""
    container = side.start(*_READING, stdin=True)
    fields = {"container_id": container, "stdin": True, "stdout": True, "stderr": True}
    report = {}
    for word in (b"one", b"two"):
        with _connected(side, "Attach", **fields) as connection:
            connection.send(STDIN, word + b"\n")
            report[word.decode()] = connection.rest(_has(b"got " + word)).get(STDOUT, b"").decode()
    return report


@case
def attached_on_a_terminal(side):
    """streams: attach to a terminal, with its size"""
    container = side.start("sh", "-c", f"{_until_size('30 90')}; sleep 1000", stdin=True, tty=True)
    with _connected(side, "Attach", container_id=container, stdin=True, stdout=True, tty=True) as connection:
        connection.send(SIZE, json.dumps({"Width": 90, "Height": 30}).encode())
        return {"size": b"30 90" in connection.rest(_has(b"30 90"))[STDOUT]}


@case
def attached_to_its_end(side):
    """streams: attach to one that ends"""
    container = side.start("sh", "-c", "read line; exit 4", stdin=True)
    with _connected(side, "Attach", container_id=container, stdin=True, stdout=True) as connection:
        connection.send(STDIN, b"go\n")
        connection.rest()
    return side.ended(container)


def _forwarded(side, address, port):
    """What a server there answers to a client of the pod's port."""
    pod, listening = side.shared_pod()[0], side.sleeper()
    report = side.shell(listening, f"httpd -h /etc -p {address}{port}")
    with _connected(side, "PortForward", pod_sandbox_id=pod, port=[port]) as connection:
        # Each channel begins with its port's number, two bytes.
        connection.send(0, b"GET /group HTTP/1.0\r\n\r\n")
        channels = connection.rest(lambda channels: b"nogroup" in channels.get(0, b""))
        report["port"] = struct.unpack("<H", channels[0][:2])[0] == port
        report["said"] = channels[0].decode(errors="replace").split("\r\n")[-1]
        report["error"] = len(channels.get(1, b"")) > 2
        return report


@case
def forwarded(side):
    """streams: a port of the pod"""
    return _forwarded(side, "", 8080)


@case
def forwarded_to_loopback(side):
    """streams: a port of the pod's loopback"""
    return _forwarded(side, "127.0.0.1:", 8081)


@case
def forwarded_to_nobody(side):
    """streams: a port that nobody listens to"""
    pod = side.shared_pod()[0]
    with _connected(side, "PortForward", pod_sandbox_id=pod, port=[9]) as connection:
        connection.send(0, b"hello\n")
        return {"error": len(connection.rest(lambda channels: len(channels.get(1, b"")) > 2).get(1, b"")) > 2}
