"""CNI plugins, called as containerd's CRI plugin calls them (the CNI specification, 0.4.0)."""

import json
import os
from pathlib import Path

import pytest

from cppvmdev.ctr import unique_id
from cppvmdev.shell import run

PLUGINS = Path("/usr/lib/cni")  # Debian's containernetworking-plugins


class Network:
    """A list of plugins, whose bridges and the like are in the network namespace `world`."""

    def __init__(self, world, *plugins, ports=()):
        self.name = unique_id("cni")
        self.bridge = f"br{self.name[-8:]}"
        self._world = world
        self._plugins = plugins
        self._ports = [
            {"hostPort": host, "containerPort": guest, "protocol": "tcp"} for host, guest in ports
        ]
        self._added = []

    def add(self, namespace, interface="eth0"):
        """Gives the namespace an interface; returns its addresses by family."""
        self._added.append((namespace, str(namespace.path), interface))
        result = None
        for plugin in self._plugins:
            result = self._call("ADD", plugin, self._added[-1], result)
        return {int(ip["version"]): ip["address"].split("/")[0] for ip in result["ips"]}

    def delete(self, namespace):
        """Takes all of the namespace's away, also if that is gone."""
        for added in [added for added in self._added if added[0] is namespace]:
            for plugin in reversed(self._plugins):
                self._call("DEL", plugin, added, None)
            self._added.remove(added)

    def close(self):
        while self._added:
            self.delete(self._added[-1][0])

    def _call(self, command, plugin, added, previous):
        namespace, path, interface = added
        config = {"cniVersion": "0.4.0", "name": self.name, **plugin}
        if config.get("bridge"):
            config["bridge"] = self.bridge
        if previous:
            config["prevResult"] = previous
        if config.get("capabilities", {}).get("portMappings"):
            config["runtimeConfig"] = {"portMappings": self._ports}
        environ = {
            "CNI_COMMAND": command,
            "CNI_CONTAINERID": namespace.name,
            "CNI_NETNS": path,
            "CNI_IFNAME": interface,
            "CNI_PATH": str(PLUGINS),
            "PATH": os.environ["PATH"],
        }
        result = run(
            "nsenter", f"--net={self._world.path}", PLUGINS / plugin["type"],
            stdin=json.dumps(config).encode(), env=environ,
        )  # fmt: skip
        if result.code != 0 and command == "ADD" and not self._works_here(plugin):
            pytest.skip(f"the CNI plugin {plugin['type']} does not work here: {result.text}")
        assert result.code == 0, result.text + result.error
        return json.loads(result.text) if result.text.strip() else previous

    @staticmethod
    def _works_here(plugin):
        """The first of a list needs what every kernel has; the others iptables, ifb and more."""
        return plugin["type"] in ("bridge", "macvlan", "ptp")


def ranges(*subnets):
    """host-local's part of a plugin, with a default route for each family."""
    defaults = {4: "0.0.0.0/0", 6: "::/0"}
    return {
        "type": "host-local",
        "ranges": [[{"subnet": subnet}] for subnet in subnets],
        "routes": [{"dst": defaults[6 if ":" in subnet else 4]} for subnet in subnets],
    }
