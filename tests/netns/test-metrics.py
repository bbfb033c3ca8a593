#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What `bpfchain metrics` tells after real packets: what was sent, and what `bpfchain --json status` tells."""

import openmetrics
from bpfchain_test import case, require_built, run_cases
from service_lab import ServiceLab, tc, verdict_program, xdp

DENIED = "203.0.113.9"


class MetricsLab(ServiceLab):
    OBJECTS = [*ServiceLab.OBJECTS, "denylist.bpf.o"]

    def metrics(self):
        return openmetrics.parse(self.client("metrics").stdout)


def document(level):
    return {
        "programs": {
            "deny": {"object": "denylist.bpf.o",
                     "maps": {"denied_v4": [{"key": {"prefixlen": 32, "addr": DENIED}, "value": 1}]}},
            "last": verdict_program("xdp"),
            "in": verdict_program("tc-ingress", tc("ok")),
        },
        "chains": [{"interfaces": ["eth0"], "hook": "xdp", "programs": ["deny", "last"], "counters": level},
                   {"interfaces": ["eth0"], "hook": "tc-ingress", "programs": ["in"], "counters": level},
                   {"interfaces": ["eth9"], "hook": "xdp", "programs": ["last"]}],
    }


def send(lab, passed, dropped):
    """Returns the bytes of all these packets, as they come off the wire."""
    sender, receiver = lab.sender(), lab.receiver()
    sender.send(passed)
    sender.send(dropped, source=DENIED)
    assert len(receiver.take(passed)) == passed
    return len(sender.frame(0)) * passed, len(sender.frame(0)) * dropped


def of_slot(metrics, name, program, hook="xdp"):
    """Samples by verdict."""
    found = metrics.samples(name, interface="eth0", hook=hook, program=program)
    return {labels["verdict"]: value for labels, value in found}


def nonzero(counts):
    return {name: value for name, value in counts.items() if value}


def agree(lab, metrics):
    """Each figure that both tell is the same in both. Returns how many were compared."""
    compared = 0
    for (interface, hook), chain in lab.chains().items():
        where = {"interface": interface, "hook": hook}
        for name in ("packets", "bytes"):
            if chain["mode"] and name in chain:
                assert metrics.value(f"bpfchain_chain_{name}_total", **where) == chain[name], (where, name)
                compared += 1
        assert metrics.value("bpfchain_chain_state", state=chain["state"], **where) == 1
        assert metrics.value("bpfchain_chain_generation", **where) == chain["generation"]
        assert metrics.value("bpfchain_chain_programs", **where) == len(chain["slots"])
        assert metrics.value("bpfchain_chain_info", **where, mode=chain["mode"] or "none") == 1
        for position, slot in enumerate(chain["slots"], 1):
            labels = {**where, "program": slot["program"]}
            assert metrics.value("bpfchain_slot_info", **labels, position=str(position), form=slot["form"]) == 1
            for key, name in (("endings", "bpfchain_slot_ended_packets_total"),
                              ("verdicts", "bpfchain_slot_seen_packets_total")):
                found = {found["verdict"]: value for found, value in metrics.samples(name, **labels)}
                if found:
                    assert nonzero(found) == slot[key], (labels, name)
                    compared += len(found)
            for key, name in (("ended-bytes", "bpfchain_slot_ended_bytes_total"),
                              ("bytes", "bpfchain_slot_seen_bytes_total")):
                if key in slot and metrics.samples(name, **labels):
                    assert metrics.value(name, **labels) == slot[key], (labels, name)
                    compared += 1
    return compared


@case
def where_packets_ended_is_what_was_sent():
    with MetricsLab() as lab:
        lab.start()
        lab.apply("edge", document("verdicts"))
        passed, dropped = send(lab, 300, 20)
        metrics = lab.metrics()
        xdp_chain, tc_chain = ({"interface": "eth0", "hook": hook} for hook in ("xdp", "tc-ingress"))
        assert metrics.value("bpfchain_chain_packets_total", **xdp_chain) == 320
        assert metrics.value("bpfchain_chain_packets_total", **tc_chain) == 300
        assert nonzero(of_slot(metrics, "bpfchain_slot_ended_packets_total", "deny")) == {"drop": 20}
        assert nonzero(of_slot(metrics, "bpfchain_slot_ended_packets_total", "last")) == {"pass": 300}
        assert nonzero(of_slot(metrics, "bpfchain_slot_ended_packets_total", "in", "tc-ingress")) == {"ok": 300}
        assert len(of_slot(metrics, "bpfchain_slot_ended_packets_total", "deny")) == 6
        assert len(of_slot(metrics, "bpfchain_slot_ended_packets_total", "in", "tc-ingress")) == 11
        assert not metrics.samples("bpfchain_slot_seen_packets_total")
        assert metrics.value("bpfchain_chain_bytes_total", **xdp_chain) == passed + dropped
        assert metrics.value("bpfchain_slot_ended_bytes_total", **xdp_chain, program="deny") == dropped
        assert metrics.value("bpfchain_slot_ended_bytes_total", **xdp_chain, program="last") == passed
        assert metrics.value("bpfchain_metrics_unreadable") == 0
        assert agree(lab, metrics) > 20

        # They go on when the order is another, and with it the names of the series.
        lab.client("order", "eth0/xdp", "last", "deny")
        after = lab.metrics()
        assert after.value("bpfchain_chain_packets_total", **xdp_chain) == 320
        assert nonzero(of_slot(after, "bpfchain_slot_ended_packets_total", "deny")) == {"drop": 20}
        assert after.value("bpfchain_slot_info", **xdp_chain, program="deny", position="2") == 1


@case
def every_verdict_is_told_at_the_level_all():
    with MetricsLab() as lab:
        lab.start()
        lab.apply("edge", document("all"))
        passed, dropped = send(lab, 30, 4)
        metrics = lab.metrics()
        assert nonzero(of_slot(metrics, "bpfchain_slot_seen_packets_total", "deny")) == {"drop": 4, "pass": 30}
        assert nonzero(of_slot(metrics, "bpfchain_slot_seen_packets_total", "last")) == {"pass": 30}
        assert metrics.value("bpfchain_slot_seen_bytes_total", program="deny") == passed + dropped
        assert agree(lab, metrics) > 30


@case
def nothing_but_the_state_is_told_at_the_level_off():
    with MetricsLab() as lab:
        lab.start()
        lab.apply("edge", document("off"))
        send(lab, 5, 5)
        metrics = lab.metrics()
        assert metrics.value("bpfchain_chain_state", interface="eth0", hook="xdp", state="active") == 1
        for name, family in metrics.families.items():
            if name != "bpfchain_chain_state":
                assert not any(("interface", "eth0") in key for key in family.samples), name
        # The one that waits would count.
        assert metrics.value("bpfchain_chain_programs", interface="eth9", hook="xdp") == 1


@case
def all_xdp_verdicts_have_their_names():
    with MetricsLab() as lab:
        lab.start()
        for number, verdict in enumerate(("aborted", "drop", "pass")):
            lab.apply("edge", {"programs": {verdict: verdict_program("xdp", xdp(verdict))},
                               "chains": [{"interfaces": ["eth0"], "hook": "xdp", "programs": [verdict]}]})
            lab.sender().send(3 + number)
            ended = of_slot(lab.metrics(), "bpfchain_slot_ended_packets_total", verdict)
            assert nonzero(ended) == {verdict: 3 + number}, ended


require_built()
run_cases()
