#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The installed service under systemd and on the system bus: how it starts, is reloaded, restarted, stopped, killed,
hung and upgraded, with chains on real traffic all the while."""

import os
import shutil
import signal
import tempfile
import time

from vm_lab import (CHAIN, DAEMON, MANAGER, OBJECTS, PACKAGE, ROOT_OBJECT, UNIT, Host, busctl, case, chain_path,
                    chains, client, client_json, command, eventually, hits, ids, journal, journal_cursor, main_pid,
                    run_cases, show, systemctl, wait_new_main)

XDP_DROP, TC_SHOT = 1, 2


@case
def systemd_starts_it():
    with Host():
        systemctl("stop", UNIT)
        systemctl("start", UNIT)
        assert show(UNIT, "ActiveState") == "active"
        assert show(UNIT, "StatusText").startswith("Generation "), show(UNIT, "StatusText")
        assert os.readlink(f"/proc/{main_pid()}/exe") == DAEMON
        assert systemctl("is-enabled", UNIT).stdout.strip() == "enabled"


@case
def a_question_of_any_user_on_the_bus_starts_it():
    with Host():
        systemctl("stop", UNIT)
        answer = busctl("get-property", "org.bpfchain1", ROOT_OBJECT, MANAGER, "State", user="alice")
        assert answer.stdout.startswith('s "'), answer.stdout
        assert show(UNIT, "ActiveState") == "active"


@case
def it_does_not_start_by_the_bus_while_disabled():
    with Host():
        systemctl("disable", "--now", UNIT)
        try:
            refused = busctl("get-property", "org.bpfchain1", ROOT_OBJECT, MANAGER, "State", user="alice",
                             check=False)
            assert refused.returncode != 0, refused.stdout
            assert show(UNIT, "ActiveState") == "inactive"
        finally:
            systemctl("enable", "--now", UNIT)
        busctl("get-property", "org.bpfchain1", ROOT_OBJECT, MANAGER, "State", user="alice")


@case
def chains_decide_about_real_packets():
    with Host() as host:
        host.run_chain("xdp")
        host.run_chain("tc-ingress", program="b")
        host.passes(50)
        assert (hits("a"), hits("b")) == (50, 50), (hits("a"), hits("b"))
        assert chains()["eth0", "xdp"]["packets"] == 50
        host.run_chain("tc-ingress", TC_SHOT, program="b")
        host.passes(50, expected=0)
        seen = chains()["eth0", "tc-ingress"]["packets"]
        assert seen == 100, f"TC counted {seen}, not 50 before the change and 50 after it"
        host.run_chain("xdp", XDP_DROP)
        host.passes(50, expected=0)
        assert chains()["eth0", "tc-ingress"]["packets"] == seen, "TC saw packets that XDP dropped"
        answer = busctl("get-property", "org.bpfchain1", chain_path(), CHAIN, "State", user="alice")
        assert answer.stdout == 's "active"\n', answer.stdout


@case
def reload_reads_documents_again():
    with Host() as host:
        host.run_chain()
        pid, before = main_pid(), ids()
        host.document("more", {"programs": {"b": {"object": "verdict.bpf.o", "function": "tc_verdict"}},
                               "chains": [{"interfaces": ["eth0"], "hook": "tc-egress", "programs": ["b"]}]})
        with host.nothing_lost():
            systemctl("reload", UNIT)
        host.wait_chain("eth0", "tc-egress")
        assert main_pid() == pid
        assert ids()["eth0", "xdp"] == before["eth0", "xdp"]


@case
def a_document_with_a_fault_does_not_fail_the_reload_of_others():
    with Host() as host:
        before = host.run_chain()["link-id"]
        with open("/etc/bpfchain/chains.d/broken.json", "w", encoding="utf-8") as file:
            file.write('{ "chains": [ }')
        systemctl("reload", UNIT, check=False)
        assert show(UNIT, "ActiveState") == "active"
        assert host.wait_chain()["link-id"] == before
        assert "broken.json" in client("status").stdout
        assert "broken" in show(UNIT, "StatusText"), show(UNIT, "StatusText")


@case
def systemd_reloads_by_signal_and_waits_for_the_end():
    """Type=notify-reload, which the installed unit has where it was built for systemd 253 or later."""
    with Host() as host:
        host.run_chain()
        if show(UNIT, "Type") != "notify-reload":
            host.drop_in("[Service]\nType=notify-reload\nExecReload=\n")
            systemctl("restart", UNIT)
        pid, before, cursor = main_pid(), ids(), journal_cursor()
        generation = client_json("status")["manager"]["generation"]
        host.document("more", {"programs": {"b": {"object": "verdict.bpf.o", "function": "tc_verdict"}},
                               "chains": [{"interfaces": ["eth0"], "hook": "tc-egress", "programs": ["b"]}]})
        systemctl("reload", UNIT, timeout=20)
        # It is all done when systemctl is.
        assert chains()["eth0", "tc-egress"]["state"] == "active"
        assert client_json("status")["manager"]["generation"] == generation + 1, "it was reloaded more than once"
        assert "(SIGHUP)" in journal(cursor, "-u", UNIT)
        assert (main_pid(), ids()["eth0", "xdp"]) == (pid, before["eth0", "xdp"])
        with open("/etc/bpfchain/chains.d/broken.json", "w", encoding="utf-8") as file:
            file.write('{ "chains": [ }')
        systemctl("reload", UNIT, timeout=20)
        assert "broken" in show(UNIT, "StatusText"), show(UNIT, "StatusText")
        os.unlink(file.name)
        systemctl("reload", UNIT, timeout=20)
        assert "0 problems" in show(UNIT, "StatusText"), show(UNIT, "StatusText")


@case
def an_interface_is_kept_down_until_its_chain_runs():
    """With the rights that the unit leaves, and SELinux."""
    with Host() as host:
        host.document("gate", {
            "programs": {"a": {"object": "gate.bpf.o", "type": "xdp"}},
            "chains": [{"interfaces": ["eth0"], "hook": "xdp", "programs": ["a"], "fail-closed": True}]})
        client("reload")
        assert "UP" not in host.inner.link("eth0")["flags"]
        assert "held down" in client("status").stdout
        os.kill(main_pid(), signal.SIGKILL)  # that it set it down is known to the next one
        shutil.copy(f"{OBJECTS}/verdict.bpf.o", f"{OBJECTS}/gate.bpf.o")
        host.wait_chain()
        assert "UP" in host.inner.link("eth0")["flags"]
        host.passes(20)


@case
def a_restart_leaves_the_chains_as_they_are():
    with Host() as host:
        host.run_chain("xdp")
        host.run_chain("tc-ingress", program="b")
        pid, before = main_pid(), ids()
        with host.nothing_lost():
            systemctl("restart", UNIT)
        assert wait_new_main(pid) != pid
        assert ids() == before
        counted = hits("a")
        host.passes(30)
        assert hits("a") == counted + 30


@case
def stopped_it_leaves_the_chains_running():
    with Host() as host:
        host.run_chain("xdp")
        before = ids()
        systemctl("stop", UNIT)
        assert show(UNIT, "Result") == "success"
        host.passes(20)
        link = host.inner.link("eth0")
        assert link["xdp"]["prog"]["id"] == before["eth0", "xdp"][1], link
        systemctl("start", UNIT)
        assert ids() == before

        # And one that drops goes on dropping.
        host.run_chain("xdp", XDP_DROP)
        systemctl("stop", UNIT)
        host.passes(20, expected=0)
        systemctl("start", UNIT)


@case
def killed_it_is_back_at_once_with_the_same_chains():
    with Host() as host:
        host.run_chain("xdp")
        host.run_chain("tc-ingress", program="b")
        pid, before, restarts = main_pid(), ids(), int(show(UNIT, "NRestarts"))
        with host.nothing_lost():
            os.kill(pid, signal.SIGKILL)
            wait_new_main(pid)
        assert int(show(UNIT, "NRestarts")) == restarts + 1
        assert ids() == before


@case
def hung_it_is_killed_by_the_watchdog_and_started_again():
    with Host() as host:
        assert show(UNIT, "WatchdogUSec") == "1min"
        # A core of the whole is of no use here, and takes its time.
        host.drop_in("[Service]\nWatchdogSec=3s\nTimeoutAbortSec=1s\nLimitCORE=0\nRestartSec=100ms\n")
        systemctl("restart", UNIT)
        host.run_chain("xdp")
        pid, before, cursor = main_pid(), ids(), journal_cursor()
        time.sleep(4)
        assert main_pid() == pid, "the watchdog killed a service that was well"
        with host.nothing_lost():
            os.kill(pid, signal.SIGSTOP)
            wait_new_main(pid)
        assert "watchdog" in journal(cursor, "_PID=1").lower(), journal(cursor, "_PID=1")
        assert ids() == before


@case
def an_upgrade_runs_the_new_program_with_the_old_chains():
    with Host() as host, tempfile.TemporaryDirectory() as work:
        host.run_chain("xdp")
        pid, before, old = main_pid(), ids(), os.stat(DAEMON).st_ino

        # What differs in the new version does not matter, as long as it is another file.
        command("tar", "--extract", f"--file={PACKAGE}", f"--directory={work}")
        with open(work + DAEMON, "ab") as file:
            file.write(b"another version")
        command("tar", "--create", f"--file={work}/new.tar", f"--directory={work}", "--owner=root:0",
                "--group=root:0", "./usr")
        with host.nothing_lost():
            command("tar", "--extract", f"--file={work}/new.tar", "--directory=/", "--keep-directory-symlink")
            command("restorecon", "-RF", "/usr/libexec/bpfchain", "/usr/bin/bpfchain")
            systemctl("daemon-reload")
            systemctl("try-restart", UNIT)
            wait_new_main(pid)
        assert os.stat(DAEMON).st_ino != old
        assert os.readlink(f"/proc/{main_pid()}/exe") == DAEMON, "the old program runs"
        with open(f"/proc/{main_pid()}/exe", "rb") as file:
            assert file.read().endswith(b"another version")
        assert ids() == before

        # Back, as a downgrade.
        pid = main_pid()
        command("tar", "--extract", f"--file={PACKAGE}", "--directory=/", "--keep-directory-symlink")
        command("restorecon", "-RF", "/usr/libexec/bpfchain", "/usr/bin/bpfchain")
        systemctl("try-restart", UNIT)
        wait_new_main(pid)
        assert ids() == before


@case
def a_stopped_service_stays_stopped_in_an_upgrade():
    with Host():
        systemctl("stop", UNIT)
        systemctl("try-restart", UNIT)
        assert show(UNIT, "ActiveState") == "inactive"


@case
def it_gives_up_on_a_folder_for_pins_that_is_not_safe_and_says_why():
    """A start that can't work fails in systemd's eyes too."""
    with Host() as host:
        before = host.run_chain("xdp")["link-id"]
        systemctl("stop", UNIT)
        host.drop_in("[Unit]\nStartLimitBurst=2\n[Service]\nRestartSec=100ms\n")
        cursor = journal_cursor()
        os.chmod("/sys/fs/bpf/bpfchain", 0o777)
        try:
            failed = systemctl("start", UNIT, check=False)
            assert failed.returncode != 0, "it started"
            assert "/sys/fs/bpf/bpfchain" in journal(cursor, "-u", UNIT), journal(cursor, "-u", UNIT)
        finally:
            os.chmod("/sys/fs/bpf/bpfchain", 0o700)
            systemctl("stop", UNIT)
            systemctl("reset-failed", UNIT, check=False)
        systemctl("start", UNIT)
        assert host.wait_chain()["link-id"] == before


@case
def the_timer_of_the_metrics_writes_its_file():
    path = "/var/lib/bpfchain-metrics/bpfchain.prom"
    with Host() as host:
        host.run_chain("xdp")
        host.passes(10)
        shutil.rmtree(os.path.dirname(path), ignore_errors=True)
        systemctl("enable", "--now", "bpfchain-metrics.timer")
        try:
            eventually(lambda: os.path.exists(path), timeout=60, interval=0.5)
            with open(path, encoding="utf-8") as file:
                text = file.read()
            assert 'eth0' in text and "bpfchain_" in text and text.endswith("# EOF\n"), text
            owner = command("stat", "-c", "%U %a", path).stdout.strip()
            assert owner == "bpfchain-metrics 644", owner
            first = os.stat(path).st_ino
            eventually(lambda: os.stat(path).st_ino != first, timeout=60, interval=0.5)
            assert show("bpfchain-metrics.service", "Result") == "success"
        finally:
            systemctl("disable", "--now", "bpfchain-metrics.timer")


run_cases()
