/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * From Error to what a caller on the bus gets: org.bpfchain1.Error.NAME with the sentence.
 */

#include <systemd/sd-bus.h>

#include "util/error.h"

#define BUS_ERROR_PREFIX "org.bpfchain1.Error."

/* Fills ret_error from `error`, or from the negative errno r where the error is unset (`what` was to be done).
 * Returns a negative errno, for handlers to return. A verifier's log goes to the journal, its decisive lines into
 * the message. */
int bus_error_fail(sd_bus_error *ret_error, int r, Error *error, const char *what);

/* The same with an error made on the spot. */
int bus_error_failf(sd_bus_error *ret_error, ErrorCode code, const char *format, ...) _printf_(3, 4);

/* Copies the lines of a verifier log that tell why: the last ones, without statistics; at most `size` bytes
 * including the NUL. Empty where there are none. */
void verifier_log_decisive(const char *log, char *ret, size_t size);
