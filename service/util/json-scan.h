/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A strict check of JSON after RFC 8259, with the limits of util/json.h.
 */

#include "util/error.h"

/* Checks the whole text. On an error (ERROR_INVALID_DOCUMENT, ERROR_LIMIT_EXCEEDED) *ret_fault is the offset of
 * its place. -ENOMEM leaves the error unset. */
int json_scan(const char *text, size_t size, size_t *ret_fault, Error *error);
