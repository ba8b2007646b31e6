"""Runs the public suite of CRI on a containerd of its own.

    python3 -m cppvmdev.critest STAGE runc|podsandbox|shim [OPTION OF CRITEST ...]

Images have the suite's names and come from a registry of ours, which stands in for the public ones: made
of Debian's packages, they do what the suite expects of them.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as xml
from pathlib import Path

from . import configured, images, kubernetes, libvirt, mounts, oci, releases, runc
from .containerd import Containerd
from .namespaces import Namespace
from .registry import Registry
from .shell import CommandFailed, run

BASE = Path(os.environ.get("CPPVM_CRITEST_BASE", "/var/lib/cppvm-critest"))
HANDLERS = ("runc", "podsandbox", "shim")

_REGISTRIES = ("registry.k8s.io", "gcr.io")
_PAUSE = "registry.k8s.io/pause:1"
_E2E = "e2e-test-images"
_STAGING = "k8s-staging-cri-tools"

_USERS = """root:x:0:0::/root:/bin/sh
www-data:x:33:33::/:/bin/false
default-user:x:1000:1000::/:/bin/sh
nobody:x:65534:65534::/:/bin/false
"""
_GROUPS = """root:x:0:
www-data:x:33:
default-user:x:1000:
group-defined-in-image:x:50000:default-user
nogroup:x:65534:
"""
_NGINX = """user root;
daemon off;
pid /var/run/nginx.pid;
error_log stderr;
events {}
http { access_log off; server { listen %d; location / { return 200 "hello\\n"; } } }
"""
# What the suite's busybox has, and Debian's has not.
_SCRIPTS = {"pgrep": 'pidof "$1"', "ipcs": "cat /proc/sysvipc/shm"}
_WITHOUT_NEW_PRIVILEGES = """#include <stdio.h>
#include <unistd.h>
int main(void) { printf("Effective uid: %d\\n", (int)geteuid()); }
"""


def _images():
    def nginx(port):
        return {"Cmd": ["nginx", "-c", f"/etc/nginx/{port}.conf"]}

    server = "echo httpd starts; exec busybox httpd -f -p 80 -h /srv"
    plain = {"Cmd": ["sh"]}
    special = {
        "pause:1": {"Cmd": ["tail", "-f", "/dev/null"]},
        f"{_E2E}/busybox:1.29-2": plain,
        f"{_E2E}/nginx:1.14-2": nginx(80),
        f"{_E2E}/httpd:2.4.39-4": {"Cmd": ["sh", "-c", server]},
        f"{_E2E}/nonewprivs:1.3": {"Cmd": ["effective-uid"]},
        f"{_STAGING}/hostnet-nginx-amd64:latest": nginx(12003),
    }
    users = {
        "user-uid": "1002", "user-username": "www-data", "user-uid-group": "1003:nogroup",
        "user-username-group": "www-data:nogroup", "predefined-group": "1000",
    }  # fmt: skip
    for name, user in users.items():
        special[f"{_STAGING}/test-image-{name}:latest"] = {**plain, "User": user}
    different = ("latest:latest", "tag:test", "tag:all", "1:latest", "2:latest", "3:latest")
    for name in different:
        special[f"{_STAGING}/test-image-{name}"] = {**plain, "Labels": {"name": name}}
    for tag in ("1", "2", "3"):
        special[f"{_STAGING}/test-image-tags:{tag}"] = {**plain, "Labels": {"name": "tags"}}
    return {name: {"Env": [images.PATH], **config} for name, config in special.items()}


def _programs():
    """(the suite, the directory of its images' packages)."""
    done = run(Path(__file__).parents[2] / "fetch-critest", timeout=900).check()
    critest, packages = done.text.split()
    return Path(critest) / "critest", Path(packages)


def _write_layer(packages, work):
    root = work / "root"
    shutil.copytree(packages, root, symlinks=True)
    for directory in ("proc", "sys", "dev", "run", "srv", "root", "var/log/nginx", "var/lib/nginx", "etc/nginx", "tmp"):
        (root / directory).mkdir(parents=True)
    (root / "tmp").chmod(0o1777)
    (root / "var/run").symlink_to("/run")
    (root / "srv/index.html").write_text("hello\n")
    (root / "etc/passwd").write_text(_USERS)
    (root / "etc/group").write_text(_GROUPS)
    for port in (80, 12003):
        (root / f"etc/nginx/{port}.conf").write_text(_NGINX % port)
    busybox = root / "bin/busybox"
    for applet in run(busybox, "--list-full").check().text.split():
        link = root / applet
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.exists():
            os.link(busybox, link)  # the suite masks one of them
    for name, command in _SCRIPTS.items():
        (root / "bin" / name).write_text(f"#!/bin/sh\nexec {command}\n")
        (root / "bin" / name).chmod(0o755)
    (work / "effective-uid.c").write_text(_WITHOUT_NEW_PRIVILEGES)
    run("cc", "-static", "-o", root / "bin/effective-uid", work / "effective-uid.c").check()
    (root / "bin/effective-uid").chmod(0o4755)
    oci.layer_from_directory(root, work / "layer.tar")
    shutil.rmtree(root)
    return work / "layer.tar"


def _tables(registry):
    certificates = BASE / "certs.d"
    for name in _REGISTRIES:
        (certificates / name).mkdir(parents=True)
        (certificates / name / "hosts.toml").write_text(f"server = {json.dumps(registry.address())}\n")
    (BASE / "cni").mkdir()
    (BASE / "cni/10-bridge.conflist").write_text(json.dumps(kubernetes.cni(BASE / "cni-data")))
    runtime = "[plugins.'io.containerd.cri.v1.runtime'"
    return (
        "[plugins.'io.containerd.cri.v1.images'.registry]\n"
        f"config_path = {json.dumps(str(certificates))}\n"
        "[plugins.'io.containerd.cri.v1.images'.pinned_images]\n"
        f"sandbox = {json.dumps(_PAUSE)}\n"
        f"{runtime}]\nrestrict_oom_score_adj = true\n"
        f"{runtime}.containerd.runtimes.podsandbox]\nruntime_type = 'io.containerd.cppvm.v1'\n"
        f"{runtime}.containerd.runtimes.shim]\nruntime_type = 'io.containerd.cppvm.v1'\nsandboxer = 'shim'\n"
        f"{runtime}.containerd.runtimes.runc]\nruntime_type = 'io.containerd.runc.v2'\n"
        f"{runtime}.containerd.runtimes.runc.options]\nBinaryName = {json.dumps(runc.program())}\n"
        f"{runtime}.cni]\nbin_dirs = ['/usr/lib/cni']\nconf_dir = {json.dumps(str(BASE / 'cni'))}\n"
    )


def _give_route(world):
    """Pods with the host's network want a way out of it."""
    world.ip("link", "add", "out0", "type", "veth", "peer", "name", "out1")
    world.ip("address", "add", "192.0.2.2/24", "dev", "out0")
    for name in ("out0", "out1"):
        world.ip("link", "set", name, "up")
    world.ip("route", "add", "default", "via", "192.0.2.1")
    world.sysctl("net.ipv4.ip_forward", 1)


@contextlib.contextmanager
def _serving(stage, layer):
    """A containerd in the network namespace of the registry, with the suite's images there."""
    with contextlib.ExitStack() as undo:
        world = Namespace()
        undo.callback(world.close)
        _give_route(world)
        daemons = libvirt.LibvirtDaemons(BASE / "libvirt.json")
        undo.callback(daemons.stop)
        daemons.start()
        registry = Registry(layer, _images(), world)
        undo.callback(registry.close)
        enter = ("nsenter", f"--net={world.path}", "unshare", "--ipc")
        containerd = Containerd(
            releases.built(),
            BASE / "containerd",
            [stage / "bin", stage / "libexec/cppvm"],
            prefix=(*enter, *configured.prefix(BASE, stage)),
            cri=_tables(registry),
        )
        undo.callback(containerd.remove)
        containerd.start()
        yield containerd


def _run_suite(suite, containerd, handler, options):
    """Its results."""
    report = BASE / "report.xml"
    daemon = containerd.process()
    subprocess.run(
        ["nsenter", f"--target={daemon.pid}", "--net", "--mount", "--ipc", suite,
         f"--runtime-endpoint=unix://{containerd.address}", f"--runtime-handler={handler}",
         f"--ginkgo.junit-report={report}", "--ginkgo.no-color", *options],
        stdin=subprocess.DEVNULL,
        check=False,
    )  # fmt: skip
    return list(xml.parse(report).iter("testcase"))


def _kind(case):
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    return "skipped" if case.find("skipped") is not None else "passed"


def _report(cases):
    """Tells what did not pass, and counts; whether all is well."""
    # Besides the cases the suite reports what it does before them all.
    kinds = [(_kind(case), case.get("name")) for case in cases if case.get("name").startswith("[It]")]
    for kind, name in sorted(kinds):
        if kind == "failed":
            print(f"{kind}: {name}")
    counts = {kind: sum(1 for found, _ in kinds if found == kind) for kind in ("passed", "failed", "skipped")}
    print(", ".join(f"{count} {kind}" for kind, count in counts.items()))
    return counts["passed"] > 0 and counts["failed"] == 0


def main(arguments):
    if len(arguments) < 2 or arguments[1] not in HANDLERS:
        sys.exit(__doc__)
    suite, packages = _programs()
    BASE.mkdir(parents=True)
    try:
        with _serving(Path(arguments[0]).resolve(), _write_layer(packages, BASE)) as containerd:
            cases = _run_suite(suite, containerd, arguments[1], arguments[2:])
    finally:
        mounts.unmount_below(BASE)
        shutil.rmtree(BASE)
    return 0 if _report(cases) else 1


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (CommandFailed, libvirt.LibvirtError, releases.Unavailable) as failure:
        sys.exit(f"critest: {failure}")
