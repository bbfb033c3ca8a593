/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Bit fields as C lays them down on this machine: `bits` of them (1 to 128), beginning `offset` bits into the bytes.
 */

#include "value/value-text.h"

uint128 value_load_bits(const unsigned char *bytes, size_t offset, unsigned bits);
void value_store_bits(unsigned char *bytes, size_t offset, unsigned bits, uint128 value);

/* Two's complement of so many bits, as one of 128. */
static inline uint128 value_extend_sign(uint128 v, unsigned bits) {
        return bits < 128 && v >> (bits - 1) & 1 ? v | ~(uint128) 0 << bits : v;
}
