"""The image that installs the product on nodes of Kubernetes (deploy/image/build).

    python3 -m cppvmdev.node_image PACKAGE ARCHIVE [REFERENCE]
"""

import hashlib
import shutil
import sys
import tempfile
from pathlib import Path

from . import images, oci
from .shell import run

_SCRIPT = Path(__file__).parents[3] / "deploy/image/cppvm-node"
# Where files of the package are in a version's directory. The shim finds its helpers by its own place.
_PLACES = {"usr/bin": "bin", "usr/libexec": "libexec", "usr/share/doc": "doc", "var/lib/cppvm": "image"}


def build(package, archive, reference=None, version=None):
    """Makes `archive` of a Debian package; the image's name. Unless told, the version follows from the
    package and the script: the same ones give the same archive."""
    version = version or _version(package)
    reference = reference or f"localhost/cppvm-node:{version}"
    with tempfile.TemporaryDirectory(dir=Path(archive).parent) as work:
        root = Path(work) / "root"
        root.mkdir(mode=0o755)
        images.fill_small(root)
        _fill(root / "payload", package, Path(work) / "package")
        (root / "payload/version").write_text(f"{version}\n")
        shutil.copy(_SCRIPT, root / "bin/cppvm-node")
        oci.layer_from_directory(root, Path(work) / "layer.tar")
        config = {"Env": [images.PATH], "Entrypoint": ["/bin/cppvm-node"], "Cmd": ["install"]}
        oci.write_archive(archive, Path(work) / "layer.tar", reference, config)
    return reference


def _version(package):
    digest = hashlib.sha256(Path(package).read_bytes() + _SCRIPT.read_bytes()).hexdigest()[:12]
    number = run("dpkg-deb", "--field", package, "Version").check().text.strip()
    return f"{number}-{digest}"


def _fill(payload, package, unpacked):
    run("dpkg-deb", "--extract", package, unpacked, timeout=120).check()
    payload.mkdir(mode=0o755)
    for source, target in _PLACES.items():
        shutil.move(unpacked / source, payload / target)


def main(words):
    if len(words) not in (2, 3):
        sys.exit(__doc__)
    print(build(*words))


if __name__ == "__main__":
    main(sys.argv[1:])
