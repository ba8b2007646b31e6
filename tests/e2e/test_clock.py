"""The guest's clock is the host's."""

import subprocess
import time

import pytest

from cppvmdev import libvirt
from cppvmdev.images import REAL
from cppvmdev.waiting import wait_until

pytestmark = pytest.mark.vm

_SUSPENDED = 12  # seconds; longer than the time between two words of the guest


def _error(container):
    """By how much the container's clock is wrong, in seconds, apart from the time of the exec."""
    before = time.time()
    now = float(container.exec("python3", "-c", "import time; print(time.time())").check().text)
    return min(0, now - before) + max(0, now - time.time())


def test_new_files_are_not_from_the_future(runner):
    """Nor from the past: the host's clock stamps them, between two looks at the guest's."""
    script = """if True:
        import os, time
        before = time.time()
        with open("/f", "w") as file:
            file.write("x")
        after = time.time()
        print(before, os.stat("/f").st_mtime, after)"""
    times = runner.run("python3", "-c", script, image=REAL).check().text
    before, stamped, after = map(float, times.split())
    assert before - 0.15 < stamped < after + 0.15


def test_after_the_boot(runner):
    container = runner.start(image=REAL)
    # On a busy machine the first message takes long, and the next one corrects by what it took.
    wait_until(lambda: abs(_error(container)) < 0.05, "the guest's clock to be the host's", 15)
    container.delete()


def test_after_a_suspend(runner):
    container = runner.start(image=REAL)
    virsh = ("virsh", "-q", "-c", libvirt.URI)
    subprocess.run([*virsh, "suspend", container.identity.domain], check=True)
    resume = time.monotonic() + _SUSPENDED
    wait_until(lambda: time.monotonic() > resume, "the suspend to last", _SUSPENDED + 5)
    subprocess.run([*virsh, "resume", container.identity.domain], check=True)
    wait_until(lambda: abs(_error(container)) < 0.1, "the guest's clock to be the host's", 15)
    container.delete()
