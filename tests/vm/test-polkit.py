#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who may do what on the installed system: the distribution's polkit, its bus, real users."""

import json
import shutil

from vm_lab import (CHAIN, MANAGER, POLKIT_RULES, ROOT_OBJECT, Host, busctl, case, chain_path, chains, client,
                    client_json, command, eventually, run_cases)

EXAMPLE = "/usr/share/doc/bpfchain/50-bpfchain-example.rules"
DENIED = "20000000cb007109"  # 203.0.113.9/32
REFUSED = 3


def documents():
    return client("documents").stdout


def edge():
    """Two programs on one hook: one that an example rule is about, and another."""
    return {"programs": {"deny": {"object": "denylist.bpf.o"},
                         "a": {"object": "verdict.bpf.o", "function": "xdp_verdict"}},
            "chains": [{"interfaces": ["eth0", "eth1"], "hook": "xdp", "programs": ["deny", "a"]}]}


def order(interface="eth0"):
    return [slot["program"] for slot in chains()[interface, "xdp"]["slots"]]


@case
def a_user_may_look():
    with Host() as host:
        host.run_chain()
        assert client_json("status", user="alice") == client_json("status")
        for words in (("get-property", "org.bpfchain1", chain_path(), CHAIN, "Slots"),
                      ("tree", "org.bpfchain1"),
                      ("introspect", "org.bpfchain1", ROOT_OBJECT),
                      ("call", "org.bpfchain1", ROOT_OBJECT, MANAGER, "ListDocuments")):
            busctl(*words, user="alice")


@case
def a_user_may_change_nothing():
    with Host() as host:
        before = host.run_chain()
        wanted = documents()
        for words in (("Apply", "ssa{sv}", "mine", '{"chains": []}', "0"), ("Reload", "a{sv}", "0"),
                      ("DetachAll", "a{sv}", "0"), ("Withdraw", "sa{sv}", "eth0-xdp", "0")):
            refused = busctl("call", "org.bpfchain1", ROOT_OBJECT, MANAGER, *words, user="alice", check=False)
            assert refused.returncode != 0, words
            # polkit's word, passed on by the service; the bus itself would say "Rejected".
            assert refused.stderr.strip() == "Call failed: Access denied", refused.stderr
        refused = client("detach", "eth0", "xdp", user="alice", check=False)
        assert refused.returncode == REFUSED, (refused.returncode, refused.stderr)
        assert chains()["eth0", "xdp"]["link-id"] == before["link-id"]
        assert documents() == wanted
        host.passes(10)


@case
def root_may():
    with Host() as host:
        host.run_chain()
        busctl("call", "org.bpfchain1", ROOT_OBJECT, MANAGER, "Apply", "ssa{sv}", "mine",
               json.dumps({"programs": {"b": {"object": "verdict.bpf.o", "function": "tc_verdict"}},
                           "chains": [{"interfaces": ["eth0"], "hook": "tc-ingress", "programs": ["b"]}]}), "0")
        host.wait_chain("eth0", "tc-ingress")
        client("withdraw", "mine")
        eventually(lambda: ("eth0", "tc-ingress") not in chains())


@case
def a_group_may_what_the_example_rule_says_and_no_more():
    with Host(wires=2) as host:
        host.document("edge", edge())
        client("reload")
        host.wait_chain("eth0")
        host.wait_chain("eth1")
        assert client("order", "eth0", "xdp", "a", "deny", user="bob", check=False).returncode == REFUSED

        shutil.copy(EXAMPLE, POLKIT_RULES)
        command("chmod", "0644", POLKIT_RULES)
        # polkitd looks at its folder and takes a moment.
        eventually(lambda: client("map", "set", "deny", "denied_v4", DENIED, "01000000", user="bob",
                                  check=False).returncode == 0, interval=0.5)
        client("map", "get", "deny", "denied_v4", DENIED, user="bob")
        client("order", "eth0", "xdp", "a", "deny", user="bob")
        assert order("eth0") == ["a", "deny"]

        for words in (("map", "dump", "a", "hits"), ("map", "dump", "deny", "denied_v6"),
                      ("order", "eth1", "xdp", "a", "deny"), ("detach", "eth0", "xdp"), ("detach", "--all"),
                      ("reload",), ("withdraw", "edge")):
            refused = client(*words, user="bob", check=False)
            assert refused.returncode == REFUSED, (words, refused.returncode, refused.stdout, refused.stderr)
        assert client("map", "dump", "deny", "denied_v4", user="alice", check=False).returncode == REFUSED
        assert order("eth1") == ["deny", "a"]
        client("withdraw", "edit-eth0-xdp")


run_cases()
