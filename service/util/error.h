/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What goes wrong in a way that the user must hear of: a condition (which the bus layer maps to an
 * org.bpfchain1.Error.* name), a sentence that says what happened and what to do, and, where the cause stands in
 * a document, the place in it.
 *
 * Functions that can fail so take an `Error *error` (never NULL), fill it at most once, and return a negative
 * errno. Out of memory and faults of our own return a negative errno and leave the error unset;
 * error_ensure() turns that into a sentence where the error is given up on.
 */

#include "macros.h"
#include "string-table.h"

typedef enum ErrorCode {
        ERROR_NONE,
        ERROR_FAILED, /* anything that has no name of its own */
        ERROR_INVALID_DOCUMENT,
        ERROR_INVALID_ARGUMENT,
        ERROR_NO_SUCH_DOCUMENT,
        ERROR_NO_SUCH_INTERFACE,
        ERROR_NO_SUCH_CHAIN,
        ERROR_NO_SUCH_PROGRAM,
        ERROR_NO_SUCH_MAP,
        ERROR_NO_SUCH_ENTRY,
        ERROR_ENTRY_EXISTS,
        ERROR_NAME_TAKEN,
        ERROR_VERIFIER_REJECTED,
        ERROR_LIMIT_EXCEEDED,
        ERROR_HOOK_BUSY,
        ERROR_INCOMPATIBLE,
        ERROR_STALE_GENERATION,
        ERROR_NOTHING_TO_CONFIRM,
        ERROR_NOT_SUPPORTED,
        ERROR_BUSY,
        _ERROR_CODE_MAX,
        _ERROR_CODE_INVALID = -EINVAL,
} ErrorCode;

DECLARE_STRING_TABLE(error_code, ErrorCode)

typedef struct Error {
        ErrorCode code;
        char *message; /* one or two sentences, no trailing newline */
        char *where;   /* JSON path in the document, "programs.deny.maps.denied_v4[0].key", or NULL */
        char *log;     /* the whole verifier log where there is one, or NULL */
} Error;

#define ERROR_INIT ((Error){ .code = ERROR_NONE })

/* Frees what the error holds and makes it unset again. */
void error_done(Error *error);
#define _cleanup_error_ _cleanup_(error_done)

static inline bool error_is_set(const Error *error) {
        return error->code != ERROR_NONE;
}

/* Sets an unset error (an error that is set already stays). Returns the negative errno that stands for the code,
 * so that `return error_set(error, ERROR_X, "…")` reads well. */
int error_set(Error *error, ErrorCode code, const char *format, ...) _printf_(3, 4);

/* The same, with a place in the document. */
int error_set_at(Error *error, ErrorCode code, const char *where, const char *format, ...) _printf_(4, 5);

/* Puts text in front of the message of an error that is set. */
void error_prefix(Error *error, const char *format, ...) _printf_(2, 3);

/* Where r is negative and the error unset, sets it to ERROR_FAILED with the errno's text behind `what`.
 * Returns r. */
int error_ensure(Error *error, int r, const char *what);

/* Moves the contents of one error to another, which must be unset. */
void error_move(Error *to, Error *from);

/* The negative errno for a code. */
int error_code_to_errno(ErrorCode code);
