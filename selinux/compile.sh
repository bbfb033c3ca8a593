#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# compile.sh MAKE MAKEFILE OUTPUT SOURCE...: an SELinux module, by the policy's own makefile. That works in the folder
# that it is called in, and takes all modules there for its own; so it gets a folder with nothing else.
set -eu

make="$1" makefile="$2" output="$3"
shift 3
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
name="$(basename "$output")"
cp "$@" "$work"
status=0
"$make" -C "$work" -f "$makefile" "$name" >"$work/log" 2>&1 || status=$?
# Where bpfchain is installed already its interfaces come twice; ours come later, and count.
if [ "$status" -ne 0 ] || grep -v 'duplicate definition of bpfchain_' "$work/log" | grep -qiE 'warning|error'; then
        cat "$work/log" >&2
fi
[ "$status" -ne 0 ] || cp "$work/$name" "$output"
exit "$status"
