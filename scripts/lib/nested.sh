# shellcheck shell=bash
# Sourced besides build.sh by what uses the nested machine.

# fill_exchange EXCHANGE [OPTION...]: the product's package, tests and image, for another system. The
# options are those of scripts/package.
fill_exchange() {
    local exchange=$1 package archives archive
    shift
    mkdir -p "$exchange/cache/images" "$exchange/project/scripts" "$exchange/project/tests"
    package=$("$cppvm_root/scripts/package" "$@") || return 1
    cp "$package" "$exchange/cppvm.deb" || return 1
    archives=$(python -m cppvmdev.images small pause) || return 1
    while read -r archive; do
        cp "$archive" "$exchange/cache/images/" || return 1
    done <<<"$archives"
    cp -a "$cppvm_root/scripts/lib" "$exchange/project/scripts/"
    cp -a "$cppvm_root/tests/e2e" "$exchange/project/tests/"
    cp -a "$cppvm_root/proto" "$exchange/project/"
}

# run_nested SCRIPT EXCHANGE SECONDS [FILE...]: boots the machine with the product's package, tests and
# image, and the FILEs beside the tests, and runs scripts/lib/SCRIPT in it, which see for what is in
# EXCHANGE then. Prints what it said.
run_nested() {
    local script=$1 exchange=$2 seconds=$3
    shift 3
    fill_exchange "$exchange" || return 1
    ((!$#)) || cp "$@" "$exchange/project/" || return 1
    cp -a "$cppvm_root/scripts/lib/$script" "$exchange/run"
    python -m cppvmdev.nested boot "$exchange" "$seconds" || warn "the machine did not end well"
    [[ ! -e $exchange/log ]] || cat "$exchange/log"
    if [[ ! -e $exchange/code ]]; then
        warn "the script's end was not seen; the machine's console ends:"
        tail -n 50 "$exchange/console.log"
        return 1
    fi
    [[ $(cat "$exchange/code") == 0 ]] && return
    tail -n 200 "$exchange/journal"
    return 1
}
