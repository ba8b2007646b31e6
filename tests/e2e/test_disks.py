"""Block devices of the host as disks of the machine."""

import os
import shutil
import stat
import subprocess

import pytest
from conftest import both_versions
from cppvmdev.waiting import wait_until
from cppvmdev.wire import Refused
from harness import disks
from harness.shim import Task, spec
from harness.spec import SpecRunner

pytestmark = pytest.mark.vm


@pytest.fixture(name="device")
def device_fixture(tmp_path):
    with disks.loop_device(disks.make_image(tmp_path / "disk.img")) as device:
        before = os.stat(device)
        yield device
        after = os.stat(device)
        assert (after.st_uid, after.st_gid, after.st_mode) == (before.st_uid, before.st_gid, before.st_mode)


def read_first(path, size):
    with open(path, "rb") as file:
        return file.read(size)


def disk_names(container):
    """What the machine has at this moment."""
    return container.sh("cd /sys/block && ls -d vd* || true").split()


def device_of(path, at, mode=None):
    number = os.stat(path).st_rdev
    made = {"path": at, "type": "b", "major": os.major(number), "minor": os.minor(number), "uid": 12, "gid": 34}
    return made if mode is None else {**made, "fileMode": mode}


def rule_of(path, access):
    number = os.stat(path).st_rdev
    numbers = {"major": os.major(number), "minor": os.minor(number)}
    return {"allow": True, "type": "b", "access": access, **numbers}


def test_device(runner, device):
    """What is written there is on the host's device, and the other way round."""
    with open(device, "r+b") as file:
        file.write(b"from the host")
    container = runner.start(options=("--device", device))
    assert container.sh(f"head -c 13 {device}") == "from the host"
    container.sh(f"printf 'from the guest' | dd of={device} bs=1M seek=1 conv=fsync 2>/dev/null")
    assert disk_names(container) == ["vda"]
    assert container.sh("cat /sys/block/vda/size").strip() == str(8 * disks.MIB // 512)
    container.delete()
    with open(device, "rb") as file:
        file.seek(disks.MIB)
        assert file.read(14) == b"from the guest"


def test_device_is_what_the_spec_says(runner, tmp_path, device):
    """Path, mode and owner; read-only where the rules allow no more, whoever the process is."""
    specs = SpecRunner(runner, tmp_path)

    def edit(config):
        config["linux"]["devices"] = [device_of(device, "/dev/data", 0o640)]
        config["linux"]["resources"]["devices"] = [{"allow": False, "access": "rwm"}, rule_of(device, "r")]

    script = (
        "stat -c '%F %a %u:%g' /dev/data; head -c 4 /dev/data >/dev/null && echo read;"
        " echo x >/dev/data || echo refused; cat /sys/block/vda/ro"
    )
    result = specs.run(edit, "sh", "-c", script).check()
    assert result.text.splitlines() == ["block special file 640 12:34", "read", "refused", "1"]
    assert "Operation not permitted" in result.error


def test_device_that_no_rule_names_is_not_given_away(runner, tmp_path, device):
    """A privileged container's spec lists all devices of the host."""
    specs = SpecRunner(runner, tmp_path)

    def edit(config):
        config["linux"]["devices"] = [device_of(device, "/dev/data")]
        config["linux"]["resources"]["devices"] = [{"allow": True, "access": "rwm"}]

    result = specs.run(edit, "sh", "-c", "ls /dev/data || ls /sys/block").check()
    assert "vda" not in result.text
    assert "linux.devices[0]" in runner.containerd.log.read_text(errors="replace")


def test_bind_mounted_device(runner, device, tmp_path):
    """The node as a volume, with a rule that allows it."""
    specs = SpecRunner(runner, tmp_path)

    def edit(config):
        config["mounts"].append(
            {"destination": "/data/disk", "type": "bind", "source": device, "options": ["rbind", "rw"]}
        )
        config["linux"]["resources"]["devices"] = [{"allow": False, "access": "rwm"}, rule_of(device, "rw")]

    specs.run(edit, "sh", "-c", "echo hello >/data/disk && sync").check()
    assert read_first(device, 6) == b"hello\n"
    mode = stat.S_IMODE(os.stat(device).st_mode)
    assert specs.run(edit, "stat", "-c", "%a", "/data/disk").check().text.strip() == f"{mode:o}"


def test_two_pods_with_one_device(runner, device):
    """As with runc, whose containers see each other's writes there."""
    first = runner.start(options=("--device", device))
    second = runner.start(options=("--device", device))
    second.sh(f"printf 'from the second' | dd of={device} conv=fsync,notrunc 2>/dev/null")
    assert read_first(device, 15) == b"from the second"
    second.delete()
    assert disk_names(first) == ["vda"]
    first.delete()


def test_device_that_has_vanished(runner, tmp_path):
    """Its number is in the spec, and nothing behind it."""
    specs = SpecRunner(runner, tmp_path)

    def edit(config):
        numbers = {"type": "b", "major": 7, "minor": 4095}
        config["linux"]["devices"] = [{"path": "/dev/data", **numbers}]
        config["linux"]["resources"]["devices"] = [{"allow": True, "access": "rwm", **numbers}]

    result = specs.run(edit, "true")
    assert result.code != 0
    assert "block device 7:4095" in result.error and "the host has no block device" in result.error


def root_on(image, *options):
    """Create's mounts, as the blockfile snapshotter describes them."""
    return [{"type": "ext4", "source": str(image), "options": ["loop", *options]}]


def file_in(image, path):
    """Read without mounting it, which a guest's file system should not be on the host."""
    return subprocess.run(["debugfs", "-R", f"cat {path}", image], capture_output=True, text=True, check=True).stdout


def test_root_on_an_image(bundle, tmp_path):
    image = disks.make_ext4(tmp_path / "root.ext4", source=bundle.path / "rootfs")
    shutil.rmtree(bundle.path / "rootfs")
    (bundle.path / "rootfs").mkdir()
    bundle.write_spec(spec("sh", "-c", "cat /proc/mounts >/mounts; echo kept >/file; exec sleep 1000000"))
    with Task(bundle, bundle.start()) as task:
        task.create(rootfs=root_on(image, "noatime"))
        pid = task.call("Start").pid
        assert len(disks.loops_of(image)) == 1
        assert not os.listdir(f"/proc/{pid}/root"), "what the host cannot see without a second mount"
        task.exec("look", spec("sh", "-c", "until cat /file; do :; done")["process"])
        task.call("Start", exec_id="look")
        assert task.call("Wait", exec_id="look").exit_status == 0
        assert task.end() == 137
        wait_until(lambda: not disks.loops_of(image), "end of the loop device")
    assert file_in(image, "/file") == "kept\n"
    assert "/dev/vda / ext4 rw,noatime" in file_in(image, "/mounts")
    subprocess.run(["fsck.ext4", "-f", "-n", image], check=True, capture_output=True)


def test_root_on_a_block_device(bundle, tmp_path):
    """As the device mapper's snapshotter has it. The host cannot mount it while the container lives."""
    image = disks.make_ext4(tmp_path / "root.ext4", source=bundle.path / "rootfs")
    place = tmp_path / "place"
    place.mkdir()
    with disks.loop_device(image) as device, Task(bundle, bundle.start()) as task:
        task.create(rootfs=[{"type": "ext4", "source": device, "options": []}])
        task.call("Start")
        refused = subprocess.run(["mount", device, place], capture_output=True, text=True, check=False)
        assert "already mounted or mount point busy" in refused.stderr, refused
        assert task.end() == 137


def test_root_that_is_no_file_system(bundle, tmp_path):
    """Create fails with the guest's words, and leaves nothing."""
    image = disks.make_image(tmp_path / "root.ext4")
    with Task(bundle, bundle.start()) as task:
        with pytest.raises(Refused) as caught:
            task.create(rootfs=root_on(image))
        assert "file system 'ext4'" in caught.value.text
        assert not disks.loops_of(image)
        task.call("Shutdown")


def test_root_of_a_killed_daemon(bundle, tmp_path):
    """The loop device goes with its users."""
    image = disks.make_ext4(tmp_path / "root.ext4", source=bundle.path / "rootfs")
    with Task(bundle, bundle.start()) as task:
        task.create(rootfs=root_on(image))
        task.call("Start")
        bundle.kill_daemon()
    assert bundle.delete().code == 0
    wait_until(lambda: not disks.loops_of(image), "end of the loop device")


@both_versions
def test_block_file_snapshotter(runner):
    """containerd makes the ext4 file, and mounts it itself only when it unpacks the image."""
    plugins = runner.ctr.command("plugins", "ls").check().text
    if not any("blockfile" in line and line.split()[-1] == "ok" for line in plugins.splitlines()):
        pytest.skip("this containerd has no snapshotter blockfile")
    container = runner.start(options=("--snapshotter", "blockfile"))
    assert " / ext4 rw" in container.sh("grep ' / ' /proc/mounts")
    container.sh("echo kept >/file && sync")
    assert container.sh("cat /file") == "kept\n"
    container.delete()
