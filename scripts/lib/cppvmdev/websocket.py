"""A client of WebSocket (RFC 6455) as Kubernetes' streaming servers speak it: the first byte of each
message names the channel."""

import base64
import os
import socket
import struct
from urllib.parse import urlsplit

_PROTOCOL = "v4.channel.k8s.io"
STDIN, STDOUT, STDERR, STATUS, SIZE = range(5)
_BINARY, _CLOSE, _PING = 2, 8, 9


class Closed(Exception):
    """The other side has ended the connection."""


class WebSocket:
    """Owns the connection; closes it on exit from the with block. Each wait has the timeout, in seconds."""

    def __init__(self, url, timeout=30):
        parts = urlsplit(url)
        self._socket = socket.create_connection((parts.hostname, parts.port), timeout)
        self._buffer = b""
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        lines = (
            f"GET {target} HTTP/1.1", f"Host: {parts.netloc}", "Upgrade: websocket", "Connection: Upgrade",
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}", "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Protocol: {_PROTOCOL}", "", "",
        )  # fmt: skip
        self._socket.sendall("\r\n".join(lines).encode())
        answer = self._until(b"\r\n\r\n")
        if b" 101 " not in answer.split(b"\r\n")[0]:
            raise Closed(answer.decode(errors="replace"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()

    def send(self, channel, data):
        self._send(_BINARY, bytes([channel]) + data)

    def _send(self, kind, data):
        size = len(data)
        length = struct.pack("!B", 0x80 | size) if size < 126 else struct.pack("!BH", 0x80 | 126, size)
        # The mask is four zeros, so the data is as it was.
        self._socket.sendall(bytes([0x80 | kind]) + length + bytes(4) + data)

    def receive(self):
        """(channel, data) of the next message that is not empty."""
        while True:
            kind, data = self._frame()
            if kind == _CLOSE:
                raise Closed(data.decode(errors="replace"))
            if kind != _PING and len(data) > 1:
                return data[0], data[1:]

    def rest(self, want=lambda channels: False):
        """What each channel says until the end, or until `want` has what it waits for."""
        channels = {}
        try:
            while not want(channels):
                channel, data = self.receive()
                channels[channel] = channels.get(channel, b"") + data
        except Closed:
            pass
        return channels

    def _frame(self):
        kind, size = self._exactly(2)
        size &= 0x7F
        if size >= 126:
            size = int.from_bytes(self._exactly(2 if size == 126 else 8), "big")
        return kind & 0xF, self._exactly(size)

    def _until(self, mark):
        while mark not in self._buffer:
            self._more()
        head, self._buffer = self._buffer.split(mark, 1)
        return head

    def _exactly(self, size):
        while len(self._buffer) < size:
            self._more()
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    def _more(self):
        data = self._socket.recv(65536)
        if not data:
            raise Closed("the peer closed the connection without a close frame")
        self._buffer += data
