"""LinuxContainerSecurityContext, and what of it a pod has."""

import json

from .case import collect, saying, secured

CASES, case = collect()

_IDS = "id -u; id -g; id -G"
_CAPABILITIES = "grep ^Cap /proc/self/status"
_USER = {"run_as_user": {"value": 1000}}
_DEFAULT, _UNCONFINED, _LOCALHOST = 0, 1, 2
_MERGE, _STRICT = 0, 1


def _users():
    yield secured("user", _IDS, **_USER)
    yield secured("user zero", _IDS, run_as_user={"value": 0})
    yield secured("user that is the largest", _IDS, True, run_as_user={"value": 2**32 - 2})
    yield secured("user beyond the largest", _IDS, True, run_as_user={"value": 2**32 + 5})
    yield secured("user below zero", _IDS, True, run_as_user={"value": -2})
    yield secured("user and group", _IDS, **_USER, run_as_group={"value": 2000})
    yield secured("group without a user", _IDS, True, run_as_group={"value": 2000})
    yield secured("user's name", _IDS, run_as_username="nobody")
    yield secured("user's name and group", _IDS, run_as_username="nobody", run_as_group={"value": 5})
    yield secured("user's name that the image lacks", _IDS, True, run_as_username="somebody")
    yield secured("user's name that is a number", _IDS, True, run_as_username="12")
    yield secured("groups", _IDS, **_USER, supplemental_groups=[10, 20])
    yield secured("groups of root", _IDS, supplemental_groups=[10, 20])
    yield secured("groups twice", _IDS, **_USER, supplemental_groups=[10, 10])
    for name, policy in (("merged", _MERGE), ("strict", _STRICT)):
        context = {"supplemental_groups": [10], "supplemental_groups_policy": policy}
        yield secured(f"groups {name}", _IDS, True, run_as_username="nobody", **context)
    yield secured("user's home", "echo $HOME; pwd", run_as_username="nobody")


def _capabilities():
    def having(name, may_fail=False, **capabilities):
        return secured(f"capabilities {name}", _CAPABILITIES, may_fail, capabilities=capabilities)

    yield secured("capabilities of the default", _CAPABILITIES)
    yield secured("capabilities of a user", _CAPABILITIES, **_USER)
    yield having("added", add_capabilities=["NET_ADMIN"])
    yield having("added twice", add_capabilities=["NET_ADMIN", "NET_ADMIN"])
    yield having("added with their prefix", True, add_capabilities=["CAP_NET_ADMIN"])
    yield having("added in small letters", True, add_capabilities=["net_admin"])
    yield having("added all", add_capabilities=["ALL"])
    yield having("added all but one", add_capabilities=["ALL"], drop_capabilities=["CHOWN"])
    yield having("dropped", drop_capabilities=["CHOWN"])
    yield having("dropped all", drop_capabilities=["ALL"])
    yield having("dropped all but one", drop_capabilities=["ALL"], add_capabilities=["NET_RAW"])
    yield having("dropped that are not there", drop_capabilities=["SYS_ADMIN"])
    yield having("unknown", True, add_capabilities=["FLY"])
    yield having("ambient", True, add_ambient_capabilities=["NET_RAW"])
    change = "touch /tmp/x; chown 5 /tmp/x"
    yield secured("capability to change an owner", change, capabilities={"drop_capabilities": ["CHOWN"]})
    yield secured("capability to make an interface", "ip link add dummy0 type dummy 2>&1 | grep -o permitted")


_DENIES_MKDIR = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}],
}


def _seccomp():
    script = "grep ^Seccomp: /proc/self/status; mkdir /tmp/new; unshare -U true"
    yield secured("seccomp of the default", script, seccomp={"profile_type": _DEFAULT})
    yield secured("seccomp unconfined", script, seccomp={"profile_type": _UNCONFINED})
    absent = {"profile_type": _LOCALHOST, "localhost_ref": "/nowhere/profile.json"}
    yield secured("seccomp of a file that is absent", script, True, seccomp=absent)
    yield secured("seccomp of an empty name", script, True, seccomp={"profile_type": _LOCALHOST})
    yield secured("privileges new", "grep ^NoNewPrivs /proc/self/status")
    yield secured("privileges not new", "grep ^NoNewPrivs /proc/self/status", no_new_privs=True)
    for name, kind in (("the default", _DEFAULT), ("none", _UNCONFINED)):
        yield secured(f"AppArmor {name}", "true", True, apparmor={"profile_type": kind})
    loaded = {"profile_type": _LOCALHOST, "localhost_ref": "nowhere"}
    yield secured("AppArmor of a profile that is absent", "true", True, apparmor=loaded)
    yield secured("SELinux", "true", True, selinux_options={"type": "container_t", "level": "s0:c4,c5"})


def _paths():
    write = "touch /new; touch /tmp/new; touch /dev/shm/new"
    yield secured("root that is read-only", write, readonly_rootfs=True)
    yield secured("root that is not", write)
    look = "wc -c < /proc/keys; ls /sys/firmware | wc -l; echo x > /proc/sys/kernel/domainname"
    covered = {"masked_paths": ["/proc/keys", "/sys/firmware"], "readonly_paths": ["/proc/sys"]}
    yield secured("paths of the kubelet's default", look, **covered)
    yield secured("paths uncovered", "echo x > /proc/sys/kernel/domainname")
    yield secured("paths masked", "cat /etc/passwd; ls /var", masked_paths=["/etc/passwd", "/var"])
    yield secured("paths masked that are absent", "echo works", masked_paths=["/nowhere"])
    yield secured("paths read-only", "touch /tmp/x; touch /root/x", readonly_paths=["/tmp"])
    yield secured("paths read-only that are absent", "echo works", readonly_paths=["/nowhere"])
    yield secured("privileged in a pod that is not", "true", True, privileged=True)


CASES += [*_users(), *_capabilities(), *_seccomp(), *_paths()]


@case
def seccomp_of_a_file(side):
    """seccomp of a file"""
    profile = side.directory / "profile.json"
    profile.write_text(json.dumps(_DENIES_MKDIR))
    context = {"seccomp": {"profile_type": _LOCALHOST, "localhost_ref": str(profile)}}
    return side.say("mkdir /tmp/new; touch /tmp/file", linux={"security_context": context})


@case
def seccomp_of_no_json(side):
    """seccomp of a file that is no profile"""
    profile = side.directory / "broken.json"
    profile.write_text("{")
    context = {"seccomp": {"profile_type": _LOCALHOST, "localhost_ref": str(profile)}}
    config = side.container_config("true", linux={"security_context": context})
    pod, pod_config = side.shared_pod()
    return {"create": side.attempt("CreateContainer", pod_sandbox_id=pod, config=config, sandbox_config=pod_config)}


@case
def execs(side):
    """exec has the container's user and capabilities"""
    context = {**_USER, "supplemental_groups": [10], "no_new_privs": True}
    context["capabilities"] = {"drop_capabilities": ["ALL"]}
    container = side.sleeper(linux={"security_context": context})
    return side.shell(container, f"{_IDS}; {_CAPABILITIES}; grep ^NoNewPrivs /proc/self/status")


@case
def privileged(side):
    """privileged"""
    pod = side.pod(linux={"security_context": {"privileged": True}})
    write = "touch /proc/sys/kernel/domainname && test -w /sys/kernel && echo writable"
    script = f"{_CAPABILITIES}; grep ^Seccomp: /proc/self/status; {write}"
    context = {"privileged": True}
    said = side.say(script, pod=pod, linux={"security_context": context})
    plain = side.say(_CAPABILITIES, pod=pod)
    return {"privileged": said, "beside it": plain}


_VARIABLES = [{"key": "A", "value": "1 2"}, {"key": "B", "value": "é"}]
CASES.append(saying("environment", "echo $A; echo $B", envs=_VARIABLES))
