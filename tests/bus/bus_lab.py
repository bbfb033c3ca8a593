# SPDX-License-Identifier: LGPL-2.1-or-later
"""A Lab whose daemon is on a message bus: a dbus-daemon of our own and the real polkitd.

polkitd has no option for where its rules and actions are, so folders of ours are mounted over them; the harness
gave this process a mount namespace of its own, so nobody else sees that.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))

import bpfchain_test as bench  # noqa: E402
from dbus_wire import Client  # noqa: E402

NOBODY = 65534  # nobody has rights
DAEMON_USER = 1  # "daemon": whom rules of tests give rights

POLKITD = [p for p in ("/usr/lib/polkit-1/polkitd", "/usr/libexec/polkitd", "/usr/libexec/polkit-1/polkitd")
           if os.path.exists(p)]
ACTION_DIR, RULE_DIRS = "/usr/share/polkit-1/actions", ("/etc/polkit-1/rules.d", "/usr/share/polkit-1/rules.d")
MS_BIND = 4096

CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Introspectable"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Properties"/>
  </policy>
  <policy user="root">
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Monitoring"/>
  </policy>
  <include>{polkit}</include>
  <include>{ours}</include>
</busconfig>
"""


def require_bus():
    bench.require_root()
    bench.require_built(bench.DAEMON)
    if not shutil.which("dbus-daemon"):
        bench.skip_all("dbus-daemon is not installed")
    if not POLKITD:
        bench.skip_all("polkitd is not installed")


def _die_with_us():
    bench._child_setup(None)


class BusLab(bench.Lab):
    """rules: JavaScript for polkitd, in a file that is read at its start."""

    def __init__(self, wires=1, rules="", **options):
        self.rules = rules
        super().__init__(wires, **options)

    def _build(self, *arguments):
        super()._build(*arguments)
        os.chmod(self.root, 0o711)  # clients that are not root reach the socket of the bus
        self.bus_socket = self.path("bus")
        self.address = "unix:path=" + self.bus_socket
        self.bus = self.polkit = None
        self.clients = []
        self.daemon.bus = "system"
        self.daemon.environment["DBUS_SYSTEM_BUS_ADDRESS"] = self.address
        self._stack.callback(self._close_bus)
        self.start_bus()
        self._mount_polkit()
        self.start_polkit()

    def _close_bus(self):
        for client in self.clients:
            client.close()
        for process in (self.polkit, self.bus):
            if process and process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait()

    def start_bus(self):
        polkit = [p for p in ("/usr/share/dbus-1/system.d", "/etc/dbus-1/system.d")
                  if os.path.exists(p + "/org.freedesktop.PolicyKit1.conf")]
        config = self.write("bus.conf", CONFIG.format(
            socket=self.bus_socket, polkit=polkit[0] + "/org.freedesktop.PolicyKit1.conf",
            ours=os.path.join(bench.SOURCE, "dbus/org.bpfchain1.conf")))
        with open(self.path("bus.log"), "a", encoding="utf-8") as log:
            self.bus = subprocess.Popen(["dbus-daemon", f"--config-file={config}", "--nofork", "--nopidfile"],
                                        stdout=log, stderr=log, stdin=subprocess.DEVNULL, preexec_fn=_die_with_us)
        bench.eventually(lambda: self._bus_answers())

    def stop_bus(self):
        self.bus.kill()
        self.bus.wait()
        os.unlink(self.bus_socket)

    def _bus_answers(self):
        try:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(self.bus_socket)
            return True
        except OSError:
            return False

    def _mount_polkit(self):
        actions = self.path("polkit/actions")
        os.makedirs(actions)
        shutil.copy(os.path.join(bench.SOURCE, "polkit/org.bpfchain1.policy"), actions)
        rules = self.path("polkit/rules.d")
        os.makedirs(rules)
        self.write("polkit/rules.d/50-test.rules", self.rules)
        for path in (self.path("polkit"), actions, rules):
            os.chmod(path, 0o755)  # polkitd runs as a user of its own
        for source, target in ((actions, ACTION_DIR), *((rules, d) for d in RULE_DIRS)):
            if os.path.isdir(target):
                bench._check(bench._libc.mount(source.encode(), target.encode(), None, MS_BIND, None),
                             f"mount on {target}")
                self._stack.callback(bench._libc.umount2, target.encode(), 2)

    def start_polkit(self):
        with open(self.path("polkit.log"), "a", encoding="utf-8") as log:
            self.polkit = subprocess.Popen([POLKITD[0], "--no-debug"], stdout=log, stderr=log,
                                           stdin=subprocess.DEVNULL, preexec_fn=_die_with_us,
                                           env={**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": self.address})
        self.wait_for_name("org.freedesktop.PolicyKit1")

    def stop_polkit(self):
        self.polkit.kill()
        self.polkit.wait()

    def wait_for_name(self, name, timeout=None):
        with self.new_client() as client:
            bench.eventually(lambda: client.call("/org/freedesktop/DBus", "org.freedesktop.DBus", "NameHasOwner", "s",
                                                 name, destination="org.freedesktop.DBus"), timeout)

    def new_client(self, uid=None, **options):
        client = Client(self.address, uid, timeout=bench.PATIENCE, **options)
        self.clients.append(client)
        return client

    def private_client(self, **options):
        client = Client("unix:path=" + self.daemon.socket, timeout=bench.PATIENCE, **options)
        self.clients.append(client)
        return client

    def start(self, wait=True):
        super().start(wait)
        if wait:
            self.wait_for_name("org.bpfchain1")
        return self

    def generation(self):
        with self.private_client() as client:
            return client.get("/org/bpfchain1", "org.bpfchain1.Manager", "Generation")


def memory_counts():
    """Whether the daemon's memory is its own: valgrind and AddressSanitizer keep what is freed."""
    if os.environ.get("BPFCHAIN_WRAPPER"):
        return False
    with open(bench.DAEMON, "rb") as file:
        return b"__asan_init" not in file.read()


def memory_kib(lab):
    with open(f"/proc/{lab.daemon.pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS:"))


def settle(seconds=0.1):
    """A moment for things that must not happen."""
    time.sleep(seconds)
