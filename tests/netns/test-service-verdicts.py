# SPDX-License-Identifier: LGPL-2.1-or-later
"""Verdicts and order by exact counts: every proceed-on set of XDP with every verdict, a sample of those of TC, chains
of many programs in the order that documents give them."""

import itertools
import random

from bpfchain_test import Wire, case, require_built, run_cases
from service_lab import TC_VERDICTS, XDP_VERDICTS, ServiceLab, order_program, tc, verdict_program, xdp

COUNT = 5
OTHER = 77  # no verdict that the kernel knows


def two_slots(hook, program, proceed_on):
    """The program under test, then one that passes everything on."""
    return {"chains": [{"interfaces": ["eth0"], "hook": hook, "counters": "all",
                        "programs": [{"use": program, "proceed-on": proceed_on}, "end"]}]}


def programs_of(hook, values):
    programs = {f"says-{name}": verdict_program(hook, value) for name, value in values.items()}
    programs["end"] = verdict_program(hook)
    return {"programs": programs}


def figures(lab, hook, program):
    """What slot and program counted since the chain was made."""
    slots = {slot["program"]: slot for slot in lab.chain("eth0", hook)["slots"]}
    assert list(slots) == [program, "end"], slots
    return slots[program], slots["end"]


class Deltas:
    """Counters of a chain go on when it changes, so each trial looks at what it added."""

    def __init__(self):
        self.last = {}

    def take(self, key, value):
        before = self.last.get(key, 0)
        self.last[key] = value
        return value - before


def try_all(lab, hook, values, sets, passes, packets, count=COUNT):
    """For each verdict and set: does the next program run exactly when the verdict is in the set, does the packet get
    where it should, and is all that counted?"""
    lab.apply("programs", programs_of(hook, values))
    trials = 0
    for verdict in values:
        program = f"says-{verdict}"
        # With another first program each time, the counters of its seat begin at 0.
        lab.apply("chain", two_slots(hook, "end", []) | {"chains": []})
        deltas = Deltas()
        for chosen in sets:
            lab.apply("chain", two_slots(hook, program, sorted(chosen)))
            arrived = packets(count)
            first, end = figures(lab, hook, program)
            what = f"{verdict} with proceed-on {sorted(chosen)}: {first}, {end}"
            proceeds = verdict in chosen
            assert sorted(first["proceed-on"]) == sorted(chosen), what
            assert deltas.take("saw", first["packets"]) == count, what
            assert deltas.take("said", first["verdicts"].get(verdict, 0)) == count, what
            assert sum(first["verdicts"].values()) == first["packets"], what
            assert deltas.take("ended", first["ended"]) == (0 if proceeds else count), what
            assert deltas.take("end saw", end["packets"]) == (count if proceeds else 0), what
            assert deltas.take("end ended", end["ended"]) == (count if proceeds else 0), what
            assert arrived == (count if proceeds or passes(verdict) else 0), f"{what}: {arrived} arrived"
            trials += 1
    return trials


def subsets(words):
    return [set(c) for n in range(len(words) + 1) for c in itertools.combinations(words, n)]


@case
def every_proceed_on_set_of_xdp_with_every_verdict():
    with ServiceLab() as lab:
        lab.start()
        sender, receiver = lab.sender(), lab.receiver()
        values = {name: xdp(name) for name in XDP_VERDICTS} | {"other": OTHER}

        def packets(count):
            sender.send(count)
            receiver.drain(0.01)
            arrived, receiver.packets = len(receiver.packets), []
            return arrived

        trials = try_all(lab, "xdp", values, subsets(XDP_VERDICTS), lambda verdict: verdict == "pass", packets)
        assert trials == 6 * 32, trials


def tc_sample():
    """None, all, each alone, all but each, and some at random."""
    chance = random.Random(7)
    sets = [set(), set(TC_VERDICTS)] + [{word} for word in TC_VERDICTS] + [set(TC_VERDICTS) - {w} for w in TC_VERDICTS]
    return sets + [set(chance.sample(TC_VERDICTS, chance.randint(2, 8))) for _ in range(10)]


def tc_small_sample():
    """None, all, and pairs in which each occurs."""
    return [set(), set(TC_VERDICTS)] + [set(TC_VERDICTS[i:i + 2]) for i in range(0, len(TC_VERDICTS), 2)]


def try_tc(lab, hook, sets, passes):
    lab.start()
    values = {name: tc(name) for name in TC_VERDICTS} | {"other": OTHER}
    if hook == "tc-ingress":
        sender, receiver = lab.sender(), lab.receiver()
        send = sender.send
    else:
        # From the inside out, by the stack of the inner end.
        receiver = lab.receiver(lab.outer)
        socket = lab.inner.socket(2, 2)

        def send(count):
            for number in range(count):
                socket.sendto(number.to_bytes(8, "big"), (lab.wire.outer_address, 9000))

    def packets(count):
        # Dropped by an egress program, a datagram may be an error for its sender.
        try:
            send(count)
        except OSError:
            raise AssertionError("sending failed") from None
        receiver.drain(0.01)
        arrived, receiver.packets = len(receiver.packets), []
        return arrived

    assert try_all(lab, hook, values, sets, passes, packets) == len(values) * len(sets)


def passes_by_tcx(verdict):
    # include/net/tcx.h, tcx_action_code(): what tcx does not know is "next".
    return verdict not in ("shot", "redirect")


@case
def a_sample_of_proceed_on_sets_on_tc_ingress():
    with ServiceLab() as lab:
        try_tc(lab, "tc-ingress", tc_sample(), passes_by_tcx)


@case
def a_sample_of_proceed_on_sets_on_tc_egress():
    with ServiceLab() as lab:
        try_tc(lab, "tc-egress", tc_small_sample(), passes_by_tcx)


@case
def a_sample_of_proceed_on_sets_on_clsact():
    with ServiceLab() as lab:
        lab.write("etc/bpfchain/bpfchain.json", {"tc-attach": "clsact"})
        # net/sched/cls_bpf.c, cls_bpf_exec_opcode(): what it does not know is "next".
        try_tc(lab, "tc-ingress", tc_small_sample(), lambda verdict: verdict not in ("shot", "stolen", "trap", "redirect"))


@case
def tx_goes_back_to_where_it_came_from():
    with ServiceLab() as lab:
        # veth takes back what a program sends by XDP_TX only where there is a program on the other end, too.
        wire = Wire(lab.inner, lab.inner, "back0", "back1")
        lab.start()
        lab.apply("chain", {"programs": {"tx": verdict_program("xdp", xdp("tx")), "drop": verdict_program("xdp", xdp("drop"))},
                            "chains": [{"interfaces": ["back0"], "hook": "xdp", "programs": ["tx"]},
                                       {"interfaces": ["back1"], "hook": "xdp", "programs": ["drop"]}]})
        lab.sender(wire).send(40)
        assert lab.slot("tx", "back0")["endings"] == {"tx": 40}
        assert lab.slot("drop", "back1")["endings"] == {"drop": 40}


def trace_of(lab, hook="xdp", count=3):
    """The order of programs as packets recorded it; all packets alike."""
    with lab.traffic(rate=500, warm_up=0.05) as traffic:
        pass
    traffic.assert_nothing_lost()
    traces = traffic.traces()
    assert len(traces) == 1 and traffic.sent >= count, traces
    return [number for number, _ in traces[0]]


def order_document(numbers, hook="xdp", order=None, prefix="p"):
    chain = {"interfaces": ["eth0"], "hook": hook, "programs": [f"{prefix}{n}" for n in numbers]}
    if order is not None:
        chain["order"] = order
    return {"programs": {f"{prefix}{n}": order_program(n, hook) for n in numbers}, "chains": [chain]}


@case
def programs_run_in_the_order_of_the_document():
    with ServiceLab() as lab:
        lab.start()
        chance = random.Random(3)
        for hook in ("xdp", "tc-ingress"):
            numbers = list(range(1, 13))
            for _ in range(4):
                chance.shuffle(numbers)
                lab.apply("edge", order_document(numbers, hook))
                assert trace_of(lab, hook) == numbers
        assert ("eth0", "xdp") not in lab.chains(), "the chain of the document before is still there"


@case
def documents_follow_each_other_by_order_then_name():
    with ServiceLab() as lab:
        lab.document("c", order_document([1, 2], order=100, prefix="c"))
        lab.document("b", order_document([3, 4], prefix="b"))  # 500
        lab.document("a", order_document([5], order=500, prefix="a"), layer="run")
        lab.document("d", order_document([6], order=0, prefix="d"), layer="usr/lib")
        lab.start()
        assert trace_of(lab) == [6, 1, 2, 5, 3, 4]
        assert sorted(lab.chain()["documents"]) == list("abcd")


@case
def xdp_and_both_directions_of_tc_at_once():
    with ServiceLab() as lab:
        lab.start()
        lab.apply("edge", {
            "programs": {"x": order_program(1), "i": order_program(2, "tc-ingress"), "e": verdict_program("tc-egress")},
            "chains": [{"interfaces": ["eth0"], "hook": hook, "programs": [name]}
                       for name, hook in (("x", "xdp"), ("i", "tc-ingress"), ("e", "tc-egress"))]})
        assert trace_of(lab) == [1, 2]
        out = lab.inner.socket(2, 2)
        for _ in range(7):
            out.sendto(b"12345678", (lab.wire.outer_address, 9))
        assert lab.chain("eth0", "tc-egress")["packets"] == 7
        out.close()


@case
def as_many_programs_as_a_chain_may_have():
    with ServiceLab() as lab:
        lab.start()
        numbers = list(range(1, 65))
        random.Random(5).shuffle(numbers)
        # 64 programs with two maps each take more maps than the kernel gives one program.
        lab.apply("edge", order_document(numbers))
        assert trace_of(lab) == numbers
        assert lab.chain("eth0", "xdp")["segments"] >= 2
        random.Random(6).shuffle(numbers)
        lab.apply("edge", order_document(numbers))
        assert trace_of(lab) == numbers
        lab.restart()
        assert trace_of(lab) == numbers
        lab.apply("edge", order_document(numbers[:30]))
        assert trace_of(lab) == numbers[:30]


require_built()
run_cases()
