#!/bin/sh
# All that must hold before a change lands; ends in pytest's own closing line.
# Cheap steps first, so that a slip shows early; the whole test suite last.
set -eu
cd "$(dirname "$0")/.."

began=$(date +%s)
stage() {
    echo
    echo "== $* ($(($(date +%s) - began)) s)"
}

stage "lint and types"
scripts/lint.sh

stage "C tests"
scripts/test_c.sh

stage "sanitizers: C tests, then pytest with the sanitized extension"
scripts/sanitize.sh

stage "constant time: secrets marked undefined under valgrind"
tests/c/run_ctime.sh

stage "coverage of core/src"
scripts/coverage.sh

stage "fuzzers"
scripts/fuzz.sh

stage "the reference model against the core: 100,000 steps, then planted mutations"
.venv/bin/python -m tests.model.compare --steps 100000
.venv/bin/python -m tests.model.mutate

stage "wheel: built, then imported where its C libraries are not"
scripts/wheel.sh
scripts/test_wheel.sh

stage "every Python test, the long ones too"
SENTINEL_CRASHES="${SENTINEL_CRASHES:-500}" exec .venv/bin/python -m pytest -m ""
