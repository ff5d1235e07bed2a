#!/bin/sh
# The C tests of one variant, the core's and the daemon's, one line per program:
# test_c.sh [SANITIZE=1|THREADS=1|COVERAGE=1]
set -eu
cd "$(dirname "$0")/.."
mkdir -p build
log=build/test-c.log
# Nothing of ours may leak either; the tests free what they allocate.
export UBSAN_OPTIONS=print_stacktrace=1
if ! { make -s -j"$(nproc)" -C core "$@" check &&
    make -s -j"$(nproc)" -C enclave/daemon "$@" check; } >"$log" 2>&1; then
    grep -v '^ok  ' "$log" | tail -n 60
    echo "the C tests failed; the whole log is in $log" >&2
    exit 1
fi
awk '/^== / { name = $2 } /^[0-9]+ passed, [0-9]+ failed/ { printf "%-28s %s\n", name, $0 }
    /^ *(killed|power lost) at [0-9]+ points/ { printf "%-28s %s\n", "", $0; points += $(NF - 1) }
    END { if (points > 0) printf "%-28s         crash points: %d\n", "", points }' "$log"
