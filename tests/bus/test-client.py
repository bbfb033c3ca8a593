#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""bpfchain on the system bus: how it finds the service, and what callers see whom polkit refuses or allows."""

import json
import os
import re
import select
import signal
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import bus_lab  # noqa: E402
import bpfchain_test as bench  # noqa: E402
from bpfchain_test import case, eventually  # noqa: E402

RULES = """
polkit.addRule(function (action, subject) {
        if (subject.user == "daemon" && action.id == "org.bpfchain1.manage-chains" &&
            action.lookup("chain") == "eth0/xdp") {
                return polkit.Result.YES;
        }
        return polkit.Result.NOT_HANDLED;
});
"""

DOCUMENT = {
    "programs": {name: {"object": "verdict.bpf.o", "function": "xdp_verdict"} for name in ("a", "b")},
    "chains": [{"interfaces": [eth], "hook": "xdp", "programs": ["a", "b"]} for eth in ("eth0", "eth1")],
}

EVERYBODY_MAY = (["status"], ["programs"], ["programs", "a"], ["maps"], ["interfaces"], ["documents"],
                 ["document", "edge"], ["version"], ["status", "eth0/xdp"], ["guard"], ["guard", "mode"])
ROOT_MAY = (["reload"], ["withdraw", "edge"], ["order", "eth0/xdp", "b", "a"], ["detach", "eth0/xdp"], ["detach", "--all"],
            ["map", "get", "a", "hits", "00000000"], ["map", "set", "a", "hits", "00000000", "0000000000000000"],
            ["map", "del", "a", "hits", "00000000"], ["map", "dump", "a", "hits"], ["rollback"], ["confirm", "1"],
            ["guard", "mode", "enforce"])


class Lab(bus_lab.BusLab):
    """Its client() goes by the system bus."""

    def __init__(self):
        super().__init__(wires=2, rules=RULES)
        try:
            self.install("verdict.bpf.o")
            self.document("edge", DOCUMENT)
            self.start()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise

    @property
    def client_environment(self):
        environment = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": self.address}
        environment.pop("BPFCHAIN_SOCKET", None)
        return environment

    def client(self, *arguments, status=0, user=None, input=None, **_):
        options = {"input": input} if input is not None else {"stdin": subprocess.DEVNULL}
        result = subprocess.run([bench.CLIENT, *arguments], user=user, group=user, extra_groups=[] if user else None,
                                capture_output=True, text=True, env=self.client_environment, timeout=bench.PATIENCE,
                                **options)
        assert result.returncode == status, (f"{arguments}: exit status {result.returncode}, not {status}\n"
                                             f"{result.stdout}{result.stderr}")
        return result


@case
def root_may_all_on_the_bus():
    with Lab() as lab:
        assert lab.chain("eth0", "xdp")["state"] == "active"
        for arguments in EVERYBODY_MAY:
            lab.client(*arguments)
        assert "has its new order" in lab.client("order", "eth0/xdp", "b", "a").stdout
        assert [slot["program"] for slot in lab.chain("eth0", "xdp")["slots"]] == ["b", "a"]
        lab.client("apply", "-", "--name", "edge", input=json.dumps(DOCUMENT))
        lab.client("map", "dump", "a", "hits")


@case
def others_may_look_and_are_told_that_they_may_not_touch():
    with Lab() as lab:
        before = lab.client_json("status")
        for arguments in EVERYBODY_MAY:
            assert lab.client(*arguments, user=bus_lab.NOBODY).stdout == lab.client(*arguments).stdout, arguments
        for arguments in ROOT_MAY:
            result = lab.client(*arguments, user=bus_lab.NOBODY, status=3)
            assert not result.stdout and result.stderr.startswith("Refused: "), result.stderr
            assert "root" in result.stderr and "rule" in result.stderr, result.stderr
        result = lab.client("apply", "-", "--name", "x", user=bus_lab.NOBODY, status=3, input="{}")
        assert "Refused" in result.stderr, result.stderr
        assert lab.client_json("status") == before


@case
def a_rule_gives_one_chain():
    with Lab() as lab:
        lab.client("order", "eth0/xdp", "b", "a", user=bus_lab.DAEMON_USER)
        assert [slot["program"] for slot in lab.chain("eth0", "xdp")["slots"]] == ["b", "a"]
        lab.client("order", "eth1/xdp", "b", "a", user=bus_lab.DAEMON_USER, status=3)
        lab.client("reload", user=bus_lab.DAEMON_USER, status=3)


@case
def without_the_service_it_says_so():
    with Lab() as lab:
        lab.daemon.stop()
        for user in (None, bus_lab.NOBODY):
            result = lab.client("status", user=user, status=4)
            assert "systemctl start bpfchaind" in result.stderr, result.stderr
        lab.stop_bus()
        result = lab.client("status", status=4)
        assert "there is no system bus" in result.stderr, result.stderr


@case
def it_says_when_the_service_ends_before_it_answers():
    with Lab() as lab:
        lab.daemon.process.send_signal(signal.SIGSTOP)
        waiting = subprocess.Popen([bench.CLIENT, "reload"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, env=lab.client_environment)
        bench.wait_until_connected(waiting.pid)
        lab.daemon.kill()
        shown, said = waiting.communicate(timeout=bench.PATIENCE)
        assert waiting.returncode == 4 and not shown, said
        assert "closed the connection before it answered" in said and "in time" not in said, said


@case
def the_private_socket_is_for_root_only():
    with Lab() as lab:
        lab.client(f"--private={lab.daemon.socket}", "status")
        os.chmod(lab.root, 0o755)
        result = lab.client(f"--private={lab.daemon.socket}", "status", user=bus_lab.NOBODY, status=3)
        assert "root" in result.stderr, result.stderr


@case
def monitor_sees_the_service_go_and_come():
    with Lab() as lab:
        process = subprocess.Popen([bench.CLIENT, "monitor"], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
                                   env=lab.client_environment, user=bus_lab.NOBODY, group=bus_lab.NOBODY)
        os.set_blocking(process.stdout.fileno(), False)
        seen = [""]

        def says(pattern):
            while select.select([process.stdout], [], [], 0.02)[0]:
                piece = process.stdout.read()
                if not piece:
                    break
                seen[0] += piece.decode()
            return re.search(pattern, seen[0], re.M)

        try:
            bench.wait_until_connected(process.pid)
            lab.client("order", "eth0/xdp", "b", "a")
            eventually(lambda: says(r"generation \d+ +committed"))
            eventually(lambda: says(r"chain eth0/xdp +"))
            lab.daemon.stop()
            eventually(lambda: says(r"bpfchaind +stopped; chains run on$"))
            lab.start()
            eventually(lambda: says(r"bpfchaind +started$"))
            lab.client("order", "eth0/xdp", "a", "b")
            eventually(lambda: says(r"bpfchaind +started$[^$]*generation \d+ +committed"))
        finally:
            process.kill()
            process.communicate()


def setup():
    bus_lab.require_bus()
    bench.require_built()


bench.run_cases(setup)
