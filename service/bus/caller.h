/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Who has questions to polkit open: a client of the bus by its unique name, with the user that the bus says it is of
 * and a watch for its going away. A caller is there as long as something refers to it.
 */

#include <sys/types.h>
#include <systemd/sd-bus.h>

#include "util/macros.h"

/* Each caller has a match; dbus-daemon lets a connection have 512. */
#define CALLERS_MAX 384

typedef struct Callers Callers;

typedef struct Caller {
        Callers *callers;
        char *name;     /* unique name */
        uid_t uid;      /* once it is known */
        bool known;     /* the bus has answered */
        bool is_nobody; /* with an error: the caller is gone, most likely */
        /* Accounting, by whoever asks */
        unsigned n_open;        /* questions without an answer */
        unsigned n_interactive; /* of them, those that may have a dialog open */
        size_t weight;          /* bytes that their messages hold */
        /* Own matters */
        unsigned n_ref;
        sd_bus_slot *match, *call;
        struct Caller *next;
} Caller;

/* known: `known` has become true. gone: it left the bus. Both may drop their references on the caller. */
typedef struct CallerHandlers {
        void (*known)(void *userdata, Caller *caller);
        void (*gone)(void *userdata, Caller *caller);
        void *userdata;
} CallerHandlers;

struct Callers {
        CallerHandlers handlers;
        Caller *first;
        size_t n;
};

/* The caller of that name, with one more reference. -EBUSY: there are CALLERS_MAX. */
int callers_get(Callers *callers, sd_bus *bus, const char *name, Caller **ret);

Caller *caller_unref(Caller *caller);

/* What callers have open together. */
typedef struct CallerSum {
        unsigned n_callers;
        unsigned n_open;
        unsigned n_interactive;
        size_t weight;
} CallerSum;

/* Of all callers of a user, as far as they are known. */
CallerSum callers_sum(const Callers *callers, uid_t uid);
