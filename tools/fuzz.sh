#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# fuzz.sh SECONDS [NAME...]: build the fuzzers with clang's libFuzzer and run each for so long, on the corpus in
# tests/fuzz/corpus/NAME. New inputs are kept in build-fuzz/corpus/NAME, findings in build-fuzz/findings. Those that
# matter are to be copied into tests/fuzz/corpus, which the suite "fuzz" runs again as an ordinary test.
set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
# shellcheck source=tools/lib.sh
source "$ROOT/tools/lib.sh"
cd "$ROOT"

seconds="$1"
shift

[[ -f tests/fuzz/meson.build ]] || die "There are no fuzzers in tests/fuzz."
command -v clang >/dev/null || die "clang is not installed. Run \"sudo ./dev deps build fuzz\"."
if [[ ! -f build-fuzz/build.ninja ]]; then
        CC=clang meson setup build-fuzz -Db_sanitize=address,undefined -Db_lundef=false \
                -Dc_args=-fsanitize=fuzzer-no-link
fi
meson compile -C build-fuzz

if (($# == 0)); then
        for program in build-fuzz/tests/fuzz/fuzz-*; do
                if [[ -f $program && -x $program ]]; then
                        set -- "$@" "${program##*/fuzz-}"
                fi
        done
fi
(($#)) || die "The build made no fuzzer."

status=0
mkdir -p build-fuzz/findings
for name in "$@"; do
        program="build-fuzz/tests/fuzz/fuzz-$name"
        [[ -x $program ]] || die "There is no fuzzer \"$name\"."
        mkdir -p "build-fuzz/corpus/$name"
        corpus=("build-fuzz/corpus/$name")
        if [[ -d tests/fuzz/corpus/$name ]]; then
                corpus+=("tests/fuzz/corpus/$name")
        fi
        say "$name, $seconds s"
        "$program" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -verbosity=0 -print_final_stats=1 \
                -artifact_prefix="build-fuzz/findings/$name-" "${corpus[@]}" || status=1
done
if ((status)); then
        say "There are findings in build-fuzz/findings; each is an input to give to the fuzzer again."
fi
exit "$status"
