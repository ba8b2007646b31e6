"""Where the tests find things; each from an environment variable that ctest or a person sets."""

import os
from pathlib import Path

from cppvmdev import config

BASE = Path(os.environ.get("CPPVM_E2E_BASE", "/var/lib/cppvm-e2e"))
RUNTIME = os.environ.get("CPPVM_E2E_RUNTIME", "io.containerd.cppvm.v1")
STAGE = Path(os.environ.get("CPPVM_E2E_STAGE", Path(__file__).parents[3] / "build/stage"))
# Also the tests that say little more than others and take minutes.
LONG = os.environ.get("CPPVM_E2E_LONG") == "1"
# Where containerd is to find the shim and what belongs to it.
PROGRAMS = [STAGE / "bin", STAGE / "libexec/cppvm"]
RELEASE = os.environ.get("CPPVM_E2E_CONTAINERD", "1.6")

# An installed product without any configuration: CPPVM_E2E_STAGE is then where it is installed.
DEFAULTS = os.environ.get("CPPVM_E2E_CONFIG") == "default"
# For config.write(): where the programs and the image are that a configuration must name.
CONFIG_STAGE = None if DEFAULTS else STAGE
# Of the processes that work for sandboxes: the default of first_uid and uid_count in [isolation].
HELPER_USERS = range(2_000_000_000, 2_100_000_000)
# Built for the tests alone: tests/e2e/hostile.
HOSTILE_AGENT = Path(
    os.environ.get("CPPVM_E2E_HOSTILE_AGENT", STAGE.parent / "tests/e2e/hostile/hostile-agent")
)
IMAGE = config.image_directory(STAGE)

# The same tests run on runc, which proves the tests themselves and shows what containerd expects.
IS_VM = "cppvm" in RUNTIME
