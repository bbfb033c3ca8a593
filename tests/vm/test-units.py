#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The units and files that were installed, in the eyes of systemd itself."""

import json
import os
import re
import shutil
import signal
import stat

from vm_lab import (UNIT, Host, case, client, client_json, command, eventually, main_pid, run_cases, show,
                    systemctl)

SOCKET = "bpfchaind.socket"
PRIVATE = "/run/bpfchain/private"
METRICS = "bpfchain-metrics.service"
TIMER = "bpfchain-metrics.timer"

# At most, of systemd-analyze security.
EXPOSURE = {UNIT: 2.0, METRICS: 0.8}


def exposure(unit):
    text = command("systemd-analyze", "security", "--offline=true", "--no-pager", unit, check=False).stdout
    return float(re.search(r"Overall exposure level for .*: ([0-9.]+)", text)[1])


def weaknesses(unit, count=12):
    """What costs most, for whoever wants less."""
    text = command("systemd-analyze", "security", "--offline=true", "--json=short", unit, check=False).stdout
    rows = [row for row in json.loads(text) if row.get("exposure") not in (None, "", "0.0")]
    rows.sort(key=lambda row: -float(row["exposure"]))
    return [f"{row['name']} {row['exposure']}" for row in rows[:count]]


@case
def systemd_has_nothing_to_say_about_the_units():
    result = command("systemd-analyze", "verify", "--man=no", UNIT, SOCKET, METRICS, TIMER, check=False)
    assert (result.returncode, result.stdout + result.stderr) == (0, ""), result.stdout + result.stderr


@case
def the_units_are_hardened():
    for unit, most in EXPOSURE.items():
        level = exposure(unit)
        print(f"# {unit}: exposure {level}; most of it: {', '.join(weaknesses(unit))}")
        assert level <= most, f"the exposure of {unit} is {level}, more than {most}"


@case
def the_hardening_holds_in_the_running_process():
    with open(f"/proc/{main_pid()}/status", encoding="ascii") as file:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    assert status["CapInh"] == "0" * 16
    allowed = {12, 38, 39, 2}  # NET_ADMIN, PERFMON, BPF, DAC_READ_SEARCH
    for kind in ("CapPrm", "CapEff", "CapBnd"):
        held = {bit for bit in range(64) if int(status[kind], 16) >> bit & 1}
        assert held <= allowed, f"{kind}: {held - allowed}"
    # Its mounts are its own: /usr can't be written, pins can.
    with open(f"/proc/{main_pid()}/mountinfo", encoding="ascii") as file:
        mounts = {line.split()[4]: line.split()[5].split(",") for line in file}
    for path in ("/", "/proc/sys"):
        assert "ro" in mounts[path], f"{path}: {mounts[path]}"
    inside = ["nsenter", f"--target={main_pid()}", "--mount", "--"]
    for path in ("/sys/kernel/mm/ksm/sleep_millisecs", "/sys/module/printk/parameters/time",
                 "/sys/class/net/lo/tx_queue_len", "/proc/sys/kernel/printk", "/usr/bin/bpfchain",
                 "/sys/fs/cgroup/cgroup.procs", "/etc/hostname"):
        assert os.path.exists(path), path
        assert command(*inside, "sh", "-c", f": >>{path}", check=False).returncode != 0, f"{path} can be written"
    command(*inside, "mkdir", "/sys/fs/bpf/bpfchain/bct")
    os.rmdir("/sys/fs/bpf/bpfchain/bct")
    assert command(*inside, "mkdir", "/sys/fs/bpf/bct", check=False).returncode != 0, "pins of others can be written"


@case
def what_the_hardening_must_not_take_away_is_there():
    with Host() as host:
        host.run_chain()
        for path in ("/sys/kernel/btf/vmlinux", "/proc/cmdline"):
            command("nsenter", f"--target={main_pid()}", "--mount", "--", "cmp", "--bytes=16", path, path)
        details = client_json("interfaces")
        eth0 = next(item for item in details if item["name"] == "eth0")
        assert eth0["driver"] == "veth", eth0
        with open(f"/proc/{main_pid()}/limits", encoding="ascii") as file:
            files = re.search(r"Max open files\s+(\d+)", file.read())[1]
        assert int(files) >= 65536, files
        warnings = command("journalctl", "--boot", "-u", UNIT, "-p", "warning", "--output=cat").stdout
        assert not warnings, warnings


@case
def folders_are_there_with_their_rights():
    expected = {"/etc/bpfchain": 0o755, "/etc/bpfchain/chains.d": 0o755, "/run/bpfchain": 0o755,
                "/run/bpfchain/chains.d": 0o755, "/var/lib/bpfchain": 0o700, "/sys/fs/bpf/bpfchain": 0o700}
    for path, mode in expected.items():
        found = os.stat(path)
        assert (stat.S_IMODE(found.st_mode), found.st_uid) == (mode, 0), f"{path}: {oct(found.st_mode)}"
    private = os.stat(PRIVATE)
    assert private.st_uid == 0
    assert stat.S_ISSOCK(private.st_mode) and stat.S_IMODE(private.st_mode) == 0o600, oct(private.st_mode)


@case
def it_starts_before_the_network():
    before = show(UNIT, "Before").split()
    assert "network-pre.target" in before, before
    for manager in ("systemd-networkd.service",):
        assert "network-pre.target" in show(manager, "After").split()
    for unit in (UNIT, SOCKET):
        assert show(unit, "DefaultDependencies") == "no"
        for late in ("sysinit.target", "basic.target", "sockets.target", "dbus.socket", "dbus.service"):
            assert late not in show(unit, "After").split(), f"{unit} comes after {late}"
    assert SOCKET in show(UNIT, "After").split()
    # Its state is there by then, wherever /var is.
    assert "/var/lib/bpfchain" in show(UNIT, "RequiresMountsFor").split(), show(UNIT, "RequiresMountsFor")


@case
def it_starts_where_the_folder_for_pins_was_removed():
    with Host() as host:
        systemctl("stop", UNIT)
        shutil.rmtree("/sys/fs/bpf/bpfchain")
        systemctl("start", UNIT)
        host.run_chain()
        assert stat.S_IMODE(os.stat("/sys/fs/bpf/bpfchain").st_mode) == 0o700


@case
def what_it_makes_for_others_can_be_read():
    """Whatever its umask is."""
    with Host() as host:
        shutil.rmtree("/etc/bpfchain/chains.d")
        shutil.rmtree("/run/bpfchain/chains.d")
        document = {"programs": {"a": {"object": "verdict.bpf.o", "function": "xdp_verdict"}},
                    "chains": [{"interfaces": ["eth0"], "hook": "xdp", "programs": ["a"]}]}
        with open("/etc/bpfchain/objects/made.json", "w", encoding="utf-8") as file:
            json.dump(document, file)
        client("apply", file.name)
        host.wait_chain()
        for path, mode in {"/etc/bpfchain/chains.d": 0o755, "/etc/bpfchain/chains.d/made.json": 0o644}.items():
            assert stat.S_IMODE(os.stat(path).st_mode) == mode, f"{path}: {oct(os.stat(path).st_mode)}"
        os.makedirs("/run/bpfchain/chains.d", exist_ok=True)


@case
def clients_wait_while_it_is_not_up():
    with Host() as host:
        host.run_chain()
        made, pid = os.stat(PRIVATE).st_ino, main_pid()
        os.kill(pid, signal.SIGKILL)  # the next one comes after RestartSec=
        eventually(lambda: not os.path.exists(f"/proc/{pid}"))
        environment = {**os.environ, "BPFCHAIN_SOCKET": PRIVATE}
        assert client_json("status", env=environment)["manager"]["state"] == "running"
        assert os.stat(PRIVATE).st_ino == made, "another start made another socket, and lost who waited at the first"


@case
def the_socket_goes_when_the_service_is_stopped():
    """So that the timer of the metrics, for one, does not start what was stopped."""
    with Host():
        stopped = systemctl("stop", UNIT)
        assert "activated by" not in stopped.stderr, stopped.stderr
        assert show(SOCKET, "ActiveState") == "inactive" and not os.path.exists(PRIVATE)
        systemctl("start", METRICS)
        assert show(UNIT, "ActiveState") == "inactive"
        systemctl("start", UNIT)
        assert show(SOCKET, "ActiveState") == "active"
        client("status")


@case
def it_is_stopped_at_shutdown_without_a_fight():
    """Its stop job is quick: nothing waits for a timeout."""
    with Host() as host:
        host.run_chain()
        systemctl("stop", UNIT, timeout=20)
        systemctl("start", UNIT)


run_cases()
