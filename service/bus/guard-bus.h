/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* org.bpfchain1.Guard: dbus/org.bpfchain1.Guard.xml says what the members do. */

#include "bus/object.h"
#include "model/guard.h"

extern const ObjectImplementation guard_implementation;

/* An event as a{sv}. */
int guard_append_event(sd_bus_message *message, const GuardEvent *event);
