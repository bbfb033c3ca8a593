# SPDX-License-Identifier: LGPL-2.1-or-later
"""What "./dev bench datapath" makes of measurements: ratios, goals, CSV files, plots, the section of the README. The
measurements are made up here."""

import contextlib
import csv
import io
import json
import os
import shutil
import sys
import tempfile
import xml.etree.ElementTree

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path[:0] = [os.path.join(HERE, "..", "harness"), os.path.join(HERE, "datapath")]

from bpfchain_test import Skip, case, run_cases  # noqa: E402
from figures import Results, machine  # noqa: E402
from files import BEGIN, END, write_files, write_readme  # noqa: E402
from goals import goals, print_goals  # noqa: E402
from plots import write_plots  # noqa: E402
from tables import print_build, print_code, print_legend, print_part, print_traffic  # noqa: E402

FLOOR = 20.0


def sample(results, part, technique, count, nsec, rounds=11):
    """Rounds around nsec without the harness; the median is exact."""
    for i in range(rounds):
        value = FLOOR + nsec + (i - rounds // 2) * 0.01
        results.add(json.dumps({"sample": [part, technique, count, 0, value, FLOOR]}))


def traffic(results, chain, **changes):
    figures = {"chain": chain, "members": 8, "swaps": 1000, "seconds": 10.0, "packets": 6000000, "sent": 6100000,
               "lost": 0, "wire": 0, "mixed": 0, "wrong": 0, "reordered": 0, "seen-generations": 1000}
    results.add(json.dumps({"traffic": figures | changes}))


def measured(ratio=1.0, usec=400):
    """All that is judged, ours so many times the limit."""
    results = Results()
    for part in ("xdp", "tc", "tc-hook"):
        sample(results, part, "empty", 0, 0)
        for count in (1, 8, 32):
            sample(results, part, "limit", count, 2.0 * count)
            for technique in ("inlined-off", "inlined", "inlined-all"):
                sample(results, part, technique, count, 2.0 * count * ratio)
            sample(results, part, "linked", count, 6.0 * count)
    sample(results, "xdp", "dispatcher", 8, 80.0)
    sample(results, "tc-hook", "tcx-list", 8, 128.0)
    for count in (1, 8, 32):
        results.add(json.dumps({"build": [count, 0, usec // 4, usec - usec // 4]}))
        results.add(json.dumps({"code": ["xdp", "limit", count, 40 * count, 170 * count, 50 * count]}))
    traffic(results, "xdp")
    traffic(results, "tc-ingress")
    traffic(results, "linked", mixed=3050000)
    return results


def verdicts(results):
    return [goal.verdict() for goal in goals(results)]


@case
def ratios_are_to_the_limit_with_and_without_the_harness():
    results = measured(1.5)
    assert abs(results.ratio("xdp", "inlined", 8, above=True) - 1.5) < 0.001
    assert abs(results.ratio("xdp", "inlined", 8) - (FLOOR + 24) / (FLOOR + 16)) < 0.001
    assert results.ratio("xdp", "dispatcher", 8, above=True) == 5.0
    # two nanoseconds are too little to compare with
    assert results.ratio("xdp", "inlined", 1, above=True) is None
    assert results.ratio("xdp", "tcx-list", 8) is None


@case
def goals_are_met_or_not():
    assert verdicts(measured(1.0)) == ["met"] * 7
    assert verdicts(measured(1.09)) == ["not met", "met", "met", "met", "met", "met", "met"]
    assert verdicts(measured(1.11)) == ["not met", "met", "met", "not met", "met", "met", "met"]
    assert verdicts(measured(1.2)) == ["not met"] * 4 + ["met"] * 3
    assert verdicts(measured(usec=1004))[6] == "not met"
    assert [goal.measured for goal in goals(Results())] == ["not measured"] * 7


@case
def exchanges_are_judged_by_faults_and_rate():
    for changes, verdict in (({"lost": 1}, "not met"), ({"mixed": 1}, "not met"), ({"reordered": 1}, "not met"),
                             ({"wrong": 1}, "not met"), ({"lost": 1, "swaps": 5}, "not met"),
                             ({"swaps": 999}, "too few to judge"), ({"packets": 4900000}, "too few to judge")):
        results = Results()
        traffic(results, "xdp", **changes)
        assert verdicts(results)[4] == verdict, changes


@case
def tables_can_be_printed():
    results = measured()
    results.add(json.dumps({"note": "a \"quoted\" word"}))
    with contextlib.redirect_stdout(io.StringIO()) as output:
        for part in ("xdp", "tc", "tc-hook"):
            print_part(results, part)
            print_code(results, part)
        print_build(results)
        print_traffic(results)
        print_legend(results)
        print_goals(results)
    text = output.getvalue()
    assert "a \"quoted\" word" in text
    assert text.count("times the limit, without the harness") == 3
    assert "tcx-list" in text and "too few to judge" not in text


@case
def csv_has_every_measurement():
    results = measured(1.5)
    with tempfile.TemporaryDirectory() as folder:
        names = [os.path.basename(path) for path in write_files(results, "a machine", folder)]
        assert names == ["bench-datapath.csv", "bench-datapath-traffic.csv"], names
        rows = {}
        with open(os.path.join(folder, names[0]), encoding="utf-8") as file:
            for row in csv.DictReader(line for line in file if not line.startswith("#")):
                rows[row["part"], row["technique"], int(row["members"])] = row
        with open(os.path.join(folder, names[1]), encoding="utf-8") as file:
            chains = [row["chain"] for row in csv.DictReader(line for line in file if not line.startswith("#"))]
    assert set(results.samples) <= set(rows)
    row = rows["xdp", "inlined", 32]
    assert (row["rounds"], row["median"], row["above_harness"]) == ("11", "116.000", "96.000"), row
    assert row["times_limit_above_harness"] == "1.500", row
    assert rows["build", "both", 8]["median"] == "400.000"
    assert chains == ["xdp", "tc-ingress", "linked"]


@case
def only_its_section_of_the_readme_is_replaced():
    before, after = "# A heading\n\nText.\n\n", "\n\nMore | text.\n"
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "README.md")
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"{before}{BEGIN}\nold figures\n{END}{after}")
        for _ in range(2):
            assert write_readme(measured(1.5), "a machine", path)
            with open(path, encoding="utf-8") as file:
                text = file.read()
            assert text.startswith(before + BEGIN) and text.endswith(END + after)
            assert "old figures" not in text and "(1.50)" in text and "a machine" in text
            assert "50 % of the packets" in text
        with open(path, "w", encoding="utf-8") as file:
            file.write(before)
        assert not write_readme(measured(), "a machine", path)
        with open(path, encoding="utf-8") as file:
            assert file.read() == before


@case
def plots_are_pictures():
    if not shutil.which("gnuplot"):
        raise Skip("gnuplot is not installed")
    with tempfile.TemporaryDirectory() as folder:
        written = write_plots(measured(1.5), folder)
        assert [os.path.basename(path) for path in written] == ["bench-datapath.svg", "bench-datapath.png"]
        with open(written[0], encoding="utf-8") as file:
            text = file.read()
        assert "SPDX-License-Identifier" in text[:200] and "prefers-color-scheme: dark" in text
        xml.etree.ElementTree.fromstring(text.encode())
        with open(written[1], "rb") as file:
            assert file.read(8) == b"\x89PNG\r\n\x1a\n"


@case
def the_machine_is_described_in_general_words():
    text = machine()
    assert os.uname().nodename not in text and "Linux" in text and "CPUs" in text


run_cases()
