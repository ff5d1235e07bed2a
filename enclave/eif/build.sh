#!/bin/sh
# The Python module sentinel_eif, built once for each state of its sources, and installed.
#
#   build.sh            installs it where PYTHON is (.venv/bin/python)
#
# Needs Rust (Cargo.toml says from which version) and maturin. SENTINEL_CACHE=... where the wheel is
# kept (build/enclave/cache); JOBS=... compilers at once.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
python=${PYTHON:-$top/.venv/bin/python}
cache=${SENTINEL_CACHE:-$top/build/enclave/cache}
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
[ ! -d "$HOME/.cargo/bin" ] || PATH=$HOME/.cargo/bin:$PATH

wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$here/Cargo.toml")
version=$(rustc --version 2>/dev/null | cut -d' ' -f2)
if [ "$(printf '%s\n' "$wanted" "${version:-0}" | sort -V | head -n 1)" != "$wanted" ]; then
    echo "eif: Rust $wanted or newer is needed, ${version:-none} is here: see rustup" >&2
    exit 1
fi

cd "$here"
key=$({
    rustc --version
    cat Cargo.lock Cargo.toml pyproject.toml src/*.rs absent/*/Cargo.toml absent/*/src/*.rs
    cat python/sentinel_eif/*.py*
} | sha256sum | cut -c1-16)
kept=$cache/eif-$key
if [ ! -e "$kept/done" ]; then
    log=$cache/eif-build.log
    echo "eif: building sentinel_eif, once ($log)" >&2
    rm -rf "$kept"
    export CARGO_TARGET_DIR="$cache/eif-target" CARGO_BUILD_JOBS="${JOBS:-$(nproc)}"
    "$python" -m maturin build --release --locked --auditwheel skip --out "$kept" \
        --interpreter "$python" >"$log" 2>&1 || {
        tail -n 25 "$log" >&2
        echo "eif: the build failed; the whole log is in $log" >&2
        exit 1
    }
    touch "$kept/done"
fi
stamp=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/sentinel_eif/stamp
if [ "$(cat "$stamp" 2>/dev/null)" != "$key" ]; then
    "$python" -m pip --disable-pip-version-check install -q --no-deps --force-reinstall \
        "$kept"/*.whl
    echo "$key" >"$stamp"
fi
