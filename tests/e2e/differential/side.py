"""One of the two runtimes, with a root file system of its own for all cases."""

import copy
import json
import os
import re
import shutil
import struct
import subprocess
from pathlib import Path

from cppvmdev.ctr import unique_id
from cppvmdev.images import SMALL
from harness.runner import START_TIMEOUT, Container, bind
from harness.terminal import Terminal

_PROBE = "/probe"
_NAMESPACES = ("cgroup", "ipc", "pid", "time", "user", "uts")
# Whose namespaces a container has that shares the host's.
_OUTSIDE = "--outside=" + ",".join(os.readlink(f"/proc/self/ns/{kind}") for kind in _NAMESPACES)
# capability.h: version 2 with the effective flag; CAP_NET_RAW permitted.
_FILE_CAPABILITIES = struct.pack("<IIIII", 0x02000001, 1 << 13, 0, 0, 0)
# What ctr puts before an error of the Create call.
_CREATE = "failed to create shim task"
_CODE = re.compile(r": ([a-z ]+)$")


def _fill_root(runner, root, probe):
    """The image's files, the probe three times, and what cases want to find."""
    mount = root.with_name("image")
    mount.mkdir()
    runner.ctr.command("images", "mount", SMALL, mount).check()
    subprocess.run(["cp", "-a", mount, root], check=True)
    runner.ctr.command("images", "unmount", "--rm", mount).check()
    for name in ("probe", "setuid-probe", "capable-probe"):
        shutil.copy(probe, root / name)
    (root / "setuid-probe").chmod(0o4755)
    os.setxattr(root / "capable-probe", "security.capability", _FILE_CAPABILITIES)
    for name, mode in (("tmp", 0o1777), ("closed", 0o700), ("data", 0o755), ("scratch", 0o755)):
        (root / name).mkdir(exist_ok=True)
        (root / name).chmod(mode)
    (root / "link-to-tmp").symlink_to("tmp")
    (root / "not-executable").write_text("no program\n")
    (root / "of-no-format").write_bytes(b"\0")
    (root / "of-no-format").chmod(0o755)


class Side:
    """Runs cases one after the other. `options` are those of `ctr run`; with a `pod`, the containers
    share the VM of that container."""

    def __init__(self, runner, directory, probe, options=()):
        self.runner, self.options = runner, tuple(options)
        self.root = Path(directory) / "root"
        self.root.parent.mkdir(parents=True)
        self.config = self.root.with_name("config.json")
        _fill_root(runner, self.root, probe)
        self._base = json.loads(runner.ctr.command("oci", "spec").check().text)
        self._pod = None

    def start_pod(self):
        """One VM for all cases that do not want one of their own."""
        name = unique_id("pod")

        def edit(spec):
            spec["process"]["args"] = ["sleep", "1000000"]
            spec["annotations"] = _annotations(name, "sandbox")

        self._pod = Container(self.runner, name)
        argv = self._argv(self._pod, edit, "-d", "--null-io")
        self.runner.ctr.command(*argv, timeout=START_TIMEOUT).check()

    def stop_pod(self):
        if self._pod:
            self._pod.delete()
            self._pod = None

    def _spec(self, name):
        spec = copy.deepcopy(self._base)
        spec["linux"].pop("seccomp", None)
        spec["linux"]["cgroupsPath"] = f"/cppvm-e2e/{name}"
        spec["root"] = {"path": str(self.root)}
        spec["hostname"] = "probed"
        spec["process"].update(args=[_PROBE], env=["PATH=/usr/sbin:/usr/bin:/sbin:/bin"])
        return spec

    def _argv(self, container, edit, *options):
        self.runner.containers.append(container)
        spec = self._spec(container.name)
        edit(spec)
        self.config.write_text(json.dumps(spec))
        options = (*options, *self.options, "--config", self.config)
        argv = self.runner.argv(container.name, options=options, image="")
        return [argument for argument in argv if argument]

    def report(self, case):
        """What the probe says, or {"failure": …}."""
        container = Container(self.runner, unique_id())

        def edit(spec):
            spec["process"]["args"] += [*case.looks_at, _OUTSIDE]
            if self._pod and not case.alone:
                spec["annotations"] = _annotations(self._pod.name, "container")
            case.edit(spec)

        argv = self._argv(container, edit, "--rm", *(["--tty"] if case.terminal else []))
        text, error, code = (self._on_terminal if case.terminal else self._on_pipes)(argv)
        return _report(text, error, code, case)

    def _on_pipes(self, argv):
        done = self.runner.ctr.command(*argv, timeout=START_TIMEOUT)
        return done.text, done.error, done.code

    def _on_terminal(self, argv):
        ctr = self.runner.ctr
        with Terminal(ctr.argv(*argv), env=self.runner.containerd.environ()) as terminal:
            code = terminal.wait(START_TIMEOUT)
            return terminal.seen, terminal.seen, code


class CommandSide:
    """`ctr run` of an image, with the options of the cases."""

    def __init__(self, runner, probe, options=()):
        self.runner, self.options = runner, (*options, *bind(probe, _PROBE, "ro"))

    def report(self, case):
        command = (_PROBE, *case.looks_at, _OUTSIDE)
        done = self.runner.run(*command, options=(*self.options, *case.options))
        return _report(done.text, done.error, done.code, case)


class EngineSide:
    """`docker run` or `nerdctl run` of an image."""

    def __init__(self, engine, runtime, probe):
        self.engine = engine
        self.options = ("--rm", "--runtime", runtime, "-v", f"{probe}:{_PROBE}:ro")

    def report(self, case):
        command = (SMALL, *(() if case.has_command else (_PROBE,)), *case.looks_at, _OUTSIDE)
        # The default is the container's id.
        named = () if case.has_name else ("--hostname", "probed")
        done = self.engine.run("run", *self.options, *named, *case.options, *command)
        report = _report(done.text, done.error, done.code, case)
        if "surroundings" in report:  # Docker hands them over in any order
            report["surroundings"]["environment"].sort()
        return report


def _report(text, error, code, case):
    if code != 0:
        return {"failure": _failure(error, case)}
    try:
        return json.loads(text)
    except ValueError:
        return {"failure": {"phase": "probe", "text": (text + error)[-500:]}}


def _annotations(pod, kind):
    return {"io.kubernetes.cri.container-type": kind, "io.kubernetes.cri.sandbox-id": pod}


def _failure(error, case):
    last = error.strip().splitlines()[-1] if error.strip() else ""
    code = _CODE.search(last)
    names = getattr(case, "names", ())
    return {
        "phase": "create" if _CREATE in last else "start",
        "code": code.group(1) if code else "",
        "unnamed": [name for name in names if name not in last],
        "text": last,
    }
