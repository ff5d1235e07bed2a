#!/bin/sh
# A QEMU with the machine nitro-enclave, which Debian's packages lack: built once and kept.
#
#   build.sh              prints the path of the program; four minutes on two cores the first time
#
# SENTINEL_CACHE=...      where it is kept (build/enclave/cache); PYTHON=... an interpreter that has
# meson (.venv/bin/python); JOBS=... compilers at once.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../../.." && pwd)
. "$top/enclave/image/pins.sh"
. "$top/enclave/image/debian.sh"

cache=${SENTINEL_CACHE:-$top/build/enclave/cache}
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
# Two at once would build into one another; the second finds what the first has made.
if [ -z "${SENTINEL_QEMU_LOCKED:-}" ]; then
    SENTINEL_QEMU_LOCKED=1 exec flock "$cache/qemu.lock" sh "$here/build.sh" "$@"
fi
options="--without-default-features --without-default-devices --with-devices-x86_64=sentinel
    --enable-tcg --enable-gnutls --enable-libcbor --enable-vhost-user --enable-fdt=system
    --disable-docs --disable-tools --disable-guest-agent --disable-werror
    --disable-install-blobs --disable-debug-info"
key=$(echo "$qemu_version $options" | cat - "$here/devices.mak" | sha256sum | cut -c1-16)
program=$cache/qemu-$key/qemu-system-x86_64
if [ -x "$program" ]; then
    echo "$program"
    exit 0
fi

python=${PYTHON:-$top/.venv/bin/python}
work=$cache/qemu-build
log=$cache/qemu-build.log
rm -rf "$work"
mkdir -p "$work"

build() {
    cd "$work"
    debian_open "$work/apt" "$qemu_suite"
    debian_source qemu "$qemu_version"
    tar xJf qemu_*.orig.tar.xz --exclude='*/roms/*'
    tar xJf qemu_*.debian.tar.xz
    cd qemu-*/
    # Debian's tarball lacks firmware that is not built here, and a plug-in for QEMU's own tests.
    for name in skip-unpack-edk2-blobs disable-pycotap; do
        patch -s -p1 <"../debian/patches/$name.patch"
    done
    cp "$here/devices.mak" configs/devices/x86_64-softmmu/sentinel.mak
    mkdir build
    cd build
    # shellcheck disable=SC2086
    ../configure --python="$python" --target-list=x86_64-softmmu $options
    ninja -j "${JOBS:-$(nproc)}" qemu-system-x86_64
    strip qemu-system-x86_64
    mkdir -p "$cache/qemu-$key"
    # In place at once or not at all: a broken build leaves nothing to trust.
    cp qemu-system-x86_64 "$cache/qemu-$key/new"
    mv "$cache/qemu-$key/new" "$program"
}

echo "qemu: building $qemu_version, once ($log)" >&2
# Not in a condition: there, the shell would go on after what fails.
set +e
(set -e; build) >"$log" 2>&1
status=$?
set -e
if [ $status != 0 ]; then
    tail -n 25 "$log" >&2
    echo "qemu: the build failed; the whole log is in $log" >&2
    exit 1
fi
rm -rf "$work"
echo "$program"
