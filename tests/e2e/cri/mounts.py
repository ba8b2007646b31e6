"""Mounts and devices of containers, and what containers of a pod share."""

import socket

from .case import Case, collect, refused, secured

CASES, case = collect()

_PRIVATE, _FROM_HOST, _BOTH = 0, 1, 2


def _mounting(name, script, source="", target="/data", may_fail=False, **options):
    """A container with a mount of a volume, or of something in it; also what the volume has afterwards."""

    def act(side):
        volume = side.volume()
        mount = {"host_path": str(volume / source) if source else str(volume), "container_path": target, **options}
        said = side.say(script, mounts=[mount])
        names = sorted(path.name for path in volume.iterdir())
        return {**said, "files": names, "file": (volume / "file").read_text()}

    CASES.append(Case(f"mount {name}", act, may_fail))


_WRITE = "cat /data/file; touch /data/new; touch /data/below/new; echo changed > /data/file"
_mounting("of a directory", _WRITE)
_mounting("read-only", _WRITE, readonly=True)
_mounting("read-only below, too", _WRITE, may_fail=True, readonly=True, recursive_read_only=True)
_mounting("read-only below, but not itself", _WRITE, may_fail=True, recursive_read_only=True)
_mounting(
    "read-only below, and shared", _WRITE, may_fail=True,
    readonly=True, recursive_read_only=True, propagation=_FROM_HOST,
)  # fmt: skip
_mounting("with a SELinux label", _WRITE, selinux_relabel=True)
_mounting("private", _WRITE, propagation=_PRIVATE)
_mounting("of a file", "cat /data; echo changed > /data", source="file")
_mounting("of a link to a directory", "touch /data/new; ls /data", source="link")
_mounting("of a directory that is absent", "ls /data; touch /data/new", source="made/for/it")
_mounting("at a path that is absent", "cat /made/for/it/file", target="/made/for/it")
_mounting("at a path with odd names", "cat '/a b:c,d/é/file'", target="/a b:c,d/é")
_mounting("at a link of the image", "cat /bin/file", target="/link", may_fail=True)
_mounting("at the root", "true", target="/", may_fail=True)
_mounting("at no path", "true", target="", may_fail=True)
_mounting("at a relative path", "cat /data/file", target="data", may_fail=True)
_mounting("of a file at a directory", "true", source="file", target="/tmp", may_fail=True)
_mounting("of a directory at a file", "true", target="/etc/passwd", may_fail=True)
_mounting("at /proc", "true", target="/proc", may_fail=True)
_mounting("at /proc/sys", "true", target="/proc/sys", may_fail=True)
_mounting("at /dev/shm", "cat /dev/shm/file; touch /dev/shm/new", target="/dev/shm")
_mounting("at /etc/hosts", "cat /etc/hosts", source="file", target="/etc/hosts")
_mounting("at /etc/resolv.conf", "cat /etc/resolv.conf", source="file", target="/etc/resolv.conf")
_mounting("at /etc/hostname", "cat /etc/hostname", source="file", target="/etc/hostname")
_mounting("at /sys", "ls /sys", target="/sys", may_fail=True)
CASES.append(refused("mount of no path", mounts=[{"host_path": "", "container_path": "/data"}]))
_LONG = {"host_path": "/" + "x" * 300, "container_path": "/data"}
CASES.append(refused("mount of a path that is too long", mounts=[_LONG]))


@case
def mounts_in_mounts(side):
    """mount in a mount, told in the other order"""
    outer, inner = side.volume(), side.volume()
    mounts = [
        {"host_path": str(inner), "container_path": "/data/below", "readonly": True},
        {"host_path": str(outer), "container_path": "/data"},
    ]
    return side.say("cat /data/below/file; touch /data/below/x; touch /data/x", mounts=mounts)


@case
def mount_twice(side):
    """mount of a volume at two places"""
    volume = side.volume()
    one = {"host_path": str(volume), "container_path": "/one"}
    mounts = [one, {**one, "container_path": "/two", "readonly": True}]
    return side.say("touch /one/new; ls /two; touch /two/newer", mounts=mounts)


@case
def volume_of_two(side):
    """mount of one volume in two containers"""
    volume = side.volume()
    mounts = [{"host_path": str(volume), "container_path": "/data"}]
    first, second = side.sleeper(mounts=mounts), side.sleeper(mounts=mounts)
    side.shell(first, "echo word > /data/word")
    report = side.shell(second, "cat /data/word; rm /data/file")
    (volume / "from-host").write_text("x")
    return {**report, "then": side.shell(first, "ls /data")}


@case
def volume_that_vanished(side):
    """mount of a volume that vanished before the start"""
    volume = side.volume()
    container, _ = side.create("true", mounts=[{"host_path": str(volume / "file"), "container_path": "/data"}])
    (volume / "file").unlink()
    return {"start": side.attempt("StartContainer", container_id=container) == "OK"}


@case
def socket_of_the_host(side):
    """mount of a unix socket"""
    volume = side.volume()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(volume / "s"))
        mount = {"host_path": str(volume / "s"), "container_path": "/data"}
        return side.say("test -S /data && echo is one", mounts=[mount])


@case
def mounts_in_the_status(side):
    """mounts are told in the status"""
    volume = side.volume()
    container = side.sleeper(mounts=[{"host_path": str(volume), "container_path": "/data", "readonly": True}])
    (told,) = side.status(container).mounts
    return {"path": told.container_path, "source": told.host_path == str(volume), "readonly": told.readonly}


def _device(name, script, may_fail=True, **device):
    def act(side):
        return side.say(script, devices=[device])

    CASES.append(Case(f"device {name}", act, may_fail))


_NULL = {"host_path": "/dev/null", "container_path": "/dev/nothing"}
_device("of another name", "echo x > /dev/nothing; test -c /dev/nothing && echo one", **_NULL, permissions="rwm")
_device("that may be read", "head -c 3 /dev/nothing; echo $?", **_NULL, permissions="r")
_device("that is absent", "true", host_path="/dev/nowhere", container_path="/dev/nowhere", permissions="rwm")
_device("of odd permissions", "true", **_NULL, permissions="xyz")
_device("that is a file", "true", host_path="/etc/passwd", container_path="/dev/file", permissions="rwm")


def _namespaces(**options):
    return {"linux": {"security_context": {"namespace_options": options}}}


@case
def shared_memory(side):
    """/dev/shm, host name and network are the pod's"""
    first, second = side.sleeper(), side.sleeper()
    side.shell(first, "echo word > /dev/shm/word")
    size = "df /dev/shm | tail -n 1 | tr -s ' ' | cut -d ' ' -f 2"
    report = side.shell(second, f"cat /dev/shm/word; rm /dev/shm/word; {size}; hostname")
    links = "for kind in net ipc uts; do readlink /proc/self/ns/$kind; done"
    same = side.shell(first, links)["stdout"] == side.shell(second, links)["stdout"]
    return {**report, "same namespaces": same}


@case
def own_processes(side):
    """processes of each container"""
    side.sleeper(**_namespaces(pid="CONTAINER"))
    second = side.sleeper(**_namespaces(pid="CONTAINER"))
    return side.shell(second, "ps -o comm | grep -c sleep; cat /proc/1/comm")


@case
def targeted_processes(side):
    """processes of a target"""
    target = side.sleeper(**_namespaces(pid="CONTAINER"))
    return side.say("cat /proc/1/comm; ls /proc/1/root/etc | wc -l", **_namespaces(pid="TARGET", target_id=target))


@case
def targets_that_are_absent(side):
    """processes of a target that is absent"""
    pod, pod_config = side.shared_pod()
    configs = [side.container_config("true", **_namespaces(pid="TARGET", target_id=name)) for name in ("", "0" * 64)]
    fields = {"pod_sandbox_id": pod, "sandbox_config": pod_config}
    return {"refused": [side.attempt("CreateContainer", config=config, **fields) != "OK" for config in configs]}


@case
def pods_processes(side):
    """processes of the pod"""
    shared = _namespaces(pid="POD")
    pod = side.pod(linux={"security_context": {"namespace_options": {"pid": "POD"}}})
    side.start("sleep", "12345", pod=pod, **shared)
    second = side.sleeper(pod=pod, **shared)
    return side.shell(second, "ps -o args | grep -c '^sleep 12345'; test $$ -ne 1 && echo not first")


CASES.append(secured("device nodes of the default", "ls /dev | grep -v core; test -w /dev/null && echo null"))
