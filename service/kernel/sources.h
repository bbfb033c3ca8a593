/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * All that tells the guard of what others do, on one event loop: the guard's own programs, functions of the kernel
 * that hooks are changed by, loads of programs, clsact, pins, and looks at the chains, at once when one of these (or
 * the caller, of interfaces) says that something happened, and again for a while behind what only announces it, such
 * as the load of a program. Where nothing tells (changes to links), chains are looked at in an interval of the
 * settings. Otherwise nothing wakes.
 */

#include <systemd/sd-event.h>

#include "kernel/kernel.h"
#include "model/guard.h"

typedef struct Sources Sources;

/* Sources that can't be had are noted with the guard, and left out. */
int sources_new(sd_event *event, const Kernel *kernel, Guard *guard, Sources **ret);
Sources *sources_free(Sources *sources); /* NULL is fine; returns NULL */
DEFINE_CLEANUP(Sources *, sources_free)

/* The guard's settings have changed. NULL is fine. */
void sources_reconfigure(Sources *sources);

/* Something happened to interfaces. Cheap. */
void sources_link_event(Sources *sources);

/* Before and after the manager reconciles: what others did is seen before it is mended, and what came of it. NULL is
 * fine. */
void sources_before_reconcile(Sources *sources);
void sources_after_reconcile(Sources *sources);
