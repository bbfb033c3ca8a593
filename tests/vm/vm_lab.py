# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the scripts of tests/vm share. They run as root inside of the test VM (tools/vm), on a system in which
bpfchain was installed as packages install it; so they use the commands that an administrator uses, and the machine's
own interfaces, units and files.

    from vm_lab import Host, case, run_cases

    @case
    def it_starts():
        with Host() as host:
            host.document("edge", {"programs": {…}, "chains": […]})
            host.systemctl("reload", UNIT)
            …

    run_cases()
"""

import contextlib
import glob
import json
import os
import shutil
import subprocess
import time

from bpfchain_test import BUILD, PATIENCE, Namespace, Receiver, Skip, Wire, case, eventually, run_cases  # noqa: F401

UNIT = "bpfchaind.service"
DAEMON = "/usr/libexec/bpfchain/bpfchaind"
CLIENT = "/usr/bin/bpfchain"
PACKAGE = "/usr/libexec/bpfchain-vm/package.tar"
DOCUMENTS = "/etc/bpfchain/chains.d"
OBJECTS = "/etc/bpfchain/objects"
POLKIT_RULES = "/etc/polkit-1/rules.d/50-bpfchain-test.rules"
DROP_INS = f"/run/systemd/system/{UNIT}.d"

ROOT_OBJECT = "/org/bpfchain1"
MANAGER = "org.bpfchain1.Manager"
CHAIN = "org.bpfchain1.Chain"

USERS = {"alice": 1000, "bob": 1001}  # bob is in the group netops


def command(*words, check=True, user=None, timeout=None, **options):
    """Runs a command, as a user if so wanted; returns the finished process, output as text."""
    words = [str(word) for word in words]
    if user:
        number = str(USERS[user])
        words = ["setpriv", f"--reuid={number}", f"--regid={number}", "--init-groups", "--"] + words
    if "input" not in options:
        options.setdefault("stdin", subprocess.DEVNULL)
    result = subprocess.run(words, capture_output=True, text=True, check=False, timeout=timeout or PATIENCE,
                            **options)
    assert not check or result.returncode == 0, (
        f"{' '.join(words)}: exit status {result.returncode}\n{result.stdout}{result.stderr}")
    return result


def systemctl(*words, **options):
    return command("systemctl", *words, **options)


def show(unit, name):
    """One property of a unit."""
    return systemctl("show", "--value", f"--property={name}", unit).stdout.strip()


def main_pid():
    return int(show(UNIT, "MainPID"))


def client(*words, **options):
    return command(CLIENT, *words, **options)


def client_json(*words, **options):
    return json.loads(client("--json=short", *words, **options).stdout)


def busctl(*words, **options):
    return command("busctl", "--timeout=60", *words, **options)


def chain_path(interface="eth0", hook="xdp"):
    return f"{ROOT_OBJECT}/chain/{interface}/{hook.replace('-', '_2d')}"


def chains():
    """All chains by (interface, hook)."""
    return {(chain["interface"], chain["hook"]): chain
            for interface in client_json("status")["interfaces"] for chain in interface["chains"]}


def ids():
    """Of all chains, what must stay when nothing changes."""
    return {key: (chain["link-id"], chain["program-id"]) for key, chain in chains().items()}


def journal_cursor():
    return command("journalctl", "-n", "0", "--show-cursor").stdout.split("-- cursor: ")[1].strip()


def journal(cursor, *matches):
    """Messages since then."""
    return command("journalctl", "--after-cursor", cursor, "--output=cat", *matches).stdout


def avcs(cursor=None):
    """SELinux's denials, of this boot or since then. The records take a moment to arrive."""
    time.sleep(0.5)
    words = ["journalctl", "--output=cat", "_TRANSPORT=audit"]
    words += ["--after-cursor", cursor] if cursor else ["--boot"]
    return [line for line in command(*words).stdout.splitlines() if "avc:" in line and "denied" in line]


class RootNamespace(Namespace):
    """The network namespace that the machine's own interfaces are in."""

    def __init__(self):  # pylint: disable=super-init-not-called
        self.label = "root"
        self.fd = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        for name in ("all", "default"):
            self.sysctl(f"net.ipv6.conf.{name}.disable_ipv6", 1)
            self.sysctl(f"net.ipv4.conf.{name}.rp_filter", 0)


class Host:
    """The machine with interfaces `eth0` (and as many more as asked for), whose other ends are in a namespace, the
    service running and no document; all of that is so again at the end."""

    def __init__(self, wires=1):
        self._stack = contextlib.ExitStack()
        self._wires = wires
        self._cursor = None

    def __enter__(self):
        self._cursor = journal_cursor()
        try:
            self._clean()
            os.makedirs(OBJECTS, exist_ok=True)
            self._stack.callback(shutil.rmtree, OBJECTS, ignore_errors=True)
            for name in ("verdict.bpf.o", "order.bpf.o"):
                shutil.copy(os.path.join(BUILD, "tests/bpf", name), OBJECTS)
            self.inner = self._stack.enter_context(RootNamespace())
            self.outer = self._stack.enter_context(Namespace("outer"))
            self.wires = [self._wire(f"eth{i}") for i in range(self._wires)]
        except BaseException:
            self._stack.close()
            raise
        return self

    def _wire(self, name):
        wire = Wire(self.inner, self.outer, name)
        self._stack.callback(self.inner.ip, "link", "del", name, check=False)
        return wire

    def __exit__(self, kind, *_):
        if kind is not None:
            for line in command("journalctl", "--after-cursor", self._cursor, "--output=short-monotonic",
                                "--no-hostname", "_TRANSPORT=journal", "+", "_TRANSPORT=stdout", "+",
                                "_TRANSPORT=syslog", check=False).stdout.splitlines()[-40:]:
                print(f"# journal: {line}")
        self._stack.close()
        self._clean()

    @staticmethod
    def _clean():
        for path in glob.glob(f"{DOCUMENTS}/*.json") + glob.glob("/run/bpfchain/chains.d/*.json"):
            os.unlink(path)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(POLKIT_RULES)
        if os.path.exists(DROP_INS):
            shutil.rmtree(DROP_INS)
            systemctl("daemon-reload")
            systemctl("restart", UNIT)
        systemctl("reset-failed", UNIT, check=False)
        systemctl("start", UNIT)
        client("reload")

    @property
    def wire(self):
        return self.wires[0]

    # Configuration

    def document(self, name, contents):
        with open(os.path.join(DOCUMENTS, f"{name}.json"), "w", encoding="utf-8") as file:
            json.dump(contents, file)

    def drop_in(self, text):
        """Other settings of the unit, in effect from the next start on."""
        os.makedirs(DROP_INS, exist_ok=True)
        with open(os.path.join(DROP_INS, "test.conf"), "w", encoding="utf-8") as file:
            file.write(text)
        systemctl("daemon-reload")

    def run_chain(self, hook="xdp", verdict=None, interface="eth0", program="a"):
        """A document with one chain of one program that counts, in effect."""
        function = ("xdp" if hook == "xdp" else "tc") + "_verdict"
        description = {"object": "verdict.bpf.o", "function": function}
        if verdict is not None:
            description["globals"] = {"verdict": verdict}
        self.document(f"{interface}-{hook}", {
            "programs": {program: description},
            "chains": [{"interfaces": [interface], "hook": hook, "programs": [program], "counters": "all"}]})
        client("reload")
        return self.wait_chain(interface, hook)

    def wait_chain(self, interface="eth0", hook="xdp", state="active"):
        def come():
            chain = chains().get((interface, hook))
            assert chain, f"there is no chain {interface}/{hook}"
            assert chain["state"] == state, f"{interface}/{hook} is {chain['state']}: {chain['reason']}"
            return chain
        return eventually(come, interval=0.2)

    # Traffic

    @contextlib.contextmanager
    def _ends(self):
        with contextlib.closing(Receiver(self.inner)) as receiver, contextlib.closing(self.wire.sender()) as sender:
            yield receiver, sender

    def passes(self, count=50, expected=None):
        """Sends packets; so many must arrive (all, unless told otherwise)."""
        with self._ends() as (receiver, sender):
            sender.send(count)
            arrived = len(receiver.take(count, timeout=5 if expected is None else 1))
        assert arrived == (count if expected is None else expected), f"{arrived} of {count} packets arrived"

    @contextlib.contextmanager
    def nothing_lost(self, rate=200):
        """While the block runs packets go through eth0, and every one arrives, in order."""
        with self._ends() as (receiver, sender):
            lost = self.wire.lost()
            with sender.stream(rate):
                time.sleep(0.2)
                yield
                time.sleep(0.2)
            receiver.take(sender.sent, timeout=5)
            missing = sender.sent - len(receiver.packets) - (self.wire.lost() - lost)
        assert sender.sent >= 20, f"only {sender.sent} packets were sent"
        assert missing == 0, f"{missing} of {sender.sent} packets are missing"
        assert receiver.numbers == sorted(receiver.numbers), "packets came in another order"


def hits(program="a"):
    """What a program of tests/bpf counted: packets that it saw."""
    entry = client_json("map", "get", program, "hits", "00000000")
    return sum(int.from_bytes(bytes.fromhex(value), "little") for value in entry.get("values") or [entry["value"]])


def wait_new_main(before):
    """Waits until the service runs as another process than before; returns its number."""
    def come():
        now = main_pid()
        return now not in (0, before) and show(UNIT, "ActiveState") == "active" and now
    return eventually(come, interval=0.2)
