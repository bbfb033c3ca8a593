/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "util/clock.h"

static const struct {
        const char *name;
        uint64_t usec;
} units[] = {
        /* The first name of a unit is the one that is written. */
        { "d", USEC_PER_DAY },
        { "day", USEC_PER_DAY },
        { "days", USEC_PER_DAY },
        { "h", USEC_PER_HOUR },
        { "hour", USEC_PER_HOUR },
        { "hours", USEC_PER_HOUR },
        { "min", USEC_PER_MINUTE },
        { "minute", USEC_PER_MINUTE },
        { "minutes", USEC_PER_MINUTE },
        { "m", USEC_PER_MINUTE },
        { "s", USEC_PER_SEC },
        { "sec", USEC_PER_SEC },
        { "second", USEC_PER_SEC },
        { "seconds", USEC_PER_SEC },
        { "ms", USEC_PER_MSEC },
        { "msec", USEC_PER_MSEC },
        { "us", 1 },
        { "usec", 1 },
};

static const char *skip_blanks(const char *s) {
        return s + strspn(s, " \t");
}

static uint64_t unit_from_string(const char *s, size_t n) {
        for (size_t i = 0; i < ELEMENTSOF(units); i++)
                if (strlen(units[i].name) == n && strncmp(units[i].name, s, n) == 0)
                        return units[i].usec;
        return 0;
}

/* "1.5" of a unit. Digits beyond a microsecond are dropped. */
static int parse_amount(const char **s, uint64_t *ret_whole, uint64_t *ret_millionths) {
        uint64_t whole = 0, millionths = 0, weight = 100000;
        const char *p = *s;

        if (*p < '0' || *p > '9')
                return -EINVAL;
        for (; *p >= '0' && *p <= '9'; p++)
                if (__builtin_mul_overflow(whole, 10, &whole) ||
                    __builtin_add_overflow(whole, (uint64_t) (*p - '0'), &whole))
                        return -ERANGE;
        if (*p == '.') {
                p++;
                if (*p < '0' || *p > '9')
                        return -EINVAL;
                for (; *p >= '0' && *p <= '9'; p++, weight /= 10)
                        millionths += weight * (uint64_t) (*p - '0');
        }
        *s = p;
        *ret_whole = whole;
        *ret_millionths = millionths;
        return 0;
}

int usec_from_string(const char *s, uint64_t *ret) {
        const char *p = skip_blanks(s);
        uint64_t sum = 0;
        int r;

        if (!*p)
                return -EINVAL;
        while (*p) {
                uint64_t whole, millionths, unit, usec;
                size_t n;

                r = parse_amount(&p, &whole, &millionths);
                if (r < 0)
                        return r;
                p = skip_blanks(p);
                n = strspn(p, "abcdefghijklmnopqrstuvwxyz");
                unit = n > 0 ? unit_from_string(p, n) : USEC_PER_SEC;
                if (unit == 0)
                        return -EINVAL;
                /* A day has less than 2^37 microseconds, so the millionths can't overflow. */
                if (__builtin_mul_overflow(whole, unit, &usec) ||
                    __builtin_add_overflow(usec, millionths * unit / 1000000, &usec) ||
                    __builtin_add_overflow(sum, usec, &sum))
                        return -ERANGE;
                p = skip_blanks(p + n);
                if (n == 0 && *p)
                        return -EINVAL; /* a plain number stands alone */
        }
        if (sum == USEC_INFINITY)
                return -ERANGE;
        *ret = sum;
        return 0;
}

const char *usec_to_string(uint64_t usec, char buffer[USEC_STRING_SIZE]) {
        if (usec == 0)
                snprintf(buffer, USEC_STRING_SIZE, "0");
        else if (usec == USEC_INFINITY)
                snprintf(buffer, USEC_STRING_SIZE, "infinity");
        else if (usec < USEC_PER_MSEC)
                snprintf(buffer, USEC_STRING_SIZE, "%" PRIu64 "us", usec);
        else if (usec < USEC_PER_MINUTE) {
                bool seconds = usec >= USEC_PER_SEC;
                uint64_t tenths = usec / (seconds ? USEC_PER_SEC / 10 : USEC_PER_MSEC / 10);

                if (tenths % 10 == 0)
                        snprintf(buffer, USEC_STRING_SIZE, "%" PRIu64 "%s", tenths / 10, seconds ? "s" : "ms");
                else
                        snprintf(buffer, USEC_STRING_SIZE, "%" PRIu64 ".%" PRIu64 "%s", tenths / 10, tenths % 10,
                                 seconds ? "s" : "ms");
        } else {
                bool days = usec >= USEC_PER_DAY, hours = !days && usec >= USEC_PER_HOUR;
                uint64_t large = days ? USEC_PER_DAY : hours ? USEC_PER_HOUR : USEC_PER_MINUTE;
                uint64_t small = days ? USEC_PER_HOUR : hours ? USEC_PER_MINUTE : USEC_PER_SEC;
                uint64_t rest = usec % large / small;
                int n;

                n = snprintf(buffer, USEC_STRING_SIZE, "%" PRIu64 "%s", usec / large,
                             days    ? "d"
                             : hours ? "h"
                                     : "min");
                if (rest > 0)
                        snprintf(buffer + n, USEC_STRING_SIZE - (size_t) n, " %" PRIu64 "%s", rest,
                                 days    ? "h"
                                 : hours ? "min"
                                         : "s");
        }
        return buffer;
}
