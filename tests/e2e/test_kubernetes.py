"""Pods of a real Kubernetes of one node, by its runtime class: their containers, security and size.
Volumes, life, network and the commands of kubectl have files of their own."""

import json

import pytest

from cppvmdev import kubernetes
from cppvmdev.waiting import wait_until
from harness.cluster import FOREVER, container, name_of, pod, settings_of, shell

pytestmark = pytest.mark.vm


@pytest.mark.old_containerd
def test_containers_that_end(cluster):
    first = shell("echo first > /shared/file; exit 0", name="first")
    mount = {"volumeMounts": [{"name": "shared", "mountPath": "/shared"}]}
    second = shell("cat /shared/file; exit 3", name="second")
    made = pod(
        {**second, **mount},
        initContainers=[{**first, **mount}],
        volumes=[{"name": "shared", "emptyDir": {}}],
    )
    status = cluster.ended(made)
    ended = status["containerStatuses"][0]["state"]["terminated"]
    assert (status["phase"], ended["exitCode"], ended["reason"]) == ("Failed", 3, "Error")
    assert cluster.logs(name_of(made), "-c", "second") == "first\n"
    cluster.delete(name_of(made))


@pytest.mark.old_containerd
def test_container_that_is_restarted_in_its_pod(cluster):
    script = f"[ -e /shared/x ] && {FOREVER}; touch /shared/x; exit 3"
    mount = [{"name": "shared", "mountPath": "/shared"}]
    other = shell(f"cat /proc/sys/kernel/random/boot_id; {FOREVER}", name="other")
    made = pod(
        shell(script, volumeMounts=mount),
        other,
        restartPolicy="Always",
        volumes=[{"name": "shared", "emptyDir": {"medium": "Memory", "sizeLimit": "8Mi"}}],
    )
    name = cluster.ready(made)
    restarted = next(entry for entry in cluster.status(name)["containerStatuses"] if entry["name"] == "c")
    assert restarted["restartCount"] == 1
    assert restarted["lastState"]["terminated"]["exitCode"] == 3
    boot = cluster.logs(name, "-c", "other")
    assert cluster.sh(name, "cat /proc/sys/kernel/random/boot_id", "-c", "c") == boot
    cluster.delete(name)


def test_processes_of_a_pod_that_shares_them(cluster):
    sleeper = container("sleep", "1000001", name="sleeper")
    looker = container("sleep", "1000002", name="looker")
    name = cluster.ready(pod(sleeper, looker, shareProcessNamespace=True))
    seen = cluster.sh(name, "ps", "-c", "looker")
    assert "sleep 1000001" in seen and "sleep 1000002" in seen
    assert "cppvm-agent" not in seen
    cluster.delete(name)
    name = cluster.ready(pod(sleeper, looker))
    assert "1000001" not in cluster.sh(name, "ps", "-c", "looker")
    cluster.delete(name)


@pytest.mark.old_containerd
def test_security_context(cluster):
    context = {"runAsUser": 1234, "runAsGroup": 5678, "readOnlyRootFilesystem": True}
    context["capabilities"] = {"drop": ["ALL"]}
    context["allowPrivilegeEscalation"] = False
    context["seccompProfile"] = {"type": "RuntimeDefault"}
    script = "id -u; id -g; id -G; grep -E 'CapEff|NoNewPrivs|Seccomp:' /proc/self/status; touch /x"
    made = pod(
        shell(script, securityContext=context),
        securityContext={"supplementalGroups": [91, 92], "fsGroup": 93},
    )
    assert cluster.ended(made)["phase"] == "Failed"
    lines = cluster.logs(name_of(made)).splitlines()
    assert lines[:2] == ["1234", "5678"]
    assert set(lines[2].split()) == {"5678", "91", "92", "93"}
    assert [line.split()[-1] for line in lines[3:6]] == ["0000000000000000", "1", "2"]
    assert "Read-only file system" in lines[6]
    cluster.delete(name_of(made))


def test_what_a_pod_is_told(cluster):
    """Of itself, of its settings and by its account; what the kubelet measures of it."""
    settings = settings_of("ConfigMap", "words", greeting="hello")
    script = f"echo $greeting $NODE; hostname; id -u; {FOREVER}"
    env = [{"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}]
    cluster.apply(settings)
    name = cluster.ready(pod(shell(script, env=env, envFrom=[{"configMapRef": {"name": "words"}}])))
    assert cluster.logs(name) == f"hello {kubernetes.NODE}\n{name}\n0\n"
    token = "/var/run/secrets/kubernetes.io/serviceaccount/token"
    assert cluster.sh(name, f"head -c 3 {token}") == "eyJ"
    summary = f"/api/v1/nodes/{kubernetes.NODE}/proxy/stats/summary"
    assert '"podRef"' in cluster.kubectl("get", "--raw", summary).text
    cluster.delete(name)
    cluster.remove(settings)


def test_limits_make_the_machine(cluster):
    limits = {"limits": {"memory": "300Mi", "cpu": "1500m"}}
    script = f"nproc; grep MemTotal /proc/meminfo; {FOREVER}"
    name = cluster.ready(pod(shell(script, resources=limits)))
    processors, line = cluster.logs(name).splitlines()
    assert processors == "2"
    assert 300 < int(line.split()[1]) // 1024 < 300 + 96 + 5
    cluster.delete(name)


def test_overhead_without_room_for_a_machine(cluster):
    made = pod(container("true", resources={"limits": {"memory": "32Mi"}}), runtime="tight")
    cluster.apply(made)
    words = "overhead.podFixed.memory of the RuntimeClass"
    wait_until(lambda: words in cluster.events(name_of(made)), "the reason", 60)
    cluster.delete(name_of(made))


def test_memory_that_a_container_takes_too_much_of(cluster):
    limits = {"limits": {"memory": "32Mi"}}
    made = pod(shell("head -c 100000000 /dev/zero | tail", resources=limits))
    status = cluster.ended(made)
    assert status["containerStatuses"][0]["state"]["terminated"]["reason"] in ("OOMKilled", "Error")
    cluster.delete(name_of(made))


def _resize(cluster, name, **limits):
    resources = {"resources": {"limits": limits}}
    patch = json.dumps({"spec": {"containers": [{"name": "c", **resources}]}})
    cluster.kubectl("patch", "pod", name, "--subresource=resize", "-p", patch)


def test_resize_in_place(cluster):
    """Within the machine's size; what it lacks is said, and nothing is changed."""
    large = {"limits": {"memory": "192Mi", "cpu": "1"}, "requests": {"memory": "16Mi", "cpu": "10m"}}
    name = cluster.ready(pod(shell(resources=large)))

    def limits():
        return cluster.sh(name, "cd /sys/fs/cgroup$(sed 's/^0:://' /proc/self/cgroup); cat memory.max cpu.max").split()

    assert limits() == [str(192 << 20), "100000", "100000"]
    boot = cluster.sh(name, "cat /proc/sys/kernel/random/boot_id")
    _resize(cluster, name, memory="128Mi", cpu="500m")
    wait_until(lambda: limits() == [str(128 << 20), "50000", "100000"], "the smaller size", 60)
    _resize(cluster, name, memory="192Mi", cpu="500m")
    wait_until(lambda: limits()[0] == str(192 << 20), "the first size again", 60)
    _resize(cluster, name, memory="2Gi", cpu="500m")

    def told():
        said = [condition.get("message", "") for condition in cluster.status(name)["conditions"]]
        return next((message for message in said if "machine" in message), None)

    assert "memory" in wait_until(told, "the reason", 60)
    assert limits()[0] == str(192 << 20)
    assert cluster.restarts(name) == 0
    assert cluster.sh(name, "cat /proc/sys/kernel/random/boot_id") == boot
    cluster.delete(name)
