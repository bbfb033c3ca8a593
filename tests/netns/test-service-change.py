# SPDX-License-Identifier: LGPL-2.1-or-later
"""Changes are transactions: all or nothing, tried without a trace, taken back when nobody confirms them; edits that
last; upgrades that keep maps."""

import json
import os
import time

from bpfchain_test import case, eventually, find_object, require_built, run_cases
from service_lab import ServiceLab, dbus_wire, order_program, simple_document, verdict_program, xdp


def document_of(numbers, interface="eth0", hook="xdp", generation=0):
    return {"programs": {f"p{n}": order_program(n, hook, generation) for n in numbers},
            "chains": [{"interfaces": [interface], "hook": hook, "programs": [f"p{n}" for n in numbers]}]}


@case
def an_apply_that_fails_leaves_all_as_it_was():
    """One of three chains can't be; the other two, which could, stay as they were, too."""
    with ServiceLab(wires=3) as lab:
        lab.install("rejected.bpf.o", "manymaps.bpf.o")
        lab.start()
        good = {"programs": {n: verdict_program("xdp") for n in "ab"},
                "chains": [{"interfaces": [f"eth{i}"], "hook": "xdp", "programs": ["a"]} for i in range(3)]}
        lab.apply("edge", good)
        sender, receiver = lab.sender(), lab.receiver()
        lab.receive_exactly(sender, receiver, 10)
        before, counters = lab.snapshot(), lab.chain()["slots"]
        failures = {
            "verifier": {"object": "rejected.bpf.o", "function": "xdp_rejected"},
            "object": {"object": "nowhere.bpf.o"},
            "global": {"object": "verdict.bpf.o", "function": "xdp_verdict", "globals": {"nope": 1}},
            "function": {"object": "verdict.bpf.o", "function": "nope"},
            "hook": {"object": "verdict.bpf.o", "function": "tc_verdict"},
        }
        for program in failures.values():
            bad = {"programs": good["programs"] | {"bad": program}, "chains": [
                {"interfaces": ["eth0"], "hook": "xdp", "programs": ["b", "a"]},
                {"interfaces": ["eth1"], "hook": "xdp", "programs": ["a", "bad"]},
                {"interfaces": ["eth2"], "hook": "xdp", "programs": ["b"]}]}
            lab.apply("edge", bad, status=1)
            lab.assert_unchanged(before)
            assert lab.chain()["slots"] == counters, "counters changed"
            lab.receive_exactly(sender, receiver, 10)
            counters = lab.chain()["slots"]
        # What failed leaves nothing that a restart would find.
        lab.restart()
        assert lab.all_ids() == {key: (c["link-id"], c["program-id"]) for key, c in before["chains"].items()}


@case
def a_hook_that_is_lost_in_the_middle():
    """The kernel refuses the last of three chains; the two that were attached before it come off again."""
    with ServiceLab(wires=2) as lab:
        lab.inner.ip("link", "add", "br0", "type", "bridge")
        lab.start()
        before = lab.snapshot()
        document = {"programs": {"a": verdict_program("xdp")},
                    "chains": [{"interfaces": ["eth0", "eth1", "br0"], "hook": "xdp", "mode": "native", "programs": ["a"]}]}
        said = lab.apply("edge", document, status=1).stderr
        assert "br0" in said and "native" in said, said
        lab.assert_unchanged(before)
        assert lab.attached("eth0") is None and lab.attached("eth1") is None and lab.pins() == before["pins"]
        # The same on top of chains that run: they get back what they had.
        lab.apply("edge", simple_document(interfaces=("eth0", "eth1"), name="b"))
        before = lab.snapshot()
        document["programs"]["b"] = verdict_program("xdp")
        lab.apply("edge", document, status=1)
        after = lab.snapshot()
        for key, chain in before["chains"].items():
            assert after["chains"][key]["link-id"] == chain["link-id"] and lab.order(*key) == ["b"], after["chains"][key]
        assert after["pins"] == before["pins"] and after["generation"] == before["generation"]
        lab.receive_exactly(lab.sender(), lab.receiver())
        assert lab.slot("b")["packets"] == 20


@case
def a_dry_run_touches_nothing():
    with ServiceLab(wires=2) as lab:
        lab.start()
        lab.apply("edge", document_of((1, 2)))
        before = lab.snapshot()
        report = json.loads(lab.apply("edge", document_of((2, 1, 3)), "--dry-run", "--json=short").stdout)
        assert report["dry-run"] is True
        assert [(c["change"], c["before"], c["after"]) for c in report["chains"]] == [
            ("replaced", ["p1", "p2"], ["p2", "p1", "p3"])], report
        lab.assert_unchanged(before)
        shown = lab.apply("other", document_of((7,), "eth1"), "--dry-run").stdout
        assert "eth1/xdp" in shown and "p7" in shown and "trial" in shown, shown
        lab.assert_unchanged(before)
        lab.client("plan", lab.write("x.json", document_of((8,), "eth1")))
        lab.client("diff", lab.write("edge.json", document_of((2, 1))))
        for command in (("order", "eth0", "xdp", "p2", "p1"), ("remove", "eth0", "xdp", "p1"), ("detach", "eth0", "xdp"),
                        ("withdraw", "edge"), ("reload",), ("detach", "--all"), ("move", "eth0", "xdp", "p2", "first")):
            lab.client(*command, "--dry-run")
            lab.assert_unchanged(before)
        assert lab.attached("eth1") is None


@case
def a_change_that_is_confirmed():
    with ServiceLab() as lab:
        lab.start()
        lab.apply("edge", document_of((1, 2)))
        lab.apply("edge", document_of((2, 1)), "--confirm", "20s")
        pending = lab.status()["manager"]["pending-confirmation"]
        assert pending["generation"] == lab.generation and 15e6 < pending["left"] <= 20e6, pending
        assert lab.order() == ["p2", "p1"]
        lab.client("confirm")
        assert lab.status()["manager"]["pending-confirmation"] is None
        lab.client("confirm", status=1)
        lab.restart()
        assert lab.order() == ["p2", "p1"]


@case
def a_change_that_nobody_confirms():
    with ServiceLab() as lab:
        lab.start()
        lab.apply("edge", document_of((1, 2)))
        link, generation = lab.chain()["link-id"], lab.generation
        lab.apply("edge", document_of((2, 1)), "--confirm", "1s")
        assert lab.order() == ["p2", "p1"]
        eventually(lambda: lab.order() == ["p1", "p2"], timeout=5)
        assert lab.chain()["link-id"] == link and lab.generation > generation
        assert lab.status()["manager"]["pending-confirmation"] is None
        lab.restart()
        assert lab.order() == ["p1", "p2"], "the restart brought back what was taken back"

        # A chain that was not there before goes again, and so do its files.
        files = lab.snapshot()["files"]
        lab.apply("new", document_of((7,), hook="tc-ingress"), "--confirm", "1s")
        assert ("eth0", "tc-ingress") in lab.chains()
        eventually(lambda: ("eth0", "tc-ingress") not in lab.chains(), timeout=5)
        assert lab.snapshot()["files"] == files


@case
def a_crash_before_the_confirmation():
    """Without a confirmation the generation before comes back, and be it by the next start."""
    with ServiceLab() as lab:
        lab.start()
        lab.apply("edge", document_of((1, 2)))
        lab.apply("edge", document_of((2, 1)), "--confirm", "30s")
        lab.restart()
        eventually(lambda: lab.order() == ["p1", "p2"])


@case
def a_rollback_by_hand():
    with ServiceLab() as lab:
        lab.start()
        lab.apply("edge", document_of((1, 2)))
        first = lab.ids()
        lab.apply("edge", document_of((2, 1)))
        lab.client("rollback")
        assert lab.order() == ["p1", "p2"] and lab.ids()[0] == first[0]
        lab.client("rollback", status=1)
        lab.restart()
        assert lab.order() == ["p1", "p2"]
        lab.client("rollback", "1", status=1)


@case
def edits_last():
    with ServiceLab() as lab:
        lab.document("edge", document_of((1, 2, 3)))
        lab.document("spare", {"programs": {"p9": order_program(9)}})
        with open(lab.path("etc/bpfchain/chains.d/edge.json"), encoding="utf-8") as file:
            written = file.read()
        lab.start()
        steps = [
            (("order", "eth0", "xdp", "p3", "p1", "p2"), ["p3", "p1", "p2"]),
            (("insert", "eth0", "xdp", "p9", "first"), ["p9", "p3", "p1", "p2"]),
            (("move", "eth0", "xdp", "p9", "after:p1"), ["p3", "p1", "p9", "p2"]),
            (("remove", "eth0", "xdp", "p1"), ["p3", "p9", "p2"]),
            (("move", "eth0/xdp", "p2", "before", "p3"), ["p2", "p3", "p9"]),
            (("insert", "eth0/xdp", "p1"), ["p2", "p3", "p9", "p1"]),
            (("remove", "eth0", "xdp", "p9"), ["p2", "p3", "p1"]),
        ]
        link = lab.chain()["link-id"]
        for command, expected in steps:
            lab.client(*command)
            assert lab.order() == expected, f"{command}: {lab.order()}"
            lab.restart()
            assert lab.order() == expected, f"{command}, after a restart: {lab.order()}"
            assert lab.chain()["link-id"] == link
        with open(lab.path("etc/bpfchain/chains.d/edge.json"), encoding="utf-8") as file:
            assert file.read() == written, "the administrator's document was written to"
        lab.client("withdraw", "edit-eth0-xdp")
        assert lab.order() == ["p1", "p2", "p3"]
        for command in (("order", "eth0", "xdp", "p1", "p2"), ("order", "eth0", "xdp", "p1", "p2", "p3", "p9"),
                        ("order", "eth0", "xdp", "p1", "p1", "p2"), ("insert", "eth0", "xdp", "nobody"),
                        ("insert", "eth0", "xdp", "p1"), ("remove", "eth0", "xdp", "p9"), ("move", "eth0", "xdp", "p1", "after:p9"),
                        ("remove", "eth5", "xdp", "p1")):
            said = lab.client(*command, status=1).stderr
            assert said.strip() and lab.order() == ["p1", "p2", "p3"], f"{command}: {said}"


@case
def edits_until_the_next_boot():
    with ServiceLab() as lab:
        lab.document("edge", document_of((1, 2)))
        lab.start()
        lab.client("order", "eth0", "xdp", "p2", "p1", "--runtime")
        assert lab.order() == ["p2", "p1"]
        lab.restart()
        assert lab.order() == ["p2", "p1"]
        assert not os.path.exists(lab.path("etc/bpfchain/chains.d/edit-eth0-xdp.json"))


@case
def stale_generations():
    with ServiceLab() as lab:
        lab.start()
        lab.apply("edge", document_of((1, 2)))
        generation = lab.generation
        lab.client("order", "eth0", "xdp", "p2", "p1", "--expected-generation", generation)
        said = lab.client("order", "eth0", "xdp", "p1", "p2", "--expected-generation", generation, status=1).stderr
        assert str(generation) in said and lab.order() == ["p2", "p1"], said


@case
def an_upgrade_keeps_maps_that_agree():
    with ServiceLab() as lab:
        lab.install("upgrade-v1.bpf.o", "upgrade-v2.bpf.o", "upgrade-v3.bpf.o")
        lab.start()
        sender, receiver = lab.sender(), lab.receiver()

        def version(number, **more):
            return {"programs": {"u": {"object": f"upgrade-v{number}.bpf.o", **more}},
                    "chains": [{"interfaces": ["eth0"], "hook": "xdp", "programs": ["u"]}]}

        def upgrade(number, *options, **more):
            report = json.loads(lab.apply("edge", version(number, **more), "--json=short", *options).stdout)
            return {m["name"]: m["kept"] for m in report["programs"][0]["maps"]} if report["programs"] else {}

        def counter():
            return lab.counted("counter", "u")

        upgrade(1)
        link = lab.chain()["link-id"]
        lab.receive_exactly(sender, receiver, 10)
        assert counter() == 10 and lab.counted("hits", "u") == 10

        ids = {m["name"]: m["map-id"] for m in lab.client_json("maps")}
        kept = upgrade(2)
        assert kept["state"] and kept["counter"] and kept["hits"] and not kept["extra"], kept
        after = {m["name"]: m["map-id"] for m in lab.client_json("maps")}
        assert all(after[name] == ids[name] for name in ("state", "counter", "hits")), "they are said to be kept"
        lab.receive_exactly(sender, receiver, 10)
        assert counter() == 10 + 1000 and lab.counted("extra", "u") == 10 and lab.counted("hits", "u") == 20
        assert lab.chain()["link-id"] == link and lab.chain()["packets"] == 20, "the chain's own counters began anew"

        # It says so before it does anything.
        tried = upgrade(3, "--dry-run")
        assert not tried["counter"] and tried["state"] and tried["hits"], tried
        assert counter() == 1010
        text = lab.apply("edge", version(3)).stdout
        assert "counter" in text and "anew" in text, text
        lab.receive_exactly(sender, receiver, 10)
        assert counter() == 10 and lab.counted("hits", "u") == 30
        pins = [pin for pin in lab.pins() if pin.startswith("maps/u")]
        assert not [pin for pin in pins if "extra" in pin], f"the pin of a map that is gone: {pins}"

        # Kept over restarts, as well, and by a program that comes back in the same version.
        lab.restart()
        assert counter() == 10 and lab.counted("hits", "u") == 30
        upgrade(3, globals={"verdict": xdp("pass")})
        assert counter() == 10 and lab.counted("hits", "u") == 30


@case
def an_object_that_is_replaced_on_disk():
    with ServiceLab() as lab:
        lab.document("edge", {"programs": {"u": {"object": "my.bpf.o"}},
                              "chains": [{"interfaces": ["eth0"], "hook": "xdp", "programs": ["u"]}]})
        path = lab.path("etc/bpfchain/objects/my.bpf.o")

        def place(version):
            with open(find_object(f"upgrade-v{version}.bpf.o"), "rb") as file:
                lab.write(path, file.read())

        place(1)
        lab.start()
        sender, receiver = lab.sender(), lab.receiver()
        lab.receive_exactly(sender, receiver, 5)
        program = lab.chain()["program-id"]
        lab.client("reload")
        assert lab.chain()["program-id"] == program, "nothing changed, and yet the chain was exchanged"
        place(2)
        lab.restart()
        assert lab.chain()["program-id"] != program and lab.counted("counter", "u") == 5
        lab.receive_exactly(sender, receiver, 5)
        assert lab.counted("counter", "u") == 505


@case
def first_contents_and_what_packets_wrote():
    """An upgrade writes what the document gives, and leaves alone what came from elsewhere."""
    with ServiceLab() as lab:
        lab.install("denylist.bpf.o")

        def document(*entries):
            return {"programs": {"deny": {"object": "denylist.bpf.o", "maps": {"denied_v4": [
                        {"key": {"prefixlen": 32, "addr": a}, "value": 1} for a in entries]}}},
                    "chains": [{"interfaces": ["eth0"], "hook": "xdp", "programs": ["deny"]}]}

        lab.start()
        lab.apply("edge", document("10.1.1.1"))
        lab.client("map", "set", "deny", "denied_v4", "20 00 00 00 0a 02 02 02", "01 00 00 00")
        sender, receiver = lab.sender(), lab.receiver()

        def denied():
            for source in ("10.1.1.1", "10.2.2.2", "10.3.3.3", "10.4.4.4"):
                sender.send(1, source=source)
            passed = {source for source, _ in receiver.take(4, timeout=0.3)}
            return {"10.1.1.1", "10.2.2.2", "10.3.3.3", "10.4.4.4"} - passed

        assert denied() == {"10.1.1.1", "10.2.2.2"}, denied()
        lab.apply("edge", document("10.1.1.1", "10.3.3.3"))
        assert denied() == {"10.1.1.1", "10.2.2.2", "10.3.3.3"}, denied()
        lab.restart()
        assert denied() == {"10.1.1.1", "10.2.2.2", "10.3.3.3"}, denied()


@case
def signals_tell_of_changes():
    with ServiceLab() as lab:
        lab.start()
        bus = lab.bus()
        generation = bus.get("/org/bpfchain1", "org.bpfchain1.Manager", "Generation")
        lab.apply("edge", document_of((1, 2)), "--confirm", "1s")
        deadline = time.monotonic() + 5
        names = []
        while "GenerationRolledBack" not in names and time.monotonic() < deadline:
            names += [signal.member for signal in bus.take_signals(0.1)]
        assert "GenerationCommitted" in names and "GenerationRolledBack" in names, names
        assert "InterfacesAdded" in names and "InterfacesRemoved" in names, names
        assert bus.get("/org/bpfchain1", "org.bpfchain1.Manager", "Generation") == generation + 2
        try:
            bus.call("/org/bpfchain1/chain/eth0/xdp", "org.bpfchain1.Chain", "Detach", "a{sv}", {})
            raise AssertionError("a chain that is gone was detached")
        except dbus_wire.Error:
            pass


require_built()
run_cases()
