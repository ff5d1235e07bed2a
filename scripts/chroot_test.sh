#!/bin/sh
# `make run` and `make test` on a minimal Debian 12 that has git, make and Python, nothing else.
#
#   chroot_test.sh [TARGET...]     run and test unless said otherwise, such as enclave-test; as root
#
# The base system is made once, by debootstrap, and kept in SENTINEL_CHROOT_CACHE (default:
# /var/cache/sentinel-chroot); each run unpacks it anew and clones HEAD into it. How this machine
# reaches its package sources is copied as it is: apt's and pip's settings, certificates, proxies.
set -eu
cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] || { echo "chroot_test.sh: needs root" >&2; exit 1; }
command -v debootstrap >/dev/null || { echo "chroot_test.sh: needs debootstrap" >&2; exit 1; }
[ $# -gt 0 ] || set -- run test
cache=${SENTINEL_CHROOT_CACHE:-/var/cache/sentinel-chroot}
base=$cache/base.tar
mkdir -p "$cache"
# The mirror is the first one that this machine uses itself.
lists="/etc/apt/sources.list /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list"
# shellcheck disable=SC2086
mirror=$(cat $lists 2>/dev/null |
    sed -nE 's/^(URIs:|deb( \[[^]]*\])?) *([a-z]+:[^ ]+).*/\3/p' | head -n 1)

if [ ! -e "$base" ]; then
    echo "chroot: making the base system (once)"
    rm -rf "$cache/new"
    debootstrap --variant=minbase --include=git,make,python3,ca-certificates bookworm \
        "$cache/new" "$mirror" >"$cache/log" 2>&1 || { tail "$cache/log"; exit 1; }
    tar -C "$cache/new" -cf "$base.part" . && mv "$base.part" "$base"
    rm -rf "$cache/new"
fi

root=$(mktemp -d "$cache/run.XXXXXX")
clean() {
    umount --recursive --lazy "$root/dev" "$root/proc" 2>/dev/null || true
    rm -rf --one-file-system "$root"
}
trap clean EXIT
trap 'exit 130' INT TERM
tar -C "$root" -xf "$base"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev" && mount --make-rslave "$root/dev"

# What settings name: files, and directories of packages.
copy() {
    [ -e "$1" ] || return 0
    mkdir -p "$root$(dirname "$1")"
    rm -rf "${root:?}$1"
    cp -rL "$1" "$root$1" 2>/dev/null || true
}
for path in /etc/resolv.conf /etc/hosts /etc/pip.conf /etc/ssl/certs /etc/apt/apt.conf.d \
    /etc/apt/sources.list.d/debian.sources "$HOME/.config/pip" "$HOME/.pip"; do
    copy "$path"
done
# Hooks of this machine's apt may name programs that the new system lacks.
grep -lE 'Invoke|packagekit|appstream' "$root"/etc/apt/apt.conf.d/* 2>/dev/null | xargs -r rm -f
[ ! -e "$root/etc/apt/sources.list.d/debian.sources" ] || rm -f "$root/etc/apt/sources.list"
env | grep -iE '^(pip_|[a-z]*_proxy=|ssl_cert|requests_ca|curl_ca)' >"$root/environment" || true
while IFS='=' read -r _ value; do
    case $value in /*) copy "$value" ;; esac
done <"$root/environment"

git clone --quiet --no-hardlinks . "$root/sentinel"
status=0
for target in "$@"; do
    echo "chroot: make $target"
    began=$(date +%s)
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
        $(tr '\n' ' ' <"$root/environment") \
        chroot "$root" make --no-print-directory -C /sentinel "$target" </dev/null || status=$?
    [ $status = 0 ] || { tail -n 30 "$root/sentinel/build/setup.log"; break; }
    echo "chroot: make $target took $(($(date +%s) - began)) s"
done
exit $status
