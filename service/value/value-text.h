/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * How values of maps are written as text: numbers of up to 128 bits, bytes, addresses, prefixes.
 */

#include "util/macros.h"

typedef unsigned __int128 uint128;

/* A whole number with its sign apart, so that it holds everything from -2^127 to 2^128 - 1 and more. */
typedef struct Number {
        uint128 magnitude;
        bool negative; /* never with magnitude 0 */
} Number;

/* "42", "-1", "0x2a". -EINVAL: not a number; -ERANGE: more than 128 bits. */
int number_from_string(const char *s, Number *ret);

#define NUMBER_STRING_SIZE 48
const char *number_to_string(Number number, char buffer[NUMBER_STRING_SIZE]);

/* The least and the greatest number of so many bits (1 .. 128). */
Number number_min(unsigned bits, bool is_signed);
Number number_max(unsigned bits, bool is_signed);
int number_compare(Number a, Number b);

/* Two's complement. */
uint128 number_bits(Number number);

/* A whole number with a unit behind it: "10ms" in nanoseconds, "10MiB" or "10M" in bytes. -EINVAL: it is none;
 * -ERANGE: more than 128 bits. */
typedef enum NumberUnits {
        NUMBER_TIME,
        NUMBER_DATA,
} NumberUnits;
int number_with_unit(const char *s, NumberUnits units, Number *ret);

/* Pairs of hexadecimal digits, with blanks and colons between pairs allowed, that give exactly `size` bytes. -EINVAL:
 * something else; -ERANGE: another number of bytes. */
int bytes_from_hex(const char *s, void *ret, size_t size);

/* "203.0.113.7" for size 4, "2001:db8::7" for size 16, in network order. -EINVAL: not an address of this size. */
int address_from_string(const char *s, void *ret, size_t size);

/* "203.0.113.0/24" for size 4, "2001:db8::/32" for size 16; an address alone is a prefix of full length. -EINVAL: not
 * a prefix. The length is not checked against the size; beyond 9999 it is -EINVAL too. */
int prefix_from_string(const char *s, void *ret, size_t size, unsigned *ret_length);
