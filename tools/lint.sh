#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# lint.sh: formatting and static checks of the tracked files. A tool that is not installed is named and passed over;
# whatever a tool that is there complains of makes the exit status 1. Needs a configured build/ (for the flags).
set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
# shellcheck source=tools/lib.sh
source "$ROOT/tools/lib.sh"
cd "$ROOT"

# Versions of clang-format differ in taste; the tree is formatted by this one.
CLANG_FORMAT_VERSION=14
JOBS="$(nproc)"
status=0

# tracked PATTERN...: the tracked files that are there.
tracked() {
        local file

        git -c safe.directory="$ROOT" ls-files -- "$@" | while IFS= read -r file; do
                if [[ -f $file ]]; then
                        printf '%s\n' "$file"
                fi
        done
}

# have TOOL
have() {
        if command -v "$1" >/dev/null; then
                return 0
        fi
        say "$1 is not installed; passed over. \"sudo ./dev lint --install\" gets it."
        return 1
}

# found TOOL: it complained.
found() {
        printf '%s%s complains.%s\n' "$RED" "$1" "$PLAIN" >&2
        status=1
}

# shell_scripts: tracked shell scripts, by their name or their first line.
shell_scripts() {
        local file first

        tracked | while IFS= read -r file; do
                IFS= read -r first <"$file" 2>/dev/null || first=
                if [[ $file == *.sh || $first == '#!'*[/\ ]@(ba|)sh ]]; then
                        printf '%s\n' "$file"
                fi
        done
}

lint_format() {
        local version

        have clang-format || return 0
        version="$(clang-format --version | sed -nE 's/.*version ([0-9]+).*/\1/p')"
        if [[ $version != "$CLANG_FORMAT_VERSION" ]]; then
                say "clang-format is $version, the reference is $CLANG_FORMAT_VERSION: formatting is passed over."
                return 0
        fi
        say "clang-format"
        tracked '*.c' '*.h' | xargs -r -d '\n' clang-format --dry-run -Werror || found clang-format
}

lint_tidy() {
        have clang-tidy || return 0
        if [[ ! -f build/compile_commands.json ]]; then
                say "build/ is not configured; clang-tidy is passed over."
                return 0
        fi
        say "clang-tidy"
        # Only what the build compiles has flags. Not the tests: tidy knows nothing of cmocka's way to end them.
        tracked 'service/*.c' 'client/*.c' | while IFS= read -r file; do
                if grep -q "\"file\": \".*$file\"" build/compile_commands.json; then
                        printf '%s\n' "$file"
                fi
        done | xargs -r -d '\n' -P "$JOBS" -n 4 clang-tidy --quiet -p build 2>/dev/null || found clang-tidy
}

lint_cppcheck() {
        have cppcheck || return 0
        say "cppcheck"
        # It knows nothing of the cleanup attribute and of "written on success only", hence no leaks and no unset
        # members; those are for the sanitizers and valgrind.
        tracked 'service/*.c' 'client/*.c' | xargs -r -d '\n' cppcheck --quiet -j "$JOBS" --std=c11 \
                --enable=warning,portability --inline-suppr --error-exitcode=1 --template=gcc -D_GNU_SOURCE \
                -Iservice -Ibuild --suppress=missingIncludeSystem --suppress=unknownMacro --suppress=memleak \
                --suppress=resourceLeak --suppress=uninitStructMember \
                --suppress=normalCheckLevelMaxBranches || found cppcheck
}

lint_shell() {
        have shellcheck || return 0
        say "shellcheck"
        shell_scripts | xargs -r -d '\n' shellcheck -x || found shellcheck
}

lint_python() {
        have python3 || return 0
        say "Python's parser"
        tracked '*.py' tools/run-tests | xargs -r -d '\n' python3 -c '
import ast, sys
for path in sys.argv[1:]:
    with open(path, encoding="utf-8") as file:
        ast.parse(file.read(), path)
' || found python3
}

have git || die "lint looks at tracked files, so it needs git."
tracked dev | grep -q . || die "This is no git checkout, so there are no tracked files to look at."
lint_format
lint_shell
lint_python
lint_cppcheck
lint_tidy
if ((status == 0)); then
        say "Nothing to complain of."
fi
exit "$status"
