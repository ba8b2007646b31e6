"""Fixtures of all end-to-end tests."""

import sys
import tempfile
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2] / "scripts/lib")]

# pylint: disable=wrong-import-position
from cppvmdev import config, configured, images, kubernetes, mounts, releases  # noqa: E402
from cppvmdev.ctr import unique_id  # noqa: E402
from cppvmdev.docker import Docker  # noqa: E402
from cppvmdev.invariants import Invariants  # noqa: E402
from cppvmdev.leftovers import Gone, Leftovers  # noqa: E402
from cppvmdev.namespaces import Namespace  # noqa: E402
from cppvmdev.nerdctl import Nerdctl  # noqa: E402
from cppvmdev.waiting import wait_until  # noqa: E402
from harness import session, settings  # noqa: E402
from harness.cluster import CLASS, Cluster, runtime_class  # noqa: E402
from harness.runner import Runner  # noqa: E402
from harness.shim import ShimBundle, Task  # noqa: E402


def both_versions(test):
    """For the decorator @both_versions, which tests/e2e/CMakeLists.txt looks for: ctest runs the
    test once with each containerd. It does nothing here."""
    return test


def pytest_configure(config):  # noqa: F811
    config.addinivalue_line("markers", "vm: needs a runtime that makes VMs")
    config.addinivalue_line("markers", "kvm: part of the selection that runs in the nested machine and in Debian 13")
    config.addinivalue_line("markers", "beside: runs beside other tests")
    config.addinivalue_line("markers", "any_sandboxer: says little more with another one: CPPVM_E2E_LONG=1")
    config.addinivalue_line("markers", "old_containerd: of Kubernetes' tests, part of the selection for containerd 1.6")
    config.addinivalue_line("markers", "runs_runc: has containers of runc's that die of signals")
    config.addinivalue_line("markers", "panics: makes the guest's kernel panic")
    config.addinivalue_line("markers", "kills_daemons: makes containerd give up daemons, which `delete` kills")


def _is_repetition(item):
    return bool(item.get_closest_marker("any_sandboxer")) and "[shim]" in item.name and not settings.LONG


def _is_for_newer_ones(item):
    return "[1.6]" in item.name and not item.get_closest_marker("old_containerd")


def pytest_collection_modifyitems(items):
    items[:] = [item for item in items if not _is_repetition(item) and not _is_for_newer_ones(item)]
    if settings.IS_VM:
        return
    for item in items:
        if item.get_closest_marker("vm"):
            item.add_marker(pytest.mark.skip(reason=f"{settings.RUNTIME} makes no VMs"))


def pytest_runtest_logreport(report):
    """At once, for a run that its deadline ends never says what failed."""
    if report.failed and settings.RELEASE == "system":
        print(f"\n{report.longreprtext}", flush=True)


@pytest.fixture(scope="session", name="containerd")
def containerd_fixture():
    """The containerd under test: ctest's set-up made it run, else it runs for this session."""
    try:
        running = session.attach(settings.RELEASE)
        if running:
            yield running
            return
        yield session.start(settings.RELEASE)
    except releases.Unavailable as reason:
        pytest.skip(f"containerd {settings.RELEASE}: {reason}")
        return
    left = session.stop()
    assert not left, left


@pytest.fixture(name="invariants", autouse=True)
def invariants_fixture(request, tmp_path_factory):
    """Around every test, and after what its other fixtures take down; see cppvmdev.invariants."""
    logs = [settings.BASE / release / "containerd.log" for release in {"1.6", "2.3", settings.RELEASE}]

    def log_text():
        return "".join(log.read_text(errors="replace") for log in logs if log.exists())

    # Other clones' tests may run beside these.
    clones = settings.BASE.parent.glob("cppvm-e2e*")
    ours = [settings.BASE, *clones, "/run/cppvm", "/run/netns", tmp_path_factory.getbasetemp().parent]
    marks = {mark.name for mark in request.node.iter_markers()}
    # The shims of such tests are no containerd's; those of containerds are another test's.
    owned = [] if "beside" in marks else [f"CPPVM_OWNER={settings.BASE}/"]
    held = Invariants(owned, ours, log_text)
    yield held
    held.check(
        allow_panic="panics" in marks,
        allow_kill="kills_daemons" in marks,
        allow_unknown="runs_runc" in marks,
    )


@pytest.fixture(name="runner")
def runner_fixture(containerd):
    """Makes containers; afterwards none may have left a trace on the host."""
    if not containerd.process():
        containerd.start()
    leftovers = Leftovers(containerd)
    # What an earlier test left is that test's failure.
    known = leftovers.find() + leftovers.find_records(session.NAMESPACE)
    runner = Runner(containerd, session.NAMESPACE, session.config_file())
    try:
        yield runner
    except BaseException:
        runner.clean()
        raise
    runner.clean()
    leftovers.wait_none(namespace=session.NAMESPACE, known=known)


@pytest.fixture(name="bundle")
def bundle_fixture(containerd, tmp_path):
    """A bundle; afterwards nothing of its container may be left."""
    _ = containerd.release  # set up with it: libvirt, the configuration
    bundle = ShimBundle(tmp_path, unique_id("raw"), session.config_file() if settings.IS_VM else None)
    yield bundle
    print(bundle.log_text())  # shown where the test failed
    bundle.close()
    if bundle.daemons() and bundle.path.exists():
        bundle.delete()
    # A daemon that was shut down ends by itself; delete left a process behind that makes sure of it.
    try:
        wait_until(lambda: not bundle.daemons(), "end of the daemon", 20)
    finally:
        bundle.kill_daemon()
    Leftovers(Gone(bundle.path.parent, [bundle.identity])).wait_none()


@pytest.fixture(name="configured")
def configured_fixture(runner, tmp_path):
    """A function that gives a runner with keys of the configuration changed:
    configured(vm={"kernel": "/nowhere"})."""

    def make(**tables):
        path = tmp_path / f"config-{len(list(tmp_path.iterdir()))}.toml"
        return runner.with_config(config.write(path, settings.CONFIG_STAGE, tables))

    return make


@pytest.fixture(name="plain")
def plain_fixture(runner):
    """A runner of runc's."""
    return runner.with_config(None).with_runtime("io.containerd.runc.v2")


@pytest.fixture(name="preset")
def preset_fixture(runner):
    """Another runner, whose containerd has the product's configuration at its usual place: for what
    takes the place of the runtime's options. It lies where runc's mapped root gets to."""
    base = settings.BASE / "preset"
    base.mkdir(mode=0o711)
    settings.BASE.chmod(0o711)
    release = releases.get(settings.RELEASE)
    with configured.containerd(release, base, settings.STAGE, settings.PROGRAMS) as containerd:
        containerd.ctr(runner.ctr.namespace).import_image(images.small())
        other = Runner(containerd, runner.ctr.namespace)
        yield other
        other.clean()


@pytest.fixture(name="namespaces")
def namespaces_fixture():
    """Two network namespaces."""
    made = [Namespace(), Namespace()]
    yield made
    for namespace in made:
        namespace.close()


@pytest.fixture(name="world")
def world_fixture():
    """A network namespace for what is outside of containers."""
    namespace = Namespace()
    yield namespace
    namespace.close()


@pytest.fixture(name="docker")
def docker_fixture(containerd, world, tmp_path):
    """Docker, whose bridges are in `world`; afterwards its containers may have left no trace."""
    assert containerd.process()
    leftovers = Leftovers(containerd)
    base = tmp_path / "docker"
    base.mkdir()
    try:
        engine = Docker(base, world, containerd, settings.CONFIG_STAGE)
    except releases.Unavailable as reason:
        pytest.skip(str(reason))
    try:
        engine.start()
        engine.load(images.small(), images.SMALL)
        yield engine
    finally:
        print(engine.log_text()[-4000:])
        try:
            engine.close()
        finally:
            mounts.unmount_below(base)
    leftovers.wait_none(namespace="docker")


@pytest.fixture(name="nerdctl")
def nerdctl_fixture(containerd, world, tmp_path):
    """nerdctl, whose bridges are in `world`."""
    assert containerd.process()  # set up with it: libvirt
    try:
        engine = Nerdctl(tmp_path, world, settings.STAGE, settings.RUNTIME)
    except releases.Unavailable as reason:
        pytest.skip(str(reason))
    try:
        engine.start()
        yield engine
    finally:
        print(engine.containerd.log_text()[-4000:])
        try:
            engine.close()
        finally:
            mounts.unmount_below(tmp_path)


@pytest.fixture(name="kubernetes_node", scope="session", params=["podsandbox", "shim", "1.6"])
def kubernetes_node_fixture(request):
    """A Kubernetes of one node, by each of CRI's sandboxers, and with containerd 1.6; all files share it.
    Needs one that was built: `scripts/fetch-kubernetes`."""
    old = request.param == "1.6"
    base = Path(tempfile.mkdtemp(prefix="cppvm-node-", dir="/var/lib"))
    try:
        node = kubernetes.Node(
            base,
            settings.STAGE,
            releases.distribution() if old else releases.built(),
            sandboxer="podsandbox" if old else request.param,
            changes={"vm": {"memory_mib": 256}},
        )
    except releases.Unavailable as reason:
        base.rmdir()
        pytest.skip(str(reason))
    try:
        node.start()
        node.apply(runtime_class(CLASS), runtime_class("tight", "16Mi"))
        yield node
    finally:
        print(node.log("kubelet")[-3000:])
        node.close()
        assert not node.containerd.shims()


@pytest.fixture(name="cluster")
def cluster_fixture(request, kubernetes_node):
    """The node; what a failed test has left there is not the next one's."""
    cluster = Cluster(kubernetes_node)
    failed = request.session.testsfailed
    yield cluster
    if request.session.testsfailed > failed:
        kubernetes_node.kubectl("delete", "deployments,statefulsets,jobs,services", "--all", "--wait=false")
        kubernetes_node.kubectl("delete", "pods", "--all", "--grace-period=0", "--force")


@pytest.fixture(name="task")
def task_fixture(bundle):
    """The Task service of a started shim that has no container yet."""
    with Task(bundle, bundle.start()) as task:
        yield task
