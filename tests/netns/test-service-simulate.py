# SPDX-License-Identifier: LGPL-2.1-or-later
"""explain and apply --simulate with the examples and real maps: what is said of each packet, that nothing of what
runs is touched, and captures that somebody made to do harm."""

import ipaddress
import json
import os
import re
import struct

from bpfchain_test import CLIENT, case, require_built, run_cases, udp_frame
from service_lab import ServiceLab, verdict_program, xdp

PACKETS_MAX, SIZE_MAX = 16384, 3520
MAC_A, MAC_B = b"\x02\0\0\0\0\x01", b"\x02\0\0\0\0\x02"


def capture(packets, link=1, magic=0xA1B2C3D4, snap=None, step=100):
    """A capture file with these packets, in the format pcap, `step` microseconds apart."""
    order = "<" if magic == 0xA1B2C3D4 else ">"
    data = struct.pack(order + "IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, link)
    for i, packet in enumerate(packets):
        taken = packet[:snap]
        seconds, usec = divmod(i * step, 10**6)
        data += struct.pack(order + "IIII", 1000 + seconds, usec, len(taken), len(packet)) + taken
    return data


def capture_ng(packets):
    """The same in the format pcapng."""
    def block(kind, body):
        size = 12 + len(body)
        return struct.pack("<II", kind, size) + body + struct.pack("<I", size)

    data = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)) + block(1, struct.pack("<HHI", 1, 0, 0))
    for i, packet in enumerate(packets):
        padded = packet + bytes(-len(packet) % 4)
        data += block(6, struct.pack("<IIIII", 0, 0, i * 100, len(packet), len(packet)) + padded)
    return data


def frame(source, target="198.51.100.1", port=80, size=18):
    if ":" in source:
        target = "2001:db8:ffff::1"
    return udp_frame(MAC_A, MAC_B, source, target, 4000, port, bytes(size))


def edge(denied=("203.0.113.0/24",), programs=("deny", "limit"), burst=3, **deny):
    entries = [ipaddress.ip_network(prefix) for prefix in denied]
    return {
        "programs": {
            "deny": {"object": "denylist.bpf.o",
                     "maps": {"denied_v4": [{"key": {"prefixlen": n.prefixlen, "addr": str(n.network_address)},
                                             "value": 1} for n in entries if n.version == 4],
                              "denied_v6": [{"key": {"prefixlen": n.prefixlen, "addr": str(n.network_address)},
                                             "value": 2} for n in entries if n.version == 6]}, **deny},
            "limit": {"object": "ratelimit.bpf.o", "globals": {"rate_pps": 1, "burst": burst}},
        },
        "chains": [{"interfaces": ["eth0"], "hook": "xdp", "counters": "all", "programs": list(programs)}],
    }


class SimulateLab(ServiceLab):
    OBJECTS = [*ServiceLab.OBJECTS, "denylist.bpf.o", "ratelimit.bpf.o", "adjust.bpf.o", "maps.bpf.o"]

    def capture(self, packets, name="x.pcap", **options):
        return self.write(name, capture(packets, **options))

    def explain(self, path, *options, chain="eth0/xdp"):
        return self.client_json("explain", chain, "--pcap", path, *options)

    def simulate(self, path, document, *options, name="edge"):
        result = self.client("apply", "--simulate", path, "-", "--name", name, "--json=short", *options,
                             input=json.dumps(document))
        return json.loads(result.stdout)

    def whole(self):
        """All that a simulation could leave traces in: what runs, its counters, its maps, pins, objects of the
        kernel."""
        maps = {name: self.client_json("map", "dump", *name.split("/"))
                for name in ("deny/denied_v4", "deny/stats", "limit/sources", "limit/stats")}
        return self.snapshot(), self.chain()["packets"], self.chain()["slots"], maps, self.generation


def ways(report):
    """What is told of each packet: verdict, and the verdicts on its way."""
    return [(packet["verdict"], " ".join(f"{step['program']}:{step['verdict']}" for step in packet["steps"]))
            for packet in report["packets"]]


PASS, LIMITED, DENIED = ("pass", "deny:pass limit:pass"), ("drop", "deny:pass limit:drop"), ("drop", "deny:drop")


@case
def the_examples_verdict_by_verdict():
    with SimulateLab() as lab:
        lab.start()
        lab.apply("edge", edge(["203.0.113.0/24", "2001:db8:bad::/48"]))
        packets = ([frame("192.0.2.1")] * 5 + [frame("203.0.113.9"), frame("2001:db8:bad::7"), frame("2001:db8::1"),
                   MAC_B + MAC_A + b"\x88\xcc" + bytes(50), frame("192.0.2.2")])
        report = lab.explain(lab.capture(packets))
        expected = [PASS] * 3 + [LIMITED] * 2 + [DENIED] * 2 + [PASS] * 3
        assert ways(report) == expected, ways(report)
        assert report["verdicts"] == {"drop": 4, "pass": 6}
        assert report["ended-by"] == {"deny": 2, "limit": 8}
        assert report["programs"] == ["deny", "limit"]
        assert [p["number"] for p in report["packets"]] == list(range(1, 11))
        assert [p["usec"] for p in report["packets"]] == [100 * i for i in range(10)]
        assert report["packets"][6]["summary"] == "UDP [2001:db8:bad::7]:4000 > [2001:db8:ffff::1]:80"
        assert [(o["program"], o["map"]) for o in report["omissions"]] == [("deny", "drops")]

        # Each call begins with what the live maps hold; the network has not used up the limit.
        assert ways(lab.explain(lab.capture(packets))) == expected
        # Other formats and other byte orders are the same.
        assert ways(lab.explain(lab.write("ng.pcapng", capture_ng(packets)))) == expected
        assert ways(lab.explain(lab.capture(packets, magic=0xD4C3B2A1))) == expected
        # From standard input.
        piped = lab.inner.run("sh", "-c", f"exec '{CLIENT}' --json=short explain eth0 xdp --pcap - "
                              f"<'{lab.path('x.pcap')}'", env={**os.environ, "BPFCHAIN_SOCKET": lab.daemon.socket})
        assert ways(json.loads(piped.stdout)) == expected


@case
def what_the_live_maps_hold_counts():
    with SimulateLab() as lab:
        lab.start()
        lab.apply("edge", edge(burst=100))
        path = lab.capture([frame("192.0.2.9")] + [frame("198.18.0.1")] * 50)
        assert ways(lab.explain(path)) == [PASS] * 51
        lab.client("map", "set", "deny", "denied_v4", "20000000c0000209", "01000000")
        assert ways(lab.explain(path)) == [DENIED] + [PASS] * 50
        # The live packets use up what the source may send; it gets one more a second.
        lab.receive_exactly(lab.sender(source="198.18.0.1"), lab.receiver(), 150, expected=100)
        found = ways(lab.explain(path))
        assert found[0] == DENIED and found[-1] == LIMITED and found.count(LIMITED) > 25, found


@case
def nothing_live_is_touched():
    with SimulateLab() as lab:
        lab.start()
        lab.apply("edge", edge())
        lab.sender(source="192.0.2.77").send(4)
        before = lab.whole()
        held = lab.held()
        packets = [frame(f"192.0.2.{i % 200}") for i in range(1000)] + [frame("203.0.113.1")] * 50
        path = lab.capture(packets)
        assert len(lab.explain(path)["packets"]) == 1050
        lab.explain(path, "--contents")
        # A planned chain in another order, other contents, another interface, another hook, one that is removed.
        other = edge(["198.18.0.0/15"], ["limit", "deny"])
        other["chains"].append({"interfaces": ["eth0"], "hook": "tc-ingress", "programs": ["pass"]})
        other["programs"]["pass"] = verdict_program("tc-ingress")
        assert len(lab.simulate(path, other)["chains"]) == 2
        lab.simulate(path, {"chains": []})
        assert lab.whole() == before
        assert lab.held() == held, (held, lab.held())
        assert lab.client_json("documents") and lab.order() == ["deny", "limit"]


@case
def a_planned_chain_is_compared_with_the_present_one():
    with SimulateLab() as lab:
        lab.start()
        lab.apply("edge", edge())
        path = lab.capture([frame("192.0.2.1"), frame("203.0.113.9"), frame("198.18.0.1"), frame("192.0.2.2")])
        before = lab.whole()
        # Entries that a document no longer names stay in a map that is kept.
        mended = edge(["198.18.0.0/15"])
        mended["programs"]["deny"]["maps"]["denied_v4"].append({"key": {"prefixlen": 24, "addr": "203.0.113.0"},
                                                                "value": 0})
        for document, numbers in ((edge(["198.18.0.0/15"]), [3]), (mended, [2, 3])):
            report = lab.simulate(path, document)
            (chain,) = report["chains"]
            n = len(numbers)
            assert report["packets"] == 4 and chain["change"] == "replaced"
            assert chain["different"] == {"packets": n, "verdict": n, "contents": 0, "ended-by": n}, chain
            assert [p["number"] for p in chain["packets"]] == numbers
        assert [(p["before"]["verdict"], p["after"]["verdict"], p["after"]["ended-by"])
                for p in chain["packets"]] == [("drop", "pass", "limit"), ("pass", "drop", "deny")]
        assert report["plan"]["dry-run"] is True and report["plan"]["chains"][0]["change"] == "replaced"

        text = lab.client("apply", "--simulate", path, "-", "--name", "edge", input=json.dumps(mended)).stdout
        assert "eth0/xdp: 2 of 4 packets fare differently." in text, text
        assert re.search(r"^ *2 .*203\.0\.113\.9.* drop by deny +pass by limit", text, re.M), text
        assert "Nothing was changed: this was a simulation." in text
        # An order that gives the same verdicts by other programs.
        text = lab.client("plan", "--simulate", path, "-", "--name", "edge",
                          input=json.dumps(edge(programs=["limit", "deny"]))).stdout
        assert "all 4 packets fare as now. 3 get the same verdict from another program" in text, text
        assert lab.whole() == before

        text = lab.client("apply", "--simulate", path, "-", "--name", "other", input='{"chains": []}').stdout
        assert "No chain would change: all packets fare as now." in text, text

        # What was simulated is what comes.
        lab.apply("edge", mended)
        assert [v for v, _ in ways(lab.explain(path))] == ["pass", "pass", "drop", "pass"]


@case
def chains_that_are_not_there_yet():
    with SimulateLab(wires=2) as lab:
        lab.start()
        path = lab.capture([frame("192.0.2.1"), frame("203.0.113.9")])
        document = edge()
        document["chains"][0]["interfaces"] = ["eth0", "eth1", "later0"]
        report = lab.simulate(path, document)
        assert [(c["interface"], c["change"], c["before"]) for c in report["chains"]] == [
            ("eth0", "attached", None), ("eth1", "attached", None), ("later0", "waiting", None)]
        for chain in report["chains"]:
            assert chain["after"]["verdicts"] == {"drop": 1, "pass": 1}
            assert chain["different"] == {"packets": 1, "verdict": 1, "contents": 0, "ended-by": 0}
            assert chain["packets"][0]["before"] == {"verdict": "pass", "size": len(frame("192.0.2.1")), "steps": []}
        (chain,) = lab.simulate(path, document, "--chain", "eth1/xdp")["chains"]
        assert chain["interface"] == "eth1"
        assert "there is no chain \"eth7/xdp\"" in lab.client(
            "apply", "--simulate", path, "--chain", "eth7/xdp", "-", "--name", "x", input=json.dumps(document),
            status=1).stderr
        assert lab.chains() == {} and not lab.pins()
        # One that goes: its packets pass from then on.
        lab.apply("edge", edge())
        (chain,) = lab.simulate(path, {"chains": []})["chains"]
        assert chain["change"] == "removed" and chain["after"] is None
        assert chain["packets"][0]["after"]["verdict"] == "pass"


@case
def after_a_restart():
    with SimulateLab() as lab:
        lab.start()
        lab.apply("edge", edge())
        lab.client("map", "set", "deny", "denied_v4", "20000000c0000209", "01000000")
        path = lab.capture([frame("192.0.2.1")] * 4 + [frame("203.0.113.9"), frame("192.0.2.9")])
        expected = [PASS] * 3 + [LIMITED] + [DENIED] * 2
        assert ways(lab.explain(path)) == expected
        ids = lab.ids()
        for crash in (True, False):
            lab.restart(crash=crash)
            # The object's file may be gone: the service kept a copy.
            if crash:
                os.unlink(lab.path("etc/bpfchain/objects/denylist.bpf.o"))
            states = {p["name"]: p["state"] for p in lab.client_json("programs")}
            assert set(states.values()) == {"adopted"}, states
            assert ways(lab.explain(path)) == expected
            (chain,) = lab.simulate(path, edge(["203.0.113.0/24", "192.0.2.1/32"]))["chains"]
            assert chain["different"]["verdict"] == 3, chain["different"]
            assert [p["number"] for p in chain["packets"]] == [1, 2, 3, 4]
            assert {p["name"]: p["state"] for p in lab.client_json("programs")} == states
            assert lab.ids() == ids


@case
def changed_packets_are_told():
    with SimulateLab() as lab:
        lab.start()
        lab.apply("tags", {
            "programs": {"push": {"object": "adjust.bpf.o", "function": "xdp_adjust_push"},
                         "look": verdict_program("xdp"),
                         "pop": {"object": "adjust.bpf.o", "function": "xdp_adjust_pop"}},
            "chains": [{"interfaces": ["eth0"], "hook": "xdp", "programs": ["push", "look", "pop"]}]})
        packet = frame("192.0.2.1")
        path = lab.capture([packet])
        (told,) = lab.explain(path, "--contents")["packets"]
        push, look, pop = told["steps"]
        tagged = packet[:12] + b"\x81\0\0\x64" + packet[12:]
        assert push == {"program": "push", "verdict": "pass", "changed": True, "size": len(tagged),
                        "packet": tagged.hex()}
        assert look == {"program": "look", "verdict": "pass"}
        assert pop["changed"] and pop["packet"] == packet.hex() and told["size"] == len(packet)
        text = lab.client("explain", "eth0", "xdp", "--pcap", path, "--contents").stdout
        assert f"push pass (changed, {len(tagged)} bytes)" in text and "Packet 1 as push left it" in text, text
        assert "  0000  02 00 00 00 00 02" in text and "0010  " in text

        # Without the tag's removal the packet ends with other contents.
        (chain,) = lab.simulate(path, {
            "programs": {"push": {"object": "adjust.bpf.o", "function": "xdp_adjust_push"},
                         "look": verdict_program("xdp")},
            "chains": [{"interfaces": ["eth0"], "hook": "xdp", "programs": ["push", "look"]}]}, name="tags")["chains"]
        assert chain["different"] == {"packets": 1, "verdict": 0, "contents": 1, "ended-by": 1}
        assert chain["packets"][0]["differs"] == ["contents", "ended-by"]


@case
def tc_and_odd_verdicts():
    with SimulateLab() as lab:
        lab.start()
        lab.apply("odd", {
            "programs": {"odd": verdict_program("xdp", 77), "tx": verdict_program("xdp", xdp("tx")),
                         "t": verdict_program("tc-ingress", 2)},
            "chains": [{"interfaces": ["eth0"], "hook": "xdp",
                        "programs": [{"use": "tx", "proceed-on": ["tx"]}, "odd"]},
                       {"interfaces": ["eth0"], "hook": "tc-ingress", "programs": ["t"]},
                       {"interfaces": ["eth0"], "hook": "tc-egress", "programs": ["t"]}]})
        path = lab.capture([frame("192.0.2.1"), MAC_A + MAC_B + b"\x08\0" + bytes(10), MAC_A + MAC_B + b"\x88\xcc"])
        report = lab.explain(path)
        assert [p["verdict"] for p in report["packets"]] == ["other"] * 3
        assert report["packets"][0]["steps"] == [{"program": "tx", "verdict": "tx"},
                                                 {"program": "odd", "verdict": "other", "value": 77}]
        for hook in ("tc-ingress", "tc-egress"):
            report = lab.explain(path, chain=f"eth0/{hook}")
            assert report["packets"][0]["verdict"] == report["packets"][2]["verdict"] == "shot"
            # The kernel takes no IPv4 packet without a whole header there; the others are run all the same.
            assert "too short" in report["packets"][1]["refused"] and report["refused"] == 1
        assert "refused" in lab.client("explain", "eth0", "ingress", "--pcap", path).stdout


@case
def hostile_captures():
    with SimulateLab() as lab:
        lab.start()
        lab.apply("edge", edge())
        good, head = capture([frame("192.0.2.1")]), capture([])

        def explain(data, status, *options):
            lab.write("bad.pcap", data)
            result = lab.client("explain", "eth0", "xdp", "--pcap", lab.path("bad.pcap"), *options, status=status)
            return result.stdout + result.stderr

        assert "it is empty" in explain(b"", 1)
        assert "no capture that can be read" in explain(os.urandom(4000), 1)
        assert "no capture that can be read" in explain(head[:23], 1)
        assert "there is no packet in it" in explain(head, 1)
        assert "is compressed" in explain(b"\x1f\x8b\x08" + bytes(100), 1)
        assert "(LINUX_SLL)" in explain(capture([bytes(80)], link=113), 1)
        assert "(RAW)" in explain(capture([bytes(80)], link=101), 1)
        # Lengths that no packet has.
        for size in (262145, 0x7FFFFFFF, 0xFFFFFFFF):
            text = explain(good + struct.pack("<IIII", 1, 0, size, size) + bytes(64), 0)
            assert "can't be read behind packet 1" in text and "1 packet through eth0/xdp" in text, text
            assert "can't be read behind packet 0" in explain(head + struct.pack("<IIII", 1, 0, size, size), 1)
        assert "1 packet through eth0/xdp: pass 1." in explain(good + good[24:60], 0)
        # Packets of no bytes, and of more than the kernel takes.
        text = explain(capture([b"", frame("192.0.2.1"), bytes(13), bytes(SIZE_MAX), bytes(SIZE_MAX + 1),
                                bytes(65535)]), 0)
        assert "2 packets through eth0/xdp" in text and "2 packets left out: longer than the 3520" in text, text
        assert "2 packets left out: shorter than an Ethernet header" in text
        assert "1 packet cut short by the capture" in explain(capture([frame("192.0.2.1", size=400)], snap=60), 0)
        # A length on the wire that is less than what was captured.
        assert "1 packet through" in explain(head + struct.pack("<IIII", 1, 0, 60, 1) + frame("192.0.2.1")[:60], 0)
        assert lab.order() == ["deny", "limit"]


@case
def a_million_packets():
    with SimulateLab() as lab:
        lab.start()
        lab.apply("edge", edge())
        record = capture([frame("192.0.2.1")])[24:]
        other = capture([frame("192.0.2.1", port=443)])[24:]
        path = lab.write("big.pcap", capture([]) + record * 10**6 + other)
        result = lab.client("explain", "eth0", "xdp", "--pcap", path, status=1)
        assert "more than 16384 packets" in result.stderr and "--packet, --filter or --limit" in result.stderr
        report = lab.explain(path, "--limit", PACKETS_MAX)
        assert len(report["packets"]) == PACKETS_MAX
        last = lab.explain(path, "--packet", "999999-")["packets"]
        assert [p["number"] for p in last] == [999999, 1000000, 1000001]
        assert [p["number"] for p in lab.explain(path, "--filter", "udp port 443")["packets"]] == [1000001]
        assert "There are more packets in the file than --limit lets through." in lab.client(
            "explain", "eth0", "xdp", "--pcap", path, "--limit", "5").stdout


@case
def sixty_four_programs():
    with SimulateLab() as lab:
        lab.start()
        names = [f"p{i}" for i in range(64)]
        lab.apply("long", {"programs": {name: verdict_program("xdp") for name in names},
                           "chains": [{"interfaces": ["eth0"], "hook": "xdp", "programs": names}]})
        report = lab.explain(lab.capture([frame("192.0.2.1")] * 4096))
        assert all(len(packet["steps"]) == 64 for packet in report["packets"])
        assert report["ended-by"] == {"p63": 4096}
        # Each program saw each packet, in the copies; the live maps were not counted in.
        assert lab.hits("p0") == lab.hits("p63") == 0
        print(f"# 4096 packets through 64 programs: prepared in {report['prepare-usec'] / 1000:.1f} ms, "
              f"run in {report['run-usec'] / 1000:.1f} ms")
        # Names of 64 bytes make more report than a message may have.
        names = ["n" * 61 + f"{i:03}" for i in range(64)]
        lab.apply("long", {"programs": {name: verdict_program("xdp") for name in names},
                           "chains": [{"interfaces": ["eth0"], "hook": "xdp", "programs": names}]})
        path = lab.capture([frame("192.0.2.1")] * PACKETS_MAX)
        assert "has more than 25165824 bytes already" in lab.client(
            "explain", "eth0/xdp", "--pcap", path, status=1).stderr
        text = lab.client("explain", "eth0/xdp", "--pcap", path, "--packet", "3").stdout
        assert "p63 pass" not in text and names[63] + " pass" in text


@case
def wrong_usage():
    with SimulateLab() as lab:
        lab.start()
        lab.apply("edge", edge())
        path = lab.capture([frame("192.0.2.1")])
        for arguments, words in ((["explain", "eth0", "xdp"], "--pcap FILE"),
                                 (["explain", "eth0"], "A hook is wanted"),
                                 (["explain", "eth0/xdp", "more", "--pcap", path], "too much"),
                                 (["explain", "eth0/xdp", "--pcap", path, "--packet", "3-2"], "--packet wants"),
                                 (["explain", "eth0/xdp", "--pcap", path, "--limit", "0"], "--limit wants"),
                                 (["explain", "eth0/xdp", "--pcap", path, "--limit", "16385"], "takes 16384 packets"),
                                 (["explain", "eth0/xdp", "--pcap", path, "--filter", "hos"], "--filter \"hos\""),
                                 (["apply", "--simulate", "-", "-"], "not both")):
            result = lab.client(*arguments, status=2)
            assert words in result.stderr, result.stderr
        assert "No document asks for a chain" in lab.client("explain", "eth1/xdp", "--pcap", path, status=1).stderr
        assert "No such file" in lab.client("explain", "eth0/xdp", "--pcap", "/nowhere", status=1).stderr
        lab.client("detach", "eth0", "xdp")
        assert "Nothing runs on eth0/xdp" in lab.client("explain", "eth0/xdp", "--pcap", path, status=1).stderr


require_built()
run_cases()
