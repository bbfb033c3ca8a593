/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * NULL-terminated arrays of owned strings. A NULL array is an empty one.
 */

#include "util/macros.h"

size_t strv_length(char *const *l);
bool strv_contains(char *const *l, const char *s);
/* Index of the string, or -ENOENT. */
int strv_find(char *const *l, const char *s);
bool strv_equal(char *const *a, char *const *b);
/* Appends a copy; -ENOMEM leaves the array as it was. */
int strv_append(char ***l, const char *s);
int strv_insert(char ***l, size_t position, const char *s);
/* Removes all that equal s. */
void strv_remove(char **l, const char *s);
int strv_copy(char *const *l, char ***ret);
/* The strings with a separator between; the caller frees, NULL when out of memory. */
char *strv_join(char *const *l, const char *separator);
void strv_free(char **l);
DEFINE_CLEANUP(char **, strv_free)
#define _cleanup_strv_ _cleanup_(strv_freep)

#define STRV_FOREACH(s, l) for (char *const *s = (l); s && *s; s++)
