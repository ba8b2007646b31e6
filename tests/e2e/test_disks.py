"""Block devices of the host as disks of the machine."""

import os
import shutil
import stat
import subprocess

import pytest
from conftest import both_versions
from cppvmdev import processes
from cppvmdev.waiting import wait_until
from cppvmdev.wire import Refused
from harness import disks
from harness.shim import Task, spec
from harness.slow import slow_calls
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


def test_disk_that_qemu_is_slow_to_close(bundle, tmp_path):
    """libvirt shows no disk any more before QEMU has closed what the disk was made of."""
    image = disks.make_image(tmp_path / "root.ext4")
    with Task(bundle, bundle.start()) as task:
        with pytest.raises(Refused):
            task.create(rootfs=root_on(image))
        (qemu,) = processes.helpers(bundle.identity, "qemu-system")
        with slow_calls(qemu.pid, "close", milliseconds=200):
            with pytest.raises(Refused) as caught:
                task.create(rootfs=root_on(image))
            assert not disks.loops_of(image)
        assert "file system 'ext4'" in caught.value.text
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


def layered(writable, *layers):
    """Create's mounts of the erofs snapshotter with a default_size; the top layer first."""
    lower = "{{ mount 1 }}" if len(layers) == 1 else "{{ overlay 1 %d }}" % len(layers)
    options = [f"X-containerd.mkdir.path={{{{ mount 0 }}}}/{name}:0755" for name in ("upper", "work")]
    options += ["workdir={{ mount 0 }}/work", "upperdir={{ mount 0 }}/upper", "lowerdir=" + lower]
    return [
        {"type": "ext4", "source": str(writable), "options": ["rw", "loop"]},
        *({"type": "erofs", "source": str(layer), "options": ["ro", "loop"]} for layer in layers),
        {"type": "format/mkdir/overlay", "source": "overlay", "options": options},
    ]


def make_layers(tmp_path, rootfs, count):
    """Of which each has a file "top" of its own over those below; the last one is the image."""
    layers = []
    for number in range(count - 1, 0, -1):
        content = tmp_path / f"content{number}"
        content.mkdir()
        (content / "top").write_text(f"{number}\n")
        (content / f"file{number}").write_text(f"{number}\n")
        layers.append(disks.make_erofs(tmp_path / f"{number}.erofs", content))
    return [*layers, disks.make_erofs(tmp_path / "0.erofs", rootfs)]


LOOK = "exec >/look; cat /top; ls /file* | wc -l; grep -c ' / overlay rw' /proc/mounts; exec sleep 1000000"


def look_at_layers(bundle, mounts, look=LOOK):
    """Runs a container on them until it has looked."""
    shutil.rmtree(bundle.path / "rootfs")
    (bundle.path / "rootfs").mkdir()
    bundle.write_spec(spec("sh", "-c", look))
    with Task(bundle, bundle.start()) as task:
        task.create(rootfs=mounts)
        task.call("Start")
        task.exec("wait", spec("sh", "-c", "until test $(wc -l </look) = 3; do :; done")["process"])
        task.call("Start", exec_id="wait")
        assert task.call("Wait", exec_id="wait").exit_status == 0
        assert task.end() == 137


@pytest.mark.parametrize("count", [2, 120])
def test_root_of_layers(bundle, tmp_path, count):
    """More than a machine has ports for disks; put together in the guest."""
    layers = make_layers(tmp_path, bundle.path / "rootfs", count)
    writable = disks.make_ext4(tmp_path / "rwlayer.img")
    look_at_layers(bundle, layered(writable, *layers))
    assert file_in(writable, "/upper/look") == f"{count - 1}\n{count - 1}\n1\n"
    wait_until(lambda: not any(disks.loops_of(file) for file in [writable, layers[-1]]), "end of the loop devices")


def test_root_of_layers_and_a_directory(bundle, tmp_path):
    """Without a default_size: the host puts it together, for the guest's overlay could not write there."""
    layers = make_layers(tmp_path, bundle.path / "rootfs", 3)
    for name in ("fs", "work"):
        (tmp_path / name).mkdir()
    mounts = layered("", *layers)[1:]
    mounts[-1]["options"] = [f"workdir={tmp_path}/work", f"upperdir={tmp_path}/fs", "lowerdir={{ overlay 0 2 }}"]
    look_at_layers(bundle, mounts, LOOK.replace("overlay", "virtiofs"))
    assert (tmp_path / "fs" / "look").read_text() == "2\n2\n1\n"
    wait_until(lambda: not disks.loops_of(layers[-1]), "end of the loop devices")


@pytest.mark.parametrize("fault", ["gone", "garbage"])
def test_root_of_layers_with_a_fault(bundle, tmp_path, fault):
    layers = make_layers(tmp_path, bundle.path / "rootfs", 2)
    if fault == "gone":
        layers[0].unlink()
    else:
        disks.make_image(layers[0])
    writable = disks.make_ext4(tmp_path / "rwlayer.img")
    with Task(bundle, bundle.start()) as task:
        with pytest.raises(Refused) as caught:
            task.create(rootfs=layered(writable, *layers))
        assert str(layers[0]) in caught.value.text if fault == "gone" else "'erofs'" in caught.value.text
        assert not disks.loops_of(writable)
        task.call("Shutdown")


@both_versions
def test_erofs_snapshotter(runner):
    """Layers and the writable layer are files of containerd's; the guest puts them together."""
    plugins = runner.ctr.command("plugins", "ls").check().text
    if not any("erofs" in line and "snapshotter" in line and line.split()[-1] == "ok" for line in plugins.splitlines()):
        pytest.skip("this containerd has no snapshotter erofs")
    first = runner.start(options=("--snapshotter", "erofs"))
    second = runner.start(options=("--snapshotter", "erofs"))
    assert " / overlay rw" in first.sh("grep ' / ' /proc/mounts")
    first.sh("echo kept >/file && sync")
    assert first.sh("cat /file") == "kept\n"
    assert second.sh("ls /file 2>/dev/null || echo none") == "none\n"
    first.delete()
    second.delete()
