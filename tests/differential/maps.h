/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Maps of generated programs. Each exists twice: once for the fused chain and once for the reference, with the same
 * contents at the beginning, and must have the same contents at the end.
 */

#include <linux/bpf.h>

#include "random.h"

typedef struct MapSpec {
        char name[BPF_OBJ_NAME_LEN];
        enum bpf_map_type type;
        uint32_t key_size;
        uint32_t value_size;
        uint32_t max_entries;
        uint32_t flags;
        bool global;   /* one value, which programs take the address of */
        bool frozen;   /* not for writing, which makes the verifier take its contents for constants */
        uint64_t seed; /* of its contents */
} MapSpec;

/* Keys that programs use are below this, in their first four bytes (LPM: last byte of the address). */
#define MAP_KEYS 8

/* A map of a kind that programs keep numbers in. */
void map_spec_make(Random *random, unsigned number, MapSpec *ret);

/* A program array with `n` entries. */
void map_spec_make_jumps(unsigned number, uint32_t n, MapSpec *ret);

/* The descriptor, or a negative errno. */
int map_spec_create(const MapSpec *spec);

/* Writes what differs between two maps of the same definition to f; returns whether something does. Program arrays,
 * maps of maps and ring buffers count as equal. `skip_contents` is for maps with times in them: keys only. */
bool maps_differ(int fd_a, int fd_b, const char *name, bool skip_contents, FILE *f);
