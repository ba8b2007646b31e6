"""What Docker and nerdctl have in common: the commands of their clients."""

from .ctr import unique_id


class Engine:
    """A subclass has `runtime`, the name of the runtime under test, and run(*args)."""

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
