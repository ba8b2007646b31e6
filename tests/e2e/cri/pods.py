"""What a pod is given, sensible and not."""

from .case import Case, collect

CASES, case = collect()


def _with(name, script, may_fail=False, **config):
    CASES.append(Case(f"pod {name}", lambda side: side.say(script, pod=side.pod(**config)), may_fail))


def _secured(**context):
    return {"linux": {"security_context": context}}


_with("with names and addresses", "cat /etc/resolv.conf; hostname; cat /etc/hostname", hostname="db-0",
      dns_config={"servers": ["192.0.2.1", "2001:db8::1"], "searches": ["a.example", "b.example"],
                  "options": ["ndots:5"]})  # fmt: skip
_with("without a host name", "hostname | wc -l", hostname="")
_with("with a host name that is too long", "hostname", True, hostname="h" * 70)
_with("with sysctls", "cat /proc/sys/kernel/shm_rmid_forced /proc/sys/net/ipv4/ip_unprivileged_port_start",
      linux={"sysctls": {"kernel.shm_rmid_forced": "1", "net.ipv4.ip_unprivileged_port_start": "99"}})
_with("with a sysctl that is absent", "true", True, linux={"sysctls": {"kernel.nothing": "1"}})
_with("with a sysctl of the machine's", "true", True, linux={"sysctls": {"kernel.panic": "1"}})
_with("with annotations of 256 KiB", "echo works", annotations={"a": "x" * (1 << 18)})
_with("with a cgroup that is none", "true", True, linux={"cgroup_parent": "a//../../b"})
_with("with a user that is impossible", "true", True, **_secured(run_as_user={"value": -5}))


def _refused(name, change):
    def act(side):
        config = side.pod_config()
        fields = {"config": config, "runtime_handler": side.handler}
        change(fields)
        return {"run": side.attempt("RunPodSandbox", **fields)}

    act.__doc__ = f"pod {name}"
    case(act)


_refused("without a name", lambda fields: fields["config"].pop("metadata"))
_refused("in the host's process namespace", lambda fields: _in_namespaces(fields, pid="NODE"))
_refused("in the host's IPC namespace", lambda fields: _in_namespaces(fields, ipc="NODE"))
_refused("of a handler that is absent", lambda fields: fields.update(runtime_handler="nowhere"))


def _in_namespaces(fields, **modes):
    fields["config"]["linux"]["security_context"]["namespace_options"].update(modes)


def _container(name, **config):
    def act(side):
        pod, pod_config = side.shared_pod()
        made = side.container_config("true", **config)
        return {"create": side.attempt("CreateContainer", pod_sandbox_id=pod, config=made, sandbox_config=pod_config)}

    act.__doc__ = f"container {name}"
    case(act)


_container("of an image that is absent", image={"image": "cppvm.test/nothing:1"})
_container("of an image without a name", image={"image": ""})
_container("of an image of an odd name", image={"image": "UPPER/../x"})
_container("with a log outside of the directory", log_path="../../" + "x" * 300)


@case
def annotations_of_a_container(side):
    """container with annotations of 256 KiB"""
    return side.say("echo works", annotations={"a": "x" * (1 << 18)})


@case
def address(side):
    """network: the address is the one that the status tells"""
    pod = side.shared_pod()[0]
    told = side.call("PodSandboxStatus", pod_sandbox_id=pod).status
    seen = side.say("ip -4 -o address show eth0 | tr -s ' ' | cut -d ' ' -f 4 | cut -d / -f 1")
    return {"same": [told.network.ip] == seen["stdout"], "of loopback": side.say("ping -c 1 127.0.0.1 >/dev/null")}


@case
def interfaces(side):
    """network: interfaces and routes"""
    return side.say("ls /sys/class/net | tr '\\n' ' '; ip route | grep -c ^default")


@case
def hosts_network(side):
    """network: that of the host"""
    pod = side.pod(hostname="", **_secured(namespace_options={"network": "NODE"}))
    said = side.say("test -e /proc/net/dev; echo $?", pod=pod, **_secured(namespace_options={"network": "NODE"}))
    return {**said, "address": side.call("PodSandboxStatus", pod_sandbox_id=pod[0]).status.network.ip}


# Of images: some that the image has, some that it has not, and some that nobody can be.
USERS = ("nobody", "1000:2000", "65534:tty", "somebody", "nobody:nothing", "4294967296", "-1", "1" * 30, ":", "0:-5")


def _image(number, user):
    def act(side):
        context = {"security_context": {"run_as_user": {"value": 7}}}
        return {"as it is": _outcome(side, number), "of another user": _outcome(side, number, linux=context)}

    act.__doc__ = f"image of the user {user[:12]}"
    case(act)


def _outcome(side, number, **config):
    """What it says, or which call fails."""
    image = {"image": f"cppvm.test/of-user-{number}:1"}
    pod, pod_config = side.shared_pod()
    made = side.container_config("sh", "-c", "id -u; id -g; id -G", image=image, **config)
    end = side.attempt("CreateContainer", pod_sandbox_id=pod, config=made, sandbox_config=pod_config)
    if end != "OK":
        return end
    return side.say("id -u; id -g; id -G", image=image, **config)


for _number, _user in enumerate(USERS):
    _image(_number, _user)
