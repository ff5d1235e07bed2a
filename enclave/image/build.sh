#!/bin/sh
# The enclave's image: kernel, two ramdisks and their measurements, from this tree alone.
#
#   build.sh OUT [--daemon FILE] [--any-kernel]
#
# Makes in the folder OUT: bzImage, kernel.config (the whole of it), init.cpio, daemon.cpio,
# sentinel.eif, measurements.json, and, but with --daemon, sbom.json. Equal sources, compiler and
# libraries give equal bytes, whatever the folder and the time.
#
# --daemon FILE   another static program in the daemon's place, for tests
# --any-kernel    see kernel.sh
# PYTHON=...      an interpreter that has sentinel_eif (.venv/bin/python)
set -eu
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
. "$here/pins.sh"
python=${PYTHON:-$top/.venv/bin/python}

[ $# -ge 1 ] || { sed -n '2,12s/^# \{0,1\}//p' "$0" >&2; exit 2; }
mkdir -p "$1"
out=$(cd "$1" && pwd)
shift
daemon=
any=
while [ $# -gt 0 ]; do
    case $1 in
    --daemon) daemon=$2; shift ;;
    --any-kernel) any=--any ;;
    *) echo "build.sh: unknown: $1" >&2; exit 2 ;;
    esac
    shift
done

# Nothing of the place or the time may get into a program.
unset CFLAGS CPPFLAGS LDFLAGS MAKEFLAGS
export LC_ALL=C TZ=UTC SOURCE_DATE_EPOCH=0
plain="-O2 -ffile-prefix-map=$out=."
warn="-std=c11 -pedantic -Wall -Wextra -Wshadow -Wstrict-prototypes -Wconversion -Wundef -Werror"

work=$out/work
rm -rf "$work"
mkdir -p "$work/tree/enclave"

# shellcheck disable=SC2086
cc $plain $warn -D_DEFAULT_SOURCE -fstack-protector-strong -D_FORTIFY_SOURCE=2 -static-pie \
    -Wl,-z,relro,-z,now,-z,noexecstack -Wl,-Map="$work/init.map" -o "$work/init" "$here/init.c"

if [ -n "$daemon" ]; then
    cp "$daemon" "$work/sentineld"
else
    # A copy of the sources: no object of another build is there to be taken.
    cp -r "$top/core" "$work/tree/core"
    cp -r "$top/enclave/daemon" "$work/tree/enclave/daemon"
    make -s -j"${JOBS:-$(nproc)}" -C "$work/tree/enclave/daemon" CFLAGS="$plain" \
        CC="cc -Wl,-Map=$work/daemon.map" sentineld-static
    cp "$work/tree/build/daemon/release/sentineld-static" "$work/sentineld"
fi
strip --strip-all "$work/init" "$work/sentineld"

for name in init daemon; do
    "$python" "$here/ramdisk.py" "$here/$name.list" "$work" "$out/$name.cpio"
done
kernel=$("$here/kernel.sh" $any)
cp "$kernel/bzImage" "$out/bzImage"
cp "$kernel/config" "$out/kernel.config"

PYTHONPATH="$top/python" "$python" -m sentinel enclave build "$out/sentinel.eif" --json \
    --kernel "$out/bzImage" --cmdline "$here/cmdline" --ramdisk "$out/init.cpio" \
    --ramdisk "$out/daemon.cpio" --kernel-version "${kernel_version%%-*}" \
    >"$work/built.json"
"$python" -c 'import json, sys
print(json.dumps(json.load(sys.stdin)["measurements"], indent=2))' \
    <"$work/built.json" >"$out/measurements.json"
[ -n "$daemon" ] || "$python" "$here/sbom.py" "$top" "$work" "$out/sbom.json"
rm -rf "$work"
