#!/bin/sh
# All that must hold before a change lands; ends in pytest's own closing line.
#
# Cheap steps first, so that a slip shows early. Then two lanes side by side, since most steps keep
# one processor busy: every Python test here, the tools that look at the C sources in the other,
# whose output is kept and shown when it is through. Beside both the daemon is soaked for five
# minutes, at a rate that is little work.
set -eu
cd "$(dirname "$0")/.."

began=$(date +%s)
stage() {
    echo
    echo "== $* ($(($(date +%s) - began)) s)"
}

other_lane() {
    stage "sanitizers: C tests, then pytest with the sanitized extension"
    scripts/sanitize.sh

    stage "constant time: secrets marked undefined under valgrind"
    tests/c/run_ctime.sh

    stage "coverage of core/src"
    scripts/coverage.sh

    stage "planted mutations of the core, found by the reference model"
    .venv/bin/python -m tests.model.mutate

    stage "fuzzers"
    scripts/fuzz.sh
}

if [ "${1:-}" = other-lane ]; then
    began=$2
    other_lane
    exit 0
fi

stage "lint and types"
scripts/lint.sh

stage "C tests"
scripts/test_c.sh

stage "wheel: built, then imported where its C libraries are not"
scripts/wheel.sh
scripts/test_wheel.sh

lane=build/check
mkdir -p $lane
make -s -C enclave/daemon sentineld raw_client.so
other=
soak=
# Whatever ends this run ends what runs beside it, and all that it started.
trap 'for group in $other $soak; do kill -- -$group 2>/dev/null || true; done' EXIT
trap 'exit 130' INT TERM
setsid "$0" other-lane "$began" >$lane/other 2>&1 </dev/null &
other=$!
setsid .venv/bin/python tests/enclave/soak.py --minutes "${SENTINEL_SOAK_MINUTES:-5}" --rate 60 \
    >$lane/soak 2>&1 </dev/null &
soak=$!

stage "the reference model against the core: 100,000 steps"
.venv/bin/python -m tests.model.compare --steps 100000

stage "every Python test, the long ones too ($lane has what else runs: other, soak)"
{
    failed=0
    SENTINEL_CRASHES="${SENTINEL_CRASHES:-500}" .venv/bin/python -m pytest -m "" || failed=$?
    echo $failed >$lane/failed
} 2>&1 | tee $lane/tests
[ "$(cat $lane/failed)" = 0 ] || exit 1

stage "the daemon's soak"
if ! wait $soak; then
    cat $lane/soak
    echo "check: the soak failed" >&2
    exit 1
fi
cat $lane/soak

stage "the other lane"
if ! wait $other; then
    tail -n 200 $lane/other
    echo "check: the other lane failed; all it said is in $lane/other" >&2
    exit 1
fi
trap - EXIT
cat $lane/other
tail -n 1 $lane/tests
