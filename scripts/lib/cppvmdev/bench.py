"""The figures of scripts/bench: measured in turns, medians told.

    python3 -m cppvmdev.bench [--json] [--runs N] NAME=STAGE...

Each NAME=STAGE is a build of the product; the first is what the figures are about, the others are
for comparison.
"""

import argparse
import json
import re
import statistics
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

from . import bench_report, config, images, libvirt, memory, processes, releases
from .containerd import Containerd
from .ctr import unique_id
from .shell import CommandFailed, run
from .waiting import wait_until

BASE = Path("/var/lib/cppvm-bench")
NAMESPACE = "bench"
RUNC = "io.containerd.runc.v2"
CPPVM = "io.containerd.cppvm.v1"
MEMORY_MIB = 512
PODS = 5
STREAM_MIB = 64

# What the shim gives the kernel, and the agent's word to power off where it would say hello.
_COMMAND_LINE = "console=ttyS0 quiet panic=-1 cryptomgr.notests 8250.nr_uarts=1 cppvm.poweroff=1"


class Subject:
    """One build of the product with a containerd of its own."""

    def __init__(self, name, stage):
        self.name = name
        self.stage = Path(stage).resolve()
        self.samples = {}
        base = BASE / name
        programs = [self.stage / "bin", self.stage / "libexec/cppvm"]
        self.containerd = Containerd(releases.distribution(), base, programs)
        self.ctr = self.containerd.ctr(NAMESPACE)
        base.mkdir(parents=True, exist_ok=True)
        self.config = config.write(base / "cppvm.toml", self.stage, {"vm": {"memory_mib": MEMORY_MIB}})

    def start(self):
        self.containerd.start()
        self.ctr.import_image(images.small())

    def add(self, figure, value):
        self.samples.setdefault(figure, []).append(value)

    def words(self, name, command, runtime, *options):
        runtime_words = ["--runtime", runtime]
        if runtime == CPPVM:
            runtime_words += ["--runtime-config-path", self.config]
        return self.ctr.run_argv(images.SMALL, name, command, runtime_words, options)

    def box(self, runtime):
        """A container that stays, for what is measured in it."""
        name = unique_id("bench")
        words = self.words(name, ["sleep", "1000000"], runtime, "-d", "--null-io")
        self.ctr.command(*words, timeout=120).check()
        return name


def _seconds(work):
    begin = time.monotonic()
    work()
    return time.monotonic() - begin


def measure_bare_boot(subject):
    """QEMU alone: the same kernel, initramfs, machine, processor and memory."""
    share = subject.stage / "share/cppvm"
    acceleration = ["-cpu", "host"] if config.kvm_usable() else ["-cpu", "max"]
    accelerator = "kvm" if config.kvm_usable() else "tcg"
    words = [
        "qemu-system-x86_64", "-machine", f"q35,accel={accelerator},vmport=off,hpet=off",
        *acceleration, "-m", MEMORY_MIB, "-smp", "1", "-nodefaults", "-no-user-config",
        "-display", "none", "-no-reboot", "-serial", f"file:{BASE}/bare-console",
        "-kernel", share / "vmlinuz", "-initrd", share / "initramfs.img", "-append", _COMMAND_LINE,
    ]  # fmt: skip
    subject.add("bare_boot_s", _seconds(lambda: run(*words, timeout=120).check()))


def _log_time(line):
    stamp = re.search(r'time="([^"]+)"', line).group(1)
    # Nanoseconds are more than fromisoformat takes.
    stamp = re.sub(r"(\.\d{6})\d*Z$", r"\1+00:00", stamp)
    return datetime.fromisoformat(stamp).timestamp()


def measure_run(subject):
    """`ctr run --rm` of a container that says one line, and where its time goes."""
    name = unique_id("bench")
    logged = len(subject.containerd.log_text())
    wall = datetime.now(timezone.utc).timestamp()
    begin = time.monotonic()
    client = subject.ctr.popen(*subject.words(name, ["echo", "up"], CPPVM, "--rm"))
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
    phases = dict(re.findall(r"([\w-]+):(\d+) ", re.search(r'phases_ms="([^"]*)"', booted).group(1)))
    subject.add("phase_shim_start_ms", (_log_time(started) - wall) * 1000)
    subject.add("phase_domain_create_ms", int(phases["domain"]) - int(phases["vsock"]))
    subject.add("phase_kernel_ms", int(phases["guest-kernel"]))
    subject.add("phase_agent_ms", int(phases["guest-agent"]) - int(phases["guest-kernel"]))
    subject.add("phase_container_ms", (wall + first_output - _log_time(booted)) * 1000)
    subject.add("first_output_ms", first_output * 1000)
    subject.add("phase_teardown_ms", (total - first_output) * 1000)


def measure_exec(subject, box, figure):
    words = ("tasks", "exec", "--exec-id", unique_id("exec"), box, "true")
    subject.add(figure, 1000 * _seconds(lambda: subject.ctr.command(*words).check()))


def measure_stream(subject, box, figure):
    data = bytes(STREAM_MIB << 20)
    words = ("tasks", "exec", "--exec-id", unique_id("exec"), box, "cat")

    def through():
        if len(subject.ctr.command(*words, stdin=data, timeout=300).check().out) != len(data):
            raise RuntimeError("cat lost bytes")

    subject.add(figure, STREAM_MIB / _seconds(through))


def measure_memory(subject):
    """What one pod costs, and what a daemon costs where there are several pods."""
    boxes = [subject.box(CPPVM) for _ in range(PODS)]
    identities = {i.short for i in subject.containerd.identities() if i.group in boxes}

    def of(program):
        return [
            process
            for process in processes.everything()
            if process.comm.startswith(program) and any(s in process.cmdline for s in identities)
        ]

    daemons = [p for p in subject.containerd.shims() if any(b in p.cmdline for b in boxes)]
    for daemon in daemons:
        subject.add("daemon_pss_kib", memory.pss_kib(daemon.pid))
    for qemu in of("qemu-system"):
        subject.add("qemu_pss_less_guest_kib", memory.pss_kib(qemu.pid) - memory.guest_kib(qemu.pid))
    for program, figure in (("virtiofsd", "virtiofsd_pss_kib"), ("vhost-device-vs", "vsock_pss_kib")):
        found = of(program)
        if found:
            subject.add(figure, sum(memory.pss_kib(p.pid) for p in found) / PODS)
    for box in boxes:
        subject.ctr.remove(box)
    wait_until(lambda: not of("qemu-system"), "end of the pods", 60)


def measure(subjects, runs):
    for subject in subjects:
        subject.start()
    # Once outside the count: caches of the host, libvirt's knowledge of QEMU.
    for subject in subjects:
        measure_bare_boot(subject)
        measure_run(subject)
        subject.samples.clear()
    for turn in range(runs):
        print(f"boots: turn {turn + 1} of {runs}", file=sys.stderr)
        for subject in subjects:
            measure_bare_boot(subject)
            measure_run(subject)
    boxes = [(subject, subject.box(CPPVM), subject.box(RUNC)) for subject in subjects]
    for turn in range(runs):
        print(f"exec and streams: turn {turn + 1} of {runs}", file=sys.stderr)
        for subject, vm, runc in boxes:
            measure_exec(subject, vm, "exec_ms")
            measure_exec(subject, runc, "exec_runc_ms")
            measure_stream(subject, vm, "stdio_mib_s")
            measure_stream(subject, runc, "stdio_runc_mib_s")
    for subject, *names in boxes:
        for name in names:
            subject.ctr.remove(name)
    print("memory", file=sys.stderr)
    for subject in subjects:
        measure_memory(subject)


def figures(subject):
    """Medians by name; the first is the one that counts most."""
    medians = {name: statistics.median(values) for name, values in subject.samples.items()}
    return {
        "ctr_run_over_bare_boot": medians["ctr_run_s"] / medians["bare_boot_s"],
        "exec_over_runc": medians["exec_ms"] / medians["exec_runc_ms"],
        **medians,
    }


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench")
    parser.add_argument("--json", action="store_true", help="print one JSON object, no table")
    parser.add_argument("--runs", type=int, default=10, help="samples of each figure, at least 10")
    parser.add_argument("subjects", nargs="+", metavar="NAME=STAGE")
    words = parser.parse_args()
    daemons = libvirt.LibvirtDaemons(BASE / "libvirt.json")
    subjects = []
    try:
        daemons.start()
        subjects = [Subject(*word.split("=", 1)) for word in words.subjects]
        measure(subjects, words.runs)
        results = {subject.name: figures(subject) for subject in subjects}
    finally:
        for subject in subjects:
            subject.containerd.remove()
        daemons.stop()
        for path in BASE.glob("*"):
            path.unlink()
        if BASE.exists():
            BASE.rmdir()
    first, *others = results
    document = dict(results[first])
    if others:
        document["compared"] = {name: results[name] for name in others}
    if not words.json:
        print(bench_report.table(results))
    print(json.dumps(bench_report.rounded(document)))


if __name__ == "__main__":
    try:
        main()
    except (CommandFailed, RuntimeError, libvirt.LibvirtError, images.ImageError) as failure:
        sys.exit(f"bench: {failure}")
