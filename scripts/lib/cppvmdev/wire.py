"""Just enough protobuf and ttrpc to speak to a shim as containerd does, and to misbehave.

Messages are dicts from field number to value: an int is a varint, str and bytes and dict are
length-delimited, a list repeats the field.
"""

import socket
import struct

REQUEST, RESPONSE = 1, 2
_HEADER = struct.Struct(">IIBB")


def encode(message):
    out = bytearray()
    for number, value in message.items():
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, bool) or isinstance(item, int):
                out += _varint(number << 3) + _varint(item & (2**64 - 1))
                continue
            if isinstance(item, dict):
                item = encode(item)
            elif isinstance(item, str):
                item = item.encode()
            out += _varint(number << 3 | 2) + _varint(len(item)) + item
    return bytes(out)


def decode(data):
    """Field number to the list of its values: ints, or bytes still to be decoded."""
    message, at = {}, 0
    while at < len(data):
        key, at = _read_varint(data, at)
        if key & 7 == 0:
            value, at = _read_varint(data, at)
        elif key & 7 == 2:
            size, at = _read_varint(data, at)
            value, at = data[at : at + size], at + size
        else:
            raise ValueError(f"wire type {key & 7}")
        message.setdefault(key >> 3, []).append(value)
    return message


def _varint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _read_varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


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

    def call(self, service, method, message=None, namespace="e2e", timeout_ns=0):
        """The decoded answer; raises Refused."""
        request = {1: service, 2: method, 3: encode(message or {})}
        if timeout_ns:
            request[4] = timeout_ns
        request[5] = {1: "containerd-namespace-ttrpc", 2: namespace}
        self.send_frame(encode(request))
        return self.receive_answer()

    def send_frame(self, payload, kind=REQUEST, stream=None, length=None):
        """Sends a frame; `stream` and `length` may be wrong on purpose."""
        if stream is None:
            self._stream += 2
            stream = self._stream
        size = len(payload) if length is None else length
        self.socket.sendall(_HEADER.pack(size, stream, kind, 0) + payload)

    def receive_answer(self):
        size, _, kind, _ = _HEADER.unpack(self._read(_HEADER.size))
        response = decode(self._read(size))
        assert kind == RESPONSE, f"frame of type {kind} instead of a response"
        status = decode(response.get(1, [b""])[0])
        code = status.get(1, [0])[0]
        if code:
            raise Refused(code, status.get(2, [b""])[0].decode())
        return decode(response.get(2, [b""])[0])

    def _read(self, size):
        data = bytearray()
        while len(data) < size:
            part = self.socket.recv(size - len(data))
            if not part:
                raise ConnectionError("ttrpc: closed")
            data += part
        return bytes(data)
