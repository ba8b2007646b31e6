"""Whatever a guest says or keeps to itself: Kill, Delete and Shutdown end, each process exits once, and
the daemon neither grows nor floods the log. The fixture `bundle` looks for what is left, `invariants`
for a daemon that crashed."""

import contextlib
import os
import threading

import pytest

from cppvmdev.ctr import unique_id
from cppvmdev.leftovers import Gone, Leftovers
from cppvmdev.waiting import wait_until
from harness import hostile
from harness.shim import ShimBundle, spec

pytestmark = [pytest.mark.vm, pytest.mark.beside]


@pytest.fixture(name="ordeal")
def ordeal_fixture(containerd, tmp_path):
    """ordeal(guest, *words): a container whose init lies by `words`, in a guest that lies by `guest`."""
    _ = containerd.release  # set up with it: libvirt
    bundles = []

    def make(guest, *words, boot_timeout=60):
        config = hostile.configuration(tmp_path / "config.toml", guest, boot_timeout)
        bundle = ShimBundle(tmp_path, unique_id("hostile"), config)
        bundles.append(bundle)
        bundle.write_spec(spec(*words or ["quiet"]))
        return hostile.Ordeal(bundle)

    yield make
    for bundle in bundles:
        print(bundle.log_text())
        bundle.kill_daemon()
        bundle.delete()
        bundle.close()
    Leftovers(Gone(tmp_path, [bundle.identity for bundle in bundles])).wait_none()


def _ids(rows):
    return [" ".join(row) if isinstance(row, tuple) else row for row in rows]


HELLOS = ("none", "garbage", "huge", "drip", "silent")


@pytest.mark.parametrize("hello", HELLOS)
def test_no_good_hello(ordeal, hello):
    """Create fails when the boot's time is over, in words; nothing but Shutdown is left to do."""
    trial = ordeal(f"hello={hello}", boot_timeout=8)
    trial.attempt("Create", timeout=40)
    assert trial.refused and len(trial.refused[0]) < 4096
    trial.shut_down()
    trial.check()


def test_another_protocol(ordeal):
    """An image of another version is refused in words that say what to do."""
    trial = ordeal("hello=version")
    trial.attempt("Create", timeout=60)
    assert "protocol version" in trial.refused[0]
    assert "cppvm image build" in trial.refused[0]
    trial.shut_down()
    trial.check()


@pytest.mark.parametrize("hello", HELLOS)
def test_shutdown_before_hello(ordeal, hello):
    trial = ordeal(f"hello={hello}")
    wait_until(lambda: trial.bundle.daemons(), "the daemon")
    trial.shut_down()
    trial.check()


def _life(trial, **streams):
    """Of a container with an exec, as far as its guest lets it come."""
    assert trial.attempt("Create", **streams) is not None, trial.refused
    trial.attempt("Start")
    trial.attempt("Pids")
    trial.exec("more", "quiet")
    trial.attempt("Pids")
    trial.end()
    trial.check(trial.bundle.name)


GUESTS = ("hello=two", "redial=1", "rpc=close", "console=flood",
          "Events=hang", "Configure=hang", "Configure=14")  # fmt: skip


@pytest.mark.parametrize("guest", GUESTS)
def test_guest_that_lies(ordeal, guest):
    _life(ordeal(guest))


@pytest.mark.parametrize("guest", ("Events=garbage", "Events=1"))
def test_guest_that_breaks_every_connection(ordeal, guest):
    """Create may fail or not, depending on the moment; a container that exists exits exactly once."""
    trial = ordeal(guest)
    created = trial.attempt("Create") is not None
    if created:
        trial.attempt("Start")
    trial.end()
    trial.check(*[trial.bundle.name] * created)


INITS = (
    ("exit=early",),
    ("exit=twice",),
    ("exit=never",),
    ("StartContainer=5",),
    ("SignalProcess=hang",),
    ("SignalProcess=garbage",),
    ("exit=silent",),
    ("DeleteProcess=hang",),
    ("DeleteProcess=garbage",),
    ("SignalProcess=hang", "exit=silent", "DeleteProcess=hang", "ListProcesses=hang"),
)


@pytest.mark.parametrize("words", INITS, ids=_ids(INITS))
def test_init_that_lies(ordeal, words):
    _life(ordeal("", *words))


LISTS = ("list=million", "list=many", "list=duplicate", "list=negative", "list=large",
         "ListProcesses=hang", "ListProcesses=garbage", "ListProcesses=1")  # fmt: skip


@pytest.mark.parametrize("word", LISTS)
def test_list_that_lies(ordeal, word):
    _life(ordeal("", word))


FRAMES = ("frames=unknown", "frames=known", "frames=garbage")


@pytest.mark.parametrize("word", FRAMES)
def test_frames_nobody_asked_for(ordeal, word):
    _life(ordeal("", word))


# The host's own, and those that containerd takes for an end; the table of
# tests/integration/sandbox/hostile_agent_test.cpp has them all.
CODES = (1, 4, 5, 9, 14)  # cancelled, deadline_exceeded, not_found, failed_precondition, unavailable


@pytest.mark.parametrize("code", CODES)
def test_status_codes_of_a_kill(ordeal, code):
    _life(ordeal("", f"SignalProcess={code}", f"DeleteProcess={code}"))


OUTPUTS = ("stdout=drip", "stdout=flood", "stdout=long", "stdout=open")


@pytest.mark.parametrize("reader", [True, False], ids=["read", "unread"])
@pytest.mark.parametrize("word", OUTPUTS)
def test_output_that_lies(ordeal, tmp_path, word, reader):
    fifo = tmp_path / "out"
    os.mkfifo(fifo)
    trial = ordeal("", word)
    with open(os.open(fifo, os.O_RDWR), "rb", buffering=0) as held:
        if reader:
            threading.Thread(target=_drop, args=(held.fileno(),), daemon=True).start()
        _life(trial, stdout=str(fifo))


def _drop(fifo):
    with contextlib.suppress(OSError):
        while os.read(fifo, 65536):
            pass


EXECS = (
    *(f"Exec={code}" for code in range(1, 17)),
    *(f"SignalProcess={code}" for code in range(1, 17)),
    "Exec=garbage", "SignalProcess=hang", "SignalProcess=garbage",
    "exit=early", "exit=twice", "exit=never", "exit=silent",
)  # fmt: skip


def test_execs_that_lie(ordeal):
    """All in one container: none is the end of another, or of the container."""
    trial = ordeal("")
    assert trial.attempt("Create") is not None, trial.refused
    trial.attempt("Start")
    for number, word in enumerate(EXECS):
        trial.exec(f"exec-{number}", word)
    trial.end()
    trial.check(trial.bundle.name)
