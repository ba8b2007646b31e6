"""A client of CRI, as small as tests and figures need it, and a containerd that serves it: from start() to
close()."""

import json
import shutil
from pathlib import Path

import grpc
from google.protobuf import descriptor_pb2, message_factory

from . import images, releases
from .containerd import Containerd
from .ctr import unique_id
from .shell import run
from .waiting import wait_until

_PROTO = Path(__file__).with_name("cri.proto")
_METHODS = {
    # method: request, response
    "RunPodSandbox": ("RunPodSandboxRequest", "RunPodSandboxResponse"),
    "StopPodSandbox": ("PodSandboxRequest", "Empty"),
    "RemovePodSandbox": ("PodSandboxRequest", "Empty"),
    "PodSandboxStatus": ("PodSandboxStatusRequest", "PodSandboxStatusResponse"),
    "PodSandboxStats": ("PodSandboxRequest", "PodSandboxStatsResponse"),
    "CreateContainer": ("CreateContainerRequest", "CreateContainerResponse"),
    "StartContainer": ("ContainerRequest", "Empty"),
    "StopContainer": ("StopContainerRequest", "Empty"),
    "RemoveContainer": ("ContainerRequest", "Empty"),
    "ContainerStatus": ("ContainerRequest", "ContainerStatusResponse"),
    "ContainerStats": ("ContainerRequest", "ContainerStatsResponse"),
    "UpdateContainerResources": ("UpdateContainerResourcesRequest", "Empty"),
    "ReopenContainerLog": ("ContainerRequest", "Empty"),
    "ExecSync": ("ExecSyncRequest", "ExecSyncResponse"),
    "Exec": ("ExecRequest", "UrlResponse"),
    "Attach": ("AttachRequest", "UrlResponse"),
    "PortForward": ("PortForwardRequest", "UrlResponse"),
    "ListPodSandbox": ("ListPodSandboxRequest", "ListResponse"),
    "ListContainers": ("ListRequest", "ListResponse"),
    "ListContainerStats": ("Empty", "ListStatsResponse"),
    "ListPodSandboxMetrics": ("Empty", "ListPodSandboxMetricsResponse"),
    "Status": ("Empty", "StatusResponse"),
}


def _compile():
    done = run(
        "protoc", f"--proto_path={_PROTO.parent}", "--include_imports", "--descriptor_set_out=/dev/stdout", _PROTO,
    ).check()  # fmt: skip
    files = descriptor_pb2.FileDescriptorSet.FromString(done.out).file
    return message_factory.GetMessages(files)


_messages = _compile()


def _network(base):
    """A CNI configuration with a bridge in the daemon's network namespace."""
    directory = base / "cni"
    directory.mkdir(parents=True)
    bridge = {
        "type": "bridge",
        "bridge": "cri0",
        "isGateway": True,
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": "10.99.0.0/24"}]],
            "routes": [{"dst": "0.0.0.0/0"}],
            "dataDir": str(base / "leases"),
        },
    }
    loopback = {"type": "loopback"}
    document = {"cniVersion": "0.4.0", "name": unique_id("cri"), "plugins": [bridge, loopback]}
    (directory / "10-e2e.conflist").write_text(json.dumps(document))
    return directory


def _tables(base, handlers):
    plugin = 'plugins."io.containerd.grpc.v1.cri"'
    lines = [
        f"[{plugin}]",
        f"sandbox_image = {json.dumps(images.PAUSE)}",
        "restrict_oom_score_adj = true",
        "enable_cdi = true",
        f"cdi_spec_dirs = [{json.dumps(str(base / 'cdi'))}]",
        f"[{plugin}.cni]",
        'bin_dir = "/usr/lib/cni"',
        f"conf_dir = {json.dumps(str(_network(base)))}",
    ]
    for name, keys in handlers.items():
        lines.append(f"[{plugin}.containerd.runtimes.{name}]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in keys.items() if key != "options"]
        if keys["options"]:
            lines.append(f"[{plugin}.containerd.runtimes.{name}.options]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in keys["options"].items()]
    return "\n".join(lines) + "\n"


class Cri:
    """containerd with its CRI plugin, whose bridge is in the network namespace `world`. `handlers`: keys of
    each one's table, among them its `options`. Pods are in `cgroup_parent`, as the kubelet gives each one of
    its own."""

    def __init__(self, world, base, programs, handlers, cgroup_parent, release):
        self.world = world
        self.base = base
        shutil.rmtree(self.base, ignore_errors=True)
        self.base.mkdir(parents=True)
        self.containerd = Containerd(
            releases.get(release, allow_build=False),
            self.base / "containerd",
            programs,
            prefix=("nsenter", f"--net={world.path}"),
            cri=_tables(self.base, handlers),
        )
        options = [("grpc.max_receive_message_length", 32 << 20)]
        self._channel = grpc.insecure_channel(f"unix:{self.containerd.address}", options)
        # What is left of it, and all that there ever were.
        self.pods, self.every_pod = [], []
        self.cgroup_parent = cgroup_parent
        # For CDI's specifications, which containerd reads when a container wants a device.
        self.cdi = self.base / "cdi"

    def start(self):
        # Pods with the host's network want a way out of it.
        self.world.ip("link", "add", "out0", "type", "veth", "peer", "name", "out1")
        self.world.ip("address", "add", "192.0.2.2/24", "dev", "out0")
        for name in ("out0", "out1"):
            self.world.ip("link", "set", name, "up")
        self.world.ip("route", "add", "default", "via", "192.0.2.1")
        self.containerd.start()
        for archive in (images.small(), images.pause()):
            self.containerd.ctr("k8s.io").import_image(archive)
        wait_until(self.is_ready, "CRI and its network", 30)

    def call(self, method, **fields):
        request, response = (_messages[f"cri.v1.{name}"] for name in _METHODS[method])
        call = self._channel.unary_unary(
            f"/runtime.v1.RuntimeService/{method}",
            request_serializer=request.SerializeToString,
            response_deserializer=response.FromString,
        )
        return call(request(**fields), timeout=120)

    def is_ready(self):
        try:
            conditions = self.call("Status").status.conditions
        except grpc.RpcError:
            return False
        ready = {condition.type for condition in conditions if condition.status}
        return {"RuntimeReady", "NetworkReady"} <= ready

    def note_pod(self, pod):
        """One that is its maker's to remove."""
        self.every_pod.append(pod)

    def run_pod(self, handler, **config):
        name = unique_id("pod")
        config = {
            "metadata": {"name": name, "uid": name, "namespace": "e2e"},
            "linux": {"cgroup_parent": self.cgroup_parent},
            **config,
        }
        answer = self.call("RunPodSandbox", config=config, runtime_handler=handler)
        self.pods.append(answer.pod_sandbox_id)
        self.note_pod(answer.pod_sandbox_id)
        return answer.pod_sandbox_id, config

    def run_container(self, pod, pod_config, *command, config=None, **linux):
        """One that runs; its id. `config`: more of its configuration."""
        container = {
            "metadata": {"name": unique_id("c")},
            "image": {"image": images.SMALL},
            "command": list(command),
            "linux": linux,
            **(config or {}),
        }
        made = self.call(
            "CreateContainer", pod_sandbox_id=pod, config=container, sandbox_config=pod_config
        )
        self.call("StartContainer", container_id=made.container_id)
        return made.container_id

    def status(self, container):
        return self.call("ContainerStatus", container_id=container).status

    def output(self, container, script):
        answer = self.call("ExecSync", container_id=container, cmd=["sh", "-c", script], timeout=30)
        assert answer.exit_code == 0, answer
        return answer.stdout.decode()

    def remove_pod(self, pod):
        self.call("StopPodSandbox", pod_sandbox_id=pod)
        self.call("RemovePodSandbox", pod_sandbox_id=pod)
        self.pods.remove(pod)

    def close(self):
        for pod in list(self.pods):
            try:
                self.remove_pod(pod)
            except grpc.RpcError as error:
                print(f"pod {pod} cannot be removed: {error}")
        self._channel.close()
        self.containerd.remove()
        shutil.rmtree(self.base)
        # The kubelet's to remove; under each controller, or for all of them.
        for root in (Path("/sys/fs/cgroup"), *Path("/sys/fs/cgroup").iterdir()):
            cgroup = root / self.cgroup_parent[1:]
            if cgroup.is_dir():
                cgroup.rmdir()
