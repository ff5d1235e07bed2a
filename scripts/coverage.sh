#!/bin/sh
# Lines and branches of core/src that the C tests reach, and, with "all", the Python tests too.
# Fails below 95 % of lines or 90 % of branches. The page of each file is in build/coverage/.
#
# Left out, each with its reason beside it in the source: what a GCOVR_EXCL comment marks, and the
# false side of SENTINEL_HOLDS, which states what cannot be.
set -eu
cd "$(dirname "$0")/.."
out=build/coverage
mkdir -p $out
find build/core/coverage build/coverage-ext -name '*.gcda' -delete 2>/dev/null || true

# measure NAME OBJECTS COMPILED_IN: counts into $out/NAME.json
measure() {
    .venv/bin/gcovr --root . --filter '.*core/src/' --gcov-object-directory "$3" "$2" \
        --merge-mode-functions=separate --exclude-branches-by-pattern '.*SENTINEL_HOLDS.*' \
        --json "$out/$1.json" >"$out/log" 2>&1 || { tail -n 30 "$out/log"; exit 1; }
}

scripts/test_c.sh COVERAGE=1 >/dev/null
measure c build/core/coverage core
counts="-a $out/c.json"
if [ "${1:-}" = all ]; then
    SENTINEL_COVERAGE=1 .venv/bin/python setup.py -q build --build-base build/coverage-ext \
        >$out/build.log 2>&1 || { tail -n 30 $out/build.log; exit 1; }
    PYTHONPATH=$(echo "$PWD"/build/coverage-ext/lib*) .venv/bin/python -m pytest -q tests/python \
        >$out/pytest.log 2>&1 || { tail -n 30 $out/pytest.log; exit 1; }
    measure python build/coverage-ext .
    counts="$counts -a $out/python.json"
fi
# shellcheck disable=SC2086
.venv/bin/gcovr --root . $counts --merge-mode-functions=separate --html-details $out/index.html \
    --txt $out/summary.txt --print-summary --fail-under-line 95 --fail-under-branch 90 \
    >$out/log 2>&1 || {
    cat $out/summary.txt $out/log
    exit 1
}
grep -E '^(lines|branches)' $out/log | sed 's/^/coverage of core\/src: /'
