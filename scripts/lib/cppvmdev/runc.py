"""A current runc, built with the Go toolchain: the reference for what a container is like."""

from pathlib import Path

from . import releases
from .shell import run


def program():
    """Its path; built where it is not in the cache. Raises releases.Unavailable."""
    done = run(Path(__file__).parents[2] / "fetch-runc", timeout=900)
    if done.code != 0:
        raise releases.Unavailable(f"runc cannot be built: {done.error}")
    return done.text.strip()
