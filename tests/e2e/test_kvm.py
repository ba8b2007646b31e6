"""What only a machine with KVM and the kernel's vhost-vsock can show."""

import os
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from cppvmdev import config, libvirt, processes, shell
from harness import settings

pytestmark = [
    pytest.mark.vm,
    pytest.mark.kvm,
    pytest.mark.skipif(not config.kvm_usable(), reason="KVM is not usable here"),
    pytest.mark.skipif(not os.path.exists("/dev/vhost-vsock"), reason="no vhost-vsock here"),
]


def _domain(box):
    text = shell.run("virsh", "-c", libvirt.URI, "dumpxml", box.identity.domain).check().text
    return ElementTree.fromstring(text)


def _cid(box):
    return int(_domain(box).find("devices/vsock/cid").get("address"))


def _open_files(process):
    directory = Path(f"/proc/{process.pid}/fd")
    return {os.readlink(entry) for entry in directory.iterdir()}


def test_kvm_and_vhost_vsock_are_used(runner):
    box = runner.start()
    assert _domain(box).get("type") == "kvm"
    assert _cid(box) >= 3
    (qemu,) = box.helpers("qemu-system")
    assert {"/dev/kvm", "/dev/vhost-vsock"} <= _open_files(qemu)
    assert not [p for p in processes.everything() if p.comm.startswith("vhost-device-vs")]
    assert "kvm-clock" in box.sh("cat /sys/devices/system/clocksource/*/available_clocksource")
    box.delete()


def test_qemu_is_confined(runner):
    """It has a user of its own, and the AppArmor profile that libvirt makes for it."""
    box = runner.start()
    (qemu,) = box.helpers("qemu-system")
    assert os.stat(f"/proc/{qemu.pid}").st_uid in settings.HELPER_USERS
    profile = Path(f"/proc/{qemu.pid}/attr/current").read_text().strip()
    uuid = _domain(box).findtext("uuid")
    assert profile == f"libvirt-{uuid} (enforce)"
    box.delete()


def test_two_at_once(runner):
    boxes = [runner.start(), runner.start()]
    assert len({_cid(box) for box in boxes}) == 2
    assert len({box.sh("cat /proc/sys/kernel/random/boot_id") for box in boxes}) == 2
    boxes[0].delete()
    assert boxes[1].sh("echo still") == "still\n"
    boxes[1].delete()


@pytest.mark.skipif(settings.RELEASE != "system", reason="not a machine of its own")
def test_kernel_that_apparmor_keeps_from_qemu(configured):
    """libvirt would say "cannot load AppArmor profile" and the reason only in its log."""
    kernel = Path("/usr/share/cppvm-test-kernel")
    shutil.copy(settings.IMAGE / "vmlinuz", kernel)
    try:
        result = configured(vm={"kernel": str(kernel)}).run("true")
        assert result.code != 0
        assert str(kernel) in result.error and "AppArmor" in result.error
        assert "/var/lib/cppvm" in result.error
    finally:
        kernel.unlink()


@pytest.mark.skipif(settings.RELEASE != "system", reason="not systemd's libvirtd")
def test_libvirtd_that_its_socket_starts(runner):
    """Debian's libvirtd ends after two idle minutes, and may end while containers run."""

    def stop():
        shell.run("systemctl", "stop", "libvirtd.service").check()
        assert not libvirt.running("libvirtd")

    stop()
    box = runner.start()
    stop()
    assert box.sh("echo well") == "well\n"
    stop()
    box.delete()


def test_port_for_the_hello():
    """The unit tests that need a local transport of AF_VSOCK, which few machines have."""
    shell.run("modprobe", "vsock_loopback").check()
    program = Path(__file__).parents[2] / "unit_host_vm"
    result = shell.run(program, "--gtest_filter=KernelVsockTest.*").check()
    assert "[  PASSED  ] 3 tests." in result.text, result.text
