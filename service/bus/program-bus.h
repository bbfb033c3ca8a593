/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* org.bpfchain1.Program: dbus/org.bpfchain1.Program.xml says what the members do. */

#include "bus/object.h"

extern const ObjectImplementation program_implementation;
