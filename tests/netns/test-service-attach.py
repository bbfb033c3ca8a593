# SPDX-License-Identifier: LGPL-2.1-or-later
"""How chains sit on hooks: native and generic XDP, tcx and clsact, and hooks that somebody else holds."""

import contextlib
import os
import shutil

from bpfchain_test import Daemon, case, eventually, find_object, require_built, run_cases
from service_lab import ServiceLab, order_program, simple_document, verdict_program, xdp


@case
def native_xdp_on_veth():
    with ServiceLab() as lab:
        lab.document("edge", simple_document())
        lab.start()
        chain = lab.chain()
        assert (chain["mode"], chain["attachment"]) == ("native", "xdp-link"), chain
        assert lab.attached("eth0") == ("native", chain["program-id"])
        lab.receive_exactly(lab.sender(), lab.receiver(), 100)
        assert lab.slot("a")["verdicts"] == {"pass": 100}


@case
def generic_xdp_where_it_is_asked_for():
    with ServiceLab() as lab:
        lab.document("edge", simple_document(mode="generic"))
        lab.start()
        chain = lab.chain()
        assert (chain["mode"], chain["attachment"]) == ("generic", "xdp-link"), chain
        assert lab.attached("eth0") == ("generic", chain["program-id"])
        lab.receive_exactly(lab.sender(), lab.receiver(), 100)
        assert lab.slot("a")["packets"] == 100


@case
def no_native_xdp_where_the_driver_has_none():
    with ServiceLab() as lab:
        lab.inner.ip("link", "add", "br0", "type", "bridge")
        lab.start()
        lab.apply("best", simple_document(interfaces=("br0",)))
        assert lab.chain("br0")["mode"] == "generic"
        lab.client("withdraw", "best")
        generation = lab.generation
        refused = lab.apply("native", simple_document(interfaces=("br0",), mode="native"), status=1).stderr
        assert "br0" in refused and "native" in refused and "best" in refused, refused
        assert lab.generation == generation and ("br0", "xdp") not in lab.chains() and lab.attached("br0") is None


@case
def the_mode_changes():
    with ServiceLab() as lab:
        lab.start()
        for mode in ("native", "generic", "best", "native", "generic"):
            lab.apply("edge", simple_document(mode=mode))
            shown = lab.chain()["mode"]
            assert shown == mode or mode == "best", f"{mode} was asked for, {shown} came"
            assert lab.attached("eth0") == (shown, lab.chain()["program-id"])
        lab.receive_exactly(lab.sender(), lab.receiver())


@case
def tcx_in_both_directions():
    with ServiceLab() as lab:
        lab.document("edge", {"programs": {"i": verdict_program("tc-ingress"), "e": verdict_program("tc-egress")},
                              "chains": [{"interfaces": ["eth0"], "hook": "tc-ingress", "programs": ["i"]},
                                         {"interfaces": ["eth0"], "hook": "tc-egress", "programs": ["e"]}]})
        lab.start()
        for hook in ("tc-ingress", "tc-egress"):
            assert (lab.chain("eth0", hook)["mode"], lab.chain("eth0", hook)["attachment"]) == ("tcx", "tcx-link")
        assert "clsact" not in lab.inner.run("tc", "qdisc", "show").stdout
        lab.receive_exactly(lab.sender(), lab.receiver(), 30)
        out, receiver = lab.inner.socket(2, 2), lab.receiver(lab.outer)
        for number in range(40):
            out.sendto(number.to_bytes(8, "big"), (lab.wire.outer_address, 9000))
        assert len(receiver.take(40)) == 40
        out.close()
        assert lab.slot("i", hook="tc-ingress")["ended"] == 30 and lab.slot("e", hook="tc-egress")["ended"] == 40


@case
def clsact_by_the_setting():
    with ServiceLab() as lab:
        lab.write("etc/bpfchain/bpfchain.json", {"tc-attach": "clsact"})
        lab.document("edge", {"programs": {"i": verdict_program("tc-ingress"), "j": verdict_program("tc-ingress")},
                              "chains": [{"interfaces": ["eth0"], "hook": "tc-ingress", "programs": ["i"],
                                          "counters": "all"},
                                         {"interfaces": ["eth0"], "hook": "tc-egress", "programs": ["j"]}]})
        lab.start()
        chain = lab.chain("eth0", "tc-ingress")
        assert (chain["mode"], chain["attachment"], chain["link-id"]) == ("clsact", "clsact", 0), chain
        sender, receiver = lab.sender(), lab.receiver()
        lab.receive_exactly(sender, receiver, 30)
        program = chain["program-id"]
        lab.restart()
        chain = lab.chain("eth0", "tc-ingress")
        assert (chain["mode"], chain["program-id"], chain["packets"]) == ("clsact", program, 30), chain
        # An exchange is atomic here, too: the filter stays the same one.
        lab.client("insert", "eth0", "tc-ingress", "j")
        lab.receive_exactly(sender, receiver, 30)
        chain = lab.chain("eth0", "tc-ingress")
        assert [slot["packets"] for slot in chain["slots"]] == [60, 30] and chain["program-id"] != program, chain
        filters = lab.inner.run("tc", "filter", "show", "dev", "eth0", "ingress").stdout
        assert filters.count("handle") == 1, filters
        lab.client("detach", "eth0", "tc-ingress")
        assert not lab.inner.run("tc", "filter", "show", "dev", "eth0", "ingress").stdout.strip()


@case
def from_clsact_to_tcx_and_back():
    """Who changes the setting gets chains of the new kind at the next start, one way or another; never two."""
    with ServiceLab() as lab:
        lab.document("edge", simple_document("tc-ingress"))
        sender, receiver = lab.sender(), lab.receiver()
        for kind in ("clsact", "tcx", "auto", "clsact"):
            lab.write("etc/bpfchain/bpfchain.json", {"tc-attach": kind})
            lab.start() if not lab.daemon.running else lab.restart(crash=False)
            before = lab.counted("hits", "a")
            lab.receive_exactly(sender, receiver, 10)
            assert lab.counted("hits", "a") - before == 10, f"{kind}: packets met the program twice, or not at all"
            assert lab.chain("eth0", "tc-ingress")["state"] == "active"


# --- hooks of others ---------------------------------------------------------------------------------------------


@contextlib.contextmanager
def foreign_xdp(lab, interface="eth0", mode="xdpdrv"):
    """Somebody else's program on the XDP hook, by netlink."""
    path = os.path.join(os.path.dirname(lab.bpffs), "foreign")
    if not os.path.exists(path):
        lab.inner.run("bpftool", "prog", "load", find_object("verdict-v2.bpf.o"), path, "type", "xdp")
    lab.inner.run("bpftool", "net", "attach", mode, "pinned", path, "dev", interface)
    try:
        yield lab.bpftool("prog", "show", "pinned", path)["id"]
    finally:
        lab.inner.run("bpftool", "net", "detach", mode, "dev", interface, check=False)


@case
def an_xdp_hook_that_somebody_holds():
    with ServiceLab() as lab:
        with foreign_xdp(lab) as program:
            lab.document("edge", simple_document())
            lab.start()
            chain = lab.wait_chain(state="conflict")
            assert str(program) in chain["reason"] and "xdp" in chain["reason"].lower(), chain["reason"]
            assert (chain["link-id"], chain["program-id"], chain["mode"]) == (0, 0, ""), chain
            foreign = next(i for i in lab.status()["interfaces"] if i["name"] == "eth0")["foreign"]
            assert [f["program-id"] for f in foreign if f["hook"] == "xdp"] == [program], foreign
            assert lab.attached("eth0") == ("native", program), "something of theirs was removed"
            text = lab.client("status").stdout
            assert "conflict" in text and str(program) in text, text
            # Nothing that is tried changes that.
            lab.client("reload")
            lab.restart()
            assert lab.wait_chain(state="conflict") and lab.attached("eth0") == ("native", program)
        # They are gone: the kernel tells so, and the chain takes its place by itself.
        lab.wait_chain()
        lab.receive_exactly(lab.sender(), lab.receiver())
        assert lab.slot("a")["packets"] == 20


@case
def an_apply_on_a_hook_that_somebody_holds():
    with ServiceLab(wires=2) as lab:
        lab.start()
        with foreign_xdp(lab) as program:
            # The document comes into effect where it can; the conflict is told.
            answer = lab.apply("edge", simple_document(interfaces=("eth0", "eth1")), status=None)
            assert str(program) in answer.stdout + answer.stderr, answer
            assert lab.attached("eth0") == ("native", program)
            assert lab.wait_chain("eth1")
        lab.wait_chain("eth0")


@case
def a_hook_that_is_taken_while_the_service_is_away():
    """Our link was detached by force, and somebody came in its place."""
    with ServiceLab() as lab:
        lab.document("edge", simple_document())
        lab.start()
        link = lab.chain()["link-id"]
        lab.daemon.kill()
        lab.inner.run("bpftool", "link", "detach", "id", str(link))
        with foreign_xdp(lab) as program:
            lab.daemon.start()
            lab.wait_chain(state="conflict")
            assert lab.attached("eth0") == ("native", program)
        lab.wait_chain()


@case
def a_link_that_somebody_detached():
    with ServiceLab() as lab:
        lab.document("edge", simple_document())
        lab.start()
        lab.inner.run("bpftool", "link", "detach", "id", str(lab.chain()["link-id"]))
        # The kernel says nothing about links; whoever looks next finds out.
        lab.client("reload")
        assert lab.wait_chain()["program-id"] == lab.attached("eth0")[1]


class Neighbour:
    """A second service, with pins and documents of its own, whose chains are foreign to the first one."""

    def __init__(self, lab):
        self.root = lab.path("neighbour")
        for folder in ("etc/bpfchain/chains.d", "etc/bpfchain/objects"):
            os.makedirs(os.path.join(self.root, folder))
        for name in ServiceLab.OBJECTS:
            shutil.copy(find_object(name), os.path.join(self.root, "etc/bpfchain/objects"))
        settings = lab.path("etc/bpfchain/bpfchain.json")
        if os.path.exists(settings):
            shutil.copy(settings, os.path.join(self.root, "etc/bpfchain"))
        bpffs = os.path.join(os.path.dirname(lab.bpffs), "neighbour")
        self.daemon = Daemon(lab.inner, self.root, bpffs)
        self.lab = lab

    def client(self, *arguments, **options):
        return self.lab.client(*arguments, environment={"BPFCHAIN_SOCKET": self.daemon.socket}, **options)

    def __enter__(self):
        self.daemon.start()
        return self

    def __exit__(self, *_):
        self.client("detach", "--all", status=None)
        self.daemon.close()


@case
def an_xdp_link_of_somebody_else():
    with ServiceLab() as lab:
        lab.start()
        with Neighbour(lab) as other:
            other.client("apply", lab.write("other.json", simple_document(name="theirs")))
            theirs = lab.attached("eth0")
            lab.apply("edge", simple_document(), status=None)
            chain = lab.wait_chain(state="conflict")
            assert str(theirs[1]) in chain["reason"] and "link" in chain["reason"], chain["reason"]
            assert lab.attached("eth0") == theirs
        # Links come and go silently; the next look finds the hook free.
        lab.client("reload")
        lab.wait_chain()
        assert lab.attached("eth0")[1] == lab.chain()["program-id"] != theirs[1]


@case
def tcx_programs_of_somebody_else_stay():
    with ServiceLab() as lab:
        # Neither insists on the first place; test-guard.py has two that do.
        lab.write("etc/bpfchain/bpfchain.json", {"guard": {"restore": "never"}})
        lab.start()
        with Neighbour(lab) as other:
            document = {"programs": {"theirs": order_program(9, "tc-ingress")},
                        "chains": [{"interfaces": ["eth0"], "hook": "tc-ingress", "programs": ["theirs"]}]}
            other.client("apply", lab.write("other.json", document))
            lab.apply("edge", {"programs": {"ours": order_program(1, "tc-ingress")},
                               "chains": [{"interfaces": ["eth0"], "hook": "tc-ingress", "programs": ["ours"]}]})
            with lab.traffic(rate=1000) as traffic:
                pass
            traffic.assert_nothing_lost()
            assert [sorted(trace) for trace in traffic.traces()] == [[(1, 0), (9, 0)]], traffic.traces()
            interface = next(i for i in lab.status()["interfaces"] if i["name"] == "eth0")
            assert [f["kind"] for f in interface["foreign"]] == ["tcx"], interface["foreign"]
            lab.client("detach", "eth0", "tc-ingress")
            with lab.traffic(rate=1000) as traffic:
                pass
            assert traffic.traces() == [((9, 0),)], "what is theirs was removed"


@case
def a_foreign_clsact_filter_stays():
    with ServiceLab() as lab:
        lab.inner.run("tc", "qdisc", "add", "dev", "eth0", "clsact")
        path = os.path.join(os.path.dirname(lab.bpffs), "foreign-tc")
        lab.inner.run("bpftool", "prog", "load", find_object("verdict-v2.bpf.o"), path, "type", "classifier")
        lab.inner.run("tc", "filter", "add", "dev", "eth0", "ingress", "bpf", "direct-action", "object-pinned", path)
        lab.write("etc/bpfchain/bpfchain.json", {"tc-attach": "clsact"})
        lab.document("edge", simple_document("tc-ingress"))
        lab.start()
        lab.wait_chain("eth0", "tc-ingress")
        shown = lab.inner.run("tc", "filter", "show", "dev", "eth0", "ingress").stdout
        assert shown.count("handle 0x") == 2, shown
        lab.client("detach", "--all")
        eventually(lambda: lab.inner.run("tc", "filter", "show", "dev", "eth0", "ingress").stdout.count("handle 0x") == 1)


@case
def a_chain_that_drops_all_can_be_taken_off():
    with ServiceLab() as lab:
        lab.start()
        sender, receiver = lab.sender(), lab.receiver()
        lab.apply("edge", {"programs": {"no": verdict_program("xdp", xdp("drop"))},
                           "chains": [{"interfaces": ["eth0"], "hook": "xdp", "programs": ["no"]}]})
        lab.receive_exactly(sender, receiver, 10, expected=0)
        lab.client("detach", "eth0", "xdp")
        assert lab.attached("eth0") is None and lab.chain()["state"] == "detached"
        lab.receive_exactly(sender, receiver, 10)
        lab.client("attach", "eth0", "xdp")
        lab.receive_exactly(sender, receiver, 10, expected=0)
        lab.client("detach", "--all")
        lab.receive_exactly(sender, receiver, 10)
        lab.client("reload")
        lab.receive_exactly(sender, receiver, 10, expected=0)


require_built()
run_cases()
