# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests on the bus share: two programs in the chains of two interfaces, every method with arguments for it,
and polkit rules that give a user a little."""

import json
import struct

from bus_lab import BusLab
from dbus_wire import Error

ROOT = "/org/bpfchain1"
MANAGER, CHAIN, PROGRAM, MAP, INTERFACE, GUARD = (f"org.bpfchain1.{n}" for n in
                                                  ("Manager", "Chain", "Program", "Map", "Interface", "Guard"))
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
        ("change", ROOT, MANAGER, "Simulate", "ssaaya{sv}", "other", document, [bytes(60)], {}),
        ("change", CHAIN0, CHAIN, "Simulate", "aaya{sv}", [bytes(60)], {}),
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
        ("read", ROOT + "/guard", GUARD, "GetEvents", "tu", 0, 0),
        ("read", ROOT + "/guard", GUARD, "Test", "a{sv}", {"policy": ("s", '{"mode": "enforce"}')}),
        ("change", ROOT + "/guard", GUARD, "SetMode", "sa{sv}", "settings", {}),
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

    def __init__(self, rules=RULES, **options):
        super().__init__(wires=2, rules=rules, **options)
        self.install("maps.bpf.o", "verdict.bpf.o")
        self.document("edge", EDGE)
        try:
            self.start()
        except BaseException:
            self._stack.close()
            raise
