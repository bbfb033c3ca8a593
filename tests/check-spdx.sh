#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Every file of the project has an SPDX line that fits its place, near its top: what is under bpf/ and tests/bpf/ may
# be taken into other people's BPF programs, all else is under the LGPL. The texts of all licences are there.
# The check is first tried on files that break the rule.
set -euo pipefail

LINES_AT_TOP=12
ROOT="${BPFCHAIN_SOURCE:-$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)}"

# wanted FILE: sets the licence that the file must name; empty for a file that can carry no comment.
wanted() {
        case "$1" in
        LICENSES/* | *.json | tests/data/* | tests/fuzz/corpus/* | *.png | *.o) wanted= ;;
        bpf/* | tests/bpf/* | tests/vm/*.bpf.c) wanted='GPL-2.0-only OR BSD-2-Clause' ;;
        *) wanted='LGPL-2.1-or-later' ;;
        esac
}

# named FILE: sets the licence that the file names within its first lines.
named() {
        local line i=0 pattern='SPDX-License-Identifier:[[:blank:]]*([-A-Za-z0-9.+ ()]*[A-Za-z0-9+)])'

        named=
        while ((i++ < LINES_AT_TOP)) && IFS= read -r line; do
                if [[ $line =~ $pattern ]]; then
                        named="${BASH_REMATCH[1]}"
                        return
                fi
        done <"$1"
}

# check_file TREE FILE
check_file() {
        local wanted named

        wanted "$2"
        if [[ -z $wanted ]]; then
                return
        fi
        named "$1/$2"
        if [[ -z $named ]]; then
                echo "$2: no SPDX-License-Identifier line within the first $LINES_AT_TOP; \"$wanted\" is due"
        elif [[ $named != "$wanted" ]]; then
                echo "$2: names \"$named\", but \"$wanted\" is due here"
        fi
}

# The files of the project: those under version control, or in an unpacked archive all but what was built.
files() {
        cd "$ROOT"
        if [[ -e .git ]] && command -v git >/dev/null; then
                git -c safe.directory="$ROOT" ls-files
        else
                find . -type f -not -path './build*' -printf '%P\n'
        fi
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

# expect FILE TEXT WANTED: a file of this content gives WANTED complaints (0 or 1).
expect() {
        local found

        mkdir -p "$TREE/$(dirname "$1")"
        printf '%s\n' "$2" >"$TREE/$1"
        found="$(check_file "$TREE" "$1" | wc -l)"
        result "$((found != $3))" "$1: $2 ($found complaints of $3)"
}

# Put together here, so that reuse-like tools do not take them for lines about this file.
tag="SPDX-License""-Identifier:"
TREE="$(mktemp -d)"
trap 'rm -rf "$TREE"' EXIT
expect service/a.c 'int a;' 1
expect service/a.c "/* $tag LGPL-2.1-or-later */" 0
expect service/a.c "// $tag GPL-2.0-only OR BSD-2-Clause" 1
expect bpf/a.bpf.c "/* $tag GPL-2.0-only OR BSD-2-Clause */" 0
expect bpf/a.bpf.c "/* $tag LGPL-2.1-or-later */" 1
expect README.md "<!-- $tag LGPL-2.1-or-later -->" 0
expect data.json '{}' 0

complaints="$(files | while IFS= read -r file; do
        # One that was removed and is not committed yet is none.
        if [[ -f $ROOT/$file ]]; then
                check_file "$ROOT" "$file"
        fi
done)"
total="$(files | wc -l)"
result "$((total == 0 || ${#complaints} > 0))" "the tree, $total files"
if [[ -n $complaints ]]; then
        echo "# ${complaints//$'\n'/$'\n# '}"
fi
for licence in LGPL-2.1-or-later GPL-2.0-only BSD-2-Clause; do
        result "$([[ -s $ROOT/LICENSES/$licence.txt ]]; echo $?)" "text of $licence"
done
echo "1..$count"
exit "$failed"
