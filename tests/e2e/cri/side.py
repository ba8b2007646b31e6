"""One handler of a containerd's CRI, with a pod for all cases that do not want one of their own."""

import re
from pathlib import Path

import grpc

from cppvmdev import images
from cppvmdev.ctr import unique_id
from cppvmdev.waiting import wait_until

CREATED, RUNNING, EXITED = 0, 1, 2
_DEADLINE = 60
_LINE = re.compile(r"^(\S+) (stdout|stderr) ([PF]) (.*)$", re.DOTALL)


def _own_processes(linux):
    """With what the kubelet asks for where the pod does not say: CRI's default is one pid namespace."""
    context = linux.get("security_context", {})
    return {**linux, "security_context": {"namespace_options": {"pid": "CONTAINER"}, **context}}


class Side:
    """Runs cases one after the other. What a case makes is gone after it; close() ends the pod."""

    def __init__(self, cri, handler, directory):
        self.cri, self.handler, self.directory = cri, handler, directory
        directory.mkdir(parents=True)
        self._made, self._pods, self._calls = [], [], []
        # What went wrong that is no answer of CRI's, and what could not be removed.
        self.faults = []
        self._pod = self._new_pod()

    def close(self):
        self.remove_pod(self._pod[0])

    def report(self, case):
        self._calls.clear()
        try:
            return case.act(self)
        except grpc.RpcError as error:
            return {"failure": {"phase": self._calls[-1], "code": error.code().name, "text": error.details()}}
        except Exception as error:  # pylint: disable=broad-exception-caught
            return self._fault(case, error)
        finally:
            self._clean(case)

    def _fault(self, case, error):
        self.faults.append(f"{case.name} with {self.handler}: {type(error).__name__}: {error}")
        return {"failure": {"phase": self._calls[-1], "code": type(error).__name__, "text": str(error)}}

    def _clean(self, case):
        removers = [(self._remove_container, name) for name in self._made]
        for remove, name in removers + [(self.remove_pod, name) for name in self._pods]:
            try:
                remove(name)
            except grpc.RpcError as error:
                self._fault(case, error)
        self._made.clear()
        self._pods.clear()

    def _remove_container(self, container):
        self.cri.call("RemoveContainer", container_id=container)

    # Calls

    def call(self, method, **fields):
        self._calls.append(method)
        return self.cri.call(method, **fields)

    def attempt(self, method, **fields):
        """How the call ends: OK, or the name of a code."""
        try:
            self.cri.call(method, **fields)
        except grpc.RpcError as error:
            print(f"{self.handler}: {method}: {error.code().name}: {error.details()}"[:400])
            return error.code().name
        return "OK"

    def attempts(self, method, times=2, **fields):
        return [self.attempt(method, **fields) for _ in range(times)]

    # Pods

    def pod_config(self, **config):
        """Fields of `linux` are added to those that every pod has."""
        name = unique_id("pod")
        logs = self.directory / name
        logs.mkdir()  # as the kubelet does
        return {
            "metadata": {"name": name, "uid": name, "namespace": "e2e"},
            "hostname": "web-1",
            "log_directory": str(logs),
            **config,
            "linux": {"cgroup_parent": self.cri.cgroup_parent, **_own_processes(config.get("linux", {}))},
        }

    def _new_pod(self, **config):
        config = self.pod_config(**config)
        pod = self.call("RunPodSandbox", config=config, runtime_handler=self.handler).pod_sandbox_id
        self.cri.note_pod(pod)
        return pod, config

    def pod(self, **config):
        """(id, configuration) of one for this case, which may remove it."""
        made = self._new_pod(**config)
        self._pods.append(made[0])
        return made

    def shared_pod(self):
        """(id, configuration) of the one for all cases."""
        return self._pod

    def remove_pod(self, pod):
        self.cri.call("StopPodSandbox", pod_sandbox_id=pod)
        self.cri.call("RemovePodSandbox", pod_sandbox_id=pod)

    # Containers

    def container_config(self, *command, **config):
        name = unique_id("c")
        return {
            "metadata": {"name": name},
            "image": {"image": images.SMALL},
            "command": list(command),
            "log_path": f"{name}.log",
            **config,
            "linux": _own_processes(config.get("linux", {})),
        }

    def create(self, *command, pod=None, **config):
        """(id, configuration) of a container that is gone after the case."""
        config = self.container_config(*command, **config)
        return self.create_by(config, pod), config

    def create_by(self, config, pod=None):
        name, pod_config = pod or self._pod
        made = self.call("CreateContainer", pod_sandbox_id=name, config=config, sandbox_config=pod_config)
        self._made.append(made.container_id)
        return made.container_id

    def start(self, *command, pod=None, **config):
        """The id of one that runs."""
        container, _ = self.create(*command, pod=pod, **config)
        self.call("StartContainer", container_id=container)
        return container

    def sleeper(self, pod=None, **config):
        return self.start("sleep", "1000000", pod=pod, **config)

    def status(self, container):
        return self.call("ContainerStatus", container_id=container).status

    def wait_exit(self, container):
        wait_until(lambda: self.status(container).state == EXITED, "exit of a container", _DEADLINE)
        return self.status(container)

    def ended(self, container):
        status = self.wait_exit(container)
        return {"code": status.exit_code, "reason": status.reason}

    def say(self, script, pod=None, **config):
        container, config = self.create("sh", "-c", script, pod=pod, **config)
        self.call("StartContainer", container_id=container)
        ended = self.ended(container)
        lines = self.log(config, pod)
        said = {name: [text for stream, _, text in lines if stream == name] for name in ("stdout", "stderr")}
        return {**ended, **said}

    def log(self, config, pod=None):
        """(stream, tag, text) of each line."""
        path = self.log_file(config, pod)
        matches = [_LINE.match(line) for line in path.read_text(errors="replace").split("\n")[:-1]]
        assert all(matches), f"{path} has lines that are no log's"
        return [match.groups()[1:] for match in matches]

    def log_file(self, config, pod=None):
        return Path((pod or self._pod)[1]["log_directory"]) / config["log_path"]

    def exec(self, container, *command, timeout=30):
        answer = self.call("ExecSync", container_id=container, cmd=command, timeout=timeout)
        return {
            "code": answer.exit_code,
            "stdout": answer.stdout.decode(errors="replace"),
            "stderr": answer.stderr.decode(errors="replace"),
        }

    def shell(self, container, script):
        return self.exec(container, "sh", "-c", script)

    # Files of the host

    def volume(self):
        """A directory of this case's, with a file, a directory and a link."""
        volume = self.directory / unique_id("volume")
        (volume / "below").mkdir(parents=True)
        (volume / "file").write_text("hello\n")
        (volume / "link").symlink_to("below")
        return volume
