"""What only a machine with KVM and the kernel's vhost-vsock can show."""

import os
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from cppvmdev import config, libvirt, processes, shell
from cppvmdev.ctr import unique_id
from cppvmdev.identity import Identity
from cppvmdev.namespaces import Pair
from cppvmdev.nested import SPARE_DEVICES
from harness import settings
from harness.runner import in_network

pytestmark = [
    pytest.mark.vm,
    pytest.mark.kvm,
    pytest.mark.skipif(not config.kvm_usable(), reason="KVM is not usable here"),
    pytest.mark.skipif(not os.path.exists("/dev/vhost-vsock"), reason="no vhost-vsock here"),
]


def _domain(container):
    text = shell.run("virsh", "-c", libvirt.URI, "dumpxml", container.identity.domain).check().text
    return ElementTree.fromstring(text)


def _cid(container):
    return int(_domain(container).find("devices/vsock/cid").get("address"))


def _open_files(process):
    directory = Path(f"/proc/{process.pid}/fd")
    return {os.readlink(entry) for entry in directory.iterdir()}


def test_kvm_and_vhost_vsock_are_used(runner):
    container = runner.start()
    assert _domain(container).get("type") == "kvm"
    assert _cid(container) >= 3
    (qemu,) = container.helpers("qemu-system")
    assert {"/dev/kvm", "/dev/vhost-vsock"} <= _open_files(qemu)
    assert not [p for p in processes.everything() if p.comm.startswith("vhost-device-vs")]
    script = "cat /sys/devices/system/clocksource/*/available_clocksource"
    assert "kvm-clock" in container.sh(script)
    container.delete()


def test_vhost_net_is_used(runner, namespaces):
    """libvirt loads its module."""
    outside, inside = namespaces
    pair = Pair(outside, inside).default_routes()
    container = runner.start(options=in_network(inside))
    (qemu,) = container.helpers("qemu-system")
    assert {"/dev/vhost-net", "/dev/net/tun"} <= _open_files(qemu)
    container.sh(f"ping -c 2 -W 10 {pair.addresses[4][0]}")
    container.delete()


def test_qemu_is_confined(runner):
    """It has a user of its own, and the AppArmor profile that libvirt makes for it."""
    container = runner.start()
    (qemu,) = container.helpers("qemu-system")
    assert os.stat(f"/proc/{qemu.pid}").st_uid in settings.HELPER_USERS
    profile = Path(f"/proc/{qemu.pid}/attr/current").read_text().strip()
    uuid = _domain(container).findtext("uuid")
    assert profile == f"libvirt-{uuid} (enforce)"
    container.delete()


def test_two_at_once(runner):
    containers = [runner.start(), runner.start()]
    assert len({_cid(container) for container in containers}) == 2
    boot_ids = {container.sh("cat /proc/sys/kernel/random/boot_id") for container in containers}
    assert len(boot_ids) == 2
    containers[0].delete()
    assert containers[1].sh("echo still") == "still\n"
    containers[1].delete()


_PCI = Path("/sys/bus/pci")


def _bind(address, driver):
    """Takes the host's device from its driver and gives it to another; "": to none."""
    device = _PCI / "devices" / address
    if (device / "driver").exists():
        (device / "driver/unbind").write_text(address)
    (device / "driver_override").write_text(f"{driver}\n")
    if driver:
        (_PCI / "drivers_probe").write_text(address)
        assert os.path.basename(os.readlink(device / "driver")) == driver


@pytest.fixture(name="group")
def group_fixture():
    """The node of the IOMMU group of the spare devices, of which vfio-pci has all."""
    if not all((_PCI / "devices" / address / "iommu_group").exists() for address in SPARE_DEVICES):
        pytest.skip("the machine has no spare devices behind an IOMMU")
    shell.run("modprobe", "vfio-pci").check()
    groups = {os.readlink(_PCI / "devices" / address / "iommu_group") for address in SPARE_DEVICES}
    assert len(groups) == 1
    for address in SPARE_DEVICES:
        _bind(address, "vfio-pci")
    yield Path("/dev/vfio") / os.path.basename(groups.pop())
    for address in SPARE_DEVICES:
        _bind(address, "")


def _hardware(container):
    """How many devices it sees that are like the spare ones: no machine has one of its own."""
    return container.sh("cat /sys/bus/pci/devices/*/device").split().count("0x1044")


def _group_is_open(identity, group):
    (qemu,) = processes.helpers(identity, "qemu-system")
    return str(group) in _open_files(qemu)


def test_hardware(runner, group):
    """The guest's driver has it, and reaches its memory through the IOMMU."""
    options = ("--device", str(group), "--device", "/dev/hwrng")
    container = runner.start(options=options)
    assert _hardware(container) == 2
    assert _group_is_open(container.identity, group)
    assert container.sh("cat /sys/class/misc/hw_random/rng_current").startswith("virtio_rng")
    assert container.sh("head -c 64 /dev/hwrng | wc -c").strip() == "64"
    assert container.sh("ls /dev/vfio 2>/dev/null || echo none") == "none\n"
    assert os.stat(group).st_uid == 0
    second = runner.run("true", options=("--device", str(group)))
    assert second.code != 0
    assert f"IOMMU group {group.name} is in use, by another machine or program" in second.error
    container.delete()
    # It is free again.
    again = runner.run("true", options=("--device", str(group)))
    assert again.code == 0, again.error


def test_hardware_of_a_pod(runner, group):
    """It stays with the last container that has it, and goes while the machine runs on."""
    name = unique_id("pod")
    pod = ("--annotation", f"io.containerd.runc.v2.group={name}")
    identity = Identity(runner.containerd.address, runner.ctr.namespace, name)
    first = runner.start(options=pod)
    assert _hardware(first) == 0
    owners = [runner.start(options=(*pod, "--device", str(group))) for _ in range(2)]
    assert _hardware(first) == 2
    assert _group_is_open(identity, group)
    owners[0].delete()
    assert _hardware(first) == 2
    owners[1].delete()
    assert _hardware(first) == 0
    assert not _group_is_open(identity, group)
    assert os.stat(group).st_uid == 0
    first.delete()


def test_hardware_that_another_driver_has(runner, group):
    address = SPARE_DEVICES[1]
    _bind(address, "virtio-pci")
    result = runner.run("true", options=("--device", str(group)))
    assert result.code != 0
    assert f"the driver virtio-pci has its device {address}; bind that to vfio-pci" in result.error


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
    container = runner.start()
    stop()
    assert container.sh("echo well") == "well\n"
    stop()
    container.delete()


def test_port_for_the_hello():
    """The unit tests that need a local transport of AF_VSOCK, which few machines have."""
    shell.run("modprobe", "vsock_loopback").check()
    program = Path(__file__).parents[2] / "unit_host_vm"
    result = shell.run(program, "--gtest_filter=KernelVsockTest.*").check()
    assert "[  PASSED  ] 3 tests." in result.text, result.text
