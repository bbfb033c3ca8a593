/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Numbers that follow from a seed alone (splitmix64), the same on every machine.
 */

#include "util/macros.h"

typedef struct Random {
        uint64_t state;
} Random;

static inline uint64_t random_next(Random *random) {
        uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);

        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        return z ^ (z >> 31);
}

/* 0 .. n - 1; n > 0. */
static inline uint32_t random_below(Random *random, uint32_t n) {
        return (uint32_t) ((random_next(random) >> 32) * n >> 32);
}

/* low .. high, both included. */
static inline int random_between(Random *random, int low, int high) {
        return low + (int) random_below(random, (uint32_t) (high - low) + 1);
}

static inline bool random_chance(Random *random, unsigned percent) {
        return random_below(random, 100) < percent;
}

/* One of the bits that are set, as a number; -1 where none is. */
static inline int random_bit(Random *random, uint32_t mask) {
        uint32_t n;

        if (mask == 0)
                return -1;
        for (n = random_below(random, (uint32_t) __builtin_popcount(mask)); n > 0; n--)
                mask &= mask - 1;
        return __builtin_ctz(mask);
}

/* A number as programs have them: mostly small, or at an edge, or any. */
static inline uint64_t random_number(Random *random) {
        static const uint64_t edges[] = {
                0,   1,     UINT64_MAX, INT32_MAX, UINT32_MAX, (uint64_t) INT32_MIN, INT64_MAX, (uint64_t) INT64_MIN,
                255, 65535,
        };

        switch (random_below(random, 4)) {
        case 0: return edges[random_below(random, ELEMENTSOF(edges))];
        case 1: return random_next(random);
        case 2: return random_next(random) & UINT32_MAX;
        default: return random_below(random, 300);
        }
}

#define RANDOM_OF(random, array) ((array)[random_below((random), ELEMENTSOF(array))])
