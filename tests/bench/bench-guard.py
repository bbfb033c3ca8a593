#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the guard's detection is worth and what it costs, for "./dev bench": how soon it tells of what others do (from
the act to the signal, at the other end of a private connection), what it misses when they do it ten thousand times at
full speed, and how often the service wakes when nothing happens. Each figure stands beside what is aimed at; nothing
here passes or fails.

Environment: BPFCHAIN_BENCH_ROUNDS, how often each act is done (21); BPFCHAIN_BENCH_ACTS, acts at full speed (10000);
BPFCHAIN_BENCH_IDLE, seconds of doing nothing (60).
"""

import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "harness"))

from bpfchain_test import BUILD, eventually, find_object, require_built, require_root  # noqa: E402
from service_lab import ServiceLab, verdict_program  # noqa: E402

ACT = os.path.join(BUILD, "tests", "netns", "guard-act")
FLOOD = os.path.join(BUILD, "tests", "netns", "hook-flood")
ROUNDS = max(int(os.environ.get("BPFCHAIN_BENCH_ROUNDS", "21")), 3)
ACTS = max(int(os.environ.get("BPFCHAIN_BENCH_ACTS", "10000")), 100)
IDLE = max(float(os.environ.get("BPFCHAIN_BENCH_IDLE", "60")), 1.0)
INTERVAL = 1.0
SETTINGS = {"guard": {"check-interval": f"{INTERVAL:g}s", "restore": "always"}}
DOCUMENT = {"programs": {"a": verdict_program("xdp"), "b": verdict_program("tc-ingress")},
            "chains": [{"interfaces": ["eth0"], "hook": "xdp", "programs": ["a"]},
                       {"interfaces": ["eth0"], "hook": "tc-ingress", "programs": ["b"]}]}


def boot_ns():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def event_of(signal):
    return signal.body[0]


class Watcher(threading.Thread):
    """Notes when each event arrives, while the process that acts is still being waited for."""

    def __init__(self, lab):
        super().__init__(daemon=True)
        self.bus, self.arrived, self.ending = lab.bus(), [], False
        self.bus.get("/org/bpfchain1/guard", "org.bpfchain1.Guard", "Mode")
        self.start()

    def run(self):
        while not self.ending:
            signal = self.bus.wait_signal("Event", timeout=0.2)
            if signal:
                self.arrived.append((boot_ns(), event_of(signal)))

    def end(self):
        self.ending = True
        self.join()


class Bench:
    def __init__(self, lab):
        self.lab, self.bus, self.watcher = lab, lab.bus(), Watcher(lab)
        self.foreign = os.path.join(os.path.dirname(lab.bpffs), "foreign")
        self.ifindex = lab.inner.link("eth0")["ifindex"]
        self.bus.get("/org/bpfchain1/guard", "org.bpfchain1.Guard", "Mode")

    def load(self, kind):
        if os.path.exists(self.foreign):
            os.unlink(self.foreign)
        self.lab.inner.run("bpftool", "prog", "load", find_object("verdict-v2.bpf.o"), self.foreign, "type", kind)

    def act(self, *arguments):
        """(when, pid, when the kernel was done) of a raw act that ends at once"""
        return tuple(map(int, self.lab.inner.run(ACT, *map(str, arguments)).stdout.split()))

    def wait(self, what, started, timeout=10, pid=None, done=None):
        """Milliseconds from then to the signal, whether it names a process, milliseconds from when it was done."""
        def is_it(event):
            return event["what"] == what and pid in (None, event["who"].get("pid"))

        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            for when, event in self.watcher.arrived:
                if is_it(event):
                    return (when - started) / 1e6, "pid" in event["who"], max(when - (done or started), 0) / 1e6
            time.sleep(0.01)
        return None

    def settled(self):
        eventually(lambda: all(chain["state"] == "active" for chain in self.lab.chains().values()))
        time.sleep(2.2)  # like events within a second are one, and chains are looked at for two seconds after one
        self.bus.take_signals(0.05)
        self.watcher.arrived.clear()

    def load_alone(self):
        started, pid, done = self.act("load", 1)
        return self.wait("program-loaded", started, pid=pid, done=done)

    def replace(self):
        self.load("xdp")
        started, _, done = self.act("update", self.lab.ids()[0], self.foreign)
        return self.wait("replaced", started, done=done)

    def precede(self):
        self.load("classifier")
        started, _, done = self.act("before-program", self.ifindex, self.foreign)
        result = self.wait("preceded", started, done=done)
        self.act("remove-program", self.ifindex, self.foreign)
        return result

    def detach(self):
        started, _, done = self.act("detach", self.lab.ids()[0])
        return self.wait("detached", started, done=done)

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


def print_sources(lab):
    print("Sources on this host:")
    for name, said in lab.client_json("guard", "status")["sources"].items():
        print(f"  {name:15} {said}")


def measure_latency():
    print(f"From the act to the signal, in ms, {ROUNDS} times each (aims: median 5, worst 50)")
    with ServiceLab() as lab:
        lab.write("etc/bpfchain/bpfchain.json", SETTINGS)
        lab.document("edge", DOCUMENT)
        lab.start()
        print_sources(lab)
        bench = Bench(lab)
        rows = (("a program is loaded", bench.load_alone),
                ("another program into our link, just loaded", bench.replace),
                ("a program before ours on tcx, just loaded", bench.precede),
                (f"our link detached by force (interval {INTERVAL:g} s)", bench.detach),
                ("a pin removed", bench.unpin),
                ("clsact deleted (start of tc(8) included)", bench.filter))
        for what, act in rows:
            taken, from_end, named = [], [], 0
            for _ in range(ROUNDS):
                bench.settled()
                result = act()
                if result:
                    taken.append(result[0])
                    named += result[1]
                    from_end.append(result[2])
            if not taken:
                print(f"  {what:48}  was not told")
                continue
            print(f"  {what:48}  median {statistics.median(taken):8.2f}  worst {max(taken):8.2f}  "
                  f"from when the kernel was done: {statistics.median(from_end):7.2f} and {max(from_end):8.2f}  "
                  f"told {len(taken)}/{ROUNDS}  with a process {named}", flush=True)
        bench.watcher.end()


COUNTERS = ("Events", "Loads", "Unloads", "Dropped", "Missed")


class Flood:
    """Acts at full speed, and what the guard's counters and events say of them."""

    def __init__(self, lab):
        self.lab, self.bus = lab, lab.bus()

    def counters(self):
        return {name: self.bus.get("/org/bpfchain1/guard", "org.bpfchain1.Guard", name) for name in COUNTERS}

    def told(self, pid):
        """Acts that events stand for which name the process."""
        return sum(event.get("count", 1) for event in self.lab.client_json("guard", "log", "--limit", "1000")
                   if event["who"].get("pid") == pid)

    def run(self, what, *arguments):
        before = self.counters()
        with self.lab.inner.popen([FLOOD, *map(str, arguments)], stdout=subprocess.PIPE, text=True) as process:
            done, nsec = map(int, process.stdout.read().split())
        while True:  # until nothing more comes
            now = self.counters()
            time.sleep(1)
            if now == self.counters():
                break
        rose = {name: now[name] - before[name] for name in COUNTERS}
        print(f"  {what:34}  {done:6} at {done / nsec * 1e9:7.0f}/s  told of it {self.told(process.pid):6}  "
              + "  ".join(f"{name.lower()} {rose[name]}" for name in COUNTERS), flush=True)


def measure_floods():
    print(f"{ACTS} acts at full speed (aim: none missed; told together with others, or no longer kept: dropped)")
    settings = {"guard": {"check-interval": f"{INTERVAL:g}s", "restore": "never"}}
    with ServiceLab(wires=2) as lab:
        lab.write("etc/bpfchain/bpfchain.json", settings)
        lab.document("edge", DOCUMENT)
        lab.start()
        flood = Flood(lab)
        ifindex = lab.inner.link("eth0")["ifindex"]
        flood.run("programs loaded", "load", ACTS)
        flood.run("links and programs on tcx", "tcx", ifindex, ACTS)
        flood.run("XDP of an interface without chains", "xdp", lab.inner.link("eth1")["ifindex"], ACTS)


def count_calls(pid, seconds):
    """System calls of a process, by name."""
    with tempfile.NamedTemporaryFile("r") as output:
        with subprocess.Popen(["strace", "-f", "-qq", "-o", output.name, "-p", str(pid)]) as tracer:
            time.sleep(seconds)
            tracer.send_signal(signal.SIGINT)
        calls = {}
        for line in output:
            name = line.split(None, 1)[-1].split("(")[0].strip()
            if name.isidentifier():
                calls[name] = calls.get(name, 0) + 1
    return calls


def switches(pid):
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/status", encoding="ascii") as file:
            total += sum(int(line.split()[1]) for line in file if "ctxt_switches" in line)
    return total


def measure_idle():
    print(f"{IDLE:g} s of doing nothing with two chains (aim: no wake-ups but of the interval where links need one)")
    for what, guard in (("without detection", {"watch": False}),
                        ("detection, interval of 10 s", {"check-interval": "10s"}),
                        ("detection, no interval", {"check-interval": 0})):
        with ServiceLab() as lab:
            lab.write("etc/bpfchain/bpfchain.json", {"guard": guard})
            lab.document("edge", DOCUMENT)
            lab.start()
            time.sleep(3)  # looks follow the start for a while
            loads, pid = Flood(lab).counters(), lab.daemon.pid
            time.sleep(0.5)
            before = switches(pid)
            time.sleep(IDLE)
            woken = switches(pid) - before
            calls = count_calls(pid, IDLE) if shutil.which("strace") else None
            others = Flood(lab).counters()["Loads"] - loads["Loads"]
            print(f"  {what:28}  context switches {woken:5}  system calls "
                  + ("not counted, strace(1) is not there" if calls is None
                     else f"{sum(calls.values()):5} ({', '.join(f'{n} {c}' for n, c in sorted(calls.items()))})")
                  + f"  programs that others loaded meanwhile {others}", flush=True)


PARTS = {"latency": measure_latency, "floods": measure_floods, "idle": measure_idle}


def main():
    parts = sys.argv[1:] or list(PARTS)
    if not set(parts) <= set(PARTS):
        sys.exit(f"usage: bench-guard.py [{'] ['.join(PARTS)}]")
    require_root()
    require_built()
    require_built(ACT, FLOOD)
    print(f"bpfchaind on Linux {os.uname().release}, {os.cpu_count()} CPUs, {os.getloadavg()[0]:.1f} of load")
    for part in parts:
        PARTS[part]()


if __name__ == "__main__":
    try:
        main()
    except subprocess.TimeoutExpired as error:
        sys.exit(str(error))
