"""The Debian package, made of what is staged for the tests."""

import shutil
from pathlib import Path

from cppvmdev.shell import run

from . import settings

_LIBRARY = Path(__file__).parents[3] / "scripts/lib/build.sh"


def make_package(directory):
    """Makes it in `directory`; its path."""
    image = directory / "image"
    image.mkdir()
    for name in ("vmlinuz", "initramfs.img"):
        shutil.copy(settings.IMAGE / name, image)
    script = f'source {_LIBRARY}; package "$@"'
    said = run("bash", "-c", script, "package", settings.STAGE.parent, image, directory, timeout=120).check()
    return Path(said.text.strip())
