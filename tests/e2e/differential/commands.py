"""The cases that are options of a client's command."""

import json
import os
from dataclasses import dataclass


@dataclass
class Command:
    """`has_command`: the options say already what is run. `names`: what the error must have, if it
    fails. `may_fail`: with runc; one that is to run and does not would compare nothing."""

    name: str
    options: tuple
    looks_at: tuple = ()
    has_command: bool = False
    names: tuple = ()
    may_fail: bool = False

    @property
    def has_name(self):
        """Whether the options say what the host is called."""
        return "--hostname" in self.options or "--uts" in self.options


def _files(volume):
    """Of variables, and a profile of seccomp."""
    variables = volume / "variables"
    variables.write_text("FROM_FILE=1\nOTHER=two words\n")
    profile = volume / "profile.json"
    rule = {"names": ["keyctl"], "action": "SCMP_ACT_ERRNO"}
    profile.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}))
    return variables, profile


def of_ctr(volume, release):
    """`ctr run` of that containerd; `volume` is a directory of the host, where files are made, too."""
    variables, profile = _files(volume)
    table = [
        ("nothing", ()),
        ("--cwd", ("--cwd", "/tmp")),
        ("--env", ("--env", "A=1", "--env", "B=two words")),
        ("--env-file", ("--env-file", variables)),
        ("--read-only", ("--read-only",)),
        ("--privileged", ("--privileged",)),
        ("--cap-add", ("--cap-add", "CAP_SYS_TIME")),
        ("--cap-drop", ("--cap-drop", "CAP_CHOWN", "--cap-drop", "CAP_NET_RAW")),
        ("--allow-new-privs", ("--allow-new-privs",)),
        ("--seccomp", ("--seccomp",)),
        ("--seccomp-profile", ("--seccomp", "--seccomp-profile", profile)),
        ("--memory-limit", ("--memory-limit", str(64 << 20))),
        ("--cpus", ("--cpus", "0.5")),
        ("--cpu-quota", ("--cpu-quota", "50000", "--cpu-period", "100000")),
        ("--cpu-shares", ("--cpu-shares", "512")),
        ("--mount", ("--mount", f"type=bind,src={volume},dst=/data,options=rbind:ro"), ("/data",)),
        ("--mount tmpfs", ("--mount", "type=tmpfs,src=tmpfs,dst=/data,options=size=1m:mode=1777"), ("/data",)),
        ("--device", ("--device", "/dev/full")),
        ("--label", ("--label", "a=b", "--annotation", "c=d")),
        ("--cgroup", ("--cgroup", "/cppvm-e2e/named")),
        ("--rootfs-propagation", ("--rootfs-propagation", "shared")),
        ("--fifo-dir", ("--fifo-dir", volume / "fifos")),
        ("--with-ns", ("--with-ns", f"ipc:/proc/{os.getpid()}/ns/ipc")),
    ]  # fmt: skip
    if release != "1.6":
        table += [
            ("--user", ("--user", "65534:65534")),
            ("--user by name", ("--user", "nobody")),
            ("--hostname", ("--hostname", "given")),
            ("--rlimit-nofile", ("--rlimit-nofile", "64:128")),
            ("--cpuset-cpus", ("--cpuset-cpus", "0")),
            ("--cpuset-mems", ("--cpuset-mems", "0")),
            ("--privileged-without-host-devices", ("--privileged", "--privileged-without-host-devices")),
        ]
    return [Command(f"ctr {name}", options, *more) for name, options, *more in table]


# On a host whose mounts are private.
_MAY_FAIL = (False, (), True)
# Of Docker's options, those that nerdctl 2.0 lacks; that want something of the host which not each has
# (/dev/mqueue, shared mounts in the containerd's mount namespace); and the one that wants a static init.
_NOT_OF_NERDCTL = (
    "--device-cgroup-rule",
    "--userns host",
    "--ipc none",
    "--ipc host",
    "--mount propagation",
    "--init",
)


def of_nerdctl(volume):
    """`nerdctl run`."""
    return [
        Command(f"nerdctl {name}", options, *more)
        for name, options, *more in _options(volume)
        if name not in _NOT_OF_NERDCTL
    ]


def of_docker(volume):
    """`docker run`."""
    return [Command(f"docker {name}", options, *more) for name, options, *more in _options(volume)]


def _options(volume):
    """What Docker and nerdctl have."""
    variables, profile = _files(volume)
    return (
        ("nothing", ()),
        ("--user", ("--user", "65534:65534")),
        ("--user by name", ("--user", "nobody")),
        ("--group-add", ("--group-add", "10", "--group-add", "2000")),
        ("--workdir", ("--workdir", "/made/for/it")),
        ("--env", ("-e", "A=1", "-e", "B=two words")),
        ("--hostname", ("--hostname", "given")),
        ("--domainname", ("--domainname", "example.org")),
        ("--read-only", ("--read-only",)),
        ("--tmpfs", ("--tmpfs", "/data:size=1m,mode=700"), ("/data",)),
        ("--volume", ("-v", f"{volume}:/data"), ("/data",)),
        ("--volume ro", ("-v", f"{volume}:/data:ro"), ("/data",)),
        ("--volume anonymous", ("-v", "/data"), ("/data",)),
        ("--mount", ("--mount", f"type=bind,src={volume},dst=/data,readonly"), ("/data",)),
        ("--mount propagation", ("--mount", f"type=bind,src={volume},dst=/data,bind-propagation=rslave"), ("/data",), *_MAY_FAIL),
        ("--mount tmpfs", ("--mount", "type=tmpfs,dst=/data,tmpfs-size=1048576"), ("/data",)),
        ("--cap-add", ("--cap-add", "SYS_TIME")),
        ("--cap-drop", ("--cap-drop", "ALL")),
        ("--privileged", ("--privileged",)),
        ("--security-opt no-new-privileges", ("--security-opt", "no-new-privileges")),
        ("--security-opt seccomp", ("--security-opt", "seccomp=unconfined")),
        ("--security-opt apparmor", ("--security-opt", "apparmor=unconfined")),
        ("--security-opt systempaths", ("--security-opt", "systempaths=unconfined")),
        ("--ulimit", ("--ulimit", "nofile=64:128", "--ulimit", "core=0")),
        ("--shm-size", ("--shm-size", "1m")),
        ("--sysctl", ("--sysctl", "kernel.shmmax=1000000", "--sysctl", "net.ipv4.ip_forward=1")),
        ("--memory", ("--memory", "64m")),
        ("--memory-swap", ("--memory", "64m", "--memory-swap", "64m")),
        ("--memory-reservation", ("--memory-reservation", "32m")),
        ("--cpus", ("--cpus", "0.5")),
        ("--cpu-shares", ("--cpu-shares", "512")),
        ("--cpuset-cpus", ("--cpuset-cpus", "0")),
        ("--pids-limit", ("--pids-limit", "100")),
        ("--oom-score-adj", ("--oom-score-adj", "500")),
        ("--ipc private", ("--ipc", "private")),
        ("--ipc none", ("--ipc", "none")),
        ("--ipc shareable", ("--ipc", "shareable")),
        ("--ipc host", ("--ipc", "host")),
        ("--uts host", ("--uts", "host")),
        ("--pid host", ("--pid", "host")),
        ("--cgroupns host", ("--cgroupns", "host")),
        ("--cgroupns private", ("--cgroupns", "private")),
        ("--network none", ("--network", "none")),
        ("--dns", ("--dns", "192.0.2.1", "--add-host", "other:192.0.2.2"), ("/etc/resolv.conf", "/etc/hosts")),
        ("--device", ("--device", "/dev/full:/dev/mine:r")),
        ("--device-cgroup-rule", ("--device-cgroup-rule", "c 1:8 r")),
        ("--entrypoint", ("--entrypoint", "/probe"), (), True),
        ("--init", ("--init",)),
        ("--stop-signal", ("--stop-signal", "SIGINT", "--label", "a=b")),
        ("--userns host", ("--userns", "host")),
        ("--env-file", ("--env-file", variables)),
        ("--annotation", ("--annotation", "a=b")),
        ("--cpu-quota", ("--cpu-quota", "50000", "--cpu-period", "100000")),
        ("--cpuset-mems", ("--cpuset-mems", "0")),
        ("--security-opt seccomp of a file", ("--security-opt", f"seccomp={profile}")),
        ("--mac-address", ("--mac-address", "02:11:22:33:44:55")),
        ("--stop-timeout", ("--stop-timeout", "3")),
    )  # fmt: skip
