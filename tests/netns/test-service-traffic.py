# SPDX-License-Identifier: LGPL-2.1-or-later
"""Changes under full traffic: nothing is lost, nothing overtaken, and no packet sees a mix of two chains. Packets
record which programs they met (order.bpf.c), so the whole history of a chain can be read from them."""

import itertools
import os
import random
import shutil

import bpfchain_test
from bpfchain_test import case, require_built, run_cases
from service_lab import ServiceLab, order_program

REORDERS = 1000


def orders(count, numbers=(1, 2, 3, 4)):
    """Random orders, each unlike the one before."""
    chance = random.Random(11)
    all_orders = list(itertools.permutations(numbers))
    result = [tuple(numbers)]
    while len(result) < count:
        order = chance.choice(all_orders)
        if order != result[-1]:
            result.append(order)
    return result


def chain_document(numbers, hook, generation=0, interfaces=("eth0",)):
    return {"programs": {f"p{n}": order_program(n, hook, generation) for n in numbers},
            "chains": [{"interfaces": list(interfaces), "hook": hook, "programs": [f"p{n}" for n in numbers],
                        "counters": "all"}]}


def assert_history(traces, expected, least):
    """What packets met is what was asked for, in this order; a chain that lived too shortly may be missing."""
    at = 0
    seen = 0
    for trace in traces:
        while at < len(expected) and expected[at] != trace:
            at += 1
        assert at < len(expected), f"packets met {trace}, which is no chain that was asked for, or not then"
        seen += 1
    assert seen >= least, f"packets met only {seen} of {len(expected)} chains"


def reorder(hook, count):
    with ServiceLab() as lab:
        lab.start()
        wanted = orders(count + 1)
        lab.apply("edge", chain_document(wanted[0], hook))
        before = lab.chain("eth0", hook)
        bus = lab.bus()
        with lab.traffic() as traffic:
            for order in wanted[1:]:
                bus.call(before["path"], "org.bpfchain1.Chain", "SetOrder", "asa{sv}", [f"p{n}" for n in order], {})
        traffic.assert_nothing_lost()
        print(f"# {hook}: {count} reorders, {traffic.sent} packets, {traffic.wire_lost} of them lost on the wire")
        assert_history(traffic.traces(), [tuple((n, 0) for n in order) for order in wanted], count // 2)
        after = lab.chain("eth0", hook)
        assert after["link-id"] == before["link-id"], "the link is another one"
        assert after["packets"] - before["packets"] == traffic.sent - traffic.wire_lost
        for slot in after["slots"]:
            assert slot["packets"] == after["packets"], f"{slot['program']} did not see every packet: {slot}"
        assert sum(slot["ended"] for slot in after["slots"]) == after["packets"], after["slots"]


@case
def a_thousand_reorders_of_xdp_under_traffic():
    reorder("xdp", REORDERS)


@case
def a_thousand_reorders_of_tc_under_traffic():
    reorder("tc-ingress", REORDERS)


@case
def upgrades_under_traffic():
    """Other globals are other programs: all of a chain are exchanged at once."""
    generations = range(1, 101)
    with ServiceLab() as lab:
        lab.start()
        lab.apply("edge", chain_document((1, 2, 3), "xdp"))
        link = lab.chain()["link-id"]
        with lab.traffic() as traffic:
            for generation in generations:
                lab.apply("edge", chain_document((1, 2, 3), "xdp", generation))
        traffic.assert_nothing_lost()
        for trace in traffic.traces():
            assert len({generation for _, generation in trace}) == 1, f"a packet met old and new programs: {trace}"
        assert_history(traffic.traces(), [tuple((n, g) for n in (1, 2, 3)) for g in (0, *generations)], 50)
        assert lab.chain()["link-id"] == link
        # The maps of all versions are the same ones, so their counts have gone on.
        assert lab.counted("hits", "p2") == traffic.sent - traffic.wire_lost


@case
def programs_come_and_go_under_traffic():
    with ServiceLab() as lab:
        lab.start()
        lab.apply("edge", chain_document((1, 2, 3), "xdp"))
        history = [(1, 2, 3)]
        with lab.traffic() as traffic:
            for _ in range(25):
                lab.client("remove", "eth0", "xdp", "p2")
                lab.client("insert", "eth0", "xdp", "p2", "first")
                lab.client("move", "eth0", "xdp", "p2", "after:p1")
                history += [(1, 3), (2, 1, 3), (1, 2, 3)]
        traffic.assert_nothing_lost()
        assert_history(traffic.traces(), [tuple((n, 0) for n in order) for order in history], 40)


@case
def a_rename_under_traffic():
    """The chain stays on its interface. Who asked for it by the old name only loses it."""
    with ServiceLab() as lab:
        lab.start()
        lab.apply("edge", chain_document((1, 2), "xdp", interfaces=("eth*",)))
        lab.apply("tc", chain_document((5, 6), "tc-ingress", interfaces=("eth*",)))
        before = lab.ids(), lab.ids("eth0", "tc-ingress")
        with lab.traffic() as traffic:
            for old, new in (("eth0", "eth7"), ("eth7", "ethernet-long-1"), ("ethernet-long-1", "eth0")):
                lab.inner.ip("link", "set", "dev", old, "name", new)
                lab.wait_chain(new)
                lab.wait_chain(new, "tc-ingress")
                lab.wait_no_chain(old)
                assert (lab.ids(new), lab.ids(new, "tc-ingress")) == before, f"{old} -> {new}: other ids"
        traffic.assert_nothing_lost()
        assert traffic.traces() == [((1, 0), (2, 0), (5, 0), (6, 0))], traffic.traces()[:4]
        assert lab.chain()["packets"] == traffic.sent - traffic.wire_lost, "the counters did not go on"


@case
def crash_restart_and_upgrade_under_traffic():
    with ServiceLab() as lab:
        lab.start()
        lab.apply("edge", chain_document((1, 2), "xdp"))
        lab.apply("tc", chain_document((5, 6), "tc-ingress"))
        before = lab.all_ids()
        with lab.traffic() as traffic:
            for crash in (True, False, True, False):
                lab.restart(crash)
                assert lab.all_ids() == before, "links or programs are other ones"
            # The new version of the service is another file.
            original = bpfchain_test.DAEMON
            lab.daemon.stop()
            bpfchain_test.DAEMON = shutil.copy(original, lab.path("bpfchaind"))
            try:
                lab.daemon.start()
                assert os.readlink(f"/proc/{lab.daemon.pid}/exe") == lab.path("bpfchaind")
            finally:
                bpfchain_test.DAEMON = original
            assert lab.all_ids() == before, "links or programs are other ones after the upgrade"
        traffic.assert_nothing_lost()
        assert traffic.traces() == [((1, 0), (2, 0), (5, 0), (6, 0))], traffic.traces()[:4]
        seen = traffic.sent - traffic.wire_lost
        assert lab.chain()["packets"] == seen, "XDP counters did not go on"
        assert lab.chain("eth0", "tc-ingress")["packets"] == seen, "TC counters did not go on"


require_built()
run_cases()
