"""kubectl's commands on pods of a real Kubernetes."""

import contextlib
import gzip
import re

import pytest

from cppvmdev import images
from cppvmdev.shell import CommandFailed
from cppvmdev.waiting import wait_until
from harness.cluster import FOREVER, container, pod, shell
from harness.terminal import Terminal

pytestmark = pytest.mark.vm


@pytest.mark.old_containerd
def test_exec(cluster):
    name = cluster.ready(pod(shell()))
    said = cluster.kubectl("exec", "-i", name, "--", "cat", stdin=b"by stdin")
    assert said.text == "by stdin"
    many = bytes(range(256)) * 4096
    assert cluster.kubectl("exec", "-i", name, "--", "cat", stdin=many).out == many
    with pytest.raises(CommandFailed, match="exit code 7"):
        cluster.sh(name, "exit 7")
    with Terminal(cluster.node.kubectl_command("exec", "-it", name, "--", "sh")) as terminal:
        terminal.type("stty size; tty\r")
        terminal.expect("24 80")
        terminal.expect("/dev/pts/")
        terminal.resize(50, 132)
        terminal.type('while [ "$(stty size)" != "50 132" ]; do usleep 50000; done; echo re""sized\r')
        terminal.expect("resized")
        terminal.type("exit 3\r")
        assert terminal.wait() == 3
    cluster.delete(name)


@pytest.mark.any_sandboxer
def test_copies(cluster, tmp_path):
    name = cluster.ready(pod(shell()))
    source = tmp_path / "source"
    (source / "below").mkdir(parents=True)
    (source / "below/large").write_bytes(bytes(range(256)) * 8192)
    (source / "below/run").write_text("#!/bin/sh\necho ran\n")
    (source / "below/run").chmod(0o755)
    cluster.kubectl("cp", source, f"{name}:/copy")
    assert cluster.sh(name, "/copy/below/run; stat -c %s /copy/below/large") == "ran\n2097152\n"
    cluster.kubectl("cp", f"{name}:/copy", tmp_path / "back")
    assert (tmp_path / "back/below/large").read_bytes() == (source / "below/large").read_bytes()
    cluster.delete(name)


@pytest.mark.old_containerd
def test_attach_and_logs(cluster):
    """To a container's first process; what it says is also in its log, followed and rotated."""
    script = "while read -r line; do echo said $line; done; exec sleep 1000000"
    name = cluster.ready(pod(shell(script, stdin=True)))
    for word in ("first", "again"):
        with cluster.beside("attach", "-i", name, stdin=-1, stdout=-1, text=True) as attached:
            attached.stdin.write(f"{word}\n")
            attached.stdin.flush()
            assert attached.stdout.readline() == f"said {word}\n"
    with cluster.beside("logs", "-f", name, stdout=-1, text=True) as followed:
        assert [followed.stdout.readline() for _ in range(2)] == ["said first\n", "said again\n"]
    cluster.delete(name)


@pytest.mark.any_sandboxer
def test_log_that_is_rotated(cluster):
    """At 1 MiB, as the node is configured: nothing is lost meanwhile."""
    lines, rounds = 18000, 9
    size = lines // rounds
    script = (
        f"i=0; while [ $i -lt {rounds} ]; do from=$((100001 + i * {size})); i=$((i + 1)); usleep 700000\n"
        f"seq $from $((from + {size} - 1)) | sed 's/^/{'x' * 50}/'; done; {FOREVER}"
    )
    name = cluster.ready(pod(shell(script)))
    uid = cluster.get("pod", name)["metadata"]["uid"]
    directory = next(cluster.node.log_directory().glob(f"*{uid}")) / "c"
    wait_until(lambda: len(list(directory.iterdir())) > 1, "the rotation", 60)
    # Not by `kubectl logs --tail`, which looks at the last file alone, and that may be a new one.
    wait_until(lambda: _text_of(directory).endswith(f"x{100000 + lines}\n"), "the last line", 60)
    numbers = re.findall(r"x(\d{6})$", _text_of(directory), re.M)
    assert numbers == [str(100001 + number) for number in range(lines)]
    cluster.delete(name)


def _text_of(directory):
    """Of all files of a log. Rotated ones have their times at their ends, and go before the one that is
    written; the kubelet packs those that are older than the last."""
    text = ""
    for path in sorted(directory.iterdir(), key=lambda path: (path.name == "0.log", path.name)):
        with contextlib.suppress(FileNotFoundError):  # rotated at this moment
            text += gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()
    return text


def test_debug_containers(cluster):
    """One that is put into a running pod sees its target's processes, and the pod's network."""
    web = container("httpd", "-f", "-p", "8080", "-h", "/", name="web")
    name = cluster.ready(pod(web, shell(name="other")))
    script = "ps; wget -qO- http://127.0.0.1:8080/etc/passwd; cat /proc/1/root/etc/group; hostname"
    cluster.kubectl(
        "debug", name, f"--image={images.SMALL}", "--target=web", "--container=debugger",
        "--profile=general", "--", "sh", "-c", script,
    )  # fmt: skip

    def ended():
        entries = cluster.status(name).get("ephemeralContainerStatuses", [])
        return next((entry["state"]["terminated"] for entry in entries if "terminated" in entry["state"]), None)

    assert wait_until(ended, "the debugger's end", 60)["exitCode"] == 0
    said = cluster.logs(name, "-c", "debugger")
    assert "httpd -f -p 8080" in said and "sleep 1000000" not in said
    assert "root:x:0:0" in said and "nogroup:" in said and said.endswith(f"{name}\n")
    assert cluster.restarts(name) == 0
    cluster.delete(name)


def test_probes_each_second(cluster):
    """Each is an exec: none of them leaves anything, and one that fails restarts the container."""
    probe = {"exec": {"command": ["sh", "-c", "echo x >> /probes; test ! -e /ill"]}, "periodSeconds": 1}
    made = shell(livenessProbe={**probe, "failureThreshold": 1}, readinessProbe=probe)
    name = cluster.ready(pod(made, restartPolicy="Always"))
    daemon = cluster.only_daemon()

    def probes():
        return int(cluster.sh(name, "wc -l < /probes"))

    wait_until(lambda: probes() >= 4, "some probes", 60)
    held = daemon.descriptors()
    wait_until(lambda: probes() >= 14, "more probes", 60)
    wait_until(lambda: daemon.descriptors() <= held, "nothing left of them", 20)
    cluster.sh(name, "touch /ill")
    wait_until(lambda: cluster.restarts(name) == 1, "the restart", 60)
    cluster.delete(name)
