# SPDX-License-Identifier: LGPL-2.1-or-later
"""What tests/bench/datapath/bench-datapath measured, gathered."""

import json
import os
import platform
import statistics

# What limit.bpf.c and dispatcher.bpf.c have chains of.
COUNTS = [1, 2, 4, 8, 10, 16, 32, 64]
PARTS = ["xdp", "tc", "tc-hook", "build", "traffic"]
TIMED_PARTS = ["xdp", "tc", "tc-hook"]

# What is compared with the others, and what is taken off for being no part of a chain.
LIMIT = "limit"
FLOOR = "empty"

# Shorter times are not compared: they are about as long as their spread.
LEAST_NSEC = 3.0

TITLES = {
    "xdp": "XDP, run by BPF_PROG_TEST_RUN",
    "tc": "TC, run by BPF_PROG_TEST_RUN",
    "tc-hook": "TC ingress, between both ends of a veth pair",
}

LEGEND = {
    "empty": "one empty program instead of the chain: what is no part of it, the harness",
    "limit": "all members in one program, by the compiler: the limit",
    "inlined-off": "bpfchain, counters off, members inlined",
    "inlined": "bpfchain by default: counters \"verdicts\", members inlined",
    "inlined-all": "bpfchain, counters \"all\", members inlined",
    "global": "bpfchain, counters off, members called as global functions",
    "static": "bpfchain, counters off, members called as static functions",
    "slot": "bpfchain, counters off, members in slots, 33 at most",
    "libxdp": "libxdp's own dispatcher with members put in by freplace, ten at most",
    "libxdp-empty": "libxdp's own dispatcher with nothing in it: what its calls cost",
    "freplace": "a dispatcher like libxdp's and bpfman's with members put in by freplace",
    "dispatcher": "the same with functions that were compiled into it",
    "linked": "tail calls from member to member, as L3AF has them, 33 members at most",
    "linked-clsact": "the same, begun by a clsact filter",
    "tcx-list": "the kernel's list of tcx programs, 63 at most besides the harness",
    "clsact-list": "a clsact filter for each member",
}

# The peers' dispatcher as near to the real thing as this kernel allows.
DISPATCHERS = ["libxdp", "freplace", "dispatcher"]


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
        order = list(LEGEND)
        return sorted({t for p, t, _ in self.samples if p == part}, key=order.index)

    def counts(self, part):
        return sorted({n for p, _, n in self.samples if p == part and n > 0})

    def rounds(self):
        return max((len(values) for values in self.samples.values()), default=0)

    def median(self, part, technique, count):
        values = self.samples.get((part, technique, count))
        return statistics.median(values) if values else None

    def above(self, part, technique, count):
        """Median without what the harness costs."""
        values = self.samples_above.get((part, technique, count))
        return statistics.median(values) if values else None

    def quartiles(self, part, technique, count, above=False):
        values = (self.samples_above if above else self.samples).get((part, technique, count))
        return quartiles(values) if values else None

    def ratio(self, part, technique, count, above=False):
        """How many times the limit, by what the tables show: medians. None where the limit without the harness is so
        little that its spread would decide."""
        get = self.above if above else self.median
        value, limit = get(part, technique, count), get(part, LIMIT, count)
        if value is None or limit is None or limit < LEAST_NSEC:
            return None
        return value / limit

    def dispatcher(self, part):
        """The peers' dispatcher, or None."""
        present = self.techniques(part)
        return next((t for t in DISPATCHERS if t in present), None)

    def build_usec(self, count):
        """Medians: building, verifying, both."""
        times = self.build.get(count)
        if not times:
            return None
        return [statistics.median(pick) for pick in ([b for b, _ in times], [v for _, v in times],
                                                     [b + v for b, v in times])]

    def traffic_of(self, chain):
        return next((t for t in self.traffic if t["chain"] == chain), None)


def quartiles(values):
    if len(values) < 2:
        return values[0], values[0]
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    return first, third


def read_first_line(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.readline().strip()
    except OSError:
        return ""


def machine():
    """The machine in general words: nothing that tells which one it is."""
    model, virtual = platform.machine(), False
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                model = value.strip()
            virtual = virtual or (name.strip() == "flags" and "hypervisor" in value.split())
    version = ".".join(platform.release().split("-")[0].split(".")[:3])
    words = [f"Linux {version}"]
    vulnerabilities = "/sys/devices/system/cpu/vulnerabilities/"
    if "Retpoline" in read_first_line(vulnerabilities + "spectre_v2"):
        words.append("retpolines")
    if "Safe RET" in read_first_line(vulnerabilities + "spec_rstack_overflow"):
        words.append("safe returns")
    kind = "a virtual machine" if virtual else "a machine"
    return f"{kind} with {os.cpu_count()} CPUs ({model}), " + ", ".join(words)
