"""`ctr run --rm` and its phases against QEMU alone with the same kernel and initramfs."""

import re
import subprocess
import time
from datetime import datetime, timezone

from ..ctr import unique_id
from . import bare_machine
from .subject import CPPVM, RUNC, seconds

# What the shim gives the kernel, and the agent's word to power off where it would say hello.
_COMMAND_LINE = (
    "console=ttyS0 quiet panic=-1 cryptomgr.notests 8250.nr_uarts=1 noreplace-smp no_timer_check "
    "cppvm.poweroff=1"
)
# The first line that the agent writes to the console.
_PID_1 = b"Agent started"


def _argv(subject, *devices):
    """QEMU alone: the same kernel, initramfs, machine, processor and memory."""
    share = subject.stage / "share/cppvm"
    return bare_machine.argv(
        share / "vmlinuz", _COMMAND_LINE, "-initrd", share / "initramfs.img", *devices
    )


def seconds_of_bare_boot(subject, *devices, within=()):
    """From its start to its power-off, with these devices as well; `within`: what starts QEMU."""
    argv = [*within, *_argv(subject, *devices)]
    return seconds(
        lambda: subprocess.run(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=120, check=True
        )
    )


def bare_boot(subject):
    argv = _argv(subject)
    begin = time.monotonic()
    machine = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    try:
        for line in machine.stdout:
            if _PID_1 in line:
                subject.add("bare_pid_1_s", time.monotonic() - begin)
        machine.wait(120)
    finally:
        machine.kill()
        machine.wait()
    subject.add("bare_boot_s", time.monotonic() - begin)


def _log_time(line):
    stamp = re.search(r'time="([^"]+)"', line).group(1)
    # Nanoseconds are more than fromisoformat takes.
    stamp = re.sub(r"(\.\d{6})\d*Z$", r"\1+00:00", stamp)
    return datetime.fromisoformat(stamp).timestamp()


def phases_of_boot(line):
    """Figures of the daemon's line that tells that the sandbox has booted."""
    said = dict(re.findall(r"([\w-]+):(\d+) ", re.search(r'phases_ms="([^"]*)"', line).group(1)))
    until = {phase: int(ms) for phase, ms in said.items()}
    return {
        "hello_s": until["hello"] / 1000,
        "phase_domain_create_ms": until["domain"] - until["vsock"],
        "phase_firmware_ms": until["hello"] - until["domain"] - until["guest-agent"],
        "phase_kernel_ms": until["guest-kernel"],
        "phase_agent_ms": until["guest-agent"] - until["guest-kernel"],
    }


def ctr_run(subject):
    """`ctr run --rm` of a container that says one line, and where its time goes."""
    name = unique_id("bench")
    logged = len(subject.containerd.log_text())
    wall = datetime.now(timezone.utc).timestamp()
    begin = time.monotonic()
    client = subject.ctr.popen(*subject.argv(name, ["echo", "up"], CPPVM, "--rm"))
    first_output = client.stdout.readline() and time.monotonic() - begin
    _, error = client.communicate(timeout=120)
    total = time.monotonic() - begin
    if client.returncode != 0 or not first_output:
        raise RuntimeError(f"ctr run failed: {error.decode(errors='replace')}")
    subject.add("ctr_run_s", total)

    lines = [
        line
        for line in subject.containerd.log_text()[logged:].splitlines()
        if f"sandbox={name}" in line
    ]
    started = next(line for line in lines if "Daemon started" in line)
    booted = next(line for line in lines if "Sandbox booted" in line)
    subject.add("phase_shim_start_ms", (_log_time(started) - wall) * 1000)
    for phase, value in phases_of_boot(booted).items():
        subject.add(phase, value)
    subject.add("phase_container_ms", (wall + first_output - _log_time(booted)) * 1000)
    subject.add("first_output_ms", first_output * 1000)
    subject.add("phase_teardown_ms", (total - first_output) * 1000)


def ctr_run_runc(subject):
    """What ctr, containerd and runc need for the same: no VM can be had for less."""
    argv = subject.argv(unique_id("bench"), ["echo", "up"], RUNC, "--rm")
    subject.add("ctr_run_runc_s", seconds(lambda: subject.ctr.command(*argv).check()))
