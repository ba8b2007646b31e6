"""Set-up and tear-down around all tests.

    python3 -m harness.session start RELEASE | stop

`start` makes libvirt's daemons and one containerd run and imports the images; tests that run in
other processes find them through attach(). `stop` ends what was started and fails if it had to
clean up after a test. The daemons belong to the clone that started them: others are refused while
the program that asked for them (ctest, a shell) lives, and afterwards clean up what it left.
"""

import json
import os
import sys
from dataclasses import asdict, dataclass

from cppvmdev import config, images, libvirt, processes, releases
from cppvmdev.containerd import Containerd
from cppvmdev.leftovers import Leftovers
from cppvmdev.system_containerd import SystemContainerd

from . import settings

NAMESPACE = "e2e"


class Occupied(Exception):
    """Another clone's tests run here."""


@dataclass(frozen=True)
class _Owner:
    """Whose the daemons are: a clone's, and the program's that asked for them."""

    stage: str
    pid: int
    start: int  # as in processes.Process

    @staticmethod
    def file():
        return settings.BASE / "owner.json"

    @classmethod
    def read(cls):
        """None where no daemons are."""
        try:
            return cls(**json.loads(cls.file().read_text()))
        except FileNotFoundError:
            return None

    @classmethod
    def write_ours(cls):
        program = processes.find(os.getppid())
        if not program:
            raise Occupied("the program that wants the daemons has ended")
        ours = cls(str(settings.STAGE), program.pid, program.start)
        settings.BASE.mkdir(parents=True, exist_ok=True)
        cls.file().write_text(json.dumps(asdict(ours)))

    def is_us(self):
        return self.stage == str(settings.STAGE)

    def lives(self):
        program = processes.find(self.pid)
        return program is not None and program.start == self.start


def _owner():
    """Us, one that is gone, or None; raises Occupied while the daemons are another clone's that
    lives."""
    owner = _Owner.read()
    if owner and not owner.is_us() and owner.lives():
        raise Occupied(
            f"{settings.BASE} belongs to the tests of {owner.stage} (process {owner.pid}); wait for "
            f"their end, or end them: CPPVM_E2E_STAGE={owner.stage} python3 -m harness.session stop"
        )
    return owner


def _occupy():
    owner = _owner()
    if owner and not owner.is_us():
        print(f"clean-up after the tests of {owner.stage}, which ended without their own")
        # Running, the daemons clean up after shims and domains that were killed.
        if settings.IS_VM:
            libvirt_daemons().start()
        for line in _end():
            print(f"  {line}")
        owner = None
    if not owner:
        _Owner.write_ours()


def _containerd(release):
    if release.name == "system":
        return SystemContainerd(release, settings.BASE)
    return Containerd(release, settings.BASE / release.name, settings.PROGRAMS, block_files=True)


def libvirt_daemons():
    return libvirt.LibvirtDaemons(settings.BASE / "libvirt.json")


def config_file():
    """The configuration that the tests' containers run with; None for the product's defaults."""
    return None if settings.DEFAULTS else settings.BASE / "config.toml"


def start(release_name):
    """Makes containerd `release_name` run with the test images in it. Does nothing if it is already running.

    Raises releases.Unavailable where that release cannot be had.
    """
    release = releases.get(release_name)
    archives = {images.SMALL: images.small()}
    if release.name in ("1.6", "2.3"):  # for the tests that run everywhere
        archives[images.REAL] = images.real()
    _occupy()
    if settings.IS_VM:
        libvirt_daemons().start()
        if not settings.DEFAULTS:
            config.write(config_file(), settings.STAGE)
    containerd = _containerd(release)
    containerd.start()
    ctr = containerd.ctr(NAMESPACE)
    for name, archive in archives.items():
        if name not in ctr.images():
            ctr.import_image(archive)
    return containerd


def attach(name):
    """The containerd that start() made run, or None."""
    owner = _owner()
    containerd = _containerd(releases.get(name, allow_build=False))
    # The one of the system runs in any case.
    return containerd if owner and containerd.process() else None


def stop():
    """Ends everything; returns what was left of tests' containers, one line each."""
    _owner()
    return _end()


def _end():
    left = []
    for name in ("1.6", "2.3") if settings.RELEASE in ("1.6", "2.3") else (settings.RELEASE,):
        try:
            containerd = _containerd(releases.get(name, allow_build=False))
        except releases.Unavailable:
            continue
        if containerd.base.exists():
            left += Leftovers(containerd).find()
            containerd.remove()
    libvirt_daemons().stop()
    for path in settings.BASE.glob("*"):
        path.unlink()
    if settings.BASE.exists():
        settings.BASE.rmdir()
    return left


def main(arguments):
    if arguments == ["stop"]:
        left = stop()
        if left:
            sys.exit("left behind by tests:\n  " + "\n  ".join(left))
    elif len(arguments) == 2 and arguments[0] == "start":
        try:
            containerd = start(arguments[1])
        except releases.Unavailable as reason:
            print(f"SKIPPED containerd {arguments[1]}: {reason}")
            return
        print(f"containerd {arguments[1]} answers at {containerd.address}")
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (Occupied, libvirt.LibvirtError, images.ImageError) as reason:
        sys.exit(f"session: {reason}")
