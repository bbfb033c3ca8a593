# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the parts of the test VM share: words to the user, the cache folder, digests, commands."""

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time

SOURCE = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
GUEST = os.path.join(os.path.dirname(os.path.abspath(__file__)), "guest")


class CannotRun(Exception):
    """This host can't do it; the sentence says why and what to do. Tests are skipped."""


class Failed(Exception):
    """It should have worked; the sentence says what did not."""


def say(sentence):
    """What goes on, on stderr, so that it mixes with no result."""
    print(f"==> {sentence}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def timed(sentence):
    """Says what is done, and how long it took when that was long."""
    say(sentence)
    started = time.monotonic()
    yield
    seconds = time.monotonic() - started
    if seconds >= 2:
        say(f"  {seconds:.1f} s")


def need_tools(*names):
    path = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin"
    missing = [name for name in names if not shutil.which(name, path=path)]
    if missing:
        raise CannotRun(f"{', '.join(missing)} not installed; \"sudo ./dev deps vm\" gets it")
    os.environ["PATH"] = path


def need_root():
    if os.geteuid() != 0:
        raise CannotRun("building the VM takes root, for chroot and the owners of its files")


def need_architecture():
    machine = os.uname().machine
    if machine != "x86_64":
        raise CannotRun(f"the VM is made for x86_64; this host is {machine}")


def run(*command, **options):
    """Runs a command that must succeed; its output appears only when it does not."""
    options.setdefault("stdin", subprocess.DEVNULL)
    result = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            errors="replace", check=False, **options)
    if result.returncode != 0:
        tail = "\n".join(result.stdout.splitlines()[-30:])
        raise Failed(f"{' '.join(map(str, command))}: exit status {result.returncode}\n{tail}")
    return result.stdout


def cache_folder():
    """BPFCHAIN_VM_CACHE, or bpfchain-vm in XDG_CACHE_HOME, or /var/cache/bpfchain-vm; made when it is missing."""
    folder = os.environ.get("BPFCHAIN_VM_CACHE")
    if not folder:
        folder = os.path.join(os.environ.get("XDG_CACHE_HOME") or "/var/cache", "bpfchain-vm")
    folder = os.path.abspath(folder)
    try:
        os.makedirs(folder, mode=0o755, exist_ok=True)
    except OSError as error:
        raise CannotRun(f"the cache folder {folder} can't be made: {error.strerror}; "
                        "name another one by BPFCHAIN_VM_CACHE") from None
    return folder


@contextlib.contextmanager
def locked(folder, what=None):
    """One at a time in a folder; a second one waits."""
    descriptor = os.open(os.path.join(folder, ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"Somebody else makes {what or 'something in ' + folder}; waiting for that.")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def available_memory():
    """MiB."""
    with open("/proc/meminfo", encoding="ascii") as file:
        for line in file:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) >> 10
    return 0


@contextlib.contextmanager
def one_of_few(cache, each):
    """So many at a time as there are processors, and memory for `each` MiB; more wait. Who waits looks again now and
    then: memory comes and goes."""
    said = False
    while True:
        places = max(1, min(os.cpu_count() or 1, available_memory() // each))
        for number in range(places):
            place = os.path.join(cache, f".place-{number}")
            descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                continue
            try:
                yield
            finally:
                os.close(descriptor)
            return
        if not said:
            say(f"There is room for {places} at a time; waiting for another one's end.")
            said = True
        time.sleep(0.5)


def digest_of(*parts):
    """A short digest of texts and bytes, in this order."""
    digest = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).encode()
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()[:16]


def digest_of_tree(top):
    """Of the names, kinds, modes and contents of all that is below a folder. Not of times and owners: the builder
    sets them."""
    parts = []
    for folder, folders, names in os.walk(top):
        folders.sort()
        for name in sorted(names + [f for f in folders if os.path.islink(os.path.join(folder, f))]):
            path = os.path.join(folder, name)
            parts.append(os.path.relpath(path, top))
            if os.path.islink(path):
                parts.append("link " + os.readlink(path))
                continue
            parts.append(oct(os.stat(path).st_mode & 0o7777))
            with open(path, "rb") as file:
                parts.append(file.read())
    return digest_of(*parts)


def digest_of_files(*paths):
    parts = []
    for path in paths:
        with open(path, "rb") as file:
            parts.append(file.read())
    return digest_of(*parts)


def prune(folder, prefix, keep):
    """Keeps the `keep` entries of that prefix that were used last (their times are set at each use)."""
    found = [os.path.join(folder, name) for name in os.listdir(folder) if name.startswith(prefix)]
    for path in sorted(found, key=os.path.getmtime)[:-keep]:
        say(f"Removing {path}, which was not used for long.")
        if os.path.isdir(path):
            shutil.rmtree(path, ignore_errors=True)
        else:
            os.unlink(path)
