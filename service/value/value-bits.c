/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "value/value-bits.h"

uint128 value_load_bits(const unsigned char *bytes, size_t offset, unsigned bits) {
        unsigned shift = offset % 8;
        uint128 v = 0;

        bytes += offset / 8;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
        v = bytes[0] >> shift;
        for (unsigned i = 1; i < (shift + bits + 7) / 8; i++)
                v |= (uint128) bytes[i] << (8 * i - shift);
#else
        for (unsigned i = 0; i < bits; i++) {
                unsigned at = shift + i;

                v = v << 1 | (bytes[at / 8] >> (7 - at % 8) & 1);
        }
#endif
        return bits < 128 ? v & (((uint128) 1 << bits) - 1) : v;
}

void value_store_bits(unsigned char *bytes, size_t offset, unsigned bits, uint128 value) {
        for (unsigned i = 0; i < bits; i++) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
                size_t at = offset + i;
                unsigned shift = at % 8;
#else
                size_t at = offset + bits - 1 - i;
                unsigned shift = 7 - at % 8;
#endif
                unsigned char bit = (unsigned char) (1U << shift);

                bytes[at / 8] = (unsigned char) ((bytes[at / 8] & ~bit) | (value >> i & 1 ? bit : 0));
        }
}
