#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Includes point downward only: util <- model <- {kernel, bus} <- main.c; kernel and bus never include each other.
# The model knows neither sd-bus, libnl nor libbpf, and vtables stand in service/bus/ alone.
# The check is first tried on small trees that break one rule each.
set -euo pipefail

ROOT="${BPFCHAIN_SOURCE:-$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)}"

# layers LAYER: the layers that a file of this one may include.
layers() {
        case "$1" in
        util) echo util ;;
        model) echo util model ;;
        kernel) echo util model kernel ;;
        bus) echo util model bus ;;
        main) echo util model kernel bus ;;
        client) echo util model client ;;
        *) echo "$1" ;;
        esac
}

# foreign LAYER: a pattern of the libraries' headers that a file of this layer may not include.
foreign() {
        local bus='systemd/sd-bus' netlink='netlink/|linux/(rt)?netlink' libbpf='bpf/'

        case "$1" in
        util) echo "^($bus|$netlink|$libbpf)" ;;
        model) echo "^(systemd/|$netlink|$libbpf)" ;;
        kernel) echo "^($bus)" ;;
        bus) echo "^($netlink|$libbpf)" ;;
        *) echo '^$' ;;
        esac
}

# check_file TREE FILE: print what is wrong with one file, a line each.
check_file() {
        local tree="$1" file="$2" layer rest line header forbidden allowed

        rest="${file#service/}"
        case "$file" in
        client/*) layer=client ;;
        service/*/*) layer="${rest%%/*}" ;;
        *) layer=main ;;
        esac
        allowed=" $(layers "$layer") "
        forbidden="$(foreign "$layer")"

        while IFS= read -r line; do
                header="${line#*:}"
                if [[ $header == \"* ]]; then
                        header="${header:1}"
                        case "$header" in
                        util/* | model/* | kernel/* | bus/* | client/*)
                                [[ $allowed == *" ${header%%/*} "* ]] ||
                                        echo "$file:${line%%:*}: $layer must not include \"$header\""
                                ;;
                        ../*) echo "$file:${line%%:*}: \"$header\": includes are written from service/ on" ;;
                        esac
                fi
                header="${header#<}"
                if [[ $header =~ $forbidden ]]; then
                        echo "$file:${line%%:*}: $layer must not include <$header>"
                fi
        done < <(sed -nE '/^[ \t]*#[ \t]*include[ \t]*[<"]/ { =; s/^[^<"]*([<"][^>"]*).*/\1/p }' "$tree/$file" |
                paste -d: - -)

        if [[ $layer != bus ]]; then
                sed -nE '/\b(sd_bus_vtable|SD_BUS_VTABLE_START)\b/=' "$tree/$file" |
                        sed "s|.*|$file:&: a vtable outside service/bus/|"
        fi
}

check_tree() {
        local file

        (cd "$1" && find . -path './build*' -prune -o \( -path './service/*' -o -path './client/*' \) -name '*.[ch]' \
                -printf '%P\n' | sort) | while IFS= read -r file; do
                check_file "$1" "$file"
        done
}

count=0 failed=0
# result STATUS WHAT: a TAP line.
result() {
        count=$((count + 1))
        if (($1 == 0)); then
                echo "ok $count - $2"
        else
                echo "not ok $count - $2"
                failed=1
        fi
}

# expect FILE CODE WANTED: a tree with this one file gives WANTED complaints (0 or 1).
expect() {
        local found

        mkdir -p "$TREE/$(dirname "$1")"
        printf '%s\n' "$2" >"$TREE/$1"
        found="$(check_tree "$TREE" | wc -l)"
        rm -r "${TREE:?}"/*
        result "$((found != $3))" "$1: $2 ($found complaints of $3)"
}

TREE="$(mktemp -d)"
trap 'rm -rf "$TREE"' EXIT
expect service/util/a.c '#include "model/hook.h"' 1
expect service/model/a.h '#include "util/error.h"' 0
expect service/model/a.h '#include "kernel/netlink.h"' 1
expect service/model/a.c '  #  include <systemd/sd-bus.h>' 1
expect service/model/a.c '#include <netlink/netlink.h>' 1
expect service/model/a.c '#include <bpf/libbpf.h>' 1
expect service/model/a.c 'struct sd_bus_vtable;' 1
expect service/kernel/a.c '#include "bus/bus.h"' 1
expect service/kernel/a.c '#include <bpf/bpf.h>' 0
expect service/bus/a.c '#include "kernel/attach.h"' 1
expect service/bus/a.c 'static const sd_bus_vtable vtable[];' 0
expect service/main.c '#include "bus/bus.h"' 0
expect client/a.c '#include "bus/bus.h"' 1

complaints="$(check_tree "$ROOT")"
result "$((${#complaints} > 0))" "the tree"
if [[ -n $complaints ]]; then
        echo "# ${complaints//$'\n'/$'\n# '}"
fi
echo "1..$count"
exit "$failed"
