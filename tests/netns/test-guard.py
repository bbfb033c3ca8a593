# SPDX-License-Identifier: LGPL-2.1-or-later
"""What others do to hooks of chains: each act is seen and told, with who did it where that can be known, and the
chain is put back or left, as the policy says. Loads of programs are told machine-wide, so that those of others, besides
the tests, are passed over by pid."""

import os
import shutil
import subprocess
import time

from bpfchain_test import BUILD, Daemon, Skip, case, eventually, find_object, require_built, run_cases
from service_lab import ServiceLab, order_program, simple_document, verdict_program

ACT = os.path.join(BUILD, "tests", "netns", "guard-act")
GUARD = ("/org/bpfchain1/guard", "org.bpfchain1.Guard")
QUICK = {"guard": {"check-interval": "100ms", "restore-backoff": "500ms", "restore-backoff-max": "2s"}}
TCX = {"programs": {"a": verdict_program("tc-ingress")},
       "chains": [{"interfaces": ["eth0"], "hook": "tc-ingress", "programs": ["a"]}]}


class GuardLab(ServiceLab):
    """A ServiceLab whose service looks often, with foreign programs at hand."""

    def __init__(self, settings=None, **options):
        super().__init__(**options)
        self.write("etc/bpfchain/bpfchain.json", settings or QUICK)
        self.foreign = os.path.join(os.path.dirname(self.bpffs), "foreign")

    def load_foreign(self, kind="xdp"):
        self.inner.run("bpftool", "prog", "load", find_object("verdict-v2.bpf.o"), self.foreign, "type", kind)
        return self.bpftool("prog", "show", "pinned", self.foreign)["id"]

    def act(self, *arguments, check=True):
        result = self.inner.run(ACT, *map(str, arguments), check=check)
        return list(map(int, result.stdout.split())) if result.returncode == 0 else None

    def holding(self, *arguments):
        """An act that lasts until the process's input ends."""
        process = self.inner.popen([ACT, *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   text=True)
        assert process.stdout.readline(), f"guard-act {arguments} failed"
        return process

    def events(self, what=None, **members):
        return [event for event in self.client_json("guard", "log", "--limit", "1000")
                if (event["what"] == what if what else event["what"] != "program-loaded")
                and all(event.get(name) == value for name, value in members.items())]

    def wait_event(self, what, **members):
        return eventually(lambda: self.events(what, **members))[-1]

    def ifindex(self, name="eth0"):
        return self.inner.link(name)["ifindex"]


def end(process):
    process.stdin.close()
    process.wait(10)
    process.stdout.close()


@case
def the_guard_says_what_it_sees_with():
    with GuardLab() as lab:
        lab.start()
        shown = lab.client_json("guard", "status")
        assert shown["mode"] == "off" and shown["events"] == 0, shown
        assert shown["sources"]["tc-events"] == shown["sources"]["links"] == shown["sources"]["pins"] == "available"
        text = lab.client("guard").stdout
        assert "program-loads" in text and "sources" in text, text
        assert lab.events() == []


@case
def a_mode_that_the_kernel_can_not_do_is_a_problem_and_no_more():
    with GuardLab({"guard": {**QUICK["guard"], "mode": "observe"}}) as lab:
        lab.document("edge", simple_document())
        lab.start()
        shown = lab.client_json("guard", "status")
        if shown["mode"] == "observe":
            raise Skip("this kernel lets the guard's programs in")
        assert (shown["mode"], shown["mode-wanted"], shown["mode-configured"]) == ("off", "observe", "observe"), shown
        assert shown["reason"] and not shown["technique"] and not shown["pinned"], shown
        assert any(p["where"] == "guard" and p["severity"] == "warning" for p in lab.problems()), lab.problems()
        assert "observe is wanted" in lab.client("guard").stdout
        assert "guard off (observe is wanted)" in lab.client("status").stdout
        assert lab.client("guard", "mode", "enforce", status=1).stderr.strip()
        # What others do is seen and mended as ever.
        lab.act("detach", lab.ids()[0])
        lab.wait_event("detached", outcome="restored")
        assert lab.chain()["last-disturbance"]["verdict"] == "seen"
        lab.receive_exactly(lab.sender(), lab.receiver())
        lab.write("etc/bpfchain/bpfchain.json", QUICK)
        lab.client("reload")
        assert lab.client("guard", "mode").stdout == "guard: off\n"
        assert not [p for p in lab.problems() if p["where"] == "guard"], lab.problems()


@case
def a_link_detached_by_force_is_put_back():
    with GuardLab() as lab:
        lab.document("edge", simple_document())
        lab.start()
        for number in range(1, 3):
            before = lab.ids()
            if number == 1:
                lab.act("detach", before[0])
            else:
                time.sleep(1.1)  # else it is one event with the first
                lab.inner.run("bpftool", "link", "detach", "id", str(before[0]))
            eventually(lambda: lab.attached("eth0") and lab.ids()[0] not in (0, before[0]))
            eventually(lambda: lab.events("detached", outcome="restored")[number - 1:])
        event = lab.events("detached")[0]
        assert (event["interface"], event["hook"], event["verdict"]) == ("eth0", "xdp", "seen"), event
        assert event["who"]["unknown"], "nothing tells who it was, and that must be said"
        assert lab.chain()["last-disturbance"]["what"] == "detached", lab.chain()
        lab.receive_exactly(lab.sender(), lab.receiver())


@case
def a_program_in_our_link_is_thrown_out():
    with GuardLab() as lab:
        lab.document("edge", simple_document())
        lab.start()
        program = lab.load_foreign()
        link = lab.ids()[0]
        lab.act("update", link, lab.foreign)
        event = lab.wait_event("replaced", **{"program-id": program})
        eventually(lambda: lab.attached("eth0")[1] == lab.chain()["program-id"] != program)
        assert lab.ids()[0] == link, "the link was another one's to keep"
        if lab.client_json("guard", "status")["sources"]["program-loads"] == "available":
            # bpftool had ended long before; it was seen when it loaded the program.
            who = event["who"]
            assert who["basis"] == "loaded-the-program" and who["pid"] > 0, event
            if "executable" not in who and "ended" in who["unknown"]:
                raise Skip("this machine is so busy that bpftool had ended before anybody could look at it")
            assert who["executable"].endswith("bpftool") and "verdict-v2" in who["command"], event
            assert who["uid"] == 0 and who["cgroup"], event


@case
def tcx_programs_in_front_are_overtaken():
    with GuardLab() as lab:
        lab.document("edge", TCX)
        lab.start()
        if lab.chain("eth0", "tc-ingress")["attachment"] != "tcx-link":
            raise Skip("this kernel has no tcx")
        program = lab.load_foreign("classifier")
        for number, how in enumerate(("before-link", "before-program"), 1):
            sender, receiver = lab.sender(), lab.receiver()
            lab.receive_exactly(sender, receiver, 10)
            counted = lab.chain("eth0", "tc-ingress")["packets"]
            held = lab.holding(how, lab.ifindex(), lab.foreign)
            eventually(lambda: [event["outcome"] for event in lab.events("preceded", **{"program-id": program})] ==
                       ["restored"] * number)
            assert lab.wait_chain("eth0", "tc-ingress")["packets"] >= counted, "figures began anew"
            # What is behind ours drops them all now.
            sender.send(10)
            eventually(lambda: lab.chain("eth0", "tc-ingress")["packets"] >= counted + 10)
            receiver.close()
            end(held)
            if how == "before-program":
                lab.act("remove-program", lab.ifindex(), lab.foreign)
            time.sleep(1.1)
        assert len(lab.events("preceded")) == 2, lab.events()
        names = lab.pins()
        assert f"links/if{lab.ifindex()}-tc-ingress" in names, names
        lab.restart()
        assert lab.chain("eth0", "tc-ingress")["state"] == "active"


@case
def what_netlink_does_is_refused_or_told():
    with GuardLab() as lab:
        lab.document("edge", simple_document())
        lab.start()
        ids = lab.ids()
        lab.load_foreign()
        for command in (("ip", "link", "set", "dev", "eth0", "xdp", "off"),
                        ("ip", "link", "set", "dev", "eth0", "xdp", "pinned", lab.foreign),
                        ("bpftool", "net", "attach", "xdpdrv", "pinned", lab.foreign, "dev", "eth0", "overwrite"),
                        ("bpftool", "net", "detach", "xdpdrv", "dev", "eth0")):
            lab.inner.run(*command, check=False)
        time.sleep(0.3)
        assert lab.ids() == ids and lab.attached("eth0")[1] == ids[1]
        assert not lab.events(), "the kernel keeps netlink from our link, so that nothing happened"


@case
def clsact_and_its_filters():
    with GuardLab() as lab:
        lab.document("edge", TCX)
        lab.start()
        lab.load_foreign("classifier")
        lab.inner.run("tc", "qdisc", "add", "dev", "eth0", "clsact")
        added = lab.wait_event("qdisc-added", interface="eth0")
        assert added["who"]["pid"] > 0, added
        lab.inner.run("tc", "filter", "add", "dev", "eth0", "ingress", "pref", "7", "bpf", "direct-action",
                      "object-pinned", lab.foreign)
        event = lab.wait_event("filter-added", hook="tc-ingress")
        assert "priority 7" in event["detail"] and event["program-id"] > 0, event
        lab.inner.run("tc", "filter", "del", "dev", "eth0", "ingress", "pref", "7")
        lab.wait_event("filter-deleted", hook="tc-ingress")
        lab.inner.run("tc", "qdisc", "del", "dev", "eth0", "clsact")
        lab.wait_event("qdisc-deleted")
        assert lab.chain("eth0", "tc-ingress")["state"] == "active"


@case
def our_own_filter_comes_back():
    with GuardLab({**QUICK, "tc-attach": "clsact"}) as lab:
        lab.document("edge", TCX)
        lab.start()
        time.sleep(0.3)
        assert not lab.events(), "what we do ourselves is nothing to tell"
        lab.inner.run("tc", "qdisc", "del", "dev", "eth0", "clsact")
        event = lab.wait_event("detached", hook="tc-ingress")
        assert event["who"].get("basis") == "asked-by-netlink", event
        eventually(lambda: lab.inner.run("tc", "filter", "show", "dev", "eth0", "ingress").stdout.count("handle 0x"))
        lab.wait_chain("eth0", "tc-ingress")


@case
def pins_are_made_anew():
    with GuardLab() as lab:
        lab.document("edge", simple_document())
        lab.start()
        before = lab.pins()
        for kind in ("links", "programs", "counters"):
            pin = os.path.join(lab.bpffs, kind, f"if{lab.ifindex()}-xdp")
            with subprocess.Popen(["rm", pin]) as rm:
                rm.wait()
            eventually(lambda: lab.pins() == before)
            event = lab.wait_event("unpinned")
            assert event["pin"] == f"if{lab.ifindex()}-xdp" and event["outcome"] == "restored", event
            if lab.client_json("guard", "status")["sources"]["pin-culprits"] == "available":
                assert lab.wait_event("unpinned")["who"]["pid"] == rm.pid, event
        links = os.path.join(lab.bpffs, "links")
        os.rename(os.path.join(links, f"if{lab.ifindex()}-xdp"), os.path.join(links, "away"))
        eventually(lambda: set(before) <= set(lab.pins()))
        os.unlink(os.path.join(links, "away"))
        lab.restart()
        assert lab.chain()["state"] == "active"


@case
def pins_of_maps_are_made_anew():
    with GuardLab() as lab:
        lab.document("edge", simple_document())
        lab.start()
        # One that came while it was watched, too; and after a change of the program its folder is another.
        lab.document("more", simple_document(hook="tc-ingress", name="b"))
        lab.client("reload")
        lab.document("more", {"programs": {"b": verdict_program("tc-ingress", 0)},
                              "chains": [{"interfaces": ["eth0"], "hook": "tc-ingress", "programs": ["b"]}]})
        lab.client("reload")
        who = lab.client_json("guard", "status")["sources"]["pin-culprits"] == "available"

        def ids(folder):
            return {name: lab.bpftool("map", "show", "pinned", os.path.join(folder, name))["id"]
                    for name in os.listdir(folder)}

        for name in ("a", "b"):
            folder = os.path.join(lab.bpffs, "maps", name)
            before = ids(folder)
            assert before, folder
            with subprocess.Popen(["rm", os.path.join(folder, sorted(before)[0])]) as rm:
                rm.wait()
            event = lab.wait_event("unpinned", pin=f"maps/{name}")
            eventually(lambda: ids(folder) == before)
            assert event["outcome"] == "restored" and (not who or event["who"]["pid"] == rm.pid), event
            time.sleep(1.1)  # like events within a second are one
            shutil.rmtree(folder, ignore_errors=True)  # the service may be quicker
            eventually(lambda: os.path.isdir(folder) and ids(folder) == before)
            os.rename(folder, os.path.join(lab.bpffs, "maps", "away"))
            eventually(lambda: os.path.isdir(folder) and ids(folder) == before)
            shutil.rmtree(os.path.join(lab.bpffs, "maps", "away"))
        lab.restart()
        assert lab.chain()["state"] == "active"


@case
def interfaces_that_are_renamed_moved_deleted():
    with GuardLab(wires=3) as lab:
        lab.document("edge", simple_document(interfaces=("eth0", "eth1", "eth2", "new0")))
        lab.start()
        lab.inner.ip("link", "set", "eth0", "down")
        lab.inner.ip("link", "set", "eth0", "name", "new0")
        event = lab.wait_event("interface-renamed")
        assert (event["interface"], event["detail"]) == ("eth0", "to new0"), event
        lab.inner.run("ip", "link", "set", "eth1", "netns", lab.outer.path, pass_fds=(lab.outer.fd,))
        assert lab.wait_event("interface-moved")["interface"] == "eth1"
        lab.inner.ip("link", "del", "eth2")
        assert lab.wait_event("interface-deleted")["interface"] == "eth2"
        lab.wait_chain("new0")


@case
def never_means_that_the_holder_is_left():
    with GuardLab() as lab:
        lab.document("edge", simple_document(restore="never"))
        lab.start()
        lab.load_foreign()
        lab.act("detach", lab.ids()[0])
        chain = lab.wait_chain(state="conflict")
        assert "restore" in chain["reason"], chain["reason"]
        assert lab.attached("eth0") is None
        # Events of interfaces do not change that, somebody who asks for the chain does.
        lab.inner.ip("link", "set", "eth0", "mtu", "1400")
        time.sleep(0.5)
        assert lab.chain()["state"] == "conflict" and lab.attached("eth0") is None
        assert lab.events("detached")[-1]["outcome"] == "left"
        lab.client("reload")
        lab.wait_chain()
        lab.act("update", lab.ids()[0], lab.foreign)
        assert "foreign" in lab.foreign and "program" in lab.wait_chain(state="conflict")["reason"]
        lab.client("reload")
        lab.wait_chain()
        assert lab.attached("eth0")[1] == lab.chain()["program-id"]


@case
def a_quarrel_is_bounded():
    with GuardLab({"guard": {"check-interval": "100ms", "restore-limit": 3, "restore-backoff": "2s"}}) as lab:
        lab.document("edge", simple_document())
        lab.start()
        for _ in range(3):
            link = lab.ids()[0]
            lab.act("detach", link)
            eventually(lambda: lab.ids()[0] not in (0, link))
        lab.act("detach", lab.ids()[0])
        chain = lab.wait_chain(state="conflict")
        assert "2s" in chain["reason"], chain["reason"]
        assert any("eth0/xdp" in p["where"] for p in lab.problems()), lab.problems()
        # After the pause it is tried once more, and peace is kept.
        lab.wait_chain()
        assert lab.client_json("guard", "status")["events"] == 4


@case
def two_parties_that_both_want_the_first_place():
    """Somebody who puts himself back as fast as he can, for three seconds."""
    with GuardLab({"guard": {"restore-limit": 4, "restore-backoff": "1min"}}) as lab:
        lab.document("edge", TCX)
        lab.start()
        if lab.chain("eth0", "tc-ingress")["attachment"] != "tcx-link":
            raise Skip("this kernel has no tcx")
        lab.load_foreign("classifier")
        on_cpu = int(lab.proc("schedstat").split()[0])
        deadline, turns = time.monotonic() + 3, 0
        while time.monotonic() < deadline:
            if lab.act("before-program", lab.ifindex(), lab.foreign, check=False):
                turns += 1
            time.sleep(0.02)
            if lab.chain("eth0", "tc-ingress")["state"] != "conflict":
                lab.act("remove-program", lab.ifindex(), lab.foreign, check=False)
        assert turns >= 4, turns
        chain = lab.wait_chain("eth0", "tc-ingress", state="conflict")
        assert "in front" in chain["reason"], chain["reason"]
        settled = lab.generation, lab.ids("eth0", "tc-ingress"), lab.client_json("guard", "status")["events"]
        time.sleep(1)
        assert (lab.generation, lab.ids("eth0", "tc-ingress"),
                lab.client_json("guard", "status")["events"]) == settled, "it goes on"
        used = (int(lab.proc("schedstat").split()[0]) - on_cpu) / 1e9
        assert used < 3 or lab.sanitized, f"{used:.1f} s of CPU for a quarrel of 3 s"
        print(f"# {turns} turns, {used:.2f} s of CPU")


@case
def programs_are_told_with_who_loads_them():
    with GuardLab() as lab:
        lab.start()
        if lab.client_json("guard", "status")["sources"]["program-loads"] != "available":
            raise Skip("this host does not tell of programs")
        # Somebody who forks, execs, loads and is gone at once.
        pid = lab.act("load", 1)[1]

        def told():
            return [e for e in lab.events("program-loaded") if e["who"].get("pid") == pid]
        event = eventually(told)[0]
        assert event["program-id"] > 0 and event["verdict"] == "seen", event
        who = event["who"]
        assert who.get("executable", "").endswith("guard-act") or "ended" in who["unknown"], event


@case
def a_flood_of_programs():
    with GuardLab() as lab:
        lab.document("edge", simple_document())
        lab.start()
        if lab.client_json("guard", "status")["sources"]["program-loads"] != "available":
            raise Skip("this host does not tell of programs")
        client, before = lab.bus(), lab.client_json("guard", "status")
        memory, slowest, count = lab.rss(), 0, 10000
        with lab.inner.popen([ACT, "load", str(count)], stdout=subprocess.DEVNULL) as flood:
            while flood.poll() is None:
                started = time.monotonic()
                client.get_all(*GUARD)
                slowest = max(slowest, time.monotonic() - started)
                time.sleep(0.01)
            assert flood.returncode == 0

        def counted():
            now = lab.client_json("guard", "status")
            return now["loads"] + now["missed"] - before["loads"] - before["missed"] >= count and now
        after = eventually(counted)
        assert after["missed"] == before["missed"], f"{after['missed']} were missed"
        assert len(lab.events("program-loaded")) <= 256
        assert lab.rss() - memory < 8192 or lab.sanitized, f"{lab.rss() - memory} KiB more"
        print(f"# slowest answer {slowest * 1e3:.1f} ms")
        # It still sees what matters.
        link = lab.ids()[0]
        lab.act("detach", link)
        eventually(lambda: lab.ids()[0] not in (0, link))


@case
def signals_come_at_guard_and_chain():
    with GuardLab() as lab:
        lab.document("edge", simple_document())
        lab.start()
        with lab.inner.popen([os.path.join(BUILD, "client", "bpfchain"), "--json=short", "monitor"], text=True,
                             stdout=subprocess.PIPE, env={**os.environ, "BPFCHAIN_SOCKET": lab.daemon.socket}) as m:
            time.sleep(0.5)
            lab.act("detach", lab.ids()[0])
            lab.wait_event("detached", outcome="restored")
            time.sleep(0.3)
            m.terminate()
            lines = m.stdout.read()
        assert '"Disturbed"' in lines and '"Event"' in lines and "detached" in lines, lines


@case
def without_the_interval_nothing_wakes():
    with GuardLab({"guard": {"check-interval": "0"}}) as lab:
        lab.document("edge", simple_document())
        lab.start()
        assert "0" in lab.client_json("guard", "status")["sources"]["interval"]
        # A program that somebody loads makes it look at the chains for a moment.
        lab.act("detach", lab.ids()[0])
        lab.load_foreign()
        if lab.client_json("guard", "status")["sources"]["program-loads"] == "available":
            lab.wait_event("detached")


@case
def a_service_that_does_not_watch():
    with GuardLab({"guard": {"watch": False}}) as lab:
        lab.document("edge", simple_document())
        lab.start()
        sources = lab.client_json("guard", "status")["sources"]
        assert "mode" in sources.pop("guard"), "what its programs tell is not a matter of watching"
        assert all("watch" in why for why in sources.values()), sources
        lab.act("detach", lab.ids()[0])
        lab.load_foreign()
        time.sleep(0.5)
        assert not lab.events() and lab.attached("eth0") is None
        # The next change finds out.
        lab.client("reload")
        assert lab.wait_event("detached")["source"] == "change"
        lab.wait_chain()
        assert lab.attached("eth0")


@case
def two_services_on_one_hook():
    """Each has its program before the other's, until both have had enough."""
    with GuardLab({"guard": {"restore-limit": 3, "restore-backoff": "1min"}}) as lab:
        lab.document("edge", {"programs": {"ours": order_program(1, "tc-ingress")},
                              "chains": [{"interfaces": ["eth0"], "hook": "tc-ingress", "programs": ["ours"]}]})
        lab.start()
        if lab.chain("eth0", "tc-ingress")["attachment"] != "tcx-link":
            raise Skip("this kernel has no tcx")
        root = lab.path("neighbour")
        for folder in ("etc/bpfchain/chains.d", "etc/bpfchain/objects"):
            os.makedirs(os.path.join(root, folder))
        for path in ("objects/order.bpf.o", "chains.d/edge.json", "bpfchain.json"):
            shutil.copy(lab.path("etc/bpfchain", path), os.path.join(root, "etc/bpfchain", path))
        other = Daemon(lab.inner, root, os.path.join(os.path.dirname(lab.bpffs), "neighbour"))
        try:
            other.start()
            eventually(lambda: lab.events("preceded"))
            time.sleep(3)
            events = lab.client_json("guard", "status")["events"]
            assert 1 <= events <= 8, events
            time.sleep(1)
            assert lab.client_json("guard", "status")["events"] == events, "it goes on"
        finally:
            other.close()


require_built()
run_cases()
