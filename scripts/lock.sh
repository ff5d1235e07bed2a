#!/bin/sh
# Writes requirements.lock again: the newest versions that pyproject.toml admits.
set -eu
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"${PYTHON:-python3}" -m venv "$scratch/venv"
"$scratch/venv/bin/python" -c '
import tomllib
p = tomllib.load(open("pyproject.toml", "rb"))
for group in (p["build-system"]["requires"], p["project"]["dependencies"],
              *p["project"]["optional-dependencies"].values()):
    print("\n".join(group))' >"$scratch/wanted"
"$scratch/venv/bin/pip" install --quiet -r "$scratch/wanted"
{
    echo "# Exact versions of every package that a set-up installs; scripts/lock.sh writes it."
    "$scratch/venv/bin/pip" freeze --all | grep -v '^pip=='
} >requirements.lock
