# SPDX-License-Identifier: LGPL-2.1-or-later
"""load_attempts.py OBJECT PIN-OF-XDP PIN-OF-TC: tries, in whatever domain this runs, all ways to bring a BPF program
of one's own in: raw system calls and the tools of others, on the loopback interface. Says "NAME yes" or "NAME no" for
each, and undoes what worked. Not a test by itself: the tests of the lock-down run it as many a subject."""

import contextlib
import ctypes
import os
import struct
import subprocess
import sys

BPF_MAP_CREATE, BPF_PROG_LOAD, BPF_OBJ_GET = 0, 5, 7
SYS_BPF = 321
OWN_PIN = f"/sys/fs/bpf/bct-own-{os.getpid()}"

_libc = ctypes.CDLL(None, use_errno=True)


def bpf(command, attributes):
    """Whether a raw bpf(2) gives a descriptor."""
    attributes = ctypes.create_string_buffer(attributes.ljust(128, b"\0"), 128)
    fd = _libc.syscall(SYS_BPF, command, attributes, 128)
    if fd < 0:
        return False
    os.close(fd)
    return True


def prog_load():
    """A socket filter that returns 0: what takes least."""
    code = ctypes.create_string_buffer(struct.pack("<BBhi", 0xb7, 0, 0, 0) + struct.pack("<BBhi", 0x95, 0, 0, 0), 16)
    licence = ctypes.create_string_buffer(b"GPL")
    return bpf(BPF_PROG_LOAD, struct.pack("<IIQQ", 1, 2, ctypes.addressof(code), ctypes.addressof(licence)))


def map_create():
    return bpf(BPF_MAP_CREATE, struct.pack("<IIII", 2, 4, 4, 1))


def object_get(path):
    name = ctypes.create_string_buffer(path.encode())
    return bpf(BPF_OBJ_GET, struct.pack("<Q", ctypes.addressof(name)))


def stay_in_domain():
    """For a child: some tools would lead into a domain of theirs, which has less rights than the subject."""
    with contextlib.suppress(OSError):
        with open("/proc/thread-self/attr/current", encoding="ascii") as file:
            context = file.read().rstrip("\0\n")
        with open("/proc/thread-self/attr/exec", "w", encoding="ascii") as file:
            file.write(context)


def tool(*words):
    result = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                            preexec_fn=stay_in_domain)  # pylint: disable=subprocess-popen-preexec-fn
    print("#", " ".join(words), result.returncode, result.stderr.strip().replace("\n", " / ")[:300])
    return result.returncode == 0


def tool_load(program):
    worked = tool("bpftool", "prog", "load", program, OWN_PIN, "type", "xdp")
    with contextlib.suppress(OSError):
        os.unlink(OWN_PIN)
    return worked


def xdp(*words):
    worked = tool("ip", "link", "set", "dev", "lo", "xdpgeneric", *words)
    if worked:
        tool("ip", "link", "set", "dev", "lo", "xdpgeneric", "off")
    return worked


def net_attach(pin):
    worked = tool("bpftool", "net", "attach", "xdpgeneric", "pinned", pin, "dev", "lo")
    if worked:
        tool("ip", "link", "set", "dev", "lo", "xdpgeneric", "off")
    return worked


def tc(*words):
    tool("tc", "qdisc", "add", "dev", "lo", "clsact")
    worked = tool("tc", "filter", "add", "dev", "lo", "ingress", "bpf", "da", *words)
    tool("tc", "qdisc", "del", "dev", "lo", "clsact")
    return worked


def main(program, xdp_pin, tc_pin):
    attempts = {
        "prog-load": prog_load,
        "map-create": map_create,
        "object-get": lambda: object_get(xdp_pin),
        "bpftool-prog-load": lambda: tool_load(program),
        "bpftool-net-attach": lambda: net_attach(xdp_pin),
        "ip-xdp-object": lambda: xdp("obj", program, "sec", "xdp"),
        "ip-xdp-pinned": lambda: xdp("pinned", xdp_pin),
        "tc-object": lambda: tc("obj", program, "sec", "tc"),
        "tc-pinned": lambda: tc("pinned", tc_pin),
    }
    for name, attempt in attempts.items():
        print(name, "yes" if attempt() else "no", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
