"""A pseudo terminal with a program on it, as a person would sit before it."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time


class Terminal:
    """Owns a pty and the process group on it; closes and kills on exit from the with block."""

    def __init__(self, argv, rows=24, columns=80, env=None):
        self._master, slave = pty.openpty()
        self._set_size(slave, rows, columns)
        self.process = subprocess.Popen(
            argv, stdin=slave, stdout=slave, stderr=slave, start_new_session=True, env=env
        )
        os.close(slave)
        self.seen = ""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._master)

    def type(self, text):
        os.write(self._master, text.encode())

    def resize(self, rows, columns):
        self._set_size(self._master, rows, columns)
        # The slave is nobody's controlling terminal, so the kernel tells no one.
        self.process.send_signal(signal.SIGWINCH)

    def expect(self, text, timeout=90, meanwhile=lambda: None):
        """Reads until `text` appears, and returns what came before it. `meanwhile` is called again and
        again while nothing comes."""
        deadline = time.monotonic() + timeout
        while text not in self.seen:
            left = deadline - time.monotonic()
            assert left > 0, f"{text!r} did not appear within {timeout} s in: {self.seen[-2000:]!r}"
            if not select.select([self._master], [], [], min(left, 1))[0]:
                meanwhile()
            else:
                assert self._read(), f"the terminal ended without {text!r}: {self.seen[-2000:]!r}"
        before, _, self.seen = self.seen.partition(text)
        return before

    def wait(self, timeout=60):
        """The exit code; output is read meanwhile, so that nobody waits for us."""
        deadline = time.monotonic() + timeout
        while self.process.poll() is None:
            left = deadline - time.monotonic()
            assert left > 0, f"no exit within {timeout} s; it said: {self.seen[-2000:]!r}"
            if select.select([self._master], [], [], min(left, 0.1))[0] and not self._read():
                self.process.wait(timeout=max(left, 0.1))
        while select.select([self._master], [], [], 0)[0] and self._read():
            pass  # what it wrote last
        return self.process.returncode

    def _read(self):
        """Whether there was something: not so once nobody has the slave open any more."""
        try:
            data = os.read(self._master, 65536)
        except OSError:  # EIO
            data = b""
        self.seen += data.decode(errors="replace")
        return bool(data)

    @staticmethod
    def _set_size(fd, rows, columns):
        fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
