# SPDX-License-Identifier: LGPL-2.1-or-later
"""Programs that can't simply be inlined, through the service: with objects of their own types, with exceptions, bound
to the interface, and those that link themselves by tail calls. What must last lasts over changes and restarts."""

from bpfchain_test import Skip, case, require_built, run_cases
from service_lab import ServiceLab, verdict_program

NEUTRAL = -1000
THROW_PORT = 9999


class FormsLab(ServiceLab):
    OBJECTS = ServiceLab.OBJECTS + ["bound.bpf.o", "graph.bpf.o", "kptr.bpf.o", "l3af.bpf.o", "throw.bpf.o"]

    def put(self, programs, **chain):
        """Applies the chain; skips the case where this kernel does not know what a program needs."""
        chain = {"interfaces": ["eth0"], "hook": "xdp", "programs": list(programs), "counters": "all", **chain}
        result = self.apply("forms", {"programs": programs, "chains": [chain]}, status=None)
        if result.returncode != 0 and "does not fit this kernel" in result.stderr:
            raise Skip(result.stderr.strip())
        assert result.returncode == 0, result.stderr
        return self.forms()

    def forms(self):
        return {slot["program"]: slot["form"] for slot in self.chain()["slots"]}

    def variable(self, program, section=".bss"):
        """The first variable of a section, of 8 bytes."""
        return int.from_bytes(self.map_entry(program, section, bytes(4))[:8], "little")

    def pass_packets(self, count, port=9000):
        sender, receiver = self.sender(port=port), self.receiver(port=port)
        self.receive_exactly(sender, receiver, count)
        sender.close()
        receiver.close()


def graph_programs(verdict):
    return {
        "list": {"object": "graph.bpf.o", "function": "xdp_list", "globals": {"verdict": verdict}},
        "tree": {"object": "graph.bpf.o", "function": "xdp_refcount", "globals": {"verdict": verdict}},
        "pointer": {"object": "kptr.bpf.o", "function": "xdp_kptr", "globals": {"verdict": verdict}},
        "end": verdict_program("xdp"),
    }


@case
def objects_of_own_types_last():
    """Lists and pointers in maps are of types that the kernel knows by the BTF of the program that made them: the
    next version of it, and the one after a restart, must find them."""
    with FormsLab() as lab:
        lab.start()
        expected = {"list": "slot", "tree": "slot", "pointer": "slot", "end": "inlined"}
        assert lab.put(graph_programs(2)) == expected
        lab.pass_packets(10)
        assert lab.put(graph_programs(NEUTRAL)) == expected
        lab.pass_packets(10)
        lab.restart()
        lab.wait_chain()
        lab.pass_packets(10)
        assert lab.put(graph_programs(2)) == expected, "not after a restart"
        lab.pass_packets(10)
        lab.client("move", "eth0", "xdp", "list", "last")
        lab.pass_packets(10)
        for program in ("list", "tree", "pointer"):
            assert lab.variable(program) == 50, f"{program} found {lab.variable(program)} of 50"
            assert lab.hits(program) == 50
            assert lab.slot(program)["verdicts"] == {"pass": 50}, lab.slot(program)


@case
def exceptions_end_their_program_only():
    with FormsLab() as lab:
        lab.start()
        programs = {"first": verdict_program("xdp"), "throw": {"object": "throw.bpf.o"},
                    "end": verdict_program("xdp")}
        assert lab.put(programs) == {"first": "inlined", "throw": "slot", "end": "inlined"}
        lab.pass_packets(7)
        sender, receiver = lab.sender(port=THROW_PORT), lab.receiver(port=THROW_PORT)
        lab.receive_exactly(sender, receiver, 5, expected=0)
        assert lab.slot("throw")["verdicts"] == {"pass": 7, "drop": 5}, lab.slot("throw")
        assert lab.slot("throw")["ended"] == 5
        assert lab.slot("end")["packets"] == 7

        # The verdict of an exception is one like others: the chain goes on with it where it is told to.
        programs["throw"]["globals"] = {"verdict": 2}
        lab.apply("forms", {"programs": programs, "chains": [
            {"interfaces": ["eth0"], "hook": "xdp", "counters": "all",
             "programs": ["first", {"use": "throw", "proceed-on": ["pass", "drop"]}, "end"]}]})
        lab.receive_exactly(sender, receiver, 5)
        assert lab.slot("end")["packets"] == 12


@case
def bound_to_the_interface():
    """Only a program that is bound to its interface may ask the driver; its chain is as well, on each interface."""
    with FormsLab(wires=2) as lab:
        lab.start()
        programs = {"first": verdict_program("xdp"), "bound": {"object": "bound.bpf.o"},
                    "end": verdict_program("xdp")}
        forms = lab.put(programs, interfaces=["eth0", "eth1"])
        assert forms == {"first": "inlined", "bound": "inlined", "end": "inlined"}, forms
        lab.pass_packets(10)
        lab.client("move", "eth0", "xdp", "bound", "first")
        lab.pass_packets(10)
        assert lab.slot("bound")["verdicts"] == {"pass": 20}, lab.slot("bound")
        assert lab.variable("bound") == 20, "the driver did not answer"
        sender, receiver = lab.sender(lab.wires[1]), lab.receiver()
        lab.receive_exactly(sender, receiver, 6)
        assert lab.slot("bound", "eth1")["verdicts"] == {"pass": 6}
        lab.restart()
        lab.wait_chain()
        lab.client("move", "eth0", "xdp", "bound", "last")
        lab.receive_exactly(sender, receiver, 6)
        assert lab.variable("bound") == 32


def linked(**more):
    return {"linked": {"object": "l3af.bpf.o", "function": "xdp_next_middle", **more}, "end": verdict_program("xdp")}


def array_id(lab):
    return next(m["map-id"] for m in lab.client_json("maps")
                if m["program"] == "linked" and m["name"] == "xdp_next_prog")


@case
def programs_that_link_themselves():
    """They run inlined, with all of their work, and nobody can fill their arrays; or they are let be, and who fills
    them takes the packets."""
    with FormsLab() as lab:
        lab.start()
        assert lab.put(linked()) == {"linked": "inlined", "end": "inlined"}
        lab.pass_packets(10)
        assert lab.variable("linked") == 30, "work behind a tail call was left out"
        assert lab.slot("end")["packets"] == 10

        target = lab.chain()["program-id"]
        key = ["key", "0", "0", "0", "0"]
        frozen = array_id(lab)
        refused = lab.inner.run("bpftool", "map", "update", "id", str(frozen), *key, "value", "id", str(target),
                                check=False)
        assert refused.returncode != 0, "an array into which no program calls was filled"

        assert lab.put(linked(**{"keep-tail-calls": True})) == {"linked": "called", "end": "inlined"}
        assert array_id(lab) != frozen
        lab.pass_packets(10)
        assert lab.variable("linked") == 60
        assert lab.slot("linked")["verdicts"] == {"pass": 20}

        # Nobody filled it: it need not be kept. Somebody did: it must be.
        assert lab.put(linked()) == {"linked": "inlined", "end": "inlined"}
        assert lab.put(linked(**{"keep-tail-calls": True})) == {"linked": "called", "end": "inlined"}
        lab.inner.run("bpftool", "map", "update", "id", str(array_id(lab)), *key, "value", "id",
                      str(lab.chain()["program-id"]))
        filled = array_id(lab)
        assert lab.put(linked()) == {"linked": "called", "end": "inlined"}
        assert array_id(lab) == filled


@case
def arrays_outlast_the_service():
    """Left out tail calls stay left out over a restart, and come back when the document says so; who filled an array
    gets the packets then, also from the next service, until he empties it."""
    with FormsLab(wires=2) as lab:
        lab.start()
        lab.apply("target", {"programs": {"drop": verdict_program("xdp", 1)},
                             "chains": [{"interfaces": ["eth1"], "hook": "xdp", "programs": ["drop"]}]})
        assert lab.put(linked()) == {"linked": "inlined", "end": "inlined"}
        for crash in (True, False):
            lab.restart(crash)
            lab.wait_chain()
            lab.client("move", "eth0", "xdp", "linked", "last")
            lab.client("move", "eth0", "xdp", "linked", "first")
            assert lab.forms() == {"linked": "inlined", "end": "inlined"}, "after a restart"
            lab.pass_packets(5)
        assert lab.variable("linked") == 30

        lab.restart()
        assert lab.put(linked(**{"keep-tail-calls": True})) == {"linked": "called", "end": "inlined"}
        lab.pass_packets(5)
        element = ["id", str(array_id(lab)), "key", "0", "0", "0", "0"]
        lab.inner.run("bpftool", "map", "update", *element, "value", "id", str(lab.chain("eth1")["program-id"]))
        sender, receiver = lab.sender(port=9000), lab.receiver(port=9000)
        lab.receive_exactly(sender, receiver, 4, expected=0)
        assert lab.slot("linked")["verdicts"]["drop"] == 4, lab.slot("linked")

        lab.restart()
        lab.wait_chain()
        lab.receive_exactly(sender, receiver, 4, expected=0)
        lab.client("move", "eth0", "xdp", "linked", "last")
        lab.client("move", "eth0", "xdp", "linked", "first")
        assert element[1] == str(array_id(lab)), "the array that somebody filled was not kept"
        lab.receive_exactly(sender, receiver, 4, expected=0)
        assert lab.slot("linked")["verdicts"]["drop"] == 12, lab.slot("linked")
        lab.inner.run("bpftool", "map", "delete", *element)
        lab.receive_exactly(sender, receiver, 4)


require_built()
run_cases()
