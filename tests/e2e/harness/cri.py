"""A containerd that serves CRI to tests."""

import contextlib

from cppvmdev.cri import Cri
from cppvmdev.identity import Identity
from cppvmdev.leftovers import Gone, Leftovers
from cppvmdev.namespaces import Namespace

from . import session, settings

CGROUP_PARENT = "/cppvm-e2e-cri"


@contextlib.contextmanager
def serving_cri(handlers, release="2.3"):
    """A Cri of that containerd, with a network namespace of its own; afterwards its pods may have left no trace.
    A handler without options has the tests' configuration. Raises releases.Unavailable."""
    file = session.config_file()
    ours = {"options": {"ConfigPath": str(file)} if file else {}}
    tables = {name: {**ours, **keys} for name, keys in handlers.items()}
    base = settings.BASE / f"cri-{release}"
    world = Namespace()
    made = None
    try:
        made = Cri(world, base, settings.PROGRAMS, tables, CGROUP_PARENT, release)
        made.start()
        yield made
    finally:
        if made:
            print(made.containerd.log_text()[-3000:])
            made.close()
        world.close()
    identities = [Identity(made.containerd.address, "k8s.io", pod) for pod in made.every_pod]
    Leftovers(Gone(made.base, identities)).wait_none()
