#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every verb of bpfchain against the service: what it does, what it says, its JSON, its exit status."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from bpfchain_test import CLIENT, SOURCE, Lab, case, eventually, find_object, require_built  # noqa: E402
from bpfchain_test import require_root, run_cases, wait_until_connected  # noqa: E402

EDGE = {
    "description": "For the tests of the client.",
    "programs": {
        "deny": {
            "object": "denylist.bpf.o",
            "maps": {"denied_v4": [{"key": {"prefixlen": 24, "addr": "203.0.113.0"}, "value": 1}]},
        },
        "first": {"object": "verdict.bpf.o", "function": "xdp_verdict"},
        "second": {"object": "verdict.bpf.o", "function": "xdp_verdict"},
        "spare": {"object": "verdict.bpf.o", "function": "xdp_verdict"},
        "in": {"object": "verdict.bpf.o", "function": "tc_verdict"},
    },
    "chains": [
        {"interfaces": ["eth0"], "hook": "xdp", "programs": ["deny", "first", "second"]},
        {"interfaces": ["eth0"], "hook": "tc-ingress", "programs": [{"use": "in", "proceed-on": ["next", "ok"]}],
         "counters": "all"},
        {"interfaces": ["eth9"], "hook": "xdp", "programs": ["first"]},
    ],
}

KEY = "20000000c6336407"  # 198.51.100.7/32
VALUE = "07000000"


class Edge(Lab):
    """A laboratory where the document above is in effect, or ready to be applied."""

    def __init__(self, apply=True, **options):
        super().__init__(**options)
        try:
            self.install("denylist.bpf.o", "verdict.bpf.o")
            self.start()
            self.file = self.write("edge.json", EDGE)
            if apply:
                self.client("apply", self.file)
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise

    def order(self, interface="eth0", hook="xdp"):
        return [slot["program"] for slot in self.chain(interface, hook)["slots"]]

    def generation(self):
        return self.client_json("status")["manager"]["generation"]

    def says(self, text, *arguments, status=1, **options):
        """The call fails with this status, nothing on stdout, and this in its message."""
        result = self.client(*arguments, status=status, **options)
        assert text in result.stderr, f"{arguments}: expected “{text}”, got:\n{result.stderr}"
        assert not result.stdout, f"{arguments}: unexpected output:\n{result.stdout}"
        return result.stderr

    def on_terminal(self, *arguments, rows=100, columns=200, **environment):
        """Runs the client on a terminal of its own; returns what appeared there."""
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        env = {**os.environ, "BPFCHAIN_SOCKET": self.daemon.socket, "TERM": "xterm", "LC_ALL": "C.UTF-8", "PAGER": "cat",
               **environment}
        if "NO_COLOR" not in environment:
            env.pop("NO_COLOR", None)
        process = self.inner.popen([CLIENT, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, env=env)
        os.close(theirs)
        shown = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:
                break
            if not piece:
                break
            shown += piece
        os.close(ours)
        assert process.wait() == 0, shown.decode()
        return shown.decode().replace("\r\n", "\n")


@case
def exit_status_2_for_wrong_usage_and_no_service_is_asked():
    with Lab() as lab:  # never started
        for arguments, text in (
            (["frobnicate"], 'no verb "frobnicate"'),
            (["m"], "several verbs"),
            (["apply"], "takes FILE"),
            (["confirm", "1", "2"], "takes [GENERATION]"),
            (["confirm", "-1"], "invalid option"),
            (["confirm", "1x"], "is no generation"),
            (["apply", "-"], "--name NAME"),
            (["order", "eth0"], "takes INTERFACE HOOK PROGRAM..."),
            (["order", "eth0", "xpd", "a"], '"xpd" is no hook'),
            (["map", "eat", "a", "b"], "get, set, del and dump"),
            (["map", "dump", "a"], "A program and a map"),
            (["map", "dump", "a", "b", "00"], "only"),
            (["detach", "--all", "eth0"], "too much"),
            (["--json=long"], "short or pretty"),
            (["apply", "x", "--confirm", "soon"], "30s"),
            (["apply", "x", "--confirm", "0"], "30s"),
            (["apply", "x", "--expected-generation", "x"], "above 0"),
            (["--frobnicate"], "unrecognized option"),
            (["--address=nonsense"], "no D-Bus address"),
            (["--address=unix:path=/x", "--private"], "choose one"),
        ):
            result = lab.client(*arguments, status=2)
            assert text in result.stderr, f"{arguments}: {result.stderr}"
            assert not result.stdout, result.stdout


@case
def exit_status_4_when_the_service_is_not_running():
    with Lab() as lab:
        for arguments in ([], ["status"], ["apply", "-", "--name", "x"], ["monitor"], ["detach", "eth0/xdp"], ["maps"]):
            result = lab.client(*arguments, status=4, input="{}")
            assert "systemctl start bpfchaind" in result.stderr, result.stderr
        result = lab.client("version", status=4)
        assert result.stdout.startswith("bpfchain "), result.stdout
        lab.client("--private=/nonexistent", "status", status=4)
        lab.client("--address=unix:path=/nonexistent", "status", status=4)


@case
def help_and_version_need_no_service():
    with Lab() as lab:
        text = lab.client("help").stdout
        assert text == lab.client("--help").stdout
        for verb in ("status", "apply", "confirm", "rollback", "diff", "insert", "remove", "move", "order", "detach",
                     "programs", "maps", "map", "monitor", "reload", "version"):
            assert re.search(rf"^  {verb}\b", text, re.M), verb
            assert lab.client("help", verb).stdout.startswith(f"bpfchain {verb}")
        assert "Exit status: 0 done, 1 failed, 2" in text
        assert max(map(len, text.splitlines())) <= 110
        assert re.fullmatch(r"bpfchain \d+\.\d+\.\d+\n", lab.client("--version").stdout)
        lab.client("help", "frobnicate", status=2)


@case
def help_manual_and_completions_know_the_same():
    with Lab() as lab:
        text = lab.client("help").stdout
        verbs = re.findall(r"^  ([a-z]+)\b", text.split("\nOptions\n")[0], re.M)
        options = set(re.findall(r"--[a-z-]+", text.split("\nOptions\n")[1]))
        assert len(verbs) == len(set(verbs)) >= 20 and len(options) >= 12, (verbs, options)
        for path, verb, option in (("man/bpfchain.1", r"^\.It Cm {}\b", r"^\.It Fl .*(?<!\S){}\b"),
                                   ("completions/bpfchain", r"local verbs='[^']*\b{}\b", r"--{}\b"),
                                   ("completions/_bpfchain", r"^ +'{}:", r"--{}\b")):
            with open(os.path.join(SOURCE, path), encoding="utf-8") as file:
                contents = file.read()
            for name in verbs:
                assert re.search(verb.replace("{}", name), contents, re.M), f"{path} does not know the verb {name}"
            for name in options:
                pattern = option.replace("{}", re.escape(name[2:] if path.startswith("comp") else name[1:]))
                assert re.search(pattern, contents, re.M), f"{path} does not know the option {name}"


@case
def the_example_of_the_manual_works():
    with open(os.path.join(SOURCE, "man/bpfchain-document.5"), encoding="utf-8") as file:
        examples = re.findall(r"^\.Bd -literal -offset indent\n(\{\n.*?)^\.Ed$", file.read(), re.M | re.S)
    assert len(examples) == 2, examples
    with Lab() as lab:
        lab.install("denylist.bpf.o", "ratelimit.bpf.o", "flows.bpf.o")
        lab.start()
        for number, example in enumerate(examples):
            lab.client("apply", "-", "--name", f"example-{number}", input=example)
        assert [slot["program"] for slot in lab.chain("eth0", "xdp")["slots"]] == ["deny", "limit", "flows"]
        receiver = lab.receiver()
        lab.sender(source="203.0.113.200").send(3)
        lab.sender().send(2)
        assert len(receiver.take(2)) == 2


@case
def status_counts_what_was_sent():
    with Edge() as lab:
        lab.sender().send(300)
        lab.sender(source="203.0.113.9").send(20)
        text = lab.client("status").stdout
        assert re.search(r"bpfchaind \S+ +generation 2 +kernel \S+ +3 chains, 5 programs", text), text
        assert re.search(r"^eth0 +up +veth +index \d+$", text, re.M), text
        assert re.search(r"[─-] xdp +active +native +320 packets, \d+ bytes$", text, re.M), text
        assert re.search(r" 1 +deny +\S+ +proceeds on pass +ended +20 +\(drop 20\)$", text, re.M), text
        assert re.search(r" 2 +first +\S+ +proceeds on pass +ended +0$", text, re.M), text
        assert re.search(r" 3 +second +\S+ +proceeds on pass +ended +300 +\(pass 300\)$", text, re.M), text
        assert re.search(r" 1 +in +\S+ +proceeds on next, ok +ended +300 +\(next 300\) +saw +300$", text, re.M), text
        assert re.search(r"^eth9 +no such interface\n.*xdp +waiting +wanted by edge$", text, re.M), text
        assert "\033" not in text, "colours without a terminal"
        assert text == lab.client().stdout, "status is the default"

        state = lab.client_json("status")
        assert state["manager"]["state"] == "running" and state["manager"]["problems"] == []
        chain = lab.chain("eth0", "xdp")
        assert chain["packets"] == 320 and chain["attachment"] == "xdp-link" and chain["link-id"] > 0
        assert [slot["ended"] for slot in chain["slots"]] == [20, 0, 300]
        assert chain["counters"] == "verdicts" and chain["slots"][0]["endings"] == {"drop": 20}
        assert not {"packets", "bytes", "verdicts"} & set(chain["slots"][0]), "figures that were never counted"
        chain = lab.chain("eth0", "tc-ingress")
        assert chain["counters"] == "all" and chain["slots"][0]["verdicts"] == {"next": 300}
        assert chain["slots"][0]["packets"] == 300


@case
def status_shows_what_a_level_counts():
    with Edge(apply=False) as lab:
        document = json.loads(json.dumps(EDGE))
        for level in ("off", "all", "verdicts"):
            document["chains"][0]["counters"] = level
            text = lab.client("apply", lab.write("edge.json", document)).stdout
            assert level == "off" or re.search(rf"^counters +\S+  \S+  {level}$", text, re.M), text
            lab.sender().send(10)
            text, verbose = lab.client("status", "eth0/xdp").stdout, lab.client("-v", "status", "eth0/xdp").stdout
            assert f"counts {level}, link " in verbose and "counts" not in text, verbose
            slots = lab.chain("eth0", "xdp")["slots"]
            if level == "off":
                assert re.search(r" xdp +active +native +not counted$", text, re.M), text
                assert "ended" not in text and "saw" not in text, text
                assert not {"packets", "ended", "ended-bytes", "endings", "verdicts"} & set(slots[0]), slots
            elif level == "all":
                assert re.search(r" 1 +deny .* ended +0 +saw +10$", text, re.M), text
                assert re.search(r" 1 +deny .* saw +10 +\(pass 10; \d+ bytes\)$", verbose, re.M), verbose
                assert [slot["packets"] for slot in slots] == [10, 10, 10], slots
            else:
                assert re.search(r" 3 +second .* ended +20 +\(pass 20\)$", text, re.M), text
                assert re.search(r" 3 +second .* ended +20 +\(pass 20; \d+ bytes\)$", verbose, re.M), verbose
                assert "saw" not in text, text
        assert lab.chain("eth0", "xdp")["packets"] == 20
        document["chains"][0]["counters"] = "some"
        assert "known are: off, verdicts, all" in lab.says("counters", "apply", lab.write("edge.json", document))


@case
def status_of_single_interfaces_and_chains():
    with Edge() as lab:
        text = lab.client("status", "eth0/tc*").stdout
        assert text.startswith("eth0") and "tc-ingress" in text and "xdp" not in text, text
        assert "eth9" not in lab.client("st", "eth0").stdout
        assert "eth0" not in lab.client("status", "eth9").stdout
        assert "lo" in lab.client("status", "lo").stdout
        assert [i["name"] for i in lab.client_json("status", "eth[09]")["interfaces"]] == ["eth0", "eth9"]
        lab.says('no interface or chain "eth7"', "status", "eth0", "eth7")
        assert "bpfchaind" not in lab.client("--no-legend", "status").stdout


@case
def colours_and_figures_on_a_terminal():
    with Edge() as lab:
        lab.sender().send(1234)
        text = lab.on_terminal("status")
        assert "\033[32mactive\033[0m" in text and "├─" in text and "1 234" in text, text
        plain = lab.on_terminal("status", NO_COLOR="1")
        assert "\033" not in plain and "├─" in plain and "1 234" in plain, plain
        assert "\033" not in lab.on_terminal("status", TERM="dumb")
        ascii_only = lab.on_terminal("status", LC_ALL="C", NO_COLOR="1")
        assert ascii_only.isascii() and "|- xdp" in ascii_only, ascii_only
        # Styles end before their line does, and the columns are the same with and without them.
        assert not re.search(r"\033\[(?!0m)[0-9;]+m[^\033]*\n", text), repr(text)
        assert re.sub(r"\033\[[0-9;]*m", "", text) == plain
        json.loads(lab.on_terminal("--json", "status"))


@case
def long_output_goes_to_the_pager():
    with Edge() as lab:
        pager = lab.path("pager")
        with open(pager, "w", encoding="ascii") as file:
            file.write("#!/bin/sh\necho paged\nexec cat\n")
        os.chmod(pager, 0o755)
        assert lab.on_terminal("maps", rows=5, PAGER=pager).startswith("paged\n")
        assert "paged" not in lab.on_terminal("maps", rows=50, PAGER=pager)
        assert "paged" not in lab.on_terminal("--no-pager", "maps", rows=5, PAGER=pager)
        assert "deny" in lab.on_terminal("maps", rows=5, PAGER="/nonexistent/pager 2>/dev/null")
        assert "paged" not in lab.client("maps", environment={"PAGER": pager}).stdout


@case
def apply_reports_and_is_repeatable():
    with Edge(apply=False) as lab:
        text = lab.client("apply", lab.file).stdout
        assert re.search(r"^eth0/xdp +attached +deny, first, second +verified in \S+, attached in \S+$", text, re.M), text
        assert re.search(r"^eth9/xdp +waiting +first +there is no such interface$", text, re.M), text
        assert text.endswith("Generation 2 is running.\n"), text
        link = lab.chain("eth0", "xdp")["link-id"]

        changed = json.loads(json.dumps(EDGE))
        changed["chains"][0]["programs"].reverse()
        lab.write("edge.json", changed)
        text = lab.client("apply", lab.file).stdout
        assert re.search(r"^eth0/xdp +replaced +deny, first, second  \S+  second, first, deny ", text, re.M), text
        assert re.search(r"^eth0/tc-ingress +unchanged ", text, re.M), text
        assert lab.order() == ["second", "first", "deny"]
        assert lab.chain("eth0", "xdp")["link-id"] == link

        report = lab.client_json("apply", lab.file)
        assert {chain["change"] for chain in report["chains"]} <= {"unchanged", "waiting"}, report


@case
def apply_from_standard_input_for_this_boot_only():
    with Edge(apply=False) as lab:
        lab.client("apply", "-", "--name", "piped", "--runtime", input=json.dumps(EDGE))
        documents = lab.client_json("documents")
        assert documents == [{"name": "piped", "path": lab.path("run/bpfchain/chains.d/piped.json"), "state": "active",
                              "overridden": False}], documents
        assert "piped" in lab.client("documents").stdout
        assert json.loads(lab.client("document", "piped").stdout) == EDGE
        assert lab.client_json("document", "piped") == EDGE
        lab.says('no document "nope"', "document", "nope")


@case
def objects_beside_the_file_are_found():
    with Edge(apply=False) as lab:
        os.rename(lab.path("etc/bpfchain/objects/denylist.bpf.o"), lab.path("denylist.bpf.o"))
        lab.client("apply", lab.file)
        assert lab.order() == ["deny", "first", "second"]


@case
def a_bad_document_is_refused_with_its_place():
    with Edge() as lab:
        before = lab.client_json("status")
        for contents, text in (
            ('{\n  "programs": {},\n  "chain": []\n}', "bad.json:3:3: "),
            ('{ "programs": { "x": { "object": "x.o" }, } }', "bad.json:1:41: "),
            ("", "bad.json:1:1: "),
            ('{ "chains": [ { "interfaces": ["eth0"], "hook": "xpd" } ] }', "bad.json:1:49: chains[0].hook: "),
            ('{ "programs": { "x": { "object": "absent.o" } },'
             ' "chains": [ { "interfaces": ["eth0"], "hook": "xdp", "programs": ["x"] } ] }',
             "bad.json:1:34: programs.x.object: "),
        ):
            path = lab.write("folder/bad.json", contents)
            message = lab.says(text, "apply", path)
            assert path in message and "Nothing was changed." in message, message
            assert path in lab.says(text, "plan", path)
            lab.says(text, "apply", "-", "--name", "bad", input=contents)
        for contents, text in ((b'{ "description": "\xff" }', "bad.json:1:19: not UTF-8"),
                               (b'{\n\0}', "bad.json:2:1: a NUL character"),
                               (b'"' + b"x" * (4 << 20) + b'"', "4 MiB")):
            lab.says(text, "apply", lab.write("folder/bad.json", contents))
        taken = lab.write("folder/taken.json", {"programs": {"deny": {"object": "verdict.bpf.o"}}})
        assert "taken.json" in lab.says("edge.json", "apply", taken)
        lab.says("is a folder", "apply", lab.path("folder"), "--name", "x")
        lab.says("No such file", "apply", lab.path("absent.json"))
        lab.says("4 MiB", "apply", "/dev/zero", "--name", "x")
        lab.client("apply", lab.file, "--name", "not a name", status=1)
        assert lab.client_json("status") == before


@case
def names_that_are_no_text_are_refused():
    with Edge() as lab:
        for arguments in (["withdraw", "\udcff"], ["document", "\udcff"], ["order", "\udcff/xdp", "a"],
                          ["order", "eth0/xdp", "\udcff"], ["insert", "eth0/xdp", "\udcff"],
                          ["remove", "eth0/xdp", "\udcff"], ["map", "dump", "\udcff", "a"]):
            lab.says("is not text in UTF-8", *arguments, status=2)
        lab.client("apply", lab.file, "--name", "\udcff", status=2)
        lab.says("no program", "programs", "\033[2J")
        assert "\033" not in lab.client("programs", "\033[2J", status=1).stderr
        folder = lab.write("\udcff/edge.json", EDGE)
        lab.client("apply", folder)


@case
def long_work_shows_progress_on_a_terminal():
    with Edge() as lab:
        os.kill(lab.daemon.pid, signal.SIGSTOP)
        timer = threading.Timer(1, os.kill, (lab.daemon.pid, signal.SIGCONT))
        timer.start()
        try:
            text = lab.on_terminal("apply", lab.file, NO_COLOR="1")
        finally:
            timer.join()
        # Turned several times, with the time spent, and was wiped before the result.
        assert 3 <= len(re.findall(r"\r\S Verifying and attaching edge  [01]\.\d s\033\[K", text)) <= 12, repr(text)
        assert text.count("\r\033[K") == 1, repr(text)
        assert re.search(r"\nGeneration \d+ is running.\n$", text), repr(text)
        os.kill(lab.daemon.pid, signal.SIGSTOP)
        timer = threading.Timer(1, os.kill, (lab.daemon.pid, signal.SIGCONT))
        timer.start()
        assert lab.client("apply", lab.file).stderr == "", "progress off a terminal"
        timer.join()


@case
def plan_and_dry_run_change_nothing():
    with Edge(apply=False) as lab:
        before = lab.client_json("status")
        for arguments in (["plan", lab.file], ["apply", lab.file, "--dry-run"]):
            text = lab.client(*arguments).stdout
            assert "eth0/xdp" in text and "Nothing was changed: this was a trial." in text, text
            assert lab.client_json(*arguments)["dry-run"] is True
        assert lab.client_json("status") == before
        lab.client("apply", lab.file)
        before = lab.client_json("status")
        assert "It would work." in lab.client("remove", "eth0/xdp", "deny", "--dry-run").stdout
        assert lab.client_json("status") == before


@case
def diff_shows_lines_and_chains():
    with Edge(apply=False) as lab:
        text = lab.client("diff", lab.file).stdout
        assert "--- edge (not there yet)\n" in text and '+  "programs": {\n' in text and "attached" in text, text
        lab.client("apply", lab.file)
        assert lab.client("diff", lab.file).stdout.strip().endswith("there is no such interface"), "eth9 waits on"
        changed = json.loads(json.dumps(EDGE))
        changed["chains"][0]["programs"].remove("first")
        del changed["chains"][2]
        lab.write("edge.json", changed)
        text = lab.client("diff", lab.file).stdout
        assert '\n-        "first",\n' in text, text
        assert re.search(r"^eth0/xdp +replaced +deny, first, second  \S+  deny, second ", text, re.M), text
        assert "tc-ingress" not in text.split("\n\n")[-1], text
        result = lab.client_json("diff", lab.file)
        assert result["differs"] is True and json.loads(result["present"]) == EDGE
        changed["description"] = "Only words."
        lab.client("apply", lab.file)
        lab.write("edge.json", changed)
        assert "no chain or program would change" in lab.client("diff", lab.file).stdout
        assert lab.order() == ["deny", "second"]


@case
def an_unconfirmed_change_goes_back_by_itself():
    with Edge() as lab:
        order = lab.order()
        text = lab.client("order", "eth0", "xdp", "second", "first", "deny", "--confirm", "3s").stdout
        assert re.search(r'Generation (\d+) is running\. Confirm with "bpfchain confirm \1" within 3s', text), text
        assert lab.order() == ["second", "first", "deny"]
        state = lab.client_json("status")["manager"]
        assert state["pending-confirmation"]["generation"] == state["generation"]
        assert "waits for its confirmation" in lab.client("status").stdout
        eventually(lambda: lab.order() == order)
        assert lab.client_json("status")["manager"]["pending-confirmation"] is None
        lab.says("No generation waits", "confirm")


@case
def a_confirmed_change_stays():
    with Edge() as lab:
        changed = json.loads(json.dumps(EDGE))
        changed["chains"][0]["programs"].reverse()
        text = lab.client("apply", "-", "--name", "edge", "--confirm", "4s", input=json.dumps(changed)).stdout
        assert 'Confirm with "bpfchain confirm 3" within 4s' in text, text
        lab.says("2", "confirm", "2")  # not the one that waits
        assert lab.client("confirm", "3").stdout == "Generation 3 stays.\n"
        time.sleep(4.5)
        assert lab.order() == ["second", "first", "deny"] and lab.generation() == 3


@case
def rollback_goes_back():
    with Edge() as lab:
        order = lab.order()
        lab.client("order", "eth0/xdp", "second", "first", "deny")
        generation = lab.generation()
        lab.says("", "rollback", str(generation + 5))
        assert "is back, as generation" in lab.client("rollback").stdout
        assert lab.order() == order and lab.generation() > generation


@case
def a_stale_generation_is_refused():
    with Edge() as lab:
        lab.says("", "remove", "eth0/xdp", "deny", "--expected-generation", "1")
        assert "deny" in lab.order()
        lab.client("remove", "eth0/xdp", "deny", f"--expected-generation={lab.generation()}")
        assert "deny" not in lab.order()


@case
def edits_of_a_chain():
    with Edge() as lab:
        def edit(*arguments):
            text = lab.client(*arguments).stdout
            assert re.search(r"Generation \d+ is running\.\n$", text), text
            return lab.order()

        assert edit("insert", "eth0", "xdp", "spare") == ["deny", "first", "second", "spare"]
        assert edit("move", "eth0", "xdp", "spare", "first") == ["spare", "deny", "first", "second"]
        assert edit("move", "eth0/xdp", "spare", "after:first") == ["deny", "first", "spare", "second"]
        assert edit("mov", "eth0/x", "spare", "before", "deny") == ["spare", "deny", "first", "second"]
        assert edit("remove", "eth0/xdp", "deny") == ["spare", "first", "second"]
        assert edit("insert", "eth0/xdp", "deny", "before:second") == ["spare", "first", "deny", "second"]
        assert edit("order", "eth0", "xdp", "second", "deny", "first", "spare") == ["second", "deny", "first", "spare"]
        assert set(lab.client_json("order", "eth0", "xdp", "deny", "second", "first", "spare")) == {"generation"}

        lab.says("spare", "insert", "eth0/xdp", "spare")
        lab.says('"nope"', "insert", "eth0/xdp", "nope")
        lab.says("nope", "insert", "eth0/xdp", "in", "before:nope")
        lab.says("nope", "remove", "eth0/xdp", "nope")
        lab.says('"deny" is missing', "order", "eth0/xdp", "second", "first", "spare")
        lab.says("eth1", "order", "eth1/xdp", "first")
        lab.says("is no place", "insert", "eth0/xdp", "in", "between", status=2)
        lab.says("is no place", "insert", "eth0/xdp", "in", "before:", status=2)
        lab.says("is no place", "insert", "eth0/xdp", "in", "first", "last", status=2)
        assert lab.order() == ["deny", "second", "first", "spare"]

        # All of it is one document, which can be taken back.
        assert "edit-eth0-xdp" in [document["name"] for document in lab.client_json("documents")]
        lab.client("withdraw", "edit-eth0-xdp")
        assert lab.order() == ["deny", "first", "second"]


@case
def detach_attach_and_detach_all():
    with Edge() as lab:
        assert 'until "bpfchain attach"' in lab.client("detach", "eth0", "ingress").stdout
        assert lab.chain("eth0", "tc-ingress")["state"] == "detached"
        assert "detached" in lab.client("status", "eth0/tc-ingress").stdout
        lab.client("attach", "eth0", "ingress")
        assert lab.chain("eth0", "tc-ingress")["state"] == "active"
        lab.client("detach", "--all")
        assert not lab.inner.link("eth0").get("xdp"), "XDP is still attached"
        assert lab.chain("eth0", "xdp")["state"] != "active"
        lab.client("reload")
        eventually(lambda: lab.chain("eth0", "xdp")["state"] == "active")
        lab.says("eth1", "detach", "eth1/xdp")


@case
def withdraw_takes_a_document_back():
    with Edge() as lab:
        assert "Document edge is withdrawn." in lab.client("withdraw", "edge").stdout
        assert lab.client_json("documents") == [] and lab.client_json("programs") == []
        assert "No document asks for a chain." in lab.client("status").stdout
        assert not lab.inner.link("eth0").get("xdp")
        lab.says("edge", "withdraw", "edge")


@case
def reload_reads_files_and_tells_of_problems():
    with Edge(apply=False) as lab:
        lab.document("50-edge", EDGE)
        lab.document("60-broken", '{ "programs": 7 }')
        text = lab.client("reload").stdout
        assert "All documents were read again." in text and '1 problem: "bpfchain status" shows it.' in text, text
        assert lab.order() == ["deny", "first", "second"]
        text = lab.client("status").stdout
        assert "degraded" in text and re.search(r"^error +60-broken.* 60-broken\.json:1:15: programs: ", text, re.M), text
        os.unlink(lab.path("etc/bpfchain/chains.d/60-broken.json"))
        assert "problem" not in lab.client("reload").stdout
        assert lab.client_json("status")["manager"]["state"] == "running"


@case
def lists_of_programs_interfaces_and_maps():
    with Edge() as lab:
        lab.sender().send(10)
        text = lab.client("programs").stdout
        assert text.startswith("NAME "), text
        assert re.search(r"^second +xdp +loaded +10 +verdict.bpf.o +xdp_verdict +eth0/xdp$", text, re.M), text
        assert re.search(r"^first +xdp +loaded +0 +verdict.bpf.o +xdp_verdict +eth0/xdp, eth9/xdp$", text, re.M), text
        assert re.search(r"^spare +\S+ +\S+ +0 +verdict.bpf.o +xdp_verdict +-$", text, re.M), text
        assert not lab.client("--no-legend", "programs").stdout.startswith("NAME")
        text = lab.client("programs", "in").stdout
        assert re.search(r"^ *Endings +next 10$", text, re.M) and re.search(r"^ *Verdicts +next 10$", text, re.M), text
        text = lab.client("programs", "second").stdout
        assert re.search(r"^ *Endings +pass 10$", text, re.M) and "Verdicts" not in text, text
        assert re.search(r"^ *Ended +10$", text, re.M) and re.search(r"^ *Digest +[0-9a-f]{64}$", text, re.M), text
        lab.says('no program "nope"', "programs", "nope")
        assert [p["name"] for p in lab.client_json("programs")] == sorted(EDGE["programs"])

        text = lab.client("interfaces").stdout
        assert re.search(r"^ +\d+ +eth0 +up +veth +veth +xdp, tc-ingress +-$", text, re.M), text
        assert [i["name"] for i in lab.client_json("interfaces")] == ["lo", "eth0"]
        lab.says('no interface "eth7"', "interfaces", "eth7")

        text = lab.client("maps", "deny").stdout
        assert re.search(r"^deny +denied_v4 +lpm_trie +8 +4 +65536 +\d+ +no-prealloc$", text, re.M), text
        assert "verdict" not in text and "first" not in text
        maps = lab.client_json("maps")
        assert {"first/hits", "deny/stats"} <= {m["program"] + "/" + m["name"] for m in maps}
        lab.says("spare2", "maps", "spare2")


@case
def foreign_programs_are_shown():
    with Edge(apply=False, wires=2) as lab:
        lab.inner.ip("link", "set", "dev", "eth1", "xdp", "obj", find_object("denylist.bpf.o"), "sec", "xdp")
        text = lab.client("status").stdout
        assert re.search(r"^eth1 .*\n.*xdp +foreign +xdp +.*program \d+", text, re.M), text
        assert re.search(r"eth1 .* xdp$", lab.client("interfaces").stdout, re.M)
        text = lab.apply("clash", {"programs": {"x": {"object": "verdict.bpf.o", "function": "xdp_verdict"}},
                                   "chains": [{"interfaces": ["eth1"], "hook": "xdp", "programs": ["x"]}]}).stdout
        assert re.search(r"^eth1/xdp +conflict +x +The XDP hook of eth1 is held by program \d+", text, re.M), text
        text = lab.client("status").stdout
        assert re.search(r"xdp +conflict.*\n.*held by program \d+.*\n.* 1 +x .*\n.*xdp +foreign", text), text


@case
def entries_of_maps():
    with Edge() as lab:
        assert lab.client("map", "dump", "deny", "denied_v4").stdout.split() == [
            "KEY", "VALUE", "18", "00", "00", "00", "cb", "00", "71", "00", "01", "00", "00", "00"]
        assert lab.client("map", "set", "deny", "denied_v4", KEY, VALUE).stdout == "The entry is set.\n"
        assert lab.client("map", "get", "deny", "denied_v4", KEY).stdout == "07 00 00 00\n"
        assert lab.client("map", "g", "deny/denied_v4", "20:00:00:00", "0xc6336407").stdout == "07 00 00 00\n"
        assert lab.client_json("map", "get", "deny", "denied_v4", KEY) == {
            "key": "20 00 00 00 c6 33 64 07", "value": "07 00 00 00"}

        receiver, sender = lab.receiver(), lab.sender()
        sender.send(5, source="198.51.100.7")
        sender.send(5, source="198.51.100.8")
        assert receiver.take(5) == [("198.51.100.8", n) for n in range(5, 10)], "the entry has no effect"

        lab.client("map", "set", "deny", "denied_v4", *"20 00 00 00 c6 33 64 07 08 00 00 00".split())
        assert lab.client("map", "get", "deny", "denied_v4", KEY).stdout == "08 00 00 00\n"
        lab.client("map", "set", "deny", "denied_v4", "20 00 00 00 c6 33 64 07 09 00 00 00")
        assert lab.client("map", "get", "deny", "denied_v4", KEY).stdout == "09 00 00 00\n"
        lab.says("", "map", "set", "--create-only", "deny", "denied_v4", KEY, VALUE)
        lab.client("map", "set", "--replace-only", "deny", "denied_v4", KEY, VALUE)
        assert len(lab.client_json("map", "dump", "deny", "denied_v4")) == 2
        assert lab.client("map", "del", "deny", "denied_v4", KEY).stdout == "The entry is gone.\n"
        lab.says("no entry", "map", "get", "deny", "denied_v4", KEY)
        lab.says("no entry", "map", "delete", "deny", "denied_v4", KEY)
        lab.says("", "map", "set", "--replace-only", "deny", "denied_v4", KEY, VALUE)

        lab.says("has 8 bytes; 3 were given", "map", "get", "deny", "denied_v4", "200000", status=2)
        lab.says("a key of 8 and a value of 4", "map", "set", "deny", "denied_v4", KEY, "0700", status=2)
        lab.says("not bytes in hexadecimal", "map", "set", "deny", "denied_v4", KEY, "seven", status=2)
        lab.says("nope", "map", "dump", "deny", "nope")
        lab.says("nope", "map", "dump", "nope", "hits")


@case
def maps_of_each_cpu():
    with Edge() as lab:
        lab.sender().send(7)
        entry = lab.client_json("map", "get", "first", "hits", "00000000")
        cpus = len(entry["values"])
        assert sum(int.from_bytes(bytes.fromhex(v), sys.byteorder) for v in entry["values"]) == 7
        assert len(lab.client("map", "get", "first", "hits", "00000000").stdout.splitlines()) == cpus
        lab.client("map", "set", "first", "hits", "00000000", "0200000000000000")
        assert lab.client_json("map", "get", "first", "hits", "00000000")["values"] == ["02 00 00 00 00 00 00 00"] * cpus
        assert len(lab.client("--no-legend", "map", "dump", "first", "hits").stdout.splitlines()) == cpus
        pretty = lab.client("--json=pretty", "map", "dump", "deny", "stats").stdout
        assert len(json.loads(pretty)) == 256 and len(pretty.splitlines()) == 258
        assert lab.client("--json=pretty", "map", "dump", "deny", "denied_v6").stdout.strip() == "[]"
        assert "(no entries)" in lab.client("map", "dump", "deny", "denied_v6").stdout


class Monitor:
    """`bpfchain monitor` in the background."""

    def __init__(self, lab, *options):
        self.lines = []
        self.process = lab.inner.popen([CLIENT, *options, "monitor"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, env={**os.environ, "BPFCHAIN_SOCKET": lab.daemon.socket})
        os.set_blocking(self.process.stdout.fileno(), False)
        wait_until_connected(self.process.pid)

    def read(self):
        while select.select([self.process.stdout], [], [], 0.05)[0]:
            piece = self.process.stdout.read()
            if not piece:
                break
            self.lines += piece.decode().splitlines()
        return self.lines

    def wait_for(self, pattern):
        eventually(lambda: any(re.search(pattern, line) for line in self.read()))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()


@case
def monitor_shows_events():
    with Edge() as lab:
        with Monitor(lab) as monitor, Monitor(lab, "--json=short") as machine:
            lab.client("order", "eth0/xdp", "second", "first", "deny")
            monitor.wait_for(r"^\d\d:\d\d:\d\d\.\d{3}  generation 3 +committed")
            monitor.wait_for(r"chain eth0/xdp +.*generation 3")
            lab.client("withdraw", "edge", status=None)
            lab.inner.ip("link", "add", "extra0", "type", "veth", "peer", "name", "extra1")
            monitor.wait_for(r"interface extra0 +added")
            lab.inner.ip("link", "del", "extra0")
            monitor.wait_for(r"interface extra0 +removed")
            lab.client("rollback", status=None)
            events = [json.loads(line) for line in machine.read()]
            assert {"GenerationCommitted", "InterfacesAdded", "PropertiesChanged"} <= {e["member"] for e in events}
            committed = [e for e in events if e["member"] == "GenerationCommitted"]
            assert committed[0]["arguments"][0] == 3 and committed[0]["path"] == "/org/bpfchain1", committed

            lab.daemon.stop()
            assert monitor.process.wait(10) == 4
            assert "ended" in monitor.process.stderr.read().decode()


@case
def monitor_ends_quietly_when_nobody_reads():
    with Edge() as lab:
        monitor = Monitor(lab)
        monitor.process.stdout.close()
        lab.client("order", "eth0/xdp", "second", "first", "deny")
        lab.client("reload")
        status = monitor.process.wait(10)
        assert status in (0, -signal.SIGPIPE), status
        assert monitor.process.stderr.read() == b""
        monitor.process.stderr.close()


@case
def private_socket_by_option_and_by_address():
    with Edge() as lab:
        for option in (f"--private={lab.daemon.socket}", f"--address=unix:path={lab.daemon.socket}"):
            result = lab.client(option, "--json=short", "status", environment={"BPFCHAIN_SOCKET": "/nonexistent"})
            assert json.loads(result.stdout)["manager"]["state"] == "running"
        for option in ([], [f"--address=unix:path={lab.daemon.socket}"]):
            with Monitor(lab, *option) as monitor:
                lab.client("reload")
                lab.inner.ip("link", "add", "extra0", "type", "veth", "peer", "name", "extra1")
                monitor.wait_for(r"interface extra0 +added")
                lab.inner.ip("link", "del", "extra0")


@case
def all_json_is_json():
    with Edge() as lab:
        for mode in ("short", "pretty"):
            for arguments in (["status"], ["programs"], ["programs", "deny"], ["interfaces"], ["maps"], ["documents"],
                              ["document", "edge"], ["version"], ["plan", lab.file], ["diff", lab.file],
                              ["apply", lab.file], ["map", "dump", "deny", "denied_v4"], ["reload"],
                              ["map", "set", "deny", "denied_v4", KEY, VALUE], ["detach", "eth0/xdp"],
                              ["withdraw", "edit-eth0-xdp"], ["rollback"], ["attach", "eth0/xdp"],
                              ["apply", lab.file, "--confirm=20s"]):
                text = lab.client(f"--json={mode}", *arguments).stdout
                json.loads(text)
                assert mode == "pretty" or text.count("\n") == 1, text
            pending = lab.client_json("status")["manager"]["pending-confirmation"]
            if pending:
                assert json.loads(lab.client(f"--json={mode}", "confirm").stdout) == {"generation": pending["generation"]}


def setup():
    require_root()
    require_built()


run_cases(setup)
