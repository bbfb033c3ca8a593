# SPDX-License-Identifier: LGPL-2.1-or-later
"""What chains are to cost at most, and what they cost."""


class Goal:
    """One line of the table. `met` is None where nothing was measured."""

    def __init__(self, what, limit, measured="not measured", met=None, peers=""):
        self.what, self.limit, self.measured, self.met, self.peers = what, limit, measured, met, peers

    def verdict(self):
        return "too few to judge" if self.met is None else "met" if self.met else "not met"


def ratio_goal(what, results, cell, most, peers):
    """A ratio to the limit without the harness, which is the harder one to keep; the other is told beside it."""
    part, technique, count = cell
    ratio, whole = results.ratio(*cell, above=True), results.ratio(*cell)
    limit = f"at most {most} times the limit"
    if ratio is None:
        return Goal(what, limit)
    beside = []
    for peer, name in peers:
        other = peer and results.ratio(part, peer, count, above=True)
        if other:
            beside.append(f"{name} {other:.2f}")
    # what the table shows is what is judged
    return Goal(what, limit, f"{ratio:.2f} ({whole:.2f} with the harness)", round(ratio, 2) <= most,
                ", ".join(beside))


def traffic_goal(results, chain, name, peer, peer_name):
    t, other = results.traffic_of(chain), results.traffic_of(peer)
    what, limit = f"swaps of 8 members, {name}", "1000 under 500000 packets/s: 0 lost, 0 mixed, 0 reordered"
    if not t:
        return Goal(what, limit)
    rate = t["packets"] / t["seconds"]
    faults = t["lost"] or t["mixed"] or t["reordered"] or t["wrong"]
    measured = f"{t['swaps']} under {rate:.0f}: {t['lost']}, {t['mixed']}, {t['reordered']}"
    beside = f"{peer_name} {100 * other['mixed'] / max(other['sent'], 1):.0f} % mixed" if other else ""
    # a fault is one at any rate, but to have none is worth nothing at a low one
    met = False if faults else True if t["swaps"] >= 1000 and rate >= 500000 else None
    return Goal(what, limit, measured, met, beside)


def build_goal(results):
    what, limit = "build and verify, 8 members, warm", "at most 1 ms"
    usec = results.build_usec(8)
    if not usec:
        return Goal(what, limit)
    return Goal(what, limit, f"{usec[2] / 1000:.2f} ms", usec[2] <= 1000)


def goals(results):
    xdp = [(results.dispatcher("xdp"), "dispatcher of libxdp"), ("linked", "linked tail calls")]
    tc = [("tcx-list", "tcx list"), ("clsact-list", "clsact filters"), ("linked", "linked tail calls")]
    return [
        ratio_goal("XDP, 8 members, counters off", results, ("xdp", "inlined-off", 8), 1.07, xdp),
        ratio_goal("XDP, 32 members, counters off", results, ("xdp", "inlined-off", 32), 1.12, xdp),
        ratio_goal("XDP, 8 members, counters \"verdicts\"", results, ("xdp", "inlined", 8), 1.15, []),
        ratio_goal("TC ingress, 8 members, counters off", results, ("tc-hook", "inlined-off", 8), 1.1, tc),
        traffic_goal(results, "xdp", "XDP", "linked", "linked tail calls"),
        traffic_goal(results, "tc-ingress", "TC ingress", "tcx-list", "tcx list"),
        build_goal(results),
    ]


def print_goals(results):
    rows = [("", "goal", "measured", "", "beside it")]
    rows += [(g.what, g.limit, g.measured, g.verdict(), g.peers) for g in goals(results) if g.met is not None or
             g.measured != "not measured"]
    if len(rows) == 1:
        return
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    print("== Goals; ratios are to the limit, both without the harness\n")
    for row in rows:
        print("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths)).rstrip())
    print()
