# SPDX-License-Identifier: LGPL-2.1-or-later
"""What tests on a real kernel share: namespaces, wires between them, the daemon, the client, exact traffic, TAP.

    from bpfchain_test import Lab, case, run_cases

    @case
    def counts_what_was_sent():
        with Lab() as lab:
            lab.document("edge", {"programs": {…}, "chains": […]})
            lab.start()
            lab.sender().send(1000)
            assert lab.client_json("status")[…] == 1000

    run_cases()

Nothing stays behind, not even after SIGKILL: network namespaces are anonymous (held by a descriptor of this
process), mounts are made in a mount namespace of this process, and children die with it (PR_SET_PDEATHSIG).
Traffic is exact: no address resolution, no neighbour discovery, no router solicitation crosses a wire.
"""

import contextlib
import ctypes
import functools
import ipaddress
import json
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.environ.get("BPFCHAIN_SOURCE") or os.path.realpath(os.path.join(HERE, "..", ".."))
BUILD = os.environ.get("BPFCHAIN_BUILD") or os.path.join(SOURCE, "build")
DAEMON = os.path.join(BUILD, "service", "bpfchaind")
CLIENT = os.path.join(BUILD, "client", "bpfchain")

# Sanitizers and busy machines are slow; waits end early where they can, so a long bound costs nothing.
PATIENCE = float(os.environ.get("BPFCHAIN_TEST_PATIENCE", "20"))

CLONE_NEWNS = 0x00020000
CLONE_NEWNET = 0x40000000
MS_REC = 0x4000
MS_PRIVATE = 1 << 18
PR_SET_PDEATHSIG = 1
SO_RCVBUFFORCE = 33
SO_SNDBUFFORCE = 32
ETH_P_IP = 0x0800
ETH_P_IPV6 = 0x86DD
UDP_NO_CHECK6_RX = 102

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result, what):
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


# --- TAP ---------------------------------------------------------------------------------------------------------


class Skip(Exception):
    """Raised by a case that can't run here, with the reason."""


_cases = []


def case(function):
    """Marks a function as a test case; its name (or its doc string's first line) is what the report shows."""
    _cases.append(function)
    return function


def skip_all(reason):
    """The whole test can't run."""
    print(f"SKIP: {reason}", flush=True)
    sys.exit(77)


def require_root():
    if os.geteuid() != 0:
        skip_all("takes root, for network namespaces and BPF")


def require_built(*paths):
    for path in paths or (DAEMON, CLIENT):
        if not os.path.exists(path):
            skip_all(f"{os.path.relpath(path, BUILD)} is not built")


def run_cases(setup=None):
    """Runs the cases in order of their definition (those named on the command line, if any) and exits."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    chosen = [c for c in _cases if not sys.argv[1:] or c.__name__ in sys.argv[1:]]
    print(f"1..{len(chosen)}", flush=True)
    failed = 0
    if setup:
        setup()
    for number, function in enumerate(chosen, 1):
        name = function.__name__.replace("_", " ")
        started = time.monotonic()
        try:
            function()
        except Skip as reason:
            print(f"ok {number} - {name} # SKIP {reason}", flush=True)
            continue
        except Exception:  # SystemExit and KeyboardInterrupt end the test
            failed += 1
            print(f"not ok {number} - {name}")
            for line in traceback.format_exc().splitlines():
                print(f"# {line}")
            sys.stdout.flush()
            continue
        print(f"# {time.monotonic() - started:.2f} s")
        print(f"ok {number} - {name}", flush=True)
    sys.exit(1 if failed else 0)


def eventually(check, timeout=None, interval=0.02):
    """Calls check() until it returns something true and no AssertionError; returns that."""
    deadline = time.monotonic() + (PATIENCE if timeout is None else timeout)
    while True:
        try:
            result = check()
            if result or time.monotonic() >= deadline:
                assert result, f"{getattr(check, '__name__', 'it')} did not come true"
                return result
        except AssertionError:
            if time.monotonic() >= deadline:
                raise
        time.sleep(interval)


def wait_until_connected(pid):
    """Waits until a process that says nothing by itself has a socket, and a moment for its first words on it."""
    def has_socket():
        with contextlib.suppress(FileNotFoundError):
            return any(os.readlink(f"/proc/{pid}/fd/{fd}").startswith("socket:") for fd in os.listdir(f"/proc/{pid}/fd"))

    eventually(has_socket)
    time.sleep(0.3)


# --- namespaces --------------------------------------------------------------------------------------------------

_own_mounts = False


def use_own_mounts():
    """Gives this process a mount namespace of its own; called by whoever mounts."""
    global _own_mounts
    if not _own_mounts:
        _check(_libc.unshare(CLONE_NEWNS), "unshare(CLONE_NEWNS)")
        _check(_libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None), "mount(MS_PRIVATE)")
        _own_mounts = True


def _child_setup(netns_fd):
    # Runs between fork and exec: only calls into the C library that are bound already.
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if netns_fd is not None and _libc.setns(netns_fd, CLONE_NEWNET) != 0:
        os._exit(126)


class Namespace:
    """A network namespace without a name in the file system. Its loopback is up, IPv6 off unless asked for."""

    def __init__(self, label, ipv6=False):
        self.label = label
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _check(_libc.unshare(CLONE_NEWNET), "unshare(CLONE_NEWNET)")
            self.fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        finally:
            _check(_libc.setns(home, CLONE_NEWNET), "setns")
            os.close(home)
        self.sysctl("net.ipv6.conf.all.disable_ipv6", 0 if ipv6 else 1)
        self.sysctl("net.ipv6.conf.default.disable_ipv6", 0 if ipv6 else 1)
        for name, value in (("accept_ra", 0), ("accept_dad", 0), ("addr_gen_mode", 1), ("router_solicitations", 0)):
            self.sysctl(f"net.ipv6.conf.default.{name}", value)
        for name in ("all", "default"):
            self.sysctl(f"net.ipv4.conf.{name}.rp_filter", 0)
        self.ip("link", "set", "lo", "up")

    def close(self):
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @property
    def path(self):
        """For children that get the descriptor (run() and popen() pass it) and for threads of this process."""
        return f"/proc/self/fd/{self.fd}"

    @contextlib.contextmanager
    def entered(self):
        """The calling thread is in the namespace; sockets made within stay there."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _check(_libc.setns(self.fd, CLONE_NEWNET), "setns")
            yield self
        finally:
            _check(_libc.setns(home, CLONE_NEWNET), "setns")
            os.close(home)

    def sysctl(self, name, value):
        with self.entered(), contextlib.suppress(FileNotFoundError):
            with open("/proc/sys/" + name.replace(".", "/"), "w", encoding="ascii") as file:
                file.write(str(value))

    def popen(self, command, **options):
        options.setdefault("pass_fds", ())
        return subprocess.Popen(command, preexec_fn=lambda: _child_setup(self.fd), **options)

    def run(self, *command, check=True, timeout=None, **options):
        """Runs a command inside; its output is text."""
        options.setdefault("stdin", subprocess.DEVNULL) if "input" not in options else None
        result = subprocess.run(command, preexec_fn=lambda: _child_setup(self.fd), capture_output=True, text=True,
                                timeout=timeout or PATIENCE, **options)
        if check and result.returncode != 0:
            raise AssertionError(f"{' '.join(command)}: exit status {result.returncode}\n{result.stdout}{result.stderr}")
        return result

    def ip(self, *arguments, check=True, **options):
        return self.run("ip", *arguments, check=check, **options)

    def ip_batch(self, lines):
        """Many ip(8) commands in one go, as fast as the kernel takes them."""
        return self.run("ip", "-batch", "-", input="\n".join(lines) + "\n")

    def link(self, name):
        """`ip -json -statistics link show` of one interface, or None."""
        result = self.ip("-json", "-details", "-statistics", "link", "show", "dev", name, check=False)
        return json.loads(result.stdout)[0] if result.returncode == 0 else None

    def socket(self, *arguments):
        with self.entered():
            return socket.socket(*arguments)


# --- traffic -----------------------------------------------------------------------------------------------------


def _checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


@functools.lru_cache(maxsize=4096)
def _address(text):
    return ipaddress.ip_address(text)


# tests/bpf/order.h: the payload of a packet that keeps a trace of the programs it went through.
ORDER_MAGIC = b"BCOR"
ORDER_MAX = 64


def order_payload(sequence):
    return struct.pack("!4sI4x", ORDER_MAGIC, sequence) + bytes(2 * ORDER_MAX)


def order_trace(payload):
    """(sequence, [(id, generation), …] in the order in which programs ran, how many found no room)"""
    magic, sequence, count, lost = struct.unpack_from("!4sIBB", payload)
    assert magic == ORDER_MAGIC, "the payload has no trace"
    return sequence, [tuple(payload[12 + 2 * i : 14 + 2 * i]) for i in range(count)], lost


def _number(payload):
    if payload[:4] == ORDER_MAGIC:
        return struct.unpack_from("!I", payload, 4)[0]
    return struct.unpack_from("!Q", payload)[0] if len(payload) >= 8 else None


def udp_frame(source_mac, target_mac, source, target, source_port, target_port, payload):
    """A whole Ethernet frame with IPv4 or IPv6 and UDP, checksums included."""
    source, target = _address(source), _address(target)
    length = 8 + len(payload)
    udp = struct.pack("!HHHH", source_port, target_port, length, 0) + payload
    if source.version == 4:
        pseudo = source.packed + target.packed + struct.pack("!BBH", 0, 17, length)
        header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 0, 0, 64, 17, 0) + source.packed + target.packed
        header = header[:10] + struct.pack("!H", _checksum(header)) + header[12:]
        protocol = ETH_P_IP
    else:
        pseudo = source.packed + target.packed + struct.pack("!IHBB", length, 0, 0, 17)
        header = struct.pack("!IHBB", 6 << 28, length, 17, 64) + source.packed + target.packed
        protocol = ETH_P_IPV6
    udp = udp[:6] + struct.pack("!H", _checksum(pseudo + udp) or 0xFFFF) + udp[8:]
    return target_mac + source_mac + struct.pack("!H", protocol) + header + udp


class Sender:
    """Sends UDP packets as whole frames from the outer end of a wire; each carries a running number of 8 bytes, or
    with `trace` the payload that the order programs append to (Receiver.traces).

    Sources are whatever the test says; nothing is resolved and nothing else is sent."""

    def __init__(self, wire, source=None, target=None, source_port=4000, port=9000, size=18, trace=False):
        self.wire = wire
        self.source = source or wire.outer_address
        self.target = target or (wire.inner_address6 if ":" in self.source else wire.inner_address)
        self.source_port, self.port = source_port, port
        self.size = max(size, 8)
        self.trace = trace
        self.sent = 0
        self.socket = wire.outer.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 16 << 20)
        self.socket.bind((wire.outer_name, 0))

    def frame(self, number, source=None):
        payload = order_payload(number) if self.trace else struct.pack("!Q", number).ljust(self.size, b"\0")
        return udp_frame(self.wire.outer_mac, self.wire.inner_mac, source or self.source, self.target,
                         self.source_port, self.port, payload)

    def send(self, count=1, source=None, rate=None):
        """Sends `count` packets, at most `rate` a second; returns how many. Numbers go on from earlier calls."""
        started = time.monotonic()
        for i in range(count):
            self.socket.send(self.frame(self.sent, source))
            self.sent += 1
            if rate:
                ahead = started + (i + 1) / rate - time.monotonic()
                if ahead > 0.002:
                    time.sleep(ahead)
        return count

    @contextlib.contextmanager
    def stream(self, rate=5000):
        """Sends in the background as long as the block runs; `.sent` is final behind it."""
        stop = threading.Event()
        failure = []

        def work():
            try:
                while not stop.is_set():
                    self.send(max(rate // 100, 1), rate=rate)
            except OSError as error:
                failure.append(error)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            stop.set()
            thread.join()
        if failure:
            raise failure[0]

    def close(self):
        self.socket.close()


class Receiver:
    """Takes UDP packets at an end of a wire; its buffer holds some hundred thousand, so nothing is lost in it."""

    def __init__(self, namespace, port=9000, ipv6=False):
        self.socket = namespace.socket(socket.AF_INET6 if ipv6 else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 256 << 20)
        self.socket.bind(("::" if ipv6 else "0.0.0.0", port))
        if ipv6:
            self.socket.setsockopt(socket.IPPROTO_UDP, UDP_NO_CHECK6_RX, 1)
        self.socket.setblocking(False)
        self.packets = []  # (source address, running number) in order of arrival
        self.payloads = []  # of the same packets

    def drain(self, idle=0.1):
        """Takes what is there until nothing comes for `idle` seconds; returns the packets of this call."""
        first = len(self.packets)
        while select.select([self.socket], [], [], idle)[0]:
            with contextlib.suppress(BlockingIOError):
                while True:
                    data, address = self.socket.recvfrom(65535)
                    self.packets.append((address[0], _number(data)))
                    self.payloads.append(data)
        return self.packets[first:]

    def take(self, count, timeout=None):
        """Waits until `count` packets have come in this call, then for a moment whether more come."""
        first = len(self.packets)
        deadline = time.monotonic() + (timeout or PATIENCE)
        while len(self.packets) - first < count and time.monotonic() < deadline:
            self.drain(0.02)
        self.drain(0.05)
        return self.packets[first:]

    @property
    def numbers(self):
        return [number for _, number in self.packets]

    @property
    def traces(self):
        return [order_trace(payload) for payload in self.payloads]

    def close(self):
        self.socket.close()


class Wire:
    """A veth pair: the inner end is in the namespace under test, the outer one is where traffic comes from."""

    _count = 0

    def __init__(self, inner, outer, inner_name="eth0", outer_name=None, queues=1, up=True):
        Wire._count += 1
        n = Wire._count % 250
        self.inner, self.outer = inner, outer
        self.inner_name, self.outer_name = inner_name, outer_name or f"out-{inner_name}"[:15]
        self.inner_address, self.outer_address = f"10.77.{n}.1", f"10.77.{n}.2"
        self.inner_address6, self.outer_address6 = f"fd77:{n:x}::1", f"fd77:{n:x}::2"
        self.inner_mac = bytes((2, 0x77, 0, 0, n, 1))
        self.outer_mac = bytes((2, 0x77, 0, 0, n, 2))
        inner.run("ip", "link", "add", inner_name, "numrxqueues", str(queues), "numtxqueues", str(queues),
                  "type", "veth", "peer", "name", self.outer_name, "numrxqueues", str(queues), "numtxqueues",
                  str(queues), "netns", outer.path, pass_fds=(outer.fd,))
        if up:
            self.up()

    def up(self):
        for namespace, name, mac, address, other, other_mac in (
                (self.inner, self.inner_name, self.inner_mac, self.inner_address, self.outer_address, self.outer_mac),
                (self.outer, self.outer_name, self.outer_mac, self.outer_address, self.inner_address, self.inner_mac)):
            namespace.ip_batch([
                f"link set {name} address {mac.hex(':')}",
                f"addr add {address}/24 dev {name}",
                f"link set {name} up",
                f"neigh replace {other} lladdr {other_mac.hex(':')} dev {name} nud permanent",
            ])

    def up6(self):
        """IPv6 addresses too. The outer end stays without, so that it says nothing by itself."""
        self.inner.sysctl(f"net.ipv6.conf.{self.inner_name}.disable_ipv6", 0)
        self.inner.ip("addr", "add", f"{self.inner_address6}/64", "dev", self.inner_name, "nodad")
        self.inner.ip("neigh", "replace", self.outer_address6, "lladdr", self.outer_mac.hex(":"), "dev",
                      self.inner_name, "nud", "permanent")

    def sender(self, **options):
        return Sender(self, **options)

    def lost(self):
        """Packets that the wire itself dropped in the inward direction (a full ring), not a program."""
        return self.outer.link(self.outer_name)["stats64"]["tx"]["dropped"]


# --- daemon and client -------------------------------------------------------------------------------------------


class Daemon:
    """bpfchaind, in a namespace, with a root, a bpffs and a socket of its own."""

    def __init__(self, namespace, root, bpffs, bus="none", arguments=(), environment=None):
        self.namespace, self.root, self.bpffs = namespace, root, bpffs
        self.socket = os.path.join(root, "private")
        self.log_path = os.path.join(root, "log")
        self.bus = bus
        self.arguments = list(arguments)
        self.environment = dict(environment or {})
        self.process = None
        self.notified = []  # lines that came by sd_notify
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify_path = os.path.join(root, "notify")
        self.notify.bind(self.notify_path)
        # The queue of such a socket is short, and a service that finds it full waits: somebody must read all the time.
        threading.Thread(target=self._read_notifications, daemon=True).start()

    @property
    def pid(self):
        return self.process.pid

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    def _read_notifications(self):
        with contextlib.suppress(OSError):
            while data := self.notify.recv(65536):
                self.notified += data.decode(errors="replace").splitlines()

    def start(self, wait=True):
        """Starts it and, unless told otherwise, waits for READY=1."""
        assert not self.running, "the daemon is running already"
        self.notified.clear()
        wrapper = os.environ.get("BPFCHAIN_WRAPPER")
        command = ([wrapper] if wrapper else []) + [
            DAEMON, f"--root={self.root}", f"--bpffs={self.bpffs}", f"--bus={self.bus}", f"--socket={self.socket}",
            "--log-level=debug", *self.arguments]
        environment = {**os.environ, "NOTIFY_SOCKET": self.notify_path, **self.environment}
        environment.pop("JOURNAL_STREAM", None)
        with open(self.log_path, "a", encoding="utf-8") as log:
            self.process = self.namespace.popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                                env=environment)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, timeout=None):
        deadline = time.monotonic() + (timeout or PATIENCE)
        while "READY=1" not in self.notified:
            if self.process.poll() is not None:
                raise AssertionError(f"bpfchaind ended with {self.process.returncode} before it was ready\n{self.log()}")
            if time.monotonic() > deadline:
                raise AssertionError(f"bpfchaind was not ready in time\n{self.log()}")
            time.sleep(0.002)

    def _end(self, number, timeout):
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            status = self.process.wait(timeout or PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"bpfchaind did not end by signal {number}\n{self.log()}") from None
        self.process = None
        return status

    def stop(self, timeout=None):
        """SIGTERM; it must end with status 0 (a sanitizer's complaint is another status)."""
        status = self._end(signal.SIGTERM, timeout)
        assert status in (0, None), f"bpfchaind ended with {status}\n{self.log()}"

    def kill(self):
        """SIGKILL, as a crash."""
        self._end(signal.SIGKILL, None)

    def log(self):
        try:
            with open(self.log_path, encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def close(self):
        with contextlib.suppress(AssertionError):
            self._end(signal.SIGKILL, None)
        self.notify.shutdown(socket.SHUT_RDWR)  # the reader wakes up and ends
        self.notify.close()


class Lab:
    """Everything together: a namespace `inner` with `eth0` (and as many more as asked for), a namespace `outer` at
    the other ends, a bpffs, a root folder, the daemon (not started yet) and the client."""

    def __init__(self, wires=1, arguments=(), environment=None, ipv6=False):
        require_root()
        use_own_mounts()
        self._stack = contextlib.ExitStack()
        try:
            self._build(wires, arguments, environment, ipv6)
        except BaseException:
            self._stack.close()
            raise

    def _build(self, wires, arguments, environment, ipv6):
        self.root = tempfile.mkdtemp(prefix="bct-")
        self._stack.callback(shutil.rmtree, self.root, ignore_errors=True)
        mount = os.path.join(self.root, "bpffs")
        os.mkdir(mount)
        _check(_libc.mount(b"bct", mount.encode(), b"bpf", 0, None), "mount of a bpffs")
        self._stack.callback(_libc.umount2, mount.encode(), 2)  # MNT_DETACH
        self.bpffs = os.path.join(mount, "bpfchain")  # the service makes it
        for layer in ("etc/bpfchain", "run/bpfchain", "usr/lib/bpfchain"):
            for folder in ("chains.d", "objects"):
                os.makedirs(os.path.join(self.root, layer, folder))
        os.makedirs(os.path.join(self.root, "var/lib/bpfchain"))
        self.inner = self._stack.enter_context(Namespace("inner", ipv6))
        self.outer = self._stack.enter_context(Namespace("outer"))
        self.wires = [Wire(self.inner, self.outer, f"eth{i}") for i in range(wires)]
        if ipv6:
            for wire in self.wires:
                wire.up6()
        self.daemon = Daemon(self.inner, self.root, self.bpffs, arguments=arguments, environment=environment)
        self._stack.callback(self.daemon.close)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                self.daemon.stop()  # a bad exit status counts
            elif kind is not SystemExit:
                for line in self.daemon.log().splitlines()[-60:]:
                    print(f"# bpfchaind: {line}")
        finally:
            self._stack.close()

    @property
    def wire(self):
        return self.wires[0]

    def sender(self, wire=None, **options):
        sender = (wire or self.wire).sender(**options)
        self._stack.callback(sender.close)
        return sender

    def receiver(self, namespace=None, **options):
        receiver = Receiver(namespace or self.inner, **options)
        self._stack.callback(receiver.close)
        return receiver

    # Files

    def path(self, *parts):
        return os.path.join(self.root, *parts)

    def write(self, path, contents):
        """Writes a file below the root: text, bytes, or what becomes JSON."""
        path = self.path(path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if not isinstance(contents, (str, bytes)):
            contents = json.dumps(contents, indent=2)
        with open(path, "wb") as file:
            file.write(contents.encode() if isinstance(contents, str) else contents)
        return path

    def document(self, name, contents, layer="etc"):
        """A document in a layer (etc, run, usr/lib); returns its path."""
        return self.write(f"{layer}/bpfchain/chains.d/{name}.json", contents)

    def install(self, *objects, layer="etc"):
        """Copies BPF objects to the layer's objects folder. A name without a folder is looked up in the build."""
        for name in objects:
            shutil.copy(name if "/" in name else find_object(name), self.path(layer, "bpfchain/objects"))

    # Service

    def start(self, wait=True):
        self.daemon.start(wait)
        return self

    def client(self, *arguments, status=0, input=None, environment=None, timeout=None):
        """Runs bpfchain; `status` is the exit status that is due (None: any). Returns the finished process."""
        command = [CLIENT, *map(str, arguments)]
        options = {"input": input} if input is not None else {}
        result = self.inner.run(*command, check=False, timeout=timeout, env={
            **os.environ, "BPFCHAIN_SOCKET": self.daemon.socket, **(environment or {})}, **options)
        assert status is None or result.returncode == status, (
            f"bpfchain {' '.join(map(str, arguments))}: exit status {result.returncode}, not {status}\n"
            f"{result.stdout}{result.stderr}")
        return result

    def client_json(self, *arguments, **options):
        return json.loads(self.client("--json=short", *arguments, **options).stdout)

    def apply(self, name, contents, *options, **more):
        """Applies a document that needs no file of its own."""
        return self.client("apply", "-", "--name", name, *options, input=json.dumps(contents), **more)

    def chain(self, interface, hook):
        """A chain as `bpfchain --json status` shows it, or None."""
        for item in self.client_json("status")["interfaces"]:
            for chain in item["chains"]:
                if (chain["interface"], chain["hook"]) == (interface, hook):
                    return chain
        return None

    def map_entry(self, program, name, key):
        """The value behind a key (bytes or hexadecimal) as bytes; a list of them, one for each CPU, where the map
        is per CPU."""
        key = key.hex() if isinstance(key, bytes) else key
        entry = self.client_json("map", "get", program, name, key)
        if "values" in entry:
            return [bytes.fromhex(value) for value in entry["values"]]
        return bytes.fromhex(entry["value"])

    def hits(self, program):
        """What the programs of tests/bpf count: packets that they saw."""
        return sum(int.from_bytes(value, sys.byteorder) for value in self.map_entry(program, "hits", bytes(4)))

    def bpftool(self, *arguments):
        return json.loads(self.inner.run("bpftool", "--json", *arguments).stdout or "null")


def find_object(name):
    """A BPF object of the build, by its file name."""
    for folder in ("bpf/examples", "tests/bpf", "bpf"):
        path = os.path.join(BUILD, folder, name)
        if os.path.exists(path):
            return path
    raise AssertionError(f"{name} is not built")
