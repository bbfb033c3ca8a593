# SPDX-License-Identifier: LGPL-2.1-or-later
"""What others see of a fused chain: bpftool names the authors' files and lines, perf and bpftool their functions, and
whoever wrote a program that the verifier refuses reads where."""

import os
import re
import shutil

from bpfchain_test import SOURCE, Skip, case, require_built, run_cases, skip_all
from service_lab import ServiceLab, order_program

LINE = re.compile(r"^; (?P<text>.*) \[file:(?P<file>.*) line_num:(?P<line>\d+) line_col:\d+\]$", re.M)
FUNCTION = re.compile(r"^\w[^;]*?(\w+)\(.*\):$", re.M)


class NamesLab(ServiceLab):
    OBJECTS = ServiceLab.OBJECTS + ["arena-a.bpf.o", "arena-b.bpf.o", "jumps.bpf.o", "rejected.bpf.o",
                                    "subprog.bpf.o"]


PROGRAMS = {
    "trace": order_program(1),
    "parts": {"object": "subprog.bpf.o", "function": "xdp_subprog"},
    "jumps": {"object": "jumps.bpf.o", "function": "xdp_jumps", "globals": {"target": 2}},
    "arena": {"object": "arena-a.bpf.o", "function": "xdp_arena"},
    "other-arena": {"object": "arena-b.bpf.o", "function": "xdp_arena"},
}
FORMS = {"trace": "inlined", "parts": "inlined", "jumps": "called", "arena": "inlined", "other-arena": "slot"}


def start_chain(lab):
    lab.start()
    lab.apply("names", {"programs": PROGRAMS,
                        "chains": [{"interfaces": ["eth0"], "hook": "xdp", "programs": list(PROGRAMS)}]})
    chain = lab.chain()
    assert {slot["program"]: slot["form"] for slot in chain["slots"]} == FORMS, chain["slots"]
    return chain


def source_lines(name):
    with open(os.path.join(SOURCE, "tests", "bpf", name), encoding="utf-8") as file:
        return [line.strip() for line in file.read().splitlines()]


def dump(lab, program_id):
    return lab.inner.run("bpftool", "prog", "dump", "xlated", "id", str(program_id), "linum").stdout


def program_named(lab, name):
    return [program for program in lab.bpftool("prog", "show") if program.get("name") == name]


@case
def lines_are_the_authors():
    """Each line that bpftool shows of a file of ours is what stands there; inlined and called members have such."""
    with NamesLab() as lab:
        chain = start_chain(lab)
        seen = {}
        for match in LINE.finditer(dump(lab, chain["program-id"])):
            seen.setdefault(os.path.basename(match["file"]), []).append((int(match["line"]), match["text"].strip()))
        for name in ("order.bpf.c", "subprog.bpf.c", "jumps.bpf.c", "arena.h"):
            lines = source_lines(name)
            found = [(number, text) for number, text in seen.get(name, []) if number > 0]
            assert found, f"no line of {name} is shown: {sorted(seen)}"
            for number, text in found:
                assert lines[number - 1] == text, f"{name}:{number} is said to be \"{text}\""
        # What is the chain's own says so, and calls the slots as the administrator does.
        own = [text for _, text in seen["bpfchain"]]
        for number, program in enumerate(PROGRAMS, 1):
            assert f"slot {number}: {program}" in own, own


@case
def functions_have_names():
    """Root, called members and subprograms are functions of the fused program; a slot is a program of its own."""
    with NamesLab() as lab:
        chain = start_chain(lab)
        functions = FUNCTION.findall(dump(lab, chain["program-id"]))
        assert functions[0] == "bpfchain_root", functions
        for name in ("xdp_jumps", "decide", "account", "subprog_add", "subprog_length"):
            assert name in functions, f"{name} is not among {functions}"
        assert "xdp_order" not in functions, "an inlined program is a function"

        slots = [program for program in program_named(lab, "other_arena") + program_named(lab, "other-arena")
                 + program_named(lab, "xdp_arena") if program["type"] == "xdp"]
        assert len(slots) == 1, [program.get("name") for program in lab.bpftool("prog", "show")]
        text = dump(lab, slots[0]["id"])
        assert any(os.path.basename(match["file"]) == "arena.h" for match in LINE.finditer(text)), text


@case
def symbols_have_names():
    """perf and stack traces have names from the kernel's symbols: bpf_prog_TAG_FUNCTION."""
    with NamesLab() as lab:
        chain = start_chain(lab)
        with open("/proc/kallsyms", encoding="ascii") as file:
            symbols = set(re.findall(r"\b(bpf_prog_[0-9a-f]{16}_\w+)", file.read()))
        tag = lab.bpftool("prog", "show", "id", str(chain["program-id"]))["tag"]
        if not symbols:
            with open("/proc/sys/net/core/bpf_jit_kallsyms", encoding="ascii") as file:
                raise Skip(f"the kernel shows no symbols of programs, bpf_jit_kallsyms is {file.read().strip()}")
        assert f"bpf_prog_{tag}_bpfchain_root" in symbols, sorted(symbols)
        for name in ("xdp_jumps", "decide", "subprog_add"):
            assert any(symbol.endswith("_" + name) for symbol in symbols), f"{name} is not among {sorted(symbols)}"


@case
def the_verifier_names_file_and_line():
    with NamesLab() as lab:
        start_chain(lab)
        before = lab.ids()
        refused = lab.apply("bad", {
            "programs": {"bad": {"object": "rejected.bpf.o", "function": "xdp_rejected"}},
            "chains": [{"interfaces": ["eth0"], "hook": "xdp", "programs": ["bad"]}]}, status=None)
        assert refused.returncode != 0
        place = re.search(r"rejected\.bpf\.c:(\d+)", refused.stderr)
        assert place, refused.stderr
        assert "data[100]" in source_lines("rejected.bpf.c")[int(place[1]) - 1], place[0]
        assert "programs.bad" in refused.stderr, refused.stderr
        assert lab.ids() == before


require_built()
if not shutil.which("bpftool"):
    skip_all("bpftool is not installed")
run_cases()
