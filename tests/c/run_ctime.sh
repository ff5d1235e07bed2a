#!/bin/sh
# Builds ctime_test.c with the sources that touch secrets and runs it under
# valgrind; fails if valgrind reports anything, or would not report a branch
# on a secret. CC, CFLAGS and BUILD as for core/Makefile.
#
# libsecp256k1 is linked statically, because only then its functions have the
# names that ctime.supp needs. valgrind cannot read the newer DWARF 5 of clang.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
build=${BUILD:-$top/build/ctime}
program=$build/ctime_test
mkdir -p "$build"

# shellcheck disable=SC2086
${CC:-cc} -std=c11 ${CFLAGS:--O2} -gdwarf-4 -DSENTINEL_CTIME \
    -D_POSIX_C_SOURCE=200809L -D_DEFAULT_SOURCE \
    -I"$top/core/include" -I"$top/core/src" -fstack-protector-strong -o "$program" \
    "$top/tests/c/ctime_test.c" "$top"/core/src/sign*.c \
    "$top/core/src/hash.c" "$top/core/src/hash_two.c" "$top/core/src/keccak.c" \
    "$top/core/src/status.c" \
    -lsodium -l:libsecp256k1.a -lcrypto

check() {
    valgrind --error-exitcode=7 --suppressions="$top/tests/c/ctime.supp" \
        --log-file="$build/$1.log" "$program" "$1"
}

status=0
check secrets || status=$?
if [ "$status" -ne 0 ]; then
    cat "$build/secrets.log"
    [ "$status" -eq 7 ] && why="a jump or an address depends on a secret" || why="it did not run"
    echo "constant time: FAILED, $why (status $status)"
    exit 1
fi
# Six jumps of libsecp256k1 and one of libsodium are let through by name, the last where
# nonces are made ahead and on three ways to a deterministic signature. An eleventh is news.
if ! grep -q 'ERROR SUMMARY: 0 errors from 0 contexts (suppressed: [0-9]* from 10)' \
    "$build/secrets.log"; then
    cat "$build/secrets.log"
    echo "constant time: FAILED, another number of jumps is let through"
    exit 1
fi
status=0
check plant || status=$?
if [ "$status" -ne 7 ]; then
    echo "constant time: FAILED, a planted branch was not seen (status $status)"
    exit 1
fi
echo "constant time: nothing depends on a secret; a planted branch was seen"
