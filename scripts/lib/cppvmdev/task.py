"""The Task service of a running shim, for one container."""

import json

from . import wire

_PROCESS_TYPE = "types.containerd.io/opencontainers/runtime-spec/1/Process"


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

    def call(self, method, fields=None, **kwargs):
        """A call about the container, unless `fields` say otherwise."""
        fields = {1: self.container, **(fields or {})}
        return self.connection.call(
            self.service, method, fields, namespace=self._namespace, **kwargs
        )

    def status(self):
        """1 created, 2 running, 3 stopped"""
        return self.call("State").get(4, [0])[0]

    def exec(self, exec_id, process, fields=None):
        """Exec alone: `process` is a dict, or text in place of one."""
        encoded = json.dumps(process) if isinstance(process, dict) else process
        return self.call("Exec", {2: exec_id, 7: {1: _PROCESS_TYPE, 2: encoded}, **(fields or {})})

    def end(self):
        """Kill, Wait, Delete, Shutdown; returns the exit status that Delete tells."""
        self.call("Kill", {3: 9, 4: True})
        self.call("Wait")
        answer = self.call("Delete")
        self.call("Shutdown")
        return answer.get(2, [0])[0]
