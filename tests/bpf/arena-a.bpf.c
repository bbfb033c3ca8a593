// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Counts in an arena (kernel 6.9), in a page that user space must have touched: until then the count stays 0. */

#define ARENA_START 0x40000000

#include "arena.h"
