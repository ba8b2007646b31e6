"""What containers of a pod see of the host's file systems, and what the host keeps of that."""

import ctypes
import os
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from cppvmdev import processes
from cppvmdev.ctr import unique_id
from cppvmdev.images import REAL
from cppvmdev.identity import Identity
from cppvmdev.waiting import wait_until
from harness.hung_volume import HungVolume
from harness.runner import bind

_LIBC = ctypes.CDLL(None, use_errno=True)
_RENAME_EXCHANGE = 2


def _mounts(below):
    """The host's mounts at a directory and below it."""
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    return sorted(path for line in lines if (path := line.split()[4]).startswith(str(below)))


@contextmanager
def _tmpfs(directory, *options):
    directory.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", *options, "case", directory], check=True)
    try:
        yield directory
    finally:
        subprocess.run(["umount", "-l", directory], check=True)


class _Pod:
    """Containers that share a VM."""

    def __init__(self, runner):
        self._runner = runner
        self._name = unique_id("pod")

    def start(self, *command, options=(), **kwargs):
        group = ("--annotation", f"io.containerd.runc.v2.group={self._name}")
        return self._runner.start(*command, options=(*group, *options), **kwargs)

    def helpers(self, program):
        runner = self._runner
        identity = Identity(runner.containerd.address, runner.ctr.namespace, self._name)
        return processes.helpers(identity, program)

    def descriptors(self):
        """What its servers have open."""
        found = []
        for process in self.helpers("virtiofsd"):
            with suppress(FileNotFoundError):
                for link in Path(f"/proc/{process.pid}/fd").iterdir():
                    with suppress(FileNotFoundError):
                        found.append(os.readlink(link))
        return found


@pytest.fixture(name="pod")
def pod_fixture(runner):
    return _Pod(runner)


def test_files_of_two_file_systems_are_two_files(runner, tmp_path):
    """Two tmpfs have the same inode numbers: tar would take the files for links of one another."""
    with _tmpfs(tmp_path / "a") as a, _tmpfs(tmp_path / "b") as b:
        for directory in (a, b):
            (directory / "f").write_text(f"content of {directory.name}\n")
            os.link(directory / "f", directory / "hard")
        container = runner.start(
            options=(
                *bind(a, "/a"),
                *bind(b, "/b"),
                *bind(a / "f", "/file-a"),
                *bind(b / "f", "/file-b"),
            )
        )
        assert (a / "f").stat().st_ino == (b / "f").stat().st_ino
        names = "/a/f /b/f /file-a /file-b"
        first = container.sh(f"stat -c '%n %d:%i' {names}")
        numbers = [line.split()[1] for line in first.splitlines()]
        assert numbers[0] != numbers[1] and numbers[2] != numbers[3]
        container.sh("tar cf /t.tar -C / a b && mkdir /x && tar xf /t.tar -C /x")
        assert container.sh("cat /x/b/f") == "content of b\n"
        # They stay what they are, whatever is looked at meanwhile.
        container.sh("ls -lR /a /b >/dev/null; echo 2 >/proc/sys/vm/drop_caches || true")
        assert container.sh(f"stat -c '%n %d:%i' {names}") == first
        container.delete()


def test_mounts_below_a_volume_keep_their_flags_and_sizes(runner, tmp_path):
    with _tmpfs(tmp_path / "v", "-o", "size=8m") as top, _tmpfs(top / "sub", "-o", "size=4m"):
        options = ("--mount", f"type=bind,src={top},dst=/v,options=rbind:ro:noexec")
        container = runner.start(options=options)
        size = "awk 'NR == 2 { print $2 }'"
        assert container.sh(f"df -k /v | {size}").strip() == "8192"
        assert container.sh(f"ls /v/sub; df -k /v/sub | {size}").strip() == "4096"
        flags = container.sh("awk '$5 == \"/v\" { print $6 }' /proc/self/mountinfo").split(",")
        assert "ro" in flags and "noexec" in flags
        assert "Read-only" in container.exec("touch", "/v/new").error
        container.sh("touch /v/sub/new")  # as with runc, the flags are the volume's alone
        container.delete()


def test_read_only_down_to_the_last_mount(runner, tmp_path):
    """What Kubernetes asks for with recursiveReadOnly, as runc does it."""
    with _tmpfs(tmp_path / "v") as top, _tmpfs(top / "sub") as middle, _tmpfs(middle / "deep"):
        options = ("--mount", f"type=bind,src={top},dst=/v,options=rbind:rro:rprivate")
        container = runner.start(options=options)
        for place in ("/v/new", "/v/sub/new", "/v/sub/deep/new"):
            assert "Read-only" in container.exec("touch", place).error
        container.delete()


def test_one_source_is_one_file_to_the_whole_pod(pod, tmp_path):
    (tmp_path / "lock").touch()
    idle = {"image": REAL}
    options = (*bind(tmp_path), *bind(tmp_path, "/again", "ro"))
    first = pod.start("sleep", "1000", options=options, **idle)
    second = pod.start("sleep", "1000", options=bind(tmp_path, "/elsewhere"), **idle)
    name = "stat -c %d:%i"
    number = first.sh(f"{name} /data/lock")
    assert first.sh(f"{name} /again/lock") == second.sh(f"{name} /elsewhere/lock") == number
    first.sh("mkfifo /data/fifo")
    reader = first.popen_exec("cat", "/again/fifo", stdout=subprocess.PIPE)
    second.sh("echo through >/elsewhere/fifo")
    assert reader.communicate(timeout=60)[0] == b"through\n"
    # Read-only for who asked for that, although another may write.
    assert "Read-only" in first.exec("touch", "/again/new").error
    holder = first.popen_exec("flock", "/data/lock", "sh", "-c", "touch /data/held; sleep 1000")
    wait_until((tmp_path / "held").exists, "the lock", 30)
    assert second.exec("flock", "-n", "/elsewhere/lock", "true").code == 1
    second.delete()
    first.delete()
    holder.communicate(timeout=60)


def test_creation_by_a_supplementary_group(runner, tmp_path):
    shared = tmp_path / "d"
    shared.mkdir()
    os.chown(shared, 0, 4321)
    shared.chmod(0o2770)
    container = runner.start("sleep", "1000", image=REAL, options=bind(shared))
    argv = ("setpriv", "--reuid=1000", "--regid=1000", "--groups=4321", "touch", "/data/f")
    assert container.exec(*argv).check()
    assert (shared / "f").stat().st_uid == 1000
    container.delete()


def test_late_mount_of_the_host(runner, tmp_path):
    top = tmp_path / "v"
    with _tmpfs(top):
        subprocess.run(["mount", "--make-shared", top], check=True)
        (top / "sub").mkdir()
        options = ("--mount", f"type=bind,src={top},dst=/v,options=rbind:rslave")
        container = runner.start(options=options)
        assert container.sh("ls /v/sub") == ""
        with _tmpfs(top / "sub") as late:
            (late / "file").write_text("inside")
            wait_until(lambda: container.exec("cat", "/v/sub/file").text == "inside", "the mount")
        container.delete()


@pytest.mark.vm
def test_mounts_of_a_container_show_in_the_pod(pod, tmp_path):
    """Those that have the volume with propagation see them, in whatever order they have come; the host
    and whoever has it without do not."""
    (tmp_path / "v").mkdir()
    (tmp_path / "v/m").mkdir()

    def start(words, *more):
        mount = f"type=bind,src={tmp_path}/v,dst=/v,options=rbind:{words}"
        return pod.start(options=("--mount", mount, *more))

    early, private = start("rslave"), start("rprivate")
    maker = start("rshared", "--privileged")
    late, peer = start("rslave:ro"), start("rshared", "--privileged")
    maker.sh("mount -t tmpfs none /v/m && echo inside >/v/m/file")
    assert [each.sh("cat /v/m/file") for each in (early, late, peer)] == ["inside\n"] * 3
    later = start("rslave")
    assert later.sh("cat /v/m/file") == "inside\n"
    assert private.sh("ls /v/m") == "" and not list((tmp_path / "v/m").iterdir())
    # What a slave mounts is its own; what a peer unmounts, all lose, and nobody loses a peer's end.
    late.delete()
    assert early.sh("cat /v/m/file") == "inside\n"
    peer.sh("umount /v/m")
    assert [each.sh("ls /v/m") for each in (maker, early, later)] == [""] * 3
    maker.sh("mount -t tmpfs none /v/m && touch /v/m/again")
    maker.delete()
    assert early.sh("ls /v/m") == "again\n"
    for each in (early, private, peer, later):
        each.delete()
    assert (tmp_path / "v/m").is_dir() and not list((tmp_path / "v/m").iterdir())


@pytest.mark.vm
def test_volumes_pin_nothing_of_the_host(runner, tmp_path):
    """Not even a container that has the whole tree of the host's run directory."""
    with _tmpfs(tmp_path / "v") as top:
        before = _mounts(tmp_path)
        sub = top / "sub"
        with _tmpfs(sub):
            container = runner.start(options=bind("/run", "/host", "ro"))
            other = runner.start(options=bind(top))
            assert _mounts(tmp_path) == sorted([*before, str(sub)])
            assert not _mounts(f"/run/cppvm/{container.identity.short}")
            other.delete()
        sub.rmdir()  # EBUSY where it is still mounted somewhere
        assert _mounts(tmp_path) == before
        container.delete()
        assert _mounts(tmp_path) == before


@pytest.mark.vm
def test_server_lets_go_of_deleted_containers(pod, tmp_path):
    for number in range(50):
        (tmp_path / f"file{number}").write_text("x")
    keeper = pod.start()
    counts = []
    for _ in range(10):
        container = pod.start(options=bind(tmp_path))
        container.sh("ls -lR /data /bin /etc >/dev/null; cat /data/file* >/dev/null")
        container.delete()
        wait_until(
            lambda: not any(str(tmp_path) in name for name in pod.descriptors()),
            "the server to close the volume",
        )
        counts.append(len(pod.descriptors()))
    assert max(counts[1:]) <= counts[0] + 2, counts
    assert counts[-1] <= counts[1] + 1, counts
    keeper.delete()


@pytest.mark.vm
def test_server_may_not_make_devices_and_has_a_limit(runner):
    container = runner.start()
    servers = container.helpers("virtiofsd")
    assert len(servers) >= 2
    for process in servers:
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
        limits = Path(f"/proc/{process.pid}/limits").read_text(encoding="utf-8")
        capabilities = int(status.split("CapEff:")[1].split()[0], 16)
        parent_of_another = capabilities >> 21 & 1  # CAP_SYS_ADMIN: it only waits for its child
        assert parent_of_another or not capabilities >> 27 & 1, "CAP_MKNOD"
        assert int(limits.split("Max open files")[1].split()[1]) <= 262144
    container.delete()


def _exchange(one, other, stop):
    while not stop.is_set():
        _LIBC.renameat2(-100, bytes(one), -100, bytes(other), _RENAME_EXCHANGE)


@pytest.mark.vm
def test_exchanged_names_lead_no_unmount_elsewhere(pod, tmp_path):
    """A directory with mounts below and a link to an unrelated one with mounts of the same names
    change places all the time, while containers that have it come and go."""
    volume, unrelated = tmp_path / "volume", tmp_path / "unrelated"
    for directory in (volume, volume / "a", unrelated):
        directory.mkdir()
    names = [f"m{number}" for number in range(40)]
    mounted = []
    stop = threading.Event()
    thread = None
    try:
        for name in names:
            for parent in (volume / "a", unrelated):
                (parent / name).mkdir()
                subprocess.run(["mount", "-t", "tmpfs", "case", parent / name], check=True)
                mounted.append(parent / name)
        (volume / "link").symlink_to(unrelated)
        before = _mounts(unrelated)
        keeper = pod.start(options=bind(volume))
        thread = threading.Thread(target=_exchange, args=(volume / "a", volume / "link", stop))
        thread.start()
        for _ in range(6):
            pod.start(options=bind(volume)).delete()
            assert _mounts(unrelated) == before
        keeper.delete()
        assert _mounts(unrelated) == before
    finally:
        stop.set()
        if thread:
            thread.join()
        if (volume / "a").is_symlink():
            _LIBC.renameat2(-100, bytes(volume / "a"), -100, bytes(volume / "link"), _RENAME_EXCHANGE)
        for path in mounted:
            subprocess.run(["umount", "-l", path], check=True)


@pytest.mark.vm
def test_hung_volume_holds_up_its_own_container_only(pod, tmp_path):
    keeper = pod.start()
    with HungVolume(tmp_path / "hung") as hung:
        failures = []

        def start():
            with pytest.raises(Exception) as failure:
                pod.start(options=bind(hung.path))
            failures.append(str(failure.value))

        thread = threading.Thread(target=start)
        thread.start()
        other = pod.start(options=bind(tmp_path))
        other.delete()
        keeper.sh("true")
        assert thread.is_alive()
        thread.join(60)
        assert failures and str(hung.path) in failures[0] and "timed out" in failures[0]
    keeper.delete()


@pytest.mark.vm
def test_volume_that_hangs_while_containers_use_it(pod, tmp_path):
    keeper = pod.start(options=bind(tmp_path, "/v"))
    with HungVolume(tmp_path / "hung", answers_of_root=True) as hung:
        container = pod.start(options=bind(hung.path, "/hung"))
        readers = [container.popen_exec("cat", f"/hung/file{n}") for n in range(3)]
        # The others go on.
        for n in range(5):
            assert keeper.sh(f"echo {n} >/v/{n} && cat /v/{n}") == f"{n}\n"
        assert all(reader.poll() is None for reader in readers)
        # Nothing ends a program that waits for it, so the machine is ended.
        begin = time.monotonic()
        container.delete()
        assert time.monotonic() - begin < 30
        for reader in readers:
            reader.communicate(timeout=30)
        keeper.delete()
