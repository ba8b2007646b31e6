"""OCI hooks on the host and in the guest: what runc does with the same spec is what must happen."""

import json

import pytest

from cppvmdev.ctr import unique_id
from cppvmdev.namespaces import Namespace
from harness import session
from harness.shim import ShimBundle, Task, spec
from harness.spec import SpecRunner

_RUNC = "io.containerd.runc.v2"

_KINDS = ("prestart", "createRuntime", "poststart", "poststop")


def _shell(script, **more):
    return {"path": "/bin/sh", "args": ["sh", "-c", script], **more}


def _told(runner, directory):
    """What each kind of hook has read and had, of a container that ran to its end."""

    def edit(document):
        document["annotations"] = {"org.example.key": "value"}
        document["hooks"] = {
            kind: [
                _shell(f"cat > {directory}/{kind}.json; pwd > {directory}/{kind}.pwd"),
                _shell(f"env > {directory}/{kind}.env", env=["WORD=hello"]),
            ]
            for kind in _KINDS
        }

    runner.run(edit, "true").check()
    told = {}
    for kind in _KINDS:
        state = json.loads((directory / f"{kind}.json").read_text())
        state["pid"] = state.get("pid", 0) > 0
        state["id"], state["bundle"] = bool(state["id"]), state["bundle"].rsplit("/", 2)[1]
        where = (directory / f"{kind}.pwd").read_text()
        words = set((directory / f"{kind}.env").read_text().splitlines())
        told[kind] = (state, where.rsplit("/", 2)[1], {w for w in words if w.startswith("WORD")})
        for name in ("json", "pwd", "env"):
            (directory / f"{kind}.{name}").unlink()
    return told


@pytest.mark.vm
def test_are_told_what_runc_tells_them(runner, tmp_path):
    bundles = SpecRunner(runner, tmp_path)
    said = tmp_path / "said"
    said.mkdir()
    ours = _told(bundles, said)
    theirs = _told(bundles.with_runtime(_RUNC), said)
    for kind in ("prestart", "createRuntime", "poststop"):
        assert ours[kind] == theirs[kind]
    # runc 1.1 runs these at Create already (runtime.md: after the start).
    assert ours["poststart"][0]["status"] == "running"


@pytest.mark.vm
@pytest.mark.parametrize("kind", ("prestart", "createRuntime"))
def test_that_fail_at_create(runner, tmp_path, kind):
    bundles = SpecRunner(runner, tmp_path)

    def edit(document):
        document["hooks"] = {
            kind: [_shell("echo no such bridge >&2; exit 7")],
            "poststop": [_shell(f"touch {tmp_path}/undone")],
        }

    for some in (bundles, bundles.with_runtime(_RUNC)):
        result = some.run(edit, "true")
        assert result.code != 0
        assert "hook #0" in result.error and "no such bridge" in result.error, result.error
        assert kind in result.error or some is not bundles
        (tmp_path / "undone").unlink()


def _told_inside(specs):
    """What the hook of the program's start has read and been, as the program tells it."""

    def edit(document):
        document["annotations"] = {"org.example.key": "value"}
        document["process"].update(cwd="/tmp", user={"uid": 0, "gid": 7})
        look = "cat > /state; (echo; id -g; pwd; echo $WORD) >> /state"
        document["hooks"] = {"startContainer": [_shell(look, env=["WORD=hello"])]}

    (specs.root / "state").unlink(missing_ok=True)
    state, *rest = specs.run(edit, "cat", "/state").check().text.splitlines()
    told = json.loads(state)
    told["id"], told["bundle"] = bool(told["id"]), told["bundle"].rsplit("/", 2)[1]
    return told, rest


@pytest.mark.vm
def test_in_the_container_are_told_what_runc_tells_them(runner, tmp_path):
    specs = SpecRunner(runner, tmp_path)
    ours = _told_inside(specs)
    theirs = _told_inside(specs.with_runtime(_RUNC))
    assert ours == theirs
    assert ours[0]["status"] == "created" and ours[0]["pid"] == 1


@pytest.mark.vm
def test_in_the_container_that_fail(runner, tmp_path):
    specs = SpecRunner(runner, tmp_path)
    (specs.root / "bin/hook").write_text("#!/bin/sh\necho no such driver >&2; exit 7\n")
    (specs.root / "bin/hook").chmod(0o755)
    hook = {"path": "/bin/hook"}
    failure = "hook #0: run /bin/hook: exit code 7: no such driver"
    for kind, hooks, words in (
        ("startContainer", [hook], "startContainer " + failure),
        ("createContainer", [hook], "createContainer " + failure),
        (
            "createContainer",
            [{"path": "/usr/bin/of-the-host"}],
            "createContainer hook #0: run /usr/bin/of-the-host: exit code 127: No such file or "
            "directory in the container's root file system",
        ),
        ("startContainer", [_shell("sleep 1000", timeout=1)], "timed out"),
    ):

        def edit(document, kind=kind, hooks=hooks):
            document["hooks"] = {kind: hooks}

        result = specs.run(edit, "true")
        assert result.code != 0 and words in result.error, result.error
    assert specs.run(lambda document: None, "echo", "alive").check().text == "alive\n"


@pytest.mark.vm
def test_that_plug_in_an_interface(runner, tmp_path):
    """As those of nerdctl and docker do: by /proc/PID/ns/net of the pid that they read."""
    outside = Namespace()
    try:
        script = (
            "pid=$(tr ',' '\\n' | sed -n 's/.*\"pid\":\\([0-9]*\\).*/\\1/p');"
            f"ip -netns {outside.name} link add far0 type veth peer name eth0 netns $pid;"
            "nsenter -t $pid -n ip address add 10.77.0.2/24 dev eth0;"
            "nsenter -t $pid -n ip link set eth0 up"
        )
        def edit(document):
            path = "PATH=/usr/sbin:/usr/bin:/sbin:/bin"
            document["hooks"] = {"createRuntime": [_shell(script, env=[path])]}

        result = SpecRunner(runner, tmp_path).run(edit, "sh", "-c", "ip address show eth0")
        assert "inet 10.77.0.2/24" in result.check().text
    finally:
        outside.close()


@pytest.mark.vm
@pytest.mark.kills_daemons
def test_of_the_end_run_after_the_daemons_death(containerd, tmp_path):
    assert containerd.process()
    bundle = ShimBundle(tmp_path, unique_id("hook"), session.config_file())
    document = spec()
    document["hooks"] = {"poststop": [_shell("cat > undone")]}
    bundle.write_spec(document)
    try:
        with Task(bundle, bundle.start()) as task:
            task.create()
            task.call("Start")
            bundle.kill_daemon()
    finally:
        bundle.delete()
        state = json.loads((bundle.path / "undone").read_text())
        bundle.close()
    assert state["status"] == "stopped" and "pid" not in state
