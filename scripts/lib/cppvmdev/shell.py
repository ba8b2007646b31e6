"""Running commands with a deadline and with errors that show what the command said."""

import subprocess
from dataclasses import dataclass


@dataclass
class Result:
    """What a finished command left: its code and its output as bytes."""

    args: list
    code: int
    out: bytes
    err: bytes

    @property
    def text(self):
        return self.out.decode(errors="replace")

    @property
    def error(self):
        return self.err.decode(errors="replace").strip()

    def check(self):
        """Returns itself, or raises CommandFailed when the code is not 0."""
        if self.code != 0:
            raise CommandFailed(self)
        return self


class CommandFailed(Exception):
    def __init__(self, result):
        command = " ".join(str(arg) for arg in result.args)
        said = result.error or result.text.strip() or "nothing"
        super().__init__(f"{command[:300]}: exit code {result.code}; it said: {said[-2000:]}")
        self.result = result


def run(*args, timeout=60, stdin=b"", env=None, cwd=None):
    """Runs a command to its end; on the deadline it is killed and CommandFailed is raised."""
    args = [str(arg) for arg in args]
    try:
        done = subprocess.run(
            args, input=stdin, capture_output=True, timeout=timeout, env=env, cwd=cwd, check=False
        )
    except subprocess.TimeoutExpired as late:
        said = (late.stderr or b"") + f" [killed after {timeout} s]".encode()
        raise CommandFailed(Result(args, -9, late.stdout or b"", said)) from None
    return Result(args, done.returncode, done.stdout, done.stderr)
