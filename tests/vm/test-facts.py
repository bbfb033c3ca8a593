#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the kernel's functions tell of hooks, on the kernel of the VM, see hook_facts_cases.py; and its audit records,
which journald has it write here."""

import contextlib
import json
import os

from bpfchain_test import case, eventually, find_object, require_built, run_cases
from hook_facts_cases import ACT, FLOOD, WATCH, Watch
from vm_lab import Host, RootNamespace, client_json, command

PIN = "/sys/fs/bpf/bct-audited"


@contextlib.contextmanager
def watching_records():
    """hook-watch with audit records. The policy gives them to no unconfined process, such as this one."""
    command("setenforce", "0")
    try:
        with contextlib.closing(Watch(RootNamespace(), "audit")) as watch:
            watch.wait(audits=True)
            yield watch
    finally:
        command("setenforce", "1")


@case
def audit_records_name_who_loaded_a_program():
    with watching_records() as watch:
        command("bpftool", "prog", "load", find_object("verdict-v2.bpf.o"), PIN, "type", "xdp")
        program = json.loads(command("bpftool", "-j", "prog", "show", "pinned", PIN).stdout)["id"]
        os.unlink(PIN)
        fact = watch.wait(program=program)
        assert (fact["comm"], fact["uid"]) == ("bpftool", 0), fact
        assert fact["executable"].endswith("/bpftool") and not os.path.exists(f"/proc/{fact['pid']}"), fact


@case
def audit_records_of_a_flood():
    """The kernel's queue for them is short; those that come are right."""
    with watching_records() as watch:
        command(FLOOD, "load", "100")
        eventually(lambda: len(watch.take()) >= 50)
        assert all(fact["comm"] == "hook-flood" and fact["executable"] == FLOOD for fact in watch.facts)
        programs = [fact["program"] for fact in watch.facts]
        assert programs == sorted(set(programs))


@case
def the_service_tells_of_loads_under_its_unit():
    """It may not have the kernel's records of them there."""
    pin = "/sys/fs/bpf/bct-loaded"
    with Host():
        command("bpftool", "prog", "load", find_object("verdict-v2.bpf.o"), pin, "type", "xdp")
        program = json.loads(command("bpftool", "-j", "prog", "show", "pinned", pin).stdout)["id"]
        os.unlink(pin)
        # One event for all that a process loads within a second, such as libbpf's trials, with the last one's id.
        event = eventually(lambda: next((event for event in client_json("guard", "log")
                                         if pin in event["who"].get("command", "")), None))
        assert (event["what"], event["source"]) == ("program-loaded", "program-loads"), event
        assert event["program-id"] >= program and event["who"]["executable"].endswith("/bpftool"), event


require_built(ACT, FLOOD, WATCH)
run_cases()
