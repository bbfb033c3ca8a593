/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>

#include "client/hex.h"

static int digit(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        if (c >= 'A' && c <= 'F')
                return c - 'A' + 10;
        return -1;
}

static bool separates(char c) {
        return c == ':' || c == '-' || isspace((unsigned char) c);
}

int hex_append(const char *word, uint8_t **bytes, size_t *n, size_t max) {
        size_t m = *n;

        while (*word) {
                size_t digits = 0;

                if (separates(*word)) {
                        word++;
                        continue;
                }
                if (word[0] == '0' && (word[1] == 'x' || word[1] == 'X'))
                        word += 2;
                while (digit(word[digits]) >= 0)
                        digits++;
                if (digits == 0 || (word[digits] && !separates(word[digits])))
                        return -EINVAL;
                if (digits % 2 == 1 && digits != 1)
                        return -EINVAL;
                if (m + (digits + 1) / 2 > max)
                        return -E2BIG;

                uint8_t *grown = realloc(*bytes, m + (digits + 1) / 2);
                if (!grown)
                        return -ENOMEM;
                *bytes = grown;
                if (digits == 1)
                        grown[m++] = (uint8_t) digit(*word++);
                else
                        for (; digits > 0; digits -= 2, word += 2)
                                grown[m++] = (uint8_t) (digit(word[0]) << 4 | digit(word[1]));
        }

        *n = m;
        return 0;
}

char *hex_to_string(const uint8_t *bytes, size_t n) {
        static const char digits[] = "0123456789abcdef";
        char *s = malloc(n > 0 ? n * 3 : 1), *p = s;

        if (!s)
                return NULL;
        for (size_t i = 0; i < n; i++) {
                if (i > 0)
                        *p++ = ' ';
                *p++ = digits[bytes[i] >> 4];
                *p++ = digits[bytes[i] & 15];
        }
        *p = 0;
        return s;
}
