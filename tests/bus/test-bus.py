#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The service on a message bus: options, errors, maps, signals, and a bus that comes and goes."""

import json
import os
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from bus_lab import NOBODY, BusLab, memory_counts, memory_kib, require_bus, settle  # noqa: E402
from bpfchain_test import Skip, case, eventually, find_object, run_cases  # noqa: E402
from dbus_wire import SIGNAL, Error  # noqa: E402
from edge_lab import (ARRAY, CHAIN, CHAIN0, CHAIN1, HASH, INTERFACE, MANAGER, MAP, PROGRAM, ROOT, RULES,  # noqa: E402
                      EdgeLab, key, methods, refused, state, value)


@case
def unknown_and_wrong_options_are_named():
    with EdgeLab() as lab:
        client = lab.new_client()
        before = state(lab)
        for kind, *call in methods():
            if "a{sv}" not in call[3]:
                continue
            *call, _ = call
            for options, word in (({"dry-rum": ("b", True)}, '"dry-rum"'), ({"": ("s", "")}, '""')):
                try:
                    client.call(*call, options)
                    raise AssertionError(f"{call} took the option {word}")
                except Error as error:
                    assert error.short == "InvalidArgument" and word in error.message, error
                    knows = {"Delete": "none", "GetMetrics": "none", "Set": "create-only", "SetMode": "force",
                             "Simulate": "contents", "Test": "policy"}.get(call[2], "dry-run")
                    assert knows in error.message, error
        for options in ({"runtime": ("s", "yes")}, {"confirm-timeout": ("u", 1)},
                        [("runtime", ("b", True)), ("runtime", ("b", True))]):
            assert refused(client, CHAIN0, CHAIN, "Detach", "a{sv}", options) == "InvalidArgument"
        assert refused(client, ROOT, MANAGER, "Apply", "ssa{sv}", "x", "{}",
                       {"base-directory": ("s", "relative")}) == "InvalidArgument"
        assert refused(client, ROOT, MANAGER, "Plan", "ssa{sv}", "x", "{}",
                       {"dry-run": ("b", False)}) == "InvalidArgument"
        assert refused(client, HASH, MAP, "Set", "ayaya{sv}", key(1), value(1),
                       {"create-only": ("b", True), "replace-only": ("b", True)}) == "InvalidArgument"
        assert state(lab) == before


@case
def options_do_what_they_say():
    with EdgeLab() as lab:
        client = lab.new_client()
        generation = client.get(ROOT, MANAGER, "Generation")
        assert client.call(CHAIN0, CHAIN, "Detach", "a{sv}", {"dry-run": ("b", True)}) == generation
        assert client.get(CHAIN0, CHAIN, "State") == "active"
        assert refused(client, CHAIN0, CHAIN, "Detach", "a{sv}",
                       {"expected-generation": ("t", generation + 1)}) == "StaleGeneration"
        client.call(CHAIN0, CHAIN, "SetOrder", "asa{sv}", ["b", "a"],
                    {"expected-generation": ("t", generation), "runtime": ("b", True)})
        assert [d[1].startswith(lab.path("run")) for d in client.call(ROOT, MANAGER, "ListDocuments")
                if d[0] == "edit-eth0-xdp"] == [True]
        client.call(ROOT, MANAGER, "Withdraw", "sa{sv}", "edit-eth0-xdp", {"runtime": ("b", True)})

        client.call(HASH, MAP, "Set", "ayaya{sv}", key(1), value(1), {"create-only": ("b", True)})
        assert refused(client, HASH, MAP, "Set", "ayaya{sv}", key(1), value(2),
                       {"create-only": ("b", True)}) == "EntryExists"
        assert refused(client, HASH, MAP, "Set", "ayaya{sv}", key(2), value(2),
                       {"replace-only": ("b", True)}) == "NoSuchEntry"
        client.call(HASH, MAP, "Set", "ayaya{sv}", key(1), value(3), {"replace-only": ("b", True)})
        assert client.call(HASH, MAP, "Get", "ay", key(1)) == value(3)


@case
def errors_have_their_names():
    with EdgeLab() as lab:
        client = lab.new_client()
        lab.install("rejected.bpf.o")
        before = state(lab)

        def apply(contents, name="x"):
            text = contents if isinstance(contents, str) else json.dumps(contents)
            return refused(client, ROOT, MANAGER, "Apply", "ssa{sv}", name, text, {})

        assert apply("{") == "InvalidDocument"
        assert apply({"programs": {"a": {"object": "maps.bpf.o"}}}) == "NameTaken"
        assert apply({"chains": []}, "no/name") == "InvalidArgument"
        assert apply(" " * (4 * 1024 * 1024 + 1)) == "LimitExceeded"
        assert refused(client, ROOT, MANAGER, "Withdraw", "sa{sv}", "none", {}) == "NoSuchDocument"
        assert refused(client, ROOT, MANAGER, "GetDocument", "s", "none") == "NoSuchDocument"
        assert refused(client, ROOT, MANAGER, "GetInterface", "s", "none0") == "NoSuchInterface"
        assert refused(client, ROOT, MANAGER, "GetChain", "ss", "none0", "xdp") == "NoSuchChain"
        assert refused(client, ROOT, MANAGER, "GetChain", "ss", "eth0", "xpd") == "InvalidArgument"
        assert refused(client, ROOT, MANAGER, "GetProgram", "s", "none") == "NoSuchProgram"
        assert refused(client, ROOT, MANAGER, "GetMap", "ss", "none", "m_hash") == "NoSuchProgram"
        assert refused(client, ROOT, MANAGER, "GetMap", "ss", "a", "none") == "NoSuchMap"
        assert refused(client, ROOT, MANAGER, "Confirm", "t", 1) == "NothingToConfirm"
        assert refused(client, CHAIN0, CHAIN, "Insert", "ssa{sv}", "none", "last", {}) == "NoSuchProgram"
        assert refused(client, CHAIN0, CHAIN, "Insert", "ssa{sv}", "a", "last", {}) == "EntryExists"
        assert refused(client, CHAIN0, CHAIN, "Insert", "ssa{sv}", "a", "middle", {}) == "InvalidArgument"
        assert refused(client, CHAIN0, CHAIN, "Insert", "ssa{sv}", "a b", "last", {}) == "InvalidArgument"
        assert refused(client, CHAIN0, CHAIN, "SetOrder", "asa{sv}", ["a"], {}) == "InvalidArgument"
        assert refused(client, CHAIN0, CHAIN, "SetOrder", "asa{sv}", ["a"] * 100, {}) == "InvalidArgument"
        assert refused(client, HASH, MAP, "Get", "ay", b"123") == "InvalidArgument"
        assert refused(client, HASH, MAP, "Get", "ay", key(1)) == "NoSuchEntry"
        assert refused(client, HASH, MAP, "Set", "ayaya{sv}", key(1), b"", {}) == "InvalidArgument"
        assert refused(client, HASH, MAP, "Dump", "ayu", b"1", 1) == "InvalidArgument"
        assert refused(client, HASH, MAP, "Dump", "ayu", b"", 0) == "InvalidArgument"
        assert refused(client, HASH, MAP, "Dump", "ayu", b"", 4097) == "InvalidArgument"
        assert refused(client, ARRAY, MAP, "Delete", "aya{sv}", key(1), {}) == "NotSupported"

        # The decisive line of the verifier's log, and where the rest is.
        document = {"programs": {"r": {"object": "rejected.bpf.o", "function": "xdp_rejected"}},
                    "chains": [{"interfaces": ["eth0"], "hook": "xdp", "programs": ["r"]}]}
        try:
            client.call(ROOT, MANAGER, "Apply", "ssa{sv}", "x", json.dumps(document), {})
            raise AssertionError("a bad program was taken")
        except Error as error:
            assert error.short == "VerifierRejected", error
            assert "journalctl" in error.message, error.message
        assert state(lab) == before

        # What is no call of ours at all is an error as well.
        for path, interface, member, name in (
                (ROOT + "/chain/none0/xdp", CHAIN, "Detach", "UnknownObject"),
                (ROOT + "/chain/_65th0/xdp", CHAIN, "Detach", "UnknownObject"),
                (CHAIN0, CHAIN, "Dance", "UnknownMethod"), (ROOT, CHAIN, "Detach", "UnknownMethod")):
            signature = "a{sv}" if member == "Detach" else ""
            got = refused(client, path, interface, member, signature, *([{}] if signature else []))
            assert got in (name, "UnknownInterface", "UnknownMethod"), got
        assert refused(client, CHAIN0, CHAIN, "Detach", "s", "x") == "InvalidArgs"


@case
def maps_are_dumped_piece_by_piece():
    with EdgeLab() as lab:
        client = lab.new_client()
        for i in range(100):
            client.call(HASH, MAP, "Set", "ayaya{sv}", key(i), value(i * i), {})
        seen, cursor, pieces = {}, b"", 0
        while True:
            entries, cursor = client.call(HASH, MAP, "Dump", "ayu", cursor, 7)
            assert len(entries) <= 7
            assert not any(k in seen for k, _ in entries)
            seen.update(entries)
            pieces += 1
            if not cursor:
                break
        assert seen == {key(i): value(i * i) for i in range(100)} and pieces >= 15

        # The entry of the cursor goes: it starts over, and ends all the same.
        entries, cursor = client.call(HASH, MAP, "Dump", "ayu", b"", 50)
        assert cursor == entries[-1][0]
        client.call(HASH, MAP, "Delete", "aya{sv}", cursor, {})
        rest, end = client.call(HASH, MAP, "Dump", "ayu", cursor, 4096)
        assert end == b"" and len(rest) == 99

        cpus = client.get(ROOT + "/map/a/m_5fpercpu_5fhash", MAP, "ValueCount")
        assert cpus >= 1
        path = ROOT + "/map/a/m_5fpercpu_5farray"
        size = client.get(path, MAP, "ValueSize")
        entries, end = client.call(path, MAP, "Dump", "ayu", b"", 100)
        assert end == b"" and len(entries) == 4
        assert all(len(v) == (size + 7) // 8 * 8 * cpus for _, v in entries)


@case
def changes_are_told_once_and_before_the_reply():
    with EdgeLab() as lab:
        client = lab.new_client()
        client.match("type='signal',sender='org.bpfchain1'")
        document = {"programs": {"c": {"object": "maps.bpf.o"}},
                    "chains": [{"interfaces": ["eth0", "eth7"], "hook": "xdp", "order": 900, "programs": ["c"]}]}
        client.take_signals(1)  # those of the start
        # One burst: reply() stops reading at the reply, so what is there by then came before it.
        generation, _ = client.call(ROOT, MANAGER, "Apply", "ssa{sv}", "more", json.dumps(document), {})
        early = [m for m in client.signals if m.kind == SIGNAL]
        client.signals = []
        late = client.take_signals()
        assert not late, late

        added = [m.body[0] for m in early if m.member == "InterfacesAdded"]
        maps = client.get(ROOT + "/program/c", PROGRAM, "Maps")
        assert len(maps) > 10
        assert sorted(added) == sorted([ROOT + "/chain/eth7/xdp", ROOT + "/program/c", *maps]), added
        for message in early:
            if message.member == "InterfacesAdded" and message.body[0] == ROOT + "/chain/eth7/xdp":
                assert message.path == ROOT and message.body[1][CHAIN]["State"] == "waiting"

        changed = {}
        for message in early:
            if message.member == "PropertiesChanged":
                assert message.path not in changed, f"{message.path} was told twice"
                changed[message.path] = message.body
        assert set(changed) == {ROOT, CHAIN0}, set(changed)
        assert changed[ROOT][1]["Generation"] == generation
        interface, properties, invalidated = changed[CHAIN0]
        assert interface == CHAIN and invalidated == ["Slots"]
        assert properties["Documents"] == ["edge", "more"]
        assert "Packets" not in properties and "Hook" not in properties
        assert [m.body[0] for m in early if m.member == "GenerationCommitted"] == [generation]

        # Programs and interfaces hear of chains that came and went.
        client.call(CHAIN0, CHAIN, "Remove", "sa{sv}", "c", {})
        told = {m.path: m.body for m in client.signals if m.member == "PropertiesChanged"}
        assert told[ROOT + "/program/c"][1] == {"Chains": [ROOT + "/chain/eth7/xdp"]}, told
        client.take_signals()

        client.call(ROOT, MANAGER, "Withdraw", "sa{sv}", "more", {})
        removed = [m.body for m in client.signals if m.member == "InterfacesRemoved"]
        assert sorted(r[0] for r in removed) == sorted([ROOT + "/chain/eth7/xdp", ROOT + "/program/c", *maps])
        assert all(len(r[1]) == 1 for r in removed)

        # What is read changes nothing and tells nothing.
        client.take_signals()
        client.call(ROOT, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")
        client.call(ROOT, MANAGER, "Plan", "ssa{sv}", "more", json.dumps(document), {})
        told = client.take_signals()
        assert not [m for m in told if m.member in ("InterfacesAdded", "InterfacesRemoved", "GenerationCommitted")], told


@case
def interfaces_come_go_and_change():
    with EdgeLab() as lab:
        client = lab.new_client()
        client.match("type='signal',sender='org.bpfchain1'")
        path = ROOT + "/interface/bct_2dd0"
        lab.inner.ip("link", "add", "bct-d0", "type", "veth", "peer", "name", "bct-d1")
        eventually(lambda: [m for m in client.take_signals(0.05)
                            if m.member == "InterfacesAdded" and m.body[0] == path])
        assert client.get_all(path, INTERFACE)["Kind"] == "veth"
        lab.inner.ip("link", "set", "bct-d0", "mtu", "1400", "up")
        eventually(lambda: [m for m in client.take_signals(0.05)
                            if m.path == path and m.body[1].get("Mtu") == 1400])
        eventually(lambda: client.get(path, INTERFACE, "Up"))
        lab.inner.ip("link", "property", "add", "dev", "bct-d0", "altname", "bct-other-name")
        eventually(lambda: client.get(path, INTERFACE, "AlternativeNames") == ["bct-other-name"])
        lab.inner.ip("link", "del", "bct-d0")
        eventually(lambda: [m for m in client.take_signals(0.05)
                            if m.member == "InterfacesRemoved" and m.body[0] == path])


@case
def a_hook_that_somebody_holds_is_told():
    with EdgeLab() as lab:
        lab.inner.run("ip", "link", "add", "bct-v0", "type", "veth", "peer", "name", "bct-v1")
        taken = lab.inner.run("ip", "link", "set", "dev", "bct-v0", "xdpgeneric", "obj", find_object("verdict.bpf.o"),
                              "sec", "xdp", check=False)
        if taken.returncode:
            raise Skip("ip(8) can't attach XDP here: " + (taken.stderr.strip().splitlines() or ["?"])[0])
        client = lab.new_client()
        client.match("type='signal',sender='org.bpfchain1'")
        path = ROOT + "/chain/bct_2dv0/xdp"
        foreign = eventually(lambda: client.get(ROOT + "/interface/bct_2dv0", INTERFACE, "Foreign"))
        assert [(f["hook"], f["name"]) for f in foreign] == [("xdp", "xdp_verdict")]

        document = {"chains": [{"interfaces": ["bct-v0"], "hook": "xdp", "programs": ["a"]}]}
        client.take_signals(0.5)
        _, report = client.call(ROOT, MANAGER, "Apply", "ssa{sv}", "mine", json.dumps(document), {})
        assert [c["change"] for c in json.loads(report)["chains"]] == ["conflict"]
        conflicts = [m for m in client.signals if m.member == "Conflict"]
        assert len(conflicts) == 1 and conflicts[0].path == path
        holder = conflicts[0].body[0]
        assert holder["hook"] == "xdp" and holder["reason"] and holder["program-id"] == foreign[0]["program-id"]
        assert client.get(path, CHAIN, "State") == "conflict"
        assert client.get(ROOT, MANAGER, "State") == "degraded"
        assert any(p[0] == "error" and p[2] for p in client.get(ROOT, MANAGER, "Problems"))


@case
def interface_names_may_hold_any_bytes():
    with EdgeLab() as lab:
        # The bus can't carry such a name; nobody else's objects suffer from it.
        client = lab.new_client()
        lab.inner.run("ip", "link", "add", "bct-v1", "type", "veth", "peer", "name", b"bct\xff\xfe")
        eventually(lambda: ROOT + "/interface/bct_2dv1" in client.call(
            ROOT, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects"))


@case
def a_rename_is_another_object():
    with EdgeLab() as lab:
        client = lab.new_client()
        client.match("type='signal',sender='org.bpfchain1'")
        client.take_signals(0.5)
        lab.inner.ip("link", "set", "eth1", "down")
        lab.inner.ip("link", "set", "eth1", "name", "bct-new")
        seen = []

        def both():
            seen.extend(client.take_signals(0.05))
            return (any(m.member == "InterfacesRemoved" and m.body[0] == ROOT + "/interface/eth1" for m in seen) and
                    any(m.member == "InterfacesAdded" and m.body[0] == ROOT + "/interface/bct_2dnew" for m in seen))

        eventually(both)
        eventually(lambda: client.get(CHAIN1, CHAIN, "State") == "waiting")
        objects = client.call(ROOT, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")
        assert ROOT + "/interface/eth1" not in objects


@case
def a_confirmation_that_does_not_come_is_told():
    with EdgeLab() as lab:
        client = lab.new_client()
        client.match("type='signal',sender='org.bpfchain1'")
        generation = client.call(CHAIN0, CHAIN, "SetOrder", "asa{sv}", ["b", "a"],
                                 {"confirm-timeout": ("t", 300_000)})
        assert [s[1] for s in client.get(CHAIN0, CHAIN, "Slots")] == ["b", "a"]
        told = eventually(lambda: [m for m in client.take_signals(0.05) if m.member == "GenerationRolledBack"])[0]
        assert told.body[0] == generation and told.body[1] > generation and told.body[2]
        assert [s[1] for s in client.get(CHAIN0, CHAIN, "Slots")] == ["a", "b"]


@case
def the_bus_may_go_and_come_back():
    with EdgeLab() as lab:
        client = lab.new_client()
        lab.polkit.send_signal(signal.SIGSTOP)
        client.send(CHAIN0, CHAIN, "Detach", "a{sv}", {})  # a question that never gets its answer
        settle()
        lab.stop_bus()
        lab.polkit.send_signal(signal.SIGCONT)
        lab.stop_polkit()
        settle(0.3)
        assert lab.private_client().get(CHAIN0, CHAIN, "State") == "active"
        lab.start_bus()
        lab.start_polkit()
        lab.wait_for_name("org.bpfchain1")
        client = lab.new_client()
        client.call(CHAIN0, CHAIN, "Detach", "a{sv}", {})
        assert client.get(CHAIN0, CHAIN, "State") == "detached"


@case
def the_service_starts_before_the_bus():
    with BusLab(rules=RULES) as lab:
        lab.stop_bus()
        lab.stop_polkit()
        lab.start(wait=False)
        lab.daemon.wait_ready()
        settle(0.3)
        client = lab.private_client()
        assert client.get(ROOT, MANAGER, "State") == "running"

        # Signals for a bus that is not there are not kept.
        programs = {"programs": {f"p{i}": {"object": "maps.bpf.o"} for i in range(200)}}
        before = memory_kib(lab)
        for _ in range(15):
            client.call(ROOT, MANAGER, "Apply", "ssa{sv}", "x", json.dumps(programs), {"runtime": ("b", True)})
            client.call(ROOT, MANAGER, "Withdraw", "sa{sv}", "x", {"runtime": ("b", True)})
            client.signals.clear()
        assert memory_kib(lab) < before + 4096 or not memory_counts(), memory_kib(lab)

        lab.start_bus()
        lab.wait_for_name("org.bpfchain1")
        assert lab.new_client(NOBODY).get(ROOT, MANAGER, "Version")


require_bus()
run_cases()
