"""Execs: through ctr, and by the Task API alone, which is what a runtime itself adds."""

import json

from .. import wire
from ..ctr import unique_id
from .subject import NAMESPACE, seconds

_PROCESS_TYPE = "types.containerd.io/opencontainers/runtime-spec/1/Process"


class TaskClient:
    """The Task service of the shim that runs a container."""

    def __init__(self, subject, box):
        self.box = box
        self._connection = wire.Connection(subject.shim_address(box))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._connection.socket.close()

    def call(self, method, fields=None):
        return self._connection.call(
            "containerd.task.v2.Task", method, {1: self.box, **(fields or {})}, NAMESPACE
        )

    def start_exec(self, *args, fifos=()):
        """Exec, with fifos for stdin, stdout and stderr or none, and Start; returns its id."""
        exec_id = unique_id("exec")
        process = {
            "args": list(args),
            "cwd": "/",
            "env": ["PATH=/bin:/usr/bin"],
            "user": {"uid": 0, "gid": 0},
        }
        streams = dict(zip((4, 5, 6), fifos, strict=False))
        self.call("Exec", {2: exec_id, **streams, 7: {1: _PROCESS_TYPE, 2: json.dumps(process)}})
        self.call("Start", {2: exec_id})
        return exec_id

    def end_exec(self, exec_id):
        """Wait and Delete; returns the exit status."""
        status = self.call("Wait", {2: exec_id}).get(1, [0])[0]
        self.call("Delete", {2: exec_id})
        return status

    def exec(self, *args):
        if self.end_exec(self.start_exec(*args)) != 0:
            raise RuntimeError(f"exec of {args[0]} failed")


def by_ctr(subject, box, figure):
    words = ("tasks", "exec", "--exec-id", unique_id("exec"), box, "true")
    subject.add(figure, 1000 * seconds(lambda: subject.ctr.command(*words).check()))


def by_task_api(subject, box, figure):
    with TaskClient(subject, box) as task:
        subject.add(figure, 1000 * seconds(lambda: task.exec("/bin/true")))


def many_before(subject, box, count):
    """Lets a container have `count` execs more in its past."""
    with TaskClient(subject, box) as task:
        for _ in range(count):
            task.exec("/bin/true")
