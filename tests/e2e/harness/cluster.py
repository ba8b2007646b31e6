"""What tests say of pods, and ask of a Kubernetes of one node."""

import contextlib
import json

from cppvmdev import images, kubernetes
from cppvmdev.ctr import unique_id
from cppvmdev.shell import CommandFailed
from cppvmdev.waiting import wait_until

CLASS = "vm"
# What an emulated machine takes besides its containers (docs/adr/0028); with KVM it is 128Mi.
OVERHEAD = "208Mi"
FOREVER = "exec sleep 1000000"


def container(*command, name="c", **fields):
    return {
        "name": name,
        "image": images.SMALL,
        "imagePullPolicy": "Never",
        "command": list(command),
        **fields,
    }


def shell(script=FOREVER, **fields):
    return container("sh", "-c", script, **fields)


def pod(*containers, name=None, labels=None, runtime=CLASS, **spec):
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


def template(app, made, restart="Always"):
    """The pods of a controller, by the label `app`."""
    return {
        "metadata": {"labels": {"app": app}},
        "spec": {**made["spec"], "restartPolicy": restart},
    }


def deployment(app, made, replicas=1, **spec):
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": app},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": app}},
            "template": template(app, made),
            **spec,
        },
    }


def service(app, port=80, target=8080):
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": app},
        "spec": {"selector": {"app": app}, "ports": [{"port": port, "targetPort": target}]},
    }


def local_volume(name, path, mode="Filesystem"):
    """A volume of the node's, and a claim of the same name that gets it."""
    claim = {"accessModes": ["ReadWriteOnce"], "volumeMode": mode, "storageClassName": ""}
    storage = {"storage": "8Mi"}
    here = {"key": "kubernetes.io/hostname", "operator": "In", "values": [kubernetes.NODE]}
    volume = {
        **claim,
        "capacity": storage,
        "local": {"path": str(path)},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
    }
    request = {**claim, "volumeName": name, "resources": {"requests": storage}}
    return [
        {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, "spec": spec}
        for kind, spec in (("PersistentVolume", volume), ("PersistentVolumeClaim", request))
    ]


def settings_of(kind, name, **data):
    """A ConfigMap, or a Secret."""
    field = "stringData" if kind == "Secret" else "data"
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, field: data}


def runtime_class(name, overhead=OVERHEAD):
    return {
        "apiVersion": "node.k8s.io/v1",
        "kind": "RuntimeClass",
        "metadata": {"name": name},
        "handler": "cppvm",
        "overhead": {"podFixed": {"memory": overhead, "cpu": "50m"}},
    }


def name_of(made):
    return made["metadata"]["name"]


class Cluster:
    """A cppvmdev.kubernetes.Node as tests use it."""

    def __init__(self, node):
        self.node = node
        self.kubectl, self.apply, self.run = node.kubectl, node.apply, node.run

    # Pods

    def ready(self, *pods, timeout=120):
        """Makes pods and waits until they are ready; the name of the first."""
        self.apply(*pods)
        names = [f"pod/{name_of(made)}" for made in pods]
        try:
            wait = ("--for=condition=Ready", f"--timeout={timeout}s")
            self.kubectl("wait", *names, *wait, timeout=timeout + 10)
        except CommandFailed:
            print("\n".join(self.events(name_of(made)) for made in pods))
            raise
        return name_of(pods[0])

    def ended(self, made, timeout=120):
        """Makes a pod, and waits until all its containers have ended; its status."""
        self.apply(made)
        return self.wait_ended(name_of(made), timeout)

    def wait_ended(self, name, timeout=120):
        def status():
            found = self.status(name)
            return found if found["phase"] in ("Succeeded", "Failed") else None

        return wait_until(status, f"{name} to end", timeout)

    def delete(self, *names):
        self.kubectl("delete", "pod", *names, "--timeout=60s", timeout=70)

    def remove(self, *objects):
        """Those that were applied."""
        document = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.kubectl("delete", "--timeout=60s", "-f", "-", stdin=json.dumps(document).encode(), timeout=70)

    # What is there

    def get(self, kind, name):
        return json.loads(self.kubectl("get", kind, name, "-o", "json").text)

    def items(self, kind, *selection):
        return json.loads(self.kubectl("get", kind, *selection, "-o", "json").text)["items"]

    def status(self, name):
        return self.get("pod", name)["status"]

    def address(self, name):
        return self.status(name)["podIP"]

    def addresses(self, name):
        """One of each family."""
        return [entry["ip"] for entry in self.status(name)["podIPs"]]

    def restarts(self, name):
        return sum(entry["restartCount"] for entry in self.status(name)["containerStatuses"])

    def events(self, name):
        return self.kubectl("get", "events", "--field-selector", f"involvedObject.name={name}").text

    def logs(self, name, *options):
        return self.kubectl("logs", name, *options).text

    def daemons(self):
        """Of ours: a DaemonSet of the node's runs with runc."""
        return [shim for shim in self.node.containerd.shims() if "shim-cppvm" in shim.cmdline]

    def only_daemon(self):
        """Of the only pod; those of pods before it may still be about to end."""
        wait_until(lambda: len(self.daemons()) == 1, "one daemon alone", 90)
        return self.daemons()[0]

    def domains(self):
        return self.run("virsh", "-c", "qemu:///system", "-q", "list", "--all", "--name").check().text.split()

    def wait_for(self, kind, name, condition, timeout=120):
        """As `kubectl wait --for`."""
        self.kubectl("wait", f"{kind}/{name}", f"--for={condition}", f"--timeout={timeout}s", timeout=timeout + 10)

    # In pods

    @contextlib.contextmanager
    def beside(self, *args, **kwargs):
        """A kubectl that runs meanwhile, as a Popen; it ends with the block."""
        with self.node.popen_kubectl(*args, **kwargs) as process:
            try:
                yield process
            finally:
                process.terminate()

    def sh(self, name, script, *options):
        return self.kubectl("exec", name, *options, "--", "sh", "-c", script).text

    def answers(self, name):
        """Whether it can be talked to, after daemons were restarted."""
        with contextlib.suppress(CommandFailed):
            return self.sh(name, "echo alive") == "alive\n"
        return False

    def fails(self, name, script, *options):
        """What a script says that must fail."""
        try:
            said = self.sh(name, script, *options)
        except CommandFailed as failure:
            return failure.result.error
        raise AssertionError(f"{script!r} has not failed; it said: {said}")
