"""The life of a container: what it says, how it ends, what its system looks like."""

import concurrent.futures
import os
import platform
import re
import shutil
from pathlib import Path

import pytest
from cppvmdev.ctr import unique_id
from cppvmdev.images import REAL
from conftest import both_versions
from harness import settings


@pytest.mark.kvm
@both_versions
def test_output_and_exit_code(runner):
    result = runner.run("sh", "-c", "echo to stdout; echo to stderr >&2; exit 42")
    assert (result.text, result.error, result.code) == ("to stdout\n", "to stderr", 42)


def test_exit_code_zero(runner):
    result = runner.run("true")
    assert (result.out, result.err, result.code) == (b"", b"", 0)


def test_highest_exit_code(runner):
    assert runner.run("sh", "-c", "exit 255").code == 255


def test_every_exit_code(runner):
    container = runner.start()
    codes = range(256)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        results = list(
            pool.map(lambda code: container.exec("sh", "-c", f"exit {code}").code, codes)
        )
    assert results == list(codes)
    container.delete()


@pytest.mark.kvm
def test_init_ended_by_signal(runner):
    container = runner.popen("sleep", "1000000")
    container.wait_running()
    container.kill(9).check()
    assert container.wait_exit().code == 137


def test_init_handles_signal(runner):
    script = "trap 'exit 7' TERM; echo ready; while :; do sleep 0.1; done"
    container = runner.popen("sh", "-c", script)
    assert container.process.stdout.readline() == b"ready\n"
    container.kill(15).check()
    assert container.wait_exit().code == 7


def test_exec_ended_by_signals(runner):
    container = runner.start()
    # Not the job control signals, those ignored by default, and SIGQUIT, which shells ignore.
    for number in (1, 2, 4, 6, 8, 9, 10, 11, 12, 13, 14, 15):
        assert container.exec("sh", "-c", f"kill -{number} $$").code == 128 + number
    container.delete()


def test_environment_and_directory(runner):
    result = runner.run(
        "sh", "-c", 'echo "$GREETING"; pwd; echo "$0" "$@"', "zero", "a b", "",
        options=("--env", "GREETING=hello there", "--cwd", "/var"),
    )  # fmt: skip
    assert result.check().text == "hello there\n/var\nzero a b \n"


def test_user_of_exec(runner):
    container = runner.start()
    result = container.exec("sh", "-c", "id -u; id -g", options=("--user", "65534:65534"))
    assert result.check().text == "65534\n65534\n"
    container.delete()


@pytest.mark.kvm
@pytest.mark.vm
def test_own_kernel(runner):
    result = runner.run("sh", "-c", "uname -r; cat /proc/sys/kernel/random/boot_id")
    release, boot = result.check().text.split()
    assert boot != Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert release != platform.release()


@pytest.mark.vm
@pytest.mark.parametrize("firmware", ["qboot", "seabios"])
def test_firmware_and_size_of_the_machine(configured, firmware):
    """More memory than q35 has room for below its devices (2 GiB), and processors to be started."""
    vm = {"firmware": firmware, "vcpus": 3, "memory_mib": 3072}
    container = configured(vm=vm).start()
    assert container.sh("nproc").strip() == "3"
    kib = int(re.search(r"MemTotal: +(\d+) kB", container.sh("cat /proc/meminfo")).group(1))
    assert kib > 2900 << 10
    qemu = container.helpers("qemu-system")[0]
    assert ("qboot.rom" in qemu.cmdline) == (firmware == "qboot")


@both_versions
def test_missing_command(runner):
    result = runner.run("no-such-command")
    assert result.code not in (0, 127)
    assert "no-such-command" in result.error
    assert "executable file not found" in result.error or "no such file" in result.error


def test_command_that_is_no_program(runner):
    result = runner.run("/etc/passwd")
    assert result.code != 0
    assert "permission denied" in result.error


def test_rootfs_without_etc(runner, tmp_path):
    (tmp_path / "bin").mkdir()
    shutil.copy("/bin/busybox", tmp_path / "bin/busybox")
    result = runner.run(
        "/bin/busybox", "ls", "/bin", image=str(tmp_path), options=("--rootfs",)
    )  # fmt: skip
    assert result.check().text == "busybox\n"


@pytest.mark.vm
def test_quiet_container_says_little(runner):
    """containerd's log has what the daemon says; in these tests debug messages, too."""
    name = unique_id("quiet")
    logged = len(runner.containerd.log_text())
    runner.run("true", name=name).check()
    lines = runner.containerd.log_text()[logged:].splitlines()
    ours = [line for line in lines if f"sandbox={name}" in line]
    loud = [line for line in ours if "level=debug" not in line]
    assert 1 <= len(loud) <= 3, "\n".join(loud)
    assert len(ours) <= 10, "\n".join(ours)


def test_read_only_rootfs(runner):
    result = runner.run("sh", "-c", "echo x >/file", options=("--read-only",))
    assert result.code != 0
    assert "Read-only file system" in result.error


def test_thousand_files(runner):
    script = """
        mkdir /data && cd /data
        i=0; while [ $i -lt 1000 ]; do echo "content of $i" >$i; i=$((i + 1)); done
        i=0; while [ $i -lt 1000 ]; do read -r line <$i; [ "$line" = "content of $i" ] || exit 1
            i=$((i + 1)); done
        ls | wc -l
    """
    assert runner.run("sh", "-c", script).check().text.strip() == "1000"


def test_three_at_once(runner):
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        containers = list(pool.map(lambda _: runner.start(), range(3)))
    boot_ids = {container.sh("cat /proc/sys/kernel/random/boot_id") for container in containers}
    assert len(boot_ids) == (3 if settings.IS_VM else 1)
    for container in containers:
        assert os.path.exists(f"/proc/{container.pid()}")
    containers[1].delete()
    assert containers[0].sh("echo still") == containers[2].sh("echo still") == "still\n"
    containers[0].delete()
    containers[2].delete()


@both_versions
def test_debian_programs(runner):
    container = runner.start(image=REAL)
    assert container.exec("apt-get", "--version").check().text.startswith("apt 2.")
    threads = """
import threading
totals = []
def work(n):
    totals.append(sum(range(n * 1000)))
threads = [threading.Thread(target=work, args=(n,)) for n in range(20)]
[t.start() for t in threads]; [t.join() for t in threads]
print(len(totals), sum(totals))
"""
    expected = sum(sum(range(n * 1000)) for n in range(20))
    assert container.exec("python3", "-c", threads).check().text == f"20 {expected}\n"
    children = """
import subprocess
done = [subprocess.run(["sh", "-c", f"exit {n}"]).returncode for n in range(10)]
print(done, subprocess.check_output(["bash", "-c", "echo $BASH_VERSION"], text=True)[0])
"""
    assert container.exec("python3", "-c", children).check().text == f"{list(range(10))} 5\n"
    container.delete()
