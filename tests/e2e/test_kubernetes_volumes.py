"""Volumes of pods of a real Kubernetes."""

import shutil
from contextlib import contextmanager

import pytest

from cppvmdev.ctr import unique_id
from cppvmdev.waiting import wait_until
from harness import settings
from harness.cluster import container, local_volume, name_of, pod, settings_of, shell
from harness.disks import MIB, loop_device, make_image

pytestmark = pytest.mark.vm


@pytest.fixture(name="directory")
def directory_fixture(cluster):
    """A directory of the host."""
    path = cluster.node.base / "volumes" / unique_id("v")
    path.mkdir(parents=True)
    return path


def _host(path, kind="", name="host"):
    return {"name": name, "hostPath": {"path": str(path), "type": kind}}


def _mount(path, name="host", **fields):
    return {"name": name, "mountPath": path, **fields}


def _sync(cluster, name):
    """The kubelet looks at a pod's volumes when the pod changes, and once a minute else."""
    cluster.kubectl("annotate", "--overwrite", "pod", name, f"looked-at={unique_id('x')}")


@contextmanager
def _mounted(cluster, directory):
    """A file system of the node's own."""
    cluster.run("mount", "-t", "tmpfs", "none", directory).check()
    try:
        cluster.run("touch", directory / "of-the-mount").check()
        yield
    finally:
        # It is busy as long as a guest remembers files of it.
        cluster.run("umount", "--lazy", directory).check()


def test_directories_and_files_of_the_host(cluster, directory):
    (directory / "below").mkdir()
    (directory / "deep/er").mkdir(parents=True)
    (directory / "file").write_text("of the host\n")
    env = [{"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]
    mounts = [
        _mount("/all", mountPropagation="HostToContainer"),
        _mount("/file", name="file"),
        _mount("/once", readOnly=True),
        _mount("/never", readOnly=True, recursiveReadOnly="Enabled"),
        _mount("/deeper", subPath="deep/er"),
        _mount("/own", subPathExpr="$(POD)"),
        _mount("/single", subPath="file"),
    ]
    volumes = [_host(directory, "Directory"), _host(directory / "file", "File", name="file")]
    with _mounted(cluster, directory / "below"):
        name = cluster.ready(pod(shell(env=env, volumeMounts=mounts), volumes=volumes))
        assert cluster.sh(name, "cat /file /single /all/file") == "of the host\n" * 3
        cluster.sh(name, "echo deep > /deeper/file; echo own > /own/file; echo more >> /single")
        assert (directory / "deep/er/file").read_text() == "deep\n"
        assert (directory / name / "file").read_text() == "own\n"
        # By another mount, it takes as long as the guest believes in what it knows of a file.
        wait_until(lambda: cluster.sh(name, "cat /file") == "of the host\nmore\n", "the line", 10)
        for path in ("/once/x", "/never/x", "/never/below/x"):
            assert "Read-only file system" in cluster.fails(name, f"touch {path}")
        cluster.sh(name, "touch /all/below/x")
        wait_until(lambda: cluster.sh(name, "ls /once/below") == "of-the-mount\nx\n", "the file", 10)
        cluster.sh(name, "touch /once/below/y")
        # What the host mounts later, and unmounts again. In between a listing may name what is gone.
        listing = "ls /all/deep/er 2>/dev/null || :"
        assert cluster.sh(name, listing) == "file\n"
        with _mounted(cluster, directory / "deep/er"):
            wait_until(lambda: cluster.sh(name, listing) == "of-the-mount\n", "the host's mount", 20)
        wait_until(lambda: cluster.sh(name, listing) == "file\n", "the end of it", 20)
        cluster.delete(name)


@pytest.mark.any_sandboxer
def test_mounts_that_the_host_is_to_see(cluster, directory):
    """They stay in the guest, and the log says so."""
    (directory / "below").mkdir()
    mounts = [_mount("/all", mountPropagation="Bidirectional")]
    container_ = shell(volumeMounts=mounts, securityContext={"privileged": True})
    name = cluster.ready(pod(container_, volumes=[_host(directory)]))
    with _mounted(cluster, directory / "below"):
        wait_until(lambda: "of-the-mount" in cluster.sh(name, "ls /all/below"), "the host's mount", 20)
    cluster.sh(name, "mkdir /all/here && mount -t tmpfs none /all/here && touch /all/here/x")
    assert cluster.run("ls", directory / "here").check().text == ""
    assert "options[shared]" in cluster.node.containerd.log_text()
    cluster.delete(name)


@pytest.mark.old_containerd
def test_empty_directories(cluster):
    """Two containers share them, and the group that the pod names has them."""
    mounts = [_mount("/disk", name="disk"), _mount("/memory", name="memory")]
    volumes = [
        {"name": "disk", "emptyDir": {}},
        {"name": "memory", "emptyDir": {"medium": "Memory", "sizeLimit": "4Mi"}},
    ]
    user = {"runAsUser": 1234, "runAsNonRoot": True}
    name = cluster.ready(
        pod(
            shell(name="a", volumeMounts=mounts, securityContext=user),
            shell(name="b", volumeMounts=mounts, securityContext=user),
            securityContext={"fsGroup": 93},
            volumes=volumes,
        )
    )
    for path in ("/disk", "/memory"):
        script = f"stat -c %g {path}; echo by-a > {path}/file; stat -c %g {path}/file"
        assert cluster.sh(name, script, "-c", "a") == "93\n93\n"
        assert cluster.sh(name, f"cat {path}/file; rm {path}/file", "-c", "b") == "by-a\n"
    size = "df -P -k /memory | awk 'END { print $2 }'"
    assert cluster.sh(name, size, "-c", "a") == "4096\n"
    full = cluster.fails(name, "dd if=/dev/zero of=/memory/big bs=64k count=128", "-c", "a")
    assert "No space left on device" in full
    assert cluster.sh(name, "stat -c %s /memory/big; rm /memory/big", "-c", "b") == f"{4 * MIB}\n"
    cluster.sh(name, "echo again > /memory/file", "-c", "a")
    cluster.delete(name)


# Prints what is not one version of both files.
_READER = """
while :; do
    both=$(cd -P /words/..data && cat first second 2>/dev/null | sort -u | wc -l)
    [ "$both" -gt 1 ] && echo torn
    cat /words/first >/dev/null || echo absent
done
"""


@pytest.mark.any_sandboxer
@pytest.mark.old_containerd
def test_settings_that_change(cluster):
    def objects(version):
        return [
            settings_of("ConfigMap", "words", first=f"{version}\n", second=f"{version}\n"),
            settings_of("Secret", "hidden", third=f"{version}\n"),
        ]

    words, hidden = {"name": "words"}, {"secretName": "hidden"}
    sources = [
        {"configMap": words},
        {"secret": {"name": "hidden"}},
        {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
    ]
    volumes = [
        {"name": "words", "configMap": words},
        {"name": "hidden", "secret": {**hidden, "defaultMode": 0o400}},
        {"name": "all", "projected": {"sources": sources}},
    ]
    mounts = [_mount(f"/{volume['name']}", name=volume["name"], readOnly=True) for volume in volumes]
    mounts.append(_mount("/fixed", name="words", subPath="first"))
    cluster.apply(*objects("one"))
    name = cluster.ready(
        pod(
            shell(volumeMounts=mounts),
            shell(_READER, name="reader", volumeMounts=mounts[:1]),
            volumes=volumes,
            labels={"color": "red"},
        )
    )
    everything = "cat /words/first /words/second /hidden/third /all/first /all/third"

    def read():
        return cluster.sh(name, everything, "-c", "c").split()

    assert read() == ["one"] * 5
    assert cluster.sh(name, "stat -L -c %a /hidden/third; cat /all/labels", "-c", "c") == '400\ncolor="red"'
    for version in ("two", "three"):
        cluster.apply(*objects(version))

        def changed(version=version):
            _sync(cluster, name)
            return read() == [version] * 5

        wait_until(changed, "the new words", 90)
    assert cluster.sh(name, "cat /fixed", "-c", "c") == "one\n"  # as Kubernetes says of a subPath
    assert cluster.logs(name, "-c", "reader") == ""
    cluster.delete(name)
    cluster.remove(*objects(""))


def test_update_of_a_config_map_wakes_a_reloader(cluster, directory):
    shutil.copy(settings.STAGE.parent / "tests/watcher/watcher", directory)
    cluster.apply(settings_of("ConfigMap", "reloaded", word="one\n"))
    mounts = [_mount("/tools"), _mount("/words", name="words", readOnly=True)]
    volumes = [_host(directory), {"name": "words", "configMap": {"name": "reloaded"}}]
    script = "sleep 1000000 | /tools/watcher fce /words"  # to the end of its input
    name = cluster.ready(pod(shell(script, volumeMounts=mounts), volumes=volumes))
    wait_until(lambda: cluster.logs(name) == "ready\n", "the watcher", 30)
    cluster.apply(settings_of("ConfigMap", "reloaded", word="two\n"))

    def is_told():
        _sync(cluster, name)
        return "/words moved_to ..data #1\n" in cluster.logs(name)

    wait_until(is_told, "the update", 90)
    assert cluster.sh(name, "cat /words/word") == "two\n"
    cluster.delete(name)
    cluster.remove(settings_of("ConfigMap", "reloaded"))


def test_volumes_of_a_user_namespace(cluster, directory):
    (directory / "file").write_text("of the host\n")
    mounts = [_mount("/all"), _mount("/disk", name="disk")]
    volumes = [_host(directory), {"name": "disk", "emptyDir": {}}]
    name = cluster.ready(pod(shell(volumeMounts=mounts), volumes=volumes, hostUsers=False))
    _, outside, size = cluster.sh(name, "cat /proc/self/uid_map").split()
    assert int(outside) >= 65536 and size == "65536"
    script = "stat -c %u /all/file; touch /all/new /disk/new; stat -c %u /all/new /disk/new; id -u"
    assert cluster.sh(name, script).split() == ["0"] * 4
    # Its root is root of the volume, and nobody else's.
    assert (directory / "new").stat().st_uid == 0
    cluster.delete(name)


@pytest.mark.any_sandboxer
def test_block_volume(cluster, directory):
    image = make_image(directory / "disk")
    name = unique_id("disk")
    with loop_device(image) as device:
        volume = local_volume(name, device, "Block")
        claim = {"name": "disk", "persistentVolumeClaim": {"claimName": name}}
        devices = [{"name": "disk", "devicePath": "/dev/xvda"}]
        cluster.apply(*volume)
        made = cluster.ready(pod(shell(volumeDevices=devices), volumes=[claim]))
        write = "echo written | dd of=/dev/xvda bs=512 conv=sync,fsync"
        script = f"test -b /dev/xvda && {write} && blockdev --getsize64 /dev/xvda"
        assert cluster.sh(made, script) == f"{8 * MIB}\n"
        assert image.read_bytes().startswith(b"written\n")
        cluster.delete(made)
        cluster.remove(*reversed(volume))


@pytest.mark.any_sandboxer
def test_source_that_vanishes(cluster, directory):
    """The container goes on, and so does the pod's end."""
    source = directory / "source"
    source.mkdir()
    (source / "file").write_text("of the host\n")
    name = cluster.ready(pod(shell(volumeMounts=[_mount("/all")]), volumes=[_host(source)]))
    assert cluster.sh(name, "cat /all/file") == "of the host\n"
    cluster.run("rm", "-r", source).check()
    assert cluster.sh(name, "cat /all/file || echo gone") == "gone\n"
    assert cluster.sh(name, "touch /all/x || echo alive") == "alive\n"
    cluster.delete(name)
    absent = pod(container("true", volumeMounts=[_mount("/all")]), volumes=[_host(source, "Directory")])
    cluster.apply(absent)
    wait_until(lambda: "is not a directory" in cluster.events(name_of(absent)), "the reason", 60)
    cluster.delete(name_of(absent))
