"""How figures are shown."""

import json
import statistics

_LABELS = {
    "ctr_run_over_bare_boot": "ctr run / bare boot",
    "hello_over_bare_pid_1": "agent hello / bare QEMU to PID 1",
    "exec_over_runc": "exec / runc's exec, by the Task API",
    "exec_ctr_over_runc": "exec / runc's exec, through ctr",
    "stdio_over_vsock": "stdio throughput / plain vsock stream",
    "stdin_over_runc": "into a process / runc's",
    "stdout_over_runc": "out of a process / runc's",
    "stats_over_runc": "Stats / runc's",
    "start_with_filter_over_without": "start with the default seccomp profile / without",
    "round_trip_over_vsock": "8-byte stdio round trip / vsock's",
    "daemon_pss_over_runc": "daemon PSS / runc's shim, 5 pods",
    "daemon_private_dirty_over_runc": "daemon private dirty / runc's shim",
    "all_at_once_over_cpu": "VMs at once / their CPU time",
    "exec_among_many_over_alone": "exec among many containers / alone",
    "exec_after_many_over_alone": "exec after many / after none",
    "bare_boot_s": "bare boot and power-off, s",
    "bare_pid_1_s": "bare QEMU to PID 1, s",
    "ctr_run_s": "ctr run --rm, s",
    "ctr_run_runc_s": "  runc's, s",
    "hello_s": "  agent hello after the shim's start, s",
    "phase_shim_start_ms": "  shim started after, ms",
    "phase_domain_create_ms": "  domain create, ms",
    "phase_firmware_ms": "  firmware and unpacking of the kernel, ms",
    "phase_kernel_ms": "  kernel, ms",
    "phase_agent_ms": "  agent, ms",
    "phase_container_ms": "  boot done to first output, ms",
    "first_output_ms": "  first output after, ms",
    "phase_teardown_ms": "  first output to ctr's end, ms",
    "exec_ms": "exec by the Task API, ms",
    "exec_runc_ms": "  runc's, ms",
    "exec_ctr_ms": "exec through ctr, ms",
    "exec_ctr_runc_ms": "  runc's, ms",
    "exec_alone_ms": "exec in a VM with one container, ms",
    "exec_among_many_ms": "  with many, ms",
    "exec_after_many_ms": "  after many, ms",
    "stdio_mib_s": "stdio through cat, MiB/s",
    "vsock_mib_s": "  plain vsock stream, MiB/s",
    "stdio_runc_mib_s": "  runc's, MiB/s",
    "stdin_mib_s": "into a process that reads, MiB/s",
    "stdin_runc_mib_s": "  runc's, MiB/s",
    "stdout_mib_s": "out of a process that writes, MiB/s",
    "stdout_runc_mib_s": "  runc's, MiB/s",
    "stats_ms": "Stats by the Task API, ms",
    "stats_runc_ms": "  runc's, ms",
    "start_in_pod_ms": "start of a further container in a VM, through ctr, ms",
    "start_in_pod_filter_ms": "  with the default seccomp profile, ms",
    "stdio_round_trip_us": "8-byte round trip through cat, us",
    "vsock_round_trip_us": "  plain vsock, us",
    "stdio_runc_round_trip_us": "  runc's, us",
    "daemon_pss_kib": "daemon PSS, KiB",
    "daemon_private_dirty_kib": "daemon private dirty, KiB",
    "runc_shim_pss_kib": "  runc's shim PSS, KiB",
    "runc_shim_private_dirty_kib": "  runc's shim private dirty, KiB",
    "qemu_pss_less_guest_kib": "QEMU PSS less guest, KiB",
    "virtiofsd_pss_kib": "virtiofsd PSS, KiB",
    "vsock_pss_kib": "vhost-device-vsock PSS, KiB",
    "guest_kib": "guest memory in use, KiB",
    "pod_besides_guest_mib": "idle pod besides guest memory, MiB",
    "daemon_wakeups_s": "context switches of an idle pod's daemon, 1/s",
    "one_vm_cpu_s": "one VM's CPU time until it runs, s",
    "all_at_once_s": "VMs at once, s",
}


def rounded(document):
    """The same with at most three decimals, which is more than the figures are worth."""
    if isinstance(document, dict):
        return {key: rounded(value) for key, value in document.items()}
    return [rounded(value) for value in document] if isinstance(document, list) else round(document, 3)


def ratios(first, second):
    """For each figure of both: the median ratio of samples of the same turn, and its quartiles."""
    result = {}
    for name, samples in first.samples.items():
        pairs = list(zip(samples, second.samples.get(name, []), strict=False))
        values = [one / other for one, other in pairs if other]
        if len(values) > 1:
            low, middle, high = statistics.quantiles(values, n=4)
            result[name] = [low, middle, high]
    return result


def _shown(value):
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def table(results):
    """One row for each figure, one column for each build."""
    names = list(results)
    rows = [["", *names]]
    for key, label in _LABELS.items():
        values = [results[name].get(key) for name in names]
        if any(value is not None for value in values):
            rows.append([label, *(_shown(value) for value in values)])
    width = max(len(row[0]) for row in rows)
    columns = max(len(cell) for row in rows for cell in row[1:]) + 2
    return "\n".join(
        row[0].ljust(width) + "".join(cell.rjust(columns) for cell in row[1:]) for row in rows
    )


def result_of(text, mark):
    """The JSON object behind `mark` in what a workload has printed."""
    for line in text.splitlines():
        if mark in line:
            return json.loads(line.split(mark, 1)[1])
    raise RuntimeError(f"the workload gave no result; it said: {text[-500:]}")


def compared(samples):
    """Medians of samples[NAME][FIGURE], one column for each name."""
    names = list(samples)
    figures = {figure: None for name in names for figure in samples[name]}
    lines = ["| | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for figure in figures:
        middle = [
            _shown(statistics.median(samples[name][figure]) if figure in samples[name] else None)
            for name in names
        ]
        lines.append(f"| {figure} | " + " | ".join(middle) + " |")
    return "\n".join(lines)
