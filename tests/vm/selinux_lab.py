# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests of SELinux share: commands in other domains, labels, modules, booleans."""

import contextlib
import itertools
import os

from vm_lab import command

SYSADM = "root:sysadm_r:sysadm_t:s0-s0:c0.c1023"
STAFF = "root:staff_r:staff_t:s0-s0:c0.c1023"


def context_of(pid):
    with open(f"/proc/{pid}/attr/current", encoding="ascii") as file:
        return file.read().rstrip("\0\n")


def label_of(path):
    """The type of a file."""
    return os.getxattr(path, "security.selinux", follow_symlinks=False).decode().rstrip("\0").split(":")[2]


def modules():
    """Those of the policy, by name: whether each is in effect."""
    lines = [line.split() for line in command("semodule", "--list-modules=full").stdout.splitlines()]
    return {words[1]: "disabled" not in words for words in lines}


@contextlib.contextmanager
def boolean(name):
    """On while the block runs."""
    command("setsebool", name, "on")
    try:
        yield
    finally:
        command("setsebool", name, "off")


class Finished:
    """What a service left: how it ended, and what it printed."""

    def __init__(self, status, output):
        self.returncode, self.stdout = status, output


_numbers = itertools.count(1)


def as_service(*properties):
    """A function that runs a command as a service of such properties, in the domain that its executable leads to from
    init unless a property names one; it returns a Finished."""

    def run(*words, check=True):
        unit = f"bct-{os.getpid()}-{next(_numbers)}.service"
        # In an enforcing system the bus daemon does not hand on our descriptors: what it prints is in the journal.
        command_line = ["systemd-run", "--quiet", "--wait", "--collect", f"--unit={unit}"]
        command_line += [f"--property={item}" for item in ("SyslogLevelPrefix=no",) + properties]
        result = command(*command_line, "--", *words, check=False)
        command("journalctl", "--sync")
        output = command("journalctl", "--boot", f"--unit={unit}", "--output=cat", "_TRANSPORT=stdout").stdout
        assert not check or result.returncode == 0, (
            f"{' '.join(words)} {properties}: exit status {result.returncode}\n{output}{result.stderr}")
        return Finished(result.returncode, output)

    return run


def semodule(*words):
    """Rebuilds the policy and loads it."""
    command("semodule", "--priority=400", *words, timeout=300)
