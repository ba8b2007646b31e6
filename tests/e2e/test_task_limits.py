"""Pause and Resume, metrics, Update, and kills for memory."""

import json

import pytest

from cppvmdev import messages, wire
from cppvmdev.ctr import unique_id
from cppvmdev.images import REAL
from cppvmdev.waiting import wait_until
from cppvmdev.wire import Refused
from harness import session
from harness.shim import ShimBundle, Task, spec

pytestmark = pytest.mark.vm

_MIB = 1 << 20
_RESOURCES = "types.containerd.io/opencontainers/runtime-spec/1/LinuxResources"


@pytest.fixture(name="bundle")
def bundle_fixture(containerd, tmp_path):
    assert containerd.process()  # set up with it: libvirt, the configuration
    made = ShimBundle(tmp_path, unique_id("limits"), session.config_file())
    yield made
    print(made.log_text())
    made.kill_daemon()
    made.delete()
    made.close()


def _metrics(task):
    answer = task.call("Stats").stats
    return messages.named(answer.type_url).FromString(answer.value)


def _is_v2(metrics):
    return metrics.DESCRIPTOR.full_name == "io.containerd.cgroups.v2.Metrics"


def _memory_limit(metrics):
    return metrics.memory.usage_limit if _is_v2(metrics) else metrics.memory.usage.limit


def _used_time(metrics):
    return metrics.cpu.usage_usec * 1000 if _is_v2(metrics) else metrics.cpu.usage.total


def _metrics_of(runner, container):
    return json.loads(
        runner.ctr.command("tasks", "metrics", "--format", "json", container.name).check().text
    )


def test_pause_and_resume(runner):
    container = runner.start("sh", "-c", "while :; do :; done")
    runner.ctr.command("tasks", "pause", container.name).check()
    assert container.status() == "PAUSED"
    assert "paused" in container.exec("true").error
    assert "paused" in runner.ctr.command("tasks", "pause", container.name).error
    runner.ctr.command("tasks", "resume", container.name).check()
    assert container.status() == "RUNNING"
    assert container.sh("echo on") == "on\n"
    container.delete()


def test_what_is_paused_stands_still_and_can_be_killed(bundle):
    bundle.write_spec(spec("sh", "-c", "while :; do :; done"))
    with Task(bundle, bundle.start()) as task:
        task.create()
        task.call("Start")
        begin = _used_time(_metrics(task))
        wait_until(lambda: _used_time(_metrics(task)) > begin, "it to run", 20)
        task.call("Pause")
        assert task.status() == "PAUSED"
        times = {_used_time(_metrics(task)) for _ in range(20)}
        assert len(times) == 1
        with pytest.raises(Refused, match="paused"):
            task.call("Pause")
        with pytest.raises(Refused, match="it is paused"):
            task.call("Delete")
        assert task.end() == 137
    assert bundle.events.topics()[:3] == ["/tasks/create", "/tasks/start", "/tasks/paused"]


def test_metrics_are_those_of_the_guest(runner):
    script = "import time; held = b'x' * (64 << 20); print('held', flush=True); time.sleep(1000000)"
    container = runner.start("python3", "-c", script, image=REAL)
    wait_until(
        lambda: 64 * _MIB < _memory_of(_metrics_of(runner, container)) < 110 * _MIB, "memory", 30
    )
    container.delete()


def _memory_of(metrics):
    usage = metrics["memory"]["usage"]
    return usage["usage"] if isinstance(usage, dict) else usage


def test_update(bundle):
    document = spec()
    document["linux"]["resources"] = {"memory": {"limit": 128 * _MIB}, "pids": {"limit": 50}}
    bundle.write_spec(document)
    with Task(bundle, bundle.start()) as task:

        def update(resources):
            value = json.dumps(resources).encode()
            task.call("Update", resources={"type_url": _RESOURCES, "value": value})

        task.create()
        assert _memory_limit(_metrics(task)) == 128 * _MIB
        update({"memory": {"limit": 64 * _MIB}})
        task.call("Start")
        assert _memory_limit(_metrics(task)) == 64 * _MIB
        update({"pids": {"limit": 20}, "cpu": {"quota": 50000, "period": 100000}})
        assert _metrics(task).pids.limit == 20
        assert _memory_limit(_metrics(task)) == 64 * _MIB
        with pytest.raises(Refused, match="linux.resources.cpu.quota"):
            update({"cpu": {"quota": "much"}})
        # One limit that the kernel refuses leaves the others as they were.
        with pytest.raises(Refused):
            update({"pids": {"limit": 30}, "unified": {"memory.max": "nonsense"}})
        assert _metrics(task).pids.limit == 20
        with pytest.raises(Refused, match="LinuxResources"):
            task.call("Update", resources={"type_url": "another", "value": b"{}"})
        assert task.end() == 137


def test_metrics_in_every_state(bundle):
    with Task(bundle, bundle.start()) as task:
        task.create()

        def used():
            return _used_time(_metrics(task))

        seen = [used()]
        for change, state in ((("Start",), "RUNNING"), (("Pause",), "PAUSED"), (("Resume",), "RUNNING")):
            task.call(*change)
            assert task.status() == state
            seen.append(used())
        assert seen == sorted(seen)
        task.call("Kill", signal=9)
        task.call("Wait")
        assert task.status() == "STOPPED"
        assert used() >= seen[-1]
        task.call("Delete")
        with pytest.raises(Refused) as refused:
            task.call("Stats")
        assert refused.value.code == wire.NOT_FOUND
        task.call("Shutdown")


_FILES = (
    "cpu.weight", "cpu.max", "cpu.max.burst", "memory.max", "memory.low", "memory.high", "memory.swap.max",
    "pids.max", "hugetlb.2MB.max", "io.weight",
)  # fmt: skip
_EVERYTHING = {
    "cpu": {"shares": 512, "quota": 40000, "period": 80000, "burst": 10000, "cpus": "0", "mems": "0"},
    "memory": {"limit": 96 * _MIB, "reservation": 48 * _MIB, "swap": 96 * _MIB},
    "pids": {"limit": 77},
    "blockIO": {"weight": 300},
    "hugepageLimits": [{"pageSize": "2MB", "limit": 4 * _MIB}],
    "unified": {"memory.high": str(80 * _MIB)},
}


def _limits_in(task, out):
    """What the files of its cgroup say."""
    script = (
        "read -r own </proc/self/cgroup; cd /sys/fs/cgroup${own#0::};"
        f"for name in {' '.join(_FILES)}; do [ -e $name ] && echo $name $(cat $name); done; true"
    )
    task.exec("look", spec("sh", "-c", script)["process"], stdout=f"file://{out}")
    task.call("Start", exec_id="look")
    assert task.call("Wait", exec_id="look").exit_status == 0
    task.call("Delete", exec_id="look")
    return dict(line.split(" ", 1) for line in out.read_text().splitlines())


def _with_cgroup(resources):
    document = spec()
    document["mounts"].append({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup"})
    document["linux"]["resources"] = resources
    return document


def test_update_of_everything(bundle, tmp_path):
    """Comes to the same as a container that was made so."""
    limits = {}
    for name, at_create, at_update in (("updated", {}, _EVERYTHING), ("made", _EVERYTHING, None)):
        bundle.write_spec(_with_cgroup(at_create))
        with Task(bundle, bundle.start()) as task:
            task.create()
            task.call("Start")
            if at_update:
                value = json.dumps(at_update).encode()
                resources = {"type_url": _RESOURCES, "value": value}
                task.call("Update", resources=resources, annotations={"org.example.key": "value"})
            limits[name] = _limits_in(task, tmp_path / name)
            assert task.end() == 137
        wait_until(lambda: not bundle.daemons(), "end of the daemon", 20)
    print(limits)
    assert limits["updated"] == limits["made"]
    wanted = {
        "cpu.max": "40000 80000", "memory.max": str(96 * _MIB), "memory.low": str(48 * _MIB),
        "memory.high": str(80 * _MIB), "pids.max": "77",
    }  # fmt: skip
    assert {name: limits["made"][name] for name in wanted} == wanted


def test_kill_for_memory(bundle):
    """containerd hears of it before it hears of the exit."""
    document = spec("sh", "-c", "dd if=/dev/zero of=/dev/null bs=100M count=1")
    document["linux"]["resources"] = {"memory": {"limit": 32 * _MIB}}
    (bundle.path / "rootfs/bin/dd").symlink_to("busybox")
    bundle.write_spec(document)
    with Task(bundle, bundle.start()) as task:
        task.create()
        task.call("Start")
        assert task.call("Wait").exit_status in (9, 137)
        task.call("Delete")
        task.call("Shutdown")
    topics = bundle.events.topics()
    assert topics.index("/tasks/oom") < topics.index("/tasks/exit")


def test_nothing_of_a_checkpoint(bundle):
    with Task(bundle, bundle.start()) as task:
        task.create()
        with pytest.raises(Refused) as refused:
            task.call("Checkpoint", path="/nowhere")
        assert refused.value.code == wire.UNIMPLEMENTED
        assert task.end() == 137
