"""The names that the shim derives from containerd's address, the namespace and the container id."""

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Identity:
    address: str
    namespace: str
    group: str  # the container's id, or its pod's

    @property
    def hash(self):
        return hashlib.sha256("/".join((self.address, self.namespace, self.group)).encode()).hexdigest()

    @property
    def short(self):
        return self.hash[:16]

    @property
    def domain(self):
        return f"cppvm-{self.short}"
