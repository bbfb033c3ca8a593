#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The whole boot, nothing left out, twice on the same disk: the first time chains are configured, the second time
they must be there before the network is."""

import json
import os
import sys

from vm_lab import (BUILD, DOCUMENTS, OBJECTS, UNIT, RootNamespace, case, chains, client, client_json, command,
                    eventually, run_cases, show, systemctl)

HELD = "5a4881d45a524277b64f12e9b1531e9c"  # MESSAGE_ID

BOOT = int(os.environ["BPFCHAIN_VM_BOOT"])

# The interfaces are there before the service, as cards would be. gate0 is up as well, too early.
WIRE_UNIT = """\
[Unit]
DefaultDependencies=no
Before=bpfchaind.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/ip link add eth0 type veth peer name peer0
ExecStart=/usr/sbin/ip link add gate0 type veth peer name gatepeer0
ExecStart=/usr/sbin/ip link set gate0 up
ExecStart=/usr/sbin/ip link set gatepeer0 up
[Install]
WantedBy=sysinit.target
"""

# And brought up by a network manager.
NETWORK = "[Match]\nName=eth0 peer0\n[Network]\nLinkLocalAddressing=no\nConfigureWithoutCarrier=yes\n"


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def in_boot(number):
    """A case of one of the two boots."""
    return case if number == BOOT else lambda function: function


def clean_boot():
    state = systemctl("is-system-running", "--wait", check=False).stdout.strip()
    failed = systemctl("--failed", "--no-legend", "--plain").stdout
    assert (state, failed) == ("running", ""), f"{state}: {failed}"
    assert not systemctl("list-jobs", "--no-legend").stdout.strip().startswith("1"), "jobs are left"


def since(unit, name="ActiveEnterTimestampMonotonic"):
    return int(show(unit, name))


@case
def the_boot_is_clean():
    clean_boot()
    print(f"# {command('systemd-analyze').stdout.splitlines()[0]}")


@case
def the_service_is_active_and_enforcing_is_on():
    assert show(UNIT, "ActiveState") == "active"
    assert command("getenforce").stdout.strip() == "Enforcing"
    assert show("systemd-udevd.service", "ActiveState") == "active", "this is no full boot"


@in_boot(1)
def there_is_nothing_without_documents():
    assert not chains()


@in_boot(1)
def chains_are_configured_for_good():
    write("/etc/systemd/system/bct-wire.service", WIRE_UNIT)
    write("/etc/systemd/network/50-bct.network", NETWORK)
    command("restorecon", "-R", "/etc/systemd")
    systemctl("enable", "--now", "bct-wire.service")
    systemctl("enable", "systemd-networkd.service")
    # The distribution's policy denies it its start (Debian 13), and there is nothing for it to do.
    systemctl("mask", "systemd-network-generator.service")
    os.makedirs(OBJECTS, exist_ok=True)
    write(f"{OBJECTS}/edge.json", """{
  "programs": { "x": { "object": "verdict.bpf.o", "function": "xdp_verdict" },
                "t": { "object": "verdict.bpf.o", "function": "tc_verdict" } },
  "chains": [ { "interfaces": [ "eth0" ], "hook": "xdp", "programs": [ "x" ], "fail-closed": true },
              { "interfaces": [ "eth0" ], "hook": "tc-ingress", "programs": [ "t" ] } ] }""")
    command("cp", os.path.join(BUILD, "tests/bpf/verdict.bpf.o"), OBJECTS)
    client("apply", f"{OBJECTS}/edge.json")
    # One that lasts until the reboot only.
    write(f"{OBJECTS}/runtime.json", """{
  "programs": { "r": { "object": "verdict.bpf.o", "function": "tc_verdict" } },
  "chains": [ { "interfaces": [ "eth0" ], "hook": "tc-egress", "programs": [ "r" ] } ] }""")
    client("apply", "--runtime", f"{OBJECTS}/runtime.json")
    assert {hook for _, hook in chains()} == {"xdp", "tc-ingress", "tc-egress"}
    assert os.path.exists(f"{DOCUMENTS}/edge.json")
    # One that can't be put on its hook by the next boot.
    write(f"{DOCUMENTS}/gate.json", """{
  "programs": { "g": { "object": "gate.bpf.o", "type": "xdp" } },
  "chains": [ { "interfaces": [ "gate0" ], "hook": "xdp", "programs": [ "g" ], "fail-closed": true } ] }""")


@in_boot(2)
def chains_are_back():
    found = {key: chain["state"] for key, chain in chains().items()}
    assert found == {("eth0", "xdp"): "active", ("eth0", "tc-ingress"): "active", ("gate0", "xdp"): "failed"}, found
    assert RootNamespace().link("eth0")["xdp"]["prog"]["id"] == chains()["eth0", "xdp"]["program-id"]


@in_boot(2)
def they_were_there_before_the_network():
    ready = since(UNIT)
    assert 0 < ready <= since("network-pre.target"), "network-pre.target was reached before the service was ready"
    started = since("systemd-networkd.service", "ExecMainStartTimestampMonotonic")
    print(f"# ready {ready / 1e6:.2f} s, network manager started {started / 1e6:.2f} s, "
          f"bus {since('dbus.service') / 1e6:.2f} s after the boot")
    assert ready < started, "the network manager was started before the chains were there"
    # It did not come up by anything else: the chains are those of the service's start, not of a later event.
    messages = command("journalctl", "--boot", "-u", UNIT, "--output=cat").stdout
    assert "is ready after" in messages, messages
    eventually(lambda: "UP" in RootNamespace().link("eth0")["flags"])


@in_boot(2)
def an_interface_without_its_chain_was_down_before_the_network():
    def gate0():
        return next(item for item in client_json("interfaces") if item["name"] == "gate0")

    assert "gate.json" in gate0()["held"] and not gate0()["up"], gate0()
    assert "UP" not in RootNamespace().link("gate0")["flags"]
    entry = json.loads(command("journalctl", "--boot", "--output=json", f"MESSAGE_ID={HELD}").stdout)
    assert entry["BPFCHAIN_INTERFACE"] == "gate0" and entry["BPFCHAIN_DOCUMENT"] == "gate", entry
    assert int(entry["__MONOTONIC_TIMESTAMP"]) <= since("network-pre.target"), entry
    # Only one: eth0, which has a chain, was never touched.
    eventually(lambda: "UP" in RootNamespace().link("eth0")["flags"])

    command("cp", os.path.join(BUILD, "tests/bpf/verdict.bpf.o"), f"{OBJECTS}/gate.bpf.o")
    client("reload")
    eventually(lambda: "UP" in RootNamespace().link("gate0")["flags"])
    assert not gate0()["held"] and chains()["gate0", "xdp"]["state"] == "active"


@in_boot(2)
def the_shutdown_before_left_no_trace():
    """No stop job ran into a timeout, nothing was left dirty."""
    assert not os.path.exists("/run/bpfchain/chains.d/runtime.json")
    assert client("status", check=False).returncode == 0
    assert '"problems":[]' in client("--json=short", "status").stdout.replace(" ", "")


if BOOT not in (1, 2):
    print("SKIP: this test has two boots")
    sys.exit(77)
run_cases()
