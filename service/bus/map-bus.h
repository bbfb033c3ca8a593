/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* org.bpfchain1.Map: dbus/org.bpfchain1.Map.xml says what the members do. */

#include "bus/object.h"

extern const ObjectImplementation map_implementation;
