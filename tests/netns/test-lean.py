# SPDX-License-Identifier: LGPL-2.1-or-later
"""The service with the capabilities that its systemd unit leaves it, and no others: it loads, attaches, changes and
adopts all kinds of chains."""

import os
import re
import tempfile

from bpfchain_test import SOURCE, case, require_built, run_cases
from service_lab import ServiceLab, simple_document

HOOKS = ("xdp", "tc-ingress", "tc-egress")


def unit_capabilities():
    """The unit's bounding set, as setpriv(1) names its members."""
    with open(os.path.join(SOURCE, "systemd", "bpfchaind.service.in"), encoding="utf-8") as file:
        line = re.search(r"^CapabilityBoundingSet=(.*)$", file.read(), re.MULTILINE)
    return [word.removeprefix("CAP_").lower() for word in line[1].split()]


def wrapper(folder):
    """A program that takes all other capabilities away and then becomes what it is told."""
    path = os.path.join(folder, "lean")
    wanted = ",".join(f"+{name}" for name in unit_capabilities())
    with open(path, "w", encoding="utf-8") as file:
        file.write(f'#!/bin/sh\nexec setpriv --no-new-privs --bounding-set=-all,{wanted} "$@"\n')
    os.chmod(path, 0o755)
    return path


def effective(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return int(re.search(r"^CapEff:\s*([0-9a-f]+)$", file.read(), re.MULTILINE)[1], 16)


@case
def all_hooks_with_the_capabilities_of_the_unit():
    with tempfile.TemporaryDirectory(prefix="bct-") as folder, ServiceLab() as lab:
        os.environ["BPFCHAIN_WRAPPER"] = wrapper(folder)
        try:
            lab.start()
            assert bin(effective(lab.daemon.pid)).count("1") == len(unit_capabilities())
            for hook in HOOKS:
                lab.apply(hook, simple_document(hook, name=f"on-{hook}"))
            for hook in HOOKS:
                lab.wait_chain("eth0", hook)
            before = lab.all_ids()
            assert all(link or hook != "xdp" for (_, hook), (link, _) in before.items()), before

            lab.restart()
            assert lab.all_ids() == before
            assert not lab.problems(), lab.problems()

            lab.client("withdraw", "tc-egress")
            assert set(lab.all_ids()) == {("eth0", "xdp"), ("eth0", "tc-ingress")}
        finally:
            del os.environ["BPFCHAIN_WRAPPER"]


require_built()
run_cases()
