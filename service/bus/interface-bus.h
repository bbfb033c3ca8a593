/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* org.bpfchain1.Interface: dbus/org.bpfchain1.Interface.xml says what the members do. */

#include "bus/object.h"

extern const ObjectImplementation interface_implementation;
