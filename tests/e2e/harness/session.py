"""Set-up and tear-down around all tests.

    python3 -m harness.session start RELEASE | stop

`start` makes libvirt's daemons and one containerd run and imports the images; tests that run in
other processes find them through attach(). `stop` ends what was started and fails if it had to
clean up after a test. The daemons belong to the clone that started them: others are refused.
"""

import sys

from cppvmdev import config, images, libvirt, releases
from cppvmdev.containerd import Containerd
from cppvmdev.leftovers import Leftovers
from cppvmdev.system_containerd import SystemContainerd

from . import settings

NAMESPACE = "e2e"


class Occupied(Exception):
    """Another clone's tests run here."""


def _owner_file():
    return settings.BASE / "stage"


def _check_owner():
    """Raises Occupied unless the daemons are ours, or nobody's."""
    try:
        owner = _owner_file().read_text()
    except FileNotFoundError:
        return
    if owner != str(settings.STAGE):
        raise Occupied(
            f"{settings.BASE} belongs to the tests of {owner}; wait for their end, or end them: "
            f"CPPVM_E2E_STAGE={owner} python3 -m harness.session stop"
        )


def _occupy():
    _check_owner()
    settings.BASE.mkdir(parents=True, exist_ok=True)
    _owner_file().write_text(str(settings.STAGE))


def _containerd(release):
    if release.name == "system":
        return SystemContainerd(release, settings.BASE)
    programs = [settings.STAGE / "bin", settings.STAGE / "libexec/cppvm"]
    return Containerd(release, settings.BASE / release.name, programs)


def libvirt_daemons():
    return libvirt.LibvirtDaemons(settings.BASE / "libvirt.json")


def config_file():
    """The configuration that the tests' containers run with; None for the product's defaults."""
    return None if settings.DEFAULTS else settings.BASE / "config.toml"


def start(release_name):
    """Makes containerd `release_name` run with the test images in it. Does nothing where it runs already.

    Raises releases.Unavailable where that release cannot be had.
    """
    release = releases.get(release_name)
    archives = {images.SMALL: images.small()}
    if release.name != "system":  # a machine under emulation would be busy with it for minutes
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
    _check_owner()
    containerd = _containerd(releases.get(name, allow_build=False))
    # The one of the system runs in any case.
    return containerd if _owner_file().exists() and containerd.process() else None


def stop():
    """Ends everything; returns what was left of tests' containers, one line each."""
    _check_owner()
    left = []
    for name in ("system",) if settings.RELEASE == "system" else ("1.6", "2.3"):
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


def main(words):
    if words == ["stop"]:
        left = stop()
        if left:
            sys.exit("left behind by tests:\n  " + "\n  ".join(left))
    elif len(words) == 2 and words[0] == "start":
        try:
            containerd = start(words[1])
        except releases.Unavailable as reason:
            print(f"SKIPPED containerd {words[1]}: {reason}")
            return
        print(f"containerd {words[1]} answers at {containerd.address}")
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (Occupied, libvirt.LibvirtError, images.ImageError) as reason:
        sys.exit(f"session: {reason}")
