#!/bin/sh
# Is the wheel whole? Installs dist/*.whl into a fresh environment and uses it where the system's
# libsodium, libsecp256k1 and libcrypto cannot be loaded: each is covered with an empty file in a
# mount namespace of our own (root, or a system that lets users make one).
set -eu
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

.venv/bin/python -m venv "$scratch/venv"
"$scratch/venv/bin/pip" --disable-pip-version-check install --quiet -c requirements.lock dist/*.whl
cat >"$scratch/use.py" <<'PYTHON'
import ctypes
import importlib.metadata
import pathlib
import sys

for library in ("libsodium.so.23", "libsecp256k1.so.1"):
    try:
        ctypes.CDLL(library)
    except OSError:
        continue
    sys.exit(f"{library} can be loaded: this proves nothing")

import sentinel

version = importlib.metadata.version("zcp-sentinel")
maps = pathlib.Path("/proc/self/maps").read_text()
names = {line.split()[-1] for line in maps.splitlines() if ".so" in line}
carried = {n for n in names if "zcp_sentinel.libs" in n}
for library in ("libsodium", "libsecp256k1", "libcrypto"):
    if not any(library in n for n in carried):
        sys.exit(f"{library} was not loaded from the wheel")
print(f"wheel: {sentinel.__name__} {version} imports, with {len(carried)} libraries of its own")
PYTHON

cat >"$scratch/hidden.sh" <<'EOS'
set -eu
: >"$1/empty"
for library in $(ldconfig -p | grep -oE '/.*/(libsodium|libsecp256k1|libcrypto)\.so.*' |
    xargs -r -n 1 readlink -f | sort -u); do
    mount --bind "$1/empty" "$library"
done
cd "$1"
"$1/venv/bin/python" use.py
"$1/venv/bin/zcp" --help >"$1/help"
grep -q policy "$1/help"
"$1/venv/bin/zcp" init --dir "$1/engine" >"$1/init" 2>&1 </dev/null || { cat "$1/init"; exit 1; }
"$1/venv/bin/zcp" sign --dir "$1/engine" --message "test" >"$1/sign" 2>&1 </dev/null ||
    { cat "$1/sign"; exit 1; }
echo "wheel: zcp --help, init and sign work without the system's libraries"
EOS
namespace="unshare --mount"
[ "$(id -u)" = 0 ] || namespace="unshare --mount --map-root-user"
env -i PATH="$PATH:/sbin:/usr/sbin" HOME="$scratch" $namespace sh "$scratch/hidden.sh" "$scratch"
