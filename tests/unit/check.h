/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What every cmocka test wants: its headers in the order that they need, and checks on errors.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "util/error.h"

/* The error is of this condition, and its sentence has this text in it. Prints it if not. */
static inline void check_error(const Error *error, ErrorCode code, const char *text) {
        if (error->code != code || !error->message || !strstr(error->message, text))
                fail_msg("expected %s \"…%s…\", got %s \"%s\" at \"%s\"", error_code_to_string(code), text,
                         error_code_to_string(error->code), strna(error->message), strna(error->where));
}

/* No error; prints it if there is one. */
static inline void check_no_error(const Error *error) {
        if (error_is_set(error))
                fail_msg("%s \"%s\" at \"%s\"", error_code_to_string(error->code), strna(error->message),
                         strna(error->where));
}
