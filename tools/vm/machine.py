# SPDX-License-Identifier: LGPL-2.1-or-later
"""The running test VM: QEMU, its console in a file, a line of talk with the agent inside, jobs, saved states.

KVM where it works, emulation elsewhere. The flags for emulation are the result of many boots: `-cx16` is a must
(without it more than half of them die of double faults), and with one CPU it is not only stable but hardly slower."""

import contextlib
import ctypes
import functools
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import time
import tty

from common import CannotRun, Failed, digest_of, locked, need_tools, run, say, timed

MEMORY = 1024  # MiB
JOB_DISK = 64 << 20  # fixed, for a saved state knows the disk by its size
BOOT_SECONDS = 300  # emulated some 15 on an idle machine, but machines are busy
RESTORE_SECONDS = 60
LINE_MAX = 1 << 20

APPEND = ("console=ttyS0 quiet loglevel=4 panic=-1 oops=panic lsm=landlock,lockdown,yama,integrity,selinux,bpf "
          "enforcing=1 net.ifnames=0 systemd.show_status=0 random.trust_cpu=on tsc=reliable mitigations=off")

# What a test of anything but the boot itself can do without: half of the time of an emulated boot. None may have
# "autorelabel" in its name: that word on the kernel command line starts one.
LEAN_MASKS = [
    "systemd-udevd.service", "systemd-udev-trigger.service", "systemd-udevd-control.socket",
    "systemd-udevd-kernel.socket", "systemd-udev-load-credentials.service", "systemd-sysusers.service",
    "systemd-remount-fs.service", "systemd-random-seed.service", "systemd-hwdb-update.service",
    "systemd-journal-catalog-update.service", "systemd-journal-flush.service", "systemd-update-done.service",
    "systemd-update-utmp.service", "systemd-user-sessions.service", "systemd-tpm2-setup-early.service",
    "systemd-tpm2-setup.service", "systemd-pcrmachine.service", "systemd-machine-id-commit.service",
    "systemd-firstboot.service", "kmod-static-nodes.service", "modprobe@.service", "systemd-modules-load.service",
    "systemd-binfmt.service", "dev-hugepages.mount", "dev-mqueue.mount", "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount", "sys-fs-fuse-connections.mount", "e2scrub_reap.service", "e2scrub_all.timer",
    "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "fstrim.timer",
    "systemd-tmpfiles-clean.timer",
    "systemd-network-generator.service", "systemd-ask-password-console.path", "systemd-ask-password-wall.path",
]

KVM = ["-accel", "kvm", "-cpu", "host"]
EMULATION = ["-accel", "tcg,thread=multi", "-cpu", "max,-cx16"]
PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


class Crashed(Exception):
    """The VM ended, or stopped answering, without anybody wanting it. Under emulation that may be QEMU's fault."""


@functools.lru_cache(maxsize=1)
def kvm_works():
    """Whether QEMU itself gets a processor from it: inside of virtual machines /dev/kvm may be there and give one, of
    which QEMU can't set the registers."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    command = ["qemu-system-x86_64", *KVM, "-machine", "q35", "-m", "64", "-nodefaults", "-display", "none", "-S",
               "-qmp", "stdio"]
    words = '{"execute":"qmp_capabilities"}\n{"execute":"quit"}\n'
    try:
        return subprocess.run(command, input=words, text=True, capture_output=True, timeout=30,
                              check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def acceleration():
    """The options of QEMU for KVM or emulation. BPFCHAIN_VM_ACCEL=tcg keeps KVM off."""
    wanted = os.environ.get("BPFCHAIN_VM_ACCEL", "")
    if wanted not in ("", "kvm", "tcg"):
        raise CannotRun(f"BPFCHAIN_VM_ACCEL is \"{wanted}\"; there are kvm and tcg")
    if wanted == "kvm" or not wanted and kvm_works():
        return KVM
    return EMULATION


def make_job_disk(folder, target):
    """The files of a folder as a bare tar, on a disk of fixed size."""
    run("tar", "--create", f"--file={target}", f"--directory={folder}", "--owner=root:0", "--group=root:0", ".")
    if os.path.getsize(target) > JOB_DISK:
        raise Failed(f"the job has {os.path.getsize(target) >> 20} MiB; there is room for {JOB_DISK >> 20}")
    os.truncate(target, JOB_DISK)


def _child_setup():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


class Machine:
    """One QEMU process. `lean` leaves out what only the test of a real boot needs; `disk` is an overlay that keeps
    what is written, else nothing is kept; `job` is a disk made by make_job_disk; `restore` a folder with a saved
    state; `console` the file that the console goes to; with `shell` the terminal is the console, instead."""

    def __init__(self, image, console, job, lean=True, disk=None, restore=None, shell=None, append=""):
        need_tools("qemu-system-x86_64")
        self.image, self.console, self.job = image, console, job
        self.lean, self.disk, self.restore, self.shell, self.append = lean, disk, restore, shell, append
        self.process = self.channel = self.qmp = None
        self.pending = b""
        self.booted = None  # (state of the system, seconds since the kernel's start), when it has
        # Paths of sockets are short.
        self.folder = tempfile.mkdtemp(prefix="bct-vm-", dir=None if len(tempfile.gettempdir()) < 60 else "/tmp")
        self.results = os.path.join(self.folder, "out.tar")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def command(self):
        append = APPEND
        if self.lean:
            append += "".join(f" systemd.mask={unit}" for unit in LEAN_MASKS)
        if self.shell:
            append += f" bpfchain.shell={self.shell}"
        append += f" {self.append}" if self.append else ""
        root = ["file=" + (self.disk or self.image.root), "format=" + ("qcow2" if self.disk else "raw"), "if=none",
                "id=root", "cache=unsafe"]
        if self.restore:
            root[:2] = ["file=" + os.path.join(self.restore, "disk.qcow2"), "format=qcow2"]
        if self.restore or not self.disk:
            root.append("snapshot=on")
        words = [
            "qemu-system-x86_64", *acceleration(), "-smp", "1", "-m", str(MEMORY),
            "-machine", "q35,usb=off,vmport=off,sata=off,smbus=off", "-nodefaults", "-no-user-config",
            "-display", "none", "-no-reboot",
            "-kernel", self.image.kernel, "-initrd", self.image.initrd, "-append", append,
            "-drive", ",".join(root), "-device", "virtio-blk-pci,drive=root,serial=root",
            "-drive", f"file={self.job},format=raw,if=none,id=job,readonly=on",
            "-device", "virtio-blk-pci,drive=job,serial=job",
            "-device", "virtio-serial-pci",
            "-chardev", f"socket,id=job,path={self.folder}/job,server=on,wait=off",
            "-device", "virtserialport,chardev=job,name=bpfchain.job",
            "-chardev", f"file,id=out,path={self.results}",
            "-device", "virtserialport,chardev=out,name=bpfchain.out",
            "-qmp", f"unix:{self.folder}/qmp,server=on,wait=off",
        ]
        if self.shell:
            words += ["-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"]
        else:
            words += ["-serial", f"file:{self.console}"]
        if self.restore:
            words += ["-incoming", "exec:zstd -dcq " + os.path.join(self.restore, "memory.zst")]
        return words

    def start(self):
        with open(os.path.join(self.folder, "qemu.log"), "wb") as log:
            self.process = subprocess.Popen(self.command(), stdin=None if self.shell else subprocess.DEVNULL,
                                            stdout=None if self.shell else log, stderr=log,
                                            preexec_fn=_child_setup)
        if self.shell:
            return self
        self.channel = self._connect("job")
        if self.restore:
            self._wake()
        else:
            self._wait_boot()
        return self

    def _connect(self, name, seconds=30):
        """Connects to one of QEMU's sockets, which are there soon after its start."""
        deadline = time.monotonic() + seconds
        while True:
            link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                link.connect(os.path.join(self.folder, name))
                return link
            except OSError:
                link.close()
                if self.process.poll() is not None:
                    raise Failed(f"QEMU ended at once:\n{self.qemu_log()}") from None
                if time.monotonic() > deadline:
                    raise Failed(f"QEMU did not open its socket {name} in {seconds} s") from None
                time.sleep(0.02)

    def qemu_log(self):
        with contextlib.suppress(OSError), open(os.path.join(self.folder, "qemu.log"), encoding="utf-8",
                                                errors="replace") as file:
            return file.read().strip()
        return ""

    def console_tail(self, lines=40):
        with contextlib.suppress(OSError), open(self.console, encoding="utf-8", errors="replace") as file:
            return "\n".join(file.read().splitlines()[-lines:])
        return ""

    # The agent's line

    def _lines(self, seconds, what):
        """Yields lines from the agent until the caller is content; `seconds` are for all of them together."""
        deadline = time.monotonic() + seconds
        while True:
            line, newline, rest = self.pending.partition(b"\n")
            if newline or len(self.pending) > LINE_MAX:
                self.pending = rest
                yield line.rstrip(b"\r").decode(errors="replace")
                continue
            left = deadline - time.monotonic()
            if left <= 0:
                raise Crashed(f"{what} took longer than {seconds} s")
            if not select.select([self.channel], [], [], min(left, 1))[0]:
                if self.process.poll() is not None:
                    raise Crashed(f"the VM ended during {what}")
                continue
            try:
                data = self.channel.recv(65536)
            except ConnectionError:
                data = b""
            if not data:
                self.process.wait()
                raise Crashed(" ".join(f"the VM ended during {what} {self.qemu_log()}".split()))
            self.pending += data

    def _wait_boot(self):
        for line in self._lines(BOOT_SECONDS, "the boot"):
            ready = re.fullmatch(r"@ready (\S*) (\S+)", line)
            if ready:
                self.booted = ready[1], float(ready[2])
                return

    def _tell(self, line):
        try:
            self.channel.sendall(line.encode() + b"\n")
        except OSError:
            raise Crashed("the VM ended while idle") from None

    def run_job(self, seconds, output):
        """Runs the job on the disk; its lines go to output(). Returns its exit status."""
        self._tell(f"job {time.time():.3f}")
        for line in self._lines(seconds, "the job"):
            done = re.fullmatch(r"@exit (\d+)", line)
            if done:
                return int(done[1])
            output(line)
        raise AssertionError("unreachable")

    def shut_down(self, seconds=BOOT_SECONDS):
        """A clean reboot, of which only the first half happens: QEMU ends there."""
        self._tell("reboot")
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Crashed(f"the VM did not shut down in {seconds} s") from None

    # QMP

    def _qmp(self, command, **arguments):
        if self.qmp is None:
            self.qmp = self._connect("qmp").makefile("rw", encoding="utf-8")
            self.qmp.readline()  # the greeting
            self._qmp("qmp_capabilities")
        self.qmp.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.qmp.flush()
        for line in self.qmp:
            answer = json.loads(line)
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise Failed(f"QEMU refused {command}: {answer['error'].get('desc')}")
        raise Crashed(f"QEMU ended at {command}")

    def save(self, path, seconds=120):
        """Stops the VM and writes its memory to a file; the disk is as it is then."""
        self._qmp("stop")
        self._qmp("migrate-set-parameters", **{"max-bandwidth": 10 << 30})
        self._qmp("migrate", uri=f"exec:zstd -q -1 -T0 -f -o {path}")
        deadline = time.monotonic() + seconds
        while True:
            state = self._qmp("query-migrate").get("status")
            if state == "completed":
                break
            if state in ("failed", "cancelled") or time.monotonic() > deadline:
                raise Failed(f"the state could not be saved: {state}")
            time.sleep(0.1)
        self._qmp("quit")
        self.process.wait(30)

    def _wake(self):
        """Waits until the state is loaded, lets the VM run, and makes sure that it does."""
        deadline = time.monotonic() + RESTORE_SECONDS
        while self._qmp("query-status")["status"] in ("inmigrate", "finish-migrate"):
            if time.monotonic() > deadline:
                raise Crashed("the saved state did not load in time")
            time.sleep(0.02)
        self._qmp("cont")
        self._tell("ping")
        for line in self._lines(RESTORE_SECONDS, "waking up"):
            if line == "@pong":
                return

    def interact(self):
        """The terminal is the machine's console until it is shut down. Returns an exit status."""
        fd = sys.stdin.fileno()
        before = termios.tcgetattr(fd)
        tty.setraw(fd)
        try:
            self.start()
            return self.process.wait()
        finally:
            termios.tcsetattr(fd, termios.TCSADRAIN, before)

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for link in (self.channel, self.qmp):
            if link:
                with contextlib.suppress(OSError):
                    link.close()
        self.channel = self.qmp = None

    def take_results(self, folder):
        """Unpacks what the job left, its journal among it; nothing where it came to no end."""
        if os.path.exists(self.results) and os.path.getsize(self.results):
            with contextlib.suppress(Failed):
                run("tar", "--extract", f"--file={self.results}", f"--directory={folder}", "--no-same-owner",
                    "--strip-components=1")


def make_overlay(base, base_format, path):
    """A disk that takes what is written, on top of one that stays as it is."""
    need_tools("qemu-img")
    run("qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", base_format, path)


def saved_state(image):
    """The folder with the state of the image after a lean boot; made when there is none, by one of those who ask at
    the same time. None where it can't be."""
    version = run("qemu-system-x86_64", "--version").splitlines()[0]
    key = digest_of(version, *acceleration(), MEMORY, JOB_DISK, APPEND, *LEAN_MASKS)
    folder = os.path.join(image.folder, "state-" + key)
    memory = os.path.join(folder, "memory.zst")
    if os.path.exists(memory):
        return folder
    try:
        need_tools("qemu-img", "zstd")
        with locked(image.folder, "the state of that image"):
            if not os.path.exists(memory):
                _save_state(image, folder)
    except (Crashed, Failed, CannotRun, OSError) as error:
        say(f"No state could be saved, so the VM boots each time: {error}")
        return None
    return folder


def _save_state(image, folder):
    with timed("Booting the test VM once, to save its state."), \
            tempfile.TemporaryDirectory(dir=image.folder, prefix="work-") as work:
        empty = os.path.join(work, "empty")
        os.mkdir(empty)
        make_job_disk(empty, os.path.join(work, "job"))
        made = os.path.join(work, "state")
        os.mkdir(made, 0o755)
        make_overlay(image.root, "raw", os.path.join(made, "disk.qcow2"))
        with Machine(image, os.path.join(work, "console"), os.path.join(work, "job"),
                     disk=os.path.join(made, "disk.qcow2")) as machine:
            machine.start()
            machine.save(os.path.join(made, "memory.zst"))
        shutil.rmtree(folder, ignore_errors=True)
        os.rename(made, folder)


def forget_state(folder):
    shutil.rmtree(folder, ignore_errors=True)
