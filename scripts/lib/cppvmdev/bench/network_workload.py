"""What is done with a network where it is measured: in a container, or as the first process of a bare
machine (--init ADDRESS, in a /24). Uses the standard library only.

    python3 network_workload.py [--init ADDRESS] SERVER MIB ROUNDS
    python3 network_workload.py --serve ADDRESS

Prints one JSON object: rates, all "more is better".
"""

import json
import socket
import struct
import sys
import threading
import time

_PORT = 7070
_BLOCK = bytes(1 << 18)
_MESSAGE = bytes(64)
MARK = "RESULT "


def _receive(peer, size):
    while size > 0:
        got = len(peer.recv(min(size, len(_BLOCK))))
        if got == 0:
            raise ConnectionError("the peer has ended")
        size -= got


def _send(peer, size):
    for _ in range(size // len(_BLOCK)):
        peer.sendall(_BLOCK)


def _echo(peer, rounds):
    for _ in range(rounds):
        _receive(peer, len(_MESSAGE))
        peer.sendall(_MESSAGE)


_SERVED = {b"s": _receive, b"r": _send, b"e": _echo}


def _serve_one(peer):
    with peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        what = peer.recv(9, socket.MSG_WAITALL)
        _SERVED[what[:1]](peer, struct.unpack("!Q", what[1:])[0])
        peer.sendall(b".")


def _serve_datagrams(address):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.bind((address, _PORT))
        while True:
            own.sendto(*own.recvfrom(2048))


def serve(address):
    threading.Thread(target=_serve_datagrams, args=(address,), daemon=True).start()
    with socket.create_server((address, _PORT)) as server:
        print("ready", flush=True)
        while True:
            _serve_one(server.accept()[0])


def _timed(address, what, amount, work):
    with socket.create_connection((address, _PORT)) as peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        begin = time.monotonic()
        peer.sendall(what + struct.pack("!Q", amount))
        work(peer, amount)
        _receive(peer, 1)
        return time.monotonic() - begin


def _ask(peer, rounds):
    for _ in range(rounds):
        peer.sendall(_MESSAGE)
        _receive(peer, len(_MESSAGE))


def _datagram_rate(address, rounds):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.settimeout(5)
        own.connect((address, _PORT))
        begin = time.monotonic()
        for _ in range(rounds):
            own.send(_MESSAGE)
            own.recv(2048)
        return rounds / (time.monotonic() - begin)


def measure(address, mib, rounds):
    size = mib << 20
    _timed(address, b"e", 100, _ask)  # addresses resolved, code warm
    return {
        "send_mib_s": mib / _timed(address, b"s", size, _send),
        "receive_mib_s": mib / _timed(address, b"r", size, _receive),
        "tcp_round_trips_s": rounds / _timed(address, b"e", rounds, _ask),
        "udp_round_trips_s": _datagram_rate(address, rounds),
    }


def _set_up(address):
    """As the agent does with an interface (netdevice(7))."""
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        for request, value in ((0x8916, address), (0x891C, "255.255.255.0")):
            words = struct.pack(
                "16sHH4s8x", b"eth0", socket.AF_INET, 0, socket.inet_aton(value)
            )
            fcntl.ioctl(any_socket, request, words)  # SIOCSIFADDR, SIOCSIFNETMASK
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sH14x", b"eth0", 0x43))  # SIOCSIFFLAGS: up


def main(arguments):
    if arguments[0] == "--serve":
        serve(arguments[1])
    as_init = arguments[0] == "--init"
    if as_init:
        _set_up(arguments[1])
    address, mib, rounds = arguments[-3:]
    print(MARK + json.dumps(measure(address, int(mib), int(rounds))), flush=True)
    if as_init:
        import ctypes

        ctypes.CDLL(None).reboot(0x4321FEDC)  # RB_POWER_OFF, reboot(2)


if __name__ == "__main__":
    main(sys.argv[1:])
