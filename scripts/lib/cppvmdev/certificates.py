"""A certificate authority for tests: made with openssl, below a directory."""

import ipaddress
from pathlib import Path

from .shell import run

_DAYS = "30"


class Authority:
    """Keys and certificates as NAME.key and NAME.crt in `path`; its own are ca.key and ca.crt, and
    sa.key and sa.pub a pair that signs tokens."""

    def __init__(self, path):
        self.path = Path(path)

    def make(self):
        self.path.mkdir(parents=True)
        self._key("ca")
        self._key("sa")
        self._openssl("ec", "-in", "sa.key", "-pubout", "-out", "sa.pub")
        self._openssl(
            "req", "-x509", "-new", "-key", "ca.key", "-subj", "/CN=test", "-days", _DAYS, "-out", "ca.crt"
        )  # fmt: skip

    def certify(self, name, subject, names=()):
        """For a client and, where it has names (of hosts, or addresses), for a server."""
        self._key(name)
        self._openssl("req", "-new", "-key", f"{name}.key", "-subj", subject, "-out", f"{name}.csr")
        lines = ["extendedKeyUsage=clientAuth,serverAuth"]
        if names:
            lines.append("subjectAltName=" + ",".join(map(_alternative, names)))
        extensions = self.path / f"{name}.ext"
        extensions.write_text("\n".join(lines))
        self._openssl(
            "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key",
            "-CAcreateserial", "-days", _DAYS, "-extfile", extensions, "-out", f"{name}.crt",
        )  # fmt: skip

    def _key(self, name):
        self._openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{name}.key")

    def _openssl(self, *args):
        run("openssl", *args, cwd=self.path).check()


def _alternative(name):
    try:
        return f"IP:{ipaddress.ip_address(name)}"
    except ValueError:
        return f"DNS:{name}"
