#!/bin/sh
# The enclave's image, built and booted for real under emulation.
#
#   enclave_test.sh [ARGUMENTS OF PYTEST...]
#
# Builds what is missing: the module sentinel_eif (and brings Rust), QEMU and a kernel, then the
# images in build/enclave. What takes long is kept in SENTINEL_CACHE, named by version and
# configuration: by default in /var/cache/sentinel where a machine has made that folder for it, else
# in build/enclave/cache. A new kernel is built a second time, in another folder, and must be the
# same bytes; SENTINEL_KERNEL_TWICE=1 does that with one that is kept. tests/README.md has times.
set -eu
cd "$(dirname "$0")/.."
began=$(date +%s)
# What follows begins so long after the start; so much time of processors it took until then.
step() {
    echo "enclave: $* ($(($(date +%s) - began)) s, processors" \
        "$(awk '{ print int(($16 + $17) / 100) }' "/proc/$$/stat") s)"
}

if [ -z "${SENTINEL_CACHE:-}" ]; then
    SENTINEL_CACHE=$PWD/build/enclave/cache
    [ ! -w /var/cache/sentinel ] || SENTINEL_CACHE=/var/cache/sentinel
fi
export SENTINEL_CACHE
mkdir -p build/enclave
rm -f build/enclave/again.json

step "the module sentinel_eif (what takes long is kept in $SENTINEL_CACHE)"
enclave/eif/build.sh
step "QEMU with the machine nitro-enclave"
SENTINEL_QEMU=$(tests/enclave/qemu/build.sh)
export SENTINEL_QEMU
SENTINEL_ENCLAVE=$PWD/build/enclave
export SENTINEL_ENCLAVE
step "kernel"
kernel=$(enclave/image/kernel.sh --any)
if [ -e "$kernel/once" ] || [ -n "${SENTINEL_KERNEL_TWICE:-}" ]; then
    step "the kernel once more, in another folder"
    again=$(SENTINEL_KERNEL_FRESH=1 enclave/image/kernel.sh --any)
    cmp "$again/bzImage" "$kernel/bzImage"
    rm -rf "$(dirname "$again")"
    rm -f "$kernel/once"
fi
step "images"
cc -O2 -static -o build/enclave/fake_probe tests/enclave/fake_probe.c
enclave/image/build.sh build/enclave/release --any-kernel
enclave/image/build.sh build/enclave/probe --any-kernel --daemon build/enclave/fake_probe
step "measurements of build/enclave/release/sentinel.eif"
cat build/enclave/release/measurements.json
step "boots"
status=0
.venv/bin/python -m pytest -q tests/enclave/image "$@" || status=$?
if [ -e build/enclave/again.json ]; then
    step "measurements of a second build, from a copy of the tree in another folder"
    cat build/enclave/again.json
    cmp build/enclave/again.json build/enclave/release/measurements.json || status=1
fi
step "done"
exit $status
