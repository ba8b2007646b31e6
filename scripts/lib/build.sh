# shellcheck shell=bash
# Sourced instead of common.sh by what compiles: configuring, building, staging.
# shellcheck source=scripts/lib/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# All build directories share compiler output: they lie at the same depth and paths are relative.
export CCACHE_BASEDIR=${CCACHE_BASEDIR:-$cppvm_root} CCACHE_NOHASHDIR=1
cppvm_jobs=${CPPVM_JOBS:-$(nproc)}

# build PRESET DIRECTORY [CMAKE OPTION...] [-- TARGET...]
build() {
    local preset=$1 directory=$2 options=() log
    shift 2
    while (($#)) && [[ $1 != -- ]]; do
        options+=("$1")
        shift
    done
    (($# == 0)) || shift
    mkdir -p "$directory"
    log=$directory/configure.log
    (cd "$cppvm_root" && cmake --preset "$preset" -B "$directory" "${options[@]}") >"$log" 2>&1 || {
        tail -n 30 "$log" >&2
        die "configuring $directory failed; the whole output is in $log"
    }
    cmake --build "$directory" -j "$cppvm_jobs" ${1:+--target "$@"}
}

# stage DIRECTORY [IMAGE OPTION...]: the product as it would be installed, below DIRECTORY/stage, with
# guest image. The options are those of `cppvm image build`.
stage() {
    local directory=$1 target=$1/stage image
    shift
    cmake --install "$directory" --prefix "$target" --strip >"$directory/install.log" || {
        tail -n 30 "$directory/install.log" >&2
        die "staging into $target failed"
    }
    # QEMU's user opens the image, and need not be let in where the sources are: in /root, say.
    image=$cppvm_cache/staged-$(printf '%s' "$target" | sha256sum | cut -c 1-16)
    "$target/bin/cppvm" image build --agent "$target/libexec/cppvm/cppvm-agent" \
        --output "$image" --cache "$cppvm_cache" "$@" || return 1
    mkdir -p "$target/share"
    rm -rf "$target/share/cppvm"
    ln -s "$image" "$target/share/cppvm"
    "$cppvm_root/scripts/fetch-virtiofsd" "$target/libexec/cppvm"
    if [[ ! -e /dev/vhost-vsock ]]; then
        "$cppvm_root/scripts/fetch-vhost-device-vsock" "$target/libexec/cppvm"
    fi
}

# build_product DIRECTORY [IMAGE OPTION...]: builds without tests, the output in DIRECTORY/build.log, and stages.
build_product() {
    local directory=$1
    shift
    mkdir -p "$directory"
    build default "$directory" -DCPPVM_BUILD_TESTS=OFF >"$directory/build.log" 2>&1 || {
        tail -n 30 "$directory/build.log" >&2
        die "the build failed; the whole output is in $directory/build.log"
    }
    stage "$directory" "$@"
}

# package DIRECTORY IMAGE TARGET: makes the Debian package of what is built in DIRECTORY and of the
# guest image in IMAGE; prints its path, below TARGET.
package() {
    local directory=$1 image=$2 target=$3 log=$1/package.log work directories
    mkdir -p "$target"
    work=$(mktemp -d)
    # For Debian 12; where the distribution has its own, that is used.
    mkdir "$work/libexec"
    "$cppvm_root/scripts/fetch-virtiofsd" "$work/libexec"
    directories="$(realpath "$image");/var/lib/cppvm;$work/libexec;/usr/libexec/cppvm"
    cpack --config "$directory/CPackConfig.cmake" -B "$work/cpack" \
        -D "CPACK_INSTALLED_DIRECTORIES=$directories" >"$log" 2>&1 || {
        rm -rf "$work"
        tail -n 30 "$log" >&2
        die "making the package failed; the whole output is in $log"
    }
    mv "$work/cpack"/*.deb "$target/"
    printf '%s\n' "$target"/cppvm_*.deb
    rm -rf "$work"
}
