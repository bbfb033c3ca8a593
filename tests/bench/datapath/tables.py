# SPDX-License-Identifier: LGPL-2.1-or-later
"""The tables that "./dev bench datapath" prints."""

from figures import FLOOR, LEAST_NSEC, LEGEND, TITLES


def print_table(title, results, part, get, form="{:.1f}"):
    counts = results.counts(part)
    print(f"{title}\n{'members':<14}" + "".join(f"{n:>9}" for n in counts))
    for technique in results.techniques(part):
        if technique == FLOOR:
            continue
        cells = [get(part, technique, n) for n in counts]
        print(f"{technique:<14}" + "".join(f"{'-' if c is None else form.format(c):>9}" for c in cells))
    print()


def print_part(results, part):
    """Times and ratios, with and without the harness, and their spread."""
    def spread(*cell):
        ends = results.quartiles(*cell, above=True)
        return ends and ends[1] - ends[0]

    first, third = results.quartiles(part, FLOOR, 0)
    print(f"== {TITLES[part]}\n")
    print(f"The harness: {results.median(part, FLOOR, 0):.1f} ns a packet, half of {results.rounds()} rounds within "
          f"{first:.1f} and {third:.1f}\n")
    print_table("ns a packet, harness included: median of the rounds, each the best of a few calls", results, part,
                results.median)
    print_table("ns a packet without the harness", results, part, results.above)
    print_table("spread of these: range of the middle half of the rounds, ns", results, part, spread)
    print_table("times the limit, harness included", results, part, results.ratio, "{:.2f}")
    print_table(f"times the limit, without the harness (from {LEAST_NSEC:.0f} ns up)", results, part,
                lambda *cell: results.ratio(*cell, above=True), "{:.2f}")


def print_code(results, part):
    """What each further member adds to the code."""
    counts = results.counts(part)
    few, many = counts[0], max(n for n in counts if n <= max(8, counts[0]))
    if few == many or not any(p == part for p, _, _ in results.code):
        return
    print(f"code that each further member adds (from {few} to {many})\n{'':<14}{'insns':>9}{'bytes':>9}")
    for technique in results.techniques(part):
        a, b = results.code.get((part, technique, few)), results.code.get((part, technique, many))
        if a and b and technique != "linked":
            print(f"{technique:<14}{(b[0] - a[0]) / (many - few):>9.1f}{(b[1] - a[1]) / (many - few):>9.1f}")
    print()


def print_build(results):
    print("== Building and verifying a chain, members loaded: microseconds, median\n")
    print(f"{'members':<14}" + "".join(f"{n:>9}" for n in sorted(results.build)))
    for row, name in enumerate(("build", "verify", "both")):
        print(f"{name:<14}" + "".join(f"{results.build_usec(n)[row]:>9.0f}" for n in sorted(results.build)))
    print()


def print_traffic(results):
    print("== Exchanging chains under traffic over veth\n")
    print(f"{'chain':<14}{'members':>9}{'swaps':>9}{'swaps/s':>9}{'packets/s':>11}{'packets':>10}{'lost':>6}"
          f"{'mixed':>9}{'reordered':>11}{'wrong':>7}{'wire':>8}")
    for t in results.traffic:
        print(f"{t['chain']:<14}{t['members']:>9}{t['swaps']:>9}{t['swaps'] / t['seconds']:>9.0f}"
              f"{t['packets'] / t['seconds']:>11.0f}{t['sent']:>10}{t['lost']:>6}{t['mixed']:>9}"
              f"{t['reordered']:>11}{t['wrong']:>7}{t['wire']:>8}")
    print("\nlost: sent and never seen again; mixed: met members of two generations; wrong: did not meet all members"
          "\nin their order; wire: dropped by the veth before the chain, for want of CPU time. xdp and tc-ingress are"
          "\nbpfchain's: built, verified, exchanged and pinned each time. linked: tail calls as L3AF has them, and"
          "\ntcx-list: the kernel's list, are exchanged slot by slot.\n")


def print_legend(results):
    print("Techniques")
    present = {t for _, t, _ in results.samples}
    for technique, meaning in LEGEND.items():
        if technique in present:
            print(f"  {technique:<14}{meaning}")
    for note in results.notes:
        print(f"\nNote: {note}")
    if 0 < results.rounds() < 11:
        print(f"\nNote: {results.rounds()} rounds give a rough idea only; 11 or more are for comparing.")
    print()
