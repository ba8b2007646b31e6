"""What a container needs of its kernel, tried out. Runs in the container, privileged, by itself.

Prints "ok NAME" or "missing NAME: why" for each feature.
"""

import ctypes
import fcntl
import os
import socket
import struct
import sys
import tempfile

_libc = ctypes.CDLL(None, use_errno=True)


def checked(value, what):
    if value < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")
    return value


def syscall(number, *arguments):
    return checked(_libc.syscall(number, *arguments), f"system call {number}")


def mount(kind, target, data=None):
    words = [word.encode() if word else None for word in (kind, target, kind, data)]
    checked(_libc.mount(words[0], words[1], words[2], ctypes.c_ulong(0), words[3]), f"mount {kind}")


def read(path):
    with open(path, encoding="ascii") as file:
        return file.read()


def in_child(work):
    """Runs work() in a process of its own; what it raises is raised here."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException as failure:  # pylint: disable=broad-except
            os.write(writer, str(failure).encode() or b"failed")
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    if said:
        raise RuntimeError(said.decode())


def char_device(major, minor):
    path = tempfile.mktemp(dir="/dev")  # nodes on the share are dead
    os.mknod(path, 0o020600, os.makedev(major, minor))
    try:
        return os.open(path, os.O_RDWR)
    finally:
        os.unlink(path)


# Netlink, as far as it is needed here


def attribute(kind, value):
    if isinstance(value, list):
        kind, value = kind | 0x8000, b"".join(value)  # nested
    elif isinstance(value, str):
        value = value.encode() + b"\0"
    return struct.pack("=HH", len(value) + 4, kind) + value + bytes(-len(value) % 4)


def message(kind, flags, body, number=1):
    return struct.pack("=IHHII", len(body) + 16, kind, flags | 1, number, 0) + body


def ask(protocol, *messages):
    """Sends messages of which one wants an answer, and raises what the kernel objects."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol) as link:
        link.bind((0, 0))
        link.send(b"".join(messages))
        answer = link.recv(65536)
    error = -struct.unpack_from("=i", answer, 16)[0]
    if error:
        raise OSError(error, os.strerror(error))


def make_link(kind):
    ack, create, exclusive = 4, 0x400, 0x200
    body = struct.pack("=BxHiII", 0, 0, 0, 0, 0)
    body += attribute(3, f"{kind[:6]}9") + attribute(18, [attribute(1, kind)])
    ask(socket.NETLINK_ROUTE, message(16, ack | create | exclusive, body))


def nft_redirect(family):
    """A table with a chain of type nat at the hook "output", and in it a rule that redirects."""
    new_table, new_chain, new_rule, create, ack = 0xA00, 0xA03, 0xA06, 0x400, 4
    head = struct.pack("=BBH", family, 0, 0)
    batch = struct.pack("=BBH", 0, 0, 10 << 8)
    hook = [attribute(1, struct.pack(">I", 3)), attribute(2, struct.pack(">i", -100))]
    chain = attribute(1, "t") + attribute(3, "c") + attribute(4, hook) + attribute(7, "nat")
    rule = attribute(1, "t") + attribute(2, "c")
    rule += attribute(4, [attribute(1, [attribute(1, "redir"), attribute(2, [])])])
    ask(
        12,
        message(16, 0, batch),
        message(new_table, create, head + attribute(1, "t")),
        message(new_chain, create, head + chain),
        message(new_rule, create | ack | 0x800, head + rule),
        message(17, 0, batch),
    )


# The features


def overlay():
    base = tempfile.mkdtemp(dir="/run")
    mount("tmpfs", base)
    for name in ("lower", "upper", "work", "merged"):
        os.mkdir(f"{base}/{name}")
    with open(f"{base}/lower/file", "w", encoding="ascii") as file:
        file.write("below")
    mount(
        "overlay",
        f"{base}/merged",
        f"lowerdir={base}/lower,upperdir={base}/upper,workdir={base}/work",
    )
    with open(f"{base}/merged/file", "a", encoding="ascii") as file:
        file.write(" and above")
    assert read(f"{base}/upper/file") == "below and above"
    assert read(f"{base}/lower/file") == "below"


def file_systems():
    there = {line.split()[-1] for line in read("/proc/filesystems").splitlines()}
    wanted = "overlay erofs ext4 xfs fuse virtiofs tmpfs devpts proc sysfs mqueue cgroup2 hugetlbfs bpf"
    assert not set(wanted.split()) - there, f"no {set(wanted.split()) - there}"


def cgroup_controllers():
    lines = [line.split() for line in read("/proc/cgroups").splitlines()[1:]]
    there = {words[0] for words in lines if words[3] == "1"}
    wanted = "cpuset cpu blkio memory devices freezer perf_event hugetlb pids rdma misc"
    assert not set(wanted.split()) - there, f"no {set(wanted.split()) - there}"
    assert os.path.exists("/proc/pressure/memory")


def seccomp_filter():
    def work():
        load, equal, give = 0x20, 0x15, 0x06
        steps = [(load, 0, 0, 0), (equal, 0, 1, 39), (give, 0, 0, 0x50005), (give, 0, 0, 0x7FFF0000)]
        program = b"".join(struct.pack("=HBBI", *step) for step in steps)
        buffer = ctypes.create_string_buffer(program)
        filter_ = struct.pack("=HxxxxxxQ", len(steps), ctypes.addressof(buffer))
        checked(_libc.prctl(38, 1, 0, 0, 0), "no_new_privs")
        checked(_libc.prctl(22, 2, filter_, 0, 0), "install filter")
        assert _libc.syscall(39) == -1 and ctypes.get_errno() == 5, "getpid is not filtered"

    in_child(work)


def namespaces():
    wanted = "cgroup ipc mnt net pid time user uts".split()
    assert all(os.path.exists(f"/proc/self/ns/{name}") for name in wanted)
    flags = 0x02000000 | 0x08000000 | 0x00020000 | 0x40000000 | 0x20000000 | 0x04000000 | 0x80
    in_child(lambda: checked(_libc.unshare(flags), "unshare"))
    in_child(lambda: checked(_libc.unshare(0x10000000), "unshare user"))


def io_uring():
    os.close(syscall(425, 4, ctypes.create_string_buffer(120)))


def load_program(load):
    """The verifier gives up when the process has work pending, as after closing an io_uring."""
    for _ in range(10):
        try:
            return syscall(321, 5, ctypes.create_string_buffer(load, 128), 128)
        except BlockingIOError:
            pass
    raise TimeoutError("the verifier gave up ten times")


def bpf():
    array = struct.pack("=IIII", 2, 4, 8, 1)
    os.close(syscall(321, 0, ctypes.create_string_buffer(array, 128), 128))
    code = ctypes.create_string_buffer(struct.pack("=BBhiBBhi", 0xB7, 0, 0, 1, 0x95, 0, 0, 0))
    text = ctypes.create_string_buffer(b"GPL")
    for_devices_of_a_cgroup = 15
    load = struct.pack(
        "=IIQQ", for_devices_of_a_cgroup, 2, ctypes.addressof(code), ctypes.addressof(text)
    )
    os.close(load_program(load))
    assert read("/proc/sys/net/core/bpf_jit_enable") == "1\n", "no compiler for BPF"


def tun():
    device = char_device(10, 200)
    fcntl.ioctl(device, 0x400454CA, struct.pack("16sH22x", b"tap9", 0x1002))
    os.close(device)


def sockets():
    for family in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_VSOCK):
        socket.socket(family, socket.SOCK_STREAM).close()
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close()


def file_events():
    os.close(syscall(294, 0))
    os.close(syscall(300, 0, 0))


def message_queue():
    os.close(syscall(240, b"feature", os.O_RDWR | os.O_CREAT, 0o600, None))


def devices():
    for major, minor in ((10, 229), (10, 236), (10, 237)):  # fuse, device mapper, loop
        os.close(char_device(major, minor))


def modules_refused():
    assert read("/proc/sys/kernel/modules_disabled") == "1\n"


FEATURES = {
    "overlay": overlay,
    "file systems": file_systems,
    "cgroup controllers": cgroup_controllers,
    "seccomp filter": seccomp_filter,
    "namespaces": namespaces,
    "io_uring": io_uring,
    "bpf": bpf,
    "tun": tun,
    "veth": lambda: make_link("veth"),
    "bridge": lambda: make_link("bridge"),
    "nft redirect, IPv4": lambda: nft_redirect(2),
    "nft redirect, IPv6": lambda: nft_redirect(10),
    "sockets": sockets,
    "inotify and fanotify": file_events,
    "message queue": message_queue,
    "landlock": lambda: syscall(444, None, 0, 1),
    "userfaultfd": lambda: os.close(syscall(323, 0)),
    "devices": devices,
    "no modules": modules_refused,
}


def main():
    for name, work in FEATURES.items():
        try:
            work()
            print(f"ok {name}")
        except Exception as failure:  # pylint: disable=broad-except
            print(f"missing {name}: {failure or type(failure).__name__}")


if __name__ == "__main__":
    sys.exit(main())
