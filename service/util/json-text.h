/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Small steps over JSON text: characters, escapes, and what to skip. Nothing reads beyond `size`, whatever the text;
 * the skipping and decoding of whole strings and values means something for well-formed text only.
 */

#include "util/macros.h"

/* The byte at an offset, -1 at the end. */
int json_byte_at(const char *text, size_t size, size_t at);

/* Length of the UTF-8 sequence at an offset, 0 where it is none: the end, a continuation missing, longer than need
 * be, a surrogate, or beyond U+10FFFF (RFC 3629). */
size_t utf8_decode(const char *text, size_t size, size_t at, uint32_t *ret);

/* Returns the number of bytes; the code must be a character. */
size_t utf8_encode(uint32_t code, char ret[4]);

/* Four hexadecimal digits as a number, -1 where they are not there. */
int json_decode_hex4(const char *text, size_t size, size_t at);

/* The character that the escape at `at` (a backslash) stands for; *ret_size is the escape's length in the text.
 * 0: it stands for none, or for NUL. */
uint32_t json_decode_escape(const char *text, size_t size, size_t at, size_t *ret_size);

/* The bytes of the string whose opening quote is at `at`, without escapes. Returns their number; no more than
 * buffer_size of them are stored, without a NUL. */
size_t json_decode_string(const char *text, size_t size, size_t at, char *buffer, size_t buffer_size);

/* Offsets behind what begins at `at`: blanks (if any), a string with its quotes, any value. */
size_t json_skip_blanks(const char *text, size_t size, size_t at);
size_t json_skip_string(const char *text, size_t size, size_t at);
size_t json_skip_value(const char *text, size_t size, size_t at);
