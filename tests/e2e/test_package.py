"""The Debian package, made of what is staged for the other tests."""

import filecmp
from pathlib import Path

import pytest

from cppvmdev import shell
from harness import settings
from harness.package import make_package

_PROGRAMS = {
    "usr/bin/containerd-shim-cppvm-v1",
    "usr/bin/cppvm",
    "usr/libexec/cppvm/cppvm-agent",
    "usr/libexec/cppvm/cppvm-libvirt",
    "usr/libexec/cppvm/cppvm-standin",
}
if not Path("/usr/libexec/virtiofsd").exists():
    _PROGRAMS.add("usr/libexec/cppvm/virtiofsd")  # where the distribution has none
_IMAGE = {"var/lib/cppvm/vmlinuz", "var/lib/cppvm/initramfs.img"}

pytestmark = pytest.mark.vm


@pytest.fixture(name="package", scope="module")
def package_fixture(tmp_path_factory):
    """The package, and a directory with its files."""
    directory = tmp_path_factory.mktemp("package")
    package = make_package(directory)
    shell.run("dpkg-deb", "--extract", package, directory / "root", timeout=60).check()
    return package, directory / "root"


def _field(package, name):
    return shell.run("dpkg-deb", "--field", package, name).check().text.strip()


def _listing(package):
    return shell.run("dpkg-deb", "--contents", package).check().text.splitlines()


def test_holds_what_it_must(package):
    package, root = package
    files = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    assert files == _PROGRAMS | _IMAGE | {"usr/share/doc/cppvm/copyright"}
    for name in _IMAGE:
        assert filecmp.cmp(root / name, settings.IMAGE / Path(name).name, shallow=False)

    # QEMU runs as a user of its own.
    modes = [line.split()[0] for line in _listing(package)]
    assert modes and all(mode[7] == "r" for mode in modes), modes
    assert all(mode[9] == "x" for mode in modes if mode.startswith("d")), modes

    depends = _field(package, "Depends")
    for name in ("libvirt0", "libvirt-daemon-system", "qemu-system-x86", "virtiofsd |"):
        assert name in depends
    assert _field(package, "Architecture") == "amd64"


def test_runs_a_container(package, runner):
    """The shim of the package with its own helpers and agent; nothing of the stage but the image."""
    _, root = package
    packaged = runner.with_runtime(root / "usr/bin/containerd-shim-cppvm-v1")
    assert packaged.run("echo", "packaged").check().text == "packaged\n"
