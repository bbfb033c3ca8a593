# SPDX-License-Identifier: LGPL-2.1-or-later
"""Boots with a job in them, and the test scripts of tests/vm as such a job; their results as TAP for run-tests."""

import glob
import os
import re
import shutil
import tempfile
import time

from common import SOURCE, CannotRun, Failed, say
from machine import Crashed, Machine, forget_state, make_job_disk, make_overlay, saved_state

ATTEMPTS = 2
IN_GUEST = "/run/bpfchain-vm"
TAP_CASE = re.compile(r"^((?:not )?ok)\b\s*\d*\s*(?:-\s*)?(.*)$")
TAP_PLAN = re.compile(r"^1\.\.(\d+)\s*$")
SCRIPT_LINE = re.compile(r"^@(begin|end) (\S+)(?: (\d+))?$")
SKIP_LINE = re.compile(r"^SKIP:\s*(.*)$")


class Boot:
    """A boot with a job in it, done once more when the VM dies of it: emulation is not above suspicion. The job's
    lines are given on when it has come to its end, so that nothing is said twice."""

    def __init__(self, image, work, lean=True, use_state=False, console=None, disk=None, append=""):
        self.image, self.work, self.lean, self.disk, self.append = image, work, lean, disk, append
        self.use_state = use_state and lean and not disk and not append
        self.console = console or os.path.join(work, "console")
        self.job = os.path.join(work, "job.disk")
        self.results = os.path.join(work, "results")
        self.booted = None  # (state of the system, seconds since the kernel's start)
        self.start_seconds = self.job_seconds = 0.0
        self.crashes = []

    def prepare(self, folder):
        make_job_disk(folder, self.job)

    def run(self, seconds, output, shut_down=False):
        """Runs the job; returns its exit status."""
        while True:
            lines = []
            kept = self.disk and self._keep_disk()
            try:
                status = self._attempt(seconds, lines.append, shut_down)
            except Crashed as crash:
                self.crashes.append(str(crash))
                if len(self.crashes) == ATTEMPTS:
                    for line in lines:
                        output(line)
                    raise
                say(f"It failed: {crash}. Once more.")
                if kept:
                    shutil.move(kept, self.disk)
                continue
            for line in lines:
                output(line)
            return status

    def _keep_disk(self):
        shutil.copy(self.disk, self.disk + ".before")
        return self.disk + ".before"

    def _start(self):
        """A machine that runs: from the saved state where that is wanted and works, else booted."""
        state = saved_state(self.image) if self.use_state else None
        if state:
            machine = Machine(self.image, self.console, self.job, restore=state)
            try:
                return machine.start()
            except (Crashed, Failed) as error:
                machine.close()
                forget_state(state)
                self.use_state = False
                say(f"The saved state did not wake up ({error}), so the VM boots.")
        machine = Machine(self.image, self.console, self.job, lean=self.lean, disk=self.disk, append=self.append)
        try:
            return machine.start()
        except BaseException:
            machine.close()
            raise

    def _attempt(self, seconds, output, shut_down):
        started = time.monotonic()
        with self._start() as machine:
            self.booted = machine.booted
            self.start_seconds = time.monotonic() - started
            started = time.monotonic()
            os.makedirs(self.results, exist_ok=True)
            try:
                with open(os.path.join(self.results, "output"), "w", encoding="utf-8", buffering=1) as log:
                    def heard(line):
                        log.write(line + "\n")
                        output(line)
                    status = machine.run_job(seconds, heard)
            finally:
                self.job_seconds = time.monotonic() - started
                machine.take_results(self.results)
            if shut_down:
                machine.shut_down()
            return status

    def take_results(self, folder):
        """Copies what the job left, the journal and the console to a folder."""
        shutil.copytree(self.results, folder, dirs_exist_ok=True)
        if os.path.exists(self.console):
            shutil.copy(self.console, os.path.join(folder, "console"))

    def times(self):
        how = f"booted in {self.start_seconds:.1f} s" if self.booted else f"woke up in {self.start_seconds:.1f} s"
        return f"The VM {how}, the job took {self.job_seconds:.1f} s."


# The scripts of tests/vm


def make_job(folder, build, scripts, boot):
    """The folder of a job that runs the scripts, with what they import and load."""
    for part in ("tests/harness", "tests/vm"):
        os.makedirs(os.path.join(folder, part))
        for path in glob.glob(os.path.join(SOURCE, part, "*.py")):
            shutil.copy(path, os.path.join(folder, part))
    os.makedirs(os.path.join(folder, "tests/bus"))
    shutil.copy(os.path.join(SOURCE, "tests/bus/dbus_wire.py"), os.path.join(folder, "tests/bus"))
    for part in ("tests/bpf", "tests/vm"):
        objects = os.path.join(folder, "build", part)
        os.makedirs(objects)
        for path in glob.glob(os.path.join(build, part, "*.bpf.o")):
            shutil.copy(path, objects)
    os.makedirs(os.path.join(folder, "build/tests/netns"))
    for name in ("netns/guard-act", "netns/hook-flood", "netns/hook-watch", "vm/foe"):
        shutil.copy(os.path.join(build, "tests", name), os.path.join(folder, "build/tests", name))
    lines = ["#!/bin/sh", f"export BPFCHAIN_SOURCE={IN_GUEST} BPFCHAIN_BUILD={IN_GUEST}/build",
             f"export BPFCHAIN_VM_BOOT={boot} BPFCHAIN_TEST_PATIENCE=60",
             f"export PYTHONPATH={IN_GUEST}/tests/harness PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1"]
    for script in scripts:
        if not re.fullmatch(r"[a-z][a-z0-9-]*", script) or not os.path.exists(
                os.path.join(SOURCE, f"tests/vm/test-{script}.py")):
            raise CannotRun(f"there is no tests/vm/test-{script}.py")
        lines.append(f"echo '@begin {script}'; python3 tests/vm/test-{script}.py; echo \"@end {script} $?\"")
    path = os.path.join(folder, "run")
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    os.chmod(path, 0o755)


class Results:
    """Reads what the scripts print, one after the other, and prints it as the TAP of one test: names begin with the
    script's, and a script that ends without having said all that it planned is a failure."""

    def __init__(self, label=""):
        self.label = label
        self.count = self.failed = 0
        self.script = None
        self.planned = self.seen = self.bad = 0
        self.skip_reason = ""

    def line(self, line):
        mark = SCRIPT_LINE.match(line)
        case = TAP_CASE.match(line)
        if mark and mark[1] == "begin":
            self.script = mark[2] + self.label
            self.planned = self.seen = self.bad = 0
            self.skip_reason = ""
        elif mark:
            self._end(int(mark[3] or 0))
        elif self.script and TAP_PLAN.match(line):
            self.planned = int(TAP_PLAN.match(line)[1])
        elif self.script and case:
            self.seen += 1
            self._case(case[1] == "ok", case[2])
        else:
            if SKIP_LINE.match(line):
                self.skip_reason = SKIP_LINE.match(line)[1]
            print(line if line.startswith("#") else f"# {line}", flush=True)

    def _case(self, good, name):
        self.count += 1
        if not good:
            self.failed += 1
            self.bad += 1
        print(f"{'ok' if good else 'not ok'} {self.count} - {self.script}: {name}", flush=True)

    def _end(self, status):
        if status == 77 and not self.seen:
            self._case(True, f"all # SKIP {self.skip_reason or 'no reason given'}")
        elif self.seen < self.planned or not self.seen:
            self._case(False, f"only {self.seen} of {self.planned} cases came to their end (exit status {status})")
        elif status and not self.bad:
            self._case(False, f"exit status {status}, though no case failed")
        self.script = None

    def broken_off(self, reason):
        self.script = self.script or "vm" + self.label
        self._case(False, reason)
        self.script = None


def run_suite(image, build, scripts, lean, boots, use_state, seconds, keep, append=""):
    """Runs the scripts in one boot, or in several on the same disk; returns an exit status."""
    failed = 0
    with tempfile.TemporaryDirectory(prefix="bct-vm-") as work:
        disk = None
        if boots > 1:
            disk = os.path.join(work, "disk.qcow2")
            make_overlay(image.root, "raw", disk)
        count = 0
        for number in range(1, boots + 1):
            part = os.path.join(work, f"boot-{number}")
            os.mkdir(part)
            job = os.path.join(part, "job")
            make_job(job, build, scripts, number)
            boot = Boot(image, part, lean=lean, use_state=use_state, disk=disk, append=append)
            boot.prepare(job)
            results = Results(f" (boot {number})" if boots > 1 else "")
            results.count = count
            try:
                boot.run(seconds, results.line, shut_down=number < boots)
            except Crashed as crash:
                results.broken_off(str(crash))
                for line in _tail(boot.console):
                    print(f"# console: {line}")
            print(f"# {boot.times()}", flush=True)
            for crash in boot.crashes[: 1 if not results.failed else None]:
                print(f"# It had to be tried once more: {crash}")
            count = results.count
            failed += results.failed
            if keep:
                folder = os.path.join(keep, f"boot-{number}")
                os.makedirs(folder, exist_ok=True)
                boot.take_results(folder)
            if boot.crashes and results.failed:
                break
        print(f"1..{count}", flush=True)
    return 1 if failed else 0


def _tail(path, lines=40):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read().splitlines()[-lines:]
