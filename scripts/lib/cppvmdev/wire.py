"""Just enough ttrpc to speak to a shim as containerd does, and to misbehave."""

import socket
import struct

from . import messages

REQUEST, RESPONSE = 1, 2
_HEADER = struct.Struct(">IIBB")


class Refused(Exception):
    """The peer answered with a status other than OK."""

    def __init__(self, code, text):
        super().__init__(f"code {code}: {text}")
        self.code = code
        self.text = text


# google.rpc codes
INVALID_ARGUMENT, NOT_FOUND, ALREADY_EXISTS = 3, 5, 6
RESOURCE_EXHAUSTED, FAILED_PRECONDITION, UNIMPLEMENTED = 8, 9, 12


class Connection:
    """One ttrpc connection to a unix socket; one call at a time."""

    def __init__(self, path, timeout=90):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        self.socket.connect(path)
        self._stream = -1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def call(self, service, method, payload=b"", namespace="e2e"):
        """The payload of the answer; raises Refused."""
        request = messages.Request(
            service=service.encode(),
            method=method.encode(),
            payload=payload,
            metadata=[{"key": b"containerd-namespace-ttrpc", "value": namespace.encode()}],
        )
        self.send_frame(request.SerializeToString())
        return self.receive_answer()

    def invoke(self, service, method, fields, **options):
        """A call by the method's descriptor, with the fields of its request; returns the answer."""
        request = messages.named(method.input_type.full_name)(**fields)
        payload = self.call(service, method.name, request.SerializeToString(), **options)
        return messages.named(method.output_type.full_name).FromString(payload)

    def send_frame(self, payload, kind=REQUEST, stream=None, length=None):
        """Sends a frame; `stream` and `length` may be wrong on purpose."""
        if stream is None:
            self._stream += 2
            stream = self._stream
        size = len(payload) if length is None else length
        self.socket.sendall(_HEADER.pack(size, stream, kind, 0) + payload)

    def receive_answer(self):
        size, _, kind, _ = _HEADER.unpack(self._read(_HEADER.size))
        response = messages.Response.FromString(self._read(size))
        assert kind == RESPONSE, f"frame of type {kind} instead of a response"
        if response.status.code:
            raise Refused(response.status.code, response.status.message.decode())
        return response.payload

    def _read(self, size):
        data = bytearray()
        while len(data) < size:
            part = self.socket.recv(size - len(data))
            if not part:
                raise ConnectionError("ttrpc: closed")
            data += part
        return bytes(data)
