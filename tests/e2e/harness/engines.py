"""What is tried with each client that has docker's commands (cppvmdev.engine)."""

from cppvmdev.images import SMALL
from cppvmdev.namespaces import Pair
from cppvmdev.waiting import wait_until

_SERVER = "mkdir /www; echo from inside > /www/index.html; echo serving; exec httpd -f -v -p 80 -h /www"


def live_with_a_published_port(engine, world, outside, subnet):
    """From run to rm. The engine's bridge is in `world`, at `subnet`.1."""
    Pair(outside, world)
    name = engine.start_container("-p", "8080:80", SMALL, "sh", "-c", _SERVER)
    wait_until(lambda: "serving" in engine.text("logs", name), "the server", 30)
    page = outside.run("curl", "-sS", "--max-time", "20", "http://10.77.0.2:8080/")
    assert page.check().text == "from inside\n"
    assert f"{subnet}." in engine.text("exec", name, "ip", "address", "show", "eth0")
    engine.text("exec", name, "ping", "-c", "1", "-W", "5", f"{subnet}.1")
    hostname = engine.text("exec", name, "hostname")
    assert hostname in engine.text("exec", name, "cat", "/etc/hosts")
    engine.text("stop", "-t", "1", name)
    assert engine.text("inspect", "-f", "{{.State.Status}}", name) == "exited"
    engine.text("rm", name)


def have_no_network_or_the_hosts(engine):
    def interfaces(network):
        options = ("--rm", "--runtime", engine.runtime, "--network", network)
        return engine.text("run", *options, SMALL, "ls", "/sys/class/net").split()

    assert interfaces("none") == ["lo"]
    assert interfaces("host") == ["eth0", "lo"]
