"""Pods by containerd's Sandbox API: the order of its calls, and what is wrong with another."""

import os
import signal
import threading

import pytest

from cppvmdev import config, configured, processes, releases
from cppvmdev.ctr import unique_id
from cppvmdev.leftovers import Gone, Leftovers
from cppvmdev.namespaces import Pair
from cppvmdev.waiting import wait_until
from cppvmdev.wire import ALREADY_EXISTS, FAILED_PRECONDITION, NOT_FOUND, UNIMPLEMENTED, Refused
from harness import session, settings
from harness.sandbox_api import Sandbox, empty_bundle, pod_namespaces
from harness.shim import ShimBundle, Task, spec

pytestmark = pytest.mark.vm

_V3 = "containerd.task.v3.Task"
_WORDS = {
    "hostname": "web-1",
    "dns_config": {"servers": ["192.0.2.53"], "searches": ["a.test"], "options": ["ndots:2"]},
    "linux": {"sysctls": {"net.ipv4.ip_unprivileged_port_start": "77"}},
}


@pytest.fixture(name="bundles")
def bundles_fixture(containerd, tmp_path):
    """Those of a sandbox and of two containers; only for the first `start` and `delete` are run."""
    assert containerd.process()  # set up with it: libvirt, the configuration
    name = unique_id("sb")
    sandbox = ShimBundle(tmp_path, name, session.config_file())
    empty_bundle(sandbox)
    made = [sandbox, *(ShimBundle(tmp_path, f"{name}-{n}", None, sandbox) for n in range(2))]
    yield made
    for bundle in made:
        print(bundle.log_text())
    sandbox.kill_daemon()
    sandbox.delete()
    for bundle in reversed(made):
        bundle.close()
    Leftovers(Gone(tmp_path, [bundle.identity for bundle in made])).wait_none()


@pytest.fixture(name="sandbox")
def sandbox_fixture(bundles, namespaces):
    """One that runs, in the network namespace of a pod."""
    outside, inside = namespaces
    Pair(outside, inside)
    with Sandbox(bundles[0], bundles[0].start()) as made:
        made.create(inside.path, **_WORDS)
        made.pid = made.call("StartSandbox").pid
        made.netns = inside
        yield made


def _refused(code, call, *args, **kwargs):
    with pytest.raises(Refused) as caught:
        call(*args, **kwargs)
    assert caught.value.code == code, caught.value
    return caught.value.text


def _task(sandbox, bundle):
    return Task(bundle, sandbox.connection.socket.getpeername(), service=_V3)


def _run(sandbox, bundle, *command, kinds=("network", "ipc", "uts")):
    """A container of the pod, running."""
    for applet in ("hostname", "ps", "kill", "ls", "grep", "stat"):
        (bundle.path / "rootfs/bin" / applet).symlink_to("busybox")
    bundle.write_spec(pod_namespaces(spec(*command), sandbox.pid, *kinds))
    task = _task(sandbox, bundle)
    task.create()
    task.call("Start")
    return task


def _output(task, bundle, script):
    """What a shell in the container says, by way of its root file system."""
    task.exec("say", spec("sh", "-c", f"({script}) > /said 2>&1")["process"])
    task.call("Start", exec_id="say")
    task.call("Wait", exec_id="say")
    task.call("Delete", exec_id="say")
    return (bundle.path / "rootfs/said").read_text()


def _end(task):
    task.call("Kill", signal=9)
    assert task.call("Wait").exit_status == 137
    task.call("Delete")
    task.call("Shutdown")


def test_life_of_a_pod(sandbox, bundles):
    first, second = bundles[1:]
    status = sandbox.call("SandboxStatus", verbose=True)
    assert (status.state, status.pid) == ("SANDBOX_READY", sandbox.pid)
    assert status.created_at.seconds and not status.HasField("exited_at")
    assert '"runtime":"cppvm"' in status.info["info"]
    assert os.readlink(f"/proc/{sandbox.pid}/ns/net") != os.readlink("/proc/self/ns/net")
    assert not os.path.exists(f"/proc/{sandbox.pid}/root/etc")  # nothing of the host
    platform = sandbox.call("Platform").platform
    assert platform.os == "linux" and platform.architecture in ("amd64", "arm64")
    sandbox.call("PingSandbox")
    metrics = sandbox.call("SandboxMetrics").metrics
    assert metrics.id == sandbox.name and "Metrics" in metrics.data.type_url

    with _run(sandbox, first) as a, _run(sandbox, second) as b:
        assert len(bundles[0].daemons()) == 1
        assert a.call("Connect").task_pid
        _end(a)
        assert not (first.path / "address").exists()
        assert b.status() == "RUNNING" and sandbox.state() == "SANDBOX_READY"
        _end(b)
    assert sandbox.state() == "SANDBOX_READY"  # Task.Shutdown is not about it

    sandbox.call("StopSandbox")
    sandbox.call("StopSandbox")
    status = sandbox.call("SandboxStatus")
    assert (status.state, status.pid) == ("SANDBOX_NOTREADY", sandbox.pid)
    exit_of_it = sandbox.call("WaitSandbox")
    assert (exit_of_it.exit_status, exit_of_it.exited_at) == (0, status.exited_at)
    assert not os.path.exists(f"/proc/{sandbox.pid}")
    with _task(sandbox, first) as late:
        _refused(FAILED_PRECONDITION, late.create)
    sandbox.call("ShutdownSandbox")
    wait_until(lambda: not bundles[0].daemons(), "end of the daemon", 20)
    assert bundles[0].delete().code == 0


def test_what_containers_share(sandbox, bundles):
    """Names, sysctls, files, memory and network: what CRI leaves to the shim."""
    first, second = bundles[1:]
    with _run(sandbox, first) as a, _run(sandbox, second) as b:
        for task, bundle in ((a, first), (b, second)):
            said = _output(
                task, bundle,
                "hostname; cat /etc/hostname /etc/resolv.conf /etc/hosts"
                " /proc/sys/net/ipv4/ip_unprivileged_port_start",
            )  # fmt: skip
            lines = said.splitlines()
            assert lines[:2] == ["web-1", "web-1"]
            assert lines[2:5] == ["search a.test", "nameserver 192.0.2.53", "options ndots:2"]
            assert "127.0.0.1\tlocalhost" in said and lines[-1] == "77"
            assert "read-only" in _output(task, bundle, "echo x >/etc/hosts").lower()
        _output(a, first, "echo hello > /dev/shm/word")
        assert _output(b, second, "cat /dev/shm/word") == "hello\n"
        ipc = [_output(task, bundle, "stat -Lc %i /proc/self/ns/ipc") for task, bundle in ((a, first), (b, second))]
        assert ipc[0] == ipc[1]
        assert "10.77.0.2" in _output(a, first, "/bin/busybox ip address")
        _end(a)
        _end(b)


def test_own_mounts_win(sandbox, bundles, tmp_path):
    own = tmp_path / "hosts"
    own.write_text("192.0.2.1 mine\n")
    bundle = bundles[1]
    document = pod_namespaces(spec(), sandbox.pid, "network", "ipc", "uts")
    document["mounts"].append(
        {"destination": "/etc/hosts", "type": "bind", "source": str(own), "options": ["bind"]}
    )
    bundle.write_spec(document)
    with _task(sandbox, bundle) as task:
        task.create()
        task.call("Start")
        assert _output(task, bundle, "cat /etc/hosts") == "192.0.2.1 mine\n"
        _end(task)


def test_one_process_namespace(sandbox, bundles):
    """shareProcessNamespace: the agent is not in it, and it outlives each container."""
    first, second = bundles[1:]
    kinds = ("network", "ipc", "uts", "pid")
    with _run(sandbox, first, "sleep", "1000000", kinds=kinds) as a:
        with _run(sandbox, second, "sleep", "2000000", kinds=kinds) as b:
            said = _output(b, second, "ps; kill -9 1; ps")
            assert "sleep 1000000" in said and "sleep 2000000" in said
            assert "cppvm-agent" not in said and said.count("pod-init --pod-init") == 2
            _end(a)
            assert b.status() == "RUNNING"
            _end(b)


def test_wrong_orders(bundles, namespaces):
    bundle = bundles[0]
    with Sandbox(bundle, bundle.start()) as sandbox:
        for method in ("StartSandbox", "WaitSandbox", "SandboxStatus", "SandboxMetrics"):
            assert "has not been created" in _refused(FAILED_PRECONDITION, sandbox.call, method)
        sandbox.call("PingSandbox")
        with _task(sandbox, bundles[1]) as task:
            assert "CreateSandbox" in _refused(FAILED_PRECONDITION, task.create)
            assert task.call("Connect", id=sandbox.name).shim_pid
        for method in ("CreateSandbox", "StopSandbox", "PingSandbox", "ShutdownSandbox"):
            _refused(NOT_FOUND, sandbox.call, method, sandbox_id="another")
        sandbox.create(namespaces[0].path)
        _refused(ALREADY_EXISTS, sandbox.create, namespaces[0].path)
        sandbox.call("StartSandbox")
        assert "already running" in _refused(FAILED_PRECONDITION, sandbox.call, "StartSandbox")
        sandbox.call("StopSandbox")
        assert "has ended" in _refused(FAILED_PRECONDITION, sandbox.call, "StartSandbox")
        _refused(ALREADY_EXISTS, sandbox.create, namespaces[0].path)
        sandbox.call("ShutdownSandbox")
    wait_until(lambda: not bundle.daemons(), "end of the daemon", 20)


def test_no_sandbox_service_for_a_container(bundle):
    """With the Task API alone there is no second way to end the machine."""
    with Sandbox(bundle, bundle.start()) as sandbox:
        _refused(UNIMPLEMENTED, sandbox.call, "PingSandbox")
        with Task(bundle, sandbox.connection.socket.getpeername()) as task:
            task.call("Shutdown")


def test_shutdown_alone_undoes_everything(sandbox, bundles):
    with _run(sandbox, bundles[1]):
        sandbox.call("ShutdownSandbox")
        wait_until(lambda: not bundles[0].daemons(), "end of the daemon", 20)
    assert not os.path.exists(f"/proc/{sandbox.pid}")


def test_shutdown_for_everybody(sandbox, bundles):
    """Whoever else asks for the end is answered while the daemon goes."""
    address = sandbox.connection.socket.getpeername()
    with Sandbox(bundles[0], address) as other, Sandbox(bundles[0], address) as waiting:
        waits = threading.Thread(target=lambda: waiting.call("WaitSandbox"))
        waits.start()
        sandbox.call("StopSandbox")
        waits.join(30)
        sandbox.call("ShutdownSandbox")
        for _ in range(200):
            other.call("ShutdownSandbox")
        assert other.state() == "SANDBOX_NOTREADY"
    sandbox.connection.socket.close()
    wait_until(lambda: not bundles[0].daemons(), "end of the daemon", 20)


def _ends(sandbox, bundles, kill):
    """What is answered when the sandbox ends because of `kill`, with a container in it."""
    with _run(sandbox, bundles[1]) as task:
        answers = []
        with Sandbox(bundles[0], sandbox.connection.socket.getpeername()) as other:
            waiting = threading.Thread(target=lambda: answers.append(other.call("WaitSandbox")))
            waiting.start()
            kill()
            assert sandbox.call("WaitSandbox").exit_status == 137
            waiting.join(30)
        assert answers[0].exit_status == 137 and answers[0].exited_at.seconds
        assert sandbox.state() == "SANDBOX_NOTREADY"
        assert task.call("Wait").exit_status == 137
        with _task(sandbox, bundles[2]) as late:
            assert "recreate the pod" in _refused(14, late.create)
        task.call("Delete")
    sandbox.call("StopSandbox")
    sandbox.call("ShutdownSandbox")
    wait_until(lambda: not bundles[0].daemons(), "end of the daemon", 20)


def test_killed_machine(sandbox, bundles):
    short = bundles[0].identity.short
    running = processes.everything()
    (qemu,) = [p for p in running if p.comm.startswith("qemu-system") and short in p.cmdline]
    _ends(sandbox, bundles, qemu.kill)


def test_killed_stand_in(sandbox, bundles):
    _ends(sandbox, bundles, lambda: os.kill(sandbox.pid, signal.SIGKILL))


def test_killed_daemon(sandbox, bundles):
    """`delete` finds what it left, by the sandbox's bundle alone."""
    with _run(sandbox, bundles[1]):
        bundles[0].kill_daemon()
    assert bundles[0].delete().code == 0
    wait_until(lambda: not os.path.exists(f"/proc/{sandbox.pid}"), "end of the stand-in")


def test_never_created(bundles, tmp_path):
    """A daemon that is started and then forgotten ends by itself; nothing has booted."""
    bundle = bundles[0]
    bundle.use_config(config.write(tmp_path / "short.toml", settings.CONFIG_STAGE, {"vm": {"boot_timeout": 1}}))
    with Sandbox(bundle, bundle.start()) as sandbox:
        sandbox.call("PingSandbox")
    wait_until(lambda: not bundle.daemons(), "end of the daemon", 30)
    assert "never connected" in bundle.log_text()


@pytest.fixture(name="plain")
def plain_fixture(containerd, tmp_path):
    """Another containerd, which has the product's configuration at its usual place: `ctr sandboxes`
    gives no runtime options."""
    assert containerd.process()  # set up with it: libvirt
    if settings.RELEASE not in ("1.6", "2.3"):
        pytest.skip("no second containerd here")
    try:
        release = releases.get("2.3", allow_build=False)
    except releases.Unavailable as reason:
        pytest.skip(str(reason))
    base = settings.BASE / "plain"
    base.mkdir()
    with configured.containerd(release, base, settings.STAGE, settings.PROGRAMS) as made:
        yield made


def test_ctr(plain, tmp_path):
    """As a client without CRI makes them."""
    ctr, name = plain.ctr(session.NAMESPACE), unique_id("sb")
    plain.remember(session.NAMESPACE, name)
    file = tmp_path / "pod.json"
    file.write_text('{"metadata": {"name": "p", "uid": "p", "namespace": "e2e"}, "hostname": "p"}')
    ctr.command("sandboxes", "run", "--runtime", settings.RUNTIME, file, name).check()
    try:
        assert name in ctr.command("sandboxes", "ls").check().text
        assert len(plain.shims()) == 1
    finally:
        ctr.command("sandboxes", "rm", name).check()
    wait_until(lambda: not plain.shims(), "end of the shim", 20)
    Leftovers(plain).wait_none()


def test_host_network(bundles):
    """As [network] host says, here: refused or passt's."""
    bundle = bundles[0]
    with Sandbox(bundle, bundle.start()) as sandbox:
        sandbox.create("")
        sandbox.pid = sandbox.call("StartSandbox").pid
        assert os.readlink(f"/proc/{sandbox.pid}/ns/net") == os.readlink("/proc/self/ns/net")
        with _run(sandbox, bundles[1]) as task:
            said = _output(task, bundles[1], "hostname; cat /etc/hostname")
            assert said.splitlines() == [os.uname().nodename] * 2
            _end(task)
        sandbox.call("ShutdownSandbox")
    wait_until(lambda: not bundle.daemons(), "end of the daemon", 20)
