"""Pods and containers in any order, and twice."""

from concurrent.futures import ThreadPoolExecutor

from cppvmdev.waiting import wait_until

from .case import collect, saying
from .side import EXITED

CASES, case = collect()

_UNKNOWN = "0" * 64


def _at_once(side, count, method, **fields):
    """How often which end."""
    with ThreadPoolExecutor(count) as pool:
        ends = list(pool.map(lambda _: side.attempt(method, **fields), range(count)))
    return {end: ends.count(end) for end in ends}


for _method, _fields in (
    ("StartContainer", {}), ("StopContainer", {"timeout": 0}), ("RemoveContainer", {}), ("ContainerStatus", {}),
    ("ContainerStats", {}), ("ReopenContainerLog", {}), ("ExecSync", {"cmd": ["true"]}),
    ("Exec", {"cmd": ["true"], "stdout": True}), ("Attach", {"stdout": True}),
    ("UpdateContainerResources", {"linux": {"cpu_shares": 100}}),
):  # fmt: skip

    def _act(side, method=_method, fields=_fields):
        return {"ends": [side.attempt(method, container_id=name, **fields) for name in (_UNKNOWN, "", "../x")]}

    _act.__doc__ = f"{_method} of containers that are unknown"
    case(_act)

for _method in ("StopPodSandbox", "RemovePodSandbox", "PodSandboxStatus", "PodSandboxStats", "PortForward"):

    def _act(side, method=_method):
        return {"ends": [side.attempt(method, pod_sandbox_id=name) for name in (_UNKNOWN, "", "../x")]}

    _act.__doc__ = f"{_method} of pods that are unknown"
    case(_act)


@case
def create_in_unknown_pod(side):
    """create in a pod that is unknown"""
    config, pod_config = side.container_config("true"), side.pod_config()
    fields = {"config": config, "sandbox_config": pod_config}
    return {"ends": [side.attempt("CreateContainer", pod_sandbox_id=name, **fields) for name in (_UNKNOWN, "")]}


@case
def every_call_twice(side):
    """start, stop, remove, each twice"""
    container, _ = side.create("sleep", "1000000")
    report = {"start": side.attempts("StartContainer", container_id=container)}
    report["stop"] = side.attempts("StopContainer", container_id=container, timeout=0)
    report["ended"] = side.ended(container)
    report["start later"] = side.attempt("StartContainer", container_id=container)
    report["remove"] = side.attempts("RemoveContainer", container_id=container)
    report["start last"] = side.attempt("StartContainer", container_id=container)
    report["status"] = side.attempt("ContainerStatus", container_id=container)
    return report


@case
def created_only(side):
    """of a container that is created alone: exec, stop, remove"""
    container, _ = side.create("sleep", "1000000")
    report = {"state": side.status(container).state}
    report["exec"] = side.attempt("ExecSync", container_id=container, cmd=["true"])
    report["attach"] = side.attempt("Attach", container_id=container, stdout=True)
    report["stats"] = side.attempt("ContainerStats", container_id=container)
    report["reopen"] = side.attempt("ReopenContainerLog", container_id=container)
    report["stop"] = side.attempt("StopContainer", container_id=container, timeout=1)
    report["state then"] = side.status(container).state
    report["remove"] = side.attempt("RemoveContainer", container_id=container)
    return report


@case
def exited(side):
    """of a container that has exited: exec, update, reopen, stats, stop"""
    container = side.start("true")
    report = {"ended": side.ended(container)}
    report["exec"] = side.attempt("ExecSync", container_id=container, cmd=["true"])
    report["update"] = side.attempt("UpdateContainerResources", container_id=container, linux={"cpu_shares": 100})
    report["reopen"] = side.attempt("ReopenContainerLog", container_id=container)
    report["stats"] = side.attempt("ContainerStats", container_id=container)
    report["stop"] = side.attempt("StopContainer", container_id=container, timeout=5)
    return report


@case
def remove_running(side):
    """remove of a container that runs"""
    container = side.sleeper()
    return {"ends": side.attempts("RemoveContainer", container_id=container)}


@case
def same_name(side):
    """create with a name that is taken, and after it is free"""
    container, config = side.create("sleep", "1000000")
    pod, pod_config = side.shared_pod()
    fields = {"pod_sandbox_id": pod, "config": config, "sandbox_config": pod_config}
    report = {"taken": side.attempt("CreateContainer", **fields)}
    side.call("RemoveContainer", container_id=container)
    side.create_by(config)
    return report


@case
def restarted(side):
    """a second attempt of a container"""
    first, config = side.create("true")
    side.call("StartContainer", container_id=first)
    report = {"first": side.ended(first)}
    config["metadata"]["attempt"] = 1
    second = side.create_by(config)
    side.call("StartContainer", container_id=second)
    report["second"] = side.ended(second)
    return report


_COMMANDS = {
    "exit 0": "true",
    "exit 1": "exit 1",
    "exit 255": "exit 255",
    "exit by a signal of a child": "sh -c 'kill -9 $$'; exit $?",
    "exit by its own signal": "kill -TERM $$; echo lives",
}
CASES += [saying(name, script) for name, script in _COMMANDS.items()]


def _starting(name, *command, **config):
    def act(side):
        container, _ = side.create(*command, **config)
        starts = side.attempt("StartContainer", container_id=container) == "OK"
        return {"starts": starts, **side.ended(container)}

    act.__doc__ = name
    case(act)


_starting("program that is absent", "/nowhere")
_starting("program that is not in PATH", "nowhere")
_starting("program that is a directory", "/etc")
_starting("program that cannot be executed", "/etc/passwd")
_starting("arguments alone", args=["-c", "exit 7"])
_starting("directory that is a file", "true", working_dir="/etc/passwd")
_starting("arguments of 64 KiB", "true", "x" * 65536)
_starting("argument that is too long for the kernel", "true", "x" * 140000)
_starting("environment of 500 variables", "true", envs=[{"key": f"V{n}", "value": "x" * 100} for n in range(500)])
_starting("environment without a name", "true", envs=[{"key": "", "value": "x"}])
CASES.append(saying("arguments after a command", 'echo "$0" "$@"', args=["a", "b c"]))
CASES.append(saying("directory", "pwd", working_dir="/tmp"))
CASES.append(saying("directory that is absent", "pwd", working_dir="/made/for/it"))


def _stopping(name, script, timeout, **config):
    def act(side):
        container, config_ = side.create("sh", "-c", script, **config)
        side.call("StartContainer", container_id=container)
        wait_until(lambda: side.log(config_), "its first line", 30)
        side.call("StopContainer", container_id=container, timeout=timeout)
        return {**side.ended(container), "said": [text for _, _, text in side.log(config_)]}

    act.__doc__ = name
    case(act)


_WAIT = "echo ready; while :; do sleep 0.1; done"
_stopping("stop of one that ends", f"trap 'exit 0' TERM; {_WAIT}", 30)
_stopping("stop of one that does not", f"trap '' TERM; {_WAIT}", 1)
_stopping("stop at once", f"trap 'echo asked' TERM; {_WAIT}", 0)
_stopping("stop by a signal of its own", f"trap 'echo no' TERM; trap 'exit 9' USR1; {_WAIT}", 30, stop_signal=29)


@case
def races_of_start(side):
    """races: four starts"""
    container, _ = side.create("sleep", "1000000")
    ends = _at_once(side, 4, "StartContainer", container_id=container)
    return {"started": ends["OK"], "state": side.status(container).state}


@case
def races_of_stop(side):
    """races: four stops"""
    container = side.sleeper()
    return {**_at_once(side, 4, "StopContainer", container_id=container, timeout=1), "ended": side.ended(container)}


@case
def races_of_remove(side):
    """races: four removes"""
    container = side.sleeper()
    _at_once(side, 4, "RemoveContainer", container_id=container)
    return {"after": side.attempt("ContainerStatus", container_id=container)}


@case
def races_of_containers(side):
    """races: six containers at once"""
    with ThreadPoolExecutor(6) as pool:
        return {"ends": list(pool.map(lambda n: side.say(f"exit {n}")["code"], range(6)))}


@case
def races_of_execs(side):
    """races: execs while the container is stopped"""
    container = side.sleeper()
    with ThreadPoolExecutor(5) as pool:
        execs = [pool.submit(side.attempt, "ExecSync", container_id=container, cmd=["sleep", "100"]) for _ in range(4)]
        side.call("StopContainer", container_id=container, timeout=0)
        ends = [future.result() for future in execs]
    return {"ended": side.ended(container), "answers": len(ends)}


@case
def races_of_pods(side):
    """races: the end of a pod, thrice"""
    pod, _ = side.pod()
    report = {}
    for method in ("StopPodSandbox", "RemovePodSandbox"):
        # Of those at once one may fail: a plugin finds the network gone, or the daemon has ended.
        ends = _at_once(side, 3, method, pod_sandbox_id=pod)
        report[method] = [ends["OK"] > 0, side.attempt(method, pod_sandbox_id=pod)]
    return {**report, "after": side.attempt("PodSandboxStatus", pod_sandbox_id=pod)}


@case
def pods_twice(side):
    """pods: run, stop, remove, each twice"""
    pod, config = side.pod(labels={"app": "web"}, annotations={"note": "é"})
    report = {"run": side.attempt("RunPodSandbox", config=config, runtime_handler=side.handler)}
    status = side.call("PodSandboxStatus", pod_sandbox_id=pod).status
    report.update(labels=dict(status.labels), annotations=dict(status.annotations), state=status.state)
    container = side.sleeper(pod=(pod, config))
    created, _ = side.create("true", pod=(pod, config))
    report["stop"] = side.attempts("StopPodSandbox", pod_sandbox_id=pod)
    report["ended"] = side.ended(container)
    report["start"] = side.attempt("StartContainer", container_id=created)
    fields = {"config": side.container_config("true"), "sandbox_config": config}
    report["create"] = side.attempt("CreateContainer", pod_sandbox_id=pod, **fields)
    report["exec"] = side.attempt("ExecSync", container_id=container, cmd=["true"])
    report["state then"] = side.call("PodSandboxStatus", pod_sandbox_id=pod).status.state
    report["remove"] = side.attempts("RemovePodSandbox", pod_sandbox_id=pod)
    report["status"] = side.attempt("PodSandboxStatus", pod_sandbox_id=pod)
    report["container"] = side.attempt("ContainerStatus", container_id=container)
    report["create last"] = side.attempt("CreateContainer", pod_sandbox_id=pod, **fields)
    return report


@case
def pods_removed_running(side):
    """pods: remove of one that runs"""
    pod, config = side.pod()
    container = side.sleeper(pod=(pod, config))
    return {"remove": side.attempt("RemovePodSandbox", pod_sandbox_id=pod),
            "container": side.attempt("ContainerStatus", container_id=container)}  # fmt: skip


@case
def pods_again(side):
    """pods: a second attempt after the first has stopped"""
    pod, config = side.pod()
    side.call("StopPodSandbox", pod_sandbox_id=pod)
    metadata = {**config["metadata"], "attempt": 1}
    second = side.pod(metadata=metadata)
    return side.say("hostname", pod=second)


@case
def lists(side):
    """lists by id, state, pod and label"""
    pod, _ = side.shared_pod()
    container = side.sleeper(labels={"tier": "front"})
    ended = side.start("true", labels={"tier": "front"})
    side.wait_exit(ended)

    def found(method="ListContainers", **filters):
        return {item.id: True for item in side.call(method, filter=filters).items}

    return {
        "id": [name == container for name in found(id=container)],
        "state": [name in found(pod_sandbox_id=pod, state={"state": EXITED}) for name in (container, ended)],
        "label": len(found(pod_sandbox_id=pod, label_selector={"tier": "front"})),
        "other label": len(found(pod_sandbox_id=pod, label_selector={"tier": "back"})),
        "pod": len(found("ListPodSandbox", id=pod, state={"state": 0})),
        "unknown": len(found("ListPodSandbox", id=_UNKNOWN)),
    }


@case
def statuses(side):
    """status of a container: times, labels, annotations"""
    container = side.start("true", labels={"a": "b"}, annotations={"c": "d" * 1000})
    status = side.wait_exit(container)
    return {
        "in order": status.created_at < status.started_at < status.finished_at,
        "labels": dict(status.labels),
        "annotations": dict(status.annotations),
        "id": status.id == container,
    }
