#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Traffic of an exact count for tools/demo.sh, from one network namespace to another.

    demo-traffic.py FROM TO TARGET RATE SOURCE=COUNT...
    demo-traffic.py FROM TO TARGET RATE --until FILE SOURCE

Sends UDP datagrams from each source address in namespace FROM, each with a running number, and takes them in
namespace TO. With --until, it sends until FILE exists. Writes a line of JSON for each source: how many were sent,
how many arrived, and how many of those came twice or out of order.
"""

import ctypes
import itertools
import json
import os
import signal
import socket
import struct
import sys
import time

signal.signal(signal.SIGINT, signal.SIG_DFL)  # end without a word

CLONE_NEWNET = 0x40000000
SO_RCVBUFFORCE = 33
PORT = 9000
BURST = 16  # well below what the queue of a wire holds
PAYLOAD = 64


def udp_socket(namespace):
    """A socket that stays in the namespace; this process comes back."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/self/ns/net", "rb") as home, open(f"/run/netns/{namespace}", "rb") as there:
        if libc.setns(there.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"network namespace {namespace}")
        result = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        if libc.setns(home.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "the network namespace of this process")
    return result


class Receiver:
    def __init__(self, namespace, target):
        self.socket = udp_socket(namespace)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
        self.socket.bind((target, PORT))
        self.socket.setblocking(False)
        self.counts = {}  # source: [arrived, last number, twice or out of order]

    def drain(self):
        try:
            while True:
                data, (source, _) = self.socket.recvfrom(2048)
                number = struct.unpack_from("!Q", data)[0]
                count = self.counts.setdefault(source, [0, -1, 0])
                count[0] += 1
                if number <= count[1]:
                    count[2] += 1
                count[1] = number
        except BlockingIOError:
            pass


def send(senders, receiver, target, rate, wanted, until):
    """Sends in turn from all senders, a burst each; returns how many from each."""
    sent = dict.fromkeys(senders, 0)
    started = time.monotonic()
    total = 0
    for source in itertools.cycle(senders):
        if until and os.path.exists(until) or not until and all(sent[s] >= wanted[s] for s in senders):
            return sent
        for _ in range(BURST if until else min(BURST, wanted[source] - sent[source])):
            senders[source].sendto(struct.pack("!Q", sent[source]).ljust(PAYLOAD, b"\0"), (target, PORT))
            sent[source] += 1
            total += 1
        receiver.drain()
        ahead = started + total / rate - time.monotonic()
        if ahead > 0:
            time.sleep(ahead)


def main():
    from_namespace, to_namespace, target, rate, *words = sys.argv[1:]
    until = None
    if words[0] == "--until":
        until, words = words[1], words[2:]
    wanted = {}
    for word in words:
        source, _, count = word.partition("=")
        wanted[source] = int(count or 0)

    receiver = Receiver(to_namespace, target)
    senders = {}
    for source in wanted:
        senders[source] = udp_socket(from_namespace)
        senders[source].bind((source, 0))
    sent = send(senders, receiver, target, float(rate), wanted, until)
    for _ in range(10):  # what is still on its way
        time.sleep(0.02)
        receiver.drain()
    for source in senders:
        arrived, _, disorder = receiver.counts.get(source, [0, -1, 0])
        print(json.dumps({"source": source, "sent": sent[source], "arrived": arrived, "disorder": disorder}))


main()
