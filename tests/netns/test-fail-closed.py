#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Interfaces that are kept down until their chains run: no packet passes one without its chain, whatever keeps the
chain from its hook, and whoever sets the interface up."""

import contextlib
import os
import shutil
import time

from bpfchain_test import Wire, case, eventually, find_object, run_cases
from service_lab import ServiceLab, verdict_program, xdp

HELD = "5a4881d45a524277b64f12e9b1531e9c"
INTERFACE = ("/org/bpfchain1/interface/eth0", "org.bpfchain1.Interface")


def gate(interfaces=("eth0",), verdict=None, **chain):
    """A chain with one program, whose object can be good or bad."""
    program = {"object": "gate.bpf.o", "type": "xdp"}
    if verdict is not None:
        program["globals"] = {"verdict": verdict}
    return {"programs": {"gate": program},
            "chains": [{"interfaces": list(interfaces), "hook": "xdp", "programs": ["gate"], "fail-closed": True,
                        **chain}]}


class GateLab(ServiceLab):
    def __init__(self, good=False, document=None, **options):
        super().__init__(**options)
        self.set_object(good)
        self.document("edge", document or gate())
        # An XDP program that leaves an interface that is down is not told of, but found.
        self.write("etc/bpfchain/bpfchain.json", {"guard": {"check-interval": "200ms"}})

    def set_object(self, good):
        path = self.path("etc/bpfchain/objects/gate.bpf.o")
        shutil.copy(find_object("verdict.bpf.o" if good else "rejected.bpf.o"), path + ".new")
        os.rename(path + ".new", path)

    def is_up(self, interface="eth0"):
        return "UP" in self.inner.link(interface)["flags"]

    def held(self, interface="eth0"):
        return next(item for item in self.client_json("interfaces") if item["name"] == interface)["held"]

    def wait_up(self, interface="eth0"):
        eventually(lambda: self.is_up(interface))

    def wait_down(self, interface="eth0"):
        eventually(lambda: not self.is_up(interface))

    @contextlib.contextmanager
    def storm(self, sender, rate=2000):
        """Packets all the while, whatever becomes of them: an interface that is down takes none."""
        sender.wire.outer.run("tc", "qdisc", "replace", "dev", sender.wire.outer_name, "root", "pfifo", "limit",
                              "1000")
        with contextlib.suppress(OSError), sender.stream(rate):
            yield


def arrived(receiver, idle=0.15):
    return len(receiver.drain(idle))


@case
def no_packet_passes_while_the_object_does_not_load():
    with GateLab() as lab:
        receiver, sender = lab.receiver(), lab.sender()
        lab.receive_exactly(sender, receiver)
        with lab.storm(sender):
            lab.start()
            assert not lab.is_up(), "the service is ready, and the interface is up without its chain"
            arrived(receiver)
            time.sleep(0.3)
            assert arrived(receiver) == 0
            held = lab.held()
            assert "edge.json" in held and "eth0/xdp" in held, held
            assert lab.chain()["state"] == "failed"
            # And those that arrive again have all met the program.
            lab.set_object(True)
            lab.client("reload")
            lab.wait_up()
            time.sleep(0.3)
        assert lab.held() == "" and lab.chain()["state"] == "active"
        came = arrived(receiver)
        assert 0 < came <= lab.hits("gate"), f"{came} packets arrived, the program saw {lab.hits('gate')}"
        lab.receive_exactly(sender, receiver)
        assert lab.log_text.count("eth0: set down.") == 1 and lab.log_text.count("eth0: set up again") == 1
        text = lab.client("status").stdout
        assert "held" not in text, text


@case
def it_is_shown():
    with GateLab() as lab:
        lab.start()
        lab.wait_down()
        text = lab.client("status").stdout
        assert "held down" in text and "fail-closed" in text, text
        client = lab.bus()
        assert "edge.json" in client.get(*INTERFACE, "Held")
        assert client.get(*INTERFACE, "Up") is False
        lab.set_object(True)
        lab.client("reload")
        assert client.get(*INTERFACE, "Held") == ""


@case
def others_who_set_it_up_are_answered_and_do_not_keep_the_service_busy():
    with GateLab() as lab:
        lab.start()
        receiver, sender = lab.receiver(), lab.sender()
        lab.wait_down()
        for _ in range(3):
            lab.inner.ip("link", "set", "eth0", "up")
            lab.wait_down()
            with contextlib.suppress(OSError):
                sender.send(20)
            assert arrived(receiver, 0.05) == 0
        # One that does not give up.
        before = [int(field) for field in lab.proc("stat").rsplit(")", 1)[1].split()[11:13]]
        ends = time.monotonic() + 2.5
        lab.inner.run("sh", "-c",
                      "i=0; while [ $i -lt 400 ]; do ip link set eth0 up; i=$((i + 1)); sleep 0.005; done")
        spent = sum(int(field) for field in lab.proc("stat").rsplit(")", 1)[1].split()[11:13]) - sum(before)
        assert spent / os.sysconf("SC_CLK_TCK") < 1, f"the service worked for {spent} ticks"
        time.sleep(max(0, ends - time.monotonic()))
        lab.wait_down()
        downs = lab.log_text.count("eth0: set down.")
        assert downs == 1 and lab.log_text.count("again and again") == 1, lab.log_text
        lab.set_object(True)
        lab.client("reload")
        lab.wait_up()
        lab.receive_exactly(sender, receiver)


@case
def a_crash_forgets_nothing():
    with GateLab() as lab:
        lab.start()
        lab.wait_down()
        lab.daemon.kill()
        lab.daemon.start()
        assert not lab.is_up()
        lab.daemon.kill()
        lab.set_object(True)
        lab.daemon.start()
        lab.wait_up()
        lab.receive_exactly(lab.sender(), lab.receiver())
        assert not lab.held()

        # What runs is taken over without a moment of being down.
        changes = lab.inner.link("eth0")["ifindex"]
        with lab.traffic(rate=2000) as traffic:
            lab.restart()
            lab.restart(crash=False)
        traffic.assert_nothing_lost()
        assert lab.inner.link("eth0")["ifindex"] == changes


@case
def what_ends_the_wish_ends_the_hold():
    with GateLab() as lab:
        lab.start()
        receiver, sender = lab.receiver(), lab.sender()

        def is_open_after(*words):
            lab.wait_down()
            lab.client(*words)
            lab.wait_up()
            assert lab.held() == ""
            lab.receive_exactly(sender, receiver)

        is_open_after("withdraw", "edge")
        lab.document("edge", gate())
        lab.client("reload")
        is_open_after("detach", "--all")
        lab.client("reload")
        is_open_after("detach", "eth0", "xdp")
        # It can't be put on, so that this is refused, and changes nothing.
        lab.client("attach", "eth0", "xdp", status=None)
        assert lab.is_up()


@case
def a_version_that_does_not_load_leaves_the_one_before_running():
    with GateLab(good=True) as lab:
        lab.start()
        lab.wait_up()
        lab.set_object(False)
        lab.client("reload")
        assert lab.chain()["state"] == "degraded"
        assert lab.is_up() and not lab.held()
        lab.receive_exactly(lab.sender(), lab.receiver())


@case
def a_hook_that_is_another_ones():
    with GateLab(good=True) as lab:
        lab.inner.ip("link", "set", "dev", "eth0", "xdp", "obj", find_object("verdict.bpf.o"), "sec", "xdp")
        lab.start()
        lab.wait_down()
        assert lab.chain()["state"] == "conflict" and "eth0/xdp" in lab.held()
        lab.inner.ip("link", "set", "dev", "eth0", "xdp", "off")
        lab.wait_chain()
        lab.wait_up()
        lab.receive_exactly(lab.sender(), lab.receiver())


@case
def a_new_interface_is_open_only_with_its_chain():
    """Made down, as cards come up; whoever sets it up finds the chain on it."""
    with GateLab(good=True, document=gate(["hot*"], xdp("drop"))) as lab:
        lab.start()
        wire = Wire(lab.inner, lab.outer, "hot0", up=False)
        lab.wait_chain("hot0")
        receiver, sender = lab.receiver(), lab.sender(wire)
        wire.up()
        with lab.storm(sender):
            time.sleep(0.5)
        assert lab.hits("gate") > 0 and arrived(receiver) == 0
        assert "hot0: set down" not in lab.log_text


@case
def a_new_interface_that_is_up_at_once_is_set_down_until_its_chain_is_on():
    with GateLab(good=True, document=gate(["hot*"], xdp("drop"))) as lab:
        lab.start()
        receiver = lab.receiver()
        passed = []
        for number in range(5):
            # The worst that can be: packets are on their way, and the interface is up in the same breath as it gets
            # the name that the document means.
            wire = Wire(lab.inner, lab.outer, f"cold{number}")
            sender = lab.sender(wire)
            lab.inner.ip("link", "set", f"cold{number}", "down")
            with lab.storm(sender):
                arrived(receiver)
                lab.inner.ip_batch([f"link set cold{number} name hot{number}", f"link set hot{number} up"])
                lab.wait_chain(f"hot{number}")
                lab.wait_up(f"hot{number}")
                time.sleep(0.1)
            passed.append(arrived(receiver))
            time.sleep(0.1)
            with contextlib.suppress(OSError):
                sender.send(20)
            assert arrived(receiver) == 0
        print(f"# packets that passed before the service saw the interface: {passed}")


@case
def a_new_interface_whose_chain_can_not_be_built_stays_down():
    with GateLab(document=gate(["hot*"])) as lab:
        lab.start()
        wire = Wire(lab.inner, lab.outer, "hot0", up=False)
        eventually(lambda: lab.held("hot0"))
        receiver, sender = lab.receiver(), lab.sender(wire)
        wire.up()
        lab.wait_down("hot0")
        arrived(receiver)
        with lab.storm(sender):
            time.sleep(0.3)
        assert arrived(receiver) == 0
        # It was set up by somebody, so it is set up again.
        lab.set_object(True)
        lab.client("reload")
        lab.wait_up("hot0")


@case
def loopback_is_never_held():
    with GateLab(document=gate(["*"])) as lab:
        lab.inner.ip("link", "set", "lo", "up")
        lab.start()
        lab.wait_down()
        assert lab.chain("lo")["state"] == "failed" and lab.is_up("lo")
        assert not lab.held("lo")


@case
def a_plan_says_what_would_be_held():
    with GateLab(good=True) as lab:
        lab.start()
        document = gate(["eth7"])
        document["programs"] = {"later": verdict_program("xdp")}
        document["chains"][0]["programs"] = ["later"]
        path = lab.write("later.json", document)
        text = lab.client("plan", path).stdout
        assert "kept down" in text and "fail-closed" in text, text


run_cases()
