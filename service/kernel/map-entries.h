/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Reading all entries of a map and writing many, in as few system calls as the map's type allows. The map may change
 * meanwhile: an entry that goes while it is read is left out, one that comes may be missed. Whatever happens to the
 * map, reading ends.
 */

#include "model/kernel-ops.h"

/* Gets some entries: keys of info->key_size, values of map_info_value_bytes() each. A negative errno ends the
 * reading. */
typedef int (*MapEntriesSink)(void *userdata, const uint8_t *keys, const uint8_t *values, size_t n);

/* lookup_flags: 0, or BPF_F_LOCK for values with a spin lock. Returns what the sink returns where that is negative,
 * or a negative errno where the map can't be read (-EPERM, -EOPNOTSUPP, -ENOTSUPP of the kernel, ...). */
int map_entries_read(int fd, const MapInfo *info, uint64_t lookup_flags, MapEntriesSink sink, void *userdata);

/* Writes entries; returns how many the map did not take. *ret_error: why it did not take the last of those. */
size_t map_entries_write(int fd, const MapInfo *info, const uint8_t *keys, const uint8_t *values, size_t n,
                         int *ret_error);
