"""A containerd that serves CRI to tests."""

import contextlib

from cppvmdev.cri import Cri
from cppvmdev.identity import Identity
from cppvmdev.leftovers import Gone, Leftovers
from cppvmdev.namespaces import Namespace

from . import session, settings

CGROUP_PARENT = "/cppvm-e2e-cri"


@contextlib.contextmanager
def serving_cri(handlers):
    """A Cri, with a network namespace of its own; afterwards its pods may have left no trace. A handler
    without options has the tests' configuration. Raises releases.Unavailable."""
    ours = {"options": {"ConfigPath": str(session.config_file())}}
    tables = {name: {**ours, **keys} for name, keys in handlers.items()}
    world = Namespace()
    made = None
    try:
        made = Cri(world, settings.BASE / "cri", settings.PROGRAMS, tables, CGROUP_PARENT)
        made.start()
        yield made
    finally:
        if made:
            print(made.containerd.log_text()[-3000:])
            made.close()
        world.close()
    identities = [Identity(made.containerd.address, "k8s.io", pod) for pod in made.every_pod]
    Leftovers(Gone(made.base, identities)).wait_none()
