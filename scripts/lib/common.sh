# shellcheck shell=bash
# Sourced by the programs of scripts/: strict mode, messages, paths, retries.
set -euo pipefail

cppvm_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# Downloads and builds that outlive a clone; everything in it can be made again.
cppvm_cache=${CPPVM_CACHE_DIR:-/var/cache/cppvm}
export CPPVM_CACHE_DIR=$cppvm_cache

note() { printf '%s\n' "$*"; }
warn() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() {
    warn "$*"
    exit 1
}

# usage: the comment at the top of the script that was called.
usage() { awk 'NR > 1 { if (!/^#/) exit; sub(/^# ?/, ""); print }' "$0"; }

# Before anything is installed or asked for: sourced, this sees the script's own arguments.
case ${1:-} in
-h | --help)
    usage
    exit 0
    ;;
esac

need_root() {
    [[ $(id -u) -eq 0 ]] || die "must run as root (containerd, libvirt and mounts need it)"
}

# retry TIMES COMMAND...: again after a pause that grows, for what depends on a network.
retry() {
    local times=$1 attempt
    shift
    for ((attempt = 1; attempt <= times; attempt++)); do
        "$@" && return 0
        ((attempt == times)) || sleep $((attempt * 3))
    done
    return 1
}

# The distribution's Python: the one that its python3-* packages belong to.
python() { PYTHONPATH="$cppvm_root/scripts/lib" PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 "$@"; }

# A stock kernel hangs on a KVM whose CPU has neither vmx nor svm, though /dev/kvm opens.
kvm_usable() {
    [[ -r /dev/kvm && -w /dev/kvm ]] && grep -qwE 'vmx|svm' /proc/cpuinfo
}
