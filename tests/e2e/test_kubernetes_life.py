"""What controllers and daemons of a real Kubernetes do with pods."""

import contextlib
import json

import pytest

from cppvmdev import kubernetes
from cppvmdev.ctr import unique_id
from cppvmdev.waiting import WaitTimeout, wait_until
from harness import growth, settings
from harness.cluster import FOREVER, container, deployment, name_of, pod, service, shell, template

pytestmark = pytest.mark.vm


def _server(word, **spec):
    """It says `word` at port 8080, and goes on for a while when it is to end: rules of Services come late."""
    script = f"mkdir /www; echo {word} > /www/index.html; exec httpd -f -p 8080 -h /www"
    probe = {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1}
    last = {"preStop": {"exec": {"command": ["sleep", "3"]}}}
    made = shell(script, readinessProbe=probe, lifecycle=last)
    return pod(made, **{"terminationGracePeriodSeconds": 10, **spec})


@pytest.mark.any_sandboxer
def test_job_with_a_sidecar(cluster):
    shared = {"volumeMounts": [{"name": "shared", "mountPath": "/shared"}]}
    first = shell("echo first > /shared/order", name="first", **shared)
    sidecar = shell(
        "echo sidecar >> /shared/order; touch /shared/ready; "
        "trap 'echo ended; exit 0' TERM; sleep 1000000 & wait",
        name="sidecar",
        restartPolicy="Always",
        startupProbe={"exec": {"command": ["test", "-e", "/shared/ready"]}, "periodSeconds": 1},
        **shared,
    )
    work = pod(
        shell("cat /shared/order", name="work", **shared),
        initContainers=[first, sidecar],
        volumes=[{"name": "shared", "emptyDir": {}}],
        terminationGracePeriodSeconds=10,
    )
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "job"},
        "spec": {"completions": 2, "parallelism": 2, "template": template("job", work, restart="Never")},
    }
    cluster.apply(job)
    cluster.wait_for("job", "job", "condition=Complete")
    pods = [name_of(found) for found in cluster.items("pod", "-l", "app=job")]
    assert len(pods) == 2
    for name in pods:
        assert cluster.wait_ended(name)["phase"] == "Succeeded"
        assert cluster.logs(name, "-c", "work") == "first\nsidecar\n"
        assert cluster.logs(name, "-c", "sidecar") == "ended\n"
    cluster.remove(job)


@pytest.mark.any_sandboxer
def test_stateful_set_with_a_volume(cluster):
    path = cluster.node.base / "volumes" / unique_id("v")
    path.mkdir(parents=True)
    claim = {"accessModes": ["ReadWriteOnce"], "storageClassName": "", "volumeName": "state"}
    storage = {"storage": "1Gi"}
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": "state"},
        "spec": {
            "accessModes": claim["accessModes"],
            "capacity": storage,
            "hostPath": {"path": str(path)},
        },
    }
    mounts = [{"name": "state", "mountPath": "/state"}]
    made = pod(shell(f"hostname >> /state/starts; {FOREVER}", volumeMounts=mounts))
    stateful = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "kept"},
        "spec": {
            "serviceName": "kept",
            "selector": {"matchLabels": {"app": "kept"}},
            "template": template("kept", made),
            "volumeClaimTemplates": [
                {"metadata": {"name": "state"}, "spec": {**claim, "resources": {"requests": storage}}}
            ],
        },
    }
    cluster.apply(volume, stateful)
    cluster.wait_for("statefulset", "kept", "jsonpath={.status.readyReplicas}=1")
    before = cluster.get("pod", "kept-0")["metadata"]["uid"]
    cluster.delete("kept-0")
    wait_until(
        lambda: any(found["metadata"]["uid"] != before for found in cluster.items("pod", "-l", "app=kept")),
        "the next pod", 60,
    )  # fmt: skip
    cluster.wait_for("pod", "kept-0", "condition=Ready")
    assert cluster.sh("kept-0", "cat /state/starts") == "kept-0\n" * 2
    cluster.remove(stateful)
    cluster.kubectl("delete", "pvc/state-kept-0", "pv/state")


@pytest.mark.any_sandboxer
def test_rolling_update_and_drain(cluster):
    """A Service answers all the time while its pods are exchanged; a drained node has none."""
    app = service("web")
    rolling = {"strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}}
    cluster.apply(deployment("web", _server("one"), **rolling), app)
    cluster.kubectl("rollout", "status", "deployment/web", "--timeout=120s", timeout=130)
    address = cluster.get("service", "web")["spec"]["clusterIP"]
    client = cluster.ready(pod(shell()))
    ask = f"while [ ! -e /stop ]; do wget -qO- http://{address}/ || echo failed; done; echo end"
    wait_until(lambda: cluster.sh(client, f"wget -qO- http://{address}/ || :") == "one\n", "the Service", 30)
    with cluster.beside("exec", client, "--", "sh", "-c", ask, stdout=-1, text=True) as asking:
        cluster.apply(deployment("web", _server("two"), **rolling))
        cluster.kubectl("rollout", "status", "deployment/web", "--timeout=180s", timeout=190)
        wait_until(lambda: cluster.sh(client, f"wget -qO- http://{address}/") == "two\n", "the update", 60)
        cluster.sh(client, "touch /stop")
        said = asking.communicate(timeout=60)[0].split()
    assert {"one", "end"} <= set(said) <= {"one", "two", "end"}, said
    cluster.kubectl("drain", kubernetes.NODE, "--force", "--timeout=60s", timeout=70)
    assert not [found for found in cluster.items("pod") if found["spec"].get("nodeName")]
    cluster.kubectl("uncordon", kubernetes.NODE)
    cluster.kubectl("rollout", "status", "deployment/web", "--timeout=120s", timeout=130)
    cluster.remove(app, deployment("web", _server("two")))


_COUNTER = "i=0; while :; do i=$((i + 1)); echo $i; usleep 100000; done"


# containerd that was restarted takes the end of a daemon for its death, and calls `delete` meanwhile.
@pytest.mark.kills_daemons
def test_daemons_that_are_restarted(cluster):
    """The kubelet, containerd and libvirtd under running pods."""
    pods = [pod(shell(_COUNTER)) for _ in range(5)]
    names = [name_of(made) for made in pods]
    cluster.ready(*pods)
    boots = [cluster.sh(name, "cat /proc/sys/kernel/random/boot_id") for name in names]
    cluster.node.containerd.restart()
    cluster.node.restart_daemons("kubelet", "libvirtd")
    cluster.node.end_daemon("kubelet")
    cluster.node.containerd.restart()
    cluster.node.restart_daemons("libvirtd", "kubelet")

    for name, boot in zip(names, boots):
        wait_until(lambda name=name: cluster.answers(name), "an exec", 60)
        assert cluster.sh(name, "cat /proc/sys/kernel/random/boot_id") == boot
        assert cluster.restarts(name) == 0
        lines = cluster.logs(name).split()
        assert lines == [str(number + 1) for number in range(len(lines))]
    cluster.delete(*names)


def _pod_cgroups(cluster):
    groups = f"*/{cluster.node.base.name}/kubepods*/pod*"
    return cluster.run("find", "/sys/fs/cgroup", "-path", groups, "-prune", "-print").text.split()


def _wait_for_no_pod(cluster):
    """The kubelet looks once a minute for sandboxes that it has stopped and can remove."""
    wait_until(lambda: not cluster.daemons(), "the end of their shims", 90)
    assert cluster.domains() == []
    wait_until(lambda: not _pod_cgroups(cluster), "the end of their cgroups", 30)


def _traces(cluster):
    """What pods could leave on the node."""
    links = json.loads(cluster.run("ip", "-json", "link").check().text)
    mounts = cluster.run("cat", "/proc/self/mountinfo").check().text.splitlines()
    machines = f"*/{cluster.node.base.name}/*cppvm-*"
    return {
        "links": sorted(link["ifname"] for link in links),
        "mounts": sorted(line.split()[4] for line in mounts),
        "run directories": cluster.run("ls", "/run/cppvm").text.split(),
        "of libvirt": cluster.run("ls", "/run/libvirt/qemu").text.split(),
        "helpers": cluster.run("pgrep", "-f", str(cluster.node.stage / "libexec")).text.split(),
        "network namespaces": cluster.run("ls", "/run/netns").text.split(),
        "cgroups": sorted(cluster.run("find", "/sys/fs/cgroup", "-path", machines).text.split()),
    }


def _sizes(cluster):
    return growth.sizes({name: cluster.node.daemon(name) for name in ("containerd", "libvirtd", "virtlogd")})


def test_ten_pods_at_once(cluster):
    pods = [pod(container("sleep", "1000000")) for _ in range(10)]
    cluster.ready(*pods)
    cluster.delete(*map(name_of, pods))
    _wait_for_no_pod(cluster)


def test_pods_in_a_row(cluster):
    number = 50 if settings.LONG else 5
    cluster.ready(pod(shell(), name="first"))
    cluster.delete("first")
    _wait_for_no_pod(cluster)
    before, sizes = _traces(cluster), _sizes(cluster)
    for _ in range(number):
        name = cluster.ready(pod(shell()))
        assert cluster.sh(name, "echo alive") == "alive\n"
        cluster.delete(name)
    _wait_for_no_pod(cluster)
    with contextlib.suppress(WaitTimeout):
        wait_until(lambda: _traces(cluster) == before, "nothing left", 30)
    assert _traces(cluster) == before
    growth.require_none(sizes, _sizes(cluster), number)
