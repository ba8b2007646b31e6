"""Writes OCI image archives (image-spec: image layout v1.0.0), as `ctr image import` reads them."""

import hashlib
import io
import json
import os
import tarfile
from pathlib import Path

_INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"


def layer_from_directory(directory, layer):
    """A layer tar of a directory's content, the same for the same content: sorted names, no times."""
    directory = Path(directory)

    def anonymous(info):
        info.mtime = 0
        info.uname = info.gname = ""
        return info

    with tarfile.open(layer, "w", format=tarfile.PAX_FORMAT) as tar:
        for base, names, files in os.walk(directory):
            names.sort()
            links = [name for name in names if os.path.islink(os.path.join(base, name))]
            for name in sorted(files + names):
                path = os.path.join(base, name)
                tar.add(path, os.path.relpath(path, directory), recursive=False, filter=anonymous)
            for name in links:
                names.remove(name)


def documents(layer_digest, layer_size, config):
    """What describes an image of one layer: its manifest's digest, and all documents by their digests.
    `config` is the image's config section (Env, Cmd, WorkingDir and so on)."""
    image = {
        "architecture": "amd64",
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [layer_digest]},
        "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "cppvm"}],
    }
    blobs = {}

    def put(document):
        data = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        blobs[digest] = data
        return {"digest": digest, "size": len(data)}

    manifest = put(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": _CONFIG, **put(image)},
            "layers": [{"mediaType": _LAYER, "digest": layer_digest, "size": layer_size}],
        }
    )
    return manifest["digest"], blobs


def write_archive(archive, layer, reference, config):
    """One image of one layer under the name `reference`. The archive appears under its name only when
    it is whole."""
    archive = Path(archive)
    layer_digest, layer_size = digest_of_file(layer)
    digest, blobs = documents(layer_digest, layer_size, config)
    manifest = {
        "mediaType": MANIFEST,
        "digest": digest,
        "size": len(blobs[digest]),
        "platform": {"architecture": "amd64", "os": "linux"},
        "annotations": {
            "io.containerd.image.name": reference,
            "org.opencontainers.image.ref.name": reference.rsplit(":", 1)[-1],
        },
    }
    index = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": [manifest]}

    part = archive.with_name(f".{archive.name}.{os.getpid()}")
    try:
        with tarfile.open(part, "w") as tar:
            _add_bytes(tar, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
            _add_bytes(tar, "index.json", json.dumps(index, sort_keys=True).encode())
            for digest, data in sorted(blobs.items()):
                _add_bytes(tar, _blob_path(digest), data)
            info = tarfile.TarInfo(_blob_path(layer_digest))
            info.size = layer_size
            with open(layer, "rb") as content:
                tar.addfile(info, content)
        part.rename(archive)
    finally:
        part.unlink(missing_ok=True)


def _blob_path(digest):
    return "blobs/" + digest.replace(":", "/")


def _add_bytes(tar, name, data):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def digest_of_file(path):
    """(digest, size)."""
    digest = hashlib.sha256()
    with open(path, "rb") as content:
        while block := content.read(1 << 20):
            digest.update(block)
    return "sha256:" + digest.hexdigest(), os.path.getsize(path)


def layers(archive):
    """The tars of an image's layers, as files, while they are iterated over."""
    with tarfile.open(archive) as files:

        def blob(digest):
            return files.extractfile("blobs/" + digest.replace(":", "/"))

        index = json.load(files.extractfile("index.json"))
        for layer in json.load(blob(index["manifests"][0]["digest"]))["layers"]:
            yield blob(layer["digest"])
