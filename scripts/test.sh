#!/bin/sh
# The C tests, then the Python tests and style; ends in pytest's own closing line.
# test.sh [ARGUMENTS OF PYTEST...]
set -eu
cd "$(dirname "$0")/.."
scripts/test_c.sh
exec .venv/bin/python -m pytest "$@"
