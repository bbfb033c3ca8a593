#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Takes figures out of JSON for tools/demo.sh.

    bpfchain status --json=short | demo-figure.py chain INTERFACE HOOK MEMBER [PROGRAM]
    demo-figure.py traffic FILE SOURCE MEMBER

chain: a property of the chain or, with PROGRAM, of that program's slot ("verdicts.drop" goes deeper).
traffic: a figure of a line that demo-traffic.py wrote.
What is not there counts as 0.
"""

import json
import signal
import sys

signal.signal(signal.SIGINT, signal.SIG_DFL)  # end without a word


def member(value, path):
    for name in path.split("."):
        value = value.get(name, 0) if isinstance(value, dict) else 0
    return value


def chain_figure(interface_name, hook, path, program=None):
    for interface in json.load(sys.stdin)["interfaces"]:
        for chain in interface["chains"]:
            if (interface["name"], chain["hook"]) != (interface_name, hook):
                continue
            if program is None:
                return member(chain, path)
            for slot in chain["slots"]:
                if slot["program"] == program:
                    return member(slot, path)
    return 0


def traffic_figure(file, source, path):
    with open(file, encoding="ascii") as lines:
        for line in lines:
            item = json.loads(line)
            if item["source"] == source:
                return member(item, path)
    return 0


print({"chain": chain_figure, "traffic": traffic_figure}[sys.argv[1]](*sys.argv[2:]))
