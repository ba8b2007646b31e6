"""A streaming server as clients of containerd have them: stdio streams by ttrpc."""

import contextlib
import queue
import socket
import struct
import threading

from cppvmdev import messages, wire
from cppvmdev.waiting import wait_until
from harness.socket_server import SocketServer

_HEADER = struct.Struct(">IIBB")
_DATA = 3
_REMOTE_CLOSED, _NO_DATA = 1, 4
_WINDOW = 64 * 1024
_CHUNK = 32 * 1024

_Init = messages.named("containerd.services.streaming.v1.StreamInit")
_Data = messages.named("containerd.types.transfer.Data")
_WindowUpdate = messages.named("containerd.types.transfer.WindowUpdate")


class Stream:
    """The server's end of one stream. Reads with windows as containerd's own reader grants them, until
    `stall`."""

    def __init__(self, name, connection, number):
        self.name = name
        self.received = bytearray()
        self.ended = threading.Event()  # by the shim
        self.broken = threading.Event()
        self._connection = connection
        self._number = number
        self._granted = 0
        self._window = queue.Queue()
        self._left = 0
        self._stalled = False

    def stall(self):
        """Grants nothing more."""
        self._stalled = True

    def go_on(self):
        self._stalled = False
        self._grant()

    def wait_received(self, data, timeout=60):
        wait_until(lambda: bytes(self.received) == data, f"{data!r} on {self.name}", timeout)

    def send(self, data):
        """Waits for windows."""
        while data:
            while not self._left:
                self._left += self._window.get(timeout=60)
            part = data[: min(self._left, _CHUNK)]
            self._message(_Data(data=part))
            self._left -= len(part)
            data = data[len(part) :]

    def end(self):
        """As a server does whose handler returns."""
        self._frame(b"", _REMOTE_CLOSED | _NO_DATA)

    def begin(self):
        self._message(messages.named("google.protobuf.Empty")())

    def read_only(self):
        """Is written to by the shim: there is a window for it."""
        self._grant()

    def hear(self, payload, flags):
        if not flags & _NO_DATA:
            envelope = messages.Any.FromString(payload)
            if envelope.type_url == _Data.DESCRIPTOR.full_name:
                data = _Data.FromString(envelope.value).data
                self.received += data
                self._granted -= len(data)
                assert self._granted >= 0, f"{self.name}: more than its window"
                self._grant()
            else:
                assert envelope.type_url == _WindowUpdate.DESCRIPTOR.full_name
                self._window.put(_WindowUpdate.FromString(envelope.value).update)
        if flags & _REMOTE_CLOSED:
            self.ended.set()
            self.end()

    def _grant(self):
        if not self._stalled and self._granted < _WINDOW:
            self._granted += _WINDOW
            self._message(_WindowUpdate(update=_WINDOW))

    def _message(self, message):
        envelope = messages.Any(
            type_url=message.DESCRIPTOR.full_name, value=message.SerializeToString()
        )
        self._frame(envelope.SerializeToString(), 0)

    def _frame(self, payload, flags):
        self._connection.sendall(_HEADER.pack(len(payload), self._number, _DATA, flags) + payload)


class StreamingServer(SocketServer):
    """Streams whose names end with "stdin" are written to."""

    def __init__(self, path, refuses=()):
        self.streams = []  # every one that was begun
        self._refuses = refuses
        super().__init__(path)

    def uri(self, name):
        return f"ttrpc+unix://{self.path}?streaming_id={name}"

    def stdio(self, stem, terminal=False):
        """Fields of Create and Exec."""
        fields = {"stdin": self.uri(f"{stem}-stdin"), "stdout": self.uri(f"{stem}-stdout")}
        if not terminal:
            fields["stderr"] = self.uri(f"{stem}-stderr")
        return {**fields, "terminal": terminal}

    def stream(self, name, timeout=30):
        """The last stream of that name, once it has begun."""

        def begun():
            return [stream for stream in self.streams if stream.name == name]

        return wait_until(begun, f"stream {name}", timeout)[-1]

    def close(self):
        """Breaks all connections, too."""
        super().close()
        for connection in list(self.open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def serve(self, connection):
        stream = None
        try:
            with connection.makefile("rb") as frames:
                while header := frames.read(_HEADER.size):
                    size, number, kind, flags = _HEADER.unpack(header)
                    payload = frames.read(size)
                    if kind == wire.REQUEST:
                        request = messages.Request.FromString(payload)
                        assert request.service == b"containerd.services.streaming.v1.Streaming", request
                    elif stream is None:
                        stream = self._begin(connection, number, payload)
                    else:
                        stream.hear(payload, flags)
        finally:
            if stream:
                stream.broken.set()

    def _begin(self, connection, number, payload):
        name = _Init.FromString(messages.Any.FromString(payload).value).id
        if name in self._refuses:
            answer = messages.Response(
                status={"code": wire.NOT_FOUND, "message": f"stream {name}: not found".encode()}
            ).SerializeToString()
            connection.sendall(_HEADER.pack(len(answer), number, wire.RESPONSE, 0) + answer)
            return None
        stream = Stream(name, connection, number)
        stream.begin()
        if not name.endswith("stdin"):
            stream.read_only()
        self.streams.append(stream)
        return stream
