"""A stand-in for containerd's event service: takes what a shim publishes, in order."""

import contextlib
import os
import socket
import struct
import threading

from cppvmdev import messages, wire

_HEADER = struct.Struct(">IIBB")


class EventSink:
    """Listens at `path` from construction to close(); answers every Forward with success."""

    def __init__(self, path):
        self._path = path
        self._events = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def topics(self):
        return [topic for topic, _ in self._events]

    def events(self):
        """(topic, event message), in order of arrival."""
        return list(self._events)

    def close(self):
        # shutdown() ends the accept() of the other thread; close() alone would not.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        os.unlink(self._path)

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        # A shim that is killed resets its connection.
        with contextlib.suppress(ConnectionError), connection, connection.makefile("rb") as frames:
            while header := frames.read(_HEADER.size):
                size, stream, _, _ = _HEADER.unpack(header)
                request = messages.Request.FromString(frames.read(size))
                envelope = messages.ForwardRequest.FromString(request.payload).envelope
                event = messages.named(envelope.event.type_url).FromString(envelope.event.value)
                self._events.append((envelope.topic, event))
                answer = messages.Response(status={}).SerializeToString()
                connection.sendall(_HEADER.pack(len(answer), stream, wire.RESPONSE, 0) + answer)
