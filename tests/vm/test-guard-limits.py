#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The guard in enforce mode: whom it keeps off and whom it lets, what it does not touch, what stays when the service
is restarted, killed or upgraded, and the ways out."""

import os
import shutil
import subprocess
import time

from guard_lab import FOE, GUARD, OUR_PINS, Stage, say
from vm_lab import (DAEMON, UNIT, USERS, case, client, command, eventually, main_pid, run_cases, show, systemctl,
                    wait_new_main)

RELEASE = "bpfchain-guard-release.service"
SHARED = Stage(mode="enforce")
XDP_PROGRAM, CGROUP_SKB_PROGRAM, TRACEPOINT_PROGRAM = 6, 8, 5


def detach(arena, **options):
    return arena.foe("link-detach", arena.identity()[0], **options)


def is_refused(arena, done, mark, **who):
    """By exit status, by the event, and by the chain."""
    assert done.status != 0 and "not permitted" in done.output, str(done)
    event = arena.wait_event(mark, lambda e: e["verdict"] == "refused" and e["who"].get("pid") == done.pid, str(done))
    wrong = {key: event["who"].get(key) for key, value in who.items() if event["who"].get(key) != value}
    assert not wrong, f"{wrong} instead of {who}: {say(event)}"
    return event


def detach_is_refused(arena):
    mark = arena.mark()
    is_refused(arena, detach(arena), mark)


def is_allowed(arena, done, mark):
    assert done.status == 0, str(done)
    event = arena.wait_event(mark, lambda e: e["verdict"] == "allowed" and e["who"].get("pid") == done.pid, str(done))
    arena.whole()
    return event


def refusals(arena):
    """Of all rules, by verdict."""
    totals = {}
    for counters in arena.get("Counters").values():
        for verdict, count in counters.items():
            totals[verdict] = totals.get(verdict, 0) + count
    return totals


@case
def a_culprit_that_is_gone_with_its_file_is_named():
    with SHARED.used() as arena:
        before, mark = arena.identity(), arena.mark()
        shutil.copy(FOE, "/tmp/culprit")
        # Forks, and both parents are gone before it begins.
        done = arena.foreign("sh", "-c", f"(/tmp/culprit -u link-detach {before[0]} >/dev/null 2>&1 &)")
        assert done.status == 0, str(done)
        event = arena.wait_event(mark, lambda e: e["verdict"] == "refused" and e["who"].get("name") == "culprit",
                                 "the culprit")
        who = event["who"]
        assert who["executable"].startswith("/tmp/culprit"), say(event)
        assert (who["uid"], who["unit"]) == (0, "bpfchain-vm-agent.service"), say(event)
        assert not os.path.exists("/tmp/culprit") and arena.identity() == before


@case
def a_culprit_in_another_network_namespace_is_kept_off():
    with SHARED.used() as arena:
        before, mark = arena.identity(), arena.mark()
        done = arena.foe("link-detach", before[0], namespace=arena.host.outer)
        is_refused(arena, done, mark, executable=FOE, uid=0)
        assert arena.identity() == before
        arena.packets_pass()


@case
def what_is_not_about_hooks_passes():
    with SHARED.used() as arena:
        before, mark = arena.identity(), arena.mark()
        ours = ("link", "set", "dev", "eth0")
        for words in (("link", "add", "other0", "type", "veth", "peer", "name", "other1"),
                      ("link", "set", "dev", "other0", "name", "another0"), ("link", "set", "dev", "another0", "up"),
                      ("link", "del", "another0"), (*ours, "mtu", "1400"), (*ours, "down"), (*ours, "mtu", "1500"),
                      (*ours, "up"), ("addr", "add", "192.0.2.1/24", "dev", "eth0"),
                      ("addr", "del", "192.0.2.1/24", "dev", "eth0"), ("link", "show"), ("neigh", "show")):
            done = arena.foreign("ip", *words)
            assert done.status == 0, str(done)
        # Programs and qdiscs of theirs, on an interface of theirs.
        command("ip", "link", "add", "other0", "type", "veth", "peer", "name", "other1")
        try:
            for words in (("ip", "link", "set", "dev", "other0", "xdp", "pinned", arena.foe_xdp),
                          ("ip", "link", "set", "dev", "other0", "xdp", "off"),
                          ("tc", "qdisc", "add", "dev", "other0", "clsact"),
                          ("tc", "filter", "add", "dev", "other0", "ingress", "bpf", "direct-action", "object-pinned",
                           arena.foe_tc), ("tc", "qdisc", "del", "dev", "other0", "clsact")):
                done = arena.foreign(*words)
                assert done.status == 0, str(done)
        finally:
            command("ip", "link", "del", "other0")
        assert not [e for e in arena.fresh(mark) if e["verdict"] == "refused"], list(map(say, arena.fresh(mark)))
        assert arena.identity() == before
        arena.host.inner.ip("neigh", "replace", arena.host.wire.outer_address, "lladdr",
                            arena.host.wire.outer_mac.hex(":"), "dev", "eth0", "nud", "permanent")
        arena.packets_pass()


@case
def who_only_looks_may_look():
    with SHARED.used() as arena:
        link, program = arena.identity()
        mark = arena.mark()
        for words, wanted in ((("prog", "show"), f"\n{program}: xdp"), (("link", "show"), f"\n{link}: "),
                              (("net", "show"), "eth0("),
                              (("prog", "dump", "xlated", "id", program), "exit")):
            done = arena.foreign("bpftool", *words)
            assert done.status == 0 and wanted in "\n" + done.output, f"{done}\n(wanted: {wanted!r})"
        # bpftool before 7.7 opens maps for writing even where it only shows them, and is refused that.
        done = arena.foe("map-open", arena.map_id(), "read")
        assert done.status == 0, str(done)
        refused = [e for e in arena.fresh(mark) if e["verdict"] == "refused" and e["what"] != "open-object"]
        assert not refused, list(map(say, refused))


@case
def who_is_allowed_by_the_settings_may():
    user = ["setpriv", f"--reuid={USERS['alice']}", "--clear-groups", "--inh-caps=+all", "--ambient-caps=+all",
            "--"]
    with SHARED.used(allow=[{"executable": "/usr/sbin/bpftool"}, {"unit": "bct-friend.service"},
                            {"user": "alice"}]) as arena:
        mark = arena.mark()
        is_allowed(arena, arena.foreign("bpftool", "link", "detach", "id", arena.identity()[0]), mark)
        detach_is_refused(arena)

        mark = arena.mark()
        done = arena.foreign(*user, FOE, "link-detach", arena.identity()[0])
        is_allowed(arena, done, mark)

        mark, link = arena.mark(), arena.identity()[0]
        done = arena.foreign("systemd-run", "--wait", "--quiet", "--unit=bct-friend.service", FOE, "link-detach",
                             link)
        assert done.status == 0, str(done)
        arena.wait_event(mark, lambda e: e["verdict"] == "allowed" and e["who"].get("unit") == "bct-friend.service",
                         "the unit")
        arena.whole()
        mark, link = arena.mark(), arena.identity()[0]
        done = arena.foreign("systemd-run", "--wait", "--quiet", "--unit=bct-stranger.service", FOE, "link-detach",
                             link)
        assert done.status != 0, str(done)
        arena.wait_event(mark, lambda e: e["verdict"] == "refused" and e["who"].get("unit") == "bct-stranger.service",
                         "the stranger")


@case
def modes_are_switched_under_attack_without_a_gap():
    """Each of the acts comes under one mode or the other, and none under neither."""
    count = 4000
    with SHARED.used() as arena:
        map_id, before = arena.map_id(), refusals(arena)
        with subprocess.Popen([FOE, "flood", str(count), "map-open", str(map_id), "write"],
                              stdout=subprocess.DEVNULL) as flood:
            switches = 0
            while flood.poll() is None:
                arena.call(*GUARD, "SetMode", "sa{sv}", ("observe", "enforce")[switches % 2], {})
                switches += 1
        assert flood.returncode == 0
        after = refusals(arena)
        delta = {key: after[key] - before.get(key, 0) for key in after}
        print(f"# {switches} switches in {count} acts: {delta}")
        assert switches >= 2, "the flood was over too soon"
        assert delta["refused"] + delta["would-refuse"] == count, delta
        arena.call(*GUARD, "SetMode", "sa{sv}", "settings", {})
        assert arena.get("Mode") == "enforce"


def kept_off_all_the_while(arena, act):
    """While act() goes on somebody tries to take our link, as fast as he can."""
    link, program = arena.identity()
    stop = f"/tmp/bct-stop-{time.monotonic_ns()}"
    script = (f"n=0; while [ ! -e {stop} ]; do {FOE} link-detach {link} >/dev/null 2>&1 && exit 9; "
              "n=$((n+1)); done; echo $n")
    with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, text=True) as attacker:
        try:
            act()
        finally:
            with open(stop, "w", encoding="ascii"):
                pass
            tries = attacker.communicate()[0].strip()
        os.unlink(stop)
    assert attacker.returncode == 0, "an attempt came through"
    print(f"# {tries} attempts")
    assert arena.identity() == (link, program)
    arena.packets_pass()


@case
def the_guard_stays_over_a_restart():
    with SHARED.used() as arena:
        pid = main_pid()

        def restart():
            systemctl("restart", UNIT)
            wait_new_main(pid)
        kept_off_all_the_while(arena, restart)
        assert arena.get("Mode") == "enforce" and arena.get("Reason") == "", arena.get("Reason")
        detach_is_refused(arena)


@case
def a_dead_service_is_defended_as_a_living_one():
    with SHARED.used() as arena:
        arena.host.drop_in("[Service]\nRestart=no\n")
        link, _ = arena.identity()
        program = arena.host.inner.link("eth0")["xdp"]["prog"]["id"]
        # systemd may do it, somebody else may not (guard_table.py).
        systemctl("kill", "--signal=KILL", UNIT)
        eventually(lambda: show(UNIT, "ActiveState") == "failed", interval=0.1)
        for words in ((FOE, "link-detach", link), (FOE, "link-update", link, arena.foe_xdp),
                      ("rm", arena.pin()), ("rm", "-rf", OUR_PINS),
                      ("ip", "link", "del", "eth0"), ("ip", "link", "set", "dev", "eth0", "xdp", "off")):
            done = arena.foreign(*words)
            assert done.status != 0 and "not permitted" in done.output, str(done)
        assert arena.host.inner.link("eth0")["xdp"]["prog"]["id"] == program
        arena.close_wire()
        arena.host.passes(20)
        systemctl("reset-failed", UNIT)
        systemctl("start", UNIT)
        assert arena.identity() == (link, program)
        assert arena.get("Mode") == "enforce"
        detach_is_refused(arena)


@case
def an_upgraded_service_is_known():
    with SHARED.used() as arena:
        pid, before = main_pid(), arena.identity()
        shutil.copy(DAEMON, DAEMON + ".new")
        os.rename(DAEMON + ".new", DAEMON)
        command("restorecon", "-F", DAEMON)
        systemctl("restart", UNIT)
        wait_new_main(pid)
        assert arena.identity() == before and arena.get("Mode") == "enforce"
        detach_is_refused(arena)
        # It may still do what it is there for.
        arena.host.run_chain("tc-ingress", program="b")
        client("reload")


@case
def the_administrator_has_a_way_out():
    with SHARED.used() as arena:
        detach_is_refused(arena)
        client("guard", "mode", "off")
        assert arena.get("Mode") == "off"
        mark = arena.mark()
        done = detach(arena)
        assert done.status == 0, str(done)
        arena.wait_event(mark, lambda e: e["what"] == "detached" and e["outcome"] == "restored", "the repair")
        arena.whole()
        client("guard", "mode", "settings")
        assert arena.get("Mode") == "enforce"
        detach_is_refused(arena)


@case
def the_way_out_without_the_service():
    with SHARED.used() as arena:
        link, _ = arena.identity()
        systemctl("stop", UNIT)
        done = arena.foe("link-detach", link)
        assert done.status != 0 and "not permitted" in done.output, str(done)
        systemctl("start", RELEASE)
        assert show(RELEASE, "Result") == "success"
        arena.close_wire()
        arena.host.passes(20)
        # The kernel takes its time to let go of so many links.
        eventually(lambda: arena.foe("link-detach", link).status == 0, timeout=30, interval=0.2)
        systemctl("start", UNIT)
        arena.whole()
        assert arena.get("Mode") == "enforce"


@case
def loading_is_refused_where_that_is_wanted():
    with SHARED.used(**{"refuse-loading": "networking"}) as arena:
        mark = arena.mark()
        event = is_refused(arena, arena.foe("load", XDP_PROGRAM), mark, executable=FOE)
        assert (event["what"], event["rule"]) == ("load-program", "loads"), say(event)
        for kind in (CGROUP_SKB_PROGRAM, TRACEPOINT_PROGRAM):
            done = arena.foe("load", kind)
            assert done.status == 0, str(done)
        # systemd's own programs are there, and work.
        speak = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9))"
        for deny, permitted in ((), True), (("--property=IPAddressDeny=any",), False):
            done = arena.foreign("systemd-run", "--wait", "--quiet", *deny, "--", "python3", "-c", speak)
            assert (done.status == 0) == permitted, f"{done}: systemd's own filter is not as it was"
        # The service loads as ever.
        arena.host.run_chain("tc-ingress", program="b")


run_cases()
