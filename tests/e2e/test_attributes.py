"""Extended attributes and mode bits of files, which a container's programs see through the share."""

import os
import re
import shutil
import struct

from cppvmdev.images import REAL
from harness.runner import bind

_NET_BIND_SERVICE = 1 << 10
# Version 2, effective; permitted and inheritable of each half (linux/capability.h, vfs_cap_data).
_FILE_CAPABILITIES = struct.pack("<5I", 0x02000001, _NET_BIND_SERVICE, 0, 0, 0)

_PROGRAM = """
import os
assert os.listxattr("/data/file") == ["user.host"], os.listxattr("/data/file")
assert os.getxattr("/data/file", "user.host") == b"from the host"
os.setxattr("/data/file", "user.guest", b"from the guest")
os.removexattr("/data/file", "user.host")
for name in ("trusted.overlay.opaque", "security.selinux"):
    try:
        os.setxattr("/data/file", name, b"y")
    except OSError as error:
        print(name, error.strerror)
"""


def test_file_capabilities(runner, tmp_path):
    """As the images of web servers have them that run as somebody but listen at port 80."""
    program = tmp_path / "cat"
    shutil.copy("/bin/busybox", program)
    os.setxattr(program, "security.capability", _FILE_CAPABILITIES)
    container = runner.start(options=("--allow-new-privs", *bind(tmp_path)))
    argv = ("/data/cat", "/proc/self/status")
    status = container.exec(*argv, options=("--user", "1000")).check().text
    assert int(re.search(r"CapEff:\s+(\S+)", status)[1], 16) == _NET_BIND_SERVICE
    container.sh("echo >>/data/cat")
    assert "security.capability" not in os.listxattr(program)  # a program that changes loses them
    container.delete()


def test_set_user_id_bit(runner, tmp_path):
    """Who may write to a program but is not root takes the bits away with that."""
    tmp_path.chmod(0o755)
    program = tmp_path / "program"
    container = runner.start(options=bind(tmp_path))
    somebody = ("--user", "1000:1000")
    for change in ("echo >>/data/program", ">/data/program"):
        container.sh("touch /data/program && chmod 6757 /data/program")
        container.sh(change)
        assert program.stat().st_mode & 0o7777 == 0o6757
        container.exec("sh", "-c", change, options=somebody).check()
        assert program.stat().st_mode & 0o7777 == 0o757, change
    container.delete()


def test_those_of_users(runner, tmp_path):
    file = tmp_path / "file"
    file.touch()
    os.setxattr(file, "user.host", b"from the host")
    os.setxattr(file, "trusted.host", b"not for guests")
    # Privileged, so that it is the share that refuses, not the guest's kernel.
    options = ("--privileged", *bind(tmp_path))
    result = runner.run("python3", "-c", _PROGRAM, image=REAL, options=options).check()
    assert result.text.splitlines() == [
        "trusted.overlay.opaque Operation not supported",
        "security.selinux Operation not supported",
    ]
    assert os.getxattr(file, "user.guest") == b"from the guest"
    assert sorted(os.listxattr(file)) == ["trusted.host", "user.guest"]
