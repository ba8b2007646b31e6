"""stdio of a process against a plain vsock connection to the same VM."""

import os
import re
import socket
import threading
from pathlib import Path

from ..ctr import unique_id
from .execs import ExecTask
from .subject import CPPVM, seconds

_CHUNK = 64 << 10
_PORT = 5000
_ROUND_TRIPS = 200


def _dial(family, address):
    connection = socket.socket(family)
    connection.settimeout(60)
    connection.connect(address)
    return connection


class EchoContainer:
    """A VM in which a plain program sends back what comes on a vsock connection, on the next one;
    see tests/bench/vsock_echo.cpp."""

    def __init__(self, subject, program):
        mount = f"type=bind,src={program},dst=/vsock-echo,options=bind:ro"
        self.name = subject.container(CPPVM, "--mount", mount, command=["/vsock-echo", str(_PORT)])
        run_dir = Path("/run/cppvm") / subject.identity(self.name).short
        # Revisions to compare with have the socket in the run directory itself.
        places = (run_dir / "vsock/vsock.sock", run_dir / "vsock.sock")
        self._socket = next((place for place in places if place.exists()), places[0])
        (machine,) = subject.helpers("qemu-system", [self.name])
        self._cid = re.search(r'guest-cid"?[=:](\d+)', machine.cmdline)

    def connect(self):
        if self._cid:  # a CID of the kernel's vhost-vsock
            return _dial(socket.AF_VSOCK, (int(self._cid[1]), _PORT))
        connection = _dial(socket.AF_UNIX, str(self._socket))
        connection.sendall(f"CONNECT {_PORT}\n".encode())
        answer = b""
        while not answer.endswith(b"\n"):
            part = connection.recv(1)
            if not part:
                raise RuntimeError("nobody listens at the vsock port")
            answer += part
        return connection


def _feed(write, close_write, total):
    chunk = bytes(_CHUNK)
    for _ in range(total // _CHUNK):
        view = memoryview(chunk)
        while view:
            view = view[write(view) :]
    close_write()


def _drain(read, total):
    received = 0
    while received < total:
        part = read(_CHUNK)
        if not part:
            raise RuntimeError(f"{total - received} bytes were lost")
        received += len(part)


def _through(write, read, close_write, mib):
    """Moves `mib` MiB through something that echoes, both ways at once."""
    total = mib << 20
    feeder = threading.Thread(target=_feed, args=(write, close_write, total))
    feeder.start()
    _drain(read, total)
    feeder.join()


def _round_trip_us(write, read):
    message = b"12345678"

    def once():
        write(message)
        received = b""
        while len(received) < len(message):
            received += read(len(message))

    once()
    return 1e6 * seconds(lambda: [once() for _ in range(_ROUND_TRIPS)]) / _ROUND_TRIPS


class _Fifos:
    """Ends of the fifos of an exec's streams, as containerd's client holds them."""

    def __init__(self, directory):
        stem = Path(directory) / unique_id("fifo")
        self.paths = [f"{stem}-{stream}" for stream in ("in", "out", "err")]
        for path in self.paths:
            os.mkfifo(path, 0o600)
        # For reading too: then opening waits for nobody.
        self._spare = [os.open(path, os.O_RDWR) for path in self.paths]
        self.input = os.open(self.paths[0], os.O_WRONLY)
        self.output = os.open(self.paths[1], os.O_RDONLY)

    def in_use(self):
        """Something came back, so the shim has opened its ends."""
        for fd in self._spare[:2]:
            os.close(fd)
        del self._spare[:2]

    def close_input(self):
        os.close(self.input)
        self.input = -1

    def close(self):
        for fd in [*self._spare, self.input, self.output]:
            if fd >= 0:
                os.close(fd)
        for path in self.paths:
            os.unlink(path)


def stdio(subject, container, throughput, round_trip, mib):
    """`cat` as an exec: throughput in MiB/s, and the round trip of 8 bytes in us."""
    with ExecTask(subject, container) as task:
        fifos = _Fifos(subject.base)
        exec_id = task.begin("cat", fifos=fifos.paths)

        def write(data):
            return os.write(fifos.input, data)

        def read(size):
            return os.read(fifos.output, size)

        def end():
            task.call("CloseIO", exec_id=exec_id, stdin=True)
            fifos.close_input()

        subject.add(round_trip, _round_trip_us(write, read))
        fifos.in_use()
        subject.add(throughput, mib / seconds(lambda: _through(write, read, end, mib)))
        task.finish(exec_id)
        fifos.close()


def one_way(subject, container, figures, mib):
    """Into a process that reads, until it has ended, and out of one that writes; MiB/s."""
    into, out_of = figures
    total = mib << 20
    with ExecTask(subject, container) as task:
        fifos = _Fifos(subject.base)
        exec_id = task.begin("dd", "of=/dev/null", "bs=64k", fifos=fifos.paths)

        def end():
            task.call("CloseIO", exec_id=exec_id, stdin=True)
            fifos.in_use()
            fifos.close_input()

        def feed():
            _feed(lambda data: os.write(fifos.input, data), end, total)
            task.finish(exec_id)

        subject.add(into, mib / seconds(feed))
        fifos.close()
        fifos = _Fifos(subject.base)
        exec_id = task.begin("dd", "if=/dev/zero", "bs=64k", f"count={total >> 16}", fifos=fifos.paths)
        drain = lambda: _drain(lambda size: os.read(fifos.output, size), total)
        subject.add(out_of, mib / seconds(drain))
        task.finish(exec_id)
        fifos.close()


def plain(subject, echo, mib):
    """The same by plain vsock connections."""
    with echo.connect() as there, echo.connect() as back:
        subject.add("vsock_round_trip_us", _round_trip_us(there.send, back.recv))
        end = lambda: there.shutdown(socket.SHUT_WR)
        took = seconds(lambda: _through(there.send, back.recv, end, mib))
        subject.add("vsock_mib_s", mib / took)
