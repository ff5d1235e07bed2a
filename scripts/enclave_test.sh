#!/bin/sh
# The enclave's image, built and booted for real under emulation.
#
#   enclave_test.sh [ARGUMENTS OF PYTEST...]
#
# Builds what is missing: QEMU and a kernel (four minutes each on two cores, once), the module
# sentinel_eif, then the images in build/enclave. What takes long is kept in SENTINEL_CACHE
# (build/enclave/cache), named by version and configuration. SENTINEL_KERNEL_TWICE=1 builds the
# kernel once more in another folder and compares: four minutes more.
set -eu
cd "$(dirname "$0")/.."
began=$(date +%s)
step() {
    echo "enclave: $* ($(($(date +%s) - began)) s)"
}

step "the module sentinel_eif"
enclave/eif/build.sh
step "QEMU with the machine nitro-enclave"
SENTINEL_QEMU=$(tests/enclave/qemu/build.sh)
export SENTINEL_QEMU
SENTINEL_ENCLAVE=$PWD/build/enclave
export SENTINEL_ENCLAVE
step "kernel and images"
mkdir -p build/enclave
cc -O2 -static -o build/enclave/fake_probe tests/enclave/fake_probe.c
enclave/image/build.sh build/enclave/release --any-kernel
enclave/image/build.sh build/enclave/probe --any-kernel --daemon build/enclave/fake_probe
if [ -n "${SENTINEL_KERNEL_TWICE:-}" ]; then
    step "the kernel once more, in another folder"
    again=$(SENTINEL_KERNEL_FRESH=1 enclave/image/kernel.sh --any)
    cmp "$again/bzImage" build/enclave/release/bzImage
    rm -rf "$(dirname "$again")"
fi
step "measurements of build/enclave/release/sentinel.eif"
cat build/enclave/release/measurements.json
step "boots"
status=0
.venv/bin/python -m pytest -q tests/enclave/image "$@" || status=$?
step "done"
exit $status
