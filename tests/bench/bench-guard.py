#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""How soon the guard tells of what others do, for "./dev bench": from the act to the signal, at the other end of a
private connection, with what is known of who did it. Nothing here passes or fails.

Environment: BPFCHAIN_BENCH_ROUNDS, how often each act is done (21).
"""

import os
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "harness"))

from bpfchain_test import BUILD, eventually, find_object, require_built, require_root  # noqa: E402
from service_lab import ServiceLab, verdict_program  # noqa: E402

ACT = os.path.join(BUILD, "tests", "netns", "guard-act")
ROUNDS = max(int(os.environ.get("BPFCHAIN_BENCH_ROUNDS", "21")), 3)
INTERVAL = 1.0
SETTINGS = {"guard": {"check-interval": f"{INTERVAL:g}s", "restore": "always"}}
DOCUMENT = {"programs": {"a": verdict_program("xdp"), "b": verdict_program("tc-ingress")},
            "chains": [{"interfaces": ["eth0"], "hook": "xdp", "programs": ["a"]},
                       {"interfaces": ["eth0"], "hook": "tc-ingress", "programs": ["b"]}]}


def boot_ns():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def event_of(signal):
    return signal.body[0]


class Bench:
    def __init__(self, lab):
        self.lab, self.bus = lab, lab.bus()
        self.foreign = os.path.join(os.path.dirname(lab.bpffs), "foreign")
        self.ifindex = lab.inner.link("eth0")["ifindex"]
        self.bus.get("/org/bpfchain1/guard", "org.bpfchain1.Guard", "Mode")

    def load(self, kind):
        if os.path.exists(self.foreign):
            os.unlink(self.foreign)
        self.lab.inner.run("bpftool", "prog", "load", find_object("verdict-v2.bpf.o"), self.foreign, "type", kind)

    def act(self, *arguments):
        """(when, pid) of a raw act that ends at once"""
        return tuple(map(int, self.lab.inner.run(ACT, *map(str, arguments)).stdout.split()))

    def wait(self, what, started, timeout=10, pid=None):
        """Milliseconds from then to the signal, and whether it names a process."""
        def is_it(signal):
            event = event_of(signal)
            return event["what"] == what and pid in (None, event["who"].get("pid"))

        signal = self.bus.wait_signal("Event", is_it, timeout)
        if not signal:
            return None
        return (boot_ns() - started) / 1e6, "pid" in event_of(signal)["who"]

    def settled(self):
        eventually(lambda: all(chain["state"] == "active" for chain in self.lab.chains().values()))
        time.sleep(2.2)  # like events within a second are one, and chains are looked at for two seconds after one
        self.bus.take_signals(0.05)

    def load_alone(self):
        started, pid = self.act("load", 1)
        return self.wait("program-loaded", started, pid=pid)

    def replace(self):
        self.load("xdp")
        return self.wait("replaced", self.act("update", self.lab.ids()[0], self.foreign)[0])

    def precede(self):
        self.load("classifier")
        started = self.act("before-program", self.ifindex, self.foreign)[0]
        result = self.wait("preceded", started)
        self.act("remove-program", self.ifindex, self.foreign)
        return result

    def detach(self):
        return self.wait("detached", self.act("detach", self.lab.ids()[0])[0])

    def unpin(self):
        path = os.path.join(self.lab.bpffs, "links", f"if{self.ifindex}-xdp")
        started = boot_ns()
        os.unlink(path)
        return self.wait("unpinned", started)

    def filter(self):
        self.lab.inner.run("tc", "qdisc", "add", "dev", "eth0", "clsact")
        self.settled()
        with self.lab.inner.popen(["tc", "qdisc", "del", "dev", "eth0", "clsact"]) as process:
            started = boot_ns()
            process.wait()
        return self.wait("qdisc-deleted", started)


def main():
    require_root()
    require_built()
    require_built(ACT)
    print(f"bpfchaind on Linux {os.uname().release}, {os.cpu_count()} CPUs, {os.getloadavg()[0]:.1f} of load")
    print(f"From the act to the signal, in ms, {ROUNDS} times each (aims: median 5, worst 50)")
    with ServiceLab() as lab:
        lab.write("etc/bpfchain/bpfchain.json", SETTINGS)
        lab.document("edge", DOCUMENT)
        lab.start()
        bench = Bench(lab)
        rows = (("a program is loaded", bench.load_alone),
                ("another program into our link, just loaded", bench.replace),
                ("a program before ours on tcx, just loaded", bench.precede),
                (f"our link detached by force (interval {INTERVAL:g} s)", bench.detach),
                ("a pin removed", bench.unpin),
                ("clsact deleted (start of tc(8) included)", bench.filter))
        for what, act in rows:
            taken, named = [], 0
            for _ in range(ROUNDS):
                bench.settled()
                result = act()
                if result:
                    taken.append(result[0])
                    named += result[1]
            if not taken:
                print(f"  {what:48}  was not told")
                continue
            print(f"  {what:48}  median {statistics.median(taken):8.2f}  worst {max(taken):8.2f}  "
                  f"told {len(taken)}/{ROUNDS}  with a process {named}", flush=True)


if __name__ == "__main__":
    try:
        main()
    except subprocess.TimeoutExpired as error:
        sys.exit(str(error))
