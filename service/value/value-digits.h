/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Numbers and addresses as text, fast. All write at `p`, without a NUL, and return the end of it.
 */

#include "util/macros.h"
#include "value/value-text.h"

#define DIGITS_U64_MAX  20U
#define DIGITS_U128_MAX 39U
#define DIGITS_IPV4_MAX 15U
#define DIGITS_IPV6_MAX 45U

extern const char digit_pairs[201];

static inline char *put_u8(char *p, unsigned v) {
        if (v >= 100) {
                *p++ = (char) ('0' + v / 100);
                v %= 100;
                memcpy(p, &digit_pairs[2 * v], 2);
                return p + 2;
        }
        if (v >= 10) {
                memcpy(p, &digit_pairs[2 * v], 2);
                return p + 2;
        }
        *p = (char) ('0' + v);
        return p + 1;
}

static inline unsigned count_digits(uint64_t v) {
        static const uint64_t powers[] = {
                0,
                UINT64_C(10),
                UINT64_C(100),
                UINT64_C(1000),
                UINT64_C(10000),
                UINT64_C(100000),
                UINT64_C(1000000),
                UINT64_C(10000000),
                UINT64_C(100000000),
                UINT64_C(1000000000),
                UINT64_C(10000000000),
                UINT64_C(100000000000),
                UINT64_C(1000000000000),
                UINT64_C(10000000000000),
                UINT64_C(100000000000000),
                UINT64_C(1000000000000000),
                UINT64_C(10000000000000000),
                UINT64_C(100000000000000000),
                UINT64_C(1000000000000000000),
                UINT64_C(10000000000000000000),
        };
        /* 1233/4096 is the logarithm of 2 to the base 10, near enough for 64 bits */
        unsigned guess = (unsigned) (64 - __builtin_clzll(v | 1)) * 1233 >> 12;

        return guess - (v < powers[guess]) + 1;
}

static inline char *put_u64(char *p, uint64_t v) {
        unsigned n = count_digits(v);
        char *end = p + n;

        p = end;
        while (v >= 100) {
                p -= 2;
                memcpy(p, &digit_pairs[2 * (v % 100)], 2);
                v /= 100;
        }
        if (v >= 10)
                memcpy(p - 2, &digit_pairs[2 * v], 2);
        else
                p[-1] = (char) ('0' + v);
        return end;
}

static inline char *put_s64(char *p, int64_t v) {
        if (v >= 0)
                return put_u64(p, (uint64_t) v);
        *p = '-';
        return put_u64(p + 1, -(uint64_t) v);
}

static inline char *put_ipv4(char *p, const unsigned char *bytes) {
        p = put_u8(p, bytes[0]);
        *p++ = '.';
        p = put_u8(p, bytes[1]);
        *p++ = '.';
        p = put_u8(p, bytes[2]);
        *p++ = '.';
        return put_u8(p, bytes[3]);
}

char *put_u128(char *p, uint128 v);

/* Without "0x" and without zeros in front. */
char *put_hex(char *p, uint128 v);

/* Two digits for each byte. */
char *put_bytes(char *p, const unsigned char *bytes, size_t n);

/* RFC 5952. */
char *put_ipv6(char *p, const unsigned char *bytes);
char *put_mac(char *p, const unsigned char *bytes);

/* The shortest numeral that gives the same number again, or a string (in quotes if wanted) where there is none. */
#define DIGITS_FLOAT_MAX 40U
char *put_float(char *p, double v, bool is_single, bool quoted);
