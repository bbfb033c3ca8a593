# SPDX-License-Identifier: LGPL-2.1-or-later
"""Faults for the service, by strace(1): one system call after the other fails, or the service dies in its place. And
what it is at meanwhile: a change that upgrades programs, gives a chain another order and makes a new one."""

import json
import shutil
import signal
import subprocess

from bpfchain_test import eventually, skip_all
from service_lab import dbus_wire, order_program

if not shutil.which("strace"):
    skip_all("takes strace(1), which makes system calls fail")


def document_of(version):
    """Version 1 and 3 of the program `u` do not agree on its map `counter`; a program and a chain more come with 3."""
    document = {
        "programs": {"u": {"object": f"upgrade-v{version}.bpf.o"}, "p": order_program(1, generation=version),
                     "t": order_program(2, "tc-ingress", version)},
        "chains": [{"interfaces": ["eth0"], "hook": "xdp", "programs": ["u", "p"] if version == 1 else ["p", "u"]},
                   {"interfaces": ["eth0"], "hook": "tc-ingress", "programs": ["t"]}]}
    if version == 3:
        document["programs"]["new"] = order_program(3)
        document["chains"].append({"interfaces": ["eth1"], "hook": "xdp", "programs": ["new"]})
    return document


class Injection:
    """strace on the service; `.hit` tells whether the call came."""

    def __init__(self, lab, calls, what, when):
        # strace counts each kind of call by itself.
        self.lab, self.log = lab, lab.path("strace.log")
        self.process = subprocess.Popen(
            ["strace", "-f", "-qq", "-o", self.log, "-e", f"trace={calls}", "-e", f"inject={calls}:{what}:when={when}",
             "-p", str(lab.daemon.pid)], stdin=subprocess.DEVNULL)
        eventually(lambda: "TracerPid:\t0\n" not in lab.proc("status"), interval=0.002)

    def end(self):
        """Returns the call that was hit, or None."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait()
        with open(self.log, encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
        hit = [line for line in lines if "INJECTED" in line]
        if not hit and any("killed by SIGKILL" in line for line in lines):
            hit = [line for line in lines if "killed" not in line][-1:]
        return hit[0] if hit else None


def running_version(lab):
    """Which document runs; all of it must. "between" is what must never be."""
    chains = lab.chains()
    order = [slot["program"] for slot in chains["eth0", "xdp"]["slots"]]
    here = "new" if chains.get(("eth1", "xdp"), {}).get("state") == "active" else "old"
    found = {(("u", "p"), "old"): 1, (("p", "u"), "new"): 3}.get((tuple(order), here), "between")
    objects = {program["name"]: program["object"] for program in lab.client_json("programs")}
    assert objects["u"] == f"upgrade-v{found}.bpf.o", f"{order}, {here}, {objects}"
    assert ("new" in objects) == (found == 3), objects
    assert all(chain["state"] == "active" for chain in chains.values()), chains
    return found


def check_packets(lab, sender, receiver):
    """Packets go through, and the maps that the service shows are those that they meet."""
    def figures():
        return (lab.counted("counter", "u"), lab.counted("hits", "u"), lab.chain()["packets"],
                lab.chain("eth0", "tc-ingress")["packets"])

    before = figures()
    lab.receive_exactly(sender, receiver, 4)
    grown = tuple(a - b for a, b in zip(figures(), before))
    assert grown == (4, 4, 4, 4), f"4 packets were counted as {grown} (map, map, chain, chain)"


class Subject:
    def __init__(self, lab):
        self.lab = lab
        # Calls are counted: nobody else's acts may make the service look at its chains.
        lab.write("etc/bpfchain/bpfchain.json", {"guard": {"watch": False}})
        lab.install("upgrade-v1.bpf.o", "upgrade-v3.bpf.o")
        lab.start()
        assert self.apply(1) is None
        self.links = self.links_now()
        self.sender, self.receiver = lab.sender(), lab.receiver()

    def connect(self):
        return self.lab.bus()

    def apply(self, version, bus=None, **options):
        """Returns what went wrong, or None. The connection is there before the fault comes."""
        try:
            (bus or self.connect()).call("/org/bpfchain1", "org.bpfchain1.Manager", "Apply", "ssa{sv}", "edge",
                                         json.dumps(document_of(version)), options)
        except (dbus_wire.Error, dbus_wire.Gone, ConnectionError) as error:
            return error
        return None

    def links_now(self):
        chains = self.lab.chains()
        return [chains["eth0", hook]["link-id"] for hook in ("xdp", "tc-ingress")]

    def check(self):
        version = running_version(self.lab)
        assert self.links_now() == self.links, "a link is another one"
        assert not [pin for pin in self.lab.pins() if pin.endswith("~")], self.lab.pins()
        index = self.lab.inner.link("eth1")["ifindex"]
        assert (f"links/if{index}-xdp" in self.lab.pins()) == (version == 3), f"{version}: {self.lab.pins()}"
        assert any(pin.startswith("maps/new/") for pin in self.lab.pins()) == (version == 3), f"{version}: {self.lab.pins()}"
        check_packets(self.lab, self.sender, self.receiver)
        return version
