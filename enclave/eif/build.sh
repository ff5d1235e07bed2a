#!/bin/sh
# The Python module sentinel_eif, built once for each state of its sources, and installed.
#
#   build.sh            installs it where PYTHON is (.venv/bin/python)
#
# Needs maturin, and Rust, which rustup brings where there is none that is new enough (rust-version
# in Cargo.toml, and that one exactly). SENTINEL_CACHE=... where wheel and Rust are kept
# (build/enclave/cache); JOBS=... compilers at once.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
python=${PYTHON:-$top/.venv/bin/python}
cache=${SENTINEL_CACHE:-$top/build/enclave/cache}
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
# Two at once would build into one another; the second finds what the first has made.
if [ -z "${SENTINEL_EIF_LOCKED:-}" ]; then
    SENTINEL_EIF_LOCKED=1 exec flock "$cache/eif.lock" sh "$here/build.sh" "$@"
fi
[ ! -d "$HOME/.cargo/bin" ] || PATH=$HOME/.cargo/bin:$PATH

wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$here/Cargo.toml")
has_rust() {
    found=$(rustc --version 2>/dev/null | cut -d' ' -f2)
    [ "$(printf '%s\n' "$wanted" "$found" | sort -V | head -n 1)" = "$wanted" ]
}
if ! has_rust; then
    # Debian's is too old. Rust's own installer puts this one version where the rest is kept.
    rust=$cache/rust-$wanted
    export RUSTUP_HOME="$rust/rustup" CARGO_HOME="$rust/cargo" PATH="$rust/cargo/bin:$PATH"
    export RUSTUP_TOOLCHAIN="$wanted"
    if [ ! -e "$rust/done" ] || ! has_rust; then
        echo "eif: Rust $wanted or newer is not here: rustup puts it into $rust" >&2
        rm -rf "$rust"
        mkdir -p "$rust/rustup"
        printf 'version = "12"\nprofile = "minimal"\ndefault_toolchain = "%s"\n' "$wanted" \
            >"$rust/rustup/settings.toml"
        env -u RUSTUP_TOOLCHAIN "$python" -c \
            'import sys, puccinialin; puccinialin.setup_rust(sys.argv[1])' "$rust" \
            >"$cache/rust.log" 2>&1 || { tail -n 25 "$cache/rust.log" >&2; exit 1; }
        touch "$rust/done"
    fi
    has_rust || { echo "eif: Rust $wanted or newer is needed: see $cache/rust.log" >&2; exit 1; }
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
