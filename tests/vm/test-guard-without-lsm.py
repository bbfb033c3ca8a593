#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The guard where bpf is not in the list of active LSMs: programs of that type attach, and are never called. So it
must be others that refuse, and the guard must have tried which."""

from guard_lab import Stage
from guard_table import TCX, XDP, make_case
from vm_lab import case, run_cases

CHOSEN = {"ip link set xdp off", "bpftool link detach", "bpf(2) to update the link", "SIGKILL to the service",
          "netlink behind 400 others, by an alternative name", "rm of the link's pin", "ptrace of the service",
          "a writable descriptor of a map", "deleting the interface", "umount of the bpf file system"}
XDP_STAGE, TCX_STAGE = Stage("xdp", mode="enforce"), Stage("tc-ingress", mode="enforce")


@case
def the_guard_says_by_what_it_refuses():
    with open("/sys/kernel/security/lsm", encoding="ascii") as file:
        active = file.read().strip().split(",")
    assert "bpf" not in active and "selinux" in active, active
    with XDP_STAGE.used() as arena:
        assert arena.get("Technique") == "fmod_ret", arena.get("Technique")


for one in XDP:
    if one.name in CHOSEN:
        make_case(XDP_STAGE, one, "xdp", "enforce")
for one in TCX:
    make_case(TCX_STAGE, one, "tc-ingress", "enforce")
run_cases()
