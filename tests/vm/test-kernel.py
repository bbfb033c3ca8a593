#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the kernel of the VM can do: the ground that the guard stands on, and what the service says about it."""

import json
import os

from vm_lab import BUILD, Host, case, client_json, command, eventually, run_cases

PINS = "/sys/fs/bpf/bct-probes"
PROBES = os.path.join(BUILD, "tests/vm/probes.bpf.o")


def bpftool(*words):
    return json.loads(command("bpftool", "--json", *words).stdout or "null")


@case
def lsm_is_active_beside_selinux():
    with open("/sys/kernel/security/lsm", encoding="ascii") as file:
        active = file.read().strip().split(",")
    assert {"selinux", "bpf"} <= set(active), active


@case
def programs_of_all_types_can_be_loaded():
    types = bpftool("feature", "probe", "kernel")["program_types"]
    for name in ("xdp", "sched_cls", "ext", "lsm", "tracing", "struct_ops", "syscall"):
        assert types[f"have_{name}_prog_type"], f"{name} can't be loaded"


@case
def the_service_says_so_too():
    with Host():
        capabilities = client_json("status")["manager"]["capabilities"]
        for name in ("xdp", "tc", "ext", "tracing", "lsm"):
            assert capabilities["program-types"][name]["available"], capabilities["program-types"][name]
        for name in ("tcx", "btf", "xdp-link"):
            assert capabilities[name]["available"], capabilities[name]
        assert capabilities["kernel"] == os.uname().release


@case
def lsm_programs_refuse_and_fentry_programs_see():
    kept = "/tmp/bct-kept"
    with open(kept, "w", encoding="ascii"):
        pass
    command("bpftool", "prog", "loadall", PROBES, PINS, "autoattach")
    try:
        refused = command("rm", "-f", kept, check=False)
        assert refused.returncode != 0 and "not permitted" in refused.stderr, refused.stderr
        counted = {item["key"]: item["value"] for item in
                   (entry["formatted"] for entry in bpftool("map", "dump", "name", "probe_hits"))}
        assert counted[0] == 1, counted
        assert counted[1] >= 1, counted
    finally:
        command("rm", "-rf", PINS)

    # The kernel takes its time to let go of links.
    eventually(lambda: command("rm", "-f", kept, check=False).returncode == 0)
    assert not os.path.exists(kept)


run_cases()
