#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Includes point downward only: util <- value <- model <- {kernel, bus} <- main.c; kernel and bus never include each
# other. Values and the model know neither sd-bus, libnl nor libbpf, and vtables stand in service/bus/ alone.
# The check is first tried on small trees that break one rule each.
set -euo pipefail

ROOT="${BPFCHAIN_SOURCE:-$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)}"

# rules FILE: sets the layer of the file, the layers that it may include, and a pattern of the libraries' headers that
# it may not.
rules() {
        local bus='systemd/sd-bus' netlink='netlink/|linux/(rt)?netlink' libbpf='bpf/'

        layer="${1#service/}"
        case "$1" in
        client/*) layer=client ;;
        service/*/*) layer="${layer%%/*}" ;;
        *) layer=main ;;
        esac
        case "$layer" in
        util) allowed='util' forbidden="^($bus|$netlink|$libbpf)" ;;
        value) allowed='util value' forbidden="^(systemd/|$netlink|$libbpf)" ;;
        model) allowed='util value model' forbidden="^(systemd/|$netlink|$libbpf)" ;;
        kernel) allowed='util value model kernel' forbidden="^($bus)" ;;
        bus) allowed='util value model bus' forbidden="^($netlink|$libbpf)" ;;
        main) allowed='util value model kernel bus' forbidden='^$' ;;
        client) allowed='util value model client' forbidden='^$' ;;
        *) allowed="$layer" forbidden='^$' ;;
        esac
}

# check_include FILE LINE HEADER: HEADER begins with a quote or a bracket.
check_include() {
        local header="${3:1}" layer allowed forbidden

        rules "$1"
        if [[ $3 == \"* ]]; then
                case "$header" in
                util/* | value/* | model/* | kernel/* | bus/* | client/*)
                        if [[ " $allowed " != *" ${header%%/*} "* ]]; then
                                echo "$1:$2: $layer must not include \"$header\""
                        fi
                        ;;
                ../*) echo "$1:$2: \"$header\": includes are written from service/ on" ;;
                esac
        fi
        if [[ $header =~ $forbidden ]]; then
                echo "$1:$2: $layer must not include <$header>"
        fi
}

# sources TREE OPTION...: grep with these options in the C files of service and client.
sources() {
        (
                cd "$1"
                grep -rs --include='*.[ch]' "${@:2}" -- service client || true
        )
}

# check_tree TREE: print what is wrong, a line each.
check_tree() {
        local file line header

        sources "$1" -noE '^[ \t]*#[ \t]*include[ \t]*[<"][^>"]*' | while IFS=: read -r file line header; do
                header="${header#*include}"
                header="${header#"${header%%[<\"]*}"}"
                check_include "$file" "$line" "$header"
        done
        sources "$1" -nowE 'sd_bus_vtable|SD_BUS_VTABLE_START' | while IFS=: read -r file line header; do
                if [[ $file != service/bus/* ]]; then
                        echo "$file:$line: a vtable ($header) outside service/bus/"
                fi
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
expect service/util/a.c '#include "value/value-type.h"' 1
expect service/value/a.c '#include "util/error.h"' 0
expect service/value/a.c '#include "model/hook.h"' 1
expect service/value/a.c '#include <bpf/btf.h>' 1
expect service/model/a.h '#include "value/value-type.h"' 0
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
