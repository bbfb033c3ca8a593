/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* org.bpfchain1.Chain: dbus/org.bpfchain1.Chain.xml says what the members do. */

#include "bus/object.h"

typedef struct BusContext BusContext;

extern const ObjectImplementation chain_implementation;

/* Appends the a{sv} of the signal Conflict. 1; 0: there is no such chain any more. */
int chain_append_conflict(BusContext *context, const char *path, sd_bus_message *signal);
