# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is done a hundred times leaves nothing: no descriptors, no BPF objects, no memory that goes on growing. Under
AddressSanitizer the end of each case is a search for leaks as well: the service then ends with another status."""

import itertools
import json
import time

from bpfchain_test import case, eventually, require_built, run_cases
from service_lab import ServiceLab, dbus_wire, order_program, simple_document, verdict_program

ROUNDS = 100
MANAGER = ("/org/bpfchain1", "org.bpfchain1.Manager")
# Glibc's arenas and the dictionaries of libraries settle within this.
GROWTH_KIB = 600


def counts(lab):
    held = lab.held()
    return {"descriptors": lab.fd_count(), "programs": sum(kind == "prog" for kind, _ in held),
            "maps": sum(kind == "map" for kind, _ in held), "links": sum(kind == "link" for kind, _ in held)}


def settled_counts(lab):
    """What clients left behind when they went is cleared away a moment later."""
    last = [counts(lab)]

    def settled():
        time.sleep(0.1)
        last.append(counts(lab))
        return last[-1] == last[-2]
    eventually(settled)
    return last[-1]


def repeat(lab, action, rounds=ROUNDS):
    """Does it `rounds` times three times over: all counts are the same each time, and memory levels off."""
    for i in range(10):
        action(i)
    seen, memory = [], []
    for _ in range(3):
        for i in range(rounds):
            action(i)
        seen.append(settled_counts(lab))
        memory.append(lab.rss())
    assert seen[0] == seen[1] == seen[2], seen
    print(f"# {seen[0]}, {memory} KiB")
    if not lab.sanitized:
        assert memory[2] - memory[1] < GROWTH_KIB, f"memory grows on: {memory} KiB"


def document_of(generation, hooks=("xdp", "tc-ingress", "tc-egress")):
    return json.dumps({
        "programs": {f"{hook}-{n}": order_program(n, hook, generation % 200) for hook in hooks for n in (1, 2)},
        "chains": [{"interfaces": ["eth0"], "hook": hook, "programs": [f"{hook}-1", f"{hook}-2"]} for hook in hooks]})


@case
def applies():
    with ServiceLab() as lab:
        lab.start()
        bus = lab.bus()
        number = itertools.count()
        repeat(lab, lambda i: bus.call(*MANAGER, "Apply", "ssa{sv}", "edge", document_of(next(number)), {}), 40)


@case
def reorders_and_edits():
    with ServiceLab() as lab:
        lab.start()
        lab.apply("edge", json.loads(document_of(0)))
        bus = lab.bus()
        chain = ("/org/bpfchain1/chain/eth0/tc_2dingress", "org.bpfchain1.Chain")

        def edit(i):
            bus.call(*chain, "SetOrder", "asa{sv}", ["tc-ingress-2", "tc-ingress-1"], {})
            bus.call(*chain, "Remove", "sa{sv}", "tc-ingress-1", {})
            bus.call(*chain, "Insert", "ssa{sv}", "tc-ingress-1", "last", {})
            bus.call(*chain, "Move", "ssa{sv}", "tc-ingress-1", "first", {})
        repeat(lab, edit, 25)


@case
def trials_and_failures():
    with ServiceLab() as lab:
        lab.install("rejected.bpf.o")
        lab.start()
        lab.apply("edge", simple_document())
        bus = lab.bus()
        bad = [
            "{ oops", '{"programs": {"x": 5}}',
            json.dumps({"programs": {"x": {"object": "rejected.bpf.o", "function": "xdp_rejected"}},
                        "chains": [{"interfaces": ["eth0"], "hook": "xdp", "order": 900, "programs": ["x"]}]}),
            json.dumps({"programs": {"x": verdict_program("xdp") | {"globals": {"nope": 1}}},
                        "chains": [{"interfaces": ["eth0"], "hook": "xdp", "order": 900, "programs": ["x"]}]}),
            json.dumps({"programs": {"x": verdict_program("tc-ingress")},
                        "chains": [{"interfaces": ["eth0"], "hook": "xdp", "order": 900, "programs": ["x"]}]}),
        ]
        good = json.dumps({"programs": {"x": verdict_program("xdp")},
                           "chains": [{"interfaces": ["eth0"], "hook": "xdp", "order": 900, "programs": ["x"]}]})

        def attempt(i):
            try:
                bus.call(*MANAGER, "Apply", "ssa{sv}", "bad", bad[i % len(bad)], {})
                raise AssertionError("it was taken")
            except dbus_wire.Error:
                pass
            bus.call(*MANAGER, "Plan", "ssa{sv}", "bad", good, {})
        repeat(lab, attempt)


@case
def reloads_and_confirmations():
    with ServiceLab() as lab:
        lab.document("edge", simple_document())
        lab.document("bad", "{ oops")
        lab.start()
        bus = lab.bus()
        text = json.dumps(simple_document("tc-ingress", name="b"))

        def go(i):
            bus.call(*MANAGER, "Reload", "a{sv}", {})
            generation, _ = bus.call(*MANAGER, "Apply", "ssa{sv}", "b", text, {"confirm-timeout": ("t", 60_000_000)})
            if i % 2:
                bus.call(*MANAGER, "Confirm", "t", generation)
                bus.call(*MANAGER, "Withdraw", "sa{sv}", "b", {})
            else:
                bus.call(*MANAGER, "Rollback", "t", generation)
        repeat(lab, go, 30)


@case
def interfaces_that_come_and_go():
    with ServiceLab() as lab:
        lab.document("edge", {
            "programs": {"x": verdict_program("xdp"), "t": verdict_program("tc-ingress")},
            "chains": [{"interfaces": ["w*"], "hook": "xdp", "programs": ["x"]},
                       {"interfaces": ["w*"], "hook": "tc-ingress", "programs": ["t"]}]})
        lab.start()

        def go(i):
            names = [f"w{j}" for j in range(4)]
            lab.inner.ip_batch([f"link add {name} type veth peer name p-{name}" for name in names])
            eventually(lambda: sum(chain["state"] == "active" for chain in lab.chains().values()) == 8, interval=0.005)
            lab.inner.ip_batch([f"link del {name}" for name in names])
            eventually(lambda: not lab.chains(), interval=0.005)
        repeat(lab, go, 8)


@case
def clients_that_come_and_go():
    with ServiceLab() as lab:
        lab.document("edge", simple_document())
        lab.start()

        def go(i):
            with dbus_wire.Client(f"unix:path={lab.daemon.socket}", hello=False) as bus:
                bus.get_all(*MANAGER)
                if i % 3 == 0:
                    bus.send("/org/bpfchain1", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")
                if i % 5 == 0:
                    bus.socket.sendall(b"l\1\0\1")  # and away, in the middle of a message
        repeat(lab, go)


@case
def maps_that_are_read():
    with ServiceLab() as lab:
        lab.install("flows.bpf.o")
        lab.document("edge", {"programs": {"f": {"object": "flows.bpf.o", "function": "xdp_flows"}},
                              "chains": [{"interfaces": ["eth0"], "hook": "xdp", "programs": ["f"]}]})
        lab.start()
        sender = lab.sender()
        for i in range(300):
            sender.send(1, source=f"10.8.{i // 250}.{i % 250}")
        bus = lab.bus()

        def go(i):
            cursor, entries = b"", 0
            while True:
                piece, cursor = bus.call("/org/bpfchain1/map/f/flows", "org.bpfchain1.Map", "Dump", "ayu", cursor, 100)
                entries += len(piece)
                if not cursor:
                    break
            assert entries == 300, entries
            bus.call("/org/bpfchain1", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")
        repeat(lab, go, 50)


require_built()
run_cases()
