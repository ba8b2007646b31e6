"""A registry of images, as much of it as a client needs that pulls (the OCI distribution specification)."""

import shutil
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from . import oci


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.registry.answer(self, with_body=True)

    def do_HEAD(self):
        self.server.registry.answer(self, with_body=False)

    def log_message(self, *_):
        pass


class Registry:
    """Serves images of one layer, which they share, at a port of loopback, from construction to close()."""

    def __init__(self, layer, images, namespace):
        """`images`: configurations by repository and tag ("library/busybox:1"). `namespace`: a Namespace."""
        self._layer = layer
        self._layer_digest, size = oci.digest_of_file(layer)
        self._manifests, self._blobs = {}, {}
        for reference, config in images.items():
            digest, blobs = oci.documents(self._layer_digest, size, config)
            repository, tag = reference.rsplit(":", 1)
            self._manifests[repository, tag] = self._manifests[repository, digest] = digest
            self._blobs.update(blobs)
        self._server = namespace.call(lambda: ThreadingHTTPServer(("127.0.0.1", 0), _Handler))
        self._server.registry = self
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def address(self):
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def answer(self, request, with_body):
        """For the server's requests."""
        *repository, kind, name = request.path.split("?")[0].removeprefix("/v2/").split("/")
        digest = name if kind == "blobs" else self._manifests.get(("/".join(repository), name))
        if digest == self._layer_digest:
            with open(self._layer, "rb") as layer:
                _begin(request, digest, self._layer.stat().st_size, "application/octet-stream")
                if with_body:
                    shutil.copyfileobj(layer, request.wfile)
        elif digest in self._blobs:
            _begin(request, digest, len(self._blobs[digest]), oci.MANIFEST)
            if with_body:
                request.wfile.write(self._blobs[digest])
        else:
            request.send_response(HTTPStatus.NOT_FOUND)
            request.send_header("Content-Length", "0")
            request.end_headers()


def _begin(request, digest, size, media_type):
    request.send_response(HTTPStatus.OK)
    request.send_header("Content-Type", media_type)
    request.send_header("Content-Length", str(size))
    request.send_header("Docker-Content-Digest", digest)
    request.end_headers()
