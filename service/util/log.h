/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Logging, to the journal where stderr is the journal's stream (systemd sets JOURNAL_STREAM), else to stderr.
 * A line may carry structured fields; they reach the journal as BPFCHAIN_INTERFACE= and so on, and appear in the
 * text on stderr only as far as the message names them.
 *
 * An error is logged once, where it is given up on.
 */

#include <syslog.h>

#include "macros.h"

typedef struct LogFields {
        const char *interface;  /* BPFCHAIN_INTERFACE= */
        const char *hook;       /* BPFCHAIN_HOOK= */
        const char *program;    /* BPFCHAIN_PROGRAM= */
        const char *document;   /* BPFCHAIN_DOCUMENT= */
        const char *message_id; /* MESSAGE_ID=, 32 hexadecimal digits */
        const char *detail;     /* BPFCHAIN_DETAIL=, many lines are fine (a verifier log) */
        const char *act;        /* BPFCHAIN_ACT=, of the guard's events, as is all below */
        const char *verdict;    /* BPFCHAIN_VERDICT= */
        const char *rule;       /* BPFCHAIN_RULE= */
        const char *source;     /* BPFCHAIN_SOURCE= */
        const char *program_id; /* BPFCHAIN_PROGRAM_ID= */
        const char *culprit_pid;
        const char *culprit_uid;
        const char *culprit_executable;
        const char *culprit_unit; /* BPFCHAIN_CULPRIT_UNIT= and so on */
        uint64_t generation;      /* BPFCHAIN_GENERATION=, 0: none */
} LogFields;

/* Chooses journal or stderr; max_level is a syslog level, lines above it are dropped. */
void log_open(int max_level);
int log_max_level(void);

/* Drops everything; for tests and fuzzers. */
void log_close(void);

void log_internal(int level, const LogFields *fields, const char *format, ...) _printf_(3, 4);

#define log_with(level, fields, ...) log_internal((level), (fields), __VA_ARGS__)
#define log_debug(...)               log_internal(LOG_DEBUG, NULL, __VA_ARGS__)
#define log_info(...)                log_internal(LOG_INFO, NULL, __VA_ARGS__)
#define log_notice(...)              log_internal(LOG_NOTICE, NULL, __VA_ARGS__)
#define log_warning(...)             log_internal(LOG_WARNING, NULL, __VA_ARGS__)
#define log_error(...)               log_internal(LOG_ERR, NULL, __VA_ARGS__)
