#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The private socket: who gets in, which tools work on it, and clients that misbehave."""

import contextlib
import functools
import json
import os
import resource
import select
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import bpfchain_test as bench  # noqa: E402
from bpfchain_test import Lab, Skip, case, eventually, run_cases  # noqa: E402
from bus_lab import NOBODY, memory_counts, memory_kib  # noqa: E402
from dbus_wire import CALL, Client, Error, Gone, encode  # noqa: E402

ROOT, MANAGER, CHAIN = "/org/bpfchain1", "org.bpfchain1.Manager", "org.bpfchain1.Chain"
CHAIN0 = ROOT + "/chain/eth0/xdp"
DRIVER, DRIVER_PATH = "org.freedesktop.DBus", "/org/freedesktop/DBus"
CLIENTS_MAX = 64


class EdgeLab(Lab):
    def __init__(self, **options):
        super().__init__(**options)
        self.install("maps.bpf.o", "verdict.bpf.o")
        self.document("edge", {
            "programs": {"a": {"object": "maps.bpf.o"}, "b": {"object": "verdict.bpf.o", "function": "xdp_verdict"}},
            "chains": [{"interfaces": ["eth0"], "hook": "xdp", "programs": ["a", "b"]}]})
        self.address = "unix:path=" + self.daemon.socket

    def new_client(self, **options):
        client = Client(self.address, timeout=bench.PATIENCE, **options)
        self._stack.callback(client.close)
        return client

    def tool(self, *command):
        if not shutil.which(command[0]):
            raise Skip(f"{command[0]} is not installed")
        return self.inner.run(*command).stdout


def is_served(lab):
    return lab.new_client().get(ROOT, MANAGER, "Version") != ""


@case
def busctl_works():
    with EdgeLab() as lab:
        lab.start()
        busctl = ("busctl", "--no-pager", "--address=" + lab.address)
        tree = lab.tool(*busctl, "tree", "--list", "org.bpfchain1").split()
        assert {ROOT, CHAIN0, ROOT + "/program/a", ROOT + "/map/a/m_5fhash", ROOT + "/interface/eth0"} <= set(tree)
        for path in tree:
            if path.startswith(ROOT):
                lab.tool(*busctl, "introspect", "org.bpfchain1", path)
        lines = lab.tool(*busctl, "introspect", "org.bpfchain1", CHAIN0).splitlines()
        assert [line.split()[1:4] for line in lines if line.startswith(".State ")] == [["property", "s", '"active"']]
        assert lab.tool(*busctl, "get-property", "org.bpfchain1", CHAIN0, CHAIN, "State") == 's "active"\n'
        assert lab.tool(*busctl, "call", "org.bpfchain1", ROOT, MANAGER, "GetChain", "ss", "eth0", "xdp") == \
            f'o "{CHAIN0}"\n'
        assert lab.tool(*busctl, "call", "org.bpfchain1", CHAIN0, CHAIN, "SetOrder", "asa{sv}", "2", "b", "a",
                        "0") == "t 2\n"
        refused = lab.inner.run(*busctl, "set-property", "org.bpfchain1", CHAIN0, CHAIN, "State", "s", "x",
                                check=False)
        assert refused.returncode != 0 and "not writable" in refused.stderr
        names = lab.tool(*busctl, "--json=short", "list")
        assert "org.bpfchain1" in names


@case
def gdbus_works():
    with EdgeLab() as lab:
        lab.start()
        options = ("--address", lab.address, "--dest", "org.bpfchain1", "--object-path")
        assert lab.tool("gdbus", "call", *options, ROOT, "--method", MANAGER + ".GetChain", "eth0", "xdp") == \
            f"(objectpath '{CHAIN0}',)\n"
        assert lab.tool("gdbus", "call", *options, CHAIN0, "--method", CHAIN + ".SetOrder", "['b', 'a']", "{}") == \
            "(uint64 2,)\n"
        assert "readonly s State = 'active';" in lab.tool("gdbus", "introspect", *options, CHAIN0)
        refused = lab.inner.run("gdbus", "call", *options, CHAIN0, "--method", CHAIN + ".Detach",
                                "{'dry-rum': <true>}", check=False)
        assert "org.bpfchain1.Error.InvalidArgument" in refused.stderr, refused.stderr


def wait_for_output(process, word, what):
    """Does `what` again and again until the output has the word."""
    output = b""

    def look():
        nonlocal output
        what()
        while select.select([process.stdout], [], [], 0.2)[0]:
            output += os.read(process.stdout.fileno(), 65536)
        return word in output

    eventually(look)


@case
def monitors_see_the_signals():
    for tool in ("stdbuf", "busctl", "gdbus"):
        if not shutil.which(tool):
            raise Skip(f"{tool} is not installed")
    with EdgeLab() as lab:
        lab.start()
        client = lab.new_client()
        orders = [["b", "a"], ["a", "b"]]

        def change():
            orders.reverse()
            client.call(CHAIN0, CHAIN, "SetOrder", "asa{sv}", orders[0], {})

        for command in (("stdbuf", "-oL", "busctl", "--address=" + lab.address, "monitor", "org.bpfchain1"),
                        ("gdbus", "monitor", "--address", lab.address, "--dest", "org.bpfchain1",
                         "--object-path", ROOT)):
            process = lab.inner.popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            try:
                wait_for_output(process, b"GenerationCommitted", change)
            finally:
                process.kill()
                process.communicate()


@case
def the_bus_driver_answers():
    with EdgeLab() as lab:
        lab.start()
        client = lab.new_client()

        def ask(member, signature="", *arguments):
            return client.call(DRIVER_PATH, DRIVER, member, signature, *arguments, destination=DRIVER)

        assert client.name.startswith(":1.")
        owner = ask("GetNameOwner", "s", "org.bpfchain1")
        assert owner.startswith(":") and owner != client.name
        assert ask("GetNameOwner", "s", DRIVER) == DRIVER
        assert ask("NameHasOwner", "s", "org.bpfchain1") is True
        assert ask("NameHasOwner", "s", "org.example") is False
        assert {"org.bpfchain1", DRIVER, client.name, owner} <= set(ask("ListNames"))
        assert ask("StartServiceByName", "su", "org.bpfchain1", 0) == 2
        assert len(ask("GetId")) == 32
        ask("AddMatch", "s", "type='signal'")
        ask("RemoveMatch", "s", "type='signal'")
        client.call(DRIVER_PATH, "org.freedesktop.DBus.Peer", "Ping", destination=DRIVER)
        try:
            ask("GetNameOwner", "s", "org.example")
            raise AssertionError("a name without owner has one")
        except Error as error:
            assert error.name == "org.freedesktop.DBus.Error.NameHasNoOwner"
        # Replies come from whom they were asked of, as libraries expect it.
        reply = client.reply(client.send(DRIVER_PATH, DRIVER, "GetId", destination=DRIVER))
        assert reply.sender == DRIVER
        assert client.reply(client.send(ROOT, "org.freedesktop.DBus.Peer", "Ping")).sender == owner


@case
def what_follows_authentication_in_one_go_is_read():
    with EdgeLab() as lab:
        lab.start()
        hello = encode(CALL, 1, {"path": DRIVER_PATH, "interface": DRIVER, "member": "Hello", "destination": DRIVER})
        ping = encode(CALL, 2, {"path": ROOT, "interface": "org.freedesktop.DBus.Peer", "member": "Ping"})
        for _ in range(20):
            with socket.socket(socket.AF_UNIX) as raw:
                raw.settimeout(bench.PATIENCE)
                raw.connect(lab.daemon.socket)
                raw.sendall(b"\0AUTH EXTERNAL 30\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n" + hello + ping)
                data = b""
                # Replies to calls 1 and 2: field 5 of the header, a number.
                while not all(bytes((5, 1)) + b"u\0" + bytes((n, 0, 0, 0)) in data for n in (1, 2)):
                    received = raw.recv(4096)
                    assert received, data
                    data += received


@case
def only_root_gets_in():
    with EdgeLab() as lab:
        lab.start()
        status = os.stat(lab.daemon.socket)
        assert stat.S_ISSOCK(status.st_mode) and stat.S_IMODE(status.st_mode) == 0o600 and status.st_uid == 0
        os.chmod(lab.root, 0o711)
        try:
            Client(lab.address, uid=NOBODY)
            raise AssertionError("nobody got in")
        except PermissionError:
            pass
        # Whatever the mode is, the peer's credentials decide.
        os.chmod(lab.daemon.socket, 0o666)
        try:
            Client(lab.address, uid=NOBODY)
            raise AssertionError("nobody got in")
        except (Gone, ConnectionError):
            pass
        assert is_served(lab)


@case
def there_is_room_for_so_many_clients():
    with EdgeLab() as lab:
        lab.start()
        clients = [lab.new_client() for _ in range(CLIENTS_MAX)]
        try:
            lab.new_client()
            raise AssertionError("one too many got in")
        except (Gone, ConnectionError):
            pass
        assert all(c.get(ROOT, MANAGER, "State") for c in clients)
        refused = lab.client("status", status=4)
        assert "closed the connection before anything" in refused.stderr and "64" in refused.stderr, refused.stderr
        clients[0].close()
        eventually(lambda: try_to_connect(lab))


def try_to_connect(lab):
    try:
        return is_served(lab)
    except (Gone, ConnectionError):
        return False


@case
def who_does_not_read_the_replies_is_dropped():
    with EdgeLab() as lab:
        lab.start()
        client = lab.new_client()
        call = encode(CALL, 1000, {"path": ROOT, "interface": "org.freedesktop.DBus.Introspectable",
                                   "member": "Introspect"})
        client.socket.settimeout(bench.PATIENCE)
        try:
            for _ in range(20000):
                client.socket.sendall(call)
            raise AssertionError("a client that does not read was not dropped")
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert is_served(lab)
        assert "does not read" in lab.daemon.log()


@case
def who_does_not_read_the_signals_is_dropped():
    with EdgeLab() as lab:
        lab.start()
        silent, worker = lab.new_client(), lab.new_client()
        many = json.dumps({"programs": {f"p{i}": {"object": "maps.bpf.o"} for i in range(200)}})
        rounds = 0
        while "does not read" not in lab.daemon.log():
            worker.call(ROOT, MANAGER, "Apply", "ssa{sv}", "many", many, {"runtime": ("b", True)})
            worker.call(ROOT, MANAGER, "Withdraw", "sa{sv}", "many", {"runtime": ("b", True)})
            worker.signals.clear()
            rounds += 1
            assert rounds < 100, "a client that does not read was not dropped"
        assert memory_kib(lab) < 200 * 1024 or not memory_counts(), f"{memory_kib(lab)} KiB"
        try:
            while silent._receive(bench.PATIENCE):
                pass
            raise AssertionError("it was not dropped")
        except Gone:
            pass
        assert worker.get(ROOT, MANAGER, "State") == "running"


@case
def the_client_says_when_the_service_ends_before_it_answers():
    with EdgeLab() as lab:
        lab.start()
        lab.daemon.process.send_signal(signal.SIGSTOP)
        waiting = lab.inner.popen([bench.CLIENT, f"--private={lab.daemon.socket}", "reload"], text=True,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        bench.wait_until_connected(waiting.pid)
        lab.daemon.kill()
        shown, said = waiting.communicate(timeout=bench.PATIENCE)
        # Stopped, it let nobody in.
        assert waiting.returncode == 4 and not shown and "closed the connection before anything" in said, said
        assert "in time" not in said, said


def cpu_seconds(lab):
    with open(f"/proc/{lab.daemon.pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def no_descriptor_left(lab):
    """Takes all room for descriptors away; returns what gives it back."""
    limits = resource.prlimit(lab.daemon.pid, resource.RLIMIT_NOFILE)
    used = {int(fd) for fd in os.listdir(f"/proc/{lab.daemon.pid}/fd")}
    free = next(fd for fd in range(len(used) + 1) if fd not in used)
    resource.prlimit(lab.daemon.pid, resource.RLIMIT_NOFILE, (free, limits[1]))
    return lambda: resource.prlimit(lab.daemon.pid, resource.RLIMIT_NOFILE, limits)


def connect_raw(lab):
    raw = socket.socket(socket.AF_UNIX)
    lab._stack.callback(raw.close)
    raw.settimeout(bench.PATIENCE)
    raw.connect(lab.daemon.socket)
    return raw


@case
def without_descriptors_clients_are_turned_away():
    with EdgeLab() as lab:
        lab.start()
        good = lab.new_client()
        assert good.get(ROOT, MANAGER, "State") == "running"
        give_back = no_descriptor_left(lab)
        try:
            for _ in range(50):
                assert connect_raw(lab).recv(1) == b""
            refused = lab.client("status", status=4)
            assert "closed the connection" in refused.stderr, refused.stderr
            assert lab.daemon.log().count("turned away") == 1, lab.daemon.log()
            assert good.get(ROOT, MANAGER, "State") == "running"
        finally:
            give_back()
        assert is_served(lab)
        # Once more, for the descriptor that was kept for this must be there again.
        give_back = no_descriptor_left(lab)
        try:
            assert connect_raw(lab).recv(1) == b""
        finally:
            give_back()
        assert is_served(lab) and lab.daemon.log().count("turned away") == 2


@case
def it_does_not_spin_when_nobody_can_be_accepted():
    if not shutil.which("strace"):
        raise Skip("strace is not installed")
    with EdgeLab() as lab:
        lab.start()
        good = lab.new_client()
        for error in ("ENFILE", "ENOMEM"):
            log = lab.path(f"strace-{error}.log")
            tracer = subprocess.Popen(["strace", "-f", "-qq", "-o", log, "-e", "trace=accept4", "-e",
                                       f"inject=accept4:error={error}", "-p", str(lab.daemon.pid)],
                                      stdin=subprocess.DEVNULL)
            try:
                with open(f"/proc/{lab.daemon.pid}/status", encoding="ascii") as file:
                    eventually(lambda: file.seek(0) == 0 and "TracerPid:\t0\n" not in file.read())
                raw = connect_raw(lab)
                before = cpu_seconds(lab)
                time.sleep(2)
                spent = cpu_seconds(lab) - before
                assert good.get(ROOT, MANAGER, "State") == "running"
            finally:
                tracer.send_signal(signal.SIGINT)
                tracer.wait()
            with open(log, encoding="utf-8") as file:
                tries = file.read().count("INJECTED")
            assert 1 <= tries <= 16 and spent < 0.5, f"{error}: {tries} tries, {spent} s of CPU time in 2 s"
            # Who waited is served then.
            raw.sendall(b"\0AUTH EXTERNAL 30\r\n")
            assert raw.recv(3) == b"OK ", error
            assert is_served(lab)


@case
def nobody_holds_up_the_end():
    with EdgeLab() as lab:
        lab.start()
        # One says nothing, one stops half-way, one does not read.
        connect_raw(lab)
        half = connect_raw(lab)
        half.sendall(b"\0AUTH EXTERNAL 30\r\n")
        assert half.recv(3) == b"OK "
        deaf = lab.new_client()
        call = encode(CALL, 1000, {"path": ROOT, "interface": "org.freedesktop.DBus.Introspectable",
                                   "member": "Introspect"})
        for _ in range(500):
            deaf.socket.sendall(call)
        assert is_served(lab)
        started = time.monotonic()
        lab.daemon.stop()
        assert time.monotonic() - started < bench.PATIENCE / 4


@case
def garbage_ends_one_connection_only():
    with EdgeLab() as lab:
        lab.start()
        good = lab.new_client()
        for garbage in (b"GET / HTTP/1.0\r\n\r\n", b"\0AUTH ANONYMOUS\r\n", b"\0AUTH EXTERNAL 31\r\n",
                        b"\0AUTH EXTERNAL 30\r\nBEGIN\r\n" + b"\xff" * 64,
                        b"\0AUTH EXTERNAL 30\r\nBEGIN\r\nl\1\0\1\xff\xff\xff\x7f\1\0\0\0\xff\xff\xff\x7f" + bytes(64),
                        b"\0" + b"A" * 100000):
            with socket.socket(socket.AF_UNIX) as raw:
                raw.connect(lab.daemon.socket)
                try:
                    raw.sendall(garbage)
                    raw.settimeout(0.2)
                    while raw.recv(4096):
                        pass
                except (TimeoutError, ConnectionError):
                    pass
            assert good.get(ROOT, MANAGER, "State") == "running"
        # One that says nothing at all holds nobody up.
        with socket.socket(socket.AF_UNIX) as mute:
            mute.connect(lab.daemon.socket)
            assert is_served(lab)


@case
def a_dead_socket_is_replaced_and_a_live_one_is_not():
    with EdgeLab() as lab:
        lab.start()
        lab.daemon.kill()
        assert os.path.exists(lab.daemon.socket)
        lab.daemon.start()
        assert is_served(lab)

        second = lab.inner.run(bench.DAEMON, f"--root={lab.root}", f"--bpffs={lab.bpffs}", "--bus=none",
                               f"--socket={lab.daemon.socket}", check=False)
        assert second.returncode == 1 and "another bpfchaind listens" in second.stderr, second.stderr
        assert is_served(lab)

        path = lab.daemon.socket
        lab.daemon.stop()
        assert not os.path.exists(path)


@case
def a_socket_of_systemd_is_served():
    with EdgeLab() as lab:
        path = lab.path("activated")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen()
            # Descriptor 3 and LISTEN_PID are what sd_listen_fds(3) looks for.
            process = lab.inner.popen(
                ["sh", "-c", f'exec 3<&{listener.fileno()}; LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"', "sh", bench.DAEMON,
                 f"--root={lab.root}", f"--bpffs={lab.bpffs}", "--bus=none"],
                pass_fds=(listener.fileno(),), stderr=subprocess.DEVNULL)
        try:
            with Client("unix:path=" + path, timeout=bench.PATIENCE) as client:
                assert client.get(ROOT, MANAGER, "Version")
        finally:
            process.terminate()
            assert process.wait(bench.PATIENCE) == 0
        assert os.path.exists(path)  # systemd's, not ours to remove


# Hands descriptors over as systemd does: from 3 on, no others, with their names.
HAND_OVER = """
import os, sys
descriptors, names = list(map(int, sys.argv[1].split(","))), sys.argv[2]
for i, descriptor in enumerate(descriptors):
    os.dup2(descriptor, 200 + i)
for i in range(len(descriptors)):
    os.dup2(200 + i, 3 + i)
os.closerange(3 + len(descriptors), 300)
os.environ.update(LISTEN_FDS=str(len(descriptors)), LISTEN_FDNAMES=names, LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[3], sys.argv[3:])
"""


@case
def of_several_descriptors_only_the_right_one_is_taken():
    with EdgeLab() as lab, contextlib.ExitStack() as stack:
        path, own = lab.path("activated"), lab.path("own")

        def listener(where, listening=True, kind=socket.SOCK_STREAM):
            one = stack.enter_context(socket.socket(socket.AF_UNIX, kind))
            one.bind(where)
            if listening:
                one.listen()
            return one.fileno()

        null = os.open("/dev/null", os.O_RDWR)
        stack.callback(os.close, null)
        fits, other = listener(path), listener(lab.path("other"))
        deaf = listener(lab.path("deaf"), listening=False)
        datagrams = listener(lab.path("datagrams"), listening=False, kind=socket.SOCK_DGRAM)

        for descriptors, names, expected, refused in (
                ([other, fits, null], "metrics:private:private", path, 2),
                ([null, datagrams, deaf, fits], "private:private:private:private", path, 3),
                ([fits, other], "private:private", path, 1),
                ([null], "private", own, 1),
                ([deaf], "unknown", own, 1),
                ([other], "metrics", own, 1)):
            with lab.inner.popen(
                    [sys.executable, "-c", HAND_OVER, ",".join(map(str, descriptors)), names, bench.DAEMON,
                     f"--root={lab.root}", f"--bpffs={lab.bpffs}", "--bus=none", f"--socket={own}"],
                    pass_fds=set(descriptors), stderr=subprocess.PIPE, text=True) as process:
                try:
                    if expected == own:
                        eventually(functools.partial(os.path.exists, own))
                    with Client("unix:path=" + expected, timeout=bench.PATIENCE) as client:
                        assert client.get(ROOT, MANAGER, "Version")
                    assert os.path.exists(own) == (expected == own), f"{names}: it made a socket of its own"
                    folder = f"/proc/{process.pid}/fd"
                    held = [os.readlink(f"{folder}/{fd}") for fd in os.listdir(folder)]
                    for descriptor in set(descriptors) - {null} - ({fits} if expected == path else set()):
                        assert os.readlink(f"/proc/self/fd/{descriptor}") not in held, f"{names}: it is held still"
                finally:
                    process.terminate()
                    log = process.communicate(timeout=bench.PATIENCE)[1]
            assert process.returncode == 0, log
            assert log.count("is not used") == refused, log
            assert not os.path.exists(own)


bench.require_root()
bench.require_built(bench.DAEMON)
run_cases()
