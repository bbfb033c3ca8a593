/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Reading the verifier's log: figures, the lines that matter, where it stopped. The text is the kernel's, but it
 * quotes object files, so nothing in it is trusted.
 */

#include "util/error.h"

/* Room for a log. Kernels before 6.4 keep its beginning when it is full and later ones its end; this is what the
 * oldest take at most (kernel/bpf/verifier.c: UINT_MAX >> 8). Pages that are not written cost nothing. */
#define VERIFIER_LOG_ROOM (UINT32_MAX >> 8)

/* Room for a log of level VERIFIER_LOG_STATS. */
#define VERIFIER_LOG_STATS_ROOM (64U * 1024)

/* What is kept of a log for the user: its end. */
#define VERIFIER_LOG_KEPT (256U * 1024)

/* log_level bits; include/linux/bpf_verifier.h of the kernel, not part of its installed headers. */
#define VERIFIER_LOG_FULL  1U
#define VERIFIER_LOG_STATS 4U

typedef struct VerifierStats {
        uint32_t insns; /* processed */
        uint32_t states_total;
        uint32_t stack_depth; /* bytes, deepest frame */
        uint32_t main_stack;  /* bytes, frame of the main function; UINT32_MAX where the log does not tell */
} VerifierStats;

/* Figures of a log of level VERIFIER_LOG_STATS; what it does not tell stays 0. */
void verifier_log_stats(const char *log, VerifierStats *ret);

/* Why the verifier refused, in one line: its last words, the instruction and the source line they are about. The
 * caller frees it; NULL when out of memory. */
char *verifier_log_summary(const char *log);

/* The instruction at which the verifier stopped, -ENOENT where the log does not tell. */
int64_t verifier_log_instruction(const char *log);

/* Does the log complain at all? Kernels also refuse programs that the verifier has no objection to. */
bool verifier_log_has_reason(const char *log);

/* Is this what the log complains of? */
bool verifier_log_too_complex(const char *log); /* over a million instructions processed */
bool verifier_log_too_deep(const char *log);    /* stack of the called functions together */
bool verifier_log_too_nested(const char *log);  /* functions that call each other */

/* Does the program call what only programs may that are bound to an interface (bpf_xdp_metadata_*())? */
bool verifier_log_wants_device(const char *log);

/* The end of a log in plain ASCII, cut at a line, for Error.log. The caller frees it; NULL when out of memory. */
char *verifier_log_copy(const char *log);

/* Replaces what could upset a terminal, a log or a bus message. Newlines and tabs stay. */
void text_make_printable(char *text);
