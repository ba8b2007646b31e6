"""The cases that fail: in which call, and whether the error names the thing."""

from dataclasses import dataclass

from . import edits as e


@dataclass
class Failure:
    """`names`: words that the error must have."""

    name: str
    edit: object
    names: tuple
    looks_at: tuple = ()
    alone: bool = False
    terminal: bool = False


def _program(*args):
    return e.process(args=list(args))


def failures(volume):
    """All of them; `volume` is a directory of the host."""
    missing = f"{volume}/missing"
    mask = [{"index": 9, "value": 1, "op": "SCMP_CMP_EQ"}]
    table = (
        ("program that does not exist", _program("/nope"), ("/nope", "no such file or directory")),
        ("program not in PATH", _program("nope"), ("nope", "executable file not found in $PATH")),
        ("program not executable", _program("/not-executable"), ("/not-executable", "permission denied")),
        ("program that is a directory", _program("/tmp"), ("/tmp", "is a directory")),
        ("program of no format", _program("/of-no-format"), ("/of-no-format", "exec format error")),
        ("program in a file", _program("/etc/passwd/x"), ("/etc/passwd/x", "not a directory")),
        ("no arguments", _program(), ("args",)),
        ("first argument empty", _program(""), ()),
        ("directory that is a file", e.process(cwd="/etc/passwd"), ("/etc/passwd",)),
        ("directory that is relative", e.process(cwd="tmp"), ("tmp",)),
        ("directory that a user may not enter",
         e.together(e.process(cwd="/closed", user={"uid": 1000, "gid": 1000}), e.capabilities()), ("/closed",)),
        ("bind of nothing", e.mount("/data", "bind", missing, "rbind"), (missing,)),
        ("bind of a directory over a file", e.mount("/etc/passwd", "bind", volume, "rbind"), ("/etc/passwd",)),
        ("bind of a file over a directory", e.mount("/data", "bind", f"{volume}/file", "rbind"), ("/data",)),
        ("mount of an unknown type", e.mount("/data", "nofs", "none"), ("nofs",)),
        ("mount with a wrong option", e.mount("/data", "tmpfs", "tmpfs", "size=x"), ("/data",)),
        ("mount in proc", e.mount("/proc/self/fd", "tmpfs", "tmpfs"), ("/proc",)),
        ("namespace unknown", e.with_namespace("other"), ("other",)),
        ("namespace twice", e.with_namespace("uts"), ("uts",)),
        ("user namespace without mappings", e.with_namespace("user"), ("user",)),
        ("mappings without user namespace", e.linux(uidMappings=[{"containerID": 0, "hostID": 0, "size": 1}]), ("user",)),
        ("namespace path missing", e.together(e.without_namespace("ipc"), e.with_namespace("ipc", path=missing)), (missing,)),
        ("namespace path of another kind", e.together(e.without_namespace("ipc"), e.with_namespace("ipc", path=f"{volume}/file")), (f"{volume}/file",)),
        ("limit unknown", e.process(rlimits=[{"type": "RLIMIT_NOPE", "soft": 1, "hard": 1}]), ("RLIMIT_NOPE",)),
        ("limit twice", e.process(rlimits=[{"type": "RLIMIT_CORE", "soft": 1, "hard": 1}] * 2), ("RLIMIT_CORE",)),
        ("soft limit above the hard one", e.process(rlimits=[{"type": "RLIMIT_CORE", "soft": 2, "hard": 1}]), ()),
        ("oom score too large", e.process(oomScoreAdj=2000), ("oom",)),
        ("sysctl unknown", e.linux(sysctl={"kernel.shm_nope": "1"}), ("shm_nope",)),
        ("sysctl not of a namespace", e.linux(sysctl={"vm.swappiness": "1"}), ("vm.swappiness",)),
        ("sysctl of the hostname", e.linux(sysctl={"kernel.hostname": "x"}), ("hostname",)),
        ("sysctl of a namespace that is shared", e.together(e.without_namespace("ipc"), e.without_mount("/dev/mqueue"), e.linux(sysctl={"kernel.shmmax": "1"})), ("kernel.shmmax",)),
        ("sysctl with a value that is wrong", e.linux(sysctl={"kernel.shmmax": "x"}), ("shmmax",)),
        ("user negative", e.process(user={"uid": -1}), ("uid",)),
        ("user too large", e.process(user={"uid": 2**32}), ("uid",)),
        ("io priority unknown", e.process(ioPriority={"class": "IOPRIO_CLASS_X", "priority": 1}), ("IOPRIO_CLASS_X",)),
        ("scheduler unknown", e.process(scheduler={"policy": "SCHED_X"}), ("SCHED_X",)),
        ("personality unknown", e.linux(personality={"domain": "LINUX99"}), ("LINUX99",)),
        ("root propagation unknown", e.linux(rootfsPropagation="sideways"), ("sideways",)),
        ("filter action unknown", e.seccomp(e.rule("SCMP_ACT_X", "mkdir")), ("SCMP_ACT_X",)),
        ("filter default unknown", e.seccomp(default="SCMP_ACT_X"), ("SCMP_ACT_X",)),
        ("filter argument unknown", e.seccomp(e.rule("SCMP_ACT_ERRNO", "mkdir", args=mask)), ()),
        ("filter architecture unknown", e.seccomp(architectures=["SCMP_ARCH_X"]), ("SCMP_ARCH_X",)),
        ("device of an unknown kind", e.linux(devices=[{"path": "/dev/x", "type": "z"}]), ()),
        ("device path relative", e.linux(devices=[{"path": "x", "type": "c", "major": 1, "minor": 3}]), ()),
        ("version unknown", e.top(ociVersion="2.0.0"), ("2.0.0",)),
        ("root missing", e.top(root={"path": missing}), (missing,)),
        ("memory limit too small", e.resources(memory={"limit": 1024}), ("memory",)),
        ("swap below memory", e.resources(memory={"limit": 1 << 26, "swap": 1 << 25}), ("memory",)),
        ("processor quota too small", e.resources(cpu={"quota": 1, "period": 100000}), ("cpu",)),
        ("processor period too large", e.resources(cpu={"period": 100000000}), ("cpu",)),
        ("processors that do not exist", e.resources(cpu={"cpus": "5000"}), ("5000",)),
        ("cgroup path absent", e.without("linux", "cgroupsPath"), ()),
    )  # fmt: skip
    return [Failure(name, edit, names) for name, edit, names in table]
