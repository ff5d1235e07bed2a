#!/bin/sh
# A wheel in dist/ that carries libsodium, libsecp256k1 and libcrypto (auditwheel).
# Its platform tag is the oldest that this machine's C library allows.
set -eu
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"
rm -rf build/wheel dist
mkdir -p build/wheel dist
log=build/wheel/log
{
    pip --disable-pip-version-check wheel --no-deps --no-build-isolation -w build/wheel . &&
        auditwheel repair --wheel-dir dist build/wheel/*.whl
} >"$log" 2>&1 || {
    tail -n 30 "$log"
    exit 1
}
echo "wheel: $(ls dist)"
