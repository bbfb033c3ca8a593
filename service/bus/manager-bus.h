/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* org.bpfchain1.Manager: dbus/org.bpfchain1.Manager.xml says what the members do. */

#include "bus/object.h"

extern const ObjectImplementation manager_implementation;
