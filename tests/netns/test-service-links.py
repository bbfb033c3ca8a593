# SPDX-License-Identifier: LGPL-2.1-or-later
"""Chains follow interfaces: that come late, go, come back, are renamed, get another index or alternative names, of
whatever kind, and also when the kernel could not tell of all changes."""

import contextlib
import fcntl
import os
import random
import signal
import struct
import time

from bpfchain_test import Skip, Wire, case, eventually, require_built, run_cases, udp_frame
from service_lab import ServiceLab, simple_document, verdict_program

MANY = 64
TUNSETIFF = 0x400454CA
IFF_TUN, IFF_TAP, IFF_NO_PI = 1, 2, 0x1000


def names_of(lab, hook="xdp", state="active"):
    return {name for (name, at), chain in lab.chains().items() if at == hook and chain["state"] == state}


def wait_names(lab, expected, hook="xdp"):
    def come():
        present = names_of(lab, hook)
        assert present == set(expected), (
            f"chains are missing on {sorted(set(expected) - present)}, and too many on {sorted(present - set(expected))}")
        return True
    eventually(come)


def make_pairs(lab, names):
    """veth pairs whose first end is inside."""
    lab.inner.ip_batch([f"link add {name} type veth peer name p-{name}" for name in names])


def remove(lab, names):
    lab.inner.ip_batch([f"link del {name}" for name in names])


@case
def an_interface_that_comes_later():
    with ServiceLab() as lab:
        lab.document("edge", simple_document(interfaces=("eth0", "late")))
        lab.start()
        chain = lab.wait_chain("late", state="waiting")
        assert chain["interface-index"] == 0 and chain["link-id"] == 0, chain
        assert "late" in lab.client("status").stdout
        wire = Wire(lab.inner, lab.outer, "late")
        assert lab.wait_chain("late")["interface-index"] == lab.inner.link("late")["ifindex"]
        sender, receiver = lab.sender(wire), lab.receiver()
        lab.receive_exactly(sender, receiver)
        assert lab.slot("a", "late")["packets"] == 20
        lab.inner.ip("link", "del", "late")
        lab.wait_chain("late", state="waiting")
        assert lab.chain("eth0")["state"] == "active"


@case
def sixty_four_interfaces_come_and_go():
    with ServiceLab() as lab:
        chance = random.Random(2)
        lab.document("edge", {
            "programs": {"x": verdict_program("xdp"), "t": verdict_program("tc-ingress")},
            "chains": [{"interfaces": ["w*"], "hook": "xdp", "programs": ["x"]},
                       {"interfaces": ["w*"], "hook": "tc-ingress", "programs": ["t"]}]})
        lab.start()
        names = {f"w{i}" for i in range(MANY)}
        make_pairs(lab, names)
        wait_names(lab, names)
        wait_names(lab, names, "tc-ingress")
        links = {chain["link-id"] for chain in lab.chains().values()}
        assert len(links) == 2 * MANY, "links are shared"

        for round_number in range(4):
            gone = set(chance.sample(sorted(names), len(names) // 2))
            fresh = {f"w{round_number}x{i}" for i in range(MANY - len(names) + len(gone))}
            remove(lab, gone)
            make_pairs(lab, fresh)
            names = names - gone | fresh
            renamed = chance.sample(sorted(names), 4)
            lab.inner.ip_batch([f"link set dev {name} name r{name}" for name in renamed])
            names -= set(renamed)
            wait_names(lab, names)
            wait_names(lab, names, "tc-ingress")
        assert len(lab.chains()) == 2 * len(names)
        for name in sorted(names)[:5]:
            assert lab.attached(name) == ("native", lab.chain(name)["program-id"])
        for name in renamed:
            assert lab.attached("r" + name) is None, f"a chain stayed on r{name}, which nobody asked for"
        remove(lab, names)
        wait_names(lab, [])
        # Of interfaces that are gone nothing is kept, but for the maps of the two programs.
        assert not [pin for pin in lab.pins() if "if" in os.path.basename(pin)], lab.pins()


@case
def names_that_are_swapped():
    with ServiceLab(wires=2) as lab:
        lab.document("edge", simple_document(interfaces=("eth0",)))
        lab.document("other", simple_document(interfaces=("eth1",), name="b"))
        lab.start()
        first, second = lab.ids("eth0"), lab.ids("eth1")
        # At once for the service: else it would take the chain off the interface while it is called tmp.
        os.kill(lab.daemon.pid, signal.SIGSTOP)
        lab.inner.ip_batch(["link set dev eth0 name tmp", "link set dev eth1 name eth0", "link set dev tmp name eth1"])
        os.kill(lab.daemon.pid, signal.SIGCONT)

        def swapped():
            assert lab.order("eth0") == ["a"] and lab.order("eth1") == ["b"]
            # Each interface runs what its new name asks for, on the link that it had.
            return (lab.ids("eth0")[0], lab.ids("eth1")[0]) == (second[0], first[0])
        eventually(swapped)
        sender, receiver = lab.sender(lab.wires[0]), lab.receiver()
        lab.receive_exactly(sender, receiver, 10)
        assert lab.chain("eth1")["packets"] == 10, "eth1 is what was eth0"


@case
def an_interface_that_gets_another_index():
    with ServiceLab() as lab:
        lab.document("edge", simple_document())
        lab.start()
        index = lab.chain()["interface-index"]
        # Behind the service's back, so that it learns of the new one first or at once.
        os.kill(lab.daemon.pid, signal.SIGSTOP)
        lab.inner.ip("link", "del", "eth0")
        lab.inner.ip("link", "add", "eth0", "index", "777", "type", "veth", "peer", "name", "peer0")
        os.kill(lab.daemon.pid, signal.SIGCONT)
        eventually(lambda: lab.chain()["interface-index"] == 777 != index)
        assert lab.wait_chain()["program-id"] == lab.attached("eth0")[1]
        # The other way: it leaves for another namespace, and comes back with its links.
        lab.inner.run("ip", "link", "set", "eth0", "netns", lab.outer.path, pass_fds=(lab.outer.fd,))
        lab.wait_chain(state="waiting")
        lab.outer.run("ip", "link", "set", "eth0", "netns", lab.inner.path, pass_fds=(lab.inner.fd,))
        lab.wait_chain()
        assert lab.attached("eth0")[1] == lab.chain()["program-id"]


@case
def alternative_names():
    with ServiceLab() as lab:
        lab.document("edge", simple_document(interfaces=("uplink",)))
        lab.document("long", simple_document("tc-ingress", interfaces=("the-cable-to-the-building-*",), name="b"))
        lab.start()
        assert ("eth0", "xdp") not in lab.chains()
        lab.inner.ip("link", "property", "add", "dev", "eth0", "altname", "uplink")
        lab.inner.ip("link", "property", "add", "dev", "eth0", "altname", "the-cable-to-the-building-next-door")
        lab.wait_chain("eth0")
        lab.wait_chain("eth0", "tc-ingress")
        lab.wait_no_chain("uplink")
        interface = next(i for i in lab.status()["interfaces"] if i["name"] == "eth0")
        assert sorted(interface["alternative-names"]) == ["the-cable-to-the-building-next-door", "uplink"]
        lab.inner.ip("link", "property", "del", "dev", "eth0", "altname", "uplink")
        lab.wait_no_chain("eth0")
        lab.wait_chain("uplink", state="waiting")
        assert lab.attached("eth0") is None


@case
def up_and_down_do_not_matter():
    with ServiceLab() as lab:
        lab.document("edge", simple_document())
        lab.start()
        before = lab.ids()
        for _ in range(3):
            lab.inner.ip("link", "set", "eth0", "down")
            eventually(lambda: not next(i for i in lab.status()["interfaces"])["up"])
            lab.inner.ip("link", "set", "eth0", "up")
            eventually(lambda: next(i for i in lab.status()["interfaces"])["up"])
        assert lab.ids() == before
        lab.inner.ip("neigh", "replace", lab.wire.outer_address, "lladdr", lab.wire.outer_mac.hex(":"), "dev", "eth0")
        lab.receive_exactly(lab.sender(), lab.receiver())


def overruns(lab):
    """How many messages the kernel could not hand to the service's sockets."""
    lines = lab.proc("net/netlink").splitlines()
    columns = lines[0].split()
    rows = [dict(zip(columns, line.split())) for line in lines[1:]]
    held = set()
    for fd in os.listdir(f"/proc/{lab.daemon.pid}/fd"):
        with contextlib.suppress(FileNotFoundError):  # closed in between
            held.add(os.readlink(f"/proc/{lab.daemon.pid}/fd/{fd}"))
    return sum(int(row["Drops"]) for row in rows if f"socket:[{row['Inode']}]" in held)


@case
def events_that_were_lost():
    with ServiceLab() as lab:
        lab.write("etc/bpfchain/bpfchain.json", {"netlink-receive-buffer": 4096})
        lab.document("edge", simple_document(interfaces=("w*",)))
        lab.start()
        names = {f"w{i}" for i in range(MANY)}
        make_pairs(lab, names)
        wait_names(lab, names)
        for round_number in range(3):
            before = overruns(lab)
            # It can't read while the kernel tells of everything at once.
            os.kill(lab.daemon.pid, signal.SIGSTOP)
            gone, fresh = set(sorted(names)[::3]), {f"w{round_number}y{i}" for i in range(20)}
            remove(lab, gone)
            make_pairs(lab, fresh)
            names = names - gone | fresh
            lab.inner.ip_batch([f"link set {name} {state}" for name in names for state in ("up", "down")])
            os.kill(lab.daemon.pid, signal.SIGCONT)
            wait_names(lab, names)
            assert overruns(lab) > before, "nothing was lost, so this shows nothing"
        known = {interface["name"] for interface in lab.client_json("interfaces")}
        assert known == {link["ifname"] for link in lab.links()}, "the service knows other interfaces than ip(8)"
        remove(lab, names)
        wait_names(lab, [])


@case
def a_storm_while_it_reads():
    """Here the service reads while events come faster than it can take them in."""
    with ServiceLab() as lab:
        lab.write("etc/bpfchain/bpfchain.json", {"netlink-receive-buffer": 4096})
        lab.document("edge", simple_document(interfaces=("s1*",)))
        lab.start()
        make_pairs(lab, {f"s{i}" for i in range(20)})
        for _ in range(5):
            lab.inner.ip_batch([f"link set s{i} {state}" for i in range(20) for state in ("up", "down", "mtu 1400")]
                               + [f"link set dev s{i} name t{i}" for i in range(20)]
                               + [f"link set dev t{i} name s{i}" for i in range(20)])
        wait_names(lab, {"s1"} | {f"s{i}" for i in range(10, 20)})
        time.sleep(0.2)
        assert {i["name"] for i in lab.client_json("interfaces")} == {link["ifname"] for link in lab.links()}


# --- kinds of interfaces -----------------------------------------------------------------------------------------


def add_link(namespace, *arguments):
    """ip link add; kernels without the kind skip the case."""
    result = namespace.ip("link", "add", *arguments, check=False)
    if result.returncode != 0:
        kind = arguments[arguments.index("type") + 1]
        raise Skip(f"this kernel makes no {kind} interfaces: {result.stderr.strip()}")


def both_hooks(interface):
    return {"programs": {"x": verdict_program("xdp"), "t": verdict_program("tc-ingress")},
            "chains": [{"interfaces": [interface], "hook": "xdp", "programs": ["x"]},
                       {"interfaces": [interface], "hook": "tc-ingress", "programs": ["t"]}]}


def count_both(lab, interface, send, count=25):
    before = lab.slot("x", interface)["ended"], lab.slot("t", interface, "tc-ingress")["ended"]
    send(count)
    after = lab.slot("x", interface)["ended"], lab.slot("t", interface, "tc-ingress")["ended"]
    seen = after[0] - before[0], after[1] - before[1]
    assert seen == (count, count), f"of {count} packets, XDP saw {seen[0]} and TC {seen[1]}"


@case
def a_bridge_has_generic_xdp():
    with ServiceLab() as lab:
        add_link(lab.inner, "br0", "address", lab.wire.inner_mac.hex(":"), "type", "bridge")
        lab.inner.ip_batch(["link set eth0 master br0", "link set br0 up", "addr flush dev eth0",
                            f"addr add {lab.wire.inner_address}/24 dev br0"])
        lab.document("edge", both_hooks("br0"))
        lab.start()
        assert lab.chain("br0")["mode"] == "generic" and lab.attached("br0")[0] == "generic"
        receiver = lab.receiver()
        count_both(lab, "br0", lab.sender().send)
        assert len(receiver.take(25)) == 25


@case
def a_vlan():
    with ServiceLab() as lab:
        for namespace, name in ((lab.inner, "eth0"), (lab.outer, lab.wire.outer_name)):
            add_link(namespace, "link", name, "name", "v5", "type", "vlan", "id", "5")
            namespace.ip("link", "set", "v5", "up")
        lab.document("edge", both_hooks("v5"))
        lab.start()
        assert lab.chain("v5")["mode"] == "generic"
        wire = lab.wire
        wire.outer_name, wire.inner_name = "v5", "v5"
        count_both(lab, "v5", lab.sender(wire).send)


@case
def a_bond():
    with ServiceLab() as lab:
        add_link(lab.inner, "bond0", "type", "bond", "mode", "active-backup")
        lab.inner.ip_batch(["link set eth0 down", "link set eth0 master bond0",
                            f"link set bond0 address {lab.wire.inner_mac.hex(':')}", "link set bond0 up"])
        lab.document("edge", both_hooks("bond0"))
        lab.start()
        lab.wait_chain("bond0")
        count_both(lab, "bond0", lab.sender().send)


class Tap:
    """A tun or tap device; frames that are written arrive on it."""

    def __init__(self, namespace, name, flags):
        if not os.path.exists("/dev/net/tun"):
            raise Skip("there is no /dev/net/tun")
        with namespace.entered():
            self.fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            fcntl.ioctl(self.fd, TUNSETIFF, struct.pack("16sH14x", name.encode(), flags | IFF_NO_PI))
        namespace.ip("link", "set", name, "up")

    def send(self, packet, count):
        for _ in range(count):
            os.write(self.fd, packet)

    def close(self):
        os.close(self.fd)


@case
def a_tap_device():
    with ServiceLab() as lab:
        tap = Tap(lab.inner, "tap0", IFF_TAP)
        lab.document("edge", both_hooks("tap0"))
        lab.start()
        assert lab.wait_chain("tap0")["mode"] == "native"
        mac = bytes.fromhex(lab.inner.link("tap0")["address"].replace(":", ""))
        frame = udp_frame(bytes(6), mac, "10.99.0.2", "10.99.0.1", 1, 2, b"12345678")
        count_both(lab, "tap0", lambda count: tap.send(frame, count))
        tap.close()
        lab.wait_chain("tap0", state="waiting")


@case
def a_tun_device():
    """It has no Ethernet header, and goes with the process that made it."""
    with ServiceLab() as lab:
        tun = Tap(lab.inner, "tun0", IFF_TUN)
        lab.document("edge", both_hooks("tun0"))
        lab.start()
        lab.wait_chain("tun0")
        packet = udp_frame(bytes(6), bytes(6), "10.99.0.2", "10.99.0.1", 1, 2, b"12345678")[14:]
        before = lab.slot("t", "tun0", "tc-ingress")["ended"]
        tun.send(packet, 25)
        assert lab.slot("t", "tun0", "tc-ingress")["ended"] - before == 25
        tun.close()
        lab.wait_chain("tun0", "tc-ingress", state="waiting")


require_built()
run_cases()
