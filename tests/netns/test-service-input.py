# SPDX-License-Identifier: LGPL-2.1-or-later
"""What bad input gets: an error that names the place and the remedy, the old state untouched, the service alive."""

import contextlib
import json
import os
import socket

from bpfchain_test import case, require_built, run_cases
from service_lab import ServiceLab, assert_clean, dbus_wire, order_program, simple_document, verdict_program

MANAGER = ("/org/bpfchain1", "org.bpfchain1.Manager")


class Steady:
    """A service with a chain that packets go through. Whatever is tried, nothing of it may change."""

    def __init__(self, *objects):
        self.lab = ServiceLab(wires=2)
        self.lab.install(*objects)
        self.lab.start()
        self.lab.apply("steady", {
            "programs": {"one": order_program(1), "two": order_program(2)},
            "chains": [{"interfaces": ["eth0"], "hook": "xdp", "programs": ["one", "two"]}]})
        self.sender, self.receiver = self.lab.sender(), self.lab.receiver()
        self.before = self.lab.snapshot()

    def __enter__(self):
        self.lab.__enter__()
        return self

    def __exit__(self, *why):
        self.lab.__exit__(*why)

    def check(self):
        self.lab.assert_unchanged(self.before)
        self.lab.receive_exactly(self.sender, self.receiver, 3)

    def refuse(self, document, *words, text=None, name="bad", dry_run=True):
        """The document is refused with all these words, both as a trial and in earnest."""
        text = json.dumps(document) if text is None else text
        for options in (["--dry-run"], []) if dry_run else ([],):
            result = self.lab.client("apply", "-", "--name", name, *options, input=text, status=1)
            for word in words:
                assert word in result.stderr, f"\"{word}\" is missing in: {result.stderr}"
            assert result.stdout == "", result.stdout
            self.check()
        return result.stderr


def chain(*programs, hook="xdp", interface="eth0", **more):
    return {"interfaces": [interface], "hook": hook, "programs": list(programs), **more}


@case
def syntax_and_types():
    with Steady() as s:
        s.refuse(None, "1:3:", text="{ oops }")
        s.refuse(None, "2:2:", text='{ "programs": {}\n "chains": [] }')
        s.refuse(None, "3:7:", "programms", text='{\n  "chains": [],\n      "programms": {} }')
        s.refuse({"programs": []}, "1:", "object")
        s.refuse({"chains": [chain(5)]}, "chains[0].programs[0]", "string")
        s.refuse({"chains": [chain(hook="xpd")]}, "xpd", "tc-ingress")
        s.refuse({"chains": [chain(mode="fast")]}, "fast", "native")
        s.refuse({"chains": [chain({"use": "one", "proceed-on": ["next"]})]}, "next", "pass")
        s.refuse(None, "1:19:", "surrogate", text='{ "description": "\\ud800" }')
        s.refuse(None, "1:1:", text="")
        path = s.lab.write("latin-1.json", b'{\n  "description": "\xfc" }')
        assert f"{path}:2:19: not UTF-8" in s.lab.client("apply", path, status=1).stderr
        s.check()


@case
def names():
    with Steady() as s:
        s.refuse({"chains": [chain("one", interface="sixteen-letters-")]}, "sixteen-letters-", "15")
        s.refuse({"chains": [chain("one", interface="a/b")]}, "a/b")
        s.refuse({"programs": {"one": verdict_program("xdp")}}, "one", "steady.json")
        s.refuse(None, "1:50:", text='{ "programs": { "x": {"object":"verdict.bpf.o"}, "x": {"object":"a"} } }')
        s.refuse({"programs": {"bad name": verdict_program("xdp")}}, "bad name", "letters")
        s.refuse({"chains": [chain("nobody")]}, "nobody", "chains[0].programs[0]")
        s.refuse({"chains": [chain("one")]}, "one", "twice", "steady.json")


@case
def objects():
    with Steady("rejected.bpf.o") as s:
        lab = s.lab
        s.refuse({"programs": {"x": {"object": "nowhere.bpf.o"}}, "chains": [chain("x", hook="tc-ingress")]},
                 "nowhere.bpf.o", "etc/bpfchain/objects", "programs.x.object")
        files = {"empty.o": b"", "text.o": b"this is no ELF file\n", "cut.o": b"\x7fELF", "zero.o": bytes(100000)}
        with open(os.path.join(lab.root, "etc/bpfchain/objects/verdict.bpf.o"), "rb") as file:
            whole = file.read()
        files["half.o"] = whole[: len(whole) // 2]
        files["wild.o"] = whole[:64] + bytes(b ^ 0x5A for b in whole[64:])
        with open("/bin/true", "rb") as file:
            files["true.o"] = file.read()
        for name, contents in files.items():
            lab.write(f"etc/bpfchain/objects/{name}", contents)
        os.mkdir(lab.path("etc/bpfchain/objects/folder.o"))
        s.before = lab.snapshot()
        for name in [*files, "folder.o"]:
            s.refuse({"programs": {"x": {"object": name}}, "chains": [chain("x", hook="tc-ingress")]}, name)
        s.refuse({"programs": {"x": {"object": "/dev/zero"}}, "chains": [chain("x", hook="tc-ingress")]}, "/dev/zero")
        os.mkfifo(lab.path("pipe"))
        s.refuse({"programs": {"x": {"object": lab.path("pipe")}}, "chains": [chain("x", hook="tc-ingress")]}, "pipe")
        s.refuse({"programs": {"x": {"object": "verdict.bpf.o", "function": "nope"}},
                  "chains": [chain("x", hook="tc-ingress")]}, "nope", "xdp_verdict", "tc_verdict")
        s.refuse({"programs": {"x": {"object": "verdict.bpf.o", "function": "xdp_verdict"}},
                  "chains": [chain("x", hook="tc-ingress")]}, "x", "tc-ingress")


@case
def the_verifier_refuses():
    with Steady("rejected.bpf.o") as s:
        said = s.refuse({"programs": {"x": {"object": "rejected.bpf.o", "function": "xdp_rejected"}},
                         "chains": [chain("x", hook="xdp", interface="eth9")]}, "x", "verifier")
        assert "invalid access to packet" in said, f"the decisive line of the verifier is missing: {said}"
        s.refuse({"programs": {"x": {"object": "rejected.bpf.o", "function": "tc_rejected"}, "y": verdict_program("tc-ingress")},
                  "chains": [chain("y", "x", hook="tc-ingress")]}, "x")


@case
def globals_and_maps():
    with Steady("globals.bpf.o", "maps.bpf.o") as s:
        def document(program, **more):
            return {"programs": {"x": {"object": program, **more}}, "chains": [chain("x", interface="eth9")]}

        s.refuse(document("globals.bpf.o", globals={"g_u8": 256}), "g_u8", "255", "programs.x.globals.g_u8")
        s.refuse(document("globals.bpf.o", globals={"nope": 1}), "nope")
        s.refuse(document("globals.bpf.o", globals={"text": "far too long for sixteen bytes"}), "text", "16")
        s.refuse(document("globals.bpf.o", globals={"level": "LEVEL_NONE"}), "LEVEL_NONE", "LEVEL_LOW")
        s.refuse(document("globals.bpf.o", globals={"list": [1, 2, 3, 4, 5]}), "list", "4")
        s.refuse(document("maps.bpf.o", maps={"nope": []}), "nope")
        s.refuse(document("maps.bpf.o", maps={"m_hash": [{"key": -1, "value": 1}]}), "m_hash[0].key")
        s.refuse(document("maps.bpf.o", maps={"m_lpm": [{"key": {"prefixlen": 133, "addr": "10.0.0.0"}, "value": 1}]}),
                 "133", "32", "m_lpm[0].key.prefixlen")
        s.refuse(document("maps.bpf.o", maps={"m_array": [{"key": 8, "value": 1}]}), "m_array")
        s.refuse(document("maps.bpf.o", maps={"m_hash": [{"key": i, "value": 1} for i in range(200)]}), "m_hash", "128")


@case
def chains_over_a_limit():
    with Steady("manymaps.bpf.o", "manytailcalls.bpf.o", "toolong.bpf.o", "bigstack.bpf.o") as s:
        def chain_of(count, program, interface="eth1", **more):
            names = [f"x{i}" for i in range(count)]
            return {"programs": {name: {"object": program, **more} for name in names},
                    "chains": [chain(*names, interface=interface)]}

        # What can't run is told also where the interface is yet to come.
        for interface in ("eth9", "eth1"):
            s.refuse(chain_of(3, "manytailcalls.bpf.o", interface, **{"keep-tail-calls": True}), "33", "tail call")
        s.refuse(chain_of(65, "verdict.bpf.o") | {"programs": {
            f"x{i}": verdict_program("xdp") for i in range(65)}}, "64")
        # What is too much for one program of the kernel only, is none of these.
        for fits in (chain_of(4, "manymaps.bpf.o"), chain_of(3, "manytailcalls.bpf.o"),
                     chain_of(5, "toolong.bpf.o")):
            s.lab.apply("fits", fits)
            assert s.lab.chain("eth1", "xdp")["state"] == "active"
            s.lab.client("withdraw", "fits")


@case
def ten_thousand_programs():
    with Steady() as s:
        programs = {f"p{i}": verdict_program("xdp") for i in range(10000)}
        s.refuse({"programs": programs}, "1024", dry_run=False)
        # As a file it is a problem like any other.
        s.lab.document("many", {"programs": programs})
        s.lab.client("reload")
        assert any("many.json" in problem["sentence"] for problem in s.lab.problems())
        s.lab.receive_exactly(s.sender, s.receiver, 5)


@case
def a_hundred_megabytes():
    with Steady() as s:
        text = '{ "description": "' + "x" * (100 << 20) + '" }'
        said = s.refuse(None, "4 MiB", text=text, dry_run=False)
        assert len(said) < 1000
        # As a file
        s.lab.document("huge", text)
        rss = s.lab.rss()
        s.lab.client("reload")
        assert any("huge.json" in problem["sentence"] for problem in s.lab.problems())
        assert s.lab.sanitized or s.lab.rss() - rss < 20 << 10, "a file that is too large was read into memory"
        s.lab.receive_exactly(s.sender, s.receiver, 5)


@case
def a_hundred_megabytes_on_the_socket():
    """Without our client: D-Bus allows messages of 128 MiB."""
    with Steady() as s:
        bus = s.lab.bus()
        try:
            bus.call(*MANAGER, "Apply", "ssa{sv}", "huge", '{ "description": "' + "x" * (100 << 20) + '" }', {})
            raise AssertionError("it was taken")
        except dbus_wire.Error as error:
            assert error.short in ("LimitExceeded", "InvalidDocument") and len(error.message) < 1000, error
        except (dbus_wire.Gone, OSError):
            pass  # a connection that sends so much may be closed as well
        s.check()
        assert s.lab.sanitized or s.lab.rss() < 100 << 10, f"{s.lab.rss()} KiB are held on to"


@case
def documents_with_depth_and_width():
    with Steady() as s:
        s.refuse(None, "1:", text='{ "description": ' + "[" * 5000 + "]" * 5000 + " }")
        s.refuse(None, "1:", text='{ "description": ' + '{"a":' * 5000 + "1" + "}" * 5000 + " }")
        s.refuse({"chains": [chain("one", interface=f"e{i}") for i in range(2000)]}, "1024")
        s.refuse({"chains": [{"interfaces": [f"e{i}" for i in range(300)], "hook": "xdp"}]}, "256")
        s.refuse({"programs": {"x": verdict_program("xdp") | {"globals": {f"g{i}": i for i in range(20000)}}},
                  "chains": [chain("x", interface="eth9")]}, "g0")


@case
def garbage_on_the_socket():
    with Steady() as s:
        for data in (b"", b"\0", b"GET / HTTP/1.0\r\n\r\n", bytes(10000), b"\0AUTH EXTERNAL 30\r\nBEGIN\r\n" + b"l" * 5000,
                     b"\0AUTH EXTERNAL 30\r\nBEGIN\r\n" + b"l\1\0\1" + b"\xff" * 12, b"\0" + b"AUTH " * 100000):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(s.lab.daemon.socket)
                with contextlib.suppress(OSError):
                    client.sendall(data)
                    client.shutdown(socket.SHUT_WR)
                    client.settimeout(2)
                    while client.recv(4096):
                        pass
            s.check()


@case
def names_that_are_no_documents():
    with Steady() as s:
        bus = s.lab.bus()
        for name in ("", "..", "../x", "a/b", ".hidden", "x.json", "x" * 200, "a b", "ä", "-x", "a\nb"):
            try:
                bus.call(*MANAGER, "Apply", "ssa{sv}", name, "{}", {})
                raise AssertionError(f"a document \"{name}\" was taken")
            except dbus_wire.Error as error:
                assert error.short == "InvalidArgument", error
        for options in ({"base-directory": ("s", "relative")}, {"nonsense": ("b", True)}, {"runtime": ("s", "yes")},
                        {"confirm-timeout": ("t", 2 ** 64 - 1)}, {"expected-generation": ("t", 99999)}):
            try:
                bus.call(*MANAGER, "Apply", "ssa{sv}", "x", json.dumps(simple_document(interfaces=("eth9",))), options)
                raise AssertionError(f"{options} was taken")
            except dbus_wire.Error as error:
                assert error.short in ("InvalidArgument", "StaleGeneration"), error
        s.check()
        assert_clean(s.lab.log_text)


require_built()
run_cases()
