#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a packet costs in a chain of N programs, beside one program that somebody wrote by hand, and beside what
others make of the same programs.

tests/bench/datapath/bench-datapath does the measuring and says what it does; this runs it, a few rounds a time, so
that everything is loaded anew in between (where the kernel happens to put a program matters too), and makes tables,
a CSV file and a plot of what it writes."""

import argparse
import csv
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.environ.get("BPFCHAIN_SOURCE") or os.path.realpath(os.path.join(HERE, "..", ".."))
BUILD = os.environ.get("BPFCHAIN_BUILD") or os.path.join(SOURCE, "build")
PROGRAM = os.path.join(BUILD, "tests", "bench", "datapath", "bench-datapath")

# What limit.bpf.c and dispatcher.bpf.c have chains of.
COUNTS = [1, 2, 4, 8, 10, 16, 32, 64]
PARTS = ["xdp", "tc", "tc-hook", "build", "traffic"]
ROUNDS_AT_A_TIME = 3

# What is compared with the others, and what is taken off for being no part of a chain.
LIMIT = "limit"
FLOORS = {"xdp": "empty", "tc": "empty", "tc-hook": "drop"}

TITLES = {
    "xdp": "XDP, run by BPF_PROG_TEST_RUN",
    "tc": "TC, run by BPF_PROG_TEST_RUN",
    "tc-hook": "TC ingress of an interface, a dropping program behind the chain",
}

LEGEND = {
    "empty": "a program that does nothing: what the harness costs",
    "drop": "only the dropping program, on tcx: what the harness costs",
    "limit": "all members in one program, by the compiler: the limit",
    "inlined-off": "bpfchain, counters off, members inlined",
    "inlined": "bpfchain by default: counters \"verdicts\", members inlined",
    "inlined-all": "bpfchain, counters \"all\", members inlined",
    "global": "bpfchain, counters off, members called as global functions",
    "static": "bpfchain, counters off, members called as static functions",
    "slot": "bpfchain, counters off, members in slots, 33 at most",
    "dispatcher": "a dispatcher like libxdp's and bpfman's, ten members at most",
    "freplace": "the same with members put in by freplace, as those do it",
    "linked": "tail calls from member to member, as L3AF has them, 33 members at most",
    "linked-clsact": "the same, begun by a clsact filter",
    "tcx-list": "the kernel's list of tcx programs, 64 at most (one of them the dropping one)",
    "clsact-list": "a clsact filter for each member",
}

# Lines of the plots: technique, title, how gnuplot draws it.
CURVES = {
    "xdp": [
        ("dispatcher", "dispatcher with calls (libxdp, bpfman)", 'lc rgb "#c0504d" pt 5'),
        ("linked", "linked tail calls (L3AF)", 'lc rgb "#e0902f" pt 9'),
        ("inlined", "bpfchain", 'lc rgb "#1f77b4" lw 3 pt 7'),
        ("limit", "one program written by hand", 'lc rgb "#333333" dt 2 pt 0'),
    ],
    "tc-hook": [
        ("clsact-list", "clsact filters", 'lc rgb "#8c564b" pt 11'),
        ("tcx-list", "tcx list of the kernel", 'lc rgb "#9467bd" pt 13'),
        ("dispatcher", "dispatcher with calls (bpfman)", 'lc rgb "#c0504d" pt 5'),
        ("linked-clsact", "linked tail calls (L3AF)", 'lc rgb "#e0902f" pt 9'),
        ("inlined", "bpfchain", 'lc rgb "#1f77b4" lw 3 pt 7'),
        ("limit", "one program written by hand", 'lc rgb "#333333" dt 2 pt 0'),
    ],
}


def order_of(technique):
    """Sorts techniques as they stand in LEGEND; "inlined-off" goes with "inlined"."""
    order = list(LEGEND)
    name = technique if technique in LEGEND else technique.split("-", 1)[0]
    return order.index(name) if name in LEGEND else len(order), technique


class Results:
    """Samples by part, technique and number of members, and the same without what the harness cost meanwhile."""

    def __init__(self):
        self.samples = {}
        self.samples_above = {}
        self.code = {}
        self.build = {}
        self.traffic = []
        self.notes = []

    def add(self, line):
        """Takes one line of the program."""
        item = json.loads(line)
        if "sample" in item:
            part, technique, count, _, nsec, floor = item["sample"]
            self.samples.setdefault((part, technique, count), []).append(nsec)
            self.samples_above.setdefault((part, technique, count), []).append(nsec - floor)
        elif "code" in item:
            part, technique, count, *figures = item["code"]
            self.code[part, technique, count] = figures
        elif "build" in item:
            count, _, *usec = item["build"]
            self.build.setdefault(count, []).append(usec)
        elif "traffic" in item:
            self.traffic.append(item["traffic"])
        elif item["note"] not in self.notes:
            self.notes.append(item["note"])

    def techniques(self, part):
        return sorted({t for p, t, _ in self.samples if p == part}, key=order_of)

    def counts(self, part):
        return sorted({n for p, _, n in self.samples if p == part and n > 0})

    def median(self, part, technique, count):
        values = self.samples.get((part, technique, count))
        return statistics.median(values) if values else None

    def quartiles(self, part, technique, count, above=False):
        values = (self.samples_above if above else self.samples)[part, technique, count]
        if len(values) < 2:
            return values[0], values[0]
        first, _, third = statistics.quantiles(values, n=4, method="inclusive")
        return first, third

    def above(self, part, technique, count):
        """Median without what the harness costs."""
        values = self.samples_above.get((part, technique, count))
        return statistics.median(values) if values else None

    def ratio(self, part, technique, count, above=False):
        """How many times the limit, by what the tables show: medians."""
        get = self.above if above else self.median
        value, limit = get(part, technique, count), get(part, LIMIT, count)
        return value / limit if value is not None and limit else None


def parse_arguments():
    parser = argparse.ArgumentParser(prog="./dev bench datapath --", description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, help="how often everything is measured (default: 15, quick: 3)")
    parser.add_argument("--counts", help="lengths of chains (default: 1,2,4,8,10,16,32,64, quick: 1,8,32)")
    parser.add_argument("--packets", type=int, help="packets of one call (default: 100000, quick: 50000)")
    parser.add_argument("--swaps", type=int, help="exchanges under traffic (default: 1000, quick: 50)")
    parser.add_argument("--quick", action="store_true", help="a rough idea within seconds")
    parser.add_argument("--only", metavar="PART,…", help="of " + ", ".join(PARTS))
    parser.add_argument("--csv", metavar="FILE", help="where to write the figures, besides the build folder")
    parser.add_argument("--svg", metavar="FILE", help="where to write the plot, besides the build folder")
    options = parser.parse_args()

    defaults = (3, "1,8,32", 50000, 50) if options.quick else (15, ",".join(map(str, COUNTS)), 100000, 1000)
    for name, value in zip(("rounds", "counts", "packets", "swaps"), defaults):
        if getattr(options, name) is None:
            setattr(options, name, value)
    if options.rounds < 1:
        parser.error("--rounds wants a positive number.")
    options.only = options.only.split(",") if options.only else PARTS
    for count in options.counts.split(","):
        if count not in map(str, COUNTS):
            parser.error(f"there are no chains of {count}; lengths are {', '.join(map(str, COUNTS))}.")
    for part in options.only:
        if part not in PARTS:
            parser.error(f"there is no part {part}; parts are {', '.join(PARTS)}.")
    return options


def run_program(parts, options, rounds, results):
    command = [PROGRAM, BUILD, ",".join(parts), options.counts, rounds, options.packets, options.swaps]
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True) as process:
        try:
            for line in process.stdout:
                results.add(line)
        except BaseException:
            process.kill()
            raise
    if process.returncode != 0:
        sys.exit(1)


def measure(options):
    results = Results()
    steady = [part for part in options.only if part != "traffic"]
    if "traffic" in options.only:
        progress("traffic")
        run_program(["traffic"], options, 1, results)
    done = 0
    while steady and done < options.rounds:
        rounds = min(ROUNDS_AT_A_TIME, options.rounds - done)
        progress(f"round {done + 1} of {options.rounds}")
        run_program(steady, options, rounds, results)
        done += rounds
    progress("")
    return results


def progress(text):
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


# --- tables ------------------------------------------------------------------------------------------------------


def print_table(title, results, part, get, form="{:.1f}"):
    counts = results.counts(part)
    print(f"{title}\n{'members':<14}" + "".join(f"{n:>9}" for n in counts))
    for technique in results.techniques(part):
        if technique == FLOORS[part]:
            continue
        cells = [get(part, technique, n) for n in counts]
        print(f"{technique:<14}" + "".join(f"{'-' if c is None else form.format(c):>9}" for c in cells))
    print()


def spread(results, above):
    def get(part, technique, count):
        if (part, technique, count) not in results.samples:
            return None
        first, third = results.quartiles(part, technique, count, above)
        return third - first
    return get


def print_part(results, part):
    floor = FLOORS[part]
    first, third = results.quartiles(part, floor, 0)
    print(f"== {TITLES[part]}\n")
    print(f"{floor}: {results.median(part, floor, 0):.1f} ns a packet, half of the rounds within {first:.1f} and "
          f"{third:.1f}; {len(results.samples[part, floor, 0])} rounds\n")
    if part == "tc-hook":
        print_table(f"ns a packet above {floor}, median of the rounds (each the best of a few calls)", results, part,
                    results.above)
        print_table("spread: range of the middle half of the rounds, ns", results, part, spread(results, True))
        print_table("times the limit, both above " + floor, results, part,
                    lambda *cell: results.ratio(*cell, above=True), "{:.2f}")
    else:
        print_table("ns a packet, harness included, median of the rounds (each the best of a few calls)", results,
                    part, results.median)
        print_table("spread: range of the middle half of the rounds, ns", results, part, spread(results, False))
        print_table("times the limit, harness included", results, part, results.ratio, "{:.2f}")
        print_table("times the limit, without the harness", results, part,
                    lambda *cell: results.ratio(*cell, above=True), "{:.2f}")


def print_code(results, part):
    """What each further member adds to the code."""
    counts = results.counts(part)
    few, many = counts[0], max(n for n in counts if n <= max(8, counts[0]))
    if few == many:
        return
    print(f"code that each further member adds (from {few} to {many})\n{'':<14}{'insns':>9}{'bytes':>9}")
    for technique in results.techniques(part):
        a, b = results.code.get((part, technique, few)), results.code.get((part, technique, many))
        if a and b and technique != "linked":
            print(f"{technique:<14}{(b[0] - a[0]) / (many - few):>9.1f}{(b[1] - a[1]) / (many - few):>9.1f}")
    print()


def print_build(results):
    print("== Building and verifying a chain, members loaded, microseconds (median)\n")
    print(f"{'members':<14}" + "".join(f"{n:>9}" for n in sorted(results.build)))
    for row, pick in (("build", lambda b, l: b), ("verify", lambda b, l: l), ("both", lambda b, l: b + l)):
        medians = [statistics.median(pick(*usec) for usec in results.build[n]) for n in sorted(results.build)]
        print(f"{row:<14}" + "".join(f"{m:>9.0f}" for m in medians))
    print()


def print_traffic(results):
    print("== Exchanging chains under traffic over veth\n")
    print(f"{'chain':<14}{'members':>9}{'swaps':>9}{'swaps/s':>9}{'packets/s':>11}{'packets':>10}{'lost':>6}"
          f"{'mixed':>8}{'reordered':>11}{'wrong':>7}{'wire':>7}")
    for t in results.traffic:
        print(f"{t['chain']:<14}{t['members']:>9}{t['swaps']:>9}{t['swaps'] / t['seconds']:>9.0f}"
              f"{t['packets'] / t['seconds']:>11.0f}{t['sent']:>10}{t['lost']:>6}{t['mixed']:>8}"
              f"{t['reordered']:>11}{t['wrong']:>7}{t['wire']:>7}")
    print("\nlost: sent and never seen again; mixed: met members of two generations; wrong: did not meet all members in"
          "\ntheir order; wire: dropped by the veth before the chain. xdp and tc-ingress are bpfchain's, built,"
          "\nverified, exchanged and pinned; the tcx list is exchanged link by link.\n")


def print_legend(results):
    print("Techniques")
    for technique in sorted({t for _, t, _ in results.samples}, key=order_of):
        print(f"  {technique:<14}{LEGEND.get(technique, '')}")
    for note in results.notes:
        print(f"\nNote: {note}")


# --- files -------------------------------------------------------------------------------------------------------


def write_csv(results, path):
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["part", "technique", "members", "rounds", "median_ns", "first_quartile_ns",
                         "third_quartile_ns", "above_floor_ns", "times_limit", "times_limit_above_floor", "insns",
                         "jited_bytes"])
        for (part, technique, count), values in sorted(results.samples.items()):
            figures = [results.median(part, technique, count), *results.quartiles(part, technique, count),
                       results.above(part, technique, count), results.ratio(part, technique, count),
                       results.ratio(part, technique, count, above=True)]
            code = results.code.get((part, technique, count), ["", ""])
            writer.writerow([part, technique, count, len(values),
                             *("" if f is None else f"{f:.3f}" for f in figures), *code[:2]])


def plot_script(results, parts, terminal, output):
    lines = [f"set terminal {terminal}", f"set output '{output}'",
             f"set multiplot layout 1,{len(parts)}", "set logscale x 2", "set logscale y 10", "set grid ytics lc rgb "
             "'#dddddd'", "set key left top reverse Left samplen 2", "set xlabel 'programs in the chain'",
             "set border 3", "set tics nomirror", "set format y '%g'"]
    for part in parts:
        counts = results.counts(part)
        curves = [c for c in CURVES[part] if any(results.median(part, c[0], n) for n in counts)]
        tops = [results.above(part, c[0], n) for c in curves for n in counts if results.median(part, c[0], n)]
        lines += [f"set title '{'XDP' if part == 'xdp' else 'TC ingress'}: ns a packet'",
                  "set xtics (" + ", ".join(str(n) for n in counts if n & (n - 1) == 0) + ")",
                  f"set xrange [{counts[0] * 0.95}:{counts[-1] * 1.1}]",
                  # room for the key
                  f"set yrange [1:{max(tops) * 8:.0f}]",
                  "plot " + ", ".join(f"'-' using 1:2 with linespoints {style} title '{title}'"
                                      for _, title, style in curves)]
        for technique, _, _ in curves:
            for n in counts:
                value = results.above(part, technique, n)
                if value is not None and value > 0:
                    lines.append(f"{n} {value:.2f}")
            lines.append("e")
    return "\n".join(lines + ["unset multiplot", ""])


def label_svg(path):
    """The licence, behind the line that says that it is XML."""
    with open(path, encoding="utf-8") as file:
        head, rest = file.read().split("\n", 1)
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{head}\n<!-- SPDX-License-Identifier: LGPL-2.1-or-later -->\n{rest}")


def write_plots(results, options):
    parts = [part for part in CURVES if len(results.counts(part)) > 1]
    if not parts:
        return []
    if not shutil.which("gnuplot"):
        print("No plot: gnuplot is not installed.")
        return []
    written = []
    for suffix, terminal in (("svg", "svg size 1000,460 dynamic enhanced font 'sans-serif,13' background '#ffffff'"),
                             ("png", "pngcairo size 1500,690 font 'sans,14'")):
        path = os.path.join(BUILD, f"bench-datapath.{suffix}")
        done = subprocess.run(["gnuplot"], input=plot_script(results, parts, terminal, path), text=True, check=False)
        if done.returncode != 0:
            print(f"No plot: gnuplot can't make {suffix}.")
            continue
        written.append(path)
        if suffix == "svg":
            label_svg(path)
            if options.svg:
                shutil.copy(path, options.svg)
                written.append(options.svg)
    return written


# --- the run -----------------------------------------------------------------------------------------------------


def cpu_model():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith(("model name", "Model")):
                return line.split(":", 1)[1].strip()
    return platform.machine()


def load():
    return "%.2f" % os.getloadavg()[0]


def main():
    options = parse_arguments()
    if os.geteuid() != 0:
        print("SKIP: loading programs and making network namespaces takes root")
        sys.exit(77)
    if not os.path.exists(PROGRAM):
        sys.exit(f"{PROGRAM} is missing: build first, with \"./dev build\".")

    before = load()
    results = measure(options)
    print(f"{cpu_model()}, {os.cpu_count()} CPUs, kernel {platform.release()}; load average {before} before, {load()} "
          "after\n")
    for part in FLOORS:
        if results.counts(part):
            print_part(results, part)
            if part != "tc-hook":
                print_code(results, part)
    if results.build:
        print_build(results)
    if results.traffic:
        print_traffic(results)
    print_legend(results)

    path = os.path.join(BUILD, "bench-datapath.csv")
    write_csv(results, path)
    if options.csv:
        shutil.copy(path, options.csv)
    for path in [options.csv or path, *write_plots(results, options)]:
        print(f"Wrote {path}")


if __name__ == "__main__":
    main()
