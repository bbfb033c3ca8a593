/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Bytes as people write them: pairs of hexadecimal digits, with or without blanks or colons between the pairs, with
 * or without "0x" in front: "0a 00 00 01", "0a000001", "0x0a000001", "0a:00:00:01". A single digit that stands
 * alone is a byte too ("a 0 0 1").
 */

#include "util/macros.h"

/* Appends the bytes of a word to *bytes (from malloc or NULL), of which *n are in use. -EINVAL: not hexadecimal, or
 * an odd digit left over; -E2BIG: more than max bytes; -ENOMEM. On failure both are as before, though the array may
 * have moved. */
int hex_append(const char *word, uint8_t **bytes, size_t *n, size_t max);

/* "0a 00 00 01"; the caller frees. NULL when out of memory. */
char *hex_to_string(const uint8_t *bytes, size_t n);
