/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <arpa/inet.h>

#include "value/value-text.h"

#define UINT128_MAX (~(uint128) 0)

static int digit_value(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        c |= 0x20;
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int number_from_string(const char *s, Number *ret) {
        Number number = {};
        unsigned base = 10;

        if (*s == '-') {
                number.negative = true;
                s++;
        }
        if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X')) {
                base = 16;
                s += 2;
        }
        if (!*s)
                return -EINVAL;
        for (; *s; s++) {
                int digit = digit_value(*s);

                if (digit < 0 || (unsigned) digit >= base)
                        return -EINVAL;
                if (number.magnitude > (UINT128_MAX - (unsigned) digit) / base)
                        return -ERANGE;
                number.magnitude = number.magnitude * base + (unsigned) digit;
        }
        if (number.magnitude == 0)
                number.negative = false;
        *ret = number;
        return 0;
}

/* What a unit multiplies by, 0: there is no such unit. */
static uint64_t time_unit(const char *unit) {
        static const struct {
                const char *name;
                uint64_t factor;
        } known[] = {
                { "ns", 1 },
                { "us", 1000 },
                { "ms", 1000 * UINT64_C(1000) },
                { "s", UINT64_C(1000000000) },
                { "min", 60 * UINT64_C(1000000000) },
                { "h", 3600 * UINT64_C(1000000000) },
                { "d", 86400 * UINT64_C(1000000000) },
        };

        for (size_t i = 0; i < ELEMENTSOF(known); i++)
                if (streq(unit, known[i].name))
                        return known[i].factor;
        return 0;
}

static uint64_t data_unit(const char *unit) {
        static const char letters[] = "kMGT";
        uint64_t factor = 1, base = unit[0] && unit[1] == 'i' ? 1024 : 1000;
        const char *letter = !*unit ? NULL : *unit == 'K' ? letters : strchr(letters, *unit);

        if (letter) {
                for (ptrdiff_t i = letter - letters; i >= 0; i--)
                        factor *= base;
                unit += base == 1024 ? 2 : 1;
        }
        return streq(unit, "B") || (letter && !*unit) ? factor : 0;
}

int number_with_unit(const char *s, NumberUnits units, Number *ret) {
        size_t n = strspn(s, "0123456789");
        char digits[NUMBER_STRING_SIZE];
        uint64_t factor;
        Number number;
        int r;

        while (s[n] == ' ')
                n++;
        factor = units == NUMBER_TIME ? time_unit(s + n) : data_unit(s + n);
        n = strspn(s, "0123456789");
        if (factor == 0 || n == 0 || n >= sizeof(digits))
                return -EINVAL;
        memcpy(digits, s, n);
        digits[n] = '\0';
        r = number_from_string(digits, &number);
        if (r < 0)
                return r;
        if (number.magnitude > UINT128_MAX / factor)
                return -ERANGE;
        number.magnitude *= factor;
        *ret = number;
        return 0;
}

const char *number_to_string(Number number, char buffer[NUMBER_STRING_SIZE]) {
        char digits[NUMBER_STRING_SIZE], *p = digits + sizeof(digits);

        *--p = '\0';
        do {
                *--p = (char) ('0' + (int) (number.magnitude % 10));
                number.magnitude /= 10;
        } while (number.magnitude > 0);
        if (number.negative)
                *--p = '-';
        return memcpy(buffer, p, (size_t) (digits + sizeof(digits) - p));
}

Number number_min(unsigned bits, bool is_signed) {
        return is_signed ? (Number){ (uint128) 1 << (bits - 1), true } : (Number){};
}

Number number_max(unsigned bits, bool is_signed) {
        bits -= is_signed;
        return (Number){ bits == 0 ? 0 : UINT128_MAX >> (128 - bits), false };
}

int number_compare(Number a, Number b) {
        int sign = a.negative ? -1 : 1;

        if (a.negative != b.negative)
                return sign;
        return a.magnitude == b.magnitude ? 0 : a.magnitude > b.magnitude ? sign : -sign;
}

uint128 number_bits(Number number) {
        return number.negative ? -number.magnitude : number.magnitude;
}

int bytes_from_hex(const char *s, void *ret, size_t size) {
        unsigned char *out = ret;
        size_t n = 0;

        s += strspn(s, " \t\n");
        while (*s) {
                int high = digit_value(s[0]), low = high < 0 ? -1 : digit_value(s[1]);

                if (low < 0)
                        return -EINVAL;
                if (n < size)
                        out[n] = (unsigned char) (high << 4 | low);
                n++;
                s += 2;
                if (*s == ':' && s[1])
                        s++;
                else
                        s += strspn(s, " \t\n");
        }
        return n == size ? 0 : -ERANGE;
}

int address_from_string(const char *s, void *ret, size_t size) {
        struct in6_addr address;

        if (size != 4 && size != 16)
                return -EINVAL;
        if (inet_pton(size == 4 ? AF_INET : AF_INET6, s, &address) != 1)
                return -EINVAL;
        memcpy(ret, &address, size);
        return 0;
}

int prefix_from_string(const char *s, void *ret, size_t size, unsigned *ret_length) {
        const char *slash = strchr(s, '/');
        char address[INET6_ADDRSTRLEN];
        unsigned length = 8 * (unsigned) size;
        size_t n = slash ? (size_t) (slash - s) : strlen(s);
        int r;

        if (n >= sizeof(address))
                return -EINVAL;
        memcpy(address, s, n);
        address[n] = '\0';
        if (slash) {
                n = strspn(slash + 1, "0123456789");
                if (n == 0 || n > 4 || slash[1 + n])
                        return -EINVAL;
                length = (unsigned) strtoul(slash + 1, NULL, 10);
        }
        r = address_from_string(address, ret, size);
        if (r < 0)
                return r;
        *ret_length = length;
        return 0;
}
