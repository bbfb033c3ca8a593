// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The same with an arena elsewhere, in a page that user space must have touched: until then the count stays 0. */

#define ARENA_START 0x50000000

#include "arena.h"
