#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The files that others read are well formed in their eyes: the systemd unit, the bus policy, the polkit actions and
# the interface XML, the man pages. Each case is skipped where its judge is not installed.
# shellcheck disable=SC2317 # functions are called by check()
set -euo pipefail

ROOT="${BPFCHAIN_SOURCE:-$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)}"
BUILD="${BPFCHAIN_BUILD:-$ROOT/build}"

count=0 failed=0 said=''
# check JUDGE WHAT COMMAND...: a TAP line for a command that succeeds and complains of nothing.
check() {
        local judge="$1" what="$2"
        shift 2

        count=$((count + 1))
        if ! command -v "$judge" >/dev/null; then
                echo "ok $count - $what # SKIP $judge is not installed"
        elif said="$("$@" 2>&1 </dev/null)" && [[ -z $said ]]; then
                echo "ok $count - $what"
        else
                echo "not ok $count - $what"
                echo "# ${said//$'\n'/$'\n# '}"
                failed=1
        fi
}

# unit FILE...: what systemd says of units, with commands that exist although nothing is installed.
unit() {
        local file copies=()

        for file in "$@"; do
                copies+=("$TREE/${file##*/}")
                sed -E 's#^(Exec[A-Za-z]*=)[^ ]*#\1/bin/true#' "$file" >"${copies[-1]}"
        done
        systemd-analyze verify --man=no "${copies[@]}"
}

# The actions that the service asks for are those that are declared.
actions_declared() {
        local action

        for action in inspect read-maps write-maps manage-chains configure manage-guard manage-bundles; do
                grep -q "<action id=\"org.bpfchain1.$action\">" "$ROOT/polkit/org.bpfchain1.policy" ||
                        echo "org.bpfchain1.$action is not declared"
        done
        { grep -rhoE '"org\.bpfchain1\.[a-z]+(-[a-z]+)*"' "$ROOT/service" --include='*.[ch]' || true; } |
                sort -u | tr -d '"' |
                while IFS= read -r action; do
                        grep -q "<action id=\"$action\">" "$ROOT/polkit/org.bpfchain1.policy" ||
                                echo "$action is asked for, but not declared"
                done
}

# SELinux interfaces are documented as reference policy wants it, and in the manual page.
SELINUX_DEVEL=/usr/share/selinux/devel
SELINUX_SUPPORT=$SELINUX_DEVEL/include/support
interfaces_documented() {
        local name

        {
                echo '<policy><layer name="services"><summary>Services</summary>'
                (cd "$ROOT" && python3 "$SELINUX_SUPPORT/segenxml.py" -w -m selinux/bpfchain)
                echo '</layer></policy>'
        } >"$TREE/policy.xml"
        xmllint --nonet --noout --dtdvalid "$SELINUX_SUPPORT/policy.dtd" "$TREE/policy.xml"
        interfaces | while IFS= read -r name; do
                grep -q "Fn $name " "$ROOT/man/bpfchain-selinux.8" || echo "bpfchain-selinux.8 lacks $name"
        done
}

interfaces() {
        sed -n "s/^interface(\`\([a-z_]*\)',\`$/\1/p" "$ROOT/selinux/bpfchain.if"
}

# And a module of somebody else's can use all of them.
interfaces_compile() {
        local folder="$TREE/user" name

        mkdir "$folder"
        {
                echo 'policy_module(other, 1.0.0)'
                echo 'gen_require(`role system_r;'"')"
                echo 'type user_of_bpfchain_t; domain_type(user_of_bpfchain_t)'
                echo 'type user_of_bpfchain_exec_t; files_type(user_of_bpfchain_exec_t)'
                interfaces | while IFS= read -r name; do
                        case "$name" in
                        bpfchain_admin | bpfchain_enter_rescue) echo "$name(user_of_bpfchain_t, system_r)" ;;
                        bpfchain_init_runs) echo "$name(user_of_bpfchain_exec_t)" ;;
                        *) echo "$name(user_of_bpfchain_t)" ;;
                        esac
                done
        } >"$folder/other.te"
        # The makefile reads interfaces of modules that are there.
        "$ROOT/selinux/compile.sh" make "$SELINUX_DEVEL/Makefile" "$TREE/other.pp" "$folder"/other.te \
                "$ROOT"/selinux/bpfchain.{te,if,fc}
        [[ -s $TREE/other.pp ]] || echo "there is no module"
}

TREE="$(mktemp -d)"
trap 'rm -rf "$TREE"' EXIT
check systemd-analyze 'bpfchaind.service' unit "$BUILD/systemd/bpfchaind.service"
check systemd-analyze 'bpfchain-metrics.timer and its service' \
        unit "$BUILD"/systemd/bpfchain-metrics.{timer,service}
for file in "$ROOT"/dbus/*.conf "$ROOT"/dbus/*.xml "$ROOT"/polkit/*.policy; do
        check xmllint "${file#"$ROOT"/} is XML" xmllint --nonet --noout "$file"
done
check grep 'polkit actions that are asked for are declared' actions_declared
if [[ -e $SELINUX_SUPPORT/segenxml.py ]]; then
        check xmllint 'SELinux interfaces are documented' interfaces_documented
        check checkmodule 'SELinux interfaces can be used' interfaces_compile
fi
for file in "$ROOT"/man/*.[1-8]; do
        if [[ -e $file ]]; then
                check mandoc "${file#"$ROOT"/}" mandoc -T lint -W warning "$file"
        fi
done
echo "1..$count"
exit "$failed"
