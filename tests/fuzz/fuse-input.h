/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A chain out of any bytes, for fuzz-fuse.c. Members are of three kinds: tame ones, whose jumps, calls and ends are
 * such as compilers make them; wild ones, whose instructions are what the bytes say; and those of either kind with
 * types and records that make no sense.
 */

#include "kernel/fuse.h"

#define INPUT_MEMBERS_MAX 8
#define INPUT_MAPS_MAX    4

typedef struct InputMember {
        Member *member;
        int map_fds[INPUT_MAPS_MAX];
        uint32_t map_ids[INPUT_MAPS_MAX];
        size_t n_maps;
        uint32_t arena;
        uint32_t verified_insns;
        uint32_t stack_depth;
        bool described; /* its types and records make sense, or it has none */
        int scanned;    /* what member_scan() said */
} InputMember;

typedef struct Input {
        Hook hook;
        CounterLevel counters;
        bool trace;
        InputMember members[INPUT_MEMBERS_MAX];
        size_t n_members;
        FuseMember slots[CHAIN_SLOTS_MAX]; /* with the form that they get at best */
        const InputMember *slot_members[CHAIN_SLOTS_MAX];
        size_t n_slots;
        uint32_t answers[32]; /* of functions of the kernel */

        /* What is left of the bytes, for decisions while the chain is built. */
        const uint8_t *data;
        size_t size;
} Input;

uint8_t input_byte(Input *input); /* 0 behind the end */

void input_read(Input *input, const uint8_t *data, size_t size);
void input_done(Input *input);
