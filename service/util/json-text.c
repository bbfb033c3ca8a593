/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "util/json-text.h"

static int hex_value(int c) {
        if ((c >= '0' && c <= '9'))
                return c - '0';
        c |= 0x20;
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int json_byte_at(const char *text, size_t size, size_t at) {
        return at < size ? (unsigned char) text[at] : -1;
}

size_t utf8_decode(const char *text, size_t size, size_t at, uint32_t *ret) {
        static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
        int c = json_byte_at(text, size, at);
        uint32_t code;
        size_t n;

        if (c < 0x80) {
                *ret = (uint32_t) c;
                return c >= 0;
        }
        n = (c & 0xe0) == 0xc0 ? 2 : (c & 0xf0) == 0xe0 ? 3 : (c & 0xf8) == 0xf0 ? 4 : 0;
        if (n == 0)
                return 0;

        code = (uint32_t) c & (0x7fU >> n);
        for (size_t i = 1; i < n; i++) {
                c = json_byte_at(text, size, at + i);
                if (c < 0 || (c & 0xc0) != 0x80)
                        return 0;
                code = code << 6 | ((uint32_t) c & 0x3f);
        }
        if (code < least[n] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
                return 0;
        *ret = code;
        return n;
}

size_t utf8_encode(uint32_t code, char ret[4]) {
        if (code < 0x80) {
                ret[0] = (char) code;
                return 1;
        }
        if (code < 0x800) {
                ret[0] = (char) (0xc0 | code >> 6);
                ret[1] = (char) (0x80 | (code & 0x3f));
                return 2;
        }
        if (code < 0x10000) {
                ret[0] = (char) (0xe0 | code >> 12);
                ret[1] = (char) (0x80 | (code >> 6 & 0x3f));
                ret[2] = (char) (0x80 | (code & 0x3f));
                return 3;
        }
        ret[0] = (char) (0xf0 | code >> 18);
        ret[1] = (char) (0x80 | (code >> 12 & 0x3f));
        ret[2] = (char) (0x80 | (code >> 6 & 0x3f));
        ret[3] = (char) (0x80 | (code & 0x3f));
        return 4;
}

int json_decode_hex4(const char *text, size_t size, size_t at) {
        int code = 0;

        for (size_t i = 0; i < 4; i++) {
                int c = json_byte_at(text, size, at + i), v = c < 0 ? -1 : hex_value(c);

                if (v < 0)
                        return -1;
                code = code << 4 | v;
        }
        return code;
}

uint32_t json_decode_escape(const char *text, size_t size, size_t at, size_t *ret_size) {
        static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
        int c = json_byte_at(text, size, at + 1), code, low;
        const char *p;

        *ret_size = 2;
        if (c != 'u') {
                p = c > 0 ? strchr(letters, c) : NULL;
                return p ? (uint32_t) meanings[p - letters] : 0;
        }

        *ret_size = 6;
        code = json_decode_hex4(text, size, at + 2);
        if (code < 0 || (code >= 0xdc00 && code <= 0xdfff))
                return 0;
        if (code < 0xd800 || code > 0xdbff)
                return (uint32_t) code;

        if (json_byte_at(text, size, at + 6) != '\\' || json_byte_at(text, size, at + 7) != 'u')
                return 0;
        low = json_decode_hex4(text, size, at + 8);
        if (low < 0xdc00 || low > 0xdfff)
                return 0;
        *ret_size = 12;
        return 0x10000 + (((uint32_t) code - 0xd800) << 10) + ((uint32_t) low - 0xdc00);
}

size_t json_skip_blanks(const char *text, size_t size, size_t at) {
        while (at < size && (text[at] == ' ' || text[at] == '\t' || text[at] == '\n' || text[at] == '\r'))
                at++;
        return at;
}

size_t json_skip_string(const char *text, size_t size, size_t at) {
        for (at++; at < size && text[at] != '"'; at++)
                if (text[at] == '\\')
                        at++;
        return at < size ? at + 1 : size;
}

size_t json_skip_value(const char *text, size_t size, size_t at) {
        size_t depth = 0;

        while (at < size) {
                char c = text[at];

                if (c == '"') {
                        at = json_skip_string(text, size, at);
                } else if (c == '{' || c == '[') {
                        depth++;
                        at++;
                } else if (c == '}' || c == ']') {
                        if (depth == 0)
                                break;
                        depth--;
                        at++;
                } else if (depth == 0) {
                        while (at < size && !strchr(",]} \t\r\n", text[at]))
                                at++;
                        break;
                } else {
                        at++;
                        continue;
                }
                if (depth == 0)
                        break;
        }
        return at;
}

size_t json_decode_string(const char *text, size_t size, size_t at, char *buffer, size_t buffer_size) {
        size_t length = 0;

        for (at++; at < size && text[at] != '"';) {
                char bytes[4] = { text[at] };
                size_t step = 1, n = 1;

                if (text[at] == '\\') {
                        n = utf8_encode(json_decode_escape(text, size, at, &step), bytes);
                        if (step > size - at)
                                break;
                }
                for (size_t i = 0; i < n; i++, length++)
                        if (length < buffer_size)
                                buffer[length] = bytes[i];
                at += step;
        }
        return length;
}
