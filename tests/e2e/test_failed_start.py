"""Starts that cannot succeed: a clear error, nothing left behind, and the next one succeeds."""

import shutil

import pytest

from cppvmdev import config
from harness import guest_image

pytestmark = pytest.mark.vm


def _fails(runner, *wanted, options=()):
    """Runs a container that cannot start; its error is one line and contains `wanted`."""
    result = runner.run("true", options=options)
    assert result.code != 0
    for text in wanted:
        assert text.lower() in result.error.lower(), result.error
    assert len(result.error) < 2000, result.error
    return result.error


@pytest.mark.kvm
@pytest.mark.parametrize("key", ["kernel", "initramfs"])
def test_missing_image_file(configured, key):
    _fails(configured(vm={key: f"/no/such/{key}"}), f"/no/such/{key}", "no such file")


@pytest.mark.kvm
@pytest.mark.panics
def test_initramfs_that_is_none(configured, tmp_path):
    (tmp_path / "initramfs").write_bytes(b"this is no initramfs" * 1000)
    runner = configured(vm={"initramfs": str(tmp_path / "initramfs"), "boot_timeout": 20})
    # The guest's kernel panics; its last words are in the error.
    _fails(runner, "boot")


def test_kernel_that_is_none(configured, tmp_path):
    (tmp_path / "kernel").write_bytes(b"this is no kernel" * 1000)
    _fails(configured(vm={"kernel": str(tmp_path / "kernel"), "boot_timeout": 20}))


def test_boot_that_takes_too_long(configured):
    _fails(configured(vm={"boot_timeout": 1}), "boot")


def test_libvirtd_not_there(configured, tmp_path):
    uri = f"qemu+unix:///system?socket={tmp_path}/no-socket"
    _fails(configured(hypervisor={"uri": uri}), "libvirt", "no-socket")


@pytest.mark.parametrize(
    "table, key, name",
    [
        ("hypervisor", "virtiofsd", "virtiofsd"),
        ("hypervisor", "emulator", "emulator"),
        ("hypervisor", "libvirt_helper", "cppvm-libvirt"),
        ("vsock", "vhost_device_vsock", "vhost-device-vsock"),
    ],
)
def test_missing_program(configured, table, key, name):
    if table == "vsock" and shutil.os.path.exists("/dev/vhost-vsock"):
        pytest.skip("this kernel has vhost-vsock, so that program is not used")
    _fails(configured(**{table: {key: f"/no/such/{name}"}}), f"/no/such/{name}")


def test_not_enough_memory(configured):
    _fails(configured(vm={"memory_mib": 1 << 20}), "memory")


def test_unknown_key(configured):
    _fails(configured(vm={"colour": "green"}), "colour", "config-")


def test_value_out_of_range(configured):
    _fails(configured(vm={"vcpus": -1}), "vcpus")


def test_no_toml(runner, tmp_path):
    (tmp_path / "x.toml").write_text("this is = = no TOML")
    _fails(runner.with_config(tmp_path / "x.toml"), "x.toml")


def test_kvm_that_is_not_there(configured):
    if config.kvm_usable():
        pytest.skip("KVM is usable here")
    error = _fails(configured(hypervisor={"acceleration": "kvm"}), "kvm")
    assert "emulation" in error  # how to allow it


def test_unknown_mount_type(runner):
    _fails(runner, "nosuchfs", options=("--mount", "type=nosuchfs,src=none,dst=/data"))


def test_unknown_mount_option(runner):
    _fails(
        runner,
        "nosuchoption",
        options=("--mount", "type=tmpfs,src=tmpfs,dst=/data,options=nosuchoption=1"),
    )


def test_missing_working_directory_under_a_file(runner):
    _fails(runner, "/etc/passwd/x", options=("--cwd", "/etc/passwd/x"))


def test_success_after_failure(configured, runner):
    _fails(configured(vm={"kernel": "/no/such/kernel"}))
    assert runner.run("echo", "well").check().text == "well\n"


def test_image_of_another_build(configured):
    """It works as long as its agent speaks the same version of the protocol."""
    with guest_image.of_another_build() as foreign:
        runner = configured(vm={"initramfs": str(foreign)})
        assert runner.run("echo", "hello").check().text == "hello\n"
