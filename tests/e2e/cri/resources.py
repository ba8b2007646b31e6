"""LinuxContainerResources of any size, their update, and figures."""

from cppvmdev.waiting import wait_until

from .case import Case, collect

CASES, case = collect()

_MIB, _EIB = 1 << 20, 1 << 60
_FIELDS = ("cpu_period", "cpu_quota", "cpu_shares", "memory_limit_in_bytes")


def _having(name, may_fail=False, **resources):
    def act(side):
        container = side.sleeper(linux={"resources": resources})
        told = side.status(container).resources.linux
        fields = (*_FIELDS, "oom_score_adj", "cpuset_cpus")
        score = side.shell(container, "cat /proc/1/oom_score_adj")
        return {"told": {field: getattr(told, field) for field in fields}, "score": score}

    CASES.append(Case(f"resources: {name}", act, may_fail))


_having("none")
_having("memory", memory_limit_in_bytes=64 * _MIB)
_having("memory of one byte", True, memory_limit_in_bytes=1)
_having("memory of an EiB", True, memory_limit_in_bytes=_EIB)
_having("memory below zero", True, memory_limit_in_bytes=-1)
_having("memory far below zero", True, memory_limit_in_bytes=-5)
_having("half a processor", cpu_period=100000, cpu_quota=50000, cpu_shares=512)
_having("10,000 processors", True, cpu_period=100000, cpu_quota=10**9)
_having("a quota of one microsecond", True, cpu_period=100000, cpu_quota=1)
_having("a quota without a period", True, cpu_quota=50000)
_having("a period that is too long", True, cpu_period=10**9, cpu_quota=50000)
_having("few shares", cpu_shares=2)
_having("too few shares", True, cpu_shares=1)
_having("too many shares", True, cpu_shares=10**9)
_having("a score", oom_score_adj=500)
_having("a score that is too high", True, oom_score_adj=2000)
_having("the first processor", cpuset_cpus="0")
_having("processors that are no list", True, cpuset_cpus="x-y")


def _updating(name, **resources):
    def act(side):
        before = {"memory_limit_in_bytes": 64 * _MIB, "cpu_shares": 512}
        container = side.sleeper(linux={"resources": before})
        report = {"update": side.attempt("UpdateContainerResources", container_id=container, linux=resources) == "OK"}
        told = side.status(container).resources.linux
        figures = {field: getattr(told, field) for field in _FIELDS}
        return {**report, "told": figures, "works": side.shell(container, "true")}

    act.__doc__ = f"update: {name}"
    case(act)


_updating("memory", memory_limit_in_bytes=96 * _MIB)
_updating("processor", cpu_period=100000, cpu_quota=20000, cpu_shares=256)
_updating("nothing")
_updating("a period that is too long", cpu_period=10**9, cpu_quota=50000)


@case
def update_of_one_created(side):
    """update: before the start"""
    container, _ = side.create("sleep", "1000000", linux={"resources": {"memory_limit_in_bytes": 64 * _MIB}})
    fields = {"container_id": container, "linux": {"memory_limit_in_bytes": 96 * _MIB}}
    report = {"update": side.attempt("UpdateContainerResources", **fields)}
    side.call("StartContainer", container_id=container)
    return {**report, "told": side.status(container).resources.linux.memory_limit_in_bytes}


@case
def too_much_memory(side):
    """memory: one that takes too much is killed"""
    return side.say("exec tail /dev/zero", linux={"resources": {"memory_limit_in_bytes": 24 * _MIB}})


@case
def stats(side):
    """stats of a container, of all, of the pod"""
    container = side.sleeper()
    side.shell(container, "head -c 30000000 /dev/zero >/dev/null")

    def figures():
        return side.call("ContainerStats", container_id=container).stats

    wait_until(lambda: figures().cpu.usage_core_nano_seconds.value > 0, "time of the processor", 30)
    listed = [entry.attributes.id for entry in side.call("ListContainerStats").stats]
    pod = side.shared_pod()[0]
    of_pod = side.call("PodSandboxStats", pod_sandbox_id=pod).stats
    return {
        "id": figures().attributes.id == container,
        "memory": figures().memory.working_set_bytes.value > 0,
        "listed": container in listed,
        "pod": of_pod.attributes.id == pod,
        "pod's processor": of_pod.linux.cpu.usage_core_nano_seconds.value > 0,
        "pod's memory": of_pod.linux.memory.working_set_bytes.value > 0,
        "pod's network": of_pod.linux.network.default_interface.name,
        "pod's containers": container in [entry.attributes.id for entry in of_pod.linux.containers],
    }


@case
def metrics(side):
    """metrics of the pod"""
    container, pod = side.sleeper(), side.shared_pod()[0]
    answer = side.call("ListPodSandboxMetrics").pod_metrics
    (ours,) = [entry for entry in answer if entry.pod_sandbox_id == pod]
    named = {entry.container_id: sorted({metric.name for metric in entry.metrics}) for entry in ours.container_metrics}
    return {"pod": sorted({metric.name for metric in ours.metrics}), "container": named.get(container)}
