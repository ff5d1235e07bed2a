#!/bin/sh
# The enclave's kernel, from Debian's source and kernel.config: the same bytes wherever it is built.
#
#   kernel.sh [--any]     prints the folder that holds bzImage and config; four minutes on two cores
#
# --any          takes the suite's newest kernel where the mirror has forgotten the pinned one, and
#                says so: its measurements are not the release's
# SENTINEL_CACHE=...  where it is kept (build/enclave/cache); JOBS=... compilers at once;
# SENTINEL_KERNEL_FRESH=1 builds even what is there, in a new folder, and keeps nothing.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
. "$here/pins.sh"
. "$here/debian.sh"

cache=${SENTINEL_CACHE:-$top/build/enclave/cache}
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
# Two at once would build into one another; the second finds what the first has made.
if [ -z "${SENTINEL_KERNEL_LOCKED:-}" ]; then
    SENTINEL_KERNEL_LOCKED=1 exec flock "$cache/kernel.lock" sh "$here/kernel.sh" "$@"
fi
# What the kernel's bytes come from: source, configuration, compiler, linker.
key=$({
    echo "$kernel_package $kernel_version"
    grep -E '^(CONFIG|# CONFIG)' "$here/kernel.config"
    cc --version | head -n 1
    ld --version | head -n 1
} | sha256sum | cut -c1-16)
kept=$cache/kernel-$key
other=$cache/kernel-other-$key
fresh=${SENTINEL_KERNEL_FRESH:-}
for found in "$kept" "$other"; do
    [ "$found" = "$kept" ] || [ "${1:-}" = --any ] || continue
    if [ -z "$fresh" ] && [ -e "$found/bzImage" ]; then
        echo "$found"
        exit 0
    fi
done

if [ -n "$fresh" ]; then
    # What those that were broken off have left, hours ago: another's may be in use.
    find "$cache" -maxdepth 1 -name 'kernel-fresh.*' -mmin +240 -exec rm -rf {} +
    export CCACHE_DISABLE=1 # who builds a second time wants it compiled, not remembered
    work=$(mktemp -d "$cache/kernel-fresh.XXXXXX")
    kept=$work/made
else
    work=$cache/kernel-build
    rm -rf "$work" "$kept" # with what a broken build may have left there
    mkdir -p "$work"
fi
log=$work.log

# Sets deb to the package; another kernel than the pinned one goes to a place of its own.
fetch() {
    deb=$cache/${kernel_package}_$kernel_version.deb
    [ ! -e "$deb" ] || return 0
    debian_open "$work/apt" "$kernel_suite"
    debian_package "$kernel_package" "$kernel_version"
    set -- "${1:-}" "$kernel_package"_*.deb
    if echo "$kernel_sha256  $2" | sha256sum --check --status; then
        mv "$2" "$deb"
    elif [ "$1" = --any ]; then
        echo "kernel: not the pinned one; the measurements are not a release's" >&3
        deb=$work/$2
        [ -n "$fresh" ] || kept=$other
    else
        echo "kernel: this is not $kernel_version as pinned in enclave/image/pins.sh;"
        echo "take that version from a mirror that still has it, or pin a newer one"
        return 1
    fi
}

build() {
    cd "$work"
    fetch "$@"
    dpkg-deb --fsys-tarfile "$deb" |
        tar xO "./usr/src/$kernel_package.tar.xz" | tar xJ
    cd "$kernel_package"
    export KBUILD_BUILD_TIMESTAMP='1970-01-01 00:00:00 UTC' KBUILD_BUILD_VERSION=1
    export KBUILD_BUILD_USER=sentinel KBUILD_BUILD_HOST=sentinel LC_ALL=C TZ=UTC
    make -s KCONFIG_ALLCONFIG="$here/kernel.config" allnoconfig
    # Kconfig drops in silence what it does not know or cannot have.
    grep -E '^(CONFIG|# CONFIG)' "$here/kernel.config" | while read -r wanted; do
        grep -qxF "$wanted" .config || { echo "kernel.config: not taken: $wanted"; exit 1; }
    done
    make -s -j"${JOBS:-$(nproc)}" bzImage
    mkdir -p "$kept"
    touch "$kept/once" # scripts/enclave_test.sh builds it once more, and compares
    cp .config "$kept/config"
    cp arch/x86/boot/bzImage "$kept/new"
    mv "$kept/new" "$kept/bzImage"
    echo "$kept" >"$work.kept"
}

echo "kernel: building $kernel_version, once ($log)" >&2
# Not in a condition: there, the shell would go on after what fails.
set +e
(set -e; build "$@") 3>&2 >"$log" 2>&1
status=$?
set -e
if [ $status != 0 ]; then
    tail -n 25 "$log" >&2
    echo "kernel: the build failed; the whole log is in $log" >&2
    exit 1
fi
kept=$(cat "$work.kept")
rm -rf "$work.kept" "$work/$kernel_package" "$work/apt"
echo "$kept"
