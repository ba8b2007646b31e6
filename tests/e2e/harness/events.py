"""A stand-in for containerd's event service: takes what a shim publishes, in order."""

import struct

from cppvmdev import messages, wire
from harness.socket_server import SocketServer

_HEADER = struct.Struct(">IIBB")


class EventSink(SocketServer):
    """Answers every Forward with success."""

    def __init__(self, path):
        self._events = []
        super().__init__(path)

    def topics(self):
        return [topic for topic, _ in self._events]

    def events(self):
        """(topic, event message), in order of arrival."""
        return list(self._events)

    def serve(self, connection):
        with connection.makefile("rb") as frames:
            while header := frames.read(_HEADER.size):
                size, stream, _, _ = _HEADER.unpack(header)
                request = messages.Request.FromString(frames.read(size))
                envelope = messages.ForwardRequest.FromString(request.payload).envelope
                event = messages.named(envelope.event.type_url).FromString(envelope.event.value)
                self._events.append((envelope.topic, event))
                answer = messages.Response(status={}).SerializeToString()
                connection.sendall(_HEADER.pack(len(answer), stream, wire.RESPONSE, 0) + answer)
