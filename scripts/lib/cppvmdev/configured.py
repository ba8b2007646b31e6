"""A mount namespace in which the product's configuration is at its usual place, for clients of
containerd that name none."""

from . import config

_ENTER = """
mkdir -p "$0/up/cppvm" "$0/work" && cp "$0/cppvm.toml" "$0/up/cppvm/config.toml" &&
mount -t overlay -o "lowerdir=/etc,upperdir=$0/up,workdir=$0/work" none /etc && exec "$@"
"""


def prefix(base, stage):
    """What goes before the command of a daemon that is to live in one. It lies below `base`."""
    config.write(base / "cppvm.toml", stage)
    return ("unshare", "--mount", "sh", "-c", _ENTER, base)
