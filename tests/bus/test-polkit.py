#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who may do what: the service with the real polkitd, callers with and without rights, and those that go away, forge
or flood."""

import json
import os
import signal
import socket
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from bus_lab import DAEMON_USER, NOBODY, require_bus, settle  # noqa: E402
from bpfchain_test import PATIENCE, Skip, case, eventually, run_cases  # noqa: E402
from dbus_wire import ALLOW_INTERACTIVE, NO_REPLY_EXPECTED, Client, Error  # noqa: E402
from edge_lab import (ARRAY, CHAIN, CHAIN0, CHAIN1, HASH, INTERFACE, MANAGER, MAP, PROGRAM, ROOT, EdgeLab,  # noqa: E402
                      key, methods, refused, state, value)


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
        # They all lie there before the service looks at the first, and hears from the bus who the callers are.
        lab.daemon.process.send_signal(signal.SIGSTOP)
        reads = [(c, c.send(ARRAY, MAP, "Get", "ay", key(i % 8)), i % 8) for i in range(100) for c in allowed]
        writes = [(c, c.send(CHAIN0, CHAIN, "Detach", "a{sv}", {})) for i in range(100) for c in denied]
        settle(0.5)
        lab.daemon.process.send_signal(signal.SIGCONT)
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
    if os.environ.get("BPFCHAIN_WRAPPER"):
        raise Skip("under valgrind it takes longer than the answer of polkit may take")
    with EdgeLab() as lab:
        lab.polkit.send_signal(signal.SIGSTOP)
        root, other = lab.new_client(), lab.new_client(DAEMON_USER)

        # What waiting calls of one user may hold together is bounded, whatever the number of connections.
        text = " " * (4 * 1024 * 1024)
        large = [lab.new_client(NOBODY) for _ in range(6)]
        for client in large:
            for _ in range(5):
                client.send(ROOT, MANAGER, "Apply", "ssa{sv}", "x", text, {}, flags=NO_REPLY_EXPECTED)
        for client in large:
            assert refused(client, ROOT, MANAGER, "Apply", "ssa{sv}", "x", text, {}) == "Busy"

        # So is their number, and the number of callers.
        greedy = [lab.new_client(NOBODY) for _ in range(6)]
        for client in greedy:
            for _ in range(1000):
                client.send(CHAIN0, CHAIN, "Detach", "a{sv}", {}, flags=NO_REPLY_EXPECTED)
        for client in greedy:
            assert refused(client, CHAIN0, CHAIN, "Detach", "a{sv}", {}) == "Busy"
        for _ in range(200):
            lab.new_client(NOBODY).send(CHAIN0, CHAIN, "Detach", "a{sv}", {}, flags=NO_REPLY_EXPECTED)

        # Others have their turn, with large calls too.
        serial = other.send(ARRAY, MAP, "Get", "ay", key(2))
        document = '{"chains": []}' + text[20:]
        large = root.send(ROOT, MANAGER, "Apply", "ssa{sv}", "x", document, {})
        other.pump()
        assert serial not in other.replies
        lab.polkit.send_signal(signal.SIGCONT)
        assert other.reply(serial).result == value(1002)
        assert root.reply(large).result[0] == 2
        assert lab.generation() == 2


require_bus()
run_cases()
