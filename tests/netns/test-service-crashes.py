# SPDX-License-Identifier: LGPL-2.1-or-later
"""The service dies at each system call of a change and of a start, and starts in which each fails: packets go on, and
the next service finds all that was or all that was to be, and nothing between."""

import json
import os
import time

from bpfchain_test import case, eventually, require_built, run_cases
from service_faults import Injection, Subject
from service_lab import ServiceLab


def die_at_each(calls, step, **options):
    with ServiceLab(wires=2) as lab:
        subject = Subject(lab)
        seen = {1: 0, 3: 0}
        for when in range(1, 2000, step):
            bus = subject.connect()
            injection = Injection(lab, calls, "signal=SIGKILL", when)
            subject.apply(3, bus, **options)
            time.sleep(0.01)
            hit = injection.end()
            try:
                if lab.daemon.running:
                    assert not hit or "SIGKILL" not in hit
                    lab.daemon.kill()
                else:
                    lab.daemon.process.wait()
                lab.receive_exactly(subject.sender, subject.receiver, 4)
                lab.daemon.start()
                version = subject.check()
                assert not (options and version != 1), "what nobody confirmed stays"
                seen[version] += 1
                ids = lab.all_ids()
                lab.restart()
                assert lab.all_ids() == ids, "the second start found something to do"
                assert subject.apply(1) is None and subject.check() == 1
            except AssertionError as reason:
                raise AssertionError(f"call {when}, {hit}: {reason}\n{lab.log_text[-3000:]}") from None
            if not hit:
                break
        print(f"# of {when - 1} places to die, {seen[1]} left the old state and {seen[3]} the new one")
        assert seen[1] > 2, seen


@case
def it_dies_at_each_bpf_call():
    die_at_each("bpf", 3)


@case
def it_dies_at_each_file_call():
    die_at_each("rename,renameat,renameat2,write,fsync,unlink,mkdir", 1)


@case
def it_dies_before_a_confirmation():
    die_at_each("bpf,rename,renameat2", 5, **{"confirm-timeout": ("t", 60_000_000)})


# --- while it starts ----------------------------------------------------------------------------------------------


def start_with(lab, calls, what, when):
    """Starts the service with a fault, until it is ready or has ended. Returns whether the fault came."""
    log = lab.path("strace.log")
    wrapper = lab.write("wrapper", "#!/bin/sh\n"
                        f"exec strace -D -f -qq -o {log} -e trace={calls} -e inject={calls}:{what}:when={when} \"$@\"\n")
    os.chmod(wrapper, 0o755)
    os.environ["BPFCHAIN_WRAPPER"] = wrapper
    try:
        lab.daemon.start(wait=False)
        eventually(lambda: "READY=1" in lab.daemon.notified or not lab.daemon.running)
    finally:
        del os.environ["BPFCHAIN_WRAPPER"]
    time.sleep(0.02)
    with open(log, encoding="utf-8", errors="replace") as file:
        text = file.read()
    return next((line for line in text.splitlines() if "INJECTED" in line or "killed by SIGKILL" in line), None)


def start_badly(calls, what, step):
    """However badly a start goes, packets go on through the chain, and the next start finds all in order."""
    with ServiceLab(wires=2) as lab:
        subject = Subject(lab)
        places = degraded = 0
        for when in range(1, 2000, step):
            lab.daemon.kill()
            hit = start_with(lab, calls, what, when)
            try:
                lab.receive_exactly(subject.sender, subject.receiver, 4)
                # Where the fault is yet to come, it may well hit this.
                told = lab.client("--json=short", "status", status=None)
                if told.returncode == 0:
                    degraded += json.loads(told.stdout)["manager"]["state"] != "running"
                lab.daemon.kill()
                lab.receive_exactly(subject.sender, subject.receiver, 4)
                lab.daemon.start()
                assert subject.check() == 1
            except AssertionError as reason:
                raise AssertionError(f"call {when}, {hit}: {reason}\n{lab.log_text[-3000:]}") from None
            if not hit:
                break
            places += 1
        print(f"# {places} calls, after {degraded} of which the service told of a problem")
        assert places > 5, "hardly anything failed: is this the right list of calls?"


@case
def each_bpf_call_of_a_start_fails():
    start_badly("bpf", "error=ENOMEM", 2)


@case
def each_file_call_of_a_start_fails():
    start_badly("openat,getdents64,rename,mkdir", "error=EIO", 2)


@case
def it_dies_at_each_call_of_a_start():
    start_badly("bpf,rename,write,unlink", "signal=SIGKILL", 2)


require_built()
run_cases()
