"""The figures of scripts/bench: measured in turns, medians told.

    python3 -m cppvmdev.bench [--json] [--runs N] [--pods N] [--containers N] [--earlier N]
                              --echo PROGRAM NAME=STAGE...

Each NAME=STAGE is a build of the product; the first is what the figures are about, the others are
for comparison.
"""

import argparse
import json
import sys

from .. import images, libvirt
from ..shell import CommandFailed
from . import boots, execs, pods, report, streams
from .subject import CPPVM, RUNC, prepared, say

STREAM_MIB = 64


def _measure_boots(subjects, runs):
    # Once outside the count: caches of the host, libvirt's knowledge of QEMU.
    for subject in subjects:
        boots.bare_boot(subject)
        boots.ctr_run(subject)
        subject.samples.clear()
    for turn in range(runs):
        say(f"boots: turn {turn + 1} of {runs}")
        for subject in subjects:
            boots.bare_boot(subject)
            boots.ctr_run(subject)
            boots.ctr_run_runc(subject)


def _measure_processes(subjects, runs, echo_program):
    for subject in subjects:
        subject.vm, subject.runc = subject.container(CPPVM), subject.container(RUNC)
        subject.echo = streams.EchoContainer(subject, echo_program)
    for turn in range(runs):
        say(f"execs and streams: turn {turn + 1} of {runs}")
        for subject in subjects:
            execs.by_task_api(subject, subject.vm, "exec_ms")
            execs.by_task_api(subject, subject.runc, "exec_runc_ms")
            execs.by_ctr(subject, subject.vm, "exec_ctr_ms")
            execs.by_ctr(subject, subject.runc, "exec_ctr_runc_ms")
            streams.stdio(subject, subject.vm, "stdio_mib_s", "stdio_round_trip_us", STREAM_MIB)
            streams.plain(subject, subject.echo, STREAM_MIB)
            streams.stdio(
                subject, subject.runc, "stdio_runc_mib_s", "stdio_runc_round_trip_us", STREAM_MIB
            )
            streams.one_way(subject, subject.vm, ("stdin_mib_s", "stdout_mib_s"), STREAM_MIB)
            streams.one_way(subject, subject.runc, ("stdin_runc_mib_s", "stdout_runc_mib_s"), STREAM_MIB)
            execs.statistics(subject, subject.vm, "stats_ms")
            execs.statistics(subject, subject.runc, "stats_runc_ms")
    for subject in subjects:
        pods.idle(subject, subject.vm)
        subject.remove([subject.vm, subject.runc, subject.echo.name])
    for subject in subjects:
        pods.starts_with_a_filter(subject, runs)


def _measure_many(subjects, runs, containers, earlier):
    """Does an exec take longer when there is, or was, much else?"""
    for subject in subjects:
        say(f"execs in a VM with {containers} containers, and after {earlier} execs")
        alone = subject.container(CPPVM)
        crowded = pods.pod_of(subject, containers)
        old = subject.container(CPPVM)
        execs.many_before(subject, old, earlier)
        for _ in range(runs):
            execs.by_task_api(subject, alone, "exec_alone_ms")
            execs.by_task_api(subject, crowded[-1], "exec_among_many_ms")
            execs.by_task_api(subject, old, "exec_after_many_ms")
        subject.remove([alone, old, *reversed(crowded)])


def measure(subjects, options):
    for subject in subjects:
        subject.start()
    _measure_boots(subjects, options.runs)
    _measure_processes(subjects, options.runs, options.echo)
    if options.containers:
        _measure_many(subjects, options.runs, options.containers, options.earlier)
    for subject in subjects:
        say("memory of pods")
        pods.memory_of_pods(subject)
    if options.pods:
        for subject in subjects:
            say(f"{options.pods} VMs at once")
            pods.all_at_once(subject, options.pods)


# The figures that have aims: name, what is measured, what it is measured against.
_RATIOS = [
    ("ctr_run_over_bare_boot", "ctr_run_s", "bare_boot_s"),
    ("hello_over_bare_pid_1", "hello_s", "bare_pid_1_s"),
    ("exec_over_runc", "exec_ms", "exec_runc_ms"),
    ("exec_ctr_over_runc", "exec_ctr_ms", "exec_ctr_runc_ms"),
    ("stdio_over_vsock", "stdio_mib_s", "vsock_mib_s"),
    ("stdin_over_runc", "stdin_mib_s", "stdin_runc_mib_s"),
    ("stdout_over_runc", "stdout_mib_s", "stdout_runc_mib_s"),
    ("stats_over_runc", "stats_ms", "stats_runc_ms"),
    ("start_with_filter_over_without", "start_in_pod_filter_ms", "start_in_pod_ms"),
    ("round_trip_over_vsock", "stdio_round_trip_us", "vsock_round_trip_us"),
    ("daemon_pss_over_runc", "daemon_pss_kib", "runc_shim_pss_kib"),
    ("daemon_private_dirty_over_runc", "daemon_private_dirty_kib", "runc_shim_private_dirty_kib"),
    ("exec_among_many_over_alone", "exec_among_many_ms", "exec_alone_ms"),
    ("exec_after_many_over_alone", "exec_after_many_ms", "exec_alone_ms"),
]


def figures(subject):
    """Medians by name, ratios first."""
    medians = {name: subject.median(name) for name in subject.samples}
    ratios = {
        name: medians[value] / medians[base]
        for name, value, base in _RATIOS
        if value in medians and base in medians
    }
    return {**ratios, **medians}


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench")
    parser.add_argument("--json", action="store_true", help="print one JSON object, no table")
    parser.add_argument("--runs", type=int, default=10, help="samples of each figure, at least 10")
    parser.add_argument("--pods", type=int, default=20, help="VMs started at once; 0: not measured")
    parser.add_argument("--containers", type=int, default=100, help="in one VM; 0: not measured")
    parser.add_argument("--earlier", type=int, default=10000, help="execs in a container's past")
    parser.add_argument("--echo", required=True, help="the program vsock-echo")
    parser.add_argument("subjects", nargs="+", metavar="NAME=STAGE")
    options = parser.parse_args()
    with prepared([pair.split("=", 1) for pair in options.subjects]) as subjects:
        measure(subjects, options)
        results = {subject.name: figures(subject) for subject in subjects}
    first, *others = subjects
    document = dict(results[first.name])
    if others:
        document["compared"] = {
            other.name: {
                **results[other.name],
                "this_over_other": report.ratios(first, other),
            }
            for other in others
        }
    if not options.json:
        print(report.table(results))
    print(json.dumps(report.rounded(document)))


if __name__ == "__main__":
    try:
        main()
    except (CommandFailed, RuntimeError, libvirt.LibvirtError, images.ImageError) as failure:
        sys.exit(f"bench: {failure}")
