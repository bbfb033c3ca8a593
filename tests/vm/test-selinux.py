#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""SELinux, enforcing: the service in its own domain, its files under types of their own, and clients of every kind
that reach it. The lock-down is off, as it is after an installation.

Runs last: it looks at the denials of the whole boot, whatever ran before."""

import os
import re
import shutil

from vm_lab import (CHAIN, DAEMON, MANAGER, OBJECTS, ROOT_OBJECT, UNIT, Host, avcs, busctl, case, chain_path,
                    chains, client, command, hits, journal_cursor, main_pid, run_cases, show, systemctl)
from selinux_lab import STAFF, SYSADM, as_service, boolean, context_of, label_of, modules

# By what a record says of the one that was denied something, or of what it was denied.
OURS = re.compile(r'comm="bpfchaind?"|exe="[^"]*/bpfchaind?"|'
                  r'path="/(etc|run|var/lib|usr/lib|sys/fs/bpf)/bpfchain[/"]|'
                  r'context=\w+:\w+:bpfchain\w*_t:')
# What this very script provokes is none of it.
PROVOKED = []


@case
def it_is_enforcing():
    assert command("getenforce").stdout.strip() == "Enforcing"
    assert re.search(r"Loaded policy name:\s+default", command("sestatus").stdout)


@case
def the_modules_are_there_and_the_lock_down_is_off():
    found = modules()
    assert found["bpfchain"] and found["bpfchain-pins"], found
    assert found["bpfchain-lockdown"] is False, found


@case
def the_service_is_in_its_own_domain():
    assert context_of(main_pid()) == "system_u:system_r:bpfchaind_t:s0", context_of(main_pid())


@case
def its_files_have_types_of_their_own():
    # Tests of upgrades have put units in place as tar does, without labels.
    command("restorecon", "-RF", f"/usr/lib/systemd/system/{UNIT}")
    with Host() as host:
        host.run_chain()
        client("apply", "--runtime", "--name=bct", "-", input='{"chains": []}')
        expected = {
            DAEMON: "bpfchaind_exec_t", f"/usr/lib/systemd/system/{UNIT}": "bpfchaind_unit_t",
            "/etc/bpfchain/chains.d/eth0-xdp.json": "bpfchain_etc_t", OBJECTS: "bpfchain_etc_t",
            "/run/bpfchain": "bpfchain_runtime_t", "/run/bpfchain/private": "bpfchain_runtime_t",
            "/run/bpfchain/chains.d/bct.json": "bpfchain_runtime_t", "/var/lib/bpfchain": "bpfchain_var_lib_t",
            "/sys/fs/bpf/bpfchain": "bpfchain_bpf_t", "/sys/fs/bpf": "bpf_t"}
        pins = [os.path.join(folder, name) for folder, _, names in os.walk("/sys/fs/bpf/bpfchain") for name in names]
        assert pins, "nothing is pinned"
        expected.update((pin, "bpfchain_bpf_t") for pin in pins)
        found = {path: label_of(path) for path in expected}
        assert found == expected, {path: label for path, label in found.items() if label != expected[path]}
        # And the policy's own idea of them is the same.
        wrong = command("restorecon", "-nvR", "/etc/bpfchain", "/run/bpfchain", "/var/lib/bpfchain",
                        "/usr/libexec/bpfchain").stdout
        assert not wrong, wrong


# What a client of any kind may do.
LOOK = f"""
bpfchain status
bpfchain interfaces
bpfchain metrics
busctl --timeout=60 get-property org.bpfchain1 {chain_path()} {CHAIN} Slots
busctl --timeout=60 call org.bpfchain1 {ROOT_OBJECT} {MANAGER} ListDocuments
"""

# And what takes root. In the middle the chain is gone.
CHANGE = f"""
bpfchain map get a hits 00000000
bpfchain reload
bpfchain withdraw eth0-xdp
if bpfchain status | grep eth0; then exit 20; fi
echo '{{ "programs": {{ "a": {{ "object": "{OBJECTS}/verdict.bpf.o", "function": "xdp_verdict" }} }},
        "chains": [ {{ "interfaces": [ "eth0" ], "hook": "xdp", "programs": [ "a" ] }} ] }}' |
        bpfchain apply --name=bct -
busctl --timeout=60 call org.bpfchain1 {ROOT_OBJECT} {MANAGER} Reload 'a{{sv}}' 0
systemctl reload {UNIT}
systemctl restart {UNIT}
bpfchain status | grep eth0
"""


def every_call(host, run, text):
    """All of it with a command() of some user or domain, on a fresh chain."""
    host.run_chain()
    run("sh", "-exc", text)
    assert chains()["eth0", "xdp"]["state"] == "active"


@case
def root_in_an_unconfined_shell_may_do_everything():
    assert command("id", "-Z").stdout.startswith("unconfined_u:unconfined_r:unconfined_t:")
    with Host() as host:
        every_call(host, command, LOOK + CHANGE)


@case
def a_user_may_look():
    with Host() as host:
        every_call(host, lambda *words: command(*words, user="alice"), LOOK)


@case
def a_service_may_do_what_its_user_may():
    with Host() as host:
        every_call(host, as_service("User=alice"), LOOK)
        every_call(host, as_service(), LOOK + CHANGE)


@case
def an_administrator_in_sysadm_may_do_everything():
    with Host() as host:
        run = as_service(f"SELinuxContext={SYSADM}")
        assert run("id", "-Z").stdout.strip() == SYSADM
        every_call(host, run, LOOK + CHANGE)


@case
def a_user_in_staff_may_look():
    with Host() as host:
        every_call(host, as_service(f"SELinuxContext={STAFF}", "User=alice"), LOOK)


@case
def all_hooks_run_programs_of_each_kind_of_place():
    """Objects that others keep: by type where they are, and in homes by a boolean."""
    with Host() as host:
        places = ["/usr/lib/bpfchain", "/usr/share/bct", "/etc/bct", "/usr/local/lib/bct"]
        source = os.path.join(OBJECTS, "verdict.bpf.o")
        home = "/home/alice/bct"
        try:
            for place in places + [home]:
                os.makedirs(place, exist_ok=True)
                shutil.copy(source, place)
                command("restorecon", "-RF", place)
            for i, place in enumerate(places):
                host.document(f"place{i}", {
                    "programs": {f"p{i}": {"object": f"{place}/verdict.bpf.o", "function": "xdp_verdict"}},
                    "chains": [{"interfaces": ["eth0"], "hook": "xdp", "programs": [f"p{i}"]}]})
                client("reload")
                assert [slot["program"] for slot in host.wait_chain()["slots"]] == [f"p{i}"], place
                os.unlink(f"/etc/bpfchain/chains.d/place{i}.json")
            host.document("home", {
                "programs": {"h": {"object": f"{home}/verdict.bpf.o", "function": "tc_verdict"}},
                "chains": [{"interfaces": ["eth0"], "hook": "tc-ingress", "programs": ["h"]}]})
            cursor = journal_cursor()
            client("reload", check=False)
            assert chains().get(("eth0", "tc-ingress"), {"state": ""})["state"] != "active", "it read a home"
            denied = avcs(cursor)
            assert any("bpfchaind_t" in line for line in denied), denied
            PROVOKED.extend(denied)
            with boolean("bpfchain_read_user_content"):
                client("reload")
                host.wait_chain("eth0", "tc-ingress")
                host.passes(10)
                assert hits("h") == 10
        finally:
            for place in places + [home]:
                shutil.rmtree(place, ignore_errors=True)


@case
def the_service_can_do_no_more_than_its_work():
    """A taste of it, in its very domain."""
    pid = str(main_pid())
    for path in ("/etc/shadow", "/home/alice/.profile", "/root/.profile"):
        assert os.path.exists(path), path
    cursor = journal_cursor()
    domain = ["runcon", "system_u:system_r:bpfchaind_t:s0"]
    # Nothing but its executable leads there.
    refused = command(*domain, "cat", "/etc/shadow", check=False)
    assert refused.returncode != 0 and "root:" not in refused.stdout
    refused = command(*domain, DAEMON, "--version", check=False)
    assert refused.returncode != 0, "a shell of root's becomes the service"
    PROVOKED.extend(avcs(cursor))
    assert str(main_pid()) == pid


@case
def denials_are_seen():
    """Else the next case would show nothing."""
    cursor = journal_cursor()
    as_service("SELinuxContext=system_u:system_r:systemd_hostnamed_t:s0")("cat", "/etc/shadow", check=False)
    assert avcs(cursor), "no denial was recorded"


@case
def nothing_of_ours_was_denied():
    denials = avcs()
    domains = {}
    for line in denials:
        domain = re.search(r"scontext=\w+:\w+:(\w+):", line)[1]
        domains[domain] = domains.get(domain, 0) + 1
    print(f"# {len(denials)} denials since the boot, by domain: {domains}")
    ours = [line for line in denials if OURS.search(line) and line not in PROVOKED]
    assert not ours, "\n".join(ours)
    assert show(UNIT, "NRestarts") != "" and systemctl("is-active", UNIT).stdout.strip() == "active"
    busctl("get-property", "org.bpfchain1", ROOT_OBJECT, MANAGER, "State")


run_cases()
