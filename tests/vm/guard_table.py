# SPDX-License-Identifier: LGPL-2.1-or-later
"""The guard's table: each act of each tool on a hook that a chain uses, on what it has become in each mode of the
guard. test-guard-off.py, -observe.py and -enforce.py go through it.

- off:     what the act does by itself: nothing (the kernel says no), or harm, which is told and mended;
- observe: the same, and before it happens it is told what would have been refused, and who wanted it;
- enforce: it is refused with "Operation not permitted", told with who wanted it, and nothing has changed.
"""

import dataclasses
import os
import signal
import typing

from bpfchain_test import case, eventually, run_cases
from guard_lab import AGENT, FOE, FOE_OBJECT, OUR_PINS, UNIT, Stage, say
from vm_lab import command, main_pid, show, systemctl

NOT_PERMITTED = "not permitted"
ALTERNATIVE = "alt:a-longer-name-of-eth0"


@dataclasses.dataclass
class Act:
    name: str
    words: typing.Callable  # of the arena: the command
    attempt: set  # what it is told as before it happens: one of these
    rule: str | tuple
    tool: str = FOE  # path of the executable that is to be named
    fact: str = ""  # what it is told as once it has happened; empty: there is nothing to tell
    works: bool = False  # without a guard its exit status is 0
    after: typing.Callable = lambda arena: None  # takes away what it left, in the modes off and observe
    says: str = NOT_PERMITTED  # what the tool says when refused; not all give on what the kernel told them
    silent: bool = False  # the tool exits with 0 although it was refused
    mended: bool = True  # what happened is mended by the service without `after`
    mute: bool = False  # where it is let, nobody is left to tell of it


def dev(*words):
    """`ip link set dev eth0 …`"""
    return lambda arena: ["ip", "link", "set", "dev", "eth0", *[w(arena) if callable(w) else w for w in words]]


def foe(*words):
    return lambda arena: [FOE, *[w(arena) if callable(w) else w for w in words]]


def link_id(arena):
    return arena.identity()[0]


def program_id(arena):
    return arena.identity()[1]


def xdp_pin(arena):
    return arena.foe_xdp


def tc_pin(arena):
    return arena.foe_tc


def rewire(arena):
    arena.rewire()


def move_back(arena):
    arena.close_wire()
    arena.host.outer.run("ip", "link", "del", "eth0", check=False)
    arena.rewire()


def elsewhere(arena):
    """Another network namespace."""
    return f"/proc/{os.getpid()}/fd/{arena.host.outer.fd}"


def remove_tcx(arena):
    arena.foreign("bpftool", "net", "detach", "tcx_ingress", "dev", "eth0")


def go_on(arena):
    os.kill(main_pid(), signal.SIGCONT)


def new_process(arena):
    """systemd starts it again."""
    eventually(lambda: show(UNIT, "ActiveState") == "active" and main_pid() > 0, interval=0.1)


def mount_again(arena):
    """Whoever has the file system mounted still keeps our old link, of which there is no pin any more."""
    old = link_id(arena)
    command("mount", "-t", "bpf", "bpf", "/sys/fs/bpf", "-o", "mode=700")
    arena.load_foe()
    systemctl("stop", UNIT)
    arena.foe("link-detach", old)
    systemctl("start", UNIT)


IP, TC, BPFTOOL, XDP_LOADER = "/usr/bin/ip", "/usr/sbin/tc", "/usr/sbin/bpftool", "/usr/sbin/xdp-loader"
ATTACH, DETACH = {"attach", "replace"}, {"detach"}

XDP = [
    Act("ip link set xdp object", dev("xdp", "obj", FOE_OBJECT, "sec", "xdp"), ATTACH, "netlink", IP),
    Act("ip link set xdp pinned", dev("xdp", "pinned", xdp_pin), ATTACH, "netlink", IP),
    Act("ip -force link set xdp pinned",
        lambda arena: ["ip", "-force", "link", "set", "dev", "eth0", "xdp", "pinned", arena.foe_xdp],
        ATTACH, "netlink", IP),
    Act("ip link set xdpgeneric pinned", dev("xdpgeneric", "pinned", xdp_pin), ATTACH, "netlink", IP),
    Act("ip link set xdp off", dev("xdp", "off"), DETACH, "netlink", IP),
    Act("ip -force link set xdp off", lambda arena: ["ip", "-force", "link", "set", "dev", "eth0", "xdp", "off"],
        DETACH, "netlink", IP),
    # Of a mode in which there is nothing: the kernel finds nothing to do.
    Act("ip link set xdpgeneric off", dev("xdpgeneric", "off"), DETACH, "netlink", IP, works=True),
    # It looks before it tries.
    Act("xdp-loader load", lambda arena: ["xdp-loader", "load", "eth0", FOE_OBJECT, "-n", "foe_xdp"], set(), ""),
    # By netlink, and where that does not do by bpf(2).
    Act("xdp-loader unload --all", lambda arena: ["xdp-loader", "unload", "eth0", "--all"], DETACH,
        ("links", "netlink"), XDP_LOADER, fact="detached", works=True),
    Act("bpftool net attach overwrite",
        lambda arena: ["bpftool", "net", "attach", "xdpdrv", "pinned", arena.foe_xdp, "dev", "eth0", "overwrite"],
        ATTACH, "netlink", BPFTOOL),
    Act("bpftool net detach", lambda arena: ["bpftool", "net", "detach", "xdpdrv", "dev", "eth0"], DETACH, "netlink",
        BPFTOOL),
    Act("bpftool link detach", lambda arena: ["bpftool", "link", "detach", "id", link_id(arena)], DETACH, "links",
        BPFTOOL, fact="detached", works=True),
    Act("bpf(2) to detach the link", foe("link-detach", link_id), DETACH, "links", fact="detached", works=True),
    Act("bpf(2) to update the link", foe("link-update", link_id, xdp_pin), {"replace"}, "links", fact="replaced",
        works=True),
    Act("bpf(2) to attach a program from before", foe("xdp-link", lambda arena: arena.ifindex(), xdp_pin),
        ATTACH, "links"),
    Act("netlink behind 400 others in one buffer", foe("netlink", 400, lambda arena: arena.ifindex(), "xdp", xdp_pin),
        ATTACH, "netlink"),
    Act("netlink behind 400 others, by name", foe("netlink", 400, "eth0", "xdp", xdp_pin), ATTACH, "netlink"),
    Act("netlink behind 400 others, by an alternative name", foe("netlink", 400, ALTERNATIVE, "xdp", xdp_pin),
        ATTACH, "netlink"),
    Act("netlink, XDP off by an alternative name", foe("netlink", 0, ALTERNATIVE, "xdp-off"), DETACH, "netlink"),
    Act("rm of the link's pin", lambda arena: ["rm", arena.pin()], {"unpin"}, "pins", "/usr/bin/rm", fact="unpinned",
        works=True),
    Act("mv of the program's pin", lambda arena: ["mv", arena.pin("programs"), "/sys/fs/bpf/away"], {"unpin"}, "pins",
        "/usr/bin/mv", fact="unpinned", works=True, after=lambda arena: arena.foreign("rm", "/sys/fs/bpf/away")),
    Act("mv of the folder", lambda arena: ["mv", f"{OUR_PINS}/links", f"{OUR_PINS}/away"], {"unpin"}, "pins",
        "/usr/bin/mv", works=True,
        after=lambda arena: arena.foreign("mv", f"{OUR_PINS}/away", f"{OUR_PINS}/links")),
    Act("a writable descriptor of a map", foe("map-open", lambda arena: arena.map_id(), "write"), {"open-object"},
        "objects", works=True),
    # Our programs carry no types, without which the kernel replaces nothing of them; the attempt is one all the same.
    Act("a function in place of ours", foe("replace-function", program_id), {"replace-function"}, "objects"),
    Act("ptrace of the service", foe("trace", lambda arena: main_pid()), {"trace"}, "service", works=True),
    Act("SIGSTOP to the service", lambda arena: ["kill", "-STOP", main_pid()], {"signal"}, "service", "/usr/bin/kill",
        works=True, after=go_on),
    Act("SIGKILL to the service", lambda arena: ["kill", "-KILL", main_pid()], {"signal"}, "service",
        "/usr/bin/kill", works=True, after=new_process, mute=True),
    Act("moving the interface", dev("netns", elsewhere), {"interface-move"}, "interfaces", IP, fact="interface-moved",
        works=True, after=move_back, mended=False),
    Act("deleting the interface", lambda arena: ["ip", "link", "del", "eth0"], {"interface-delete"}, "interfaces", IP,
        fact="interface-deleted", works=True, after=rewire, mended=False),
    Act("deleting the interface by an alternative name behind 400 others", foe("netlink", 400, ALTERNATIVE, "delete"),
        {"interface-delete"}, "interfaces", fact="interface-deleted", works=True, after=rewire, mended=False),
    Act("umount of the bpf file system", lambda arena: ["umount", "--lazy", "/sys/fs/bpf"], {"unmount"}, "pins",
        "/usr/bin/umount", works=True, after=mount_again, says="must be superuser"),
]

TCX = [
    Act("bpftool link detach", lambda arena: ["bpftool", "link", "detach", "id", link_id(arena)], DETACH, "links",
        BPFTOOL, fact="detached", works=True),
    Act("bpf(2) to update the link", foe("link-update", link_id, tc_pin), {"replace"}, "links", fact="replaced",
        works=True),
    Act("tcx before ours by link", foe("tcx-link", lambda arena: arena.ifindex(), tc_pin, "first"),
        {"precede", "attach"}, "links", works=True),
    Act("tcx before ours by program", foe("tcx-attach", lambda arena: arena.ifindex(), tc_pin, "first"),
        {"precede", "attach"}, "links", fact="preceded", works=True, after=remove_tcx),
    Act("tcx program instead of ours", foe("tcx-replace", lambda arena: arena.ifindex(), program_id, tc_pin),
        {"replace", "attach"}, "links"),
    Act("tcx detach of our program", foe("tcx-detach", lambda arena: arena.ifindex(), program_id), DETACH, "links"),
    Act("bpftool net attach tcx",
        lambda arena: ["bpftool", "net", "attach", "tcx_ingress", "pinned", arena.foe_tc, "dev", "eth0"],
        set(), "", BPFTOOL, works=True, after=remove_tcx),
]


def clsact_filter(verb, *words):
    return lambda arena: ["tc", "filter", verb, "dev", "eth0", "ingress", *[w(arena) if callable(w) else w
                                                                           for w in words]]


def remove_filter(arena):
    arena.foreign("tc", "filter", "del", "dev", "eth0", "ingress", "pref", "1")


FILTER = {"filter-change"}
BPF_FILTER = ("bpf", "direct-action", "object-pinned", tc_pin)
CLSACT = [
    Act("tc filter add before ours", clsact_filter("add", "pref", 1, *BPF_FILTER), FILTER, "netlink", TC,
        fact="filter-added", works=True, after=remove_filter, mended=False),
    # Ours has the first place; another kind can't be there as well.
    Act("tc filter add matchall drop before ours",
        clsact_filter("add", "pref", 1, "matchall", "action", "drop"), FILTER, "netlink", TC),
    Act("tc filter replace of ours",
        clsact_filter("replace", "pref", lambda arena: arena.filter()[0], "handle", lambda arena: arena.filter()[1],
                      *BPF_FILTER), FILTER, "netlink", TC, fact="replaced", works=True, after=remove_filter,
        mended=False),
    Act("tc filter del of ours", clsact_filter("del", "pref", lambda arena: arena.filter()[0]), FILTER, "netlink",
        TC, fact="detached", works=True),
    Act("tc filter del of all", clsact_filter("del"), FILTER, "netlink", TC, fact="detached", works=True),
    Act("tc qdisc del clsact", lambda arena: ["tc", "qdisc", "del", "dev", "eth0", "clsact"], {"qdisc-change"},
        "netlink", TC, fact="detached", works=True),
    Act("tc qdisc replace by ingress", lambda arena: ["tc", "qdisc", "replace", "dev", "eth0", "ingress"],
        {"qdisc-change"}, "netlink", TC),
    Act("netlink, clsact deleted behind 400 others", foe("netlink", 400, lambda arena: arena.ifindex(),
                                                         "delete-clsact"), {"qdisc-change"}, "netlink",
        fact="detached", works=True),
]


def check_who(event, act, done):
    who = event["who"]
    wanted = {"pid": done.pid, "uid": 0, "executable": act.tool, "unit": AGENT}
    wrong = {key: who.get(key) for key, value in wanted.items() if who.get(key) != value}
    assert not wrong, f"{done}: the culprit's {wrong} are not {wanted}: {say(event)}"
    assert who["name"] == os.path.basename(done.words[0])[:15], say(event)


def attempted(arena, mark, act, done, verdict):
    def wanted(event):
        return event["verdict"] == verdict and event["who"].get("pid") == done.pid
    event = arena.wait_event(mark, wanted, f"{verdict} for pid {done.pid} ({done})")
    assert event["what"] in act.attempt and event.get("rule") in act.rule, f"{done}: {say(event)}"
    check_who(event, act, done)


def happened(arena, mark, act, done):
    """Without the guard: seen afterwards, mended, and told who it was where something in the kernel tells."""
    if act.fact:
        knows = arena.get("Sources").get(TELLS_WHO.get(act.fact)) == "available"

        def wanted(event):
            return (event["what"] == act.fact and event["verdict"] == "seen" and
                    (not knows or event["who"].get("pid") == done.pid))
        event = arena.wait_event(mark, wanted, f"{act.fact}, seen ({done})")
        # Who asks by netlink is looked up when it is told, and may have ended by then; that is said.
        if event["source"] == "tc-events" and "executable" not in event["who"]:
            assert event["who"].get("unknown"), say(event)
        elif knows:
            check_who(event, act, done)
    act.after(arena)
    arena.whole()
    if act.fact and act.mended:
        arena.wait_event(mark, lambda e: e["what"] == act.fact and e["outcome"] == "restored",
                         f"{act.fact}, restored ({done})")
    if not act.fact:
        harm = [event for event in arena.fresh(mark) if event["verdict"] == "seen" and
                event["what"] in ("detached", "replaced", "unpinned")]
        assert not harm or act.works, f"{done}: {say(harm[0])}"


def refused(arena, before, mark, act, done):
    assert done.status != 0 or act.silent, f"{done}: it was let"
    assert act.says in done.output, f"{done}: it was not told why"
    attempted(arena, mark, act, done, "refused")
    assert arena.identity() == before, f"{done}: the chain is not what it was"
    arena.packets_pass()
    seen = [event for event in arena.fresh(mark) if event["verdict"] == "seen" and event["what"] != "program-loaded"]
    assert not seen, f"{done}: refused, and yet {say(seen[0])}"


TELLS_WHO = {"detached": "hook-facts", "replaced": "hook-facts", "preceded": "hook-facts", "unpinned": "pin-culprits"}


def go(arena, act, mode):
    before, mark = arena.identity(), arena.mark()
    done = arena.foreign(*act.words(arena))
    if mode == "enforce" and act.attempt:
        refused(arena, before, mark, act, done)
        return
    assert (done.status == 0) == act.works, f"{done}: unlike what is known of it"
    if act.after is go_on:
        go_on(arena)  # else there is nobody to ask
    if mode != "off" and act.attempt and not act.mute:
        attempted(arena, mark, act, done, "would-refuse")
    happened(arena, mark, act, done)


def make_case(stage, act, hook, mode):
    def function():
        with stage.used() as arena:
            go(arena, act, mode)
    function.__name__ = f"{hook} {act.name}"
    case(function)


def run_table(mode):
    for acts, hook, settings in ((XDP, "xdp", None), (TCX, "tc-ingress", None),
                                 (CLSACT, "tc-ingress", {"tc-attach": "clsact"})):
        stage = Stage(hook, settings, mode)
        for act in acts:
            make_case(stage, act, hook, mode)
    run_cases()
