/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Raw access to the maps of a program: the operations map_* of KernelOps (see model/kernel-ops.h).
 */

#include "kernel/kernel.h"

int kernel_map_lookup(void *userdata, KernelProgram *program, const char *map, const void *key, size_t key_size,
                      void *ret_value, size_t value_size, Error *error);
int kernel_map_update(void *userdata, KernelProgram *program, const char *map, const void *key, size_t key_size,
                      const void *value, size_t value_size, uint64_t flags, Error *error);
int kernel_map_delete(void *userdata, KernelProgram *program, const char *map, const void *key, size_t key_size,
                      Error *error);
int kernel_map_next_key(void *userdata, KernelProgram *program, const char *map, const void *key, void *ret_key,
                        size_t key_size, Error *error);
