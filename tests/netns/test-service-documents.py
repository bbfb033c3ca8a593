# SPDX-License-Identifier: LGPL-2.1-or-later
"""Documents and settings as files: layers, overriding, masking, reload; a bad one is told with its place while all good
ones go on; globals and the first contents of maps."""

import glob
import os
import re

from bpfchain_test import SOURCE, case, find_object, require_built, run_cases
from service_lab import ServiceLab, order_program, simple_document, verdict_program

BAD = os.path.join(SOURCE, "tests", "data", "documents", "bad")


def documents(lab):
    """(name, state, layer) of all documents, overridden ones included."""
    rows = []
    for item in lab.client_json("documents"):
        layer = next((at for at in ("etc", "run", "usr/lib") if item["path"].startswith(lab.path(at) + "/")), "")
        rows.append((item["name"], item["state"], layer))
    return sorted(rows)


def chain_of(number):
    return {"programs": {f"p{number}": order_program(number)},
            "chains": [{"interfaces": ["eth0"], "hook": "xdp", "programs": [f"p{number}"]}]}


@case
def layers_override_each_other():
    with ServiceLab() as lab:
        for number, layer in enumerate(("usr/lib", "run", "etc"), 1):
            lab.document("edge", chain_of(number), layer)
        lab.document("base", simple_document("tc-ingress", name="b"), "usr/lib")
        lab.start()
        assert lab.order() == ["p3"]
        assert documents(lab) == [("base", "active", "usr/lib"), ("edge", "active", "etc"),
                                  ("edge", "overridden", "run"), ("edge", "overridden", "usr/lib")], documents(lab)
        link = lab.chain()["link-id"]
        for layer, expected in (("etc", ["p2"]), ("run", ["p1"])):
            os.unlink(lab.path(layer, "bpfchain/chains.d/edge.json"))
            lab.client("reload")
            assert lab.order() == expected and lab.chain()["link-id"] == link
        os.unlink(lab.path("usr/lib/bpfchain/chains.d/edge.json"))
        lab.client("reload")
        assert list(lab.chains()) == [("eth0", "tc-ingress")] and lab.attached("eth0") is None
        assert [program["name"] for program in lab.client_json("programs")] == ["b"]


@case
def a_document_is_masked():
    with ServiceLab() as lab:
        lab.document("edge", chain_of(1), "usr/lib")
        lab.document("other", chain_of(2) | {"chains": [
            {"interfaces": ["eth0"], "hook": "xdp", "order": 900, "programs": ["p2"]}]}, "usr/lib")
        lab.document("edge", "")
        os.symlink("/dev/null", lab.path("run/bpfchain/chains.d/other.json"))
        lab.start()
        assert lab.chains() == {} and not lab.problems(), lab.problems()
        assert ("edge", "masked", "etc") in documents(lab) and ("other", "masked", "run") in documents(lab), documents(lab)
        os.unlink(lab.path("etc/bpfchain/chains.d/edge.json"))
        lab.client("reload")
        assert lab.order() == ["p1"]
        os.unlink(lab.path("run/bpfchain/chains.d/other.json"))
        lab.client("reload")
        assert lab.order() == ["p1", "p2"]


@case
def what_is_no_document_is_passed_over():
    with ServiceLab() as lab:
        lab.document("edge", simple_document())
        for name in ("notes.txt", "edge.json~", ".hidden.json", "edge.json.bak", "README"):
            lab.write(f"etc/bpfchain/chains.d/{name}", "no JSON at all")
        os.mkdir(lab.path("etc/bpfchain/chains.d/folder.json"))
        os.mkfifo(lab.path("etc/bpfchain/chains.d/pipe.json"))
        os.symlink("nowhere", lab.path("etc/bpfchain/chains.d/dangling.json"))
        lab.start()
        assert lab.chain()["state"] == "active"
        assert not [name for name, _, _ in documents(lab) if name.startswith((".", "notes", "README"))], documents(lab)


def expectations():
    """The samples of bad documents with the places where each is bad."""
    for path in sorted(glob.glob(os.path.join(BAD, "*.json"))):
        with open(path.removesuffix(".json") + ".expect", encoding="utf-8") as file:
            line, column, _ = file.readline().split(":")
            yield os.path.basename(path).removesuffix(".json"), path, int(line), int(column)


@case
def bad_documents_are_told_with_their_place_and_good_ones_go_on():
    samples = list(expectations())
    assert len(samples) > 40
    with ServiceLab() as lab:
        lab.document("good", simple_document())
        for name, path, _, _ in samples:
            with open(path, "rb") as file:
                contents = file.read()
            if contents:  # as a file, an empty one is a mask
                lab.document(f"bad-{name}", contents)
        lab.start()
        assert lab.chain()["state"] == "active"
        status = lab.status()["manager"]
        assert status["state"] == "degraded", status["state"]
        text = "\n".join(f"{p['where']}: {p['sentence']}" for p in status["problems"])
        missing = [f"{name}.json:{line}:{column}" for name, path, line, column in samples
                   if os.path.getsize(path) and f"bad-{name}.json:{line}:{column}:" not in text]
        assert not missing, f"no problem for {missing} in\n{text}"
        states = {name: state for name, state, _ in documents(lab)}
        assert states.pop("good") == "active" and set(states.values()) == {"failed"}, states
        # The same in the log, for those who look there.
        assert "bad-unknown-key.json:2:3:" in lab.log_text

        for path in glob.glob(lab.path("etc/bpfchain/chains.d/bad-*")):
            os.unlink(path)
        lab.client("reload")
        assert lab.status()["manager"]["state"] == "running" and not lab.problems(), lab.problems()


@case
def a_name_that_two_files_define():
    with ServiceLab() as lab:
        lab.document("a-first", simple_document())
        lab.document("b-second", simple_document("tc-ingress"))
        lab.start()
        assert lab.chain()["state"] == "active"
        told = lab.problems()
        assert len(told) >= 1 and "a-first.json" in told[0]["sentence"] and "b-second.json" in told[0]["sentence"], told
        assert re.search(r"b-second\.json:\d+:\d+", told[0]["sentence"]), told


@case
def one_document_uses_a_program_of_another():
    with ServiceLab() as lab:
        lab.document("chains", {"chains": [{"interfaces": ["eth0"], "hook": "xdp", "programs": ["shared", "own"]}],
                                "programs": {"own": verdict_program("xdp")}})
        lab.start()
        assert lab.chain()["state"] == "failed" and "shared" in lab.chain()["reason"], lab.chain()
        lab.document("programs", {"programs": {"shared": verdict_program("xdp")}})
        lab.client("reload")
        assert lab.chain()["state"] == "active" and not lab.problems()
        refused = lab.client("withdraw", "programs", status=1).stderr
        assert "shared" in refused and "chains" in refused, refused
        assert lab.chain()["state"] == "active"


@case
def objects_in_layers():
    with ServiceLab() as lab:
        with open(find_object("verdict.bpf.o"), "rb") as file:
            contents = file.read()
        os.unlink(lab.path("etc/bpfchain/objects/verdict.bpf.o"))
        lab.write("usr/lib/bpfchain/objects/verdict.bpf.o", contents)
        lab.write("etc/bpfchain/objects/edge/own.bpf.o", contents)
        lab.document("edge", {"programs": {"a": verdict_program("xdp"), "b": verdict_program("xdp") | {"object": "own.bpf.o"}},
                              "chains": [{"interfaces": ["eth0"], "hook": "xdp", "programs": ["a", "b"]}]})
        lab.start()
        assert lab.chain()["state"] == "active", lab.chain()
        # Broken in the layer that counts; what runs goes on.
        lab.write("etc/bpfchain/objects/verdict.bpf.o", "no ELF")
        lab.client("reload")
        chain = lab.chain()
        assert chain["state"] == "degraded" and "verdict.bpf.o" in chain["reason"], chain
        lab.receive_exactly(lab.sender(), lab.receiver())


@case
def every_program_type_is_found():
    """By its section's name, by what that begins with, by the document, or in the company of others."""
    with ServiceLab() as lab:
        lab.install("oddsection.bpf.o", "unknownsection.bpf.o", "mixed.bpf.o", "voidctx.bpf.o", "verdict-v2.bpf.o")
        lab.document("edge", {
            "programs": {
                "odd": {"object": "oddsection.bpf.o", "function": "odd_xdp"},
                "unknown": {"object": "unknownsection.bpf.o", "type": "xdp"},
                "mixed": {"object": "mixed.bpf.o"},
                "void": {"object": "voidctx.bpf.o", "function": "xdp_voidctx"},
                "old": {"object": "verdict-v2.bpf.o", "function": "xdp_verdict"},
                "odd-tc": {"object": "oddsection.bpf.o", "function": "odd_tc"},
            },
            "chains": [{"interfaces": ["eth0"], "hook": "xdp", "programs": ["odd", "unknown", "mixed", "void", "old"],
                        "counters": "all"},
                       {"interfaces": ["eth0"], "hook": "tc-ingress", "programs": ["odd-tc"]}]})
        lab.start()
        assert not lab.problems(), lab.problems()
        lab.receive_exactly(lab.sender(), lab.receiver(), 10)
        assert [slot["packets"] for slot in lab.chain()["slots"]] == [10] * 5
        assert lab.slot("odd-tc", hook="tc-ingress")["ended"] == 10


@case
def globals_are_set():
    with ServiceLab() as lab:
        lab.install("globals.bpf.o")
        lab.document("edge", {
            "programs": {"g": {"object": "globals.bpf.o", "globals": {
                "g_u8": 200, "g_u64": 2 ** 63 + 5, "g_s16": -30000, "g_bool": False, "level": "LEVEL_HIGH", "text": "hello",
                "list": [9, 8, 7, 6], "settings": {"port": 8080, "range": {"low": 3, "high": 70000}}, "data_u32": 1000}}},
            "chains": [{"interfaces": ["eth0"], "hook": "xdp", "programs": ["g"]}]})
        lab.start()
        assert not lab.problems(), lab.problems()
        lab.receive_exactly(lab.sender(), lab.receiver(), 1)
        seen = bytes.fromhex(lab.client_json("map", "get", "g", "seen", "00 00 00 00")["value"])
        assert seen[0] == 200
        assert int.from_bytes(seen[8:16], "little") == 2 ** 63 + 5, seen.hex(" ")
        assert b"hello\0" in seen and (8080).to_bytes(2, "little") in seen and (70000).to_bytes(4, "little") in seen
        assert (1000).to_bytes(4, "little") in seen and (100000).to_bytes(4, "little") in seen
        assert (-30000).to_bytes(2, "little", signed=True) in seen, seen.hex(" ")


@case
def maps_have_their_first_contents():
    with ServiceLab() as lab:
        lab.install("maps.bpf.o")
        lab.document("edge", {
            "programs": {"m": {"object": "maps.bpf.o", "maps": {
                "m_hash": [{"key": 7, "value": 77}, {"key": 8, "value": 88}],
                "m_points": [{"key": 3, "value": {"x": -5, "y": 6, "tag": "abc"}}],
                "m_lpm": [{"key": {"prefixlen": 8, "addr": "10.0.0.0"}, "value": 1}],
                "m_settings": [{"key": 1, "value": 1}]}}},
            "chains": [{"interfaces": ["eth0"], "hook": "xdp", "programs": ["m"]}]})
        lab.start()
        assert not lab.problems(), lab.problems()
        lab.receive_exactly(lab.sender(), lab.receiver(), 5)
        value = lambda name, key: lab.client_json("map", "get", "m", name, key)["value"].replace(" ", "")
        assert value("m_hash", "07 00 00 00") == (77).to_bytes(8, "little").hex()
        assert value("m_points", "03 00 00 00")[:16] == (-5).to_bytes(4, "little", signed=True).hex() + "06000000"
        # The program found the prefix and the setting for each packet.
        assert value("m_array", "02 00 00 00") == value("m_array", "03 00 00 00") == (5).to_bytes(8, "little").hex()


@case
def settings_that_are_bad():
    with ServiceLab() as lab:
        lab.document("edge", simple_document())
        lab.write("etc/bpfchain/bpfchain.json", '{\n  "tc-attach": "magic"\n}')
        lab.start()
        assert lab.chain()["state"] == "active"
        assert "bpfchain.json:2:16:" in lab.log_text, lab.log_text

        def told():
            manager = lab.status()["manager"]
            found = [problem for problem in manager["problems"] if problem["where"] == "settings"]
            return manager["state"], [(p["severity"], "bpfchain.json:2:16:" in p["sentence"]) for p in found]

        assert told() == ("degraded", [("error", True)]), lab.problems()
        assert "settings" in lab.client("status").stdout
        lab.client("reload")
        assert told() == ("degraded", [("error", True)]), lab.problems()
        lab.write("run/bpfchain/bpfchain.json", {"tc-attach": "tcx"})
        os.unlink(lab.path("etc/bpfchain/bpfchain.json"))
        lab.restart()
        assert lab.chain()["state"] == "active"
        assert told() == ("running", []), lab.problems()


require_built()
run_cases()
