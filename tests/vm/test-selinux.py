#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""SELinux, enforcing, with the distribution's policy. Without a module of ours the service runs where any service of
the administrator does; that must work, and deny it nothing.

Runs last: it looks at the denials of the whole boot, whatever ran before."""

import re

from vm_lab import UNIT, Host, avcs, case, command, main_pid, run_cases, systemctl

# By what a record says of the one that was denied something, or of what it was denied.
OURS = re.compile(r'comm="bpfchaind?"|exe="[^"]*/bpfchaind?"|'
                  r'path="/(etc|run|var/lib|usr/lib|sys/fs/bpf)/bpfchain[/"]|'
                  r'context=\w+:\w+:bpfchain\w*_t:')


@case
def it_is_enforcing():
    assert command("getenforce").stdout.strip() == "Enforcing"
    assert re.search(r"Loaded policy name:\s+default", command("sestatus").stdout)


@case
def the_agent_is_what_an_administrator_is():
    assert command("id", "-Z").stdout.startswith("unconfined_u:unconfined_r:unconfined_t:")


@case
def the_domain_of_the_service_is_known():
    with open(f"/proc/{main_pid()}/attr/current", encoding="ascii") as file:
        context = file.read().rstrip("\0\n")
    print(f"# the service runs as {context}")
    assert context.split(":")[2] in ("initrc_t", "unconfined_service_t", "bpfchaind_t"), context


@case
def denials_are_seen():
    """Else the next case would show nothing."""
    before = len(avcs())
    # A confined domain that may not read this.
    command("runcon", "system_u:system_r:syslogd_t:s0", "cat", "/etc/shadow", check=False)
    with Host():
        systemctl("status", UNIT)
    command("systemd-run", "--wait", "--quiet", "--property=SELinuxContext=system_u:system_r:systemd_hostnamed_t:s0",
            "cat", "/etc/shadow", check=False)
    assert len(avcs()) > before, "no denial was recorded"


@case
def nothing_of_ours_was_denied():
    denials = avcs()
    domains = {}
    for line in denials:
        domain = re.search(r"scontext=\w+:\w+:(\w+):", line)[1]
        domains[domain] = domains.get(domain, 0) + 1
    print(f"# {len(denials)} denials since the boot, by domain: {domains}")
    ours = [line for line in denials if OURS.search(line)]
    assert not ours, "\n".join(ours)


run_cases()
