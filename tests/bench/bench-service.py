#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Figures of the service as a whole, for "./dev bench": memory, wake-ups when nothing happens, the time of a change,
the time of a start. Nothing here passes or fails.

Environment: BPFCHAIN_BENCH_SECONDS, how long to look at an idle service (60); BPFCHAIN_BENCH_ROUNDS, how often each
time is taken (41).
"""

import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "harness"))


from bpfchain_test import require_built, require_root  # noqa: E402
from service_lab import ServiceLab, dbus_wire, order_program, verdict_program  # noqa: E402

SECONDS = float(os.environ.get("BPFCHAIN_BENCH_SECONDS", "60"))
ROUNDS = max(int(os.environ.get("BPFCHAIN_BENCH_ROUNDS", "41")), 3)
STARTS = 15
MANAGER = ("/org/bpfchain1", "org.bpfchain1.Manager")


def title(text):
    print(f"\n{text}")


def table(rows):
    """Rows of (what, unit, values): median, quartiles, least and most."""
    width = max(len(what) for what, _, _ in rows)
    print(f"  {'':{width}}  {'median':>9} {'quartiles':>19} {'least':>9} {'most':>9}")
    for what, unit, values in rows:
        low, middle, high = statistics.quantiles(values, n=4)
        print(f"  {what:{width}}  {middle:9.2f} {low:9.2f} {high:9.2f} {min(values):9.2f} {max(values):9.2f} {unit}")


def memory(lab):
    return {name: int(size) / 1024 for name, size in re.findall(r"^(VmRSS|RssAnon|RssFile):\s*(\d+) kB",
                                                                lab.proc("status"), re.M)}


def bench_memory():
    title("Memory of the service, 8 chains of 4 programs (the aim: below 12 MiB resident)")
    with ServiceLab(wires=8) as lab:
        lab.start()
        rows = [("no chain", memory(lab))]
        document = {"programs": {}, "chains": []}
        for i in range(8):
            names = [f"c{i}-{j}" for j in range(4)]
            document["programs"] |= {name: verdict_program("xdp") for name in names}
            document["chains"].append({"interfaces": [f"eth{i}"], "hook": "xdp", "programs": names})
        lab.apply("edge", document)
        rows.append(("8 chains, just made", memory(lab)))
        for _ in range(20):
            lab.client("order", "eth0", "xdp", "c0-3", "c0-2", "c0-1", "c0-0")
            lab.client("order", "eth0", "xdp", "c0-0", "c0-1", "c0-2", "c0-3")
        lab.status()
        rows.append(("8 chains, 40 changes later", memory(lab)))
        lab.restart()
        lab.status()
        rows.append(("8 chains, adopted by a restart", memory(lab)))
        for what, figures in rows:
            print(f"  {what:32} {figures['VmRSS']:6.2f} MiB resident, of which {figures['RssAnon']:5.2f} its own, "
                  f"{figures['RssFile']:5.2f} code and libraries")
        bench_idle(lab)


def switches(lab):
    return sum(map(int, re.findall(r"ctxt_switches:\s*(\d+)", lab.proc("status"))))


def bench_idle(lab):
    title(f"System calls and wake-ups of an idle service with 8 chains, in {SECONDS:g} s (the aim: none)")
    time.sleep(1)
    before = switches(lab)
    time.sleep(min(SECONDS, 5))
    print(f"  without strace: {switches(lab) - before} context switches in {min(SECONDS, 5):g} s")
    if not shutil.which("strace"):
        print("  strace is not installed.")
        return
    with subprocess.Popen(["strace", "-f", "-c", "-q", "-p", str(lab.daemon.pid)], stderr=subprocess.PIPE,
                          text=True) as strace:
        time.sleep(SECONDS)
        strace.send_signal(signal.SIGINT)
        _, text = strace.communicate()
    calls = [line for line in text.splitlines() if re.match(r"\s*\d", line)]
    print("  strace -c: " + ("no system call" if not calls else "\n" + "\n".join(f"    {line}" for line in calls)))


NAMES = [f"p{i}" for i in range(8)]


def chain_of_8(small, turned=False, generation=0):
    """Eight programs that each bump a counter, or that each parse the packet and write to it."""
    programs = {name: verdict_program("xdp") if small else order_program(i, generation=0 if i else generation)
                for i, name in enumerate(NAMES)}
    return json.dumps({"programs": programs, "chains": [
        {"interfaces": ["eth0"], "hook": "xdp", "programs": NAMES[::-1] if turned else NAMES}]})


def cpu_time(lab):
    """Of the service, in ms: what a busy machine does not stretch."""
    return int(lab.proc("schedstat").split()[0]) / 1e6


def measure_applies(lab, documents):
    """Applies them in turn; the time outside and what the report says."""
    bus = lab.bus()
    rows = {"link update, with its pins": [], "everything else in the service": [], "  of it prepare": [],
            "  of it the kernel's verifier": [], "the service in all": [], "  of it on a CPU": [],
            "Apply, as the caller sees it": []}
    for number, document in enumerate(documents):
        on_cpu, started = cpu_time(lab), time.monotonic()
        _, report = bus.call(*MANAGER, "Apply", "ssa{sv}", "edge", document, {})
        outside = (time.monotonic() - started) * 1e3
        on_cpu = cpu_time(lab) - on_cpu
        report = json.loads(report)
        (chain,) = report["chains"]
        assert chain["change"] == "replaced" or number < 3, chain
        if number < 3:  # warm
            continue
        total, swap = report["total-usec"] / 1e3, chain["swap-usec"] / 1e3
        for name, value in zip(rows, (swap, total - swap, report["prepare-usec"] / 1e3, chain["verify-usec"] / 1e3,
                                      total, on_cpu, outside)):
            rows[name].append(value)
    table([(name, "ms", values) for name, values in rows.items()])


def bench_apply():
    with ServiceLab() as lab:
        lab.start()
        for what, small in (("small programs", True), ("programs that parse and write packets", False)):
            title(f"A chain of 8 {what} gets another order, {ROUNDS} times"
                  + " (the aim: all but the link update below 5 ms)" * small)
            measure_applies(lab, [chain_of_8(small, turned=i % 2) for i in range(ROUNDS + 3)])
        title(f"One of these 8 gets another global, so is loaded anew, {ROUNDS} times")
        measure_applies(lab, [chain_of_8(False, generation=i % 200 + 1) for i in range(ROUNDS + 3)])
        title(f"Another order by Chain.SetOrder, {ROUNDS} times")
        bus, values = lab.bus(), []
        for i in range(ROUNDS):
            started = time.monotonic()
            bus.call("/org/bpfchain1/chain/eth0/xdp", "org.bpfchain1.Chain", "SetOrder", "asa{sv}",
                     NAMES if i % 2 else NAMES[::-1], {})
            values.append((time.monotonic() - started) * 1e3)
        table([("SetOrder, as the caller sees it", "ms", values)])


def bench_start():
    title(f"Start to READY with 64 chains pinned and unchanged, {STARTS} times (the aim: below 200 ms)")
    with ServiceLab() as lab:
        names = [f"w{i}" for i in range(64)]
        lab.inner.ip_batch([f"link add {name} type veth peer name p-{name}" for name in names])
        lab.document("edge", {"programs": {n: verdict_program("xdp") for n in "abcd"},
                              "chains": [{"interfaces": ["w*"], "hook": "xdp", "programs": list("abcd")}]})
        lab.start()
        ids = lab.all_ids()
        assert len(ids) == 64, "the chains are not there"
        outside, inside = [], []
        for _ in range(STARTS):
            lab.daemon.kill()
            started = time.monotonic()
            lab.daemon.start()
            outside.append((time.monotonic() - started) * 1e3)
            said = re.findall(r"is ready after ([\d.]+) ms", lab.log_text)
            inside.append(float(said[-1]))
            assert lab.all_ids() == ids, "the chains are other ones"
        table([("from the start of the process", "ms", outside), ("as the service says", "ms", inside)])


def main():
    require_root()
    require_built()
    print(f"bpfchaind on Linux {os.uname().release}, {os.cpu_count()} CPUs, {os.getloadavg()[0]:.1f} of load")
    try:
        bench_apply()
        bench_start()
        bench_memory()
    except dbus_wire.Error as error:
        sys.exit(f"The service refused: {error}")


if __name__ == "__main__":
    main()
