#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is served is what dbus/*.xml promises: members, signatures, names of arguments, annotations; and the XML says
of each method which polkit action it needs."""

import glob
import os
import re
import sys
import xml.etree.ElementTree as ElementTree

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import bpfchain_test as bench  # noqa: E402
from bpfchain_test import Lab, case, run_cases  # noqa: E402
from dbus_wire import Client  # noqa: E402

CONTRACT = os.path.join(bench.SOURCE, "dbus")
EMITS = "org.freedesktop.DBus.Property.EmitsChangedSignal"
ROOT = "/org/bpfchain1"
OBJECTS = {
    "org.bpfchain1.Manager": ROOT,
    "org.bpfchain1.Interface": ROOT + "/interface/eth0",
    "org.bpfchain1.Chain": ROOT + "/chain/eth0/xdp",
    "org.bpfchain1.Program": ROOT + "/program/a",
    "org.bpfchain1.Guard": ROOT + "/guard",
    "org.bpfchain1.Map": ROOT + "/map/a/m_5fhash",
}


def describe(interface):
    """The members of an interface, as comparable lines."""
    lines = set()
    for member in interface:
        if member.tag not in ("method", "signal", "property"):
            continue
        annotations = {a.get("name"): a.get("value") for a in member.findall("annotation")}
        if member.tag == "property":
            emits = annotations.pop(EMITS, "true")
            text = f"property {member.get('name')} {member.get('type')} {member.get('access')} emits={emits}"
        else:
            arguments = ", ".join(
                f"{a.get('direction', 'in' if member.tag == 'method' else 'out')} {a.get('type')} {a.get('name')}"
                for a in member.findall("arg"))
            text = f"{member.tag} {member.get('name')}({arguments})"
        lines.add(f"{text} {sorted(annotations.items())}")
    return lines


def contract():
    """Interface name -> its element, of all files."""
    found = {}
    for path in sorted(glob.glob(os.path.join(CONTRACT, "org.bpfchain1.*.xml"))):
        for interface in ElementTree.parse(path).getroot().findall("interface"):
            assert os.path.basename(path) == interface.get("name") + ".xml", path
            found[interface.get("name")] = interface
    return found


@case
def what_is_served_is_what_the_contract_says():
    with Lab() as lab:
        lab.install("maps.bpf.o")
        lab.document("edge", {"programs": {"a": {"object": "maps.bpf.o"}},
                              "chains": [{"interfaces": ["eth0"], "hook": "xdp", "programs": ["a"]}]})
        lab.start()
        promised = contract()
        assert set(promised) == set(OBJECTS), set(promised) ^ set(OBJECTS)
        with Client("unix:path=" + lab.daemon.socket) as client:
            for name, path in OBJECTS.items():
                text = client.call(path, "org.freedesktop.DBus.Introspectable", "Introspect")
                served = {i.get("name"): i for i in ElementTree.fromstring(text).findall("interface")}
                ours = {n for n in served if n.startswith("org.bpfchain1.")}
                assert ours == {name}, f"{path} has {ours}"
                wanted, got = describe(promised[name]), describe(served[name])
                assert len(wanted) == len([m for m in promised[name] if m.tag in ("method", "signal", "property")])
                assert got == wanted, (f"{name}: only served: {sorted(got - wanted)}; "
                                       f"only promised: {sorted(wanted - got)}")

                # Values have the signatures that are promised: sd-bus says so or does not send them.
                values = client.get_all(path, name)
                assert set(values) == {p.get("name") for p in promised[name].findall("property")}


@case
def the_contract_has_prose_for_every_member():
    for path in glob.glob(os.path.join(CONTRACT, "org.bpfchain1.*.xml")):
        with open(path, encoding="utf-8") as file:
            text = file.read()
        comments = re.findall(r"<!--(.*?)-->\s*<(method|signal|property) name=\"(\w+)\"", text, re.S)
        told = {name for comment, _, name in comments if re.match(rf"\s*{name}:", comment.rsplit("<!--", 1)[-1])}
        members = set(re.findall(r"<(?:method|signal|property) name=\"(\w+)\"", text))
        assert told == members, f"{os.path.basename(path)}: no prose for {sorted(members - told)}"


@case
def the_contract_names_actions_and_errors_that_exist():
    with open(os.path.join(bench.SOURCE, "service/util/error.c"), encoding="utf-8") as file:
        errors = set(re.findall(r'\{ "(\w+)", ', file.read()))
    with open(os.path.join(bench.SOURCE, "polkit/org.bpfchain1.policy"), encoding="utf-8") as file:
        actions = set(re.findall(r'action id="([\w.-]+)"', file.read()))
    with open(os.path.join(bench.SOURCE, "service/bus/polkit.h"), encoding="utf-8") as file:
        asked = set(re.findall(r'#define POLKIT_\w+\s+"([\w.-]+)"', file.read()))
    assert asked and asked <= actions, asked - actions
    named = set()
    for path in glob.glob(os.path.join(CONTRACT, "org.bpfchain1.*.xml")):
        with open(path, encoding="utf-8") as file:
            text = file.read()
        named |= set(re.findall(r"org\.bpfchain1\.(?:inspect|read-maps|write-maps|manage-\w+|configure)", text))
        for sentence in re.findall(r"Errors: ([^<]*?)(?:-->|polkit:)", text, re.S):
            plain = re.sub(r"\([^()]*\)", "", sentence).split(".")[0]
            for word in re.findall(r"\b[A-Z]\w+\b", plain):
                assert word in errors, f"{os.path.basename(path)} names the error {word}"
    assert named == asked, named ^ asked


bench.require_root()
bench.require_built(bench.DAEMON)
run_cases()
