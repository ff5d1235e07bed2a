#!/bin/sh
# Everything that a target needs: setup.sh run|test|bench|check|enclave
#
# run    what the program needs      test   and the tests
# bench  what the benchmarks compare  check  all, and lint, fuzzers, wheel
# enclave  what builds and boots the enclave's image
#
# Installs what is missing of the system's packages (apt, as root or with sudo; else says in one
# line what to install), makes .venv, installs the pinned Python packages, builds the core and the
# extension. Does nothing where nothing changed. Its whole output is in build/setup.log.
# PYTHON=...  the interpreter to use, 3.11 or newer.
set -eu
cd "$(dirname "$0")/.."
level=${1:-run}
mkdir -p build/stamp
log=build/setup.log

# Two runs at once would install into one another.
if command -v flock >/dev/null 2>&1 && [ -z "${SENTINEL_SETUP_LOCKED:-}" ]; then
    SENTINEL_SETUP_LOCKED=1 exec flock build/setup.lock sh scripts/setup.sh "$level"
fi
: >"$log"

fail() {
    echo "setup: $*" >&2
    exit 1
}

# step TEXT COMMAND...: one line on the terminal, the output in the log, its end when it fails.
step() {
    echo "setup: $1"
    shift
    if ! "$@" >>"$log" 2>&1 </dev/null; then
        tail -n 25 "$log" >&2
        fail "failed; the whole log is in $log"
    fi
}

# --- system packages: each need is a test and the package of Debian that meets it ---------------

missing=
need() {
    package=$1
    shift
    "$@" >/dev/null 2>&1 || missing="$missing $package"
}

has_header() {
    echo "#include <$1>" | cc -E -x c - >/dev/null 2>&1
}

has_sanitizer() {
    echo 'int LLVMFuzzerTestOneInput(const char *d, unsigned long n) { return d && n > 9; }' |
        clang -x c -fsanitize=fuzzer,address,undefined -o build/stamp/probe - &&
        rm -f build/stamp/probe
}

# The package clang's runtime is in carries clang's own version in its name.
clang_runtime() {
    major=$(clang -dumpversion 2>/dev/null | cut -d. -f1)
    echo "libclang-rt-${major:-14}-dev"
}

find_python() {
    for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            "$candidate" -c 'import sys; print(sys.executable)'
            return
        fi
    done
}

python=$(find_python)
[ -n "$python" ] || fail "Python 3.11 or newer is needed (apt-get install python3, or PYTHON=...)"
# Only the system's own interpreter gets its parts from apt; another brings them with it.
case $python in
/usr/bin/*) python_package=python3.$("$python" -c 'import sys; print(sys.version_info[1])') ;;
*) python_package="(of $python:)" ;;
esac

look_for_packages() {
    missing=
    need gcc command -v cc
    need libc6-dev has_header stdio.h
    need pkg-config command -v pkg-config
    need libsodium-dev pkg-config --exists libsodium
    need libsecp256k1-dev pkg-config --exists libsecp256k1
    need libssl-dev pkg-config --exists libcrypto
    need "$python_package-venv" "$python" -c 'import venv, ensurepip'
    need "$python_package-dev" "$python" -c \
        'import os, sysconfig; os.stat(sysconfig.get_path("include") + "/Python.h")'
    if [ "$level" = bench ] || [ "$level" = check ]; then
        need softhsm2 command -v softhsm2-util
    fi
    if [ "$level" = test ] || [ "$level" = check ]; then
        need g++ command -v c++
        need spin command -v spin
    fi
    if [ "$level" = enclave ]; then
        need bc command -v bc
        need bison command -v bison
        need debian-archive-keyring test -e /usr/share/keyrings/debian-archive-keyring.gpg
        need dpkg-dev command -v dpkg-source
        need flex command -v flex
        need libcbor-dev has_header cbor.h
        need libelf-dev has_header libelf.h
        need libfdt-dev has_header libfdt.h
        need libglib2.0-dev pkg-config --exists glib-2.0
        need libgnutls28-dev pkg-config --exists gnutls
        need ninja-build command -v ninja
        need patch command -v patch
        need qemu-system-data test -e /usr/share/qemu/linuxboot_dma.bin
        need seabios test -e /usr/share/seabios/bios-microvm.bin
        need xz-utils command -v xz
    fi
    if [ "$level" = check ]; then
        need clang command -v clang
        need "$(clang_runtime)" has_sanitizer
        need clang-tidy command -v clang-tidy
        need valgrind command -v valgrind
        # valgrind replaces functions of the loader, and finds them by their debugging symbols.
        need libc6-dbg valgrind -q true
    fi
}

install_packages() {
    as_root=
    [ "$(id -u)" = 0 ] || as_root="sudo -n"
    $as_root apt-get update
    # shellcheck disable=SC2086
    $as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=300 $missing
}

look_for_packages
if [ -n "$missing" ]; then
    case $missing in *"(of "*) fail "install these first:$missing" ;; esac
    if command -v apt-get >/dev/null 2>&1 &&
        { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }; then
        step "system packages:$missing" install_packages
        look_for_packages
    fi
    [ -z "$missing" ] || fail "as root, run: apt-get install -y --no-install-recommends$missing"
fi

# --- the virtual environment, from the pins in requirements.lock --------------------------------

venv=.venv/bin/python
if [ "$($venv -c 'import sys; print(sys.base_prefix)' 2>/dev/null)" != \
    "$("$python" -c 'import sys; print(sys.base_prefix)')" ]; then
    rm -rf .venv build/stamp/deps-*
    step "virtual environment in .venv" "$python" -m venv .venv
fi

# The requirements of this level, out of pyproject.toml: it alone names them.
requirements() {
    $venv - "$level" <<'PYTHON'
import sys
import tomllib

with open("pyproject.toml", "rb") as file:
    pyproject = tomllib.load(file)
project = pyproject["project"]
extras = {
    "run": ["loopback"],
    "test": ["test", "bench"],
    "bench": ["loopback", "bench"],
    "enclave": ["test", "aws", "enclave"],
    "check": ["test", "bench", "dev"],
}[sys.argv[1]]
wanted = pyproject["build-system"]["requires"] + project["dependencies"]
for extra in extras:
    wanted += project["optional-dependencies"][extra]
print("\n".join(wanted))
PYTHON
}

# Where the tree lies is part of the stamp: scripts in .venv carry its path.
requirements >"build/stamp/requirements-$level"
stamp="$(pwd) $(cat "build/stamp/requirements-$level" requirements.lock | cksum)"
if [ "$(cat "build/stamp/deps-$level" 2>/dev/null)" != "$stamp" ]; then
    step "Python packages for $level" $venv -m pip --disable-pip-version-check install \
        --no-input -c requirements.lock -r "build/stamp/requirements-$level"
    echo "$stamp" >"build/stamp/deps-$level"
fi

# --- the core and the extension -----------------------------------------------------------------

step "C core" make -s -j"$(nproc)" -C core lib

stamp="$(pwd) $(cat pyproject.toml setup.py | cksum)"
extension=$(find python/sentinel -name '_core.*.so' | head -n 1)
if [ "$(cat build/stamp/package 2>/dev/null)" != "$stamp" ] || [ ! -x .venv/bin/zcp ]; then
    step "package sentinel, command zcp" $venv -m pip --disable-pip-version-check install \
        --no-input --no-deps --no-build-isolation -e .
    echo "$stamp" >build/stamp/package
elif [ -z "$extension" ] || [ -n "$(find core/src core/include python/sentinel/_*.p?[xd] setup.py \
    -newer "$extension")" ]; then
    step "extensions of the package" $venv setup.py -q build_ext --inplace
fi
