# SPDX-License-Identifier: LGPL-2.1-or-later
"""A change that fails, or a service that dies, at every single system call of it. strace(1) makes one call after the
other fail, or kills the service in its place; afterwards all is as it was, or all is new, and never something between.
"""

import json
import os
import shutil
import signal
import subprocess
import time

from bpfchain_test import case, eventually, require_built, run_cases, skip_all
from service_lab import ServiceLab, assert_clean, dbus_wire, order_program

FILES = "openat,write,fsync,rename,renameat,renameat2,mkdir,unlink,unlinkat,fchmod,newfstatat,statfs"


def document_of(version):
    """Version 1 and 3 of the program `u` do not agree on its map `counter`; a program and a chain more come with 3."""
    document = {
        "programs": {"u": {"object": f"upgrade-v{version}.bpf.o"}, "p": order_program(1, generation=version),
                     "t": order_program(2, "tc-ingress", version)},
        "chains": [{"interfaces": ["eth0"], "hook": "xdp", "programs": ["u", "p"] if version == 1 else ["p", "u"]},
                   {"interfaces": ["eth0"], "hook": "tc-ingress", "programs": ["t"]}]}
    if version == 3:
        document["programs"]["new"] = order_program(3)
        document["chains"].append({"interfaces": ["eth1"], "hook": "xdp", "programs": ["new"]})
    return document


class Injection:
    """strace on the service; `.hit` tells whether the call came."""

    def __init__(self, lab, calls, what, when):
        # strace counts each kind of call by itself.
        self.lab, self.log = lab, lab.path("strace.log")
        self.process = subprocess.Popen(
            ["strace", "-f", "-qq", "-o", self.log, "-e", f"trace={calls}", "-e", f"inject={calls}:{what}:when={when}",
             "-p", str(lab.daemon.pid)], stdin=subprocess.DEVNULL)
        eventually(lambda: "TracerPid:\t0\n" not in lab.proc("status"), interval=0.002)

    def end(self):
        """Returns the call that was hit, or None."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait()
        with open(self.log, encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
        hit = [line for line in lines if "INJECTED" in line]
        if not hit and any("killed by SIGKILL" in line for line in lines):
            hit = [line for line in lines if "killed" not in line][-1:]
        return hit[0] if hit else None


def running_version(lab):
    """Which document runs; all of it must. "between" is what must never be."""
    chains = lab.chains()
    order = [slot["program"] for slot in chains["eth0", "xdp"]["slots"]]
    here = "new" if chains.get(("eth1", "xdp"), {}).get("state") == "active" else "old"
    found = {(("u", "p"), "old"): 1, (("p", "u"), "new"): 3}.get((tuple(order), here), "between")
    objects = {program["name"]: program["object"] for program in lab.client_json("programs")}
    assert objects["u"] == f"upgrade-v{found}.bpf.o", f"{order}, {here}, {objects}"
    assert ("new" in objects) == (found == 3), objects
    assert all(chain["state"] == "active" for chain in chains.values()), chains
    return found


def check_packets(lab, sender, receiver):
    """Packets go through, and the maps that the service shows are those that they meet."""
    def figures():
        return (lab.counted("counter", "u"), lab.counted("hits", "u"), lab.chain()["packets"],
                lab.chain("eth0", "tc-ingress")["packets"])

    before = figures()
    lab.receive_exactly(sender, receiver, 4)
    grown = tuple(a - b for a, b in zip(figures(), before))
    assert grown == (4, 4, 4, 4), f"4 packets were counted as {grown} (map, map, chain, chain)"


class Subject:
    def __init__(self, lab):
        self.lab = lab
        lab.install("upgrade-v1.bpf.o", "upgrade-v3.bpf.o")
        lab.start()
        assert self.apply(1) is None
        self.links = self.links_now()
        self.sender, self.receiver = lab.sender(), lab.receiver()

    def connect(self):
        return self.lab.bus()

    def apply(self, version, bus=None, **options):
        """Returns what went wrong, or None. The connection is there before the fault comes."""
        try:
            (bus or self.connect()).call("/org/bpfchain1", "org.bpfchain1.Manager", "Apply", "ssa{sv}", "edge",
                                         json.dumps(document_of(version)), options)
        except (dbus_wire.Error, dbus_wire.Gone, ConnectionError) as error:
            return error
        return None

    def links_now(self):
        chains = self.lab.chains()
        return [chains["eth0", hook]["link-id"] for hook in ("xdp", "tc-ingress")]

    def check(self):
        version = running_version(self.lab)
        assert self.links_now() == self.links, "a link is another one"
        assert not [pin for pin in self.lab.pins() if pin.endswith("~")], self.lab.pins()
        index = self.lab.inner.link("eth1")["ifindex"]
        assert (f"links/if{index}-xdp" in self.lab.pins()) == (version == 3), f"{version}: {self.lab.pins()}"
        assert any(pin.startswith("maps/new/") for pin in self.lab.pins()) == (version == 3), f"{version}: {self.lab.pins()}"
        check_packets(self.lab, self.sender, self.receiver)
        return version


def fail_each(calls, error, step=1):
    with ServiceLab(wires=2) as lab:
        subject = Subject(lab)
        assert subject.apply(3) is None and subject.apply(1) is None
        base, failed, done = lab.snapshot(), 0, 0
        for when in range(1, 2000, step):
            bus = subject.connect()
            injection = Injection(lab, calls, f"error={error}", when)
            refused = subject.apply(3, bus)
            hit = injection.end()
            try:
                assert lab.daemon.running, f"the service ended\n{lab.log_text[-3000:]}"
                version = subject.check()
                assert version == (1 if refused else 3), f"version {version}"
                if refused:
                    failed += 1
                    assert isinstance(refused, dbus_wire.Error) and len(refused.message) > 10, refused
                    bus.close()
                    eventually(lambda: lab.held() == base["held"])
                    lab.assert_unchanged(base)
                else:
                    done += 1
                    bus.close()
                    assert subject.apply(1) is None
                    subject.check()
                    base = lab.snapshot()
            except AssertionError as reason:
                raise AssertionError(f"call {when}, {hit}: {refused}\n{reason}") from None
            if not hit:
                break
        print(f"# of {when - 1} calls, {failed} made the change fail and {done - 1} did not matter")
        assert failed > 5, "hardly anything failed: is this the right list of calls?"
        # What was written in spite of all can be adopted.
        lab.restart()
        subject.check()
        assert_clean(lab.log_text)


@case
def each_bpf_call_fails():
    fail_each("bpf", "ENOMEM", step=2)


@case
def each_bpf_call_is_forbidden():
    fail_each("bpf", "EPERM", step=3)


@case
def each_file_call_fails():
    fail_each(FILES, "EIO", step=2)


@case
def no_descriptor_at_each_call():
    fail_each("openat,fcntl,socket", "EMFILE")


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
    die_at_each("bpf", 2)


@case
def it_dies_at_each_file_call():
    die_at_each("rename,renameat,renameat2,write,fsync,unlink,mkdir", 1)


@case
def it_dies_before_a_confirmation():
    die_at_each("bpf,rename,renameat2", 4, **{"confirm-timeout": ("t", 60_000_000)})


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
    start_badly("bpf", "error=ENOMEM", 1)


@case
def each_file_call_of_a_start_fails():
    start_badly("openat,getdents64,rename,mkdir", "error=EIO", 2)


@case
def it_dies_at_each_call_of_a_start():
    start_badly("bpf,rename,write,unlink", "signal=SIGKILL", 2)


if not shutil.which("strace"):
    skip_all("takes strace(1), which makes system calls fail")
require_built()
run_cases()
