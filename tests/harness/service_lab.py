# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests of the whole service share, on top of bpfchain_test: reading chains, documents for the programs of
tests/bpf, and traffic that records which programs it met."""

import contextlib
import json
import os
import re
import subprocess
import sys
import time

from bpfchain_test import BUILD, PATIENCE, SOURCE, Lab, eventually

sys.path.append(os.path.join(SOURCE, "tests", "bus"))
import dbus_wire  # noqa: E402

ORDER_TRAFFIC = os.path.join(BUILD, "tests", "netns", "order-traffic")

XDP_VERDICTS = ["aborted", "drop", "pass", "tx", "redirect"]
TC_VERDICTS = ["next", "ok", "reclassify", "shot", "pipe", "stolen", "queued", "repeat", "redirect", "trap"]


def xdp(name):
    """The value of an XDP verdict."""
    return XDP_VERDICTS.index(name)


def tc(name):
    """The value of a TC verdict."""
    return TC_VERDICTS.index(name) - 1


def function_of(hook, kind):
    return ("xdp_" if hook == "xdp" else "tc_") + kind


def verdict_program(hook, verdict=None):
    """A program that counts and answers so."""
    program = {"object": "verdict.bpf.o", "function": function_of(hook, "verdict")}
    if verdict is not None:
        program["globals"] = {"verdict": verdict}
    return program


def order_program(number, hook="xdp", generation=0, **more):
    """A program that puts its number and generation into packets with a trace."""
    return {"object": "order.bpf.o", "function": function_of(hook, "order"),
            "globals": {"id": number, "generation": generation, **more}}


def simple_document(hook="xdp", interfaces=("eth0",), name="a", **chain):
    return {"programs": {name: verdict_program(hook)},
            "chains": [{"interfaces": list(interfaces), "hook": hook, "programs": [name], "counters": "all",
                        **chain}]}


def without_counters(item):
    """Of a chain, a slot or a program."""
    if isinstance(item, list):
        return [without_counters(i) for i in item]
    if not isinstance(item, dict):
        return item
    return {name: without_counters(value) for name, value in item.items()
            if name not in ("packets", "bytes", "ended", "ended-bytes", "endings", "verdicts", "run-count",
                            "run-time-nsec")}


class ServiceLab(Lab):
    """A Lab with the objects of the suites installed."""

    OBJECTS = ["verdict.bpf.o", "order.bpf.o"]

    def _build(self, *arguments):
        super()._build(*arguments)
        self.install(*self.OBJECTS)

    def __exit__(self, kind, *rest):
        super().__exit__(kind, *rest)
        if kind is None:
            assert_clean(self.log_text)

    # Reading

    def status(self):
        return self.client_json("status")

    def chains(self, status=None):
        """All chains by (interface, hook)."""
        return {(chain["interface"], chain["hook"]): chain
                for interface in (status or self.status())["interfaces"] for chain in interface["chains"]}

    def chain(self, interface="eth0", hook="xdp"):
        return self.chains()[interface, hook]

    def slot(self, program, interface="eth0", hook="xdp"):
        return next(s for s in self.chain(interface, hook)["slots"] if s["program"] == program)

    def order(self, interface="eth0", hook="xdp"):
        return [slot["program"] for slot in self.chain(interface, hook)["slots"]]

    def ids(self, interface="eth0", hook="xdp"):
        chain = self.chain(interface, hook)
        return chain["link-id"], chain["program-id"]

    def all_ids(self):
        return {key: (chain["link-id"], chain["program-id"]) for key, chain in self.chains().items()}

    def problems(self):
        return self.status()["manager"]["problems"]

    @property
    def generation(self):
        return self.status()["manager"]["generation"]

    def wait_chain(self, interface="eth0", hook="xdp", state="active"):
        """Waits for the state; returns the chain."""
        def come():
            chain = self.chains().get((interface, hook))
            assert chain, f"there is no chain {interface}/{hook}"
            assert chain["state"] == state, f"{interface}/{hook} is {chain['state']}: {chain['reason']}"
            return chain
        return eventually(come)

    def wait_no_chain(self, interface, hook="xdp"):
        eventually(lambda: (interface, hook) not in self.chains())

    def counted(self, map_name, program, key="00 00 00 00"):
        """The sum over all CPUs of a per-CPU map of __u64, or the value of another one."""
        entry = self.client_json("map", "get", program, map_name, key)
        values = entry.get("values") or [entry["value"]]
        return sum(int.from_bytes(bytes.fromhex(value)[:8], "little") for value in values)

    def held(self):
        """BPF objects that the service holds by descriptors: ("prog", id), ("map", id), ("link", id), sorted."""
        found = []
        folder = f"/proc/{self.daemon.pid}/fdinfo"
        for fd in os.listdir(folder):
            with contextlib.suppress(FileNotFoundError), open(f"{folder}/{fd}", encoding="ascii") as file:
                text = file.read()
                found += re.findall(r"^(prog|map|link)_id:\s*(\d+)", text, re.M)
        return sorted(found)

    def snapshot(self):
        """All that a change which fails, or is only tried, must leave as it is."""
        status = self.status()
        return {
            "generation": status["manager"]["generation"],
            "problems": status["manager"]["problems"],
            "chains": {key: without_counters(chain) for key, chain in self.chains(status).items()},
            "programs": [without_counters(program) for program in self.client_json("programs")],
            "maps": {m["path"]: (m["map-id"], m["pin"]) for m in self.client_json("maps")},
            "documents": self.client("documents").stdout,
            "pins": self.pins(),
            "held": self.held(),
            "files": sorted(os.path.join(folder, name)
                            for top in ("etc/bpfchain", "run/bpfchain/chains.d", "run/bpfchain/objects")
                            for folder, _, names in os.walk(self.path(top)) for name in names),
        }

    def assert_unchanged(self, before):
        after = self.snapshot()
        for name, value in before.items():
            assert after[name] == value, f"{name} changed:\n{value}\nbecame\n{after[name]}"

    def pins(self):
        """What is pinned, by path below our bpffs."""
        return sorted(os.path.relpath(os.path.join(folder, name), self.bpffs)
                      for folder, _, names in os.walk(self.bpffs) for name in names)

    def links(self):
        """All interfaces inside, as ip(8) has them."""
        return json.loads(self.inner.ip("-json", "link", "show").stdout)

    def attached(self, interface, namespace=None):
        """What ip(8) says about XDP on the interface: (mode, program id), or None."""
        link = (namespace or self.inner).link(interface)
        if not link or "xdp" not in link:
            return None
        return {1: "native", 2: "generic"}[link["xdp"]["mode"]], link["xdp"]["prog"]["id"]

    # Service

    @property
    def log_text(self):
        return self.daemon.log()

    def restart(self, crash=True):
        if crash:
            self.daemon.kill()
        else:
            self.daemon.stop()
        self.daemon.start()

    def proc(self, name):
        with open(f"/proc/{self.daemon.pid}/{name}", encoding="ascii", errors="replace") as file:
            return file.read()

    def fd_count(self):
        return len(os.listdir(f"/proc/{self.daemon.pid}/fd"))

    @property
    def sanitized(self):
        """AddressSanitizer keeps freed memory for a while by design, so that memory says little."""
        return "asan" in self.proc("maps")

    def rss(self):
        """Resident memory, in KiB."""
        return int(re.search(r"^VmRSS:\s*(\d+) kB", self.proc("status"), re.M)[1])

    def bus(self):
        """A connection to the private socket, for what is to be quick; it ends with the lab."""
        client = dbus_wire.Client(f"unix:path={self.daemon.socket}", hello=False, timeout=PATIENCE)
        self._stack.callback(client.close)
        return client

    # Traffic

    def receive_exactly(self, sender, receiver, count=20, expected=None, **options):
        """Sends `count` packets; exactly `expected` (default: all) must arrive."""
        sender.send(count, **options)
        expected = count if expected is None else expected
        arrived = len(receiver.take(expected, timeout=3))
        assert arrived == expected, f"{arrived} of {count} packets arrived, not {expected}"

    @contextlib.contextmanager
    def traffic(self, wire=None, rate=0, port=9100, warm_up=0.1):
        """Sends packets with a trace in the background, as many as go or at a rate. Gives a Traffic, whose figures
        are there when the block is left."""
        wire = wire or self.wire
        # Where the queue in front of a full ring stops the sender (kernel 6.16), nothing is lost on the wire.
        wire.outer.run("tc", "qdisc", "replace", "dev", wire.outer_name, "root", "pfifo", "limit", "10000")
        lost = wire.lost()
        command = [ORDER_TRAFFIC, wire.outer.fd, wire.outer_name, wire.outer_mac.hex(":"), wire.outer_address,
                   wire.inner.fd, wire.inner_mac.hex(":"), wire.inner_address, port, rate]
        with subprocess.Popen(list(map(str, command)), pass_fds=(wire.outer.fd, wire.inner.fd), text=True,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            result = Traffic()
            try:
                time.sleep(warm_up)
                yield result
                time.sleep(warm_up)
                result.fill(json.loads(process.communicate(timeout=PATIENCE)[0]), wire.lost() - lost)
            finally:
                process.kill()


class Traffic:
    """What became of the packets: see order-traffic.c. `wire_lost` were lost before they met any program."""

    sent = received = missing = disorder = dropped = overflow = wire_lost = 0
    runs = ()

    def fill(self, figures, wire_lost):
        self.__dict__.update(figures)
        self.wire_lost = wire_lost

    def traces(self):
        """The traces in order of arrival, each as ((id, generation), …), with neighbours that are alike as one."""
        return [tuple(zip(entries[::2], entries[1::2])) for _, _, entries in self.runs]

    def assert_nothing_lost(self):
        assert self.sent > 0, "nothing was sent"
        assert self.dropped == 0, f"the test's own socket dropped {self.dropped} packets"
        assert self.overflow == 0, f"{self.overflow} packets met too many programs"
        assert self.disorder == 0, f"{self.disorder} of {self.sent} packets were overtaken or came twice"
        assert self.missing == self.wire_lost, (
            f"{self.missing} of {self.sent} packets are missing; the wire itself lost {self.wire_lost}")
        # What the wire loses is not the chain's, but where it loses much, this shows little.
        assert self.wire_lost <= self.sent // 2, f"the wire lost {self.wire_lost} of {self.sent} packets"


def assert_clean(log):
    """No sanitizer has anything to say, and no assertion failed."""
    for line in log.splitlines():
        assert not re.search(r"ERROR: \w+Sanitizer|runtime error:|LeakSanitizer|Assertion .* failed", line), line
