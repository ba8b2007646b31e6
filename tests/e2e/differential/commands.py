"""The cases that are options of a client's command."""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path


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


# With runc, too: on a host whose mounts are private, or that lacks what is asked for.
_MAY_FAIL = (False, (), True)


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
        ("--gpus", ("--gpus", "0"), (), *_MAY_FAIL),
        ("--rdt-class", ("--rdt-class", "gold"), (), *_MAY_FAIL),
        ("--blockio-class", ("--blockio-class", "gold"), (), *_MAY_FAIL),
        ("--blockio-config-file", ("--blockio-config-file", "/nonexistent"), (), *_MAY_FAIL),
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


# Options that say nothing of what is in a container, or that other tests use: how the client waits, what it
# prints, where images come from; networks, terminals, restarts, init (test_docker, test_nerdctl, test_ctr);
# sockets of the host (test_sockets); checks of health, which are execs; what only Windows has.
_ELSEWHERE = """--help --detach --detach-keys --attach --interactive --tty --sig-proxy --rm --name --cidfile
    --runtime --platform --pull --quiet --disable-content-trust --label-file --log-driver --log-opt --restart
    --health-cmd --health-interval --health-retries --health-start-interval --health-start-period
    --health-timeout --no-healthcheck --expose --ip --ip6 --link --link-local-ip --net --network-alias
    --publish --publish-all --cpu-count --cpu-percent --io-maxbandwidth --io-maxiops --isolation
    --cosign-certificate-identity --cosign-certificate-identity-regexp --cosign-certificate-oidc-issuer
    --cosign-certificate-oidc-issuer-regexp --cosign-key --ipfs-address --verify --pidfile --init --init-binary
    --use-api-socket --cni --config --dump-config --log-uri --no-pivot --null-io --pid-file --net-host --rootfs
    --runtime-config-path --runc-binary --runc-root --runc-systemd-cgroup --sandbox --snapshotter
    --snapshotter-label --sync-fs --uidmap --gidmap --remap-labels --apparmor-profile
    --apparmor-default-profile""".split()
_OPTION = re.compile(r"^ +(?:-\w, )? *(--[a-z0-9-]+)", re.MULTILINE)


def untried(text, commands):
    """The options in a client's help that neither a command has nor another test uses."""
    tried = {str(word) for command in commands for word in command.options}
    return set(_OPTION.findall(text)) - tried - set(_ELSEWHERE)


# Of Docker's options, those that nerdctl 2.0 lacks; that want something of the host which not each has
# (/dev/mqueue, shared mounts in the containerd's mount namespace); and the one that wants a static init.
_NOT_OF_NERDCTL = (
    "--device-cgroup-rule",
    "--userns host",
    "--ipc none",
    "--ipc host",
    "--mount propagation",
    "--init",
    "--volume-driver",
    "--cpu-rt-runtime",
    "--storage-opt",
)


def of_nerdctl(volume):
    """`nerdctl run`."""
    table = [row for row in _options(volume) if row[0] not in _NOT_OF_NERDCTL]
    table += [
        ("--umask", ("--umask", "0027")),
        ("--systemd", ("--systemd", "false")),
        ("--rdt-class", ("--rdt-class", "gold"), (), *_MAY_FAIL),
        ("--cgroup-conf", ("--cgroup-conf", "memory.high=1000000000"), (), *_MAY_FAIL),
        ("--dns-opt", ("--dns-opt", "ndots:3"), ("/etc/resolv.conf",)),
    ]
    return [Command(f"nerdctl {name}", options, *more) for name, options, *more in table]


def of_docker(volume):
    """`docker run`."""
    return [Command(f"docker {name}", options, *more) for name, options, *more in _options(volume)]


def _options(volume):
    """What Docker and nerdctl have."""
    variables, profile = _files(volume)
    disk = next(path for path in sorted(Path("/dev").iterdir()) if path.is_block_device())
    return (
        ("nothing", ()),
        ("--user", ("--user", "65534:65534")),
        ("--user by name", ("--user", "nobody")),
        ("--group-add", ("--group-add", "10", "--group-add", "2000")),
        ("--workdir", ("--workdir", "/made/for/it")),
        ("--env", ("--env", "A=1", "--env", "B=two words")),
        ("--hostname", ("--hostname", "given")),
        ("--domainname", ("--domainname", "example.org")),
        ("--read-only", ("--read-only",)),
        ("--tmpfs", ("--tmpfs", "/data:size=1m,mode=700"), ("/data",)),
        ("--volume", ("--volume", f"{volume}:/data"), ("/data",)),
        ("--volume ro", ("--volume", f"{volume}:/data:ro"), ("/data",)),
        ("--volume anonymous", ("--volume", "/data"), ("/data",)),
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
        ("--dns-search", ("--dns-search", "example.org", "--dns-option", "ndots:3"), ("/etc/resolv.conf",)),
        ("--volumes-from", ("--volumes-from", "nothing-of-that-name"), (), *_MAY_FAIL),
        ("--volume-driver", ("--volume-driver", "local", "--volume", "/data"), ("/data",)),
        ("--cgroup-parent", ("--cgroup-parent", "/cppvm-e2e/named")),
        ("--blkio-weight", ("--blkio-weight", "300", "--blkio-weight-device", f"{disk}:200")),
        ("--device-read-bps", ("--device-read-bps", f"{disk}:1mb", "--device-read-iops", f"{disk}:100")),
        ("--device-write-bps", ("--device-write-bps", f"{disk}:1mb", "--device-write-iops", f"{disk}:100")),
        ("--cpu-rt-runtime", ("--cpu-rt-runtime", "1000", "--cpu-rt-period", "100000"), (), *_MAY_FAIL),
        ("--memory-swappiness", ("--memory-swappiness", "10")),
        ("--oom-kill-disable", ("--memory", "64m", "--oom-kill-disable")),
        ("--kernel-memory", ("--kernel-memory", "64m")),
        ("--gpus", ("--gpus", "all"), (), *_MAY_FAIL),
        ("--storage-opt", ("--storage-opt", "size=1G"), (), *_MAY_FAIL),
    )  # fmt: skip
