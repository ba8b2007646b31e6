"""The quick start's own containerd, and the container that it shows.

    python3 -m cppvmdev.demo up STAGE | down
"""

import os
import platform
import re
import sys
from pathlib import Path

from . import config, images, libvirt, releases
from .containerd import Containerd
from .shell import CommandFailed, run

BASE = Path(os.environ.get("CPPVM_DEMO_BASE", "/var/lib/cppvm-demo"))
RUNTIME = "io.containerd.cppvm.v1"
NAMESPACE = "demo"

_SCRIPT = 'echo "guest kernel  $(uname -r)"; echo "guest memory  $(grep MemTotal /proc/meminfo)"'


def _containerd(stage):
    dirs = [stage / "bin", stage / "libexec/cppvm"] if stage else []
    return Containerd(releases.distribution(), BASE / "containerd", dirs)


def _libvirt():
    return libvirt.LibvirtDaemons(BASE / "libvirt.json")


def up(stage):
    stage = Path(stage).resolve()
    BASE.mkdir(parents=True, exist_ok=True)
    if not config.kvm_usable():
        print(
            "KVM is not usable here (no vmx or svm, or no /dev/kvm): the demo uses emulation, "
            "10 to 30 times slower, by its own configuration file."
        )
    settings = config.write(BASE / "config.toml", stage)
    _libvirt().start()
    check = run(stage / "bin/cppvm", "check", "--config", settings)
    if check.code != 0:
        sys.exit(f"This host is not ready:\n{check.text}{check.error}")

    containerd = _containerd(stage)
    (BASE / "stage").write_text(str(stage))
    containerd.start()
    ctr = containerd.ctr(NAMESPACE)
    if images.SMALL not in ctr.images():
        ctr.import_image(images.small())

    runtime = ["--runtime", RUNTIME, "--runtime-config-path", settings]
    logged = len(containerd.log_text())
    argv = ctr.run_argv(images.SMALL, "hello", ["sh", "-c", _SCRIPT], runtime, ["--rm"])
    said = ctr.command(*argv, timeout=120).check().text

    print("\nA container ran in its own VM:")
    print(f"  host kernel   {platform.release()}")
    print("".join(f"  {line}\n" for line in said.splitlines()), end="")
    print(_phases(containerd.log_text()[logged:]))
    print("Try next:")
    client = f"ctr --address {containerd.address} --namespace {NAMESPACE}"
    runtime_options = " ".join(str(option) for option in runtime)
    print(f"  {client} run --rm -t {runtime_options} {images.SMALL} shell sh")
    print(f"  {client} run -d {runtime_options} {images.SMALL} box sleep 1000000")
    print(f"  {client} tasks exec --exec-id e1 box uname -a")
    print(f"  {client} tasks delete --force box")
    print(f"  {client} containers delete box")
    print("  virsh -c qemu:///system list")
    print("  scripts/quickstart --down")


def _phases(log):
    """The shim's line on the boot, as a small table."""
    line = next((line for line in log.splitlines() if "Sandbox booted" in line), "")
    # The shim's line may itself be quoted in a line of containerd's log.
    line = line.replace('\\"', '"')
    total = re.search(r"total_ms=(\d+)", line)
    phases = re.search(r'phases_ms="([^"]*)"', line)
    if not total or not phases:
        return "  (the log has no boot phases)\n"
    host, guest = [], []
    for phase in phases.group(1).split():
        name, _, end = phase.rpartition(":")
        of_guest = name.startswith("guest-")
        (guest if of_guest else host).append((name.removeprefix("guest-"), end))
    host.append(("ready for containers", total.group(1)))
    rows = ["Boot phases on the host, ms since the shim began:"]
    rows += [f"  {name:<22}{end:>6}" for name, end in host]
    rows.append("and in the guest, ms since its kernel began:")
    rows += [f"  {name:<22}{end:>6}" for name, end in guest]
    return "\n".join(rows) + "\n"


def down():
    """Idempotent; works from any clone."""
    if not BASE.exists():
        return
    stage = BASE / "stage"
    _containerd(Path(stage.read_text()) if stage.exists() else None).remove()
    _libvirt().stop()
    for path in BASE.iterdir():
        path.unlink()
    BASE.rmdir()


def main(arguments):
    if len(arguments) == 2 and arguments[0] == "up":
        up(arguments[1])
    elif arguments == ["down"]:
        down()
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (CommandFailed, images.ImageError, libvirt.LibvirtError, releases.Unavailable) as failure:
        sys.exit(f"quickstart: {failure}")
