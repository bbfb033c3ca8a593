/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Pins of the guard's programs, by which they outlive the service: a folder "guard" beside those of the chains, and
 * in it one for each set, named after technique and version ("lsm-0123456789abcdef"), with the maps ("map-settings")
 * and the links ("link-lsm_bpf"). A name with "~" behind is one that was not finished.
 */

#include "kernel/guard-set.h"
#include "kernel/kernel.h"

/* Pins the set and then removes the pins of all others. */
int guard_pins_keep(const Kernel *kernel, const GuardSet *set);

/* The whole set of this version that is pinned. -ENOENT: there is none; -EPERM: there is, and it takes this process
 * for a stranger. *ret_others: something else is pinned. */
int guard_pins_adopt(const Kernel *kernel, GuardSet **ret, bool *ret_others);

/* Removes all pins; what they held goes with the last descriptor. -EPERM: see above. */
int guard_pins_remove(const Kernel *kernel);

/* Is anything pinned? */
bool guard_pins_exist(const Kernel *kernel);
