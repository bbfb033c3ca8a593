/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Allocations of the service's own code that fail: the linker puts the functions of fail-memory.c in the place of the
 * library's (memory_link_args in meson.build). Allocations of other libraries are not touched.
 */

#include "util/macros.h"

/* The test's: does the allocation that is being asked for fail? It sets errno then. */
bool memory_fails(void);
