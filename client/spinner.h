/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A sign of life on stderr while something takes long: a turning character, what is done, and for how long. Nothing
 * is shown for the first 300 ms, nor where stderr is no terminal.
 */

#include "util/macros.h"

typedef struct Spinner {
        const char *doing; /* NULL: never shown */
        uint64_t started;  /* microseconds, CLOCK_MONOTONIC */
        unsigned turn;
        bool shown;
} Spinner;

#define SPINNER_INTERVAL UINT64_C(100000) /* microseconds between calls of spinner_turn() */

/* `doing` must outlive the spinner. */
Spinner spinner_begin(const char *doing);
void spinner_turn(Spinner *spinner);

/* Wipes the line. */
void spinner_end(Spinner *spinner);
