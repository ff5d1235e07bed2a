#!/bin/sh
# Each fuzzer in tests/fuzz for FUZZ_SECONDS (20), under ASan and UBSan, as many at once as there
# are processors. Seeds lie in tests/fuzz/corpus/NAME; what crashes stays in build/fuzz/NAME.
set -eu
cd "$(dirname "$0")/.."
export FUZZ_SECONDS="${FUZZ_SECONDS:-20}"
flags="-std=c11 -g -O1 -Wall -Wextra -D_POSIX_C_SOURCE=200809L -D_DEFAULT_SOURCE -DSENTINEL_TEST"
flags="$flags -D_GNU_SOURCE -Wno-unused-function -Icore/include -Icore/src -Ienclave/daemon"
flags="$flags -Itests/fuzz -Itests/c"
flags="$flags -fno-sanitize-recover=all"
flags="$flags -Wno-unused-function"
out=build/fuzz
mkdir -p $out/objects

# The core once, instrumented; each fuzzer is then one file and one link.
# shellcheck disable=SC2086
for source in core/src/*.c; do
    object=$out/objects/$(basename "$source" .c).o
    if [ ! -e "$object" ] || [ -n "$(find core -newer "$object" -name '*.[chd]*')" ]; then
        echo "$source $object"
    fi
done | xargs -r -n 2 -P "$(nproc)" \
    sh -c "clang $flags -fsanitize=fuzzer-no-link,address,undefined -c -o \"\$1\" \"\$0\""

cat >$out/one.sh <<'EOS'
name=$(basename "$1" .c)
dir=build/fuzz/$name
mkdir -p "$dir/corpus"
set -- "$dir/corpus"
[ ! -d "tests/fuzz/corpus/$name" ] || set -- "$@" "tests/fuzz/corpus/$name"
if "$dir/$name" -max_total_time="$FUZZ_SECONDS" -timeout=10 -rss_limit_mb=2048 \
    -print_final_stats=1 -artifact_prefix="$dir/" "$@" >"$dir/log" 2>&1; then
    printf 'fuzz: %-24s %s runs, cover %s\n' "$name" \
        "$(sed -n 's/^stat::number_of_executed_units: *//p' "$dir/log")" \
        "$(sed -n 's/.*DONE *cov: \([0-9]*\).*/\1/p' "$dir/log")"
else
    tail -n 40 "$dir/log"
    echo "fuzz: $name failed; its input is in $dir" >&2
    exit 1
fi
EOS

found=0
for source in tests/fuzz/fuzz_*.c; do
    name=$(basename "$source" .c)
    mkdir -p "$out/$name"
    # shellcheck disable=SC2086
    clang $flags -fsanitize=fuzzer,address,undefined -o "$out/$name/$name" "$source" \
        $out/objects/*.o -lsodium -lsecp256k1 -lcrypto
    found=$((found + 1))
done
printf '%s\n' tests/fuzz/fuzz_*.c | xargs -n 1 -P "$(nproc)" sh $out/one.sh
echo "fuzz: $found fuzzers of $FUZZ_SECONDS s each, no crash"
