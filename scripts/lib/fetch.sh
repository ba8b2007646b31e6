# shellcheck shell=bash
# Sourced: packages of another Debian suite, without touching the machine's own package sources, and
# programs from the Go module proxy.
# shellcheck source=scripts/lib/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# fetch_packages SUITE DIRECTORY PACKAGE...: downloads packages and unpacks them into DIRECTORY,
# without what they depend on. DIRECTORY appears only when everything is in it.
fetch_packages() {
    local suite=$1 directory=$2 package work log
    local mirror keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    shift 2
    mirror=$("$cppvm_root/scripts/lib/debian-mirror") || exit 1
    [[ -r $keyring ]] || die "$keyring is missing: apt-get install debian-archive-keyring"

    mkdir -p "$(dirname "$directory")"
    work=$(mktemp -d "$directory.XXXXXX")
    # shellcheck disable=SC2064 # the directory of now
    trap "rm -rf '$work'" EXIT
    log=$work/log
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/packages" "$work/tree"
    echo "deb [signed-by=$keyring] $mirror $suite main" >"$work/sources.list"

    # All that apt would read or write lies in the work directory; as root it would otherwise drop
    # to a user who cannot write there.
    # A mirror that is not refreshed every week will do: signatures are checked all the same.
    local apt=(apt-get -q -o Acquire::Check-Valid-Until=false
        -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=/dev/null
        -o Dir::State::Lists="$work/lists" -o Dir::State::status=/dev/null -o Dir::Cache="$work/cache"
        -o APT::Sandbox::User="$(id -un)" -o Acquire::Languages=none -o Acquire::Retries=3
        -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false)
    retry 3 "${apt[@]}" update >"$log" 2>&1 ||
        die "apt-get update of $suite: $(tail -n 1 "$log")"
    (cd "$work/packages" && retry 3 "${apt[@]}" download "$@") >"$log" 2>&1 ||
        die "apt-get download $*: $(tail -n 1 "$log")"
    for package in "$work/packages"/*.deb; do
        dpkg-deb -x "$package" "$work/tree"
    done
    rm -rf "$directory"
    mv "$work/tree" "$directory"
    rm -rf "$work"
    trap - EXIT
}

# build_go_program CACHED PROGRAM MODULE VERSION PACKAGE [GO BUILD OPTION...]: builds a program from the
# Go module proxy into the directory CACHED, unless it is there. go_command: instead of `build`.
build_go_program() {
    local cached=$1 program=$2 module=$3 version=$4 package=$5 go
    shift 5
    [[ ! -x $cached/$program ]] || return 0
    go=$("$cppvm_root/scripts/fetch-go")
    mkdir -p "$cppvm_cache"
    work=$(mktemp -d "$cached.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    # A module of our own that wants it: `go install` would ask for a list of versions.
    mkdir "$work/module" "$work/bin"
    printf 'module %s.invalid\n\ngo 1.24\n\nrequire %s v%s\n' "$program" "$module" "$version" \
        >"$work/module/go.mod"
    # shellcheck disable=SC2086 # words
    (cd "$work/module" && GOPATH=$work/path GOCACHE=$work/cache GOTOOLCHAIN=auto \
        GOFLAGS="-modcacherw -mod=mod -buildvcs=false" \
        retry 3 "$go" ${go_command:-build} "$@" -o "$work/bin/$program" "$package") >"$work/log" 2>&1 || {
        tail -n 20 "$work/log" >&2
        die "building $program $version failed"
    }
    "$work/bin/$program" --version >/dev/null || die "the $program that was built does not run"
    rm -rf "$cached"
    mv "$work/bin" "$cached"
    rm -rf "$work" # the next step may have a trap of its own
}
