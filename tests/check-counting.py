#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""tools/run-tests counts right: whatever a test can print or die of is tried on its counting."""

import importlib.machinery
import importlib.util
import os
import subprocess
import sys
import tempfile

SOURCE = os.environ.get("BPFCHAIN_SOURCE") or os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
loader = importlib.machinery.SourceFileLoader("run_tests", os.path.join(SOURCE, "tools", "run-tests"))
run_tests = importlib.util.module_from_spec(importlib.util.spec_from_loader("run_tests", loader))
loader.exec_module(run_tests)

# what, result of meson, exit status, output, (passed, failed, skipped), reasons of the skipped
CASES = (
    ("a program without cases that succeeds", "OK", 0, "hello\n", (1, 0, 0), []),
    ("a program without cases that fails", "FAIL", 1, "hello\n", (0, 1, 0), []),
    ("a program that skips itself", "SKIP", 77, "SKIP: no root\n", (0, 0, 1), ["no root"]),
    ("a program that skips itself and says nothing", "SKIP", 77, "", (0, 0, 1), [run_tests.NO_REASON]),
    ("TAP", "OK", 0, "1..2\nok 1 - a\nok 2 - b\n", (2, 0, 0), []),
    ("TAP without numbers", "OK", 0, "ok a\nok - b\n", (2, 0, 0), []),
    ("TAP with a failure", "FAIL", 1, "ok 1 - a\nnot ok 2 - b\n# why\n1..2\n", (1, 1, 0), []),
    ("TAP with a skip", "OK", 0, "ok 1 - a\nok 2 - b # SKIP no tcx\n1..2\n", (1, 0, 1), ["no tcx"]),
    ("TAP that skips all", "SKIP", 0, "1..0 # SKIP no module\n", (0, 0, 1), ["no module"]),
    ("TAP whose end is missing", "ERROR", 1, "1..3\nok 1 - a\n", (1, 2, 0), []),
    ("a crash after cases that passed", "FAIL", -11, "1..1\nok 1 - a\n", (1, 1, 0), []),
    ("a time-out", "TIMEOUT", -15, "ok 1 - a\n", (1, 1, 0), []),
    ("a leak that is found at the end", "FAIL", 99, "1..1\nok 1 - a\n", (1, 1, 0), []),
    ("cmocka's TAP", "FAIL", 1, "1..3\nok 1 - a\nSKIP: no root\nnot ok 2 # SKIP b\nnot ok 3 - c\n# not ok - all\n",
     (1, 1, 1), ["no root"]),
    ("two groups of cmocka", "OK", 0, "1..1\nok 1 - a\n1..2\nok 1 - b\nok 2 - c\n", (3, 0, 0), []),
    ("cmocka's own format", "FAIL", 1,
     "[==========] Running 3 test(s).\n[ RUN      ] a\n[       OK ] a\n[ RUN      ] b\nSKIP: no bus\n[  SKIPPED ] b\n"
     "[ RUN      ] c\n[  FAILED  ] c\n[==========] 3 test(s) run.\n", (1, 1, 1), ["no bus"]),
    ("words that only look like TAP", "OK", 0, "okay\nnot okay\n", (1, 0, 0), []),
)

failed = 0
number = 0


def result(good, what, why=""):
    global failed, number
    number += 1
    print(f"{'ok' if good else 'not ok'} {number} - {what}")
    if not good:
        failed += 1
        print(f"# {why}")


for what, outcome, status, output, wanted, reasons in CASES:
    counts = run_tests.Counts()
    run_tests.count_test({"name": "t", "result": outcome, "returncode": status, "stdout": output}, counts)
    got = (counts.passed, counts.failed, counts.skipped)
    said = [reason for _, _, reason in counts.skips]
    result(got == wanted and said == reasons, what, f"{got} {said} instead of {wanted} {reasons}")

# What is left behind is seen.
with tempfile.TemporaryDirectory(prefix="bct-") as tmp:
    around = run_tests.Surroundings(os.path.join(tmp, "build"), os.path.join(tmp, "tmp"))
    os.mkdir(around.tmp)
    ours = [thing for thing in around.left_behind() if tmp in thing]
    result(ours == [], "nothing is left behind", ours)
    path = os.path.join(around.tmp, "forgotten")
    with open(path, "w", encoding="utf-8"):
        left = around.left_behind()
        result(f"file {path}" in left, "a file is left behind", left)
    os.unlink(path)
    command = [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)", os.path.join(around.tmp, "x")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as idle:
        idle.stdout.readline()  # it runs
        left = around.left_behind()
        result(any(thing.startswith(f"process {idle.pid} ") for thing in left), "a process is left behind", left)
        idle.kill()

print(f"1..{number}")
sys.exit(1 if failed else 0)
