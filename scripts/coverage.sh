#!/bin/sh
# Lines and branches of core/src that the C tests reach, and, with "all", the Python tests too.
# Fails below 95 % of lines or 90 % of branches. The page of each file is in build/coverage/.
#
# Left out, each with its reason beside it in the source: what a GCOVR_EXCL comment marks, and the
# false side of SENTINEL_HOLDS, which states what cannot be.
set -eu
cd "$(dirname "$0")/.."
find build/core/coverage build/coverage-ext -name '*.gcda' -delete 2>/dev/null || true
mkdir -p build/coverage
scripts/test_c.sh COVERAGE=1 >/dev/null
search="build/core/coverage"
if [ "${1:-}" = all ]; then
    SENTINEL_COVERAGE=1 .venv/bin/python setup.py -q build --build-base build/coverage-ext \
        >build/coverage/build.log 2>&1
    PYTHONPATH=$(echo "$PWD"/build/coverage-ext/lib*) .venv/bin/python -m pytest -q tests/python \
        >build/coverage/pytest.log 2>&1 || { tail -n 30 build/coverage/pytest.log; exit 1; }
    search="$search build/coverage-ext"
fi
# shellcheck disable=SC2086
.venv/bin/gcovr --root . --filter 'core/src/' --merge-mode-functions=separate \
    --exclude-branches-by-pattern '.*SENTINEL_HOLDS.*' \
    --gcov-ignore-errors=no_working_dir_found \
    --html-details build/coverage/index.html --txt build/coverage/summary.txt \
    --fail-under-line 95 --fail-under-branch 90 --print-summary $search \
    >build/coverage/log 2>&1 || {
    cat build/coverage/summary.txt build/coverage/log
    exit 1
}
grep -E '^(lines|branches)' build/coverage/log | sed 's/^/coverage of core\/src: /'
