"""Pods of a real Kubernetes of one node, by its runtime class. Needs one that was built:
`scripts/fetch-kubernetes`."""

import json
import tempfile
from pathlib import Path

import pytest

from cppvmdev import images, kubernetes, releases
from cppvmdev.ctr import unique_id
from cppvmdev.waiting import wait_until
from harness import settings

pytestmark = pytest.mark.vm

_CLASS = "vm"
# What an emulated machine takes besides its containers (docs/adr/0028); with KVM it is 128Mi.
_OVERHEAD = "208Mi"


@pytest.fixture(name="node", scope="module", params=["podsandbox", "shim"])
def node_fixture(request):
    try:
        base = Path(tempfile.mkdtemp(prefix="cppvm-node-", dir="/var/lib"))
        node = kubernetes.Node(base, settings.STAGE, request.param, {"vm": {"memory_mib": 256}})
    except releases.Unavailable as reason:
        base.rmdir()
        pytest.skip(str(reason))
    try:
        node.start()
        for name, overhead in ((_CLASS, _OVERHEAD), ("tight", "16Mi")):
            node.apply(
                {
                    "apiVersion": "node.k8s.io/v1",
                    "kind": "RuntimeClass",
                    "metadata": {"name": name},
                    "handler": "cppvm",
                    "overhead": {"podFixed": {"memory": overhead, "cpu": "50m"}},
                }
            )
        yield node
    finally:
        print(node.log("kubelet")[-3000:])
        node.close()
        assert not node.containerd.shims()


def _container(*command, name="c", **fields):
    return {
        "name": name,
        "image": images.SMALL,
        "imagePullPolicy": "Never",
        "command": list(command),
        **fields,
    }


def _pod(*containers, name=None, labels=None, runtime=_CLASS, **spec):
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name or unique_id("pod"), "labels": labels or {}},
        "spec": {
            "runtimeClassName": runtime,
            "terminationGracePeriodSeconds": 1,
            "restartPolicy": "Never",
            "containers": list(containers),
            **spec,
        },
    }


def _shell(script, **fields):
    return _container("sh", "-c", script, **fields)


def _name(made):
    return made["metadata"]["name"]


def _ready(node, *pods):
    node.apply(*pods)
    names = [f"pod/{_name(pod)}" for pod in pods]
    node.kubectl("wait", "--for=condition=Ready", *names, "--timeout=120s", timeout=130)
    return names[0].removeprefix("pod/")


def _ended(node, pod):
    """Until all its containers have; its status."""
    node.apply(pod)

    def status():
        found = json.loads(node.kubectl("get", "pod", _name(pod), "-o", "json").text)["status"]
        return found if found["phase"] in ("Succeeded", "Failed") else None

    wait_until(status, f"{_name(pod)} to end", 120)
    return status()


def _sh(node, pod, script, *options):
    return node.kubectl("exec", pod, *options, "--", "sh", "-c", script).text


def _delete(node, *pods):
    node.kubectl("delete", "pod", *pods, "--timeout=60s", timeout=70)


def test_life_of_a_pod(node):
    node.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "words"},
            "data": {"greeting": "hello"},
        }
    )
    server = _shell(
        "echo started; mkdir /www; cp /words/greeting /www/index.html; exec httpd -f -p 8080 -h /www",
        readinessProbe={"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1},
        livenessProbe={"exec": {"command": ["true"]}, "periodSeconds": 1},
        volumeMounts=[{"name": "words", "mountPath": "/words"}],
    )
    pod = _ready(node, _pod(server, volumes=[{"name": "words", "configMap": {"name": "words"}}]))
    assert node.kubectl("logs", pod).text == "started\n"
    assert _sh(node, pod, "hostname; id -u") == f"{pod}\n0\n"
    token = "/var/run/secrets/kubernetes.io/serviceaccount/token"
    assert _sh(node, pod, f"head -c 3 {token}") == "eyJ"
    said = node.kubectl("exec", "-i", pod, "--", "cat", stdin=b"by stdin")
    assert said.text == "by stdin"
    with pytest.raises(Exception, match="exit code 7"):
        _sh(node, pod, "exit 7")
    address = node.kubectl("get", "pod", pod, "-o", "jsonpath={.status.podIP}").text
    assert node.run("wget", "-qO-", f"http://{address}:8080/").check().text == "hello"
    # The probe and port-forwards reach the guest by other ways than its address.
    with node.popen_kubectl("port-forward", f"pod/{pod}", "18080:8080") as forward:
        fetch = ("wget", "-qO-", "-t", "1", "http://127.0.0.1:18080/")
        wait_until(lambda: node.run(*fetch).text == "hello", "the forwarded port", 30)
        forward.terminate()
    assert '"podRef"' in node.kubectl("get", "--raw", f"/api/v1/nodes/{kubernetes.NODE}/proxy/stats/summary").text
    _delete(node, pod)


def test_service_of_a_deployment(node):
    server = _shell("mkdir /www; hostname > /www/index.html; exec httpd -f -p 8080 -h /www")
    spec = _pod(server, restartPolicy="Always")["spec"]
    template = {"metadata": {"labels": {"app": "web"}}, "spec": spec}
    node.apply(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web"},
            "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": template},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web"},
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
        },
    )
    node.kubectl("rollout", "status", "deployment/web", "--timeout=120s", timeout=130)
    address = node.kubectl("get", "service", "web", "-o", "jsonpath={.spec.clusterIP}").text
    client = _ready(node, _pod(_container("sleep", "1000000")))
    fetch = f"wget -qO- http://{address}/"
    wait_until(lambda: "web-" in _sh(node, client, f"{fetch} || :"), "the service's answer", 30)
    assert "web-" in node.run("wget", "-qO-", f"http://{address}/").check().text
    node.kubectl("delete", "deployment,service", "web")
    _delete(node, client)


def test_containers_that_end(node):
    first = _shell("echo first > /shared/file; exit 0", name="first")
    mount = {"volumeMounts": [{"name": "shared", "mountPath": "/shared"}]}
    second = _shell("cat /shared/file; exit 3", name="second")
    pod = _pod(
        {**second, **mount},
        initContainers=[{**first, **mount}],
        volumes=[{"name": "shared", "emptyDir": {}}],
    )
    status = _ended(node, pod)
    ended = status["containerStatuses"][0]["state"]["terminated"]
    assert (status["phase"], ended["exitCode"], ended["reason"]) == ("Failed", 3, "Error")
    assert node.kubectl("logs", _name(pod), "-c", "second").text == "first\n"
    _delete(node, _name(pod))


def test_container_that_is_restarted_in_its_pod(node):
    script = "[ -e /shared/x ] && exec sleep 1000000; touch /shared/x; exit 3"
    mount = [{"name": "shared", "mountPath": "/shared"}]
    other = _shell("cat /proc/sys/kernel/random/boot_id; exec sleep 1000000", name="other")
    pod = _pod(
        _shell(script, volumeMounts=mount),
        other,
        restartPolicy="Always",
        volumes=[{"name": "shared", "emptyDir": {"medium": "Memory", "sizeLimit": "8Mi"}}],
    )
    name = _ready(node, pod)
    status = json.loads(node.kubectl("get", "pod", name, "-o", "json").text)["status"]
    restarted = next(entry for entry in status["containerStatuses"] if entry["name"] == "c")
    assert restarted["restartCount"] == 1
    assert restarted["lastState"]["terminated"]["exitCode"] == 3
    boot = node.kubectl("logs", name, "-c", "other").text
    assert _sh(node, name, "cat /proc/sys/kernel/random/boot_id", "-c", "c") == boot
    _delete(node, name)


def test_processes_of_a_pod_that_shares_them(node):
    sleeper = _container("sleep", "1000001", name="sleeper")
    looker = _container("sleep", "1000002", name="looker")
    name = _ready(node, _pod(sleeper, looker, shareProcessNamespace=True))
    seen = _sh(node, name, "ps", "-c", "looker")
    assert "sleep 1000001" in seen and "sleep 1000002" in seen
    assert "cppvm-agent" not in seen
    _delete(node, name)
    name = _ready(node, _pod(sleeper, looker))
    assert "1000001" not in _sh(node, name, "ps", "-c", "looker")
    _delete(node, name)


def test_security_context(node):
    context = {"runAsUser": 1234, "runAsGroup": 5678, "readOnlyRootFilesystem": True}
    context["capabilities"] = {"drop": ["ALL"]}
    context["allowPrivilegeEscalation"] = False
    context["seccompProfile"] = {"type": "RuntimeDefault"}
    script = "id -u; id -g; id -G; grep -E 'CapEff|NoNewPrivs|Seccomp:' /proc/self/status; touch /x"
    pod = _pod(
        _shell(script, securityContext=context),
        securityContext={"supplementalGroups": [91, 92], "fsGroup": 93},
    )
    status = _ended(node, pod)
    assert status["phase"] == "Failed"
    lines = node.kubectl("logs", _name(pod)).text.splitlines()
    assert lines[:2] == ["1234", "5678"]
    assert set(lines[2].split()) == {"5678", "91", "92", "93"}
    assert [line.split()[-1] for line in lines[3:6]] == ["0000000000000000", "1", "2"]
    assert "Read-only file system" in lines[6]
    _delete(node, _name(pod))


def test_limits_make_the_machine(node):
    limits = {"limits": {"memory": "300Mi", "cpu": "1500m"}}
    script = "nproc; grep MemTotal /proc/meminfo; exec sleep 1000000"
    name = _ready(node, _pod(_shell(script, resources=limits)))
    processors, line = node.kubectl("logs", name).text.splitlines()
    assert processors == "2"
    assert 300 < int(line.split()[1]) // 1024 < 300 + 96 + 5
    _delete(node, name)


def test_overhead_without_room_for_a_machine(node):
    limits = {"limits": {"memory": "32Mi"}}
    pod = _pod(_container("true", resources=limits), runtime="tight")
    node.apply(pod)

    def events():
        return node.kubectl("get", "events", "--field-selector", f"involvedObject.name={_name(pod)}").text

    words = "overhead.podFixed.memory of the RuntimeClass"
    wait_until(lambda: words in events(), "the reason", 60)
    _delete(node, _name(pod))


def test_memory_that_a_container_takes_too_much_of(node):
    limits = {"limits": {"memory": "32Mi"}}
    pod = _pod(_shell("head -c 100000000 /dev/zero | tail", resources=limits))
    status = _ended(node, pod)
    assert status["containerStatuses"][0]["state"]["terminated"]["reason"] in ("OOMKilled", "Error")
    _delete(node, _name(pod))


def test_daemons_that_are_restarted(node):
    script = "i=0; while :; do i=$((i + 1)); echo $i; usleep 100000; done"
    name = _ready(node, _pod(_shell(script)))
    node.containerd.restart()
    wait_until(lambda: "alive" in _sh(node, name, "echo alive"), "an exec", 60)
    status = json.loads(node.kubectl("get", "pod", name, "-o", "json").text)["status"]
    assert status["containerStatuses"][0]["restartCount"] == 0
    lines = node.kubectl("logs", name).text.split()
    assert lines == [str(number + 1) for number in range(len(lines))]
    _delete(node, name)


# The kubelet kills what it finds in the cgroup of a pod that it has ended. With a pause container a daemon
# may still be in there, busy with the machine's end; `delete` does the rest.
@pytest.mark.kills_daemons
def test_ten_pods_at_once(node):
    pods = [_pod(_container("sleep", "1000000")) for _ in range(10)]
    _ready(node, *pods)
    _delete(node, *map(_name, pods))
    # The kubelet looks once a minute for sandboxes that it has stopped and can remove.
    wait_until(lambda: not node.containerd.shims(), "the end of their shims", 90)
