"""Parts of a spec that mean in a VM what they mean with runc. Run with the runtime
io.containerd.runc.v2 the same tests show what runc does."""

import os
import stat

import pytest

from cppvmdev.images import REAL
from harness import settings
from harness.runner import bind
from harness.spec import SpecRunner


@pytest.fixture(name="specs")
def specs_fixture(runner, tmp_path):
    return SpecRunner(runner, tmp_path)


def _output(specs, edit, *command):
    return specs.run(edit, *command).check().text


def test_domainname_by_sysctl(specs):
    def edit(spec):
        spec["linux"]["sysctl"] = {"kernel.domainname": "example.org"}

    assert _output(specs, edit, "cat", "/proc/sys/kernel/domainname") == "example.org\n"


def test_hostname_by_sysctl(specs):
    def edit(spec):
        spec["linux"]["sysctl"] = {"kernel.hostname": "other"}

    result = specs.run(edit, "true")
    assert result.code != 0 and "conflicts with the" in result.error


def test_hostname_that_nobody_set(specs):
    def edit(spec):
        spec.pop("hostname", None)

    assert _output(specs, edit, "uname", "-n") == os.uname().nodename + "\n"


def test_last_value_of_a_variable(specs):
    def edit(spec):
        spec["process"]["env"] += ["A=1", "B=x", "A=2", "HOME="]

    lines = _output(specs, edit, "env").splitlines()
    assert sorted(line for line in lines if line[:2] in ("A=", "B=", "HO")) == [
        "A=2",
        "B=x",
        "HOME=/root",
    ]


def test_variable_without_value(specs):
    def edit(spec):
        spec["process"]["env"].append("NAME")

    assert specs.run(edit, "true").code != 0


def test_tmpfs_over_a_directory(specs):
    (specs.root / "data/deep").mkdir(parents=True)
    (specs.root / "data").chmod(0o1750)
    (specs.root / "data/deep/file").write_text("from image\n")

    def edit(*options):
        def add(spec):
            mount = {"destination": "/data", "type": "tmpfs", "source": "tmpfs"}
            spec["mounts"].append({**mount, "options": list(options)})

        return add

    look = ("sh", "-c", "stat -c %a /data; cat /data/deep/file 2>/dev/null; true")
    assert _output(specs, edit("rw"), *look) == "1750\n"
    if settings.IS_VM:  # and runc from 1.2 on; Debian's 1.1.5 takes the directory's mode here, too
        assert _output(specs, edit("mode=0711"), *look) == "711\n"
    assert _output(specs, edit("tmpcopyup"), *look) == "1750\nfrom image\n"


def test_device_outside_of_dev(specs):
    def edit(spec):
        device = {"type": "c", "major": 1, "minor": 3, "fileMode": 0o666}
        spec["linux"]["devices"] = [{"path": "/jail/dev/null", **device}]

    script = "echo x > /jail/dev/null && cat /jail/dev/null && echo works"
    assert _output(specs, edit, "sh", "-c", script) == "works\n"


def test_null_device_over_a_file(runner):
    script = "cat /etc/passwd && echo x > /etc/passwd && cat /etc/passwd && echo hidden"
    options = bind("/dev/null", "/etc/passwd")
    assert runner.run("sh", "-c", script, options=options).check().text == "hidden\n"


@pytest.mark.vm
def test_device_that_the_guest_has_not(runner):
    """With runc it would be the host's; a dead name would be a surprise at its first use."""
    device = next(
        (path for path in ("/dev/vhost-net", "/dev/kvm", "/dev/vhost-vsock") if _is_device(path)),
        None,
    )
    if not device:
        pytest.skip("this host has no device that a guest lacks")
    result = runner.run("true", options=bind(device, device))
    assert result.code != 0
    assert f"bind mount {device}: the guest has no character device" in result.error


def _is_device(path):
    return os.path.exists(path) and stat.S_ISCHR(os.stat(path).st_mode)


def test_proc_and_sys_are_no_links(specs):
    (specs.root / "elsewhere").mkdir()
    for name in ("proc", "sys"):
        (specs.root / name).rmdir()
        (specs.root / name).symlink_to("/elsewhere")
        result = specs.run(lambda spec: None, "true")
        assert result.code != 0 and "ordinary" in result.error, result.error
        (specs.root / name).unlink()
        (specs.root / name).mkdir()


@pytest.mark.vm
def test_processors_of_the_host(specs):
    """What kubelet's static policy writes names processors of the host."""

    def edit(spec):
        spec["linux"]["resources"]["cpu"] = {"cpus": "1", "mems": "0"}

    assert _output(specs, edit, "echo", "started") == "started\n"


_FILL = """
import os, time
while True:
    try:
        if os.fork() == 0:
            time.sleep(600)
    except OSError:
        break
open("/full", "w")
time.sleep(600)
"""


def test_exec_at_the_limit_of_processes(runner, tmp_path):
    specs = SpecRunner(runner, tmp_path, image=REAL)

    def edit(spec):
        spec["linux"]["resources"]["pids"] = {"limit": 20}

    container = specs.start(edit, "python3", "-c", _FILL)
    container.wait_running()
    script = "while [ ! -e /full ]; do :; done; echo inside"
    assert container.exec("sh", "-c", script).check().text == "inside\n"
    container.delete()

