# SPDX-License-Identifier: LGPL-2.1-or-later
"""The benchmark of the data path, in short: it measures all that it says, and leaves nothing behind."""

import csv
import os
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(HERE, "..", "harness"))

from bpfchain_test import BUILD, case, eventually, require_built, require_root, run_cases  # noqa: E402

SCRIPT = os.path.join(HERE, "bench-datapath.py")
PROGRAM = os.path.join(BUILD, "tests", "bench", "datapath", "bench-datapath")

OURS = ["inlined-off", "inlined", "inlined-all", "global", "slot"]
EXPECTED = {
    "xdp": ["limit", *OURS, "static", "dispatcher", "linked"],
    "tc": ["limit", *OURS, "static", "dispatcher", "linked"],
    "tc-hook": ["limit", *OURS, "dispatcher", "linked", "linked-clsact", "tcx-list", "clsact-list"],
    "build": ["build", "verify", "both"],
}


def what_is_there():
    """Where something could stay behind: interfaces, named namespaces, pins."""
    def lines(*command):
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()

    links = [line.split(": ")[1] for line in lines("ip", "-o", "link", "show")]
    pins = os.listdir("/sys/fs/bpf") if os.path.isdir("/sys/fs/bpf") else []
    return set(links + lines("ip", "netns", "list") + pins)


def read_csv(path):
    with open(path, encoding="utf-8") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


@case
def it_measures_everything():
    before = what_is_there()
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([sys.executable, SCRIPT, "--rounds", "1", "--counts", "1,2", "--packets", "1000",
                               "--swaps", "3", "--output", folder], capture_output=True, text=True, check=False,
                              timeout=240)
        assert done.returncode == 0, done.stdout + done.stderr
        rows = read_csv(os.path.join(folder, "bench-datapath.csv"))
        chains = read_csv(os.path.join(folder, "bench-datapath-traffic.csv"))
    found = {(row["part"], row["technique"], int(row["members"])) for row in rows if float(row["median"]) > 0}
    for part, techniques in EXPECTED.items():
        for technique in techniques:
            for count in (1, 2):
                assert (part, technique, count) in found, (part, technique, count)
    assert [row["chain"] for row in chains] == ["xdp", "tc-ingress", "linked", "tcx-list"]
    for row in chains:
        assert int(row["swaps"]) >= 3 and int(row["packets"]) > 0, row
    for row in chains[:2]:
        assert row["lost"] == row["mixed"] == row["wrong"] == row["reordered"] == "0", row
    assert "== Goals" in done.stdout
    assert what_is_there() <= before


def children_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="utf-8") as file:
        return [int(word) for word in file.read().split()]


@case
def killed_it_leaves_nothing():
    before = what_is_there()
    with tempfile.TemporaryDirectory() as folder:
        with subprocess.Popen([sys.executable, SCRIPT, "--only", "tc-hook,traffic", "--output", folder],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            child = eventually(lambda: children_of(process.pid))[0]
            time.sleep(1)  # it is at work: sending, or making interfaces
            process.send_signal(signal.SIGKILL)
    eventually(lambda: not os.path.exists(f"/proc/{child}"))
    assert what_is_there() <= before


require_root()
require_built(PROGRAM)
run_cases()
