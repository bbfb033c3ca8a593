#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a packet costs in a chain of N programs, beside one program that somebody wrote by hand, and beside what
others make of the same programs; and what becomes of packets while chains are exchanged.

tests/bench/datapath/bench-datapath does the measuring and says what it does; this runs it once for each round, so
that everything is loaded anew in between (where the kernel happens to put a program matters too), and makes tables,
CSV files and plots of what it writes."""

import argparse
import datetime
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "datapath"))
sys.dont_write_bytecode = True

from figures import COUNTS, PARTS, TIMED_PARTS, Results, machine, read_first_line  # noqa: E402
from files import write_files, write_readme  # noqa: E402
from goals import print_goals  # noqa: E402
from plots import write_plots  # noqa: E402
from tables import print_build, print_code, print_legend, print_part, print_traffic  # noqa: E402

SOURCE = os.environ.get("BPFCHAIN_SOURCE") or os.path.realpath(os.path.join(HERE, "..", ".."))
BUILD = os.environ.get("BPFCHAIN_BUILD") or os.path.join(SOURCE, "build")
PROGRAM = os.path.join(BUILD, "tests", "bench", "datapath", "bench-datapath")


def parse_arguments():
    parser = argparse.ArgumentParser(prog="./dev bench datapath --", description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, help="how often everything is measured (default: 15, quick: 3)")
    parser.add_argument("--counts", help="lengths of chains (default: 1,2,4,8,10,16,32,64, quick: 1,8,32)")
    parser.add_argument("--packets", type=int, help="packets of one call (default: 100000, quick: 50000)")
    parser.add_argument("--swaps", type=int, help="exchanges under traffic (default: 1000, quick: 50)")
    parser.add_argument("--quick", action="store_true", help="a rough idea within a minute")
    parser.add_argument("--only", metavar="PART,…", help="of " + ", ".join(PARTS))
    parser.add_argument("--output", metavar="FOLDER", default=BUILD,
                        help="where to write CSV files and plots (default: the build folder)")
    parser.add_argument("--doc", action="store_true",
                        help="write CSV files and plots into doc/ of the source, and the figures into the README")
    options = parser.parse_args()

    defaults = (3, "1,8,32", 50000, 50) if options.quick else (15, ",".join(map(str, COUNTS)), 100000, 1000)
    for name, value in zip(("rounds", "counts", "packets", "swaps"), defaults):
        if getattr(options, name) is None:
            setattr(options, name, value)
    if min(options.rounds, options.packets, options.swaps) < 1:
        parser.error("--rounds, --packets and --swaps want positive numbers.")
    options.only = options.only.split(",") if options.only else PARTS
    for count in options.counts.split(","):
        if count not in map(str, COUNTS):
            parser.error(f"there are no chains of {count}; lengths are {', '.join(map(str, COUNTS))}.")
    for part in options.only:
        if part not in PARTS:
            parser.error(f"there is no part {part}; parts are {', '.join(PARTS)}.")
    if options.doc:
        if options.only != PARTS or options.rounds < 11:
            parser.error("--doc wants all parts and at least 11 rounds.")
        options.output = os.path.join(SOURCE, "doc")
    return options


def run_program(parts, options, results):
    command = [PROGRAM, BUILD, ",".join(parts), options.counts, 1, options.packets, options.swaps]
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True) as process:
        try:
            for line in process.stdout:
                results.add(line)
        except BaseException:
            process.kill()
            raise
    if process.returncode != 0:
        sys.exit(1)


def progress(text):
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def measure(options):
    results = Results()
    steady = [part for part in options.only if part != "traffic"]
    if "traffic" in options.only:
        progress("traffic")
        run_program(["traffic"], options, results)
    for number in range(options.rounds if steady else 0):
        progress(f"round {number + 1} of {options.rounds}")
        run_program(steady, options, results)
    progress("")
    return results


def main():
    options = parse_arguments()
    if os.geteuid() != 0:
        print("SKIP: loading programs and making network namespaces takes root")
        sys.exit(77)
    if not os.path.exists(PROGRAM):
        sys.exit(f"{PROGRAM} is missing: build first, with \"./dev build\".")
    if read_first_line("/proc/sys/kernel/bpf_stats_enabled") == "1":
        print("Run time statistics are on (kernel.bpf_stats_enabled), which makes every program slower.\n")

    before = os.getloadavg()[0]
    results = measure(options)
    about = f"{machine()}, {datetime.date.today()}"
    if options.rounds >= 11 and results.samples:
        about += f"; medians of {results.rounds()} rounds"
    print(f"{about[0].upper()}{about[1:]}; load average {before:.2f} before, {os.getloadavg()[0]:.2f} after\n")
    for part in TIMED_PARTS:
        if results.counts(part):
            print_part(results, part)
            print_code(results, part)
    if results.build:
        print_build(results)
    if results.traffic:
        print_traffic(results)
    print_legend(results)
    print_goals(results)

    os.makedirs(options.output, exist_ok=True)
    written = write_files(results, about, options.output) + write_plots(results, options.output)
    if options.doc:
        readme = os.path.join(SOURCE, "README.md")
        if not write_readme(results, about, readme):
            sys.exit(f"{readme} has no place for the figures.")
        written.append(readme)
    for path in written:
        print(f"Wrote {path}")


if __name__ == "__main__":
    main()
