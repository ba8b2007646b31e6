"""How large the daemons are that pods need, before and after many of them."""

from cppvmdev.memory import private_dirty_kib


def sizes(daemons):
    """(descriptors, KiB of its own) for each name of a process."""
    return {name: (daemon.descriptors(), private_dirty_kib(daemon.pid)) for name, daemon in daemons.items()}


def require_none(before, after, pods):
    """Descriptors come and go with what a daemon does at the time, and memory with its allocator, which in
    containerd, a program in Go, gives it back when it likes."""
    print(f"descriptors and KiB before {pods} pods: {before}; after them: {after}")
    for name, (descriptors, private) in before.items():
        assert after[name][0] - descriptors < max(4, pods // 2), name
        if name != "containerd":
            assert after[name][1] - private < 1024 + 64 * pods, name
