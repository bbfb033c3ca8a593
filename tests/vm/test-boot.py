#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The whole boot, nothing left out, twice on the same disk: the first time chains are configured, the second time
they must be there before the network is."""

import os
import sys

from vm_lab import (BUILD, DOCUMENTS, OBJECTS, UNIT, RootNamespace, case, chains, client, command, eventually,
                    run_cases, show, systemctl)

BOOT = int(os.environ["BPFCHAIN_VM_BOOT"])

# The interface is there before the service, as a card would be.
WIRE_UNIT = """\
[Unit]
DefaultDependencies=no
Before=bpfchaind.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/ip link add eth0 type veth peer name peer0
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
    write("/root/edge.json", """{
  "programs": { "x": { "object": "verdict.bpf.o", "function": "xdp_verdict" },
                "t": { "object": "verdict.bpf.o", "function": "tc_verdict" } },
  "chains": [ { "interfaces": [ "eth0" ], "hook": "xdp", "programs": [ "x" ] },
              { "interfaces": [ "eth0" ], "hook": "tc-ingress", "programs": [ "t" ] } ] }""")
    command("cp", os.path.join(BUILD, "tests/bpf/verdict.bpf.o"), "/root/")
    client("apply", "/root/edge.json")
    # One that lasts until the reboot only.
    write("/root/runtime.json", """{
  "programs": { "r": { "object": "verdict.bpf.o", "function": "tc_verdict" } },
  "chains": [ { "interfaces": [ "eth0" ], "hook": "tc-egress", "programs": [ "r" ] } ] }""")
    client("apply", "--runtime", "/root/runtime.json")
    assert {hook for _, hook in chains()} == {"xdp", "tc-ingress", "tc-egress"}
    assert os.path.exists(f"{DOCUMENTS}/edge.json")


@in_boot(2)
def chains_are_back():
    found = {key: chain["state"] for key, chain in chains().items()}
    assert found == {("eth0", "xdp"): "active", ("eth0", "tc-ingress"): "active"}, found
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
def the_shutdown_before_left_no_trace():
    """No stop job ran into a timeout, nothing was left dirty."""
    assert not os.path.exists("/run/bpfchain/chains.d/runtime.json")
    assert client("status", check=False).returncode == 0
    assert '"problems":[]' in client("--json=short", "status").stdout.replace(" ", "")


if BOOT not in (1, 2):
    print("SKIP: this test has two boots")
    sys.exit(77)
run_cases()
