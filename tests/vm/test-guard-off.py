#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The guard's table with the guard's mode "off", see guard_table.py."""

from guard_table import run_table

run_table("off")
