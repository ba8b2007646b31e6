"""`cppvm check`: what the host needs, and what to do about what is missing."""

import pytest

from cppvmdev import config, shell
from harness import session, settings

pytestmark = pytest.mark.vm


def _check(path):
    arguments = ["--config", path] if path else []
    return shell.run(settings.STAGE / "bin/cppvm", "check", *arguments)


@pytest.mark.kvm
def test_host_that_is_ready(containerd):
    assert containerd.process()
    result = _check(session.config_file())
    assert result.code == 0, result.text
    for requirement in ("QEMU", "virtiofsd", "libvirtd", "kernel", "initramfs", "memory", "vsock"):
        assert requirement in result.text


@pytest.mark.kvm
def test_what_the_isolation_consists_of(containerd):
    assert containerd.process()
    result = _check(session.config_file())
    assert result.code == 0, result.text
    found = {line[9:31].strip(): line for line in result.text.splitlines()}
    assert "of its own for each sandbox" in found["QEMU's user"]
    assert "version" in found["cgroup"]
    for layer in ("access control", "QEMU's seccomp", "vsock's carrier", "virtiofsd's sandbox"):
        assert layer in found


@pytest.mark.parametrize(
    "table, key, value",
    [
        ("vm", "kernel", "/no/such/kernel"),
        ("vm", "initramfs", "/no/such/initramfs"),
        ("vm", "memory_mib", 1 << 20),
        ("hypervisor", "emulator", "/no/such/qemu"),
        ("hypervisor", "virtiofsd", "/no/such/virtiofsd"),
        ("hypervisor", "libvirt_helper", "/no/such/helper"),
        ("hypervisor", "uri", "qemu+unix:///system?socket=/no/such/socket"),
    ],
)
def test_missing_requirement(containerd, tmp_path, table, key, value):
    assert containerd.process()
    path = config.write(tmp_path / "config.toml", settings.CONFIG_STAGE, {table: {key: value}})
    result = _check(path)
    assert result.code == 1, result.text
    assert "MISSING" in result.text
    assert "->" in result.text  # the remedy


def test_kvm_that_is_not_usable(containerd, tmp_path):
    if config.kvm_usable():
        pytest.skip("KVM is usable here")
    assert containerd.process()
    path = config.write(tmp_path / "config.toml", settings.STAGE, emulation=False)
    result = _check(path)
    assert result.code == 1, result.text
    assert "KVM" in result.text and "emulation" in result.text
