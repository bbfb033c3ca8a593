/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <limits.h>

#include "util/encode.h"

/* Not isalnum(3): the locale must not matter. */
static bool is_plain(char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
}

static int unhex(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        return -EINVAL;
}

int name_encode(const char *name, char **ret) {
        static const char digits[] = "0123456789abcdef";
        char encoded[NAME_MAX + 1];
        size_t n = 0;
        char *copy;

        for (const char *p = name; *p; p++) {
                if (n + (is_plain(*p) ? 1 : 3) > NAME_MAX)
                        return -ENAMETOOLONG;
                if (is_plain(*p)) {
                        encoded[n++] = *p;
                } else {
                        encoded[n++] = '_';
                        encoded[n++] = digits[(uint8_t) *p >> 4];
                        encoded[n++] = digits[(uint8_t) *p & 15];
                }
        }
        if (n == 0)
                encoded[n++] = '_';
        encoded[n] = '\0';

        copy = strdup(encoded);
        if (!copy)
                return -ENOMEM;
        *ret = copy;
        return 0;
}

int name_decode(const char *encoded, char **ret) {
        _cleanup_free_ char *name = malloc(strlen(encoded) + 1);
        char *end = name;

        if (!name)
                return -ENOMEM;
        if (!*encoded)
                return -EINVAL;

        for (const char *p = encoded; *p && !streq(encoded, "_"); p++) {
                int high, low;

                if (is_plain(*p)) {
                        *end++ = *p;
                        continue;
                }
                if (*p != '_' || (high = unhex(p[1])) < 0 || (low = unhex(p[2])) < 0)
                        return -EINVAL;
                /* one spelling a name only */
                if (high + low == 0 || is_plain((char) (high << 4 | low)))
                        return -EINVAL;
                *end++ = (char) (high << 4 | low);
                p += 2;
        }
        *end = '\0';

        *ret = TAKE_PTR(name);
        return 0;
}
