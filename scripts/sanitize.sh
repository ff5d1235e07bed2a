#!/bin/sh
# ASan and UBSan: under the C tests, then under pytest with an extension built for that.
set -eu
cd "$(dirname "$0")/.."
scripts/test_c.sh SANITIZE=1

SENTINEL_SANITIZE=1 .venv/bin/python setup.py -q build --build-base build/sanitize \
    >build/sanitize.log 2>&1 || { tail -n 30 build/sanitize.log; exit 1; }
# The interpreter itself is not instrumented: the runtime is loaded before it, and what Python
# keeps until its end is no leak. The package of this build comes before the one in .venv.
export LD_PRELOAD="$(cc -print-file-name=libasan.so) $(cc -print-file-name=libubsan.so)"
export ASAN_OPTIONS=detect_leaks=0:handle_segv=0 UBSAN_OPTIONS=print_stacktrace=1
export PYTHONPATH="$(echo "$PWD"/build/sanitize/lib*)" SENTINEL_SANITIZED=1
exec .venv/bin/python -m pytest -q tests/python "$@"
