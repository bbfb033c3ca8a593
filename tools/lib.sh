# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# What dev and its helpers share. Sourced; expects ROOT, the top of the source tree.

BOLD='' RED='' PLAIN=''
if [[ -t 2 && -z ${NO_COLOR:-} && ${TERM:-dumb} != dumb ]]; then
        BOLD=$'\e[1m' RED=$'\e[31m' PLAIN=$'\e[0m'
fi

# say SENTENCE...: what goes on, on stderr, so that it mixes with no result.
say() {
        printf '%s==> %s%s\n' "$BOLD" "$*" "$PLAIN" >&2
}

# die SENTENCE...: what failed and what to do, then the end.
die() {
        printf '%s%s%s\n' "$RED" "$*" "$PLAIN" >&2
        exit 1
}

usage_error() {
        printf '%s\nSee "./dev help".\n' "$*" >&2
        exit 2
}

# Build folders made under sudo are given back to the caller, who could not even remove them otherwise.
give_back() {
        local dir

        if ((EUID == 0)) && [[ -n ${SUDO_UID:-} && -n ${SUDO_GID:-} ]]; then
                for dir in "$ROOT"/build "$ROOT"/build-asan "$ROOT"/build-fuzz; do
                        if [[ -d $dir && ! -L $dir ]]; then
                                chown -hR "$SUDO_UID:$SUDO_GID" "$dir" || true
                        fi
                done
        fi
}
