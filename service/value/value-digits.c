/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <math.h>

#include "value/value-digits.h"

const char digit_pairs[201] = "00010203040506070809"
                              "10111213141516171819"
                              "20212223242526272829"
                              "30313233343536373839"
                              "40414243444546474849"
                              "50515253545556575859"
                              "60616263646566676869"
                              "70717273747576777879"
                              "80818283848586878889"
                              "90919293949596979899";

static const char hex_digits[] = "0123456789abcdef";

char *put_u128(char *p, uint128 v) {
        const uint64_t part = UINT64_C(10000000000000000000);
        char *end;

        if (v < part)
                return put_u64(p, (uint64_t) v);
        p = put_u128(p, v / part);
        end = put_u64(p, (uint64_t) (v % part));
        /* what stands behind has all of its 19 digits */
        memmove(p + 19 - (end - p), p, (size_t) (end - p));
        memset(p, '0', (size_t) (19 - (end - p)));
        return p + 19;
}

char *put_hex(char *p, uint128 v) {
        unsigned n = 1;

        while (n < 32 && v >> (4 * n))
                n++;
        for (unsigned i = n; i-- > 0;)
                *p++ = hex_digits[v >> (4 * i) & 15];
        return p;
}

char *put_bytes(char *p, const unsigned char *bytes, size_t n) {
        for (size_t i = 0; i < n; i++) {
                *p++ = hex_digits[bytes[i] >> 4];
                *p++ = hex_digits[bytes[i] & 15];
        }
        return p;
}

char *put_mac(char *p, const unsigned char *bytes) {
        for (unsigned i = 0; i < 6; i++) {
                if (i > 0)
                        *p++ = ':';
                p = put_bytes(p, bytes + i, 1);
        }
        return p;
}

/* The longest row of at least two zeros, the first of several; *ret_n is 0 without one. */
static unsigned longest_zeros(const uint16_t words[8], unsigned *ret_n) {
        unsigned best = 8, best_n = 0;

        for (unsigned i = 0; i < 8; i++) {
                unsigned n = 0;

                while (i + n < 8 && words[i + n] == 0)
                        n++;
                if (n > best_n && n > 1) {
                        best = i;
                        best_n = n;
                }
                i += n;
        }
        *ret_n = best_n;
        return best;
}

static char *put_word(char *p, unsigned v) {
        if (v >= 0x1000)
                *p++ = hex_digits[v >> 12];
        if (v >= 0x100)
                *p++ = hex_digits[v >> 8 & 15];
        if (v >= 0x10)
                *p++ = hex_digits[v >> 4 & 15];
        *p++ = hex_digits[v & 15];
        return p;
}

char *put_ipv6(char *p, const unsigned char *bytes) {
        static const unsigned char mapped[] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
        unsigned zeros, n;
        uint16_t words[8];

        if (memcmp(bytes, mapped, sizeof(mapped)) == 0) {
                memcpy(p, "::ffff:", 7);
                return put_ipv4(p + 7, bytes + sizeof(mapped));
        }
        for (unsigned i = 0; i < 8; i++)
                words[i] = (uint16_t) (bytes[2 * i] << 8 | bytes[2 * i + 1]);
        zeros = longest_zeros(words, &n);
        for (unsigned i = 0; i < 8; i++) {
                if (i == zeros) {
                        *p++ = ':';
                        i += n - 1;
                        if (i == 7)
                                *p++ = ':';
                        continue;
                }
                if (i > 0)
                        *p++ = ':';
                p = put_word(p, words[i]);
        }
        return p;
}

char *put_float(char *p, double v, bool is_single, bool quoted) {
        const char *name = isnan(v) ? "NaN" : v > 0 ? "Infinity" : "-Infinity";
        char *comma;
        int n;

        if (!isfinite(v))
                return p + sprintf(p, quoted ? "\"%s\"" : "%s", name);
        for (int digits = is_single ? 6 : 15;; digits++) {
                n = snprintf(p, DIGITS_FLOAT_MAX, "%.*g", digits, v);
                if (digits == (is_single ? 9 : 17) ||
                    (is_single ? strtof(p, NULL) == (float) v : strtod(p, NULL) == v))
                        break;
        }
        if (v == 0 && signbit(v))
                n = sprintf(p, "-0.0");     /* -0 would be an integer, which has no such thing */
        comma = memchr(p, ',', (size_t) n); /* of the user's language */
        if (comma)
                *comma = '.';
        return p + n;
}
