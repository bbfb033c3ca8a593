/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * When the guard looks at chains: when something says that something happened, again for a while behind what only
 * announces it, in an interval where nothing tells, and when a pause ends. However much happens, looks take a small
 * part of the time. Nothing wakes without a reason.
 */

#include <systemd/sd-event.h>

#include "model/guard.h"

typedef struct Looks Looks;

int looks_new(sd_event *event, Guard *guard, Looks **ret);
Looks *looks_free(Looks *looks); /* NULL is fine; returns NULL */
DEFINE_CLEANUP(Looks *, looks_free)

/* Something has happened: one look, soon. what: mask of GUARD_LOOK_*; source: static. */
void looks_trigger(Looks *looks, unsigned what, const char *source);
/* Something is about to happen, at once or some time behind: looks follow, ever more seldom. */
void looks_follow(Looks *looks, unsigned what, const char *source);
/* A look now. NULL: the source is what triggered last. */
void looks_now(Looks *looks, unsigned what, const char *source);

/* What is done before each look: who did what it finds may be there to be read, behind what caused it. */
void looks_set_before(Looks *looks, void (*before)(void *userdata), void *userdata);

/* What a look in the interval sees to besides. */
void looks_set_interval_extra(Looks *looks, unsigned what);

/* Chains, policy or settings have changed: timers follow what there is to wait for. */
void looks_update(Looks *looks);
