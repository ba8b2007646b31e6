"""Waiting for conditions, always with a deadline."""

import time


class WaitTimeout(Exception):
    """A condition did not come true in time."""


def wait_until(condition, what, timeout=10.0):
    """Polls `condition` until it gives something true, and returns that.

    Raises WaitTimeout, which names `what`, after `timeout` seconds. The pause between two looks
    grows from 2 to 50 ms, so that short waits stay short and long ones cost little.
    """
    deadline = time.monotonic() + timeout
    pause = 0.002
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise WaitTimeout(f"timed out after {timeout:g} s waiting for: {what}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)
