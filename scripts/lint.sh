#!/bin/sh
# What tools can say about the sources. Changes nothing; `make format` does.
set -eu
cd "$(dirname "$0")/.."
bin=.venv/bin

echo "lint: ruff"
$bin/ruff check --quiet .
$bin/ruff format --quiet --check . || {
    $bin/ruff format --diff . || true
    exit 1
}

echo "lint: mypy, strict"
$bin/mypy

echo "lint: the stub of sentinel._core against the module"
$bin/python -m mypy.stubtest sentinel._core --ignore-disjoint-bases \
    --allowlist scripts/stubtest.allow >build/stubtest.log 2>&1 || {
    tail -n 40 build/stubtest.log
    exit 1
}

echo "lint: clang-format"
find core enclave tests examples bench -name '*.[ch]' -exec $bin/clang-format --dry-run -Werror {} +

echo "lint: clang-tidy"
find core/src enclave/daemon enclave/client -name '*.c' -print0 |
    xargs -0 -n 1 -P "$(nproc)" sh -c '
    clang-tidy --quiet "$1" -- -std=c11 -Icore/include -Icore/src -Ienclave/daemon \
        -D_POSIX_C_SOURCE=200809L -D_DEFAULT_SOURCE -D_GNU_SOURCE 2>/dev/null' tidy

for script in scripts/*.sh enclave/*/*.sh tests/enclave/qemu/*.sh .ci/run; do
    bash -n "$script"
done
