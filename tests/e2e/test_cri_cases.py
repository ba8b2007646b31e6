"""What CRI promises, in some 200 cases, each with runc and with both ways to run pods here: what is
reported must be the same, but for what docs/differences.md names."""

import pytest

from cppvmdev import images, releases, runc
from differential.compare import assert_alike
from harness import settings

grpc = pytest.importorskip("grpc", reason="python3-grpcio: scripts/install-deps test")

# pylint: disable=wrong-import-position
from cri import life, mounts, pods, processes, resources, security, streams  # noqa: E402
from cri.side import Side  # noqa: E402
from harness.cri import serving_cri  # noqa: E402

pytestmark = [pytest.mark.vm, pytest.mark.runs_runc]


@pytest.fixture(name="cri")
def cri_fixture(containerd):
    assert containerd.process()  # set up with it: libvirt, the configuration
    try:
        handlers = {
            "runc": {"runtime_type": "io.containerd.runc.v2", "options": {"BinaryName": runc.program()}},
            "pause": {"runtime_type": settings.RUNTIME},
            "sandbox": {"runtime_type": settings.RUNTIME, "sandboxer": "shim"},
        }
        releases.get("2.3", allow_build=False)
    except releases.Unavailable as reason:
        pytest.skip(str(reason))
    with serving_cri(handlers) as made:
        yield made


@pytest.fixture(name="odd_images")
def odd_images_fixture(cri):
    """Imported before there are pods, so that CRI knows them by then."""
    for number, user in enumerate(pods.USERS):
        cri.containerd.ctr("k8s.io").import_image(images.of_user(number, user)[1])


@pytest.fixture(name="sides", params=["pause", "sandbox"])
def sides_fixture(request, cri, tmp_path):
    """runc's and ours."""
    made = [Side(cri, handler, tmp_path / handler) for handler in ("runc", request.param)]
    yield made
    faults = [fault for side in made for fault in side.faults]
    for side in made:
        side.close()
    assert not faults, "\n".join(faults)


def test_life(sides):
    assert_alike(sides, life.CASES)


def test_security(sides):
    assert_alike(sides, security.CASES)


def test_mounts(sides):
    assert_alike(sides, mounts.CASES)


def test_processes(sides):
    assert_alike(sides, processes.CASES)


def test_resources(sides):
    assert_alike(sides, resources.CASES)


@pytest.mark.usefixtures("odd_images")
def test_pods(sides):
    assert_alike(sides, pods.CASES)


def test_streams(sides):
    assert_alike(sides, streams.CASES)
