"""The tuned guest kernel: what containers need of it works. Needs one that was built:
`scripts/test kernel`."""

from pathlib import Path

import pytest

from cppvmdev.images import REAL
from cppvmdev.namespaces import Namespace, Pair
from cppvmdev.waiting import wait_until
from harness import kernel_features, settings

pytestmark = pytest.mark.vm

_IMAGE = (settings.STAGE / "share/cppvm/tuned").resolve()


@pytest.fixture(name="tuned")
def tuned_fixture(configured):
    """Makes containers in machines that run the tuned kernel."""
    if not (_IMAGE / "vmlinuz").exists():
        pytest.skip("the tuned kernel was not built; scripts/test kernel does")
    image = {"kernel": str(_IMAGE / "vmlinuz"), "initramfs": str(_IMAGE / "initramfs.img")}
    return configured(vm=image)


def test_container_says_its_kernel(tuned):
    result = tuned.run("sh", "-c", "uname -r && cat /proc/modules")
    assert result.code == 0, result.error
    assert result.text.endswith("-cppvm\n"), "not the tuned kernel, or one with modules"


def test_container_has_what_it_needs(tuned):
    script = Path(kernel_features.__file__).read_text(encoding="utf-8")
    result = tuned.run("python3", "-c", script, image=REAL, options=("--privileged",))
    assert result.code == 0, result.error
    lines = result.text.splitlines()
    assert [line for line in lines if not line.startswith("ok ")] == []
    assert len(lines) == len(kernel_features.FEATURES)


def test_machine_has_its_drivers(tuned):
    container = tuned.start()
    drivers = container.sh("ls /sys/bus/pci_express/drivers /sys/bus/virtio/drivers").split()
    wanted = "pciehp virtio_balloon virtio_blk virtio_console virtio_mem virtio_net virtio_rng virtiofs"
    assert not set(wanted.split()) - set(drivers), drivers
    # Memory that is added is used at once.
    assert container.sh("cat /sys/devices/system/memory/auto_online_blocks") == "online\n"
    container.delete()


def test_network(tuned):
    """SCTP, which runc's containers have from the host's modules, and who listens, which the agent
    hears of by a trace event."""
    namespaces = [Namespace(), Namespace()]
    try:
        pair = Pair(*namespaces)
        inside = namespaces[1]
        container = tuned.start(image=REAL, options=("--with-ns", f"network:{inside.path}"))
        server = container.popen_exec("python3", "-c", _SERVE_SCTP_AND_TCP)
        wait_until(lambda: ":8080" in inside.run("ss", "-ltnH").text, "the listener on the host", 30)
        assert inside.run("nc", "-N", "127.0.0.1", "8080").check().text == "by TCP"
        answer = container.exec("python3", "-c", _CONNECT_BY_SCTP, pair.addresses[4][1])
        assert answer.check().text == "by SCTP\n"
        server.wait(20)
        container.delete()
    finally:
        for namespace in namespaces:
            namespace.close()


_SERVE_SCTP_AND_TCP = """if True:
    import socket
    sctp = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP)
    sctp.bind(("0.0.0.0", 9090))
    sctp.listen()
    with socket.create_server(("127.0.0.1", 8080)) as tcp:
        tcp.accept()[0].sendall(b"by TCP")
    sctp.accept()[0].sendall(b"by SCTP")"""

_CONNECT_BY_SCTP = """if True:
    import socket, sys
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP) as peer:
        peer.connect((sys.argv[1], 9090))
        print(peer.recv(100).decode())"""
