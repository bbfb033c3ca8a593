#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The guard on the bus: its mode, its policy, what it would have done, and who may say so."""

import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from bus_lab import DAEMON_USER, NOBODY, require_bus  # noqa: E402
import bpfchain_test as bench  # noqa: E402
from bpfchain_test import case, eventually, find_object, run_cases  # noqa: E402
from dbus_wire import ALLOW_INTERACTIVE  # noqa: E402
from edge_lab import GUARD, MANAGER, ROOT, EdgeLab, refused  # noqa: E402

PATH = ROOT + "/guard"
SETTINGS = {"guard": {"allow": [{"unit": "agent.service", "rules": ["links", "loads"]}, {"user": 4711}]}}
RULES = """
polkit.addRule(function (action, subject) {
        if (subject.user == "daemon" && action.id == "org.bpfchain1.manage-guard" &&
            action.lookup("operation") == "SetMode" && action.lookup("mode") == "off")
                return polkit.Result.YES;
        return polkit.Result.NOT_HANDLED;
});
"""


class GuardLab(EdgeLab):
    def __init__(self, settings=None, rules=RULES):
        self.settings = SETTINGS if settings is None else settings
        super().__init__(rules=rules)

    def start(self, wait=True):
        self.write("etc/bpfchain/bpfchain.json", self.settings)
        return super().start(wait)

    def mode(self, client):
        return tuple(client.get(PATH, GUARD, name) for name in ("Mode", "ModeWanted", "ModeConfigured"))

    def set_mode(self, client, mode, **options):
        client.call(PATH, GUARD, "SetMode", "sa{sv}", mode, {name: ("b", value) for name, value in options.items()})

    def command(self, *arguments, status=0):
        environment = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": self.address}
        environment.pop("BPFCHAIN_SOCKET", None)
        result = subprocess.run([bench.CLIENT, "guard", *arguments], capture_output=True, text=True, env=environment,
                                stdin=subprocess.DEVNULL, timeout=bench.PATIENCE)
        assert result.returncode == status, f"{arguments}: {result.returncode}\n{result.stdout}{result.stderr}"
        return result.stdout if status == 0 else result.stderr


def enforceable(client):
    """Does this kernel let the guard's programs in?"""
    try:
        client.call(PATH, GUARD, "SetMode", "sa{sv}", "observe", {})
    except Exception:  # noqa: BLE001
        return False
    client.call(PATH, GUARD, "SetMode", "sa{sv}", "settings", {})
    return True


@case
def the_policy_is_shown_with_all_that_was_left_out():
    with GuardLab() as lab:
        client = lab.new_client(NOBODY)
        assert lab.mode(client) == ("off", "off", "off")
        values = client.get_all(PATH, GUARD)
        assert (values["Technique"], values["Pinned"], values["Reason"]) == ("", False, ""), values
        assert values["Policy"] == {
            "mode": "off", "protect": ["links", "netlink", "interfaces", "pins", "objects", "service"],
            "refuse-loading": "nothing", "append": True, "default-allow": True, "force": False,
            "allow": [{"unit": "agent.service", "rules": ["links", "loads"]},
                      {"user": 4711, "rules": ["links", "netlink", "interfaces", "pins", "objects", "service", "loads"]}],
        }, values["Policy"]
        assert set(values["Counters"]) == set(values["Policy"]["protect"]) | {"loads"}
        assert values["Counters"]["links"] == {"refused": 0, "would-refuse": 0, "allowed": 0}


@case
def who_may_set_the_mode():
    with GuardLab() as lab:
        nobody, daemon, root = lab.new_client(NOBODY), lab.new_client(DAEMON_USER), lab.new_client()
        for client, mode in ((nobody, "off"), (nobody, "enforce"), (daemon, "enforce"), (daemon, "settings")):
            call = (PATH, GUARD, "SetMode", "sa{sv}", mode, {})
            assert refused(client, *call) == "InteractiveAuthorizationRequired"
            assert refused(client, *call, flags=ALLOW_INTERACTIVE) == "AccessDenied"
        lab.set_mode(daemon, "off")
        lab.set_mode(root, "settings", force=True)
        assert lab.mode(nobody) == ("off", "off", "off")


@case
def what_is_no_mode_or_option():
    with GuardLab() as lab:
        root = lab.new_client()
        for arguments in (("s", "on"), ("s", ""), ("s", "Enforce"), ("s", "enforce" * 1000)):
            assert refused(root, PATH, GUARD, "SetMode", "sa{sv}", arguments[1], {}) == "InvalidArgument"
        assert refused(root, PATH, GUARD, "SetMode", "sa{sv}", "off", {"force": ("s", "x")}) == "InvalidArgument"
        assert refused(root, PATH, GUARD, "SetMode", "sa{sv}", "off", {"policy": ("s", "{}")}) == "InvalidArgument"
        assert refused(root, PATH, GUARD, "Test", "a{sv}", {"force": ("b", True)}) == "InvalidArgument"
        for text in ("", "{", "[]", '{"mode": "on"}', '{"guard": {}}', '{"allow": [{"user": -1}]}'):
            assert refused(root, PATH, GUARD, "Test", "a{sv}", {"policy": ("s", text)}) == "InvalidDocument", text
        big = " " * (4 << 20) + "{}"
        assert refused(root, PATH, GUARD, "Test", "a{sv}", {"policy": ("s", big)}) in ("LimitExceeded", "InvalidDocument")
        assert lab.mode(root) == ("off", "off", "off")


@case
def what_locks_out_is_refused_unless_forced():
    with GuardLab({"guard": {"default-allow": False}}) as lab:
        root = lab.new_client()
        assert refused(root, PATH, GUARD, "SetMode", "sa{sv}", "enforce", {}) == "InvalidArgument"
        _, objection = root.call(PATH, GUARD, "Test", "a{sv}", {})
        assert "network manager" in objection, objection
        if enforceable(root):
            lab.set_mode(root, "enforce", force=True)
            assert lab.mode(root) == ("enforce", "enforce", "off")
        else:
            assert refused(root, PATH, GUARD, "SetMode", "sa{sv}", "enforce", {"force": ("b", True)}) == "NotSupported"


@case
def where_the_kernel_can_not_it_is_said_and_all_else_works():
    with GuardLab({"guard": {"mode": "observe"}}) as lab:
        client, root = lab.new_client(NOBODY), lab.new_client()
        if lab.mode(client)[0] == "observe":
            lab.set_mode(root, "off")
            assert lab.mode(client) == ("off", "off", "observe")
            return
        assert lab.mode(client) == ("off", "observe", "observe")
        reason = client.get(PATH, GUARD, "Reason")
        assert reason, "nothing says why"
        problems = [p for p in client.get(ROOT, MANAGER, "Problems") if p[1] == "guard"]
        assert len(problems) == 1 and problems[0][0] == "warning" and reason.rstrip(".") in problems[0][2], problems
        assert client.get(ROOT, MANAGER, "State") == "running"
        assert refused(root, PATH, GUARD, "SetMode", "sa{sv}", "enforce", {}) == "NotSupported"
        assert lab.mode(client) == ("off", "observe", "observe")
        lab.set_mode(root, "off")
        assert lab.mode(client) == ("off", "off", "observe")
        assert not [p for p in client.get(ROOT, MANAGER, "Problems") if p[1] == "guard"]


@case
def the_mode_is_kept_over_a_restart():
    with GuardLab({"guard": {"mode": "observe"}}) as lab:
        lab.set_mode(lab.new_client(), "off")
        lab.daemon.kill()
        lab.start()
        client = lab.new_client()
        assert lab.mode(client) == ("off", "off", "observe")
        lab.set_mode(client, "settings")
        assert lab.mode(client)[1:] == ("observe", "observe")


@case
def settings_are_read_again():
    with GuardLab() as lab:
        client = lab.new_client()
        lab.write("etc/bpfchain/bpfchain.json", {"guard": {"append": False}})
        client.call(ROOT, MANAGER, "Reload", "a{sv}", {})
        assert client.get(PATH, GUARD, "Policy")["append"] is False
        lab.write("etc/bpfchain/bpfchain.json", {"guard": {"append": 1}})
        client.call(ROOT, MANAGER, "Reload", "a{sv}", {})
        assert client.get(PATH, GUARD, "Policy")["append"] is False
        problems = [p for p in client.get(ROOT, MANAGER, "Problems") if p[1] == "settings"]
        assert len(problems) == 1 and "guard.append" in problems[0][2], problems
        lab.write("etc/bpfchain/bpfchain.json", {})
        client.call(ROOT, MANAGER, "Reload", "a{sv}", {})
        assert client.get(PATH, GUARD, "Policy")["append"] is True
        assert not [p for p in client.get(ROOT, MANAGER, "Problems") if p[1] == "settings"]


@case
def what_a_policy_would_have_done():
    with GuardLab() as lab:
        if lab.new_client().get(PATH, GUARD, "Sources")["program-loads"] != "available":
            raise bench.Skip("this host does not tell of programs")
        path = os.path.join(os.path.dirname(lab.bpffs), "foreign")
        subprocess.run(["bpftool", "prog", "load", find_object("verdict-v2.bpf.o"), path, "type", "xdp"], check=True)
        client = lab.new_client(NOBODY)

        def judged(**policy):
            return client.call(PATH, GUARD, "Test", "a{sv}", {"policy": ("s", json.dumps(policy))})

        eventually(lambda: judged()[0])
        judgements, objection = judged(**{"refuse-loading": "everything"})
        mine = [j for j in judgements if j["rule"] == "loads" and not j["allowed"]]
        assert mine and "container engines" in objection, (judgements, objection)
        assert mine[0]["what"] == "program-loaded" and mine[0]["count"] > 0 and mine[0]["last"] >= mine[0]["first"]
        assert "by" not in mine[0] and mine[0]["who"]["pid"] > 0
        judgements, objection = judged(**{"refuse-loading": "everything", "allow": [{"user": 0}]})
        assert all(j["allowed"] for j in judgements if j["who"].get("uid") == 0), judgements
        assert "user 0" in objection, objection


@case
def the_command():
    with GuardLab() as lab:
        root = lab.new_client()
        shown = lab.command("status")
        assert shown.startswith("guard: off\n") and "hook-facts" in shown, shown
        assert lab.command("mode") == "guard: off\n"
        assert json.loads(lab.command("mode", "--json=short")) == "off"
        assert "is no mode" in lab.command("mode", "on", status=1)
        assert "takes no arguments" in lab.command("log", "x", status=2)
        assert "status, log, mode and test" in lab.command("tset", status=2)
        lab.command("mode", "off")
        if not enforceable(root):
            assert lab.command("mode", "enforce", status=1).strip()
        assert lab.command("mode", "settings", "--force") == "guard: off\n"

        lab.write("policy.json", {"log-level": "info", "guard": {"mode": "enforce", "refuse-loading": "everything"}})
        path = os.path.join(lab.root, "policy.json")
        assert "container engines" in lab.command("test", "--settings", path)
        assert set(json.loads(lab.command("test", "--json=short"))) == {"judgements", "objection"}
        with open(path, "w", encoding="utf-8") as file:
            file.write('{\n  "tc-attach": "auto", "guard":\n    {"append": 3}\n}\n')
        said = lab.command("test", "--settings", path, status=1)
        assert "3:16: append: " in said, said
        lab.write("policy.json", {"log-level": "info"})
        assert "no \"guard\"" in lab.command("test", "--settings", path, status=1)
        lab.command("test", "--settings", path + "-", status=1)


bench.require_root()
bench.require_built(bench.DAEMON)
require_bus()
run_cases()
