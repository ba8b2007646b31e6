"""Guest images that are not what they should be."""

import contextlib
import re

from . import settings


@contextlib.contextmanager
def of_another_build():
    """The path of an initramfs whose agent says that it is of another build.

    The archive is not compressed, and nothing in it is checked: the words may be exchanged.
    """
    image = (settings.IMAGE / "initramfs.img").read_bytes()
    build_id = re.compile(rb"(\d+\.\d+\.\d+-)[0-9a-f]{12}(?=\0)")
    assert build_id.search(image), "the agent's build id is not in the initramfs"
    # Not in a test's own directory, into which QEMU's user is not let.
    foreign = settings.BASE / "foreign-initramfs.img"
    foreign.write_bytes(build_id.sub(rb"\g<1>0123456789ab", image))
    try:
        yield foreign
    finally:
        foreign.unlink()
