#!/bin/sh
# Rewrites the sources as lint wants them.
set -eu
cd "$(dirname "$0")/.."
.venv/bin/ruff check --quiet --fix . || true
.venv/bin/ruff format --quiet .
find core enclave tests examples bench -name '*.[ch]' -exec .venv/bin/clang-format -i {} +
