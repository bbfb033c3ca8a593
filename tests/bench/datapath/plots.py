# SPDX-License-Identifier: LGPL-2.1-or-later
"""Plots of what chains cost, by gnuplot."""

import os
import shutil
import subprocess

# Lines: technique, title, colour, point, further style. The colours stand out from white and from near black.
CURVES = {
    "xdp": [
        ("DISPATCHER", "dispatcher with calls (libxdp, bpfman)", "#d0504d", 5, ""),
        ("linked", "linked tail calls (L3AF)", "#e0902f", 9, ""),
        ("inlined", "bpfchain", "#2f86d0", 7, "lw 3 ps 0.9"),
        ("inlined-off", "bpfchain, counters off", "#2f86d0", 6, "dt 3 lw 2 ps 0.9"),
        ("limit", "one program, written by hand", "#404040", 2, "dt 2"),
    ],
    "tc-hook": [
        ("clsact-list", "clsact filters", "#a0705f", 11, ""),
        ("tcx-list", "the kernel's tcx list", "#9467bd", 13, ""),
        ("DISPATCHER", "dispatcher with calls (bpfman)", "#d0504d", 5, ""),
        ("linked", "linked tail calls (L3AF)", "#e0902f", 9, ""),
        ("inlined", "bpfchain", "#2f86d0", 7, "lw 3 ps 0.9"),
        ("inlined-off", "bpfchain, counters off", "#2f86d0", 6, "dt 3 lw 2 ps 0.9"),
        ("limit", "one program, written by hand", "#404040", 2, "dt 2"),
    ],
}
TITLES = {"xdp": "XDP", "tc-hook": "TC ingress"}

TERMINALS = {
    "svg": "svg size 1000,540 dynamic enhanced font 'sans-serif,13' background '#ffffff'",
    "png": "pngcairo size 1500,810 font 'sans,14' background '#ffffff'",
}

# For those who look at it on a dark page: gnuplot writes colours as attributes, which a style overrides.
DARK = """<style>
@media (prefers-color-scheme: dark) {
  [fill='#ffffff'] { fill: #0d1117; }
  [fill='black'] { fill: #e6edf3; }
  [color='black'] { color: #e6edf3; }
  [stroke='black'] { stroke: #9aa4ae; }
  [color='rgb( 64,  64,  64)'] { color: #e6edf3; }
  [stroke='rgb( 64,  64,  64)'] { stroke: #e6edf3; }
  [stroke='rgb(208, 208, 208)'] { stroke: #30363d; }
}
</style>
"""


def curves(results, part):
    """The lines that were measured: title, style, points."""
    found = []
    for technique, title, colour, point, style in CURVES[part]:
        name = results.dispatcher(part) if technique == "DISPATCHER" else technique
        points = [(n, results.above(part, name, n)) for n in results.counts(part)]
        # near nothing, a difference of two times may be anything
        points = [(n, nsec) for n, nsec in points if nsec is not None and nsec >= 0.5]
        if points:
            found.append((title, f'lc rgb "{colour}" pt {point} {style}', points))
    return found


def plot_script(results, parts, terminal, output):
    tops = [nsec for part in parts for _, _, points in curves(results, part) for _, nsec in points]
    lines = [f"set terminal {terminal}", f"set output '{output}'", f"set multiplot layout 1,{len(parts)}",
             "set logscale x 2", "set logscale y 10", "set grid ytics lt 1 lw 1 lc rgb '#d0d0d0'",
             "set key left top reverse Left samplen 3 spacing 0.95", "set xlabel 'programs in the chain'", "set border 3",
             "set tics nomirror", "set pointsize 0.8", "set format y '%g'", f"set yrange [1:{max(tops) * 15:.0f}]"]
    for part in parts:
        counts = results.counts(part)
        drawn = curves(results, part)
        lines += [f"set title '{TITLES[part]}: ns a packet, without the harness'",
                  "set xtics (" + ", ".join(str(n) for n in counts if n & (n - 1) == 0) + ")",
                  f"set xrange [{counts[0] * 0.93}:{counts[-1] * 1.1}]",
                  "plot " + ", ".join(f"'-' using 1:2 with linespoints {style} title \"{title}\""
                                      for title, style, _ in drawn)]
        for _, _, points in drawn:
            lines += [f"{n} {nsec:.2f}" for n, nsec in points] + ["e"]
    return "\n".join(lines + ["unset multiplot", ""])


def finish_svg(path):
    """The licence, behind the line that says that it is XML, and the colours for dark pages."""
    with open(path, encoding="utf-8") as file:
        head, rest = file.read().split("\n", 1)
    before, opening, body = rest.partition("<svg")
    attributes, end, body = body.partition(">")
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{head}\n<!-- SPDX-License-Identifier: LGPL-2.1-or-later -->\n"
                   f"{before}{opening}{attributes}{end}\n{DARK}{body}")


def write_plots(results, folder):
    """Returns what was written."""
    parts = [part for part in CURVES if len(results.counts(part)) > 1 and curves(results, part)]
    if not parts:
        return []
    if not shutil.which("gnuplot"):
        print("No plot: gnuplot is not installed. \"sudo ./dev deps bench\" installs it.")
        return []
    written = []
    for suffix, terminal in TERMINALS.items():
        path = os.path.join(folder, f"bench-datapath.{suffix}")
        done = subprocess.run(["gnuplot"], input=plot_script(results, parts, terminal, path), text=True, check=False)
        if done.returncode != 0:
            print(f"No plot: gnuplot can't make {suffix}.")
            continue
        if suffix == "svg":
            finish_svg(path)
        written.append(path)
    return written
