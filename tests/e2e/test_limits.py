"""The machine is small, but limits that nobody asked for are those of a host."""

import pytest

from cppvmdev.images import REAL

pytestmark = pytest.mark.vm

# What a host with 16 GiB, systemd and kubelet has (guest-agent/boot/limits.cpp tells the sources).
_SYSCTLS = {
    "kernel/threads-max": 127000,
    "kernel/pid_max": 4194304,
    "kernel/keys/root_maxkeys": 1000000,
    "fs/nr_open": 1073741816,
    "fs/file-max": 9223372036854775807,
    "fs/inotify/max_user_watches": 1048576,
    "fs/inotify/max_user_instances": 128,
    "fs/fanotify/max_user_marks": 1048576,
    "fs/epoll/max_user_watches": 3600000,
    "fs/aio-max-nr": 65536,
    "fs/pipe-user-pages-soft": 16384,
    "fs/protected_hardlinks": 1,
    "fs/protected_symlinks": 1,
    "vm/overcommit_memory": 1,
    "vm/max_map_count": 1048576,
    "user/max_user_namespaces": 63500,
    "user/max_net_namespaces": 63500,
    "user/max_mnt_namespaces": 63500,
    "net/core/somaxconn": 4096,
    "net/ipv4/tcp_max_syn_backlog": 1024,
    "net/ipv4/tcp_max_tw_buckets": 65536,
}

_UNLIMITED = "unlimited"
_RLIMITS = {  # by the names of /proc/self/limits: soft, hard
    "Max processes": (_UNLIMITED, _UNLIMITED),
    "Max core file size": (_UNLIMITED, _UNLIMITED),
    "Max locked memory": ("8388608", "8388608"),
    "Max pending signals": ("63500", "63500"),
}


def test_sysctls(runner):
    script = f"cd /proc/sys; for f in {' '.join(_SYSCTLS)}; do echo $f $(cat $f); done"
    lines = runner.run("sh", "-c", script).check().text.splitlines()
    found = {name: int(value) for name, value in (line.split(None, 1) for line in lines)}
    # A kernel that has more by itself keeps it: none of these is less than on a host.
    assert {name: found[name] for name in _SYSCTLS if found[name] < _SYSCTLS[name]} == {}
    assert found["vm/overcommit_memory"] == 1


def test_inherited_limits(runner):
    text = runner.run("cat", "/proc/self/limits").check().text
    for name, expected in _RLIMITS.items():
        line = next(line for line in text.splitlines() if line.startswith(name))
        assert tuple(line[len(name) :].split()[:2]) == expected, line


_THREADS = """
import os, threading
os.setgid(1000); os.setuid(1000); threading.stack_size(65536)
stop = threading.Event()
for _ in range(2500):
    threading.Thread(target=stop.wait, daemon=True).start()
print("all", flush=True)
os._exit(0)
"""


def test_threads_of_a_user(runner):
    assert runner.run("python3", "-c", _THREADS, image=REAL).check().text == "all\n"


def test_reservation_of_more_memory_than_there_is(runner):
    script = "import mmap; mmap.mmap(-1, 8 << 30); print('reserved')"
    assert runner.run("python3", "-c", script, image=REAL).check().text == "reserved\n"
