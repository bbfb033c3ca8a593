#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# deps.sh [GROUP...]: install the packages that a group of work needs and that are missing, and say which.
# Groups: build test valgrind demo bench fuzz lint vm. Without a group: build test.
#
# Debian 12 has a libbpf that is too old for us; there a newer one comes from the backports of the very mirror that
# the machine is configured to use. Nothing that is installed is removed, and only libbpf is taken from backports.
set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
# shellcheck source=tools/lib.sh
source "$ROOT/tools/lib.sh"

LIBBPF_MINIMUM=1.3
BACKPORTS_FILE=/etc/apt/sources.list.d/bpfchain-backports.sources
LOG=

debian_packages() {
        local clang

        case "$1" in
        build)
                printf '%s\n' gcc libc6-dev meson ninja-build pkg-config clang llvm bpftool libcmocka-dev \
                        libsystemd-dev libnl-3-dev libnl-route-3-dev libjson-c-dev libpcap-dev libssl-dev
                ;;
        test)
                # some of the tests' programs are compiled by an old and by a new clang, where there are such (or
                # where apt has not read its lists yet)
                for clang in clang-14 clang-19; do
                        if apt_knows "$clang" || ! apt_knows clang; then
                                printf '%s\n' "$clang"
                        fi
                done
                printf '%s\n' dbus dbus-daemon polkitd iproute2 iputils-ping procps python3 python3-jsonschema \
                        python3-prometheus-client strace systemd mandoc libxml2-utils libglib2.0-bin
                ;;
        valgrind) printf '%s\n' valgrind libc6-dbg ;;
        demo) printf '%s\n' iproute2 iputils-ping procps python3 ;;
        bench) printf '%s\n' strace iproute2 gnuplot-nox libxdp1 ;;
        fuzz) printf '%s\n' "$(clang_runtime)" ;;
        lint) printf '%s\n' clang-format clang-tidy cppcheck shellcheck git ;;
        vm)
                printf '%s\n' mmdebstrap debian-archive-keyring qemu-system-x86 qemu-utils e2fsprogs zstd python3 \
                        selinux-policy-dev
                ;;
        esac
}

fedora_packages() {
        case "$1" in
        build)
                printf '%s\n' gcc glibc-devel libasan libubsan meson ninja-build pkgconf-pkg-config clang llvm \
                        bpftool libbpf-devel libcmocka-devel systemd-devel libnl3-devel json-c-devel libpcap-devel \
                        openssl-devel
                ;;
        test)
                printf '%s\n' dbus-daemon polkit iproute iproute-tc iputils procps-ng python3 python3-jsonschema \
                        python3-prometheus_client systemd mandoc libxml2 glib2
                ;;
        valgrind) printf '%s\n' valgrind ;;
        demo) printf '%s\n' iproute iputils procps-ng python3 ;;
        bench) printf '%s\n' strace iproute gnuplot-minimal libxdp ;;
        fuzz) printf '%s\n' compiler-rt ;;
        lint) printf '%s\n' clang-tools-extra cppcheck ShellCheck git-core ;;
        vm)
                printf '%s\n' mmdebstrap debian-keyring qemu-system-x86-core qemu-img e2fsprogs zstd python3 \
                        selinux-policy-devel
                ;;
        esac
}

# The sanitizers' and the fuzzer's run-time library of clang has the version in its name.
clang_runtime() {
        local version

        version="$(apt-cache depends clang 2>/dev/null | sed -n 's/^ *Depends: clang-\([0-9]*\)$/\1/p' | head -n 1)"
        if [[ -n $version ]] && apt_knows "libclang-rt-$version-dev"; then
                printf 'libclang-rt-%s-dev\n' "$version"
        else
                printf 'libclang-common-%s-dev\n' "${version:-14}"
        fi
}

# installed PACKAGE
installed() {
        [[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == installed ]]
}

# apt_knows PACKAGE: it can be installed by this very name.
apt_knows() {
        [[ $(apt-cache policy "$1" 2>/dev/null | sed -n 's/^ *Candidate: //p') != @(|'(none)') ]]
}

# run_logged SENTENCE COMMAND...: one line for the reader, all the rest only when it fails.
run_logged() {
        local sentence="$1"
        shift

        say "$sentence"
        if ! "$@" >"$LOG" 2>&1 </dev/null; then
                tail -n 30 "$LOG" >&2
                die "This failed: $*"
        fi
}

apt_get() {
        DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 apt-get -q -y \
                -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 -o Acquire::Retries=3 "$@"
}

apt_update() {
        run_logged "Reading the package lists (apt-get update)." apt_get update
}

# libbpf_version PACKAGE: the newest version that apt knows, and where it is from does not matter.
libbpf_newest() {
        apt-cache madison libbpf-dev 2>/dev/null | awk -F ' *[|] *' '{ print $2 }' | sort -V | tail -n 1
}

# new_enough VERSION: at least LIBBPF_MINIMUM. Debian's versions carry an epoch, Ubuntu's do as well.
new_enough() {
        [[ -n $1 ]] && dpkg --compare-versions "${1#*:}" ge "$LIBBPF_MINIMUM"
}

libbpf_ready() {
        installed libbpf-dev && new_enough "$(dpkg-query -W -f '${Version}' libbpf-dev)"
}

# The address of the machine's own mirror for the release CODENAME, as apt itself understood its sources, in
# whichever form they are written.
own_mirror() {
        # shellcheck disable=SC2016 # apt expands these
        apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(CODENAME)|$(COMPONENT)|$(SITE)' \
                'Created-By: Packages' 2>/dev/null |
                awk -F '|' -v release="$1" '$1 == "Debian" && $2 == "Debian" && $3 == release && $4 == "main" &&
                        $5 !~ /^cdrom/ { print $5; exit }'
}

has_backports() {
        # shellcheck disable=SC2016 # apt expands this
        apt-get indextargets --format '$(CODENAME)' 'Created-By: Packages' 2>/dev/null | grep -qx "$1-backports"
}

# Make the backports of the release known to apt, from the same mirror, with the keys of the distribution.
add_backports() {
        local release="$1" mirror keyring=/usr/share/keyrings/debian-archive-keyring.gpg

        mirror="$(own_mirror "$release")"
        [[ -n $mirror ]] || die "No mirror of Debian $release is configured in /etc/apt, so there is nowhere to" \
                "take libbpf $LIBBPF_MINIMUM from. Configure $release-backports, or install libbpf >=" \
                "$LIBBPF_MINIMUM by hand."
        say "Adding $release-backports from this machine's mirror in $BACKPORTS_FILE; only libbpf is taken from it."
        {
                printf '# Written by bpfchain (tools/deps.sh) for libbpf >= %s.\n' "$LIBBPF_MINIMUM"
                printf 'Types: deb\nURIs: %s\nSuites: %s-backports\nComponents: main\n' "$mirror" "$release"
                if [[ -r $keyring ]]; then
                        printf 'Signed-By: %s\n' "$keyring"
                fi
        } >"$BACKPORTS_FILE"
        chmod 0644 "$BACKPORTS_FILE"
        apt_update
}

install_libbpf() {
        local release newest packages=(libbpf-dev)

        # shellcheck source=/dev/null
        release="$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}")"
        newest="$(libbpf_newest)"
        if ! new_enough "$newest" && [[ $DISTRIBUTION == debian && -n $release ]] && ! has_backports "$release"; then
                add_backports "$release"
                newest="$(libbpf_newest)"
        fi
        new_enough "$newest" || die "The newest libbpf that the package sources offer is ${newest:-none};" \
                "bpfchain needs $LIBBPF_MINIMUM. Use a newer release, or install libbpf from its source."
        # The library must be named too: its version is no default choice either when it is in backports.
        if apt_knows libbpf1; then
                packages+=("libbpf1=$newest")
        fi
        packages[0]="libbpf-dev=$newest"
        run_logged "Installing ${packages[*]}." apt_get install --no-install-recommends "${packages[@]}"
}

deps_debian() {
        local package missing=() group

        for group in "$@"; do
                for package in $(debian_packages "$group"); do
                        installed "$package" || missing+=("$package")
                done
        done
        if ((${#missing[@]} == 0)) && libbpf_ready; then
                return
        fi
        need_root "${missing[@]}"
        apt_update
        libbpf_ready || install_libbpf
        substitute missing
        if ((${#missing[@]})); then
                run_logged "Installing ${missing[*]} (this can take some minutes)." \
                        apt_get install --no-install-recommends "${missing[@]}"
        fi
}

# substitute ARRAY: older and other releases have some things in packages of other names; what is in none, and the
# tests can do without, is left out with a word.
substitute() {
        local -n list="$1"
        local package result=()

        for package in "${list[@]}"; do
                if apt_knows "$package"; then
                        result+=("$package")
                        continue
                fi
                case "$package" in
                bpftool) result+=(linux-tools-common linux-tools-generic) ;;
                polkitd) result+=(policykit-1) ;;
                pkg-config) result+=(pkgconf) ;;
                *) say "This release has no package $package; what needs it will be skipped." ;;
                esac
        done
        list=("${result[@]}")
}

deps_fedora() {
        local package missing=() group

        for group in "$@"; do
                for package in $(fedora_packages "$group"); do
                        rpm -q --whatprovides "$package" >/dev/null 2>&1 || missing+=("$package")
                done
        done
        if ((${#missing[@]})); then
                need_root "${missing[@]}"
                run_logged "Installing ${missing[*]} (this can take some minutes)." \
                        dnf install -y --setopt=install_weak_deps=False "${missing[@]}"
        fi
}

need_root() {
        ((EUID == 0)) || die "Missing: ${*:-libbpf >= $LIBBPF_MINIMUM}. Installing takes root: run this with sudo," \
                "or with --no-install after installing them by hand."
}

main() {
        local group like

        if (($# == 0)); then
                set -- build test
        fi
        for group in "$@"; do
                case "$group" in
                build | test | valgrind | demo | bench | fuzz | lint | vm) ;;
                *) usage_error "deps knows no group \"$group\"." ;;
                esac
        done

        [[ -r /etc/os-release ]] || die "/etc/os-release is missing, so the distribution is unknown." \
                "Install the dependencies named in README.md by hand and use --no-install."
        # shellcheck source=/dev/null
        DISTRIBUTION="$(. /etc/os-release && printf '%s' "${ID:-}")"
        # shellcheck source=/dev/null
        like=" $DISTRIBUTION $(. /etc/os-release && printf '%s' "${ID_LIKE:-}") "

        LOG="$(mktemp)"
        trap 'rm -f "$LOG"' EXIT
        case "$like" in
        *" debian "* | *" ubuntu "*) deps_debian "$@" ;;
        *" fedora "*) deps_fedora "$@" ;;
        *) die "No rule for the distribution \"$DISTRIBUTION\". Install the dependencies named in README.md by hand" \
                "and use --no-install." ;;
        esac
}

main "$@"
