# SPDX-License-Identifier: LGPL-2.1-or-later
"""The service dies, and packets do not notice; it comes back, whatever became of its files, pins and documents, and
changes only what differs."""

import json
import os
import random
import shutil
import signal
import subprocess
import threading
import time

import bpfchain_test
from bpfchain_test import case, eventually, find_object, require_built, run_cases
from service_lab import ServiceLab, dbus_wire, order_program, simple_document, verdict_program


def three_chains(names=("a", "b")):
    """XDP and TC on eth0, XDP on eth1, with two programs each."""
    programs = {}
    chains = []
    for interface, hook in (("eth0", "xdp"), ("eth0", "tc-ingress"), ("eth1", "xdp")):
        used = [f"{name}-{interface}-{hook}" for name in names]
        programs |= {name: verdict_program(hook) for name in used}
        chains.append({"interfaces": [interface], "hook": hook, "programs": used, "counters": "all"})
    return {"programs": programs, "chains": chains}


def packets_of(lab):
    return {key: [(slot["program"], slot["packets"], slot["ended"]) for slot in chain["slots"]]
            for key, chain in lab.chains().items()}


@case
def a_crash_and_a_restart_change_nothing():
    with ServiceLab(wires=2) as lab:
        lab.document("edge", three_chains())
        lab.start()
        sender, receiver = lab.sender(), lab.receiver()
        lab.receive_exactly(sender, receiver, 50)
        ids, maps = lab.all_ids(), {m["path"]: m["map-id"] for m in lab.client_json("maps")}
        assert len(ids) == 3 and all(link and program for link, program in ids.values()), ids
        packets = packets_of(lab)
        for crash in (True, False, True):
            lab.daemon.kill() if crash else lab.daemon.stop()
            lab.receive_exactly(sender, receiver, 50)
            lab.daemon.start()
            assert lab.all_ids() == ids, f"{lab.all_ids()}, and it was {ids}"
            assert {m["path"]: m["map-id"] for m in lab.client_json("maps")} == maps
            after = packets_of(lab)
            for key in (("eth0", "xdp"), ("eth0", "tc-ingress")):
                for (name, saw, ended), (name_after, saw_after, ended_after) in zip(packets[key], after[key]):
                    assert name == name_after and saw_after == saw + 50, f"{key}: {after[key]}, and it was {packets[key]}"
                    assert ended_after - ended in (0, 50)
            packets = after
        assert all(chain["state"] == "active" for chain in lab.chains().values())
        assert lab.generation == 1 or lab.generation, "the generation is lost"


@case
def only_what_differs_is_changed():
    with ServiceLab(wires=2) as lab:
        lab.document("edge", three_chains())
        lab.start()
        before = lab.all_ids()
        lab.daemon.kill()
        document = three_chains()
        document["chains"][0]["programs"].reverse()
        lab.document("edge", document)
        lab.daemon.start()
        after = lab.all_ids()
        assert after["eth0", "xdp"][0] == before["eth0", "xdp"][0], "the link is another one"
        assert after["eth0", "xdp"][1] != before["eth0", "xdp"][1], "the order did not change"
        assert lab.order() == document["chains"][0]["programs"]
        for key in (("eth0", "tc-ingress"), ("eth1", "xdp")):
            assert after[key] == before[key], f"{key} was changed, too"


@case
def what_nobody_wants_any_more_goes():
    with ServiceLab(wires=2) as lab:
        lab.document("edge", three_chains())
        lab.document("other", simple_document("tc-egress", name="stays"))
        lab.start()
        lab.daemon.kill()
        os.unlink(lab.path("etc/bpfchain/chains.d/edge.json"))
        lab.daemon.start()
        assert list(lab.chains()) == [("eth0", "tc-egress")]
        assert lab.attached("eth0") is None and lab.attached("eth1") is None
        index = lab.inner.link("eth0")["ifindex"]
        assert [pin for pin in lab.pins() if pin.startswith("links")] == [f"links/if{index}-tc-egress"], lab.pins()
        assert not [pin for pin in lab.pins() if pin.startswith("maps/a")], lab.pins()


@case
def a_document_that_broke_while_it_was_away():
    with ServiceLab(wires=2) as lab:
        lab.document("edge", simple_document())
        lab.document("good", simple_document(interfaces=("eth1",), name="b"))
        lab.start()
        before = lab.all_ids()
        lab.daemon.kill()
        lab.document("edge", '{ "programs": { oops')
        lab.daemon.start()
        assert lab.all_ids() == before, "a typing error took a chain off"
        assert lab.chain("eth1")["state"] == "active"
        assert any("edge.json" in p["where"] + p["sentence"] for p in lab.problems()), lab.problems()
        assert lab.chain()["state"] == "degraded" and "edge" in lab.chain()["reason"], lab.chain()
        lab.document("edge", simple_document())
        lab.client("reload")
        assert lab.chain()["state"] == "active" and lab.all_ids()["eth1", "xdp"] == before["eth1", "xdp"]
        assert lab.chain()["link-id"] == before["eth0", "xdp"][0] and not lab.problems(), lab.problems()


def break_state(lab, how):
    path = lab.path("run/bpfchain/state.json")
    with open(path, encoding="ascii") as file:
        state = json.load(file)
    if how == "lost":
        os.unlink(path)
        return
    texts = {
        "empty": "", "cut off": json.dumps(state)[: len(json.dumps(state)) // 2], "no JSON": "\0\1\2garbage",
        "a list": "[]", "a number": "17", "null": "null", "deep": "[" * 100000,
        "another version": json.dumps(state | {"version": 99}), "no chains": json.dumps(state | {"chains": []}),
        "no programs": json.dumps(state | {"programs": []}),
        "wrong types": json.dumps(state | {"chains": [{"interface": 5, "hook": [], "slots": {}}]}),
        "null members": json.dumps(state | {"chains": [None, 3, "x"], "programs": [None, [], 1.5]}),
        "twice": json.dumps(state | {"chains": state["chains"] * 2, "programs": state["programs"] * 2}),
        "wild numbers": json.dumps(state | {"chains": [chain | {"ifindex": 2 ** 63, "program-id": -1}
                                                       for chain in state["chains"]]}),
        "foreign signature": json.dumps(state | {"chains": [chain | {"signature": "0" * 64}
                                                            for chain in state["chains"]]}),
        "wild seats": json.dumps(state | {"chains": [
            chain | {"seats": [{"seat": 10 ** 9, "program": "x", "base": [1] * 1000}]} for chain in state["chains"]]}),
    }
    lab.write("run/bpfchain/state.json", texts[how])


WAYS = ["lost", "empty", "cut off", "no JSON", "a list", "a number", "null", "deep", "another version", "no chains",
        "no programs", "wrong types", "null members", "twice", "wild numbers", "foreign signature", "wild seats"]


@case
def a_state_file_that_is_lost_or_broken():
    """Chains are built anew where it must be, and exchanged on their links, so that packets notice nothing."""
    with ServiceLab(wires=2) as lab:
        lab.document("edge", three_chains())
        lab.start()
        sender, receiver = lab.sender(), lab.receiver()
        links = {key: link for key, (link, _) in lab.all_ids().items()}
        for how in WAYS:
            lab.daemon.kill()
            break_state(lab, how)
            lab.daemon.start()
            found = {key: link for key, (link, _) in lab.all_ids().items()}
            assert found == links, f"state {how}: links {found}, and they were {links}"
            assert all(chain["state"] == "active" for chain in lab.chains().values()), f"state {how}"
            assert not lab.problems(), f"state {how}: {lab.problems()}"
            before = lab.chain()["packets"]
            lab.receive_exactly(sender, receiver, 10)
            assert lab.chain()["packets"] == before + 10, f"state {how}: counters stand still"


@case
def pins_that_somebody_removed():
    with ServiceLab() as lab:
        lab.document("edge", three_chains() | {"chains": three_chains()["chains"][:2]})
        lab.start()
        sender, receiver = lab.sender(), lab.receiver()
        before = lab.all_ids()
        pins = lab.pins()

        # Under a service that runs: it holds what it needs, and pins it again with the next change.
        for pin in pins:
            os.unlink(os.path.join(lab.bpffs, pin))
        lab.receive_exactly(sender, receiver, 10)
        assert lab.all_ids() == before and lab.chain()["packets"] == 10
        lab.client("order", "eth0", "xdp", "b-eth0-xdp", "a-eth0-xdp")
        assert lab.chain()["link-id"] == before["eth0", "xdp"][0]
        index = lab.inner.link("eth0")["ifindex"]
        assert {f"{kind}/if{index}-xdp" for kind in ("links", "programs", "counters")} <= set(lab.pins()), lab.pins()
        lab.client("order", "eth0", "xdp", "a-eth0-xdp", "b-eth0-xdp")

        # While it is away, one kind after the other.
        for kind in ("counters", "programs", "maps", "links"):
            lab.daemon.kill()
            for pin in lab.pins():
                if pin.startswith(kind):
                    os.unlink(os.path.join(lab.bpffs, pin))
            lab.daemon.start()
            assert lab.wait_chain() and lab.wait_chain("eth0", "tc-ingress"), f"without {kind}"
            packets = lab.chain()["packets"], lab.chain("eth0", "tc-ingress")["packets"]
            lab.receive_exactly(sender, receiver, 10)
            after = lab.chain()["packets"], lab.chain("eth0", "tc-ingress")["packets"]
            assert after == (packets[0] + 10, packets[1] + 10), f"without {kind}: {after}, and it was {packets}"
            assert len([pin for pin in lab.pins() if pin.startswith("links")]) == 2, f"without {kind}: {lab.pins()}"


@case
def foreign_files_among_the_pins():
    with ServiceLab() as lab:
        lab.document("edge", simple_document())
        lab.start()
        ids = lab.all_ids()
        path = os.path.join(lab.bpffs, "links", "if4294967295-xdp")
        lab.inner.run("bpftool", "prog", "load", find_object("verdict-v2.bpf.o"), path, "type", "xdp")
        os.mkdir(os.path.join(lab.bpffs, "links", "nonsense"))
        os.mkdir(os.path.join(lab.bpffs, "maps", "_2e_2e"))
        lab.restart()
        assert lab.all_ids() == ids and not lab.problems()


@case
def a_reboot():
    """Everything in memory is gone, and so are the folder that a document was applied from and its objects."""
    with ServiceLab() as lab:
        lab.start()
        source = shutil.copy(find_object("verdict.bpf.o"), lab.path("my.bpf.o"))
        document = simple_document()
        document["programs"]["a"]["object"] = "my.bpf.o"
        lab.client("apply", lab.write("edge.json", document))
        lab.apply("until-then", simple_document("tc-ingress", name="b"), "--runtime")
        assert len(lab.chains()) == 2
        lab.daemon.stop()
        for pin in lab.pins():
            os.unlink(os.path.join(lab.bpffs, pin))
        shutil.rmtree(lab.path("run/bpfchain"))
        os.unlink(source)
        assert lab.attached("eth0") is None
        lab.daemon.start()
        assert list(lab.chains()) == [("eth0", "xdp")]
        assert lab.chain()["state"] == "active" and lab.attached("eth0")[1] == lab.chain()["program-id"]
        lab.receive_exactly(lab.sender(), lab.receiver())


@case
def stopping_leaves_chains_and_detaching_takes_them():
    with ServiceLab(wires=2) as lab:
        lab.document("edge", three_chains())
        lab.start()
        lab.daemon.stop()
        assert lab.attached("eth0") and lab.attached("eth1")
        lab.daemon.start()
        lab.client("detach", "--all")
        lab.daemon.stop()
        assert lab.attached("eth0") is None and lab.attached("eth1") is None
        assert not [pin for pin in lab.pins() if pin.startswith(("links", "programs", "counters"))], lab.pins()
        # What was taken off by hand comes back with the next start, which reads all documents.
        lab.daemon.start()
        assert lab.attached("eth0") and lab.attached("eth1")


@case
def two_services_at_once():
    """The second one goes away by itself, and the first one does not notice."""
    with ServiceLab() as lab:
        lab.document("edge", simple_document())
        lab.start()
        ids = lab.all_ids()
        second = lab.inner.popen([bpfchain_test.DAEMON, f"--root={lab.root}", f"--bpffs={lab.bpffs}", "--bus=none",
                                  f"--socket={lab.daemon.socket}"], stderr=subprocess.PIPE, text=True)
        _, said = second.communicate(timeout=20)
        assert second.returncode != 0 and lab.daemon.socket in said and "another" in said, said
        assert lab.all_ids() == ids and lab.daemon.running


@case
def reload_by_signal():
    with ServiceLab() as lab:
        lab.start()
        lab.document("edge", simple_document())
        lab.daemon.notified.clear()
        os.kill(lab.daemon.pid, signal.SIGHUP)
        lab.wait_chain()
        eventually(lambda: "READY=1" in lab.daemon.notified)
        told = list(lab.daemon.notified)
        assert told.index("RELOADING=1") < told.index("READY=1"), told
        assert any(line.startswith("MONOTONIC_USEC=") for line in told), told
        lab.daemon.notified.clear()
        lab.daemon.stop()
        eventually(lambda: "STOPPING=1" in lab.daemon.notified)


@case
def crashes_in_the_middle_of_changes():
    """However far a change came, the next service finds one chain or the other, on the same link."""
    chance = random.Random(4)
    orders = [("a", "b", "c"), ("c", "b", "a"), ("b", "c", "a")]
    with ServiceLab() as lab:
        lab.start()
        lab.apply("edge", {"programs": {n: order_program(i, hook) for hook in ("xdp",) for i, n in enumerate("abc", 1)},
                           "chains": [{"interfaces": ["eth0"], "hook": "xdp", "programs": list("abc")}]})
        link = lab.chain()["link-id"]
        path = lab.chain()["path"]
        with lab.traffic(rate=20000) as traffic:
            for _ in range(25):
                stop = threading.Event()

                def change():
                    try:
                        bus = dbus_wire.Client(f"unix:path={lab.daemon.socket}", hello=False)
                        while not stop.is_set():
                            for order in orders:
                                bus.call(path, "org.bpfchain1.Chain", "SetOrder", "asa{sv}", list(order), {})
                    except (dbus_wire.Gone, OSError, TimeoutError):
                        pass

                thread = threading.Thread(target=change)
                thread.start()
                time.sleep(0.02 + chance.random() * 0.08)
                lab.daemon.kill()
                stop.set()
                thread.join()
                lab.daemon.start()
                chain = lab.chain()
                assert chain["link-id"] == link, f"the link was {link} and is {chain['link-id']}"
                assert chain["state"] == "active" and tuple(lab.order()) in orders, chain
                assert chain["program-id"] == lab.attached("eth0")[1]
                assert not [pin for pin in lab.pins() if pin.endswith("~")], f"something still waits: {lab.pins()}"
        traffic.assert_nothing_lost()
        numbers = {"a": 1, "b": 2, "c": 3}
        allowed = {tuple((numbers[name], 0) for name in order) for order in orders}
        assert set(traffic.traces()) <= allowed, set(traffic.traces()) - allowed


require_built()
run_cases()
