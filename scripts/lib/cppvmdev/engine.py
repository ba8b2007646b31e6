"""What Docker and nerdctl have in common: the commands of their clients."""

from .ctr import unique_id
from .shell import run


class Engine:
    """A subclass has `runtime`, the name of the runtime under test, argv(*args) with the client's command
    line, and environ() with its environment."""

    def run(self, *args, timeout=120, stdin=b""):
        return run(*self.argv(*args), timeout=timeout, stdin=stdin, env=self.environ())

    def text(self, *args, **kwargs):
        """The output of a command that succeeds."""
        return self.run(*args, **kwargs).check().text.strip()

    def start_container(self, *args):
        """`run -d`; returns the container's name."""
        name = unique_id("engine")
        self.text("run", "-d", "--runtime", self.runtime, "--name", name, *args)
        return name

    def remove_containers(self):
        left = self.run("ps", "-aq").text.split()
        if left:
            self.run("rm", "-f", *left)
