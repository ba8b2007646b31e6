"""The cases that succeed: single fields of the spec, and pairs of them."""

import itertools
from dataclasses import dataclass

from . import edits as e

_CGROUP = e.mount("/sys/fs/cgroup", "cgroup", "cgroup", "ro", "nosuid", "noexec", "nodev")
_MIB = 1 << 20


@dataclass
class Case:
    """One spec. `looks_at` are paths that the probe reports besides the usual ones."""

    name: str
    edit: object
    looks_at: tuple = ()
    alone: bool = False  # in its own VM: it changes what the containers of a pod share
    terminal: bool = False


def _users():
    for uid, gid in ((0, 1000), (1000, 0), (1000, 1000), (65534, 65534), (4294967294, 1)):
        yield f"user {uid}:{gid}", e.process(user={"uid": uid, "gid": gid})
    for groups in ([10], [0, 10, 2000], list(range(100, 140))):
        name = f"user with {len(groups)} groups"
        yield name, e.process(user={"uid": 1000, "gid": 1000, "additionalGids": groups})
    for mask in (0, 0o27, 0o77, 0o777):
        yield f"umask {mask:04o}", e.process(user={"umask": mask})


def _capabilities():
    yield "capabilities absent", e.without("process", "capabilities")
    yield "capabilities none", e.capabilities()
    for name in ("CHOWN", "KILL", "NET_ADMIN", "NET_RAW", "SYS_ADMIN", "SYS_PTRACE", "SYS_NICE",
                 "SYS_RESOURCE", "SYS_CHROOT", "MKNOD", "SETFCAP", "IPC_LOCK", "BPF", "PERFMON",
                 "CHECKPOINT_RESTORE", "SYS_BOOT", "SYSLOG"):  # fmt: skip
        yield f"capability {name}", e.capabilities(f"CAP_{name}")
    two = ["CAP_CHOWN", "CAP_NET_RAW"]
    yield "capabilities bounding alone", e.capabilities(bounding=two)
    yield "capabilities without effective", e.capabilities(bounding=two, permitted=two)
    yield "capabilities inheritable", e.capabilities(
        bounding=two, permitted=two, effective=two, inheritable=two
    )
    yield "capabilities ambient of a user", e.together(
        e.capabilities(*two), e.process(user={"uid": 1000, "gid": 1000})
    )


def _limits():
    for name, soft, hard in (
        ("CPU", 100, 200), ("FSIZE", 1 << 30, 1 << 31), ("DATA", 1 << 30, 1 << 30),
        ("STACK", 1 << 22, 1 << 23), ("CORE", 0, 0), ("CORE", 2**64 - 1, 2**64 - 1), ("RSS", 5 * _MIB, 6 * _MIB),
        ("NPROC", 500, 600), ("NOFILE", 64, 128), ("NOFILE", 65536, 65536), ("MEMLOCK", 65536, 65536),
        ("AS", 1 << 33, 1 << 34), ("LOCKS", 10, 20), ("SIGPENDING", 100, 200),
        ("MSGQUEUE", 81920, 81920), ("NICE", 10, 20), ("RTPRIO", 1, 2), ("RTTIME", 1000000, 2000000),
    ):  # fmt: skip
        limit = {"type": f"RLIMIT_{name}", "soft": soft, "hard": hard}
        yield f"limit {name} {soft}", e.process(rlimits=[limit])
    yield "limits absent", e.without("process", "rlimits")


def _process():
    yield "plain", e.together()
    yield "no new privileges", e.process(noNewPrivileges=True)
    yield "no new privileges absent", e.without("process", "noNewPrivileges")
    yield "environment empty", e.process(env=[])
    yield "environment of odd values", e.process(env=["A=1=2", "A B=c d", "Z=é\n\t", "EMPTY="])
    yield "environment twice", e.process(env=["A=1", "B=2", "A=3"])
    yield "environment with HOME", e.process(env=["HOME=/nowhere"])
    yield "environment without HOME of a user", e.process(env=["A=1"], user={"uid": 65534, "gid": 65534})
    yield "directory /tmp", e.process(cwd="/tmp")
    yield "directory that does not exist", e.process(cwd="/made/for/it")
    yield "directory that is a link", e.process(cwd="/link-to-tmp")
    yield "directory that root alone may enter", e.together(
        e.process(cwd="/closed", user={"uid": 1000, "gid": 1000}), e.capabilities()
    )
    for score in (-1000, -500, 0, 500, 1000):
        yield f"oom score {score}", e.process(oomScoreAdj=score)
    yield "oom score absent", e.without("process", "oomScoreAdj")
    for kind, priority in (("RT", 0), ("RT", 7), ("BE", 0), ("BE", 5), ("IDLE", 0)):
        value = {"class": f"IOPRIO_CLASS_{kind}", "priority": priority}
        yield f"io priority {kind} {priority}", e.process(ioPriority=value)
    for policy, fields in (
        ("OTHER", {"nice": 5}), ("BATCH", {"nice": 10}), ("IDLE", {}), ("FIFO", {"priority": 1}),
        ("RR", {"priority": 10}), ("FIFO", {"priority": 2, "flags": ["SCHED_FLAG_RESET_ON_FORK"]}),
        ("DEADLINE", {"runtime": 10**6, "deadline": 10**7, "period": 10**7}),
    ):  # fmt: skip
        value = {"policy": f"SCHED_{policy}", **fields}
        yield f"scheduler {policy} {fields}", e.process(scheduler=value)
    for domain in ("LINUX", "LINUX32"):
        yield f"personality {domain}", e.linux(personality={"domain": domain})
    yield "argument that is empty", lambda spec: spec["process"]["args"].append("")
    yield "argument of 100 KB", lambda spec: spec["process"]["args"].append("x" * 100_000)


def _names():
    yield "hostname", e.top(hostname="some.host")
    yield "hostname absent", e.without("hostname")
    yield "domainname", e.top(domainname="some.domain")
    yield "root read-only", e.top(root={"readonly": True})
    for kind in ("pid", "ipc", "uts"):
        yield f"namespace {kind} absent", e.together(
            e.without_namespace(kind), e.without("hostname"), e.without_mount("/dev/mqueue")
        )
    yield "namespace cgroup", e.with_namespace("cgroup")
    yield "namespace time", e.with_namespace("time")
    offsets = {"boottime": {"secs": 3600, "nanosecs": 0}, "monotonic": {"secs": 60, "nanosecs": 5}}
    yield "time offsets", e.together(e.with_namespace("time"), e.linux(timeOffsets=offsets))
    for kind in ("private", "rprivate", "slave", "rslave", "shared", "rshared", "unbindable", "runbindable"):
        yield f"root propagation {kind}", e.linux(rootfsPropagation=kind)


_USER_NAMESPACE = {
    "uidMappings": [{"containerID": 0, "hostID": 0, "size": 65536}],
    "gidMappings": [{"containerID": 0, "hostID": 0, "size": 65536}],
}


def _user_namespaces():
    same = e.together(e.with_namespace("user"), e.linux(**_USER_NAMESPACE))
    yield "user namespace", same
    yield "user namespace, a user", e.together(same, e.process(user={"uid": 1000, "gid": 1000}))
    ranges = [
        {"containerID": 0, "hostID": 0, "size": 1000},
        {"containerID": 1000, "hostID": 5000, "size": 60000},
    ]
    yield "user namespace of two ranges", e.together(
        e.with_namespace("user"), e.linux(uidMappings=ranges, gidMappings=ranges)
    )
    yield "user namespace, root read-only", e.together(same, e.top(root={"readonly": True}))


def _mount_options(volume):
    """`volume`: a directory of the host's."""
    for options in (
        ("ro",), ("rw",), ("nosuid",), ("nodev",), ("noexec",), ("nosuid", "nodev", "noexec", "ro"),
        ("noatime",), ("nodiratime",), ("relatime",), ("strictatime",), ("nosymfollow",),
        ("rro",), ("rnosuid",), ("rnodev",), ("rnoexec",), ("rnoatime",), ("rnodiratime",), ("rrelatime",),
        ("rstrictatime",), ("rnosymfollow",), ("ro", "rw"), ("ro", "rrw"),
        ("private",), ("rprivate",), ("slave",), ("rslave",), ("shared",), ("rshared",), ("unbindable",),
        ("suid", "dev", "exec", "atime", "diratime"),
    ):  # fmt: skip
        words = ("rbind", *options)
        yield f"bind {','.join(options)}", e.mount("/data", "bind", volume, *words)
    yield "bind not recursive", e.mount("/data", "bind", volume, "bind", "ro")
    yield "bind without a type", e.mount("/data", "", volume, "rbind")
    yield "bind of a file", e.mount("/data-file", "bind", f"{volume}/file", "rbind", "ro")
    yield "bind over a file", e.mount("/etc/passwd", "bind", f"{volume}/file", "rbind")
    yield "bind over a link", e.mount("/link-to-tmp", "bind", volume, "rbind")
    yield "bind below a bind", e.together(
        e.mount("/data", "bind", volume, "rbind"),
        e.mount("/data/below", "bind", f"{volume}/below", "rbind", "ro"),
    )


def _mounts():
    for options in (
        (), ("size=1m",), ("size=65536k", "mode=755"), ("mode=1777",), ("mode=0700", "uid=1000", "gid=1000"),
        ("nr_inodes=100",), ("ro",), ("noexec", "nosuid", "nodev"), ("tmpcopyup",), ("noswap",),
    ):  # fmt: skip
        yield f"tmpfs {','.join(options)}", e.mount("/scratch", "tmpfs", "tmpfs", *options)
        if options in ((), ("tmpcopyup",)):
            yield f"tmpfs over files {','.join(options)}", e.mount("/etc", "tmpfs", "tmpfs", *options)
    yield "proc read-only", e.remount("/proc", "ro", "nosuid", "noexec", "nodev")
    yield "proc hidden", e.remount("/proc", "hidepid=invisible")
    yield "proc of processes alone", e.together(
        e.remount("/proc", "subset=pid"), e.linux(maskedPaths=[], readonlyPaths=[])
    )
    yield "sysfs writable", e.remount("/sys", "nosuid", "noexec", "nodev", "rw")
    yield "sysfs absent", e.without_mount("/sys")
    yield "devpts", e.remount("/dev/pts", "nosuid", "noexec", "newinstance", "ptmxmode=0600", "mode=0600")
    yield "devpts absent", e.without_mount("/dev/pts")
    yield "shm of 1 MB", e.remount("/dev/shm", "nosuid", "noexec", "nodev", "mode=1777", "size=1024k")
    yield "mqueue absent", e.without_mount("/dev/mqueue")
    yield "dev of 1 MB", e.remount("/dev", "nosuid", "strictatime", "mode=755", "size=1024k")
    yield "cgroup", _CGROUP
    yield "cgroup writable", e.mount("/sys/fs/cgroup", "cgroup", "cgroup", "rw")
    yield "mount at a path with ..", e.mount("/tmp/../scratch", "tmpfs", "tmpfs")
    yield "mount twice at a place", e.together(
        e.mount("/scratch", "tmpfs", "tmpfs", "size=1m"), e.mount("/scratch", "tmpfs", "tmpfs", "size=2m")
    )


def _device(path, kind="c", major=1, minor=3, **more):
    return {"path": path, "type": kind, "major": major, "minor": minor, **more}


def _devices():
    for name, device in (
        ("null elsewhere", _device("/dev/other-null", fileMode=0o666)),
        ("mode and owner", _device("/dev/mine", fileMode=0o640, uid=1000, gid=10)),
        ("without mode", _device("/dev/plain")),
        ("fifo", {"path": "/dev/pipe", "type": "p", "fileMode": 0o600}),
        ("unbuffered", _device("/dev/unbuffered", kind="u", minor=5, fileMode=0o666)),
        ("in a directory", _device("/dev/deep/er/null", fileMode=0o666)),
        ("in the place of an own", _device("/dev/zero", minor=5, fileMode=0o600)),
    ):  # fmt: skip
        yield f"device {name}", e.linux(devices=[device])
    everything = {"allow": False, "access": "rwm"}
    null = {"allow": True, "type": "c", "major": 1, "minor": 3}
    for name, rules in (
        ("none", []), ("deny all", [everything]), ("allow all", [{"allow": True, "access": "rwm"}]),
        ("null to read", [everything, {**null, "access": "r"}]),
        ("major 1", [everything, {**null, "minor": None, "access": "rwm"}]),
        ("deny random", [{"allow": True, "access": "rwm"}, {"allow": False, "type": "c", "major": 1, "minor": 8, "access": "rwm"}]),
        ("make nodes", [everything, {"allow": True, "type": "c", "access": "m"}]),
    ):  # fmt: skip
        rules = [{k: v for k, v in r.items() if v is not None} for r in rules]
        yield f"device rules {name}", e.resources(devices=rules)


def _paths():
    yield "masked paths none", e.linux(maskedPaths=[])
    yield "masked file", e.linux(maskedPaths=["/etc/passwd"])
    yield "masked directory", e.linux(maskedPaths=["/etc"])
    yield "masked path that does not exist", e.linux(maskedPaths=["/nowhere"])
    yield "masked link", e.linux(maskedPaths=["/link-to-tmp"])
    yield "read-only paths none", e.linux(readonlyPaths=[])
    yield "read-only file", e.linux(readonlyPaths=["/etc/passwd"])
    yield "read-only directory", e.linux(readonlyPaths=["/tmp"])
    yield "read-only path that does not exist", e.linux(readonlyPaths=["/nowhere"])


def _sysctls():
    """Those of namespaces that are a container's own, and those that a pod shares."""
    for name, value in (
        ("kernel.shmmax", "1000000"), ("kernel.shmall", "5000"), ("kernel.msgmax", "9000"), ("kernel.msgmnb", "20000"),
        ("kernel.sem", "250 32000 100 200"), ("kernel.shm_rmid_forced", "1"), ("fs.mqueue.msg_max", "20"),
        ("fs.mqueue.msgsize_max", "9000"), ("kernel.domainname", "by.sysctl"),
    ):  # fmt: skip
        yield f"sysctl {name}", e.linux(sysctl={name: value})


def _network_sysctls():
    for name, value in (
        ("net.ipv4.ip_forward", "1"), ("net.ipv4.ip_unprivileged_port_start", "80"),
        ("net/ipv4/ping_group_range", "0 2147483647"), ("net.core.somaxconn", "1000"),
    ):  # fmt: skip
        yield f"sysctl {name}", e.linux(sysctl={name: value})


def _filters():
    deny = e.rule("SCMP_ACT_ERRNO", "mkdir", "mkdirat", "keyctl")
    yield "filter errno", e.seccomp(deny)
    yield "filter errno 71", e.seccomp({**deny, "errnoRet": 71})
    yield "filter kill process", e.seccomp(e.rule("SCMP_ACT_KILL_PROCESS", "keyctl", "add_key"))
    yield "filter kill thread", e.seccomp(e.rule("SCMP_ACT_KILL", "keyctl", "add_key"))
    yield "filter trap", e.seccomp(e.rule("SCMP_ACT_TRAP", "keyctl", "add_key"))
    yield "filter trace", e.seccomp(e.rule("SCMP_ACT_TRACE", "keyctl", "add_key", errnoRet=5))
    yield "filter log", e.seccomp(e.rule("SCMP_ACT_LOG", "keyctl", "add_key"))
    yield "filter unknown call", e.seccomp(e.rule("SCMP_ACT_ERRNO", "no_such_call", "keyctl"))
    for op, value, two in (("EQ", 8, 0), ("NE", 8, 0), ("GT", 7, 0), ("LE", 7, 0), ("MASKED_EQ", 8, 8)):
        args = [{"index": 0, "value": value, "valueTwo": two, "op": f"SCMP_CMP_{op}"}]
        yield f"filter argument {op}", e.seccomp(e.rule("SCMP_ACT_ERRNO", "personality", args=args))
    for flag in ("LOG", "SPEC_ALLOW", "TSYNC"):
        yield f"filter flag {flag}", e.seccomp(deny, flags=[f"SECCOMP_FILTER_FLAG_{flag}"])
    yield "filter without rules", e.seccomp()


def _limits_of_the_cgroup():
    for name, fields in (
        ("memory limit", {"memory": {"limit": 64 * _MIB}}),
        ("memory and swap", {"memory": {"limit": 64 * _MIB, "swap": 64 * _MIB}}),
        ("memory unlimited", {"memory": {"limit": -1}}),
        ("memory reservation", {"memory": {"limit": 64 * _MIB, "reservation": 32 * _MIB}}),
        ("processor quota", {"cpu": {"quota": 50000, "period": 100000}}),
        ("processor quota of a period", {"cpu": {"quota": 20000, "period": 50000}}),
        ("processor quota none", {"cpu": {"quota": -1}}),
        ("processor period alone", {"cpu": {"period": 50000}}),
        ("processor shares", {"cpu": {"shares": 512}}),
        ("pids limit", {"pids": {"limit": 200}}),
        ("pids unlimited", {"pids": {"limit": -1}}),
    ):
        yield name, e.together(_CGROUP, e.resources(**fields))


def _pairs():
    users = {"root": e.together(), "a user": e.process(user={"uid": 1000, "gid": 1000})}
    others = {
        "no capabilities": e.capabilities(),
        "all capabilities ambient": e.capabilities("CAP_CHOWN", "CAP_NET_RAW", "CAP_KILL"),
        "no new privileges": e.process(noNewPrivileges=True),
        "a filter": e.seccomp(e.rule("SCMP_ACT_ERRNO", "keyctl")),
        "read-only root": e.top(root={"readonly": True}),
        "umask 077": lambda spec: spec["process"]["user"].update(umask=0o77),
        "limit of processes": e.process(rlimits=[{"type": "RLIMIT_NPROC", "soft": 400, "hard": 400}]),
        "tmpfs of its own": e.mount("/scratch", "tmpfs", "tmpfs", "mode=0700", "uid=1000"),
        "nothing masked": e.linux(maskedPaths=[], readonlyPaths=[]),
        "cgroup namespace": e.with_namespace("cgroup"),
    }
    for (user, first), (name, second) in itertools.product(users.items(), others.items()):
        yield f"{user}, {name}", e.together(first, second)
    for (one, first), (two, second) in itertools.combinations(others.items(), 2):
        yield f"{one}, {two}", e.together(first, second)


def cases(volume):
    """All of them; `volume` is a directory of the host with a file `file` and a directory `below`."""
    shared = (
        _users(), _capabilities(), _limits(), _process(), _names(), _mount_options(volume), _mounts(),
        _devices(), _paths(), _sysctls(), _filters(), _limits_of_the_cgroup(), _pairs(), _user_namespaces(),
    )  # fmt: skip
    looks_at = ("/data", "/data/below", "/data-file", "/scratch", "/etc", "/link-to-tmp", "/closed")
    result = [Case(name, edit, looks_at) for name, edit in itertools.chain(*shared)]
    result += [Case(name, edit, looks_at, alone=True) for name, edit in _network_sysctls()]
    terminal = e.process(terminal=True)
    sized = e.process(terminal=True, consoleSize={"height": 33, "width": 99})
    user = e.process(user={"uid": 1000, "gid": 10})
    result += [
        Case("terminal", terminal, terminal=True),
        Case("terminal of a size", sized, terminal=True),
        Case("terminal of a user", e.together(terminal, user), terminal=True),
    ]
    return result
