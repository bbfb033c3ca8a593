/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/spinner.h"
#include "client/output.h"
#include "util/clock.h"

#define QUIET_USEC (300 * USEC_PER_MSEC)

Spinner spinner_begin(const char *doing) {
        const char *term = getenv("TERM");
        bool able = doing && isatty(STDERR_FILENO) && !strempty(term) && !streq(term, "dumb");

        return (Spinner){ .doing = able ? doing : NULL, .started = usec_now(CLOCK_MONOTONIC) };
}

void spinner_turn(Spinner *spinner) {
        static const char *const fine[] = { "⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏" };
        static const char *const plain[] = { "|", "/", "-", "\\" };
        uint64_t spent;

        if (!spinner->doing)
                return;
        spent = usec_now(CLOCK_MONOTONIC) - spinner->started;
        if (spent < QUIET_USEC)
                return;
        fprintf(stderr, "\r%s %s  %.1f s\033[K",
                utf8_allowed() ? fine[spinner->turn % ELEMENTSOF(fine)] : plain[spinner->turn % ELEMENTSOF(plain)],
                spinner->doing, (double) spent / (double) USEC_PER_SEC);
        fflush(stderr);
        spinner->shown = true;
        spinner->turn++;
}

void spinner_end(Spinner *spinner) {
        if (spinner->shown)
                fputs("\r\033[K", stderr);
        spinner->shown = false;
}
