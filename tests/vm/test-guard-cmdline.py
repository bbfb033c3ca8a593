#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The way out by the kernel's command line: with bpfchain.guard=off there is no guard, whatever the settings say, and
the service says why."""

import json

from guard_lab import SETTINGS, Arena
from vm_lab import case, client, client_json, command, run_cases


@case
def the_guard_stays_off_and_says_why():
    with open("/proc/cmdline", encoding="ascii") as file:
        assert "bpfchain.guard=off" in file.read().split()
    with Arena() as arena:
        with open(SETTINGS, "w", encoding="utf-8") as file:
            json.dump({"guard": {"mode": "enforce", "restore": "always"}}, file)
        client("reload")
        state = arena.get_all()
        assert (state["Mode"], state["ModeWanted"], state["ModeConfigured"]) == ("off", "enforce", "enforce"), state
        assert "bpfchain.guard=off" in state["Reason"], state["Reason"]
        assert "bpfchain.guard=off" in client("guard", "status").stdout
        assert client_json("guard", "status")["mode"] == "off"
        loaded = command("bpftool", "prog", "show").stdout
        assert "name lsm_" not in loaded and "name fmod_" not in loaded, loaded
        refused = client("guard", "mode", "enforce", check=False)
        assert refused.returncode != 0 and "bpfchain.guard=off" in refused.stderr, refused

        # What happens is seen and mended as ever.
        mark = arena.mark()
        done = arena.foe("link-detach", arena.identity()[0])
        assert done.status == 0, str(done)
        arena.wait_event(mark, lambda e: e["what"] == "detached" and e["outcome"] == "restored", "the repair")
        arena.whole()


run_cases()
