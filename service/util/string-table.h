/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Names of enum values. An enum that has names ends in _X_MAX and _X_INVALID = -EINVAL; its table is a
 * `static const char *const x_table[_X_MAX]`. DEFINE_STRING_TABLE() makes x_to_string() (NULL when out of range)
 * and x_from_string() (_X_INVALID when unknown), and refuses at compile time a table of another length.
 */

#include <errno.h>
#include <stddef.h>
#include <string.h>

#define DECLARE_STRING_TABLE(name, type)                                                                             \
        const char *name##_to_string(type v);                                                                        \
        type name##_from_string(const char *s);

#define DEFINE_STRING_TABLE(name, type, max)                                                                         \
        _Static_assert(sizeof(name##_table) / sizeof(name##_table[0]) == (max),                                      \
                       "the table has a name for each value");                                                       \
        const char *name##_to_string(type v) {                                                                       \
                return (int) v >= 0 && v < (max) ? name##_table[v] : NULL;                                           \
        }                                                                                                            \
        type name##_from_string(const char *s) {                                                                     \
                for (int i = 0; s && i < (int) (max); i++)                                                           \
                        if (name##_table[i] && strcmp(name##_table[i], s) == 0)                                      \
                                return (type) i;                                                                     \
                return (type) -EINVAL;                                                                               \
        }
