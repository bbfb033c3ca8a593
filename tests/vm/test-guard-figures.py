#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The guard at full speed: acts that come faster than they can be told are all counted, nobody waits for it, two
parties that want the same hook come to rest; and what it costs. Emulated, times are for comparison only."""

import statistics
import subprocess
import time

from guard_lab import FOE, Arena, cpu_seconds, say
from vm_lab import case, eventually, main_pid, run_cases

FLOOD = 10000


def median_latency(arena, act, wanted, count=30):
    """From the act to the signal, milliseconds; median and worst."""
    latencies = []
    for _ in range(count):
        arena.bus.take_signals(0)
        done = act()
        started = int(done.output.split()[0])
        signal = arena.bus.wait_signal("Event", lambda s, d=done: wanted(s.body[0], d), timeout=10)
        latencies.append((time.clock_gettime_ns(time.CLOCK_BOOTTIME) - started) / 1e6)
        assert signal, f"no signal for {done}"
    return f"median {statistics.median(latencies):.1f} ms, worst {max(latencies):.1f} ms of {count}"


@case
def ten_thousand_acts_are_counted():
    with Arena(mode="enforce") as arena:
        map_id, before = arena.map_id(), arena.get_all()
        pid, used = main_pid(), cpu_seconds(main_pid())
        slowest = 0
        with subprocess.Popen([FOE, "flood", str(FLOOD), "map-open", str(map_id), "write"], stdout=subprocess.PIPE,
                              text=True) as flood:
            while flood.poll() is None:
                started = time.monotonic()
                arena.get_all()
                slowest = max(slowest, time.monotonic() - started)
                time.sleep(0.05)
            seconds = int(flood.stdout.read().split()[1]) / 1e9
        refused = arena.get("Counters")["objects"]["refused"] - before["Counters"]["objects"]["refused"]
        assert refused == FLOOD, f"{refused} of {FLOOD} were counted"

        def all_told():
            now = arena.get_all()
            told = sum(e["count"] for e in arena.events() if e["what"] == "open-object" and
                       e["who"].get("pid") == flood.pid)
            return told + now["Missed"] - before["Missed"] >= FLOOD and (told, now["Missed"] - before["Missed"])
        told, missed = eventually(all_told)
        assert told + missed == FLOOD, f"{told} told and {missed} missed of {FLOOD}"
        print(f"# {FLOOD} refused in {seconds:.2f} s; {told} told, {missed} missed; slowest answer of the service "
              f"meanwhile {slowest * 1e3:.0f} ms; it used {cpu_seconds(pid) - used:.2f} s of CPU")
        # It still sees what matters.
        mark = arena.mark()
        done = arena.foe("link-detach", arena.identity()[0])
        assert done.status != 0, str(done)
        arena.wait_event(mark, lambda e: e["verdict"] == "refused" and e["who"].get("pid") == done.pid, str(done))


@case
def how_soon_an_act_is_told():
    with Arena(mode="observe") as arena:
        arena.get_all()  # connects
        map_id = arena.map_id()
        print("# observe: " + median_latency(
            arena, lambda: arena.foe("map-open", map_id, "write"),
            lambda e, d: e["verdict"] == "would-refuse" and e["who"].get("pid") == d.pid))
        arena.configure(mode="off")
        print("# off: " + median_latency(
            arena, lambda: (arena.whole(), arena.foe("link-detach", arena.identity()[0]))[1],
            lambda e, d: e["what"] == "detached", count=10))


@case
def what_an_unrelated_call_costs():
    """A look-up in a map of one's own, by bpf(2)."""
    def cost(arena):
        times = [int(arena.foe("cost", 20000).output.split()[1]) / 20000 for _ in range(5)]
        return statistics.median(times)
    with Arena(mode="off") as arena:
        off = cost(arena)
        figures = []
        for mode in ("observe", "enforce"):
            arena.configure(mode=mode)
            figures.append(f"{mode} {cost(arena) - off:+.0f} ns")
        arena.configure(mode="off")
        print(f"# a call takes {off:.0f} ns without the guard, then {cost(arena):.0f}; {', '.join(figures)}")


@case
def who_wants_the_first_place_as_much_as_we_do():
    """Another party that puts itself before ours whenever it finds itself behind: as often as the settings say it is
    overtaken, then the chain is in conflict, which says with whom and costs nothing."""
    with Arena("tc-ingress", restore="limited", **{"restore-limit": 3, "restore-window": "1min",
                                                   "restore-backoff": "1min"}) as arena:
        pid, index = main_pid(), arena.ifindex()
        started, used = time.monotonic(), cpu_seconds(pid)
        script = (f"while :; do {FOE} tcx-attach {index} {arena.foe_tc} first || "
                  f"{FOE} tcx-detach {index} {arena.foe_tc_id}; sleep 0.1; done >/dev/null 2>&1")
        with subprocess.Popen(["sh", "-c", script]) as other:
            try:
                chain = eventually(lambda: arena.chain()["State"] == "conflict" and arena.chain(), timeout=40,
                                   interval=0.1)
                print(f"# after {time.monotonic() - started:.1f} s: {chain['Reason']}")
                fought = cpu_seconds(pid)
                time.sleep(3)
                goes_on = cpu_seconds(pid)
            finally:
                other.kill()
        assert "program" in chain["Reason"] and "foe_tc" in str(chain), chain
        told = [event for event in arena.events() if event["what"] == "preceded"]
        assert 3 <= sum(event["count"] for event in told) < 200 and len(told) < 64, [say(event) for event in told]
        assert told[0]["who"].get("executable") == FOE, say(told[0])
        time.sleep(0.5)
        rest = cpu_seconds(pid)
        time.sleep(2)
        idle = cpu_seconds(pid) - rest
        print(f"# {fought - used:.2f} s of CPU until then, {goes_on - fought:.2f} s in the next 3 s while the other "
              f"goes on, {idle:.3f} s in 2 s of peace; {len(told)} events")
        assert idle < 0.2, f"{idle:.2f} s of CPU in 2 s of peace"


run_cases()
