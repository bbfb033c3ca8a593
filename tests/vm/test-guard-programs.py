#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The guard's programs in the kernel by themselves: that they stay when the service ends and know the next one, the
ways out, and what no common tool tries: groups of interfaces, namespaces by number, requests that are too long, maps
through programs."""

import atexit
import ctypes
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile

from bpfchain_test import case, eventually, run_cases
from guard_lab import FOE, OUR_PINS, SETTINGS, Arena, say
from vm_lab import DAEMON, UNIT, command, show, systemctl

RELEASE = "bpfchain-guard-release.service"
GUARD_PINS = f"{OUR_PINS}/guard"
PYTHON = os.path.realpath(sys.executable)

RTM_NEWLINK, RTM_DELLINK, RTM_SETLINK = 16, 17, 19
IFLA_IFNAME, IFLA_NET_NS_PID, IFLA_GROUP, IFLA_XDP, IFLA_TARGET_NETNSID = 3, 19, 27, 43, 46
NLM_F_REQUEST, NLM_F_ACK = 1, 4
BPF_MAP_UPDATE_ELEM, BPF_PROG_LOAD, BPF_MAP_GET_FD_BY_ID = 2, 5, 14
BPF_F_RDONLY = 1 << 3
SYS_BPF = 321


def guard_programs():
    programs = json.loads(command("bpftool", "--json", "prog", "show").stdout)
    return [program for program in programs if re.match("(lsm|mod)_", program.get("name", ""))]


def programs_of_guard():
    """Ids of the guard's own programs, which change when they are loaded anew."""
    return sorted(program["id"] for program in guard_programs())


def technique():
    with open("/sys/kernel/security/lsm", encoding="ascii") as file:
        return "lsm" if "bpf" in file.read().strip().split(",") else "fmod_ret"


# Netlink, as a foreign process of its own: this very script, called with a request

def attribute(number, data):
    return struct.pack("=HH", 4 + len(data), number) + data + bytes(-len(data) % 4)


def message(number, ifindex, attributes=b"", flags=0):
    body = struct.pack("=BxHiII", socket.AF_UNSPEC, 0, ifindex, 0, 0) + attributes
    return struct.pack("=IHHII", 16 + len(body), number, NLM_F_REQUEST | NLM_F_ACK | flags, 1, 0) + body


def send(request):
    """The error number that the kernel answers with to the last message; that of sendto() itself comes first."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as link:
        link.setsockopt(socket.SOL_SOCKET, 32, 16 << 20)  # SO_SNDBUFFORCE
        try:
            link.sendto(request, (0, 0))
        except OSError as error:
            return error.errno
        return -struct.unpack("=i", link.recv(65536)[16:20])[0]


def xdp_off():
    return attribute(IFLA_XDP | 0x8000, attribute(1, struct.pack("=i", -1)))


def foreign_request(arena, request, namespace=None):
    """Sent by another process. Gives its Done, and the error number."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(request)
        file.flush()
        done = arena.foreign(PYTHON, os.path.abspath(__file__), "--send", file.name, namespace=namespace)
    assert done.status == 0, str(done)
    return done, int(done.output.split()[-1])


def refused(arena, request, what, rule, namespace=None):
    mark = arena.mark()
    done, error = foreign_request(arena, request, namespace)
    assert error == 1, f"the answer is {os.strerror(error)}, not EPERM"
    event = arena.wait_event(mark, lambda e: e["verdict"] == "refused" and e["who"].get("pid") == done.pid, what)
    assert event["what"] == what and event["rule"] == rule, say(event)
    return event


def let(arena, request, namespace=None):
    """Whatever the kernel makes of it: the guard has nothing against it."""
    mark = arena.mark()
    done, error = foreign_request(arena, request, namespace)
    told = [event for event in arena.fresh(mark) if event["who"].get("pid") == done.pid]
    assert not told, say(told[0])
    return error


# bpf(2)

def bpf(number, attributes):
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(attributes + bytes(128 - len(attributes)), 128)
    result = libc.syscall(SYS_BPF, number, buffer, 128)
    return result if result >= 0 else -ctypes.get_errno()


def write_through_program(map_id):
    """A descriptor to read the map with, and a program that would write to it: what comes of loading that."""
    fd = bpf(BPF_MAP_GET_FD_BY_ID, struct.pack("=III", map_id, 0, BPF_F_RDONLY))
    if fd < 0:
        return "open", -fd
    code = struct.pack("=BBhi", 0x18, 0x11, 0, fd) + struct.pack("=BBhi", 0, 0, 0, 0)  # r1 = map
    code += struct.pack("=BBhi", 0xb7, 0, 0, 2) + struct.pack("=BBhi", 0x95, 0, 0, 0)  # r0 = 2; exit
    insns, license_text = ctypes.create_string_buffer(code, len(code)), ctypes.create_string_buffer(b"GPL")
    result = bpf(BPF_PROG_LOAD, struct.pack("=IIQQIIQI", 6, len(code) // 8, ctypes.addressof(insns),
                                            ctypes.addressof(license_text), 0, 0, 0, 0))
    return "load", max(-result, 0)


# Cases

class Shared:
    """One arena with the guard enforcing, for one case after the other, which leave it as it was; a new one where a
    case went wrong."""

    arena = None

    def __enter__(self):
        if Shared.arena is None:
            Shared.arena = Arena(mode="enforce").__enter__()
        return Shared.arena

    def __exit__(self, kind, *_):
        if kind:
            Shared.leave()

    @classmethod
    def leave(cls):
        arena, cls.arena = cls.arena, None
        if arena:
            arena.__exit__(None, None, None)


@case
def they_are_there_and_called():
    with Shared() as arena:
        state = arena.get_all()
        assert state["Technique"] == technique(), state["Technique"]
        assert state["Pinned"], state["Reason"]
        assert bool(state["Reason"]) == (technique() != "lsm"), state["Reason"]
        assert len(programs_of_guard()) >= 10
        assert arena.foreign("bpftool", "link", "detach", "id", arena.identity()[0]).status != 0
        arena.packets_pass()


@case
def modes_change_without_a_gap():
    with Shared() as arena:
        before = programs_of_guard()
        arena.configure(mode="observe")
        mark = arena.mark()
        done = arena.foe("netlink", 0, arena.ifindex(), "xdp-off")
        arena.wait_event(mark, lambda e: e["verdict"] == "would-refuse" and e["who"].get("pid") == done.pid,
                         "would-refuse")
        arena.configure(mode="enforce")
        assert programs_of_guard() == before, "the programs were loaded anew"
        arena.configure(mode="off")
        eventually(lambda: not programs_of_guard())
        assert not os.path.exists(GUARD_PINS) or not os.listdir(GUARD_PINS)
        arena.configure(mode="enforce")


@case
def they_outlive_the_service():
    with Shared() as arena:
        before, link = programs_of_guard(), arena.identity()[0]
        refusals = arena.get_all()["Counters"]["links"]["refused"]
        systemctl("stop", UNIT)
        done = arena.foe("link-detach", link)
        assert done.status != 0 and "not permitted" in done.output, str(done)
        assert arena.foreign("rm", arena.pin()).status != 0
        systemctl("start", UNIT)
        eventually(lambda: arena.get("Mode") == "enforce")
        assert programs_of_guard() == before, "the programs were loaded anew"
        assert arena.identity()[0] == link
        assert arena.get_all()["Counters"]["links"]["refused"] == refusals + 1
        # What came while there was no service is told by the next one.
        event = eventually(lambda: next((e for e in arena.events() if e["who"].get("pid") == done.pid), None))
        assert event["verdict"] == "refused" and event["who"]["executable"] == FOE, say(event)
        assert arena.foe("link-detach", link).status != 0


@case
def they_outlive_a_crash():
    with Shared() as arena:
        before, link = programs_of_guard(), arena.identity()[0]
        systemctl("kill", "--signal=KILL", "--kill-whom=main", UNIT)
        assert arena.foe("link-detach", link).status != 0
        eventually(lambda: show(UNIT, "ActiveState") == "active" and arena.get("Mode") == "enforce", timeout=30)
        assert programs_of_guard() == before
        assert arena.identity()[0] == link
        arena.packets_pass()


@case
def a_service_that_systemd_did_not_start_is_a_stranger():
    with Shared() as arena:
        systemctl("stop", UNIT)
        root = tempfile.mkdtemp(prefix="bct-")
        try:
            os.makedirs(f"{root}/etc/bpfchain")
            shutil.copy(SETTINGS, f"{root}/etc/bpfchain")
            with subprocess.Popen([DAEMON, f"--root={root}", f"--socket={root}/private", "--bus=none"],
                                  stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
                try:
                    said = ""
                    while "stranger" not in said:
                        line = process.stderr.readline()
                        assert line, f"it ended, and said only {said}"
                        said += line
                finally:
                    process.terminate()
            assert RELEASE in said, said
        finally:
            shutil.rmtree(root)
        systemctl("start", UNIT)
        eventually(lambda: arena.get("Mode") == "enforce")


@case
def the_way_out():
    with Shared() as arena:
        link = arena.identity()[0]
        by_hand = arena.foreign(DAEMON, "--release-guard")
        assert by_hand.status != 0 and RELEASE in by_hand.output, str(by_hand)
        assert programs_of_guard()
        systemctl("start", RELEASE)
        assert show(RELEASE, "Result") == "success"
        assert show(UNIT, "ActiveState") == "inactive"
        assert not os.path.exists(GUARD_PINS), "there are pins"
        eventually(lambda: not programs_of_guard())
        assert arena.foe("link-detach", link).status == 0, "it is still refused"
        systemctl("start", UNIT)
        eventually(lambda: arena.get("Mode") == "enforce")
        arena.whole()


@case
def groups_of_interfaces():
    with Shared() as arena:
        group = attribute(IFLA_GROUP, struct.pack("=I", 77))
        event = refused(arena, message(RTM_DELLINK, 0, group), "interface-delete", "interfaces")
        assert not event.get("interface"), say(event)
        refused(arena, message(RTM_NEWLINK, 0, group + xdp_off()), "detach", "netlink")
        # New interfaces get a group, and others are put into one.
        assert arena.foreign("ip", "link", "add", "bct-dummy", "group", "77", "type", "dummy").status == 0
        assert arena.foreign("ip", "link", "set", "bct-dummy", "group", "78").status == 0
        assert arena.foreign("ip", "link", "del", "bct-dummy").status == 0


@case
def other_namespaces():
    with Shared() as arena:
        index, netnsid = arena.ifindex(), attribute(IFLA_TARGET_NETNSID, struct.pack("=i", 0))
        outer = arena.host.outer
        # There, the number is another interface's, or none's.
        let(arena, message(RTM_SETLINK, index, xdp_off()), namespace=outer)
        let(arena, message(RTM_SETLINK, 0, attribute(IFLA_IFNAME, b"eth0\0") + xdp_off()), namespace=outer)
        # Unless it says that ours is meant.
        refused(arena, message(RTM_DELLINK, index, netnsid), "interface-delete", "interfaces", namespace=outer)
        refused(arena, message(RTM_SETLINK, index, netnsid), "interface-move", "interfaces")
        refused(arena, message(RTM_NEWLINK, index, attribute(IFLA_NET_NS_PID, struct.pack("=I", 1))),
                "interface-move", "interfaces")
        arena.packets_pass()


@case
def requests_that_hide_something():
    with Shared() as arena:
        index = arena.ifindex()
        harmless = message(RTM_SETLINK, 1)[:12] + bytes(4) + message(RTM_SETLINK, 1)[16:]
        # Attributes that come before, and twice, and with the flag of byte order.
        junk = attribute(51, bytes(64)) * 300
        refused(arena, message(RTM_SETLINK, index, junk + xdp_off()), "detach", "netlink")
        refused(arena, message(RTM_SETLINK, index, attribute(IFLA_XDP, b"") + xdp_off()), "detach", "netlink")
        names = attribute(IFLA_IFNAME, b"eth0\0") + attribute(IFLA_IFNAME, b"lo\0")
        refused(arena, message(RTM_SETLINK, 0, names + xdp_off()), "detach", "netlink")
        refused(arena, message(RTM_SETLINK, 0, attribute(IFLA_IFNAME, b"eth0") + xdp_off()), "detach", "netlink")
        refused(arena, harmless * 5000 + message(RTM_DELLINK, index), "interface-delete", "interfaces")
        # More than the guard reads.
        refused(arena, harmless * 20000, "unclear-message", "netlink")
        # What is cut off, the kernel does not read either.
        cut = message(RTM_DELLINK, index)
        let(arena, message(RTM_SETLINK, 1) + cut[:-4])
        assert let(arena, message(RTM_SETLINK, 1)) == 0
        arena.packets_pass()


@case
def maps_through_programs():
    with Shared() as arena:
        map_id, mark = arena.map_id(), arena.mark()
        done = arena.foreign(PYTHON, os.path.abspath(__file__), "--write", str(map_id))
        assert done.output.split() == ["load", "1"], str(done)
        event = arena.wait_event(mark, lambda e: e["who"].get("pid") == done.pid and e["verdict"] == "refused", "map")
        assert event["what"] == "open-object" and event["rule"] == "objects", say(event)
        # The guard's own, too: whoever can write its settings can switch it off.
        own = {number for program in guard_programs() for number in program["map_ids"]}
        assert len(own) >= 14, own
        for number in own:
            assert arena.foe("map-open", number, "write").status != 0, f"map {number} can be written"
            assert arena.foe("map-open", number, "read").status == 0, f"map {number} can't be read"
        # And what others made is theirs.
        pin = "/sys/fs/bpf/bct-theirs"
        command("bpftool", "map", "create", pin, "type", "array", "key", "4", "value", "4", "entries", "1",
                "name", "theirs")
        try:
            theirs = json.loads(command("bpftool", "--json", "map", "show", "pinned", pin).stdout)["id"]
            assert arena.foe("map-open", theirs, "write").status == 0
        finally:
            os.unlink(pin)


@case
def culprits_that_are_gone():
    with Shared() as arena:
        folder = tempfile.mkdtemp(prefix="bct-")
        try:
            copy = f"{folder}/a copy"
            for i in range(20):
                shutil.copy(FOE, copy)
                mark = arena.mark()
                done = arena.foreign(copy, "-u", "netlink", i, arena.ifindex(), "xdp-off")
                assert done.status != 0 and not os.path.exists(copy), str(done)
                event = arena.wait_event(mark, lambda e, pid=done.pid: e["who"].get("pid") == pid, "the copy")
                assert event["who"]["executable"] == copy, say(event)
                assert event["who"]["command"].startswith(copy), event["who"]
        finally:
            shutil.rmtree(folder)


@case
def an_executable_that_is_let_and_replaced():
    folder = tempfile.mkdtemp(prefix="bct-")
    path = f"{folder}/friend"
    shutil.copy(FOE, path)
    try:
        Shared.leave()
        with Arena(mode="enforce", allow=[{"executable": path, "rules": ["netlink"]}]) as arena:
            def result(program):
                return "not permitted" not in arena.foreign(program, "netlink", 0, arena.ifindex(), "xdp-off").output
            mark = arena.mark()
            assert result(path)
            arena.wait_event(mark, lambda e: e["verdict"] == "allowed" and e["who"]["executable"] == path, "allowed")
            assert not result(FOE)
            # The rule says no more than it says.
            assert arena.foreign(path, "link-detach", arena.identity()[0]).status != 0
            # A package is upgraded: the same path, another file.
            shutil.copy(FOE, path + ".new")
            os.rename(path + ".new", path)
            eventually(lambda: result(path))
            # The old name alone does not do.
            with tempfile.TemporaryDirectory() as other:
                shutil.copy(FOE, f"{other}/friend")
                assert not result(f"{other}/friend")
    finally:
        shutil.rmtree(folder)


def main():
    if sys.argv[1:2] == ["--send"]:
        with open(sys.argv[2], "rb") as file:
            print(send(file.read()))
    elif sys.argv[1:2] == ["--write"]:
        print(*write_through_program(int(sys.argv[2])))
    else:
        atexit.register(Shared.leave)
        run_cases()


main()
