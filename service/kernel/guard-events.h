/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Reading what the guard's programs tell.
 */

#include "kernel/guard-programs.h"
#include "kernel/guard-set.h"

typedef struct GuardEvents GuardEvents;

int guard_events_new(const GuardSet *set, GuardEvents **ret);
GuardEvents *guard_events_free(GuardEvents *events); /* NULL is fine; returns NULL */
DEFINE_CLEANUP(GuardEvents *, guard_events_free)

int guard_events_fd(const GuardEvents *events);

/* Some hundred at most. */
int guard_events_read(GuardEvents *events, GuardAttemptHandler handler, void *userdata);

/* -EBADMSG: nothing that our programs would tell. Pure. */
int guard_events_parse(const void *data, size_t size, GuardAttempt *ret);
