"""Execs: through ctr, and by the Task API alone, which is what a runtime itself adds."""

from ..ctr import unique_id
from ..task import Task
from .subject import NAMESPACE, seconds


class ExecTask(Task):
    """Processes in a container of a subject."""

    def __init__(self, subject, container):
        super().__init__(container, subject.shim_address(container), NAMESPACE)

    def begin(self, *args, fifos=()):
        """Exec, with fifos for stdin, stdout and stderr or none, and Start; returns its id."""
        exec_id = unique_id("exec")
        process = {
            "args": list(args),
            "cwd": "/",
            "env": ["PATH=/bin:/usr/bin"],
            "user": {"uid": 0, "gid": 0},
        }
        streams = dict(zip(("stdin", "stdout", "stderr"), fifos, strict=False))
        self.exec(exec_id, process, **streams)
        self.call("Start", exec_id=exec_id)
        return exec_id

    def finish(self, exec_id):
        """Wait and Delete; returns the exit status."""
        status = self.call("Wait", exec_id=exec_id).exit_status
        self.call("Delete", exec_id=exec_id)
        return status

    def run(self, *args):
        if self.finish(self.begin(*args)) != 0:
            raise RuntimeError(f"exec of {args[0]} failed")


def by_ctr(subject, container, figure):
    argv = ("tasks", "exec", "--exec-id", unique_id("exec"), container, "true")
    subject.add(figure, 1000 * seconds(lambda: subject.ctr.command(*argv).check()))


def by_task_api(subject, container, figure):
    with ExecTask(subject, container) as task:
        subject.add(figure, 1000 * seconds(lambda: task.run("/bin/true")))


_STATISTICS = 20


def statistics(subject, container, figure):
    """One call of Stats."""
    with ExecTask(subject, container) as task:
        task.call("Stats")
        took = seconds(lambda: [task.call("Stats") for _ in range(_STATISTICS)])
        subject.add(figure, 1000 * took / _STATISTICS)


def many_before(subject, container, count):
    """Lets a container have `count` execs more in its past."""
    with ExecTask(subject, container) as task:
        for _ in range(count):
            task.run("/bin/true")
