# SPDX-License-Identifier: LGPL-2.1-or-later
"""A machine on which others do things to hooks of chains, for the scripts test-guard-*: what they did, what the guard
told of it, and whether packets still go through our chain.

The service is asked by its private socket, which answers in a moment where a client's start would take a tenth of a
second; with SELinux permissive, so that it is the guard that decides."""

import atexit
import contextlib
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time

from bpfchain_test import PATIENCE, Receiver, Wire, eventually
from vm_lab import BUILD, CHAIN, DROP_INS, ROOT_OBJECT, UNIT, Host, chain_path, command, main_pid, systemctl

sys.path.insert(0, os.path.join(os.environ["BPFCHAIN_SOURCE"], "tests", "bus"))
import dbus_wire  # noqa: E402  pylint: disable=wrong-import-position

FOE = os.path.join(BUILD, "tests/vm/foe")
FOE_OBJECT = os.path.join(BUILD, "tests/vm/foe.bpf.o")
FOE_PINS = "/sys/fs/bpf/foe"
OUR_PINS = "/sys/fs/bpf/bpfchain"
SETTINGS = "/etc/bpfchain/bpfchain.json"
PRIVATE = "unix:path=/run/bpfchain/private"
GUARD = (f"{ROOT_OBJECT}/guard", "org.bpfchain1.Guard")
MANAGER = (ROOT_OBJECT, "org.bpfchain1.Manager")
AGENT = "bpfchain-vm-agent.service"

# As a machine would be set up on which chains are to stay, whatever happens.
GUARD_SETTINGS = {"restore": "always", "check-interval": "200ms"}


@dataclasses.dataclass
class Done:
    """What became of somebody's command."""
    pid: int
    status: int
    output: str
    words: list

    def __str__(self):
        return f"{' '.join(self.words)}: exit status {self.status}: {self.output.strip()}"


class Arena:
    """eth0 with a chain on one hook; its other end in a namespace; a foreign program of each kind, pinned."""

    def __init__(self, hook="xdp", settings=None, mode="off", **guard):
        self.hook, self.mode = hook, mode
        self.settings = dict(settings or {})
        self.guard = {**GUARD_SETTINGS, **guard}
        self._stack = contextlib.ExitStack()
        self._bus = None
        self._connections = 0
        self._sender = self._receiver = None

    def __enter__(self):
        try:
            self.sweep()
            command("setenforce", "0")
            self._stack.callback(command, "setenforce", "1")
            self.host = self._stack.enter_context(Host())
            self._stack.callback(self.restore_settings)
            self.load_foe()
            mode = self.mode
            self.configure(mode="off", restart=bool(self.settings))
            self.host.run_chain(self.hook)
            self.host.inner.ip("link", "property", "add", "dev", "eth0", "altname", "a-longer-name-of-eth0")
            if mode != "off":
                self.configure(mode=mode)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *details):
        self.close_wire()
        if self._bus:
            self._bus.close()
        return self._stack.__exit__(*details)

    @staticmethod
    def sweep():
        """What a case that went wrong may have left."""
        with contextlib.suppress(AssertionError, ProcessLookupError):
            os.kill(main_pid() or os.getpid(), signal.SIGCONT)
        if not os.path.ismount("/sys/fs/bpf"):
            command("mount", "-t", "bpf", "bpf", "/sys/fs/bpf", "-o", "mode=700")
        for name in ("eth0", "peer0"):
            command("ip", "link", "del", name, check=False)

    def load_foe(self):
        """Before the guard is, so that these programs exist when it comes."""
        shutil.rmtree(FOE_PINS, ignore_errors=True)
        command("bpftool", "prog", "loadall", FOE_OBJECT, FOE_PINS)
        self._stack.callback(shutil.rmtree, FOE_PINS, ignore_errors=True)
        self.foe_xdp, self.foe_tc = f"{FOE_PINS}/foe_xdp", f"{FOE_PINS}/foe_tc"
        shown = command("bpftool", "--json", "prog", "show", "pinned", self.foe_tc).stdout
        self.foe_tc_id = json.loads(shown)["id"]

    # The service

    def configure(self, restart=False, **guard):
        """Other settings of the guard, in effect."""
        self.guard.update(guard)
        text = json.dumps({**self.settings, "guard": self.guard})
        with open(SETTINGS, "w", encoding="utf-8") as file:
            file.write(text)
        if restart:
            systemctl("restart", UNIT)
        else:
            systemctl("reload", UNIT)
        self.mode = self.guard.get("mode", "off")
        state = self.get_all()
        # By fmod_ret it is less than it could be, and says so.
        reason = "" if state["Technique"] == "fmod_ret" else state["Reason"]
        assert (state["Mode"], reason) == (self.mode, ""), f"{state['Mode']}: {state['Reason']}"

    def restore_settings(self):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(SETTINGS)
        if os.path.exists(DROP_INS):
            shutil.rmtree(DROP_INS)
            systemctl("daemon-reload")
        systemctl("reset-failed", UNIT, check=False)
        systemctl("restart", UNIT)
        self.call(*GUARD, "SetMode", "sa{sv}", "settings", {})

    @property
    def bus(self):
        if self._bus is None:
            def connect():
                with contextlib.suppress(OSError, dbus_wire.Gone):
                    return dbus_wire.Client(PRIVATE, hello=False, timeout=PATIENCE)
                return None
            self._bus = eventually(connect, interval=0.1)
            self._connections += 1
        return self._bus

    def call(self, path, interface, member, signature="", *arguments):
        """Once more where the service was another process before."""
        for last in (False, True):
            try:
                return self.bus.call(path, interface, member, signature, *arguments)
            except (dbus_wire.Gone, OSError):
                if self._bus:
                    self._bus.close()
                self._bus = None
                if last:
                    raise
        raise AssertionError("unreachable")

    def properties(self, path, interface):
        return self.call(path, "org.freedesktop.DBus.Properties", "GetAll", "s", interface)

    def get_all(self):
        return self.properties(*GUARD)

    def get(self, name):
        return self.get_all()[name]

    def chain(self):
        return self.properties(chain_path("eth0", self.hook), CHAIN)

    def identity(self):
        chain = self.chain()
        assert chain["State"] == "active", f"the chain is {chain['State']}: {chain['Reason']}"
        return chain["LinkId"], chain["ProgramId"]

    def ifindex(self, name="eth0"):
        with open(f"/sys/class/net/{name}/ifindex", encoding="ascii") as file:
            return int(file.read())

    def pin(self, kind="links"):
        return f"{OUR_PINS}/{kind}/if{self.ifindex()}-{self.hook}"

    def filter(self):
        """(priority, handle) of our filter on clsact."""
        shown = json.loads(command("tc", "-json", "filter", "show", "dev", "eth0", "ingress").stdout)
        ours = next(item for item in shown if item.get("options", {}).get("prog", {}).get("id") == self.identity()[1])
        return ours["pref"], ours["options"]["handle"]

    def function(self):
        """The name of our program's own function, the first one."""
        shown = json.loads(command("bpftool", "--json", "prog", "show", "id", self.identity()[1]).stdout)
        return shown["name"]

    def map_id(self):
        """Of a map that our program uses."""
        return json.loads(command("bpftool", "--json", "prog", "show", "id", self.identity()[1]).stdout)["map_ids"][0]

    # Events

    def events(self, since=0):
        return self.call(*GUARD, "GetEvents", "tu", since, 0)

    def mark(self):
        """What is known by now, for fresh()."""
        counts = {event["sequence"]: event["count"] for event in self.events()}
        return self._connections, counts

    def fresh(self, mark):
        """What came since: new events, and those that stand for more than before. Another process of the service
        begins to count anew."""
        events, (connections, counts) = self.events(), mark
        if connections != self._connections:
            counts = {}
        return [event for event in events if event["count"] > counts.get(event["sequence"], 0)]

    def wait_event(self, mark, wanted, what, timeout=10):
        """The first fresh event that is wanted; `what` says which that is."""
        def come():
            found = self.fresh(mark)
            for event in found:
                if wanted(event):
                    return event
            told = "\n  ".join(say(event) for event in found if event["what"] != "program-loaded") or "nothing"
            raise AssertionError(f"no event of {what}; told was\n  {told}")
        return eventually(come, timeout=timeout, interval=0.03)

    # Others

    def foreign(self, *words, namespace=None, user=None, timeout=30):
        """Somebody's command; its pid is known, for that is what the guard must tell."""
        words = [str(word) for word in words]
        if user:
            words = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--", *words]
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        process = namespace.popen(words, **options) if namespace else subprocess.Popen(words, **options)
        with process:
            try:
                output = process.communicate(timeout=timeout)[0]
            except subprocess.TimeoutExpired:
                process.kill()
                raise AssertionError(f"{' '.join(words)} did not end in {timeout} s") from None
        return Done(process.pid, process.returncode, output, words)

    def foe(self, *words, **options):
        return self.foreign(FOE, *words, **options)

    @contextlib.contextmanager
    def holding(self, *words):
        """A foe that keeps what it made while the block runs; gives its Done so far."""
        words = [FOE, "-w", *map(str, words)]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True) as process:
            line = process.stdout.readline()
            held = line[:1].isdigit()
            yield Done(process.pid, 0 if held else 1, line, words)
            process.stdin.close()
            process.wait(10)

    # Packets

    def close_wire(self):
        for end in (self._sender, self._receiver):
            if end:
                end.close()
        self._sender = self._receiver = None

    def rewire(self):
        """eth0 once more, after somebody took it away."""
        self.close_wire()
        for namespace in (self.host.inner, self.host.outer):
            namespace.ip("link", "del", "eth0", check=False)
        self.host.wires[0] = Wire(self.host.inner, self.host.outer, "eth0")
        self.host.inner.ip("link", "property", "add", "dev", "eth0", "altname", "a-longer-name-of-eth0")

    def packets_pass(self, count=5):
        """Real packets go through our chain, which counts them, and through nobody else's."""
        if self._sender is None:
            self._receiver, self._sender = Receiver(self.host.inner), self.host.wire.sender()
        before = self.chain()["Packets"]
        self._receiver.drain(0)
        self._sender.send(count)
        arrived = len(self._receiver.take(count, timeout=5))
        assert arrived == count, f"{arrived} of {count} packets arrived"
        counted = self.chain()["Packets"] - before
        assert counted == count, f"our chain saw {counted} of {count} packets"

    def whole(self, patience=15):
        """The chain is on its hook, and works; put back if that takes a moment."""
        eventually(self.identity, timeout=patience, interval=0.05)
        if self._sender is None:
            self.packets_pass()
            return
        deadline = time.monotonic() + patience
        while True:
            try:
                return self.packets_pass()
            except AssertionError:
                if time.monotonic() > deadline:
                    raise


class Stage:
    """An arena that cases share, for making one takes its time: made when the first of them needs it, and anew after
    a case that went wrong. There is one at a time."""

    current = None

    def __init__(self, hook="xdp", settings=None, mode="off"):
        self.options = (hook, settings, mode)
        self.arena = None

    @contextlib.contextmanager
    def used(self, **guard):
        """The arena, whole, with these settings of the guard besides."""
        if Stage.current is not self:
            Stage.leave()
            arena = Arena(*self.options)
            arena.__enter__()
            Stage.current, self.arena = self, arena
        usual = dict(self.arena.guard)
        try:
            if guard:
                self.arena.configure(**guard)
            yield self.arena
            if guard:
                self.arena.guard = usual
                self.arena.configure()
            if os.path.exists(DROP_INS):
                shutil.rmtree(DROP_INS)
                systemctl("daemon-reload")
        except BaseException:
            Stage.leave()
            raise

    @classmethod
    def leave(cls):
        stage, cls.current = cls.current, None
        if stage:
            stage.arena.__exit__(*sys.exc_info())


atexit.register(Stage.leave)


def say(event):
    who = event["who"]
    return (f"{event['what']} {event['verdict']} {event.get('rule', '')} {event.get('interface', '')}"
            f"/{event.get('hook', '')} {event.get('detail', '')} -> {event['outcome']} by {who.get('pid', '?')} "
            f"{who.get('executable', '?')} {who.get('unit', '?')} (x{event['count']}, {event['source']})")


def cpu_seconds(pid):
    """That the process used so far."""
    with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
        return int(file.read().split()[0]) / 1e9
