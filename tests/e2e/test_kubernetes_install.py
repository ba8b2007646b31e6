"""The product as deploy/kubernetes installs it on a node, by a pod of an image made of the package."""

import json
import os
from pathlib import Path

import pytest

from cppvmdev import kubernetes, node_image
from cppvmdev.waiting import wait_until
from harness.cluster import OVERHEAD, name_of, pod, shell
from harness.package import make_package

pytestmark = pytest.mark.vm

_DEPLOY = Path(__file__).parents[2] / "deploy/kubernetes"
_NAMESPACE = "cppvm-system"
_IMAGE = "localhost/cppvm-node"


@pytest.fixture(name="package", scope="module")
def package_fixture(tmp_path_factory):
    return make_package(tmp_path_factory.mktemp("package"))


@pytest.fixture(name="deploy")
def deploy_fixture(cluster, package, tmp_path):
    """A function that makes a kustomization of one of deploy/, for an image of a version."""

    def make(base, version):
        archive = tmp_path / f"{version}.tar"
        if not archive.exists():
            node_image.build(package, archive, f"{_IMAGE}:{version}", version)
            cluster.node.containerd.ctr("k8s.io").import_image(archive)
        directory = tmp_path / f"{base.name}-{version}"
        directory.mkdir()
        document = {
            "resources": [os.path.relpath(base, directory.resolve())],
            "images": [{"name": _IMAGE, "newTag": version}],
            "patches": _patches() if base == _DEPLOY else [],
        }
        (directory / "kustomization.yaml").write_text(json.dumps(document))
        return directory

    cluster.kubectl("label", "node", kubernetes.NODE, "cppvm=true")
    yield make
    # Where the test has not come to its end.
    cluster.kubectl("label", "node", kubernetes.NODE, "cppvm-")
    cluster.kubectl("delete", f"namespace/{_NAMESPACE}", "runtimeclass/cppvm", "--ignore-not-found")
    cluster.run("rm", "-rf", "/opt/cppvm", "/etc/cppvm/config.d", kubernetes.INSTALLED).check()


def _patches():
    """What the node is: emulated, and with a handler that runs nothing but what was installed."""
    values = {"/handler": "installed", "/overhead/podFixed/memory": OVERHEAD}
    patch = [{"op": "replace", "path": path, "value": value} for path, value in values.items()]
    return [{"target": {"kind": "RuntimeClass"}, "patch": json.dumps(patch)}]


def _rolled_out(cluster, directory, name):
    cluster.kubectl("apply", "-k", directory)
    rollout = ("rollout", "status", f"daemonset/{name}", "-n", _NAMESPACE, "--timeout=120s")
    cluster.kubectl(*rollout, timeout=130)


def _versions(cluster):
    return set(cluster.run("ls", "/opt/cppvm").text.split()) - {"current"}


@pytest.mark.any_sandboxer
def test_install_update_and_remove(cluster, deploy):
    first = deploy(_DEPLOY, "one")
    _rolled_out(cluster, first, "cppvm-node")
    assert _versions(cluster) == {"one"}
    old = pod(shell(), runtime="cppvm")
    name = cluster.ready(old)
    daemon = cluster.only_daemon()
    assert os.readlink(f"/proc/{daemon.pid}/exe").endswith("/opt/cppvm/one/bin/containerd-shim-cppvm-v1")

    second = deploy(_DEPLOY, "two")
    _rolled_out(cluster, second, "cppvm-node")
    new = pod(shell(), runtime="cppvm")
    cluster.ready(new)
    programs = {os.readlink(f"/proc/{shim.pid}/exe").split("/")[-3] for shim in cluster.daemons()}
    assert programs == {"one", "two"}
    assert cluster.sh(name, "echo alive") == "alive\n"
    assert cluster.restarts(name) == 0
    prune = ("exec", "-n", _NAMESPACE, "daemonset/cppvm-node", "--", "cppvm-node", "prune")
    assert "in use" in cluster.kubectl(*prune).text
    assert _versions(cluster) == {"one", "two"}
    cluster.delete(name)

    def pruned():
        cluster.kubectl(*prune)
        return _versions(cluster) == {"two"}

    wait_until(pruned, "the end of the old version", 90)

    cluster.kubectl("delete", "-k", second, "--timeout=60s", timeout=70)
    assert cluster.sh(name_of(new), "echo alive") == "alive\n"
    cluster.delete(name_of(new))
    _remove(cluster, deploy(_DEPLOY / "remove", "two"))


def _remove(cluster, directory):
    _rolled_out(cluster, directory, "cppvm-remove")
    cluster.kubectl("delete", "-k", directory, "--timeout=60s", timeout=70)
    for place in ("/opt/cppvm", "/etc/cppvm/config.d", kubernetes.INSTALLED):
        assert cluster.run("test", "-e", place).code == 1, place
    assert "cppvm" not in cluster.kubectl("get", "clusterroles,clusterrolebindings", "-o", "name").text
    assert _NAMESPACE not in cluster.kubectl("get", "namespaces", "-o", "name").text
