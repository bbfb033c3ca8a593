#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What chains count, at each level, by exact figures of packets and bytes; and that nothing is miscounted while
levels change, programs come and go, and services die, under full traffic."""

import contextlib
import ctypes
import itertools
import json
import os
import random

from bpfchain_test import Skip, case, eventually, run_cases, use_own_mounts
from service_lab import ServiceLab, order_program, tc, verdict_program

MANAGER = ("/org/bpfchain1", "org.bpfchain1.Manager")
DENIED = "203.0.113.9"
SMALL, LARGE = 18, 1400  # bytes of a packet's payload
HEADERS = 14 + 20 + 8
FIGURES = {"packets", "bytes", "verdicts", "ended", "ended-bytes", "endings"}


class CounterLab(ServiceLab):
    OBJECTS = [*ServiceLab.OBJECTS, "denylist.bpf.o", "frags.bpf.o"]

    def apply_quickly(self, name, document):
        """By the bus, without a client's start."""
        if not hasattr(self, "connection"):
            self.connection = self.bus()
        return self.connection.call(*MANAGER, "Apply", "ssa{sv}", name, json.dumps(document), {})

    def send_both(self, sender_small, sender_large, receiver):
        """30 small packets, 20 large ones, and 7 small ones that are dropped."""
        sender_small.send(30)
        sender_large.send(20)
        sender_small.send(7, source=DENIED)
        assert len(receiver.take(50)) == 50


PASSED, DROPPED = (50, 30 * (HEADERS + SMALL) + 20 * (HEADERS + LARGE)), (7, 7 * (HEADERS + SMALL))
ALL = tuple(map(sum, zip(PASSED, DROPPED)))


def edge(level=None):
    """A chain that drops what comes from one address, on XDP; on TC behind it, all of the rest ends."""
    counters = {"counters": level} if level else {}
    return {
        "programs": {
            "deny": {"object": "denylist.bpf.o",
                     "maps": {"denied_v4": [{"key": {"prefixlen": 32, "addr": DENIED}, "value": 1}]}},
            "first": verdict_program("xdp"), "last": verdict_program("xdp"),
            "in": verdict_program("tc-ingress"), "ok": verdict_program("tc-ingress", tc("ok"))},
        "chains": [{"interfaces": ["eth0"], "hook": "xdp", "programs": ["first", "deny", "last"], **counters},
                   {"interfaces": ["eth0"], "hook": "tc-ingress", "programs": ["in", "ok"], **counters}]}


def figures(chain):
    return {slot["program"]: {name: value for name, value in slot.items() if name in FIGURES}
            for slot in chain["slots"]}


def ended(count, size, verdict):
    return {"ended": count, "ended-bytes": size, "endings": {verdict: count} if count else {}}


def saw(count, size, **verdicts):
    return {"packets": count, "bytes": size, "verdicts": verdicts}


def check_levels(lab):
    """What both chains say at each level, after the packets of send_both()."""
    tools = lab.sender(size=SMALL), lab.sender(size=LARGE), lab.receiver()

    lab.apply("edge", edge())
    lab.send_both(*tools)
    chain = lab.chain()
    assert (chain["counters"], chain["packets"], chain["bytes"]) == ("verdicts", *ALL), chain
    assert figures(chain) == {"first": ended(0, 0, "pass"), "deny": ended(*DROPPED, "drop"),
                              "last": ended(*PASSED, "pass")}, chain
    chain = lab.chain("eth0", "tc-ingress")
    assert (chain["counters"], chain["packets"], chain["bytes"]) == ("verdicts", *PASSED), chain
    assert figures(chain) == {"in": ended(0, 0, "next"), "ok": ended(*PASSED, "ok")}, chain

    lab.client("withdraw", "edge")
    lab.apply("edge", edge("all"))
    lab.send_both(*tools)
    chain = lab.chain()
    assert (chain["counters"], chain["packets"], chain["bytes"]) == ("all", *ALL), chain
    passed, dropped = PASSED[0], DROPPED[0]
    assert figures(chain) == {
        "first": ended(0, 0, "pass") | saw(*ALL, **{"pass": passed + dropped}),
        "deny": ended(*DROPPED, "drop") | saw(*ALL, drop=dropped, **{"pass": passed}),
        "last": ended(*PASSED, "pass") | saw(*PASSED, **{"pass": passed})}, chain
    chain = lab.chain("eth0", "tc-ingress")
    assert figures(chain) == {"in": ended(0, 0, "next") | saw(*PASSED, next=passed),
                              "ok": ended(*PASSED, "ok") | saw(*PASSED, ok=passed)}, chain
    programs = {program["name"]: program for program in lab.client_json("programs")}
    assert programs["deny"]["packets"] == ALL[0] and programs["deny"]["ended"] == dropped, programs["deny"]

    lab.client("withdraw", "edge")
    lab.apply("edge", edge("off"))
    lab.send_both(*tools)
    for hook in ("xdp", "tc-ingress"):
        chain = lab.chain("eth0", hook)
        assert (chain["counters"], chain["packets"], chain["bytes"]) == ("off", 0, 0), chain
        assert not any(figures(chain).values()), chain
        assert chain["state"] == "active" and not chain["reason"]


@case
def each_level_by_exact_counts():
    with CounterLab() as lab:
        lab.start()
        check_levels(lab)


@case
def each_level_on_clsact():
    with CounterLab() as lab:
        lab.write("etc/bpfchain/bpfchain.json", {"tc-attach": "clsact"})
        lab.start()
        check_levels(lab)
        assert lab.chain("eth0", "tc-ingress")["mode"] == "clsact"


@case
def packets_in_several_buffers():
    """Where all programs take them, what is in all buffers counts."""
    with CounterLab() as lab:
        lab.inner.ip("link", "set", lab.wire.inner_name, "mtu", "9000")
        lab.outer.ip("link", "set", lab.wire.outer_name, "mtu", "9000")
        lab.start()
        receiver, sender = lab.receiver(), lab.sender(size=8000)
        for level in ("verdicts", "all"):
            lab.apply("edge", {"programs": {"f": {"object": "frags.bpf.o"}},
                               "chains": [{"interfaces": ["eth0"], "hook": "xdp", "mode": "native", "programs": ["f"],
                                           "counters": level}]})
            lab.receive_exactly(sender, receiver, 10)
            chain = lab.chain()
            assert chain["bytes"] == chain["slots"][0]["ended-bytes"] == chain["packets"] * (HEADERS + 8000), chain
        assert chain["packets"] == 20 and chain["slots"][0]["bytes"] == 10 * (HEADERS + 8000), chain


@case
def figures_go_on_from_level_to_level():
    with CounterLab() as lab:
        lab.start()
        sender, receiver = lab.sender(), lab.receiver()
        counted, seen = 0, 0
        lab.apply("edge", edge("verdicts"))
        link = lab.chain()["link-id"]
        for level in ("off", "all", "off", "verdicts", "all", "verdicts", "off", "verdicts", "all"):
            report = json.loads(lab.apply_quickly("edge", edge(level))[1])
            changed = {chain["hook"]: (chain["change"], chain["counters"]) for chain in report["chains"]}
            assert changed == {"xdp": ("replaced", level), "tc-ingress": ("replaced", level)}, report
            lab.receive_exactly(sender, receiver, 10)
            chain = lab.chain()
            counted += 10 * (level != "off")
            seen += 10 * (level == "all")
            slot = chain["slots"][2]
            assert chain["packets"] == (counted if level != "off" else 0), (level, chain)
            assert slot.get("ended") == (counted if level != "off" else None), (level, slot)
            assert slot.get("packets") == (seen if level == "all" else None), (level, slot)
            # Once more the same changes nothing.
            program = chain["program-id"]
            lab.apply("edge", edge(level))
            assert lab.chain()["program-id"] == program
        assert lab.chain()["link-id"] == link


@case
def a_service_that_died_takes_up_each_level():
    with CounterLab() as lab:
        lab.start()
        sender, receiver = lab.sender(), lab.receiver()
        total = 0
        for level in ("verdicts", "all", "off"):
            lab.apply("edge", edge(level))
            before = lab.all_ids()
            for crash in (True, False):
                lab.receive_exactly(sender, receiver, 10)
                lab.restart(crash)
                assert lab.all_ids() == before, f"level {level}: programs are other ones"
                lab.receive_exactly(sender, receiver, 10)
                total += 20 * (level != "off")
                chain = lab.chain()
                assert chain["counters"] == level and chain["packets"] == (total if level != "off" else 0), chain
        # What is not counted was not forgotten either.
        lab.apply("edge", edge("verdicts"))
        assert lab.chain()["packets"] == total
        # The level that a document has when the next service starts is the one that it gets.
        link = lab.chain()["link-id"]
        lab.daemon.kill()
        lab.document("edge", edge("all"))
        lab.daemon.start()
        chain = lab.wait_chain()
        assert chain["counters"] == "all" and chain["link-id"] == link and chain["packets"] == total, chain


@case
def the_most_detailed_fragment_has_its_way():
    with CounterLab() as lab:
        lab.start()
        sender, receiver = lab.sender(), lab.receiver()
        lab.apply("edge", edge("off"))
        lab.receive_exactly(sender, receiver, 5)
        closer = {"chains": [{"interfaces": ["eth*"], "hook": "xdp", "counters": "all"}]}
        lab.apply("closer", closer, "--runtime")
        lab.receive_exactly(sender, receiver, 5)
        chain = lab.chain()
        assert (chain["counters"], chain["packets"]) == ("all", 5), chain
        assert sorted(chain["documents"]) == ["closer", "edge"], chain
        assert lab.chain("eth0", "tc-ingress")["counters"] == "off"
        # An edit does not change the level.
        lab.client("move", "eth0", "xdp", "last", "first")
        assert lab.chain()["counters"] == "all" and lab.order() == ["last", "first", "deny"]
        lab.client("withdraw", "closer", "--runtime")
        assert lab.chain()["counters"] == "off" and lab.order() == ["last", "first", "deny"]


def chain_of(numbers, hook, level):
    return {"programs": {f"p{n}": order_program(n, hook) for n in numbers},
            "chains": [{"interfaces": ["eth0"], "hook": hook, "programs": [f"p{n}" for n in numbers],
                        "counters": level}]}


def change_under_traffic(hook, count):
    """Levels that count, in turn, with other programs in another order each time, so that seats change hands."""
    chance = random.Random(5)
    with CounterLab() as lab:
        lab.start()
        lab.apply("edge", chain_of((1, 2, 3), hook, "verdicts"))
        path, link = lab.chain("eth0", hook)["path"], lab.chain("eth0", hook)["link-id"]
        levels = itertools.cycle(("all", "all", "verdicts", "verdicts"))
        last = 0
        with lab.traffic() as traffic:
            for _ in range(count):
                numbers = chance.sample(range(1, 7), chance.randint(1, 4))
                lab.apply_quickly("edge", chain_of(numbers, hook, next(levels)))
                now = lab.connection.get(path, "org.bpfchain1.Chain", "Packets")
                assert now >= last, f"packets fell from {last} to {now}"
                last = now
        traffic.assert_nothing_lost()
        came = traffic.sent - traffic.wire_lost
        print(f"# {hook}: {count} changes, {came} packets")
        chain = lab.chain("eth0", hook)
        assert chain["packets"] == came, f"{chain['packets']} of {came} packets were counted"
        assert chain["link-id"] == link and last > 0
        size = chain["bytes"] / came
        assert size == int(size) and size > HEADERS, f"{chain['bytes']} bytes of {came} packets"


@case
def levels_and_programs_of_xdp_change_under_traffic():
    change_under_traffic("xdp", 300)


@case
def levels_and_programs_of_tc_change_under_traffic():
    change_under_traffic("tc-ingress", 300)


@case
def counting_on_and_off_under_traffic():
    """What came meanwhile is not counted, and nothing that was counted is forgotten."""
    with CounterLab() as lab:
        lab.start()
        lab.apply("edge", chain_of((1, 2), "xdp", "verdicts"))
        last = 0
        with lab.traffic() as traffic:
            for _ in range(30):
                for level in ("off", "all", "verdicts"):
                    lab.apply_quickly("edge", chain_of((1, 2), "xdp", level))
                    if level == "off":
                        continue
                    now = lab.chain()["packets"]
                    assert now >= last, f"packets fell from {last} to {now}"
                    last = now
        traffic.assert_nothing_lost()
        came, chain = traffic.sent - traffic.wire_lost, lab.chain()
        assert 0 < chain["packets"] < came, f"{chain['packets']} of {came} were counted"
        assert sum(slot["ended"] for slot in chain["slots"]) == chain["packets"]


@contextlib.contextmanager
def statistics_kept(lab):
    """The kernel keeps run times as long as a descriptor is open. The switch that shows it to everybody is of the
    whole machine, so that only this test's view of it is changed."""
    numbers = {"x86_64": 321, "aarch64": 280}
    if os.uname().machine not in numbers:
        raise Skip("the number of bpf(2) is not known here")
    use_own_mounts()
    attributes = ctypes.create_string_buffer(120)  # BPF_STATS_RUN_TIME is 0
    fd = ctypes.CDLL(None, use_errno=True).syscall(numbers[os.uname().machine], 32, attributes, len(attributes))
    if fd < 0:
        raise Skip(f"BPF_ENABLE_STATS: {os.strerror(ctypes.get_errno())}")
    view = lab.write("bpf_stats_enabled", "1\n")
    lab.inner.run("mount", "--bind", view, "/proc/sys/kernel/bpf_stats_enabled")
    try:
        yield
    finally:
        lab.inner.run("umount", "/proc/sys/kernel/bpf_stats_enabled")
        os.close(fd)


@case
def run_time_while_the_kernel_keeps_it():
    with CounterLab() as lab:
        lab.start()
        sender, receiver = lab.sender(), lab.receiver()
        lab.apply("edge", edge("off"))
        lab.receive_exactly(sender, receiver, 10)
        assert (lab.chain()["run-count"], lab.chain()["run-time-nsec"]) == (0, 0)
        assert "ns a packet" not in lab.client("status").stdout
        with statistics_kept(lab):
            lab.receive_exactly(sender, receiver, 50)
            for hook in ("xdp", "tc-ingress"):
                chain = lab.chain("eth0", hook)
                assert chain["run-count"] == 50 and 50 < chain["run-time-nsec"] < 50 * 10**7, chain
            assert lab.client("status").stdout.count(" ns a packet") == 2
            # They are the program's, so an exchange begins them anew.
            lab.apply("edge", edge("verdicts"))
            assert lab.chain()["run-count"] == 0
            lab.receive_exactly(sender, receiver, 20)
            eventually(lambda: lab.chain()["run-count"] == 20)
        assert lab.chain()["run-count"] == 0, "figures of statistics that nobody keeps"


if __name__ == "__main__":
    run_cases()
