"""The Task service of a running shim, for one container."""

import json

from . import messages, wire

_PROCESS_TYPE = "types.containerd.io/opencontainers/runtime-spec/1/Process"
_METHODS = messages.TASK_API.services_by_name["Task"].methods_by_name
_STATUS = messages.TASK_API.enum_types_by_name["Status"].values_by_number


class Task:
    """A connection of its own to the shim at `address`, closed with the context."""

    def __init__(self, container, address, namespace="e2e", service="containerd.task.v2.Task"):
        self.container = container
        self.connection = wire.Connection(address)
        self._namespace = namespace
        self.service = service

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.socket.close()

    def call(self, method, **fields):
        """A call about the container, unless `fields` have another `id`; returns the answer."""
        fields = {"id": self.container, **fields}
        return self.connection.invoke(self.service, _METHODS[method], fields, namespace=self._namespace)

    def status(self):
        """CREATED, RUNNING, STOPPED and so on."""
        return _STATUS[self.call("State").status].name

    def exec(self, exec_id, process, **fields):
        """Exec alone: `process` is a dict, or text in place of one."""
        encoded = json.dumps(process) if isinstance(process, dict) else process
        spec = {"type_url": _PROCESS_TYPE, "value": encoded.encode()}
        return self.call("Exec", exec_id=exec_id, spec=spec, **fields)

    def end(self):
        """Kill, Wait, Delete, Shutdown; returns the exit status that Delete tells."""
        self.call("Kill", signal=9, all=True)
        self.call("Wait")
        answer = self.call("Delete")
        self.call("Shutdown")
        return answer.exit_status
