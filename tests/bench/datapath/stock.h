/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What chains are made of: the members, loaded once for all chains on a hook, and their maps.
 */

#include "bench.h"
#include "kernel/program.h"

#include <bpf/libbpf.h>

#define STOCK_LINKED_MAX 33 /* tail calls that a packet gets; the kernel skips further ones silently */

typedef struct Stock {
        const Settings *settings;
        Hook hook;
        const char *prefix; /* of functions: "xdp" or "tc" */
        Kernel *kernel;
        unsigned n_max;

        int empty_fd;                                /* lets all go on */
        int pass_fd;                                 /* for XDP */
        int maps[BENCH_N_MAX];                       /* counters of all members but ours; see stock_map() */
        KernelProgram *own[BENCH_OWN_MAPS_MAX];      /* members for the service's builder */
        KernelProgram *paired[BENCH_N_MAX];          /* the same with shared maps; where chains are that long */
        int list[BENCH_N_MAX];                       /* stand-alone members, with maps like `own` … */
        int paired_list[BENCH_N_MAX];                /* … and like `paired` */
        struct bpf_object *linked[STOCK_LINKED_MAX]; /* [i] goes on to [i + 1] */
        int linked_fds[STOCK_LINKED_MAX];
} Stock;

/* Loads what chains of up to n_max members need. The result belongs to the process, for good. */
Stock *stock_new(const Settings *settings, Hook hook, unsigned n_max);

/* The counters of member i in a chain of n, but not in ours. Borrowed. */
int stock_map(const Stock *stock, unsigned n, unsigned i);

/* Opens an object of the build tree, to load all of it. */
struct bpf_object *stock_open_all(const Settings *settings, const char *name);

/* Opens an object of the build tree ("limit") of which only `program` is to be loaded, as PREFIX_program. */
struct bpf_object *stock_open(const Stock *stock, const char *object, const char *program,
                              struct bpf_program **ret_program);

/* Loads; returns a descriptor of the program that outlives the object. */
int stock_load(struct bpf_object *object, struct bpf_program *program);

/* Has maps c00, c01, … of an object be those of a chain of n. */
void stock_share_maps(const Stock *stock, struct bpf_object *object, unsigned n);

/* The map of an object, or a chain's member. */
struct bpf_map *stock_find_map(struct bpf_object *object, const char *name);

/* The map with the variables of a section of an object, ".bss". */
struct bpf_map *stock_find_section(struct bpf_object *object, const char *section);

/* The descriptor of a loaded object's program. Borrowed. */
int stock_find_program(struct bpf_object *object, const char *name);
