/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What there is to know of a map in the kernel, and of the kinds of maps.
 */

#include "model/kernel-ops.h"

/* Reads a map's definition. `name` as MapInfo has it; pin and kept are left empty. */
int map_info_read(int fd, const char *name, bool internal, MapInfo *ret);

/* A value for each possible CPU behind a key? */
bool map_type_is_per_cpu(uint32_t type);

/* Is a value (or key) of the map a descriptor of the process that writes it? Such a map can be read, but not
 * written for somebody else: the number would be taken for one of our own descriptors. */
bool map_type_takes_descriptors(uint32_t type);

/* Is the key such a descriptor (storage that belongs to a socket, task, ...)? */
bool map_key_is_descriptor(uint32_t type);

/* May user space write this value into the map? Like map_type_takes_descriptors(), and devmaps and cpumaps whose
 * value names no program are fine. */
bool map_value_is_harmless(const MapInfo *info, const void *value);

/* Values that are maps: what the inner ones are like is not told by the map itself. */
bool map_type_holds_maps(uint32_t type);

/* Bytes that a look-up returns and an update takes: the value, or for per-CPU maps the values of all possible CPUs,
 * each padded to 8 bytes; bpf(2). */
size_t map_info_value_bytes(const MapInfo *info);
