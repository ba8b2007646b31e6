"""Processes of which single system calls take their time."""

import re
import subprocess
from contextlib import contextmanager
from pathlib import Path

from cppvmdev.waiting import wait_until


def _is_traced(pid):
    return not re.search(r"^TracerPid:\t0$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)


@contextmanager
def slow_calls(pid, call, milliseconds):
    """Every such call of the process's threads begins that much later."""
    delay = f"inject={call}:delay_enter={milliseconds * 1000}"
    argv = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", delay, "-p", str(pid)]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as tracer:
        try:
            wait_until(lambda: _is_traced(pid) or tracer.poll() is not None, "strace to attach")
            assert tracer.poll() is None, tracer.stderr.read()
            yield
        finally:
            tracer.terminate()
