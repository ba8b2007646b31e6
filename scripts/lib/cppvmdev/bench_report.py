"""How figures are shown."""

_LABELS = {
    "ctr_run_over_bare_boot": "ctr run / bare boot",
    "exec_over_runc": "exec / runc's exec",
    "bare_boot_s": "bare boot and power-off, s",
    "ctr_run_s": "ctr run --rm, s",
    "phase_shim_start_ms": "  shim started after, ms",
    "phase_domain_create_ms": "  domain create, ms",
    "phase_kernel_ms": "  kernel, ms",
    "phase_agent_ms": "  agent, ms",
    "phase_container_ms": "  boot done to first output, ms",
    "first_output_ms": "  first output after, ms",
    "phase_teardown_ms": "  first output to ctr's end, ms",
    "exec_ms": "exec round trip, ms",
    "exec_runc_ms": "  runc's, ms",
    "stdio_mib_s": "stdio through cat, MiB/s",
    "stdio_runc_mib_s": "  runc's, MiB/s",
    "daemon_pss_kib": "daemon PSS (5 pods), KiB",
    "qemu_pss_less_guest_kib": "QEMU PSS less guest, KiB",
    "virtiofsd_pss_kib": "virtiofsd PSS, KiB",
    "vsock_pss_kib": "vhost-device-vsock PSS, KiB",
}


def rounded(document):
    """The same with at most three decimals, which is more than the figures are worth."""
    if isinstance(document, dict):
        return {key: rounded(value) for key, value in document.items()}
    return round(document, 3)


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
