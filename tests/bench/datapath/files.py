# SPDX-License-Identifier: LGPL-2.1-or-later
"""Files of what was measured: CSV, and a section of the README."""

import csv
import os
import textwrap

from figures import quartiles

LICENCE = "# SPDX-License-Identifier: LGPL-2.1-or-later\n"
TRAFFIC_COLUMNS = ["chain", "members", "swaps", "seconds", "packets", "sent", "lost", "wire", "mixed", "wrong",
                   "reordered"]

# The part of the README that is written here is between these lines.
BEGIN, END = "<!-- ./dev bench datapath -->", "<!-- end -->"

README_COUNTS = [1, 8, 32, 64]
README_ROWS = {
    "xdp": [
        ("limit", "one program, written by hand"),
        ("inlined-off", "**bpfchain**, counters off"),
        ("inlined", "**bpfchain**, as it comes: verdicts counted"),
        ("inlined-all", "**bpfchain**, every slot's verdicts counted"),
        ("DISPATCHER", "a dispatcher with calls, as libxdp and bpfman have, at most 10"),
        ("linked", "linked tail calls, as L3AF has them, at most 33"),
    ],
    "tc-hook": [
        ("limit", "one program, written by hand"),
        ("inlined-off", "**bpfchain**, counters off"),
        ("inlined", "**bpfchain**, as it comes: verdicts counted"),
        ("inlined-all", "**bpfchain**, every slot's verdicts counted"),
        ("tcx-list", "the kernel's tcx list, at most 64"),
        ("clsact-list", "clsact filters"),
    ],
}


def number(value):
    return "" if value is None else f"{value:.3f}"


def write_csv(results, about, path):
    with open(path, "w", newline="", encoding="utf-8") as file:
        file.write(f"{LICENCE}# {about}\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["part", "technique", "members", "rounds", "unit", "median", "first_quartile",
                         "third_quartile", "above_harness", "first_quartile_above", "third_quartile_above",
                         "times_limit", "times_limit_above_harness", "insns", "jited_bytes"])
        for cell, values in sorted(results.samples.items()):
            figures = [results.median(*cell), *results.quartiles(*cell), results.above(*cell),
                       *results.quartiles(*cell, above=True), results.ratio(*cell),
                       results.ratio(*cell, above=True)]
            code = results.code.get(cell, ["", ""])
            writer.writerow([*cell, len(values), "ns", *map(number, figures), *code[:2]])
        for count, times in sorted(results.build.items()):
            for row, name in enumerate(("build", "verify", "both")):
                values = [sum(usec) if name == "both" else usec[row] for usec in times]
                figures = [results.build_usec(count)[row], *quartiles(values)]
                writer.writerow(["build", name, count, len(times), "us", *map(number, figures), *[""] * 7])


def write_traffic_csv(results, about, path):
    with open(path, "w", newline="", encoding="utf-8") as file:
        file.write(f"{LICENCE}# {about}\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(TRAFFIC_COLUMNS)
        writer.writerows([t[column] for column in TRAFFIC_COLUMNS] for t in results.traffic)


def write_files(results, about, folder):
    """Returns what was written."""
    written = []
    if results.samples or results.build:
        written.append(os.path.join(folder, "bench-datapath.csv"))
        write_csv(results, about, written[-1])
    if results.traffic:
        written.append(os.path.join(folder, "bench-datapath-traffic.csv"))
        write_traffic_csv(results, about, written[-1])
    return written


# --- the README --------------------------------------------------------------------------------------------------


def readme_table(results, part, title):
    counts = [n for n in README_COUNTS if n in results.counts(part)]
    lines = [f"| {title} | " + " | ".join(f"{n} program{'s' if n > 1 else ''}" for n in counts) + " |",
             "|---|" + "--:|" * len(counts)]
    for technique, name in README_ROWS[part]:
        technique = results.dispatcher(part) if technique == "DISPATCHER" else technique
        cells = []
        for n in counts:
            nsec, ratio = results.above(part, technique, n), results.ratio(part, technique, n, above=True)
            if nsec is None:
                cells.append("-")
            elif technique == "limit" or n == 1:
                cells.append(f"{nsec:.1f}")
            else:
                cells.append(f"{nsec:.1f} ({ratio:.2f})")
        if any(cell != "-" for cell in cells):
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def item(text):
    return textwrap.fill(text, width=118, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False)


def rate(t):
    return f"{round(t['packets'] / t['seconds'], -3):,.0f}"


def traffic_sentences(results):
    lines = []
    for chain, name in (("xdp", "XDP"), ("tc-ingress", "TC ingress")):
        t = results.traffic_of(chain)
        if t:
            lines.append(f"{t['swaps']:,} exchanges of a whole chain of {t['members']} on {name} under {rate(t)} "
                         f"packets a second: {t['lost']} packets lost, {t['mixed']} that met programs of two chains, "
                         f"{t['reordered']} reordered.")
    for chain, name in (("linked", "linked tail calls"), ("tcx-list", "the tcx list")):
        t = results.traffic_of(chain)
        if t and t["sent"]:
            share = 100 * t["mixed"] / t["sent"]
            lines.append(f"With {name}, exchanged slot by slot, {share:.0f} % of the packets met programs of both.")
    usec = results.build_usec(8)
    if usec:
        lines.append(f"To build and verify a chain of 8 takes {usec[2] / 1000:.2f} ms.")
    return "\n".join(map(item, lines))


def readme_text(results, about):
    parts = [BEGIN, ""]
    for part, title in (("xdp", "XDP, ns a packet"), ("tc-hook", "TC ingress, ns a packet")):
        if results.counts(part):
            parts += [readme_table(results, part, title), ""]
    parts += [traffic_sentences(results), "", textwrap.fill(f"Measured on {about}.", width=118), END]
    return "\n".join(parts)


def write_readme(results, about, path):
    """Replaces what was measured the last time. False: there is no place for it."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        return False
    with open(path, "w", encoding="utf-8") as file:
        file.write(before + readme_text(results, about) + after)
    return True
