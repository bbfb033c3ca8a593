/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/* Opening BPF objects of the build tree and running their programs on packets. For cmocka tests: whatever fails,
 * fails the test. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <bpf/libbpf.h>

#include "packet.h"

/* Opens FOLDER/NAME.bpf.o below $BPFCHAIN_BUILD. */
struct bpf_object *object_open(const char *folder, const char *name);

/* Sets a `const volatile` global before the load. */
void object_set(struct bpf_object *object, const char *variable, const void *value, size_t size);
#define OBJECT_SET(object, variable, type, value) object_set((object), (variable), &(type){ (value) }, sizeof(type))

/* Returns the object. */
struct bpf_object *object_load(struct bpf_object *object);

/* Descriptors that belong to the object. */
int map_of(struct bpf_object *object, const char *name);
int program_of(struct bpf_object *object, const char *name);

/* Runs the program on the packet, which is replaced by what the program leaves; returns the verdict. */
int run(int program, Packet *p);

/* Runs the program on an UDP packet of 72 bytes (IPv6: 92) and four for each VLAN tag. */
int run_from(int program, const char *source, unsigned vlans);

/* Does so n times with 0, 1, 2, 0, … tags; returns how many passed (XDP_PASS). */
unsigned run_passed(int program, const char *source, unsigned n);

/* The sum over all CPUs of the n-th __u64 of a per-CPU array's value of `size` bytes. */
uint64_t percpu_sum(int map, uint32_t key, size_t size, unsigned n);

/* An address of either family as 16 bytes, IPv4 as ::ffff:a.b.c.d. */
void mapped(uint8_t to[16], const char *address);
