"""Unix sockets of the host that containers connect to ([sockets] host_to_guest)."""

import os
import socket

import pytest

from cppvmdev.images import REAL
from cppvmdev.waiting import wait_until
from harness.runner import bind
from harness.socket_server import SocketServer

pytestmark = pytest.mark.vm

MIB = 1 << 20

# Sends what it is told to, ends its side, and prints how much came back, and its first words.
_CLIENT = """
import contextlib, os, socket, sys, threading
path, size = sys.argv[1], int(sys.argv[2])
client = socket.socket(socket.AF_UNIX)
client.connect(path)
def send():
    with contextlib.suppress(OSError):
        client.sendall(b"hello " + b"x" * size)
        client.shutdown(socket.SHUT_WR)
threading.Thread(target=send).start()
data = b""
with contextlib.suppress(ConnectionError):
    while part := client.recv(65536):
        data += part
mode = os.stat(path)
print(len(data), data[:11].decode(), f"{mode.st_mode & 0o7777:o} {mode.st_uid}:{mode.st_gid}")
"""


class EchoServer(SocketServer):
    """Answers what it is sent, after a word of its own, and ends when the client does."""

    def serve(self, connection):
        connection.sendall(b"echo ")
        while data := connection.recv(65536):
            connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)


@pytest.fixture(name="server")
def server_fixture(tmp_path):
    with EchoServer(tmp_path / "echo.sock") as server:
        os.chmod(server.path, 0o640)
        os.chown(server.path, 0, 42)
        yield server


def _client(path, size=0):
    return ("python3", "-c", _CLIENT, path, str(size))


def test_connects_to_the_hosts_socket(configured, server):
    runner = configured(sockets={"host_to_guest": [server.path]})
    options = bind(server.path, "/run/echo.sock")
    result = runner.run(*_client("/run/echo.sock", 8 * MIB), image=REAL, options=options).check()
    assert result.text == f"{8 * MIB + 11} echo hello  640 0:42\n"
    assert server.accepted == 1
    wait_until(lambda: not server.open, "the end of the connection")


def test_socket_that_is_not_opened_leads_nowhere(configured, server, tmp_path):
    runner = configured(sockets={"host_to_guest": [server.path + ".other"]})
    options = bind(server.path, "/run/echo.sock")
    alone = runner.run(*_client("/run/echo.sock"), image=REAL, options=options)
    assert alone.code != 0
    assert server.path in alone.error and "host_to_guest" in alone.error
    options = bind(tmp_path, "/host")
    in_directory = runner.run(*_client("/host/echo.sock"), image=REAL, options=options)
    assert "ConnectionRefusedError" in in_directory.error
    assert server.accepted == 0


def test_sockets_of_a_directory_and_of_a_server_that_comes_later(configured, tmp_path):
    """As CSI's and X11's are. The same container sees the next server of that name, though the guest has seen
    meanwhile that there was none."""
    directory = tmp_path / "plugins"
    directory.mkdir()
    path = directory / "csi.sock"
    runner = configured(sockets={"host_to_guest": [str(directory)]})
    with EchoServer(path):
        container = runner.start(image=REAL, options=bind(directory, "/plugins"))
        first = container.exec(*_client("/plugins/csi.sock")).check()
        assert first.text.startswith("11 echo hello")
    for _ in range(2):
        wait_until(lambda: container.exec("test", "-e", "/plugins/csi.sock").code == 1, "the socket to be gone", 20)
        with EchoServer(path):
            client = _client("/plugins/csi.sock")
            wait_until(lambda: container.exec(*client).text.startswith("11 echo hello"), "the next server", 30)
    container.delete()


def test_connection_ends_at_once_where_no_server_listens(configured, tmp_path):
    with EchoServer(tmp_path / "echo.sock") as server:
        runner = configured(sockets={"host_to_guest": [server.path]})
        container = runner.start(image=REAL, options=bind(server.path, "/run/echo.sock"))
    nobody = container.exec(*_client("/run/echo.sock")).check()
    assert nobody.text.startswith("0 ")  # accepted for it, and closed
    container.delete()


def test_connections_end_with_the_container(configured, server):
    runner = configured(sockets={"host_to_guest": [server.path]})
    container = runner.start(image=REAL, options=bind(server.path, "/run/echo.sock"))
    script = (
        "import socket, time\n"
        "clients = [socket.socket(socket.AF_UNIX) for _ in range(20)]\n"
        "[client.connect('/run/echo.sock') for client in clients]\n"
        "print('connected', flush=True)\n"
        "time.sleep(1000)\n"
    )
    client = container.popen_exec("python3", "-c", script)
    assert client.stdout.readline() == b"connected\n"
    wait_until(lambda: len(server.open) == 20, "all connections")
    container.delete()
    client.wait(timeout=30)
    wait_until(lambda: not server.open, "the end of the connections")
