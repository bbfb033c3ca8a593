#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Chain.Simulate and Manager.Simulate as calls: arguments, bounds, rights, and what they do to others while they go
on. What they find out is tested in tests/netns/test-service-simulate.py."""

import json
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from bus_lab import DAEMON_USER, NOBODY, require_bus  # noqa: E402
from bpfchain_test import Skip, case, eventually, run_cases  # noqa: E402
from dbus_wire import NO_REPLY_EXPECTED, Error  # noqa: E402
from edge_lab import CHAIN, CHAIN0, CHAIN1, EDGE, MANAGER, ROOT, EdgeLab, refused, state  # noqa: E402

FRAME = bytes(60)
PACKETS_MAX, BYTES_MAX, SIZE_MIN, SIZE_MAX, AT_ONCE = 16384, 8 << 20, 14, 3520, 4


def fail(client, *call):
    """Name and sentence of the error."""
    try:
        client.call(*call)
    except Error as error:
        return error.short, error.message
    raise AssertionError(f"{call[2]} was not refused")


def simulate(client, packets, options=None, path=CHAIN0):
    return json.loads(client.call(path, CHAIN, "Simulate", "aaya{sv}", packets, options or {}))


def descriptors(lab):
    return len(os.listdir(f"/proc/{lab.daemon.pid}/fd"))


@case
def the_bounds_are_kept_and_named():
    with EdgeLab() as lab:
        client = lab.private_client()
        before = state(lab)
        for packets, name, words in (
                ([], "InvalidArgument", ["no packet"]),
                ([FRAME, b""], "InvalidArgument", ["Packet 1 has 0 bytes", "14 to 3520"]),
                ([bytes(SIZE_MIN - 1)], "InvalidArgument", ["Packet 0 has 13 bytes"]),
                ([FRAME, FRAME, bytes(SIZE_MAX + 1)], "InvalidArgument", ["Packet 2 has 3521 bytes"]),
                ([bytes(1 << 20)], "InvalidArgument", ["Packet 0 has 1048576 bytes"]),
                ([bytes(SIZE_MIN)] * (PACKETS_MAX + 1), "LimitExceeded", ["More than 16384 packets"]),
                ([bytes(SIZE_MAX)] * (BYTES_MAX // SIZE_MAX + 1), "LimitExceeded", ["8391680 bytes", "8388608"])):
            found = fail(client, CHAIN0, CHAIN, "Simulate", "aaya{sv}", packets, {})
            assert found[0] == name and all(word in found[1] for word in words), found
            found = fail(client, ROOT, MANAGER, "Simulate", "ssaaya{sv}", "edge", json.dumps(EDGE), packets, {})
            assert found[0] == name and all(word in found[1] for word in words), found

        # Just within them.
        assert simulate(client, [bytes(SIZE_MIN), bytes(SIZE_MAX)])["verdicts"] == {"pass": 2}
        assert simulate(client, [bytes(SIZE_MAX)] * (BYTES_MAX // SIZE_MAX))["refused"] == 0
        assert len(simulate(client, [bytes(SIZE_MIN)] * PACKETS_MAX)["packets"]) == PACKETS_MAX
        assert state(lab) == before


@case
def arguments_are_checked():
    with EdgeLab() as lab:
        client = lab.private_client()
        for options, words in (({"runtime": ("b", True)}, "This method knows: contents."),
                               ({"chain": ("s", "eth0/xdp")}, "There is no option \"chain\""),
                               ({"contents": ("s", "yes")}, "Option \"contents\" is a boolean"),
                               ([("contents", ("b", True)), ("contents", ("b", True))], "given twice")):
            assert words in fail(client, CHAIN0, CHAIN, "Simulate", "aaya{sv}", [FRAME], options)[1]

        def plan(name, document, options):
            text = document if isinstance(document, str) else json.dumps(document)
            return fail(client, ROOT, MANAGER, "Simulate", "ssaaya{sv}", name, text, [FRAME], options)

        assert plan("../x", EDGE, {})[0] == "InvalidArgument"
        name, sentence = plan("edge", "{", {})
        assert name == "InvalidDocument" and sentence.startswith("edge.json:1:2:"), (name, sentence)
        assert plan("edge", " " * (4 << 20) + "{}", {})[0] == "LimitExceeded"
        assert plan("edge", EDGE, {"dry-run": ("b", False)})[0] == "InvalidArgument"
        assert plan("edge", EDGE, {"expected-generation": ("t", 99)})[0] == "StaleGeneration"
        assert plan("edge", EDGE, {"chain": ("s", "eth9/xdp")})[0] == "NoSuchChain"
        gone = {"programs": {"gone": {"object": "gone.bpf.o"}},
                "chains": [{"interfaces": ["eth0"], "hook": "xdp", "programs": ["gone"]}]}
        assert plan("more", gone, {})[0] == "InvalidDocument"
        client.call(CHAIN1, CHAIN, "Detach", "a{sv}", {})
        name, sentence = fail(client, CHAIN1, CHAIN, "Simulate", "aaya{sv}", [FRAME], {})
        assert name == "NotSupported" and "nothing runs on eth1/xdp" in sentence, (name, sentence)


@case
def who_may_change_the_chain_may_simulate_it():
    with EdgeLab() as lab:
        allowed, nobody, root = lab.new_client(DAEMON_USER), lab.new_client(NOBODY), lab.new_client()
        needs = "InteractiveAuthorizationRequired"
        before = state(lab)
        assert simulate(allowed, [FRAME])["verdicts"] == {"pass": 1}
        assert simulate(root, [FRAME], path=CHAIN1)["verdicts"] == {"pass": 1}
        assert refused(allowed, CHAIN1, CHAIN, "Simulate", "aaya{sv}", [FRAME], {}) == needs
        assert refused(nobody, CHAIN0, CHAIN, "Simulate", "aaya{sv}", [FRAME], {}) == needs

        document = ("ssaaya{sv}", "theirs", '{"chains": []}', [FRAME], {})
        assert json.loads(allowed.call(ROOT, MANAGER, "Simulate", *document))["chains"] == []
        assert refused(nobody, ROOT, MANAGER, "Simulate", *document) == needs
        assert refused(allowed, ROOT, MANAGER, "Simulate", "ssaaya{sv}", "edge", "{}", [FRAME], {}) == needs
        assert state(lab) == before


@case
def large_calls_go_over_the_bus():
    with EdgeLab() as lab:
        client = lab.new_client()
        report = simulate(client, [bytes(512)] * PACKETS_MAX)
        assert report["verdicts"] == {"pass": PACKETS_MAX} and len(report["packets"]) == PACKETS_MAX
        # And back: in a chain that changes nothing, contents cost nothing.
        assert simulate(client, [bytes(512)] * 1000, {"contents": ("b", True)})["packets"][999]["size"] == 512


@case
def others_are_served_meanwhile():
    with EdgeLab() as lab:
        client, other = lab.private_client(), lab.private_client()
        serial = client.send(CHAIN0, CHAIN, "Simulate", "aaya{sv}", [FRAME] * PACKETS_MAX, {})
        waits, started = [], time.monotonic()
        while serial not in client.replies:
            begun = time.monotonic()
            other.get(ROOT, MANAGER, "State")
            waits.append(time.monotonic() - begun)
            client.pump(0)
        took = time.monotonic() - started
        assert len(client.reply(serial).result) > 100 * PACKETS_MAX
        waits.sort()
        print(f"# {len(waits)} calls in {took:.2f} s, waits: median {waits[len(waits) // 2] * 1000:.1f} ms, "
              f"longest {waits[-1] * 1000:.1f} ms")
        assert len(waits) > 5 and waits[len(waits) // 2] < took / 4, waits


@case
def a_change_meanwhile_has_no_influence():
    with EdgeLab() as lab:
        client, other = lab.private_client(), lab.private_client()
        serial = client.send(CHAIN0, CHAIN, "Simulate", "aaya{sv}", [FRAME] * PACKETS_MAX, {})
        changes = 0
        while serial not in client.replies or changes < 2:
            other.call(CHAIN0, CHAIN, "Detach" if changes % 2 == 0 else "Attach", "a{sv}", {})
            changes += 1
            client.pump(0)
        report = json.loads(client.reply(serial).result)
        assert report["programs"] == ["a", "b"] and report["verdicts"] == {"pass": PACKETS_MAX}
        other.call(ROOT, MANAGER, "Withdraw", "sa{sv}", "edge", {})


@case
def a_client_that_goes_takes_its_simulation_along():
    with EdgeLab() as lab:
        simulate(lab.private_client(), [FRAME])
        for connect in (lab.new_client, lab.private_client):
            watcher = lab.private_client()
            idle = eventually(lambda: descriptors(lab))
            for _ in range(3):
                client = connect()
                client.send(CHAIN0, CHAIN, "Simulate", "aaya{sv}", [FRAME] * PACKETS_MAX, {})
                eventually(lambda: descriptors(lab) > idle + 10, interval=0.001)  # it has copies of the maps
                client.close()
                eventually(lambda: descriptors(lab) <= idle + 2)
            assert watcher.get(ROOT, MANAGER, "State") == "running"
            watcher.close()


def ask_all_at_once(clients):
    """How many of these are told that it is too much at once."""
    call = (CHAIN0, CHAIN, "Simulate", "aaya{sv}", [FRAME] * PACKETS_MAX, {})
    serials = [client.send(*call) for client in clients]
    busy = 0
    for client, serial in zip(clients, serials, strict=True):
        try:
            assert json.loads(client.reply(serial).result)["verdicts"] == {"pass": PACKETS_MAX}
        except Error as error:
            assert error.short == "Busy" and f"{AT_ONCE} simulations are under way" in error.message, error
            busy += 1
    return busy


@case
def no_more_than_a_few_at_once():
    with EdgeLab() as lab:
        clients = [lab.private_client() for _ in range(AT_ONCE + 3)]
        # A simulation may be over before the next one is asked for: then nobody is too many.
        told = [ask_all_at_once(clients) for _ in range(5)]
        assert max(told) <= 3, told
        # The way is free again.
        assert simulate(clients[0], [FRAME])["verdicts"] == {"pass": 1}
        # Who wants no reply gets none, and nothing stays of it.
        clients[1].send(CHAIN0, CHAIN, "Simulate", "aaya{sv}", [FRAME], {}, flags=NO_REPLY_EXPECTED)
        assert simulate(clients[1], [FRAME])["verdicts"] == {"pass": 1}
        if max(told) == 0:
            raise Skip("simulations are over here before there are too many")


@case
def the_service_ends_in_the_middle_of_one():
    with EdgeLab() as lab:
        client = lab.private_client()
        client.send(CHAIN0, CHAIN, "Simulate", "aaya{sv}", [FRAME] * PACKETS_MAX, {})
        idle = descriptors(lab)
        eventually(lambda: descriptors(lab) > idle or descriptors(lab) > 40)
        lab.daemon.stop()  # a bad exit status counts
        lab.daemon.start()
        assert simulate(lab.private_client(), [FRAME])["verdicts"] == {"pass": 1}


require_bus()
run_cases()
