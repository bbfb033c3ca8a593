/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * One value from those of all CPUs, as dbus/map-spec.md, section 4, says.
 */

#include "value/value-type.h"

/* `values`: n of them, each `stride` bytes behind the one before. `ret` has room for one. */
void value_sum(const ValueType *type, const void *values, size_t n, size_t stride, void *ret);
