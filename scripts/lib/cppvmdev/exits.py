"""How the processes of a family ended, told by the kernel: their wait statuses, though others reap them.

The kernel's process connector reports every fork, exec and exit on the machine
(linux/cn_proc.h; needs CAP_NET_ADMIN and the first pid namespace). The family is what descends from
given processes, however it was reparented since.
"""

import errno
import os
import socket
import struct
import subprocess
import threading
from dataclasses import dataclass

from . import processes

_NETLINK_CONNECTOR = 11
_CN_IDX_PROC, _CN_VAL_PROC, _LISTEN = 1, 1, 1
_FORK, _EXEC, _EXIT = 0x1, 0x2, 0x80000000
_NETLINK_HEADER = struct.Struct("=IHHII")
_CONNECTOR_HEADER = struct.Struct("=IIIIHH")
_EVENT_HEADER = struct.Struct("=IIQ")
_BODY_AT = _NETLINK_HEADER.size + _CONNECTOR_HEADER.size + _EVENT_HEADER.size
_BUFFER = 8 << 20
_SO_RCVBUFFORCE = 33
# PROC_PID_INIT_INO in linux/proc_ns.h. A subscriber in another namespace gets no error, and the pids in the
# events that may still reach it are not those of its namespace.
_FIRST_PID_NAMESPACE = "pid:[4026531836]"


class Unavailable(Exception):
    """This kernel, or this process's rights, do not give such reports."""


@dataclass(frozen=True)
class Exit:
    pid: int
    comm: str  # empty where it ended too soon to be looked at
    cmdline: str
    status: int  # as wait(2) has it
    executed: bool  # else it was a copy of the process whose names it has

    @property
    def signal(self):
        """The signal that ended it, or 0."""
        return self.status & 0x7F

    def __str__(self):
        return f"process {self.pid} {self.comm} died of signal {self.signal}: {self.cmdline[:200]}"


class Exits:
    """Watches from construction to close(). `roots` are pids; `adopt` tells of a process outside their
    family whether it is to be watched, too (it is asked once the process has executed its program)."""

    def __init__(self, roots, adopt=lambda process: False):
        self._adopt = adopt
        self._family = {}  # pid -> the Process, or that whose copy it is
        self._copies = set()  # pids that have not executed a program
        self._ended = []
        self._last = 0  # the process whose end ends the watch
        self._over = False
        self._socket = _subscribe()
        everything = processes.everything()
        known = set(roots)
        for process in sorted(everything, key=lambda process: process.start):
            if process.pid in known or process.parent in self._family or adopt(process):
                self._family[process.pid] = process
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def known(self, pid):
        """The Process of that pid as far as it belongs to the family, or None."""
        return self._family.get(pid)

    def close(self):
        """Ends the watch; returns the family's exits, in order."""
        # With the report of this one everything before it has been read.
        last = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
        self._last = last.pid
        last.communicate()
        self._thread.join(10)
        self._socket.close()
        return self._ended

    def _watch(self):
        while not self._last or not self._over:
            try:
                self._handle(self._socket.recv(4096))
            except TimeoutError:
                pass
            except OSError as error:
                if error.errno != errno.ENOBUFS:  # some were lost, the later ones count as well
                    raise

    def _handle(self, message):
        what = _EVENT_HEADER.unpack_from(message, _BODY_AT - _EVENT_HEADER.size)[0]
        if what == _FORK:
            _, parent, child, group = struct.unpack_from("=IIII", message, _BODY_AT)
            if child == group and parent in self._family:
                self._family[child] = self._family[parent]
                self._copies.add(child)
        elif what == _EXEC:
            _, pid = struct.unpack_from("=II", message, _BODY_AT)
            process = processes.find(pid)
            if pid in self._family or (process and self._adopt(process)):
                # It may have ended before we looked.
                self._family[pid] = process or processes.Process(pid, 0, "", "unknown")
                self._copies.discard(pid)
        elif what == _EXIT:
            thread, pid, status = struct.unpack_from("=III", message, _BODY_AT)
            self._over = pid == self._last
            if thread == pid and pid in self._family:
                process = self._family.pop(pid)
                executed = pid not in self._copies
                self._copies.discard(pid)
                self._ended.append(Exit(pid, process.comm, process.cmdline, status, executed))


def _subscribe():
    if os.readlink("/proc/self/ns/pid") != _FIRST_PID_NAMESPACE:
        raise Unavailable("the kernel reports to the first pid namespace only, and this is another")
    try:
        link = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _NETLINK_CONNECTOR)
        link.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
        link.bind((0, _CN_IDX_PROC))
        body = _CONNECTOR_HEADER.pack(_CN_IDX_PROC, _CN_VAL_PROC, 0, 0, 4, 0)
        body += struct.pack("=I", _LISTEN)
        done = 3
        link.send(_NETLINK_HEADER.pack(_NETLINK_HEADER.size + len(body), done, 0, 0, 0) + body)
        # The kernel's own acknowledgement; without it nobody speaks there.
        link.settimeout(2)
        link.recv(4096)
    except OSError as error:
        raise Unavailable(f"the kernel's process connector: {error}") from None
    return link
