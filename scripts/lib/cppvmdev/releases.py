"""Which containerd versions there are: the distribution's, and one built with the Go toolchain.

    python3 -m cppvmdev.releases        builds it when it is not in the cache; prints its directory
"""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from .containerd import Release
from .shell import run

BUILT_VERSION = "2.3.4"
# The shim for runc belongs to its containerd: an older one does not understand how a newer
# containerd starts it.
_PROGRAMS = ("containerd", "ctr", "containerd-shim-runc-v2")
CACHE = Path(os.environ.get("CPPVM_CACHE_DIR", "/var/cache/cppvm"))


class Unavailable(Exception):
    """A release cannot be had here; the text says why."""


def distribution():
    """containerd and ctr of the package `containerd` (1.6 in Debian 12)."""
    daemon, client = shutil.which("containerd"), shutil.which("ctr")
    if not daemon or not client:
        raise Unavailable("containerd is not installed: scripts/install-deps run")
    return Release("1.6", Path(daemon), Path(client))


def built(allow_build=True):
    """A current release from the Go module proxy, built once and kept in the cache directory."""
    target = CACHE / f"containerd-{BUILT_VERSION}"
    release = Release("2.3", target / "containerd", target / "ctr")
    if all((target / name).exists() for name in _PROGRAMS):
        return release
    if not allow_build:
        raise Unavailable(f"containerd {BUILT_VERSION} was not built: see the set-up test's output")
    go = _go()
    work = target.with_name(f".{target.name}.{os.getpid()}")
    environ = dict(
        os.environ,
        GOBIN=str(work / "bin"),
        # Modules and objects of one build that nobody needs again.
        GOPATH=str(work / "path"),
        GOCACHE=str(work / "cache"),
        GOFLAGS="-modcacherw",
        GOTOOLCHAIN="auto",
        CGO_ENABLED="0",
    )
    module = "github.com/containerd/containerd/v2/cmd/"
    try:
        work.mkdir(parents=True)
        done = subprocess.run(
            [go, "install", *(f"{module}{name}@v{BUILT_VERSION}" for name in _PROGRAMS)],
            env=environ,
            cwd="/",
            capture_output=True,
            text=True,
            timeout=1500,
            check=False,
        )
        if done.returncode != 0:
            raise Unavailable(f"go install of containerd {BUILT_VERSION}: {done.stderr[-500:]}")
        shutil.rmtree(target, ignore_errors=True)
        (work / "bin").rename(target)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"go install of containerd {BUILT_VERSION} took too long") from None
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return release


def get(name, allow_build=True):
    """A release by its short name: "1.6", "2.3", "distribution" for another distribution's than
    Debian 12's, or "system" for the one that systemd runs."""
    releases = {
        "1.6": distribution,
        "2.3": lambda: built(allow_build),
        "distribution": lambda: replace(distribution(), name="distribution"),
        "system": lambda: replace(distribution(), name="system"),
    }
    return releases[name]()


def _go():
    found = run(Path(__file__).parents[2] / "fetch-go", timeout=300)
    if found.code != 0:
        raise Unavailable(f"no Go toolchain to build it with: {found.error}")
    return found.text.strip()


if __name__ == "__main__":
    try:
        print(built().containerd.parent)
    except Unavailable as failure:
        sys.exit(f"releases: {failure}")
