#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What it costs to read a map as JSON, for "./dev bench maps": a hash of a million entries with a struct of five
members as the key and one of four as the value, printed by us, dumped by "bpftool map dump -j", and read by a plain C
loop of libbpf's batches that only copies the bytes, in turns. Each writes to /dev/null. Nothing here passes or fails.

Environment: BPFCHAIN_BENCH_ENTRIES (1000000, at most 1048576); BPFCHAIN_BENCH_ROUNDS (7).
"""

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "harness"))

from bpfchain_test import BUILD, require_built, require_root, skip_all  # noqa: E402

HELPER = os.path.join(BUILD, "tests", "bench", "maps", "bench-maps")
OBJECT = os.path.join(BUILD, "tests", "bpf", "values.bpf.o")
ENTRIES = min(max(int(os.environ.get("BPFCHAIN_BENCH_ENTRIES", "1000000")), 1), 1 << 20)
ROUNDS = max(int(os.environ.get("BPFCHAIN_BENCH_ROUNDS", "7")), 1)


def peak_memory(pid):
    """MiB, or 0 where the process has none any more."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as status:
            found = re.search(r"^VmHWM:\s*(\d+) kB", status.read(), re.M)
    except OSError:
        return 0.0
    return int(found[1]) / 1024 if found else 0.0


def run(command, output):
    """Seconds by the clock, seconds of processor time, peak of resident memory in MiB (what wait4 tells of it has our
    own in it, from before the exec)."""
    started, memory = time.monotonic(), 0.0
    child = subprocess.Popen(command, stdout=output, stderr=subprocess.DEVNULL)
    done = 0
    while not done:
        memory = max(memory, peak_memory(child.pid))
        time.sleep(0.005)
        done, status, usage = os.wait4(child.pid, os.WNOHANG)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit status {child.returncode}")
    return time.monotonic() - started, usage.ru_utime + usage.ru_stime, memory


def check(pin, folder):
    """All entries come out, and as JSON."""
    path = os.path.join(folder, "entries")
    with open(path, "wb") as output:
        run([HELPER, "print", pin], output)
    with open(path, encoding="utf-8") as lines:
        sources = {json.loads(line)["key"]["source"] for line in lines}
    if len(sources) != ENTRIES:
        sys.exit(f"{len(sources)} of {ENTRIES} entries were printed")
    print(f"  {os.path.getsize(path) / ENTRIES:.0f} bytes of JSON an entry, such as")
    with open(path, encoding="utf-8") as lines:
        print(f"    {lines.readline()}", end="")
    os.unlink(path)


def measure(pin):
    ways = {
        "copy, C loop of batches": [HELPER, "copy", pin],
        "print, JSON": [HELPER, "print", pin],
        "print, table notation": [HELPER, "rows", pin],
        "bpftool map dump -j": ["bpftool", "map", "dump", "-j", "pinned", pin],
    }
    figures = {name: [] for name in ways}
    with open(os.devnull, "wb") as null:
        for _ in range(ROUNDS):
            for name, command in ways.items():
                figures[name].append(run(command, null))
    return figures


def report(figures):
    width = max(map(len, figures))
    print(f"\n  {'':{width}}  {'median':>8} {'least':>8} {'most':>8}  {'processor':>9} {'per entry':>9} "
          f"{'peak RSS':>9}")
    medians = {}
    for name, rounds in figures.items():
        seconds = [figure[0] for figure in rounds]
        medians[name] = statistics.median(seconds)
        cpu, memory = statistics.median(figure[1] for figure in rounds), max(figure[2] for figure in rounds)
        print(f"  {name:{width}}  {medians[name]:6.3f} s {min(seconds):6.3f} s {max(seconds):6.3f} s  {cpu:7.3f} s "
              f"{medians[name] / ENTRIES * 1e9:6.0f} ns {memory:5.1f} MiB")
    ours = medians["print, JSON"]
    print(f"\n  as JSON {medians['bpftool map dump -j'] / ours:.1f} times as fast as bpftool (the aim: at least 5), "
          f"and {ours / medians['copy, C loop of batches']:.2f} times the time of copying (at most 3)")


def main():
    require_root()
    require_built(HELPER, OBJECT)
    if not shutil.which("bpftool"):
        skip_all("bpftool is not installed")
    print(f"Reading {ENTRIES} entries of a hash, {ROUNDS} rounds in turns")
    folder = tempfile.mkdtemp(prefix="bct-maps-")
    bpffs = os.path.join(folder, "bpf")
    os.mkdir(bpffs)
    subprocess.run(["mount", "-t", "bpf", "bpffs", bpffs], check=True)
    try:
        subprocess.run(["bpftool", "prog", "load", OBJECT, f"{bpffs}/program", "pinmaps", bpffs], check=True,
                       stderr=subprocess.DEVNULL)
        subprocess.run([HELPER, "fill", f"{bpffs}/flows", str(ENTRIES)], check=True, stderr=subprocess.DEVNULL)
        check(f"{bpffs}/flows", folder)
        report(measure(f"{bpffs}/flows"))
    finally:
        subprocess.run(["umount", bpffs], check=False)
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
