"""Breaks connections of another process, as a fault on the way would."""

import ctypes
import errno
import os
import socket

# pidfd_getfd(2): not in the C library of Debian 12.
_PIDFD_GETFD = 438


def _descriptor_of(pidfd, number):
    copy = ctypes.CDLL(None, use_errno=True).syscall(_PIDFD_GETFD, pidfd, number, 0)
    if copy < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return copy


def _is_of_the_agent(connection):
    """Whether it leads to the agent's port, by the kernel's vsock or by vhost-device-vsock."""
    try:
        peer = connection.getpeername()
    except OSError:
        return False  # it listens, or is not connected
    if connection.family == socket.AF_VSOCK:
        return True
    return connection.family == socket.AF_UNIX and str(peer).endswith("/vsock.sock")


def _sockets_of(pid, pidfd):
    """Copies of its sockets; what it closes meanwhile is left out."""
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            if os.readlink(f"/proc/{pid}/fd/{name}").startswith("socket:"):
                yield socket.socket(fileno=_descriptor_of(pidfd, int(name)))
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.EBADF, errno.ENOTSOCK):
                raise


def cut_agent(pid):
    """Shuts down every connection of the process `pid`, a daemon, to its guest's agent; returns how many
    there were."""
    count = 0
    pidfd = os.pidfd_open(pid)
    try:
        for connection in _sockets_of(pid, pidfd):
            with connection:
                if _is_of_the_agent(connection):
                    connection.shutdown(socket.SHUT_RDWR)
                    count += 1
    finally:
        os.close(pidfd)
    return count
