# shellcheck shell=sh
# Packages of other Debian suites than this machine's, without touching its apt settings: an own
# sources.list and own lists in a directory. Read with `.`; needs apt-get, no root.
#
#   debian_open DIR SUITE             after it, the two below fetch from SUITE
#   debian_source PACKAGE VERSION     the source package's files into the current directory
#   debian_package PACKAGE VERSION    the .deb into the current directory
#
# A mirror forgets old versions. When it has forgotten VERSION, the suite's newest comes instead and
# a line says so; who needs exactly VERSION compares a hash.

debian_mirror() {
    # The mirror is the first one that this machine uses itself.
    cat /etc/apt/sources.list /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list \
        2>/dev/null |
        sed -nE 's/^(URIs:|deb( \[[^]]*\])?) *([a-z]+:[^ ]+).*/\3/p' | head -n 1
}

debian_open() {
    debian_dir=$1
    mkdir -p "$debian_dir/lists/partial" "$debian_dir/cache/archives/partial"
    keys=/usr/share/keyrings/debian-archive-keyring.gpg
    for kind in deb deb-src; do
        echo "$kind [signed-by=$keys] $(debian_mirror) $2 main"
    done >"$debian_dir/sources.list"
    cat >"$debian_dir/apt.conf" <<CONF
Dir::Etc::SourceList "$debian_dir/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
Dir::State::Lists "$debian_dir/lists";
Dir::Cache "$debian_dir/cache";
APT::Sandbox::User "root";
CONF
    APT_CONFIG="$debian_dir/apt.conf" apt-get -qq update
}

debian_get() {
    if ! APT_CONFIG="$debian_dir/apt.conf" apt-get -qq $1 "$2=$3" 2>"$debian_dir/error"; then
        APT_CONFIG="$debian_dir/apt.conf" apt-get -qq $1 "$2" || return 1
        echo "$2: the mirror no longer has $3; took the newest of the suite" >&2
    fi
}

debian_source() {
    debian_get "source --download-only" "$1" "$2"
}

debian_package() {
    debian_get download "$1" "$2"
}
