#!/bin/sh
# TSan under the C tests that have threads; ASan and UBSan under the C tests, under the daemon while
# clients do their worst, then under pytest with an extension built for that.
set -eu
cd "$(dirname "$0")/.."
scripts/test_c.sh THREADS=1
scripts/test_c.sh SANITIZE=1
SENTINELD_SANITIZE=1 .venv/bin/python -m pytest -q tests/enclave/test_daemon_handshake.py \
    tests/enclave/test_daemon_requests.py tests/enclave/test_daemon_turns.py
make -s -C core SANITIZE=1 lib

SENTINEL_SANITIZE=1 .venv/bin/python setup.py -q build --build-base build/sanitize \
    >build/sanitize.log 2>&1 || { tail -n 30 build/sanitize.log; exit 1; }

# The interpreter itself is not instrumented: the runtime is loaded before it, and what Python
# keeps until its end is no leak. The package of this build comes before the one in .venv. Reports
# go to files, because pytest or a test may hold the standard error of the process that dies.
rm -f build/sanitize/report.*
export LD_PRELOAD="$(cc -print-file-name=libasan.so) $(cc -print-file-name=libubsan.so)"
export ASAN_OPTIONS="detect_leaks=0:handle_segv=0:log_path=$PWD/build/sanitize/report"
export UBSAN_OPTIONS="print_stacktrace=1:log_path=$PWD/build/sanitize/report"
export PYTHONPATH="$(echo "$PWD"/build/sanitize/lib*)" SENTINEL_SANITIZED=1
export SENTINEL_LIB="$PWD/build/core/sanitize/libsentinel.so"
# An oracle's library asks the loader for a search order that the sanitizers do not know.
export PYCRYPTODOME_DISABLE_DEEPBIND=1
status=0
.venv/bin/python -m pytest -q tests/python "$@" || status=$?
unset LD_PRELOAD
for report in build/sanitize/report.*; do
    if [ -s "$report" ]; then
        head -n 60 "$report"
        status=1
    fi
done
exit $status
