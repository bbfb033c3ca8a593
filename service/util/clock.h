/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Times and spans in microseconds.
 */

#include <time.h>

#include "util/macros.h"

#define USEC_PER_MSEC   UINT64_C(1000)
#define USEC_PER_SEC    UINT64_C(1000000)
#define USEC_PER_MINUTE (60 * USEC_PER_SEC)
#define USEC_PER_HOUR   (60 * USEC_PER_MINUTE)
#define USEC_PER_DAY    (24 * USEC_PER_HOUR)
#define USEC_INFINITY   UINT64_MAX

static inline uint64_t usec_now(clockid_t clock) {
        struct timespec ts = {};

        (void) clock_gettime(clock, &ts);
        return (uint64_t) ts.tv_sec * USEC_PER_SEC + (uint64_t) ts.tv_nsec / 1000;
}

/* A span as people write it: "30s", "500ms", "2min", "1h 30min", "1.5s", "20us", "1d"; a plain number counts
 * seconds. -EINVAL: not a span; -ERANGE: more than 64 bits hold. */
int usec_from_string(const char *s, uint64_t *ret);

/* A span for people, its two largest units: "1h 30min", "11.2ms", "30s", "0"; USEC_INFINITY is "infinity". */
#define USEC_STRING_SIZE 32
const char *usec_to_string(uint64_t usec, char buffer[USEC_STRING_SIZE]);
