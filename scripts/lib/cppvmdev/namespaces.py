"""Network namespaces, as CNI plugins leave them: made with iproute2, and gone with their owner."""

import ctypes
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .ctr import unique_id
from .shell import run


_CLONE_NEWNET = 0x40000000


def _enter(path):
    """For the calling thread alone."""
    with open(path, "rb") as namespace:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(namespace.fileno(), _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(path))


class Namespace:
    """A named network namespace with its loopback interface up."""

    def __init__(self):
        self.name = unique_id("e2e")
        self.path = Path("/run/netns") / self.name
        run("ip", "netns", "add", self.name).check()
        self.ip("link", "set", "lo", "up")

    def ip(self, *args):
        """`ip ARGS` in it; returns its output."""
        return run("ip", "-netns", self.name, *args).check().text

    def run(self, *command, timeout=30, stdin=b""):
        """A command in it, to its end."""
        argv = ("ip", "netns", "exec", self.name, *command)
        return run(*argv, timeout=timeout, stdin=stdin)

    def popen(self, *command, **kwargs):
        return subprocess.Popen(["ip", "netns", "exec", self.name, *command], **kwargs)

    def call(self, function):
        """What the function returns, called in it; sockets that it makes stay in it."""
        with ThreadPoolExecutor(1, initializer=_enter, initargs=(self.path,)) as pool:
            return pool.submit(function).result()

    def sysctl(self, key, value):
        self.run("sysctl", "-qw", f"{key}={value}").check()

    def close(self):
        """Idempotent."""
        if self.path.exists():
            run("ip", "netns", "delete", self.name).check()


class Pair:
    """A veth pair between two namespaces with an address of either family at each end:
    10.77.N.1 and fd77:N::1 at the first's, .2 and ::2 at the second's."""

    def __init__(self, outside, inside, number=0, name="eth0", mtu=1500):
        self.outside, self.inside, self.name = outside, inside, name
        self.far = f"far{number}"
        outside.ip(
            *("link", "add", self.far, "mtu", str(mtu), "type", "veth"),
            *("peer", "name", name, "mtu", str(mtu), "netns", inside.name),
        )
        self.addresses = {4: (f"10.77.{number}.1", f"10.77.{number}.2")}
        self.addresses[6] = (f"fd77:{number}::1", f"fd77:{number}::2")
        for namespace, interface, end in ((outside, self.far, 0), (inside, name, 1)):
            namespace.ip("address", "add", f"{self.addresses[4][end]}/24", "dev", interface)
            namespace.ip(
                "address", "add", f"{self.addresses[6][end]}/64", "dev", interface, "nodad"
            )
            namespace.ip("link", "set", interface, "up")

    def default_routes(self):
        """Through the first namespace."""
        self.inside.ip("route", "add", "default", "via", self.addresses[4][0])
        self.inside.ip("-6", "route", "add", "default", "via", self.addresses[6][0])
        return self
