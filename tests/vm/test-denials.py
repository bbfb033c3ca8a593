#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The last of a list: whatever the scripts before it did, SELinux denied nothing to the service or about its
files."""

import re

from vm_lab import avcs, case, run_cases

# By what a record says of the one that was denied something, or of what it was denied.
OURS = re.compile(r'comm="bpfchaind?"|exe="[^"]*/bpfchaind?"|'
                  r'path="/(etc|run|var/lib|usr/lib|sys/fs/bpf)/bpfchain[/"]|'
                  r'context=\w+:\w+:bpfchain\w*_t:')


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
