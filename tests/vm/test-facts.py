#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the kernel's functions tell of hooks, on the kernel of the VM; see hook_facts_cases.py."""

import hook_facts_cases  # noqa: F401  pylint: disable=unused-import
from bpfchain_test import require_built, run_cases

require_built(hook_facts_cases.ACT, hook_facts_cases.FLOOD, hook_facts_cases.WATCH)
run_cases()
