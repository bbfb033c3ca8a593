# SPDX-License-Identifier: LGPL-2.1-or-later
"""Chains of 64 programs through the service, with real packets: their order, their counters, changes under traffic, a
crash, and programs in slots, which tail calls through an array reach that must never be empty."""

import random

from bpfchain_test import case, require_built, run_cases
from service_lab import ServiceLab, order_program

MOST = 64


class LongLab(ServiceLab):
    OBJECTS = ServiceLab.OBJECTS + ["arena-a.bpf.o", "arena-b.bpf.o", "jumps.bpf.o", "throw.bpf.o"]

    def traced(self, count):
        """Sends packets, which all arrive; returns the numbers of the programs that each met."""
        sender, receiver = self.sender(trace=True), self.receiver()
        sender.send(count)
        arrived = len(receiver.take(count))
        assert arrived == count, f"{arrived} of {count} packets arrived"
        traces = receiver.traces
        sender.close()
        receiver.close()
        assert not any(lost for _, _, lost in traces), traces
        return [[number for number, _ in trace] for _, trace, _ in traces]


def names(numbers):
    return [f"p{number:02}" for number in numbers]


def document(numbers, hook, generation=0, **chain):
    return {"programs": {name: order_program(number, hook, generation)
                         for name, number in zip(names(numbers), numbers)},
            "chains": [{"interfaces": ["eth0"], "hook": hook, "programs": names(numbers), **chain}]}


def shuffled(chance, numbers):
    numbers = list(numbers)
    chance.shuffle(numbers)
    return numbers


def set_order(bus, chain, programs):
    bus.call(chain["path"], "org.bpfchain1.Chain", "SetOrder", "asa{sv}", programs, {})


def assert_history(traces, expected, least):
    """What packets met is what was asked for, in this order; a chain that lived too shortly may be missing."""
    at = seen = 0
    for trace in traces:
        while at < len(expected) and expected[at] != trace:
            at += 1
        assert at < len(expected), f"packets met {trace}, which is no chain that was asked for, or not then"
        seen += 1
    assert seen >= least, f"packets met only {seen} of {len(expected)} chains"


def assert_all_saw(chain, packets):
    assert chain["packets"] == packets, chain["packets"]
    for slot in chain["slots"]:
        assert slot["packets"] == packets, f"{slot['program']} saw {slot['packets']} of {packets} packets"
    assert sum(slot["ended"] for slot in chain["slots"]) == packets, [slot["ended"] for slot in chain["slots"]]


def sixty_four(hook):
    with LongLab() as lab:
        lab.start()
        numbers = list(range(MOST))
        lab.apply("long", document(numbers, hook, counters="all"))
        traces = lab.traced(20)
        assert traces == [numbers] * 20, traces
        chain = lab.chain("eth0", hook)
        assert_all_saw(chain, 20)
        assert chain["slots"][-1]["ended"] == 20, chain["slots"][-1]

        # Whatever the service held for the parts of the chain, the kernel must hold as well.
        lab.daemon.kill()
        assert lab.traced(20) == [numbers] * 20, "packets fare differently without the service"
        lab.daemon.start()
        lab.wait_chain("eth0", hook)
        assert lab.traced(20) == [numbers] * 20
        assert_all_saw(lab.chain("eth0", hook), 60)

        # One more is refused and changes nothing.
        before = lab.ids("eth0", hook)
        refused = lab.apply("more", {"programs": {"p64": order_program(64, hook)}, "chains": [
            {"interfaces": ["eth0"], "hook": hook, "programs": ["p64"]}]}, status=None)
        assert refused.returncode != 0 and "64" in refused.stderr, refused
        assert lab.ids("eth0", hook) == before
        assert lab.traced(5) == [numbers] * 5

        lab.client("remove", "eth0", hook, "p31")
        numbers.remove(31)
        assert lab.traced(5) == [numbers] * 5


@case
def sixty_four_programs_on_xdp():
    sixty_four("xdp")


@case
def sixty_four_programs_on_tc():
    sixty_four("tc-ingress")


def reorders_under_traffic(hook, count):
    chance = random.Random(64)
    with LongLab() as lab:
        lab.start()
        orders = [list(range(MOST))] + [shuffled(chance, range(MOST)) for _ in range(count)]
        lab.apply("long", document(orders[0], hook, counters="all"))
        bus, before = lab.bus(), lab.chain("eth0", hook)
        with lab.traffic() as traffic:
            for order in orders[1:]:
                set_order(bus, before, names(order))
        traffic.assert_nothing_lost()
        print(f"# {hook}: {count} reorders of {MOST} programs, {traffic.sent} packets, "
              f"{traffic.wire_lost} of them lost on the wire")
        assert_history(traffic.traces(), [tuple((n, 0) for n in order) for order in orders], count // 2)
        after = lab.chain("eth0", hook)
        assert after["link-id"] == before["link-id"], "the link is another one"
        assert_all_saw(after, traffic.sent - traffic.wire_lost)


@case
def reorders_of_xdp_under_traffic():
    reorders_under_traffic("xdp", 40)


@case
def reorders_of_tc_under_traffic():
    reorders_under_traffic("tc-ingress", 40)


@case
def another_sixty_four_under_traffic():
    """No program of the old chain is in the new one; no packet sees some of each."""
    with LongLab() as lab:
        lab.start()
        lab.apply("long", document(range(MOST), "xdp"))
        with lab.traffic() as traffic:
            for generation in range(1, 9):
                lab.apply("long", document(range(MOST), "xdp", generation))
        traffic.assert_nothing_lost()
        for trace in traffic.traces():
            assert len({generation for _, generation in trace}) == 1, f"a packet met old and new programs: {trace}"
        assert_history(traffic.traces(), [tuple((n, g) for n in range(MOST)) for g in range(9)], 5)


def slot_document(numbers, groups):
    """Tracers, and between them programs that are inlined, called and in slots: each has an arena of its own, and a
    program of the kernel has one."""
    programs = {name: order_program(number) for name, number in zip(names(numbers), numbers)}
    between = []
    for i in range(groups):
        programs[f"a{i}"] = {"object": "arena-a.bpf.o", "function": "xdp_arena"}
        programs[f"b{i}"] = {"object": "arena-b.bpf.o", "function": "xdp_arena"}
        programs[f"j{i}"] = {"object": "jumps.bpf.o", "function": "xdp_jumps", "globals": {"target": 2}}
        programs[f"t{i}"] = {"object": "throw.bpf.o"}
        between += [f"a{i}", f"b{i}", f"j{i}", f"t{i}"]
    chain = []
    for i, name in enumerate(names(numbers)):
        chain += [name] + between[i:i + 1]
    return {"programs": programs, "chains": [{"interfaces": ["eth0"], "hook": "xdp", "programs": chain,
                                              "counters": "all"}]}


@case
def slots_under_traffic():
    chance = random.Random(3)
    with LongLab() as lab:
        lab.start()
        numbers = list(range(16))
        contents = slot_document(numbers, 4)
        lab.apply("slots", contents)
        chain = lab.chain()
        forms = [slot["form"] for slot in chain["slots"]]
        assert forms.count("slot") == 11, forms
        assert forms.count("called") >= 4, forms
        everybody = [slot["program"] for slot in chain["slots"]]
        orders = [everybody] + [shuffled(chance, everybody) for _ in range(60)]
        bus = lab.bus()
        with lab.traffic() as traffic:
            for order in orders[1:]:
                set_order(bus, chain, order)
        traffic.assert_nothing_lost()
        expected = [tuple((int(name[1:]), 0) for name in order if name[0] == "p") for order in orders]
        assert_history(traffic.traces(), expected, 30)
        after = lab.chain()
        assert_all_saw(after, traffic.sent - traffic.wire_lost)
        print(f"# {traffic.sent} packets through 11 slots, {traffic.wire_lost} of them lost on the wire")

        # The array of the slots must not depend on the service.
        lab.daemon.kill()
        assert lab.traced(10) == [[n for n, _ in expected[-1]]] * 10
        lab.daemon.start()
        lab.wait_chain()
        assert_all_saw(lab.chain(), traffic.sent - traffic.wire_lost + 10)


require_built()
run_cases()
