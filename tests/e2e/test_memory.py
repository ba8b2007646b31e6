"""The machine's memory on the host."""

import re
from pathlib import Path

import pytest

from cppvmdev import memory
from cppvmdev.images import REAL
from cppvmdev.waiting import wait_until

pytestmark = pytest.mark.vm

_MIB = 1024  # KiB
_POOL = Path("/sys/kernel/mm/hugepages/hugepages-2048kB")


def _guest_mib(container):
    (qemu,) = container.helpers("qemu-system")
    return memory.guest_kib(qemu.pid) // _MIB


def test_freed_memory_goes_back(runner):
    container = runner.start(options=("--mount", "type=tmpfs,src=tmpfs,dst=/big"))
    before = _guest_mib(container)
    assert container.exec("dd", "if=/dev/zero", "of=/big/file", "bs=1M", "count=200").code == 0
    held = _guest_mib(container)
    assert held > before + 150
    assert container.exec("rm", "/big/file").code == 0
    # The kernel reports free pages every two seconds, a part of them at a time.
    wait_until(lambda: _guest_mib(container) < before + 50, "the memory's return to the host", 60)


@pytest.fixture(name="huge_pages")
def huge_pages_fixture():
    """Room for a machine of 256 MiB in the kernel's pool of huge pages."""
    wanted = 128
    count = _POOL / "nr_hugepages"
    if not count.exists():
        pytest.skip("the kernel has no huge pages of 2 MiB")
    before = int(count.read_text())
    count.write_text(str(before + wanted))
    if int(count.read_text()) < before + wanted:
        count.write_text(str(before))
        pytest.skip("no memory for huge pages")
    yield
    count.write_text(str(before))


@pytest.mark.usefixtures("huge_pages")
def test_huge_pages(configured):
    container = configured(vm={"memory_mib": 256, "huge_page_mib": 2}).start()
    assert container.exec("true").code == 0
    (qemu,) = container.helpers("qemu-system")
    assert re.search(r"KernelPageSize: +2048 kB", Path(f"/proc/{qemu.pid}/smaps").read_text())


def test_huge_pages_that_are_not_there(configured):
    result = configured(vm={"memory_mib": 1 << 20, "huge_page_mib": 2}).run("true")
    assert result.code != 0
    assert "huge pages of 2 MiB free" in result.error
    assert "nr_hugepages" in result.error


def test_limit_ends_a_program_that_takes_ever_more(runner):
    script = "b = []\nwhile True: b.append(bytearray(1 << 20))"
    container = runner.start(
        "python3", "-c", script, image=REAL, options=("--memory-limit", "50000000")
    )
    container.wait_status("STOPPED", 60)
    assert container.delete() == 137


def test_limit_leaves_a_program_alone_that_works_on_large_files(runner):
    script = """if True:
        import time
        keep = bytearray(25 << 20)
        with open("/file", "wb") as file:
            for _ in range(100): file.write(bytes(1 << 20))
        end = time.monotonic() + 15
        while time.monotonic() < end:
            with open("/file", "rb") as file:
                while file.read(1 << 20): pass
        print("done")"""
    options = ("--memory-limit", "50000000")
    assert runner.run("python3", "-c", script, image=REAL, options=options).check().text == "done\n"


def test_machine_out_of_memory_ends_the_program_that_takes_it(runner):
    """Without a limit of its own a container has the machine's memory less what the machine needs."""
    container = runner.start(image=REAL)
    script = "b = []\nwhile True: b.append(bytearray(1 << 20))"
    assert container.exec("python3", "-c", script).code == 137
    assert container.sh("echo well") == "well\n"
