"""A mount namespace in which the product's configuration is at its usual place, for clients of
containerd that name none."""

import contextlib
import shutil

from . import config, mounts
from .containerd import Containerd

_ENTER = """
mkdir -p "$0/up/cppvm" "$0/work" && cp "$0/cppvm.toml" "$0/up/cppvm/config.toml" &&
mount -t overlay -o "lowerdir=/etc,upperdir=$0/up,workdir=$0/work" none /etc && exec "$@"
"""


def prefix(base, stage):
    """What goes before the command of a daemon that is to live in one. It lies below `base`."""
    config.write(base / "cppvm.toml", stage)
    return ("unshare", "--mount", "sh", "-c", _ENTER, base)


@contextlib.contextmanager
def containerd(release, base, stage, programs):
    """One that lives there, with everything of it below `base`, which is removed afterwards."""
    made = Containerd(release, base / "containerd", programs, prefix=prefix(base, stage))
    made.start()
    try:
        yield made
    finally:
        made.remove()
        mounts.unmount_below(base)
        shutil.rmtree(base)
