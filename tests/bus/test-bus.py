#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The service on a message bus with the real polkitd: who may do what, errors, signals, and rough handling."""

import json
import os
import signal
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from bus_lab import DAEMON_USER, NOBODY, BusLab, memory_counts, memory_kib, require_bus, settle  # noqa: E402
from bpfchain_test import PATIENCE, Skip, case, eventually, find_object, run_cases  # noqa: E402
from dbus_wire import ALLOW_INTERACTIVE, NO_REPLY_EXPECTED, SIGNAL, Client, Error  # noqa: E402

ROOT = "/org/bpfchain1"
MANAGER, CHAIN, PROGRAM, MAP, INTERFACE = (f"org.bpfchain1.{n}" for n in
                                           ("Manager", "Chain", "Program", "Map", "Interface"))
CHAIN0, CHAIN1 = ROOT + "/chain/eth0/xdp", ROOT + "/chain/eth1/xdp"
HASH, ARRAY = ROOT + "/map/a/m_5fhash", ROOT + "/map/a/m_5farray"

# The user "daemon" may change one chain, but not detach it, and read one map.
RULES = """
polkit.addRule(function (action, subject) {
        if (subject.user != "daemon")
                return polkit.Result.NOT_HANDLED;
        if (action.id == "org.bpfchain1.manage-chains" && action.lookup("chain") == "eth0/xdp" &&
            action.lookup("interface") == "eth0" && action.lookup("hook") == "xdp" &&
            action.lookup("operation") != "Detach" && action.lookup("program") != "b")
                return polkit.Result.YES;
        if (action.id == "org.bpfchain1.read-maps" && action.lookup("map") == "a/m_array" &&
            action.lookup("program") == "a")
                return polkit.Result.YES;
        if (action.id == "org.bpfchain1.configure" && action.lookup("document") == "theirs")
                return polkit.Result.YES;
        if (action.id == "org.bpfchain1.inspect" && action.lookup("document") == "edge")
                return polkit.Result.NO;
        return polkit.Result.NOT_HANDLED;
});
"""

EDGE = {
    "programs": {
        "a": {"object": "maps.bpf.o", "maps": {"m_array": [{"key": i, "value": 1000 + i} for i in range(8)]}},
        "b": {"object": "verdict.bpf.o", "function": "xdp_verdict"},
        "spare": {"object": "packet-counter.bpf.o"},
    },
    "chains": [{"interfaces": ["eth0", "eth1"], "hook": "xdp", "programs": ["a", "b"]}],
}


def key(number):
    return struct.pack("=I", number)


def value(number):
    return struct.pack("=Q", number)


def methods():
    """Every method but Confirm and Rollback, which need something to confirm: what it is called by, and its arguments.
    All are valid and, in this order, succeed."""
    document = json.dumps({"chains": []})
    return [
        ("read", ROOT, MANAGER, "GetInterface", "s", "eth0"),
        ("read", ROOT, MANAGER, "GetChain", "ss", "eth0", "xdp"),
        ("read", ROOT, MANAGER, "GetProgram", "s", "a"),
        ("read", ROOT, MANAGER, "GetMap", "ss", "a", "m_hash"),
        ("read", ROOT, MANAGER, "ListDocuments", ""),
        ("read", ROOT, MANAGER, "GetDocument", "s", "edge"),
        ("change", ROOT, MANAGER, "Plan", "ssa{sv}", "other", document, {}),
        ("change", ROOT, MANAGER, "Apply", "ssa{sv}", "other", document, {"runtime": ("b", True)}),
        ("change", ROOT, MANAGER, "Withdraw", "sa{sv}", "other", {"runtime": ("b", True)}),
        ("change", ROOT, MANAGER, "Reload", "a{sv}", {}),
        ("change", CHAIN0, CHAIN, "Move", "ssa{sv}", "a", "last", {}),
        ("change", CHAIN0, CHAIN, "SetOrder", "asa{sv}", ["a", "b"], {}),
        ("change", CHAIN0, CHAIN, "Remove", "sa{sv}", "a", {}),
        ("change", CHAIN0, CHAIN, "Insert", "ssa{sv}", "a", "before:b", {}),
        ("change", CHAIN0, CHAIN, "Detach", "a{sv}", {}),
        ("change", CHAIN0, CHAIN, "Attach", "a{sv}", {}),
        ("change", HASH, MAP, "Set", "ayaya{sv}", key(7), value(70), {}),
        ("change", HASH, MAP, "Get", "ay", key(7)),
        ("change", HASH, MAP, "Dump", "ayu", b"", 16),
        ("change", HASH, MAP, "Delete", "aya{sv}", key(7), {}),
        ("change", ROOT, MANAGER, "DetachAll", "a{sv}", {}),
        ("change", ROOT, MANAGER, "Reload", "a{sv}", {}),
    ]


def refused(client, *call, flags=0):
    """The error's name without what is before the last dot."""
    try:
        result = client.call(*call, flags=flags)
    except Error as error:
        assert error.message.strip(), f"{error.name} without a sentence"
        return error.short
    raise AssertionError(f"{call} was not refused: {result}")


def state(lab):
    """What must be the same after a refused call."""
    with lab.private_client() as client:
        return (client.get(ROOT, MANAGER, "Generation"),
                [slot[1] for slot in client.get(CHAIN0, CHAIN, "Slots")],
                client.get(CHAIN0, CHAIN, "State"),
                client.call(HASH, MAP, "Dump", "ayu", b"", 100))


class EdgeLab(BusLab):
    """With two programs in the chains of two interfaces."""

    def __init__(self, **options):
        super().__init__(wires=2, rules=RULES, **options)
        self.install("maps.bpf.o", "verdict.bpf.o")
        document = {**EDGE, "programs": {k: v for k, v in EDGE["programs"].items() if k != "spare"}}
        self.document("edge", document)
        self.start()


@case
def root_may_call_every_method():
    with EdgeLab() as lab:
        client = lab.new_client()
        for _, *call in methods():
            client.call(*call)
        assert client.get(CHAIN0, CHAIN, "State") == "active"

        generation, _ = client.call(ROOT, MANAGER, "Apply", "ssa{sv}", "other", '{"chains": []}',
                                    {"confirm-timeout": ("t", 3600 * 10**6), "runtime": ("b", True)})
        pending = client.get(ROOT, MANAGER, "PendingConfirmation")
        assert pending[0] == generation and pending[1] > time.clock_gettime(time.CLOCK_BOOTTIME) * 10**6
        client.call(ROOT, MANAGER, "Confirm", "t", generation)
        assert client.get(ROOT, MANAGER, "PendingConfirmation") == (0, 0)
        assert refused(client, ROOT, MANAGER, "Confirm", "t", generation) == "NothingToConfirm"
        assert client.call(ROOT, MANAGER, "Rollback", "t", generation) > generation


@case
def who_has_no_rights_may_look_but_change_nothing():
    with EdgeLab() as lab:
        client = lab.new_client(NOBODY)
        before = state(lab)
        for kind, *call in methods() + [("change", ROOT, MANAGER, "Confirm", "t", 1),
                                        ("change", ROOT, MANAGER, "Rollback", "t", 0)]:
            if kind == "read":
                client.call(*call)
                continue
            # A password might help; when the caller allows to ask for it, there is nobody to ask.
            assert refused(client, *call) == "InteractiveAuthorizationRequired", call
            assert refused(client, *call, flags=ALLOW_INTERACTIVE) == "AccessDenied", call
        assert state(lab) == before

        objects = client.call(ROOT, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")
        assert objects[CHAIN0][CHAIN]["State"] == "active"
        assert objects[ROOT + "/program/a"][PROGRAM]["Chains"] == [CHAIN0, CHAIN1]
        assert objects[HASH][MAP]["MaxEntries"] == 128
        assert objects[ROOT + "/interface/eth0"][INTERFACE]["Chains"] == [CHAIN0]


@case
def a_rule_gives_one_chain_one_map_and_one_document():
    with EdgeLab() as lab:
        client = lab.new_client(DAEMON_USER)
        no_options = {}
        client.call(CHAIN0, CHAIN, "SetOrder", "asa{sv}", ["b", "a"], no_options)
        client.call(CHAIN0, CHAIN, "Move", "ssa{sv}", "a", "first", no_options)
        assert [slot[1] for slot in client.get(CHAIN0, CHAIN, "Slots")] == ["a", "b"]
        assert client.call(ARRAY, MAP, "Get", "ay", key(3)) == value(1003)
        client.call(ROOT, MANAGER, "Apply", "ssa{sv}", "theirs", '{"chains": []}', no_options)
        client.call(ROOT, MANAGER, "GetDocument", "s", "theirs")

        before = state(lab)
        needs = "InteractiveAuthorizationRequired"
        assert refused(client, CHAIN1, CHAIN, "SetOrder", "asa{sv}", ["b", "a"], no_options) == needs
        assert refused(client, CHAIN0, CHAIN, "Detach", "a{sv}", no_options) == needs
        assert refused(client, CHAIN0, CHAIN, "Move", "ssa{sv}", "b", "first", no_options) == needs
        assert refused(client, HASH, MAP, "Get", "ay", key(3)) == needs
        assert refused(client, ARRAY, MAP, "Set", "ayaya{sv}", key(3), value(1), no_options) == needs
        assert refused(client, ROOT, MANAGER, "Apply", "ssa{sv}", "edge", '{"chains": []}', no_options) == needs
        assert refused(client, ROOT, MANAGER, "DetachAll", "a{sv}", no_options) == needs
        assert refused(client, ROOT, MANAGER, "GetDocument", "s", "edge") == "AccessDenied"
        assert state(lab) == before


@case
def without_polkit_only_root_may():
    with EdgeLab() as lab:
        root, nobody = lab.new_client(), lab.new_client(NOBODY)
        lab.stop_polkit()
        before = state(lab)
        assert refused(nobody, CHAIN0, CHAIN, "Detach", "a{sv}", {}) == "AccessDenied"
        assert refused(nobody, ROOT, MANAGER, "ListDocuments", "") == "AccessDenied"
        assert state(lab) == before
        root.call(CHAIN0, CHAIN, "Detach", "a{sv}", {})
        assert root.get(CHAIN0, CHAIN, "State") == "detached"
        lab.start_polkit()
        nobody.call(ROOT, MANAGER, "ListDocuments", "")


@case
def a_client_that_goes_away_gets_nothing_done():
    with EdgeLab() as lab:
        monitor = lab.new_client()
        monitor.call("/org/freedesktop/DBus", "org.freedesktop.DBus.Monitoring", "BecomeMonitor", "asu",
                     ["member='CheckAuthorization'", "member='CancelCheckAuthorization'"], 0,
                     destination="org.freedesktop.DBus")
        before = state(lab)
        lab.polkit.send_signal(signal.SIGSTOP)
        client = lab.new_client()
        client.send(CHAIN0, CHAIN, "Detach", "a{sv}", {})
        asked = eventually(lambda: [m for m in monitor.take_signals(0.05) if m.member == "CheckAuthorization"])[0]
        client.close()
        cancelled = eventually(lambda: [m for m in monitor.take_signals(0.05)
                                        if m.member == "CancelCheckAuthorization"])[0]
        assert asked.body[4] == cancelled.body[0] != ""
        assert asked.body[0] == ("system-bus-name", {"name": client.name}), asked.body
        assert asked.body[2] == {"chain": "eth0/xdp", "interface": "eth0", "hook": "xdp", "operation": "Detach"}
        lab.polkit.send_signal(signal.SIGCONT)
        lab.new_client().call(ROOT, MANAGER, "ListDocuments", "")
        settle(0.3)
        assert state(lab) == before


class Nobody:
    """A process of the user "nobody" with an authentication agent; it runs work(client, agent, pipe), and the other
    end of the pipe (a stream socket) is `.pipe`."""

    def __init__(self, lab, work):
        self.pipe, other = socket.socketpair()
        self.pipe.settimeout(PATIENCE)
        self.pid = os.fork()
        if self.pid:
            other.close()
            return
        try:
            self._run(lab, work, other)
            os._exit(0)
        except BaseException as error:
            print(f"# nobody: {type(error).__name__}: {error}", flush=True)
        os._exit(1)

    @staticmethod
    def _run(lab, work, pipe):
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        with open("/proc/self/stat", encoding="ascii") as file:
            started = int(file.read().rsplit(")", 1)[1].split()[19])
        client, agent = (Client(lab.address, timeout=PATIENCE) for _ in range(2))
        subject = ("unix-process", {"pid": ("u", os.getpid()), "start-time": ("t", started)})
        agent.call("/org/freedesktop/PolicyKit1/Authority", "org.freedesktop.PolicyKit1.Authority",
                   "RegisterAuthenticationAgent", "(sa{sv})ss", subject, "C", "/bct/agent",
                   destination="org.freedesktop.PolicyKit1")
        work(client, agent, pipe)

    def wait(self):
        assert os.waitpid(self.pid, 0)[1] == 0, "see above"


@case
def a_password_helps():
    with EdgeLab() as lab:
        def work(client, agent, pipe):
            serial = client.send(CHAIN0, CHAIN, "Detach", "a{sv}", {}, flags=ALLOW_INTERACTIVE)
            begin = agent.wait_for_call("BeginAuthentication")
            assert begin.body[0] == "org.bpfchain1.manage-chains", begin.body
            pipe.sendall(begin.body[4].encode())
            pipe.recv(1)
            agent.respond(begin)
            assert client.reply(serial).result == 2

        nobody = Nobody(lab, work)
        cookie = nobody.pipe.recv(1024).decode()
        # As the set-user-id helper of polkit does: the password was right.
        root = lab.new_client()
        root.call("/org/freedesktop/PolicyKit1/Authority", "org.freedesktop.PolicyKit1.Authority",
                  "AuthenticationAgentResponse2", "us(sa{sv})", NOBODY, cookie, ("unix-user", {"uid": ("u", 0)}),
                  destination="org.freedesktop.PolicyKit1")
        assert root.get(CHAIN0, CHAIN, "State") == "active"
        nobody.pipe.sendall(b"x")
        nobody.wait()
        assert root.get(CHAIN0, CHAIN, "State") == "detached"


@case
def a_dialog_that_is_dismissed_refuses():
    with EdgeLab() as lab:
        def work(client, agent, pipe):
            serial = client.send(CHAIN0, CHAIN, "Detach", "a{sv}", {}, flags=ALLOW_INTERACTIVE)
            agent.respond(agent.wait_for_call("BeginAuthentication"), "org.freedesktop.PolicyKit1.Error.Cancelled")
            try:
                client.reply(serial)
                raise AssertionError("it was not refused")
            except Error as error:
                assert error.short == "AccessDenied" and "dismissed" in error.message, error

        before = state(lab)
        Nobody(lab, work).wait()
        assert state(lab) == before


@case
def a_dialog_closes_when_its_client_goes():
    with EdgeLab() as lab:
        def work(client, agent, pipe):
            client.send(CHAIN0, CHAIN, "Detach", "a{sv}", {}, flags=ALLOW_INTERACTIVE)
            begin = agent.wait_for_call("BeginAuthentication")
            client.close()
            cancel = agent.wait_for_call("CancelAuthentication")
            assert cancel.body[0] == begin.body[4]

        before = state(lab)
        Nobody(lab, work).wait()
        assert state(lab) == before


@case
def a_forged_signal_drops_nobodys_call():
    with EdgeLab() as lab:
        victim, forger = lab.new_client(), lab.new_client(NOBODY)
        service = forger.call("/org/freedesktop/DBus", "org.freedesktop.DBus", "GetNameOwner", "s", "org.bpfchain1",
                              destination="org.freedesktop.DBus")
        lab.polkit.send_signal(signal.SIGSTOP)
        serial = victim.send(CHAIN0, CHAIN, "Detach", "a{sv}", {})
        settle()
        forger.signal(service, "/org/freedesktop/DBus", "org.freedesktop.DBus", "NameOwnerChanged", "sss",
                      victim.name, victim.name, "")
        settle()
        lab.polkit.send_signal(signal.SIGCONT)
        assert victim.reply(serial).result == 2


@case
def an_object_may_go_while_polkit_is_asked():
    with EdgeLab() as lab:
        client, other = lab.new_client(), lab.private_client()
        lab.polkit.send_signal(signal.SIGSTOP)
        calls = [client.send(CHAIN0, CHAIN, "Detach", "a{sv}", {}), client.send(HASH, MAP, "Get", "ay", key(1)),
                 client.send(ROOT, MANAGER, "GetDocument", "s", "edge")]
        settle()
        other.call(ROOT, MANAGER, "Withdraw", "sa{sv}", "edge", {})
        lab.polkit.send_signal(signal.SIGCONT)
        for serial, names in zip(calls, (("NoSuchChain", "UnknownObject", "UnknownMethod", "UnknownInterface"),
                                         ("NoSuchMap", "UnknownObject", "UnknownMethod", "UnknownInterface"),
                                         ("NoSuchDocument",)), strict=True):
            try:
                client.reply(serial)
                raise AssertionError("something was done to what is gone")
            except Error as error:
                assert error.short in names, error
        assert other.call(ROOT, MANAGER, "ListDocuments") == []


@case
def a_thousand_calls_in_flight_are_all_answered():
    # dbus-daemon lets a connection wait for 128 replies, so it takes several clients.
    with EdgeLab() as lab:
        allowed = [lab.new_client(DAEMON_USER) for _ in range(6)]
        denied = [lab.new_client(NOBODY) for _ in range(4)]
        before = state(lab)
        lab.polkit.send_signal(signal.SIGSTOP)
        reads = [(c, c.send(ARRAY, MAP, "Get", "ay", key(i % 8)), i % 8) for i in range(100) for c in allowed]
        writes = [(c, c.send(CHAIN0, CHAIN, "Detach", "a{sv}", {})) for i in range(100) for c in denied]
        settle(0.5)
        # Meanwhile the service is there for others.
        assert lab.new_client(NOBODY).get(ROOT, MANAGER, "State") == "running"
        lab.polkit.send_signal(signal.SIGCONT)
        assert len(reads) + len(writes) == 1000
        for client, serial, index in reads:
            assert client.reply(serial).result == value(1000 + index)
        for client, serial in writes:
            try:
                client.reply(serial)
                raise AssertionError("a call was not refused")
            except Error as error:
                assert error.short == "InteractiveAuthorizationRequired", error
        assert state(lab) == before


@case
def too_many_questions_are_turned_away():
    with EdgeLab() as lab:
        lab.polkit.send_signal(signal.SIGSTOP)
        greedy, other = lab.new_client(NOBODY), lab.new_client(DAEMON_USER)
        for _ in range(1500):
            greedy.send(CHAIN0, CHAIN, "Detach", "a{sv}", {}, flags=NO_REPLY_EXPECTED)
        assert refused(greedy, CHAIN0, CHAIN, "Detach", "a{sv}", {}) == "Busy"

        # What waiting calls may hold together is bounded too.
        large = [lab.new_client(NOBODY) for _ in range(3)]
        text = " " * (4 * 1024 * 1024)
        for client in large:
            for _ in range(7):
                client.send(ROOT, MANAGER, "Apply", "ssa{sv}", "x", text, {}, flags=NO_REPLY_EXPECTED)
        assert refused(large[0], ROOT, MANAGER, "Apply", "ssa{sv}", "x", text, {}) == "Busy"

        # Others have their turn.
        serial = other.send(ARRAY, MAP, "Get", "ay", key(2))
        settle()
        lab.polkit.send_signal(signal.SIGCONT)
        assert other.reply(serial).result == value(1002)
        assert lab.generation() == 1


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
                    knows = "none" if call[2] == "Delete" else "create-only" if call[2] == "Set" else "dry-run"
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
