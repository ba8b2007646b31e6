"""The Sandbox service of a running shim, as containerd 2 calls it."""

import shutil

from cppvmdev import messages, wire

_SERVICE = "containerd.runtime.sandbox.v1.Sandbox"
_API = messages.named("containerd.runtime.sandbox.v1.PingRequest").DESCRIPTOR.file
_METHODS = _API.services_by_name["Sandbox"].methods_by_name
PodSandboxConfig = messages.named("runtime.v1.PodSandboxConfig")


def pod_config(**fields):
    """CRI's configuration of a pod as CreateSandbox carries it."""
    config = PodSandboxConfig(**fields)
    return {"type_url": "runtime.v1.PodSandboxConfig", "value": config.SerializeToString()}


class Sandbox:
    """A connection of its own to the shim at `address`, closed with the context."""

    def __init__(self, bundle, address):
        self.bundle = bundle
        self.name = bundle.name
        self.connection = wire.Connection(address)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.socket.close()

    def call(self, method, **fields):
        return self.connection.invoke(_SERVICE, _METHODS[method], {"sandbox_id": self.name, **fields})

    def create(self, netns="", **config):
        return self.call(
            "CreateSandbox",
            bundle_path=str(self.bundle.path),
            netns_path=str(netns),
            options=pod_config(**config),
        )

    def state(self):
        return self.call("SandboxStatus").state


def empty_bundle(bundle):
    """Makes it one of a sandbox: without a container in it."""
    (bundle.path / "config.json").unlink()
    shutil.rmtree(bundle.path / "rootfs")


def pod_namespaces(document, pid, *kinds):
    """Lets a container live in those namespaces of the sandbox, by the paths that CRI writes."""
    files = {"network": "net"}
    kept = [entry for entry in document["linux"]["namespaces"] if entry["type"] not in kinds]
    kept += [{"type": kind, "path": f"/proc/{pid}/ns/{files.get(kind, kind)}"} for kind in kinds]
    document["linux"]["namespaces"] = kept
    return document
