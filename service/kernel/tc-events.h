/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A source of the guard: clsact and ingress qdiscs and their filters, as the route netlink group RTNLGRP_TC tells of
 * them, in the network namespace that it is opened in. Takes no right.
 */

#include <systemd/sd-event.h>

#include "model/guard.h"

typedef struct TcEvents TcEvents;

/* fact NULL: events were lost. */
typedef void (*TcEventsHandler)(const TcFact *fact, void *userdata);

int tc_events_new(sd_event *event, TcEventsHandler handler, void *userdata, const char **ret_reason, TcEvents **ret);
/* What is there by now, without waiting for its turn in the event loop; NULL is fine. */
void tc_events_read(TcEvents *events);
TcEvents *tc_events_free(TcEvents *events); /* NULL is fine; returns NULL */
DEFINE_CLEANUP(TcEvents *, tc_events_free)
