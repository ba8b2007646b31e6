"""Volumes whose server on the host does not answer, as with a lost NFS or CSI server."""

import ctypes
import os
import select
import stat
import struct
import threading

_LIBC = ctypes.CDLL(None, use_errno=True)
_MNT_DETACH = 2

# The kernel's include/uapi/linux/fuse.h
_HEADER = struct.Struct("<IIQQIIIHH")
_REPLY = struct.Struct("<IiQ")
_GETATTR, _STATFS, _INIT, _OPENDIR = 3, 17, 26, 27
_VERSION = (7, 31)
_ROOT = 1


class HungVolume:
    """A FUSE mount at a new directory. Its server never answers anything; with `answers_of_root` it
    tells what its root is, so that a container can be created with it, and nothing of what is below."""

    def __init__(self, directory, answers_of_root=False):
        directory.mkdir()
        self.path = directory
        self._answers = {}
        if answers_of_root:
            times = (0, 0, 0, 0, 0, 0)
            attributes = struct.pack(
                "<QIIQQQQQQIIIIIIIIII",
                1, 0, 0, _ROOT, 0, 0, *times, stat.S_IFDIR | 0o755, 2, 0, 0, 0, 4096, 0,
            )  # fmt: skip
            self._answers = {
                _INIT: struct.pack("<IIIIHHIIHHI28x", *_VERSION, 0, 0, 0, 0, 1 << 16, 1, 0, 0, 0),
                _GETATTR: attributes,
                _STATFS: struct.pack("<5QIIII24x", 0, 0, 0, 0, 0, 4096, 255, 4096, 0),
                _OPENDIR: struct.pack("<QII", 0, 0, 0),
            }
        self._device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = f"fd={self._device},rootmode=40000,user_id=0,group_id=0"
        if _LIBC.mount(b"hung", bytes(directory), b"fuse", 0, options.encode()) != 0:
            raise OSError(ctypes.get_errno(), "mount fuse")
        self._over, self._end = os.pipe()
        self._server = threading.Thread(target=self._serve)
        if answers_of_root:
            self._server.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self._end)
        if self._server.ident:
            self._server.join()
        # Its last descriptor ends the connection, and with it every wait. The end of the mount need not:
        # whoever waits holds that.
        os.close(self._device)
        os.close(self._over)
        _LIBC.umount2(bytes(self.path), _MNT_DETACH)

    def _serve(self):
        while True:
            ready, *_ = select.select([self._device, self._over], [], [])
            if self._over in ready:
                return
            request = os.read(self._device, 1 << 18)
            _, opcode, unique, node, *_ = _HEADER.unpack_from(request)
            answer = self._answers.get(opcode)
            if answer is not None and node in (0, _ROOT):
                os.write(self._device, _REPLY.pack(_REPLY.size + len(answer), 0, unique) + answer)
