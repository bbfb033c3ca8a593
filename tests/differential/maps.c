/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "maps.h"

/* Largest key and value that comparing takes, and how many differences of a map are told. */
#define KEY_SIZE_MAX    256
#define DIFFERENCES_MAX 4

/* BPF_MAP_TYPE_ARENA, which headers have since 6.9 */
#define MAP_TYPE_ARENA 33

/* LPM: struct { __u32 prefixlen; __u8 address[4]; } */
#define LPM_KEY_SIZE 8

static const struct {
        enum bpf_map_type type;
        unsigned weight;
} kinds[] = {
        { BPF_MAP_TYPE_ARRAY, 5 },       { BPF_MAP_TYPE_HASH, 5 },     { BPF_MAP_TYPE_PERCPU_ARRAY, 4 },
        { BPF_MAP_TYPE_PERCPU_HASH, 2 }, { BPF_MAP_TYPE_LRU_HASH, 2 }, { BPF_MAP_TYPE_LRU_PERCPU_HASH, 1 },
        { BPF_MAP_TYPE_LPM_TRIE, 2 },    { BPF_MAP_TYPE_QUEUE, 1 },    { BPF_MAP_TYPE_STACK, 1 },
};

static enum bpf_map_type pick_kind(Random *random) {
        unsigned sum = 0, n;

        for (size_t i = 0; i < ELEMENTSOF(kinds); i++)
                sum += kinds[i].weight;
        n = random_below(random, sum);
        for (size_t i = 0;; i++) {
                if (n < kinds[i].weight)
                        return kinds[i].type;
                n -= kinds[i].weight;
        }
}

void map_spec_make(Random *random, unsigned number, MapSpec *ret) {
        *ret = (MapSpec){ .seed = random_next(random) };

        if (random_chance(random, 25)) {
                ret->global = true;
                ret->frozen = random_chance(random, 20);
                ret->type = BPF_MAP_TYPE_ARRAY;
                ret->key_size = sizeof(uint32_t);
                ret->value_size = 8 * (uint32_t) random_between(random, 1, 32);
                ret->max_entries = 1;
                ret->flags = ret->frozen ? BPF_F_RDONLY_PROG : 0;
                snprintf(ret->name, sizeof(ret->name), "globals_%u", number);
                return;
        }

        ret->type = pick_kind(random);
        ret->value_size = 8 * (uint32_t) random_between(random, 1, 4);
        ret->max_entries = (uint32_t) random_between(random, 3, MAP_KEYS + 2);
        ret->key_size = sizeof(uint32_t);
        snprintf(ret->name, sizeof(ret->name), "map_%u_%u", ret->type, number);

        switch ((unsigned) ret->type) {
        case BPF_MAP_TYPE_HASH:
        case BPF_MAP_TYPE_PERCPU_HASH:
                ret->key_size = 4 * (uint32_t) random_between(random, 1, 4);
                ret->flags = random_chance(random, 20) ? BPF_F_NO_PREALLOC : 0;
                break;
        case BPF_MAP_TYPE_LRU_HASH:
        case BPF_MAP_TYPE_LRU_PERCPU_HASH:
                /* room enough for nothing to be evicted: which entry goes depends on more than the programs */
                ret->key_size = 4 * (uint32_t) random_between(random, 1, 4);
                ret->max_entries = 1024;
                break;
        case BPF_MAP_TYPE_LPM_TRIE:
                ret->key_size = LPM_KEY_SIZE;
                ret->max_entries = 128;
                ret->flags = BPF_F_NO_PREALLOC;
                break;
        case BPF_MAP_TYPE_QUEUE:
        case BPF_MAP_TYPE_STACK: ret->key_size = 0; break;
        }
}

void map_spec_make_jumps(unsigned number, uint32_t n, MapSpec *ret) {
        *ret = (MapSpec){
                .type = BPF_MAP_TYPE_PROG_ARRAY,
                .key_size = sizeof(uint32_t),
                .value_size = sizeof(uint32_t),
                .max_entries = n,
        };
        snprintf(ret->name, sizeof(ret->name), "jumps_%u", number);
}

static bool is_percpu(enum bpf_map_type type) {
        return type == BPF_MAP_TYPE_PERCPU_ARRAY || type == BPF_MAP_TYPE_PERCPU_HASH ||
               type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
}

static bool is_array(enum bpf_map_type type) {
        return type == BPF_MAP_TYPE_ARRAY || type == BPF_MAP_TYPE_PERCPU_ARRAY;
}

/* Bytes behind a key, of all CPUs. */
static size_t value_bytes(enum bpf_map_type type, uint32_t value_size) {
        size_t padded = (value_size + 7) & ~UINT32_C(7);

        return is_percpu(type) ? padded * (size_t) libbpf_num_possible_cpus() : value_size;
}

static int fill(const MapSpec *spec, int fd) {
        size_t size = value_bytes(spec->type, spec->value_size);
        _cleanup_free_ uint64_t *value = calloc(1, size + 8);
        Random random = { spec->seed };

        if (!value)
                return -ENOMEM;
        for (uint32_t i = 0; i < MIN2(spec->max_entries, (uint32_t) MAP_KEYS); i++) {
                uint8_t key[KEY_SIZE_MAX] = { (uint8_t) i };

                for (size_t j = 0; j < size / 8; j++)
                        value[j] = random_number(&random);
                if (!is_array(spec->type) && random_chance(&random, 50))
                        continue;
                if (spec->type == BPF_MAP_TYPE_LPM_TRIE) {
                        key[0] = (uint8_t) random_between(&random, 24, 32);
                        key[7] = (uint8_t) i;
                }
                if (bpf_map_update_elem(fd, spec->key_size > 0 ? key : NULL, value, BPF_ANY) < 0)
                        return -errno;
        }
        return spec->frozen && bpf_map_freeze(fd) < 0 ? -errno : 0;
}

int map_spec_create(const MapSpec *spec) {
        LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = spec->flags);
        int fd, r = 0;

        fd = bpf_map_create(spec->type, spec->name, spec->key_size, spec->value_size, spec->max_entries, &opts);
        if (fd < 0)
                return -errno;
        if (spec->type != BPF_MAP_TYPE_PROG_ARRAY)
                r = fill(spec, fd);
        if (r < 0) {
                safe_close(fd);
                return r;
        }
        return fd;
}

static void print_bytes(FILE *f, const uint8_t *bytes, size_t n) {
        for (size_t i = 0; i < MIN2(n, 64U); i++)
                fprintf(f, "%02x", bytes[i]);
        fputs(n > 64 ? "…" : "", f);
}

typedef struct Comparison {
        int a;
        int b;
        const char *name;
        struct bpf_map_info info;
        bool skip_contents;
        uint8_t *value_a;
        uint8_t *value_b;
        size_t size;
        unsigned n_differences;
        FILE *f;
} Comparison;

static void report(Comparison *c, const uint8_t *key, bool in_a, bool in_b) {
        if (c->n_differences++ >= DIFFERENCES_MAX)
                return;
        fprintf(c->f, "map %s, key ", c->name);
        print_bytes(c->f, key, c->info.key_size);
        fputs(": fused ", c->f);
        if (in_a)
                print_bytes(c->f, c->value_a, c->size);
        else
                fputs("none", c->f);
        fputs(", reference ", c->f);
        if (in_b)
                print_bytes(c->f, c->value_b, c->size);
        else
                fputs("none", c->f);
        fputc('\n', c->f);
}

/* All entries of map a are in b with the same value (`values`), or at all. */
static void compare_entries(Comparison *c, bool swapped, bool values) {
        int from = swapped ? c->b : c->a, other = swapped ? c->a : c->b;
        uint8_t key[KEY_SIZE_MAX] = {}, next[KEY_SIZE_MAX] = {};
        const void *previous = NULL;

        while (bpf_map_get_next_key(from, previous, next) == 0) {
                uint8_t *mine = swapped ? c->value_b : c->value_a, *theirs = swapped ? c->value_a : c->value_b;
                bool there;

                memcpy(key, next, c->info.key_size);
                previous = key;
                if (bpf_map_lookup_elem(from, key, mine) < 0)
                        continue;
                there = bpf_map_lookup_elem(other, key, theirs) == 0;
                if (!there || (values && !c->skip_contents && memcmp(mine, theirs, c->size) != 0))
                        report(c, key, !swapped || there, swapped || there);
        }
}

/* Queues and stacks are emptied. */
static void compare_queues(Comparison *c) {
        for (uint32_t i = 0; i <= c->info.max_entries; i++) {
                bool a = bpf_map_lookup_and_delete_elem(c->a, NULL, c->value_a) == 0;
                bool b = bpf_map_lookup_and_delete_elem(c->b, NULL, c->value_b) == 0;

                if (a != b || (a && memcmp(c->value_a, c->value_b, c->size) != 0))
                        report(c, (const uint8_t *) &i, a, b);
                if (!a && !b)
                        return;
        }
}

bool maps_differ(int fd_a, int fd_b, const char *name, bool skip_contents, FILE *f) {
        Comparison c = { .a = fd_a, .b = fd_b, .name = name, .skip_contents = skip_contents, .f = f };
        uint32_t size = sizeof(c.info);

        if (bpf_map_get_info_by_fd(fd_a, &c.info, &size) < 0 || c.info.key_size > KEY_SIZE_MAX) {
                fprintf(f, "map %s can't be compared\n", name);
                return true;
        }
        switch (c.info.type) {
        case BPF_MAP_TYPE_PROG_ARRAY:
        case BPF_MAP_TYPE_ARRAY_OF_MAPS:
        case BPF_MAP_TYPE_HASH_OF_MAPS:
        case BPF_MAP_TYPE_RINGBUF:
        case BPF_MAP_TYPE_DEVMAP:
        case MAP_TYPE_ARENA: return false;
        }

        /* kernels write whole words */
        c.size = value_bytes((enum bpf_map_type) c.info.type, c.info.value_size);
        c.value_a = calloc(1, c.size + 8);
        c.value_b = calloc(1, c.size + 8);
        if (!c.value_a || !c.value_b) {
                fprintf(f, "map %s: out of memory\n", name);
                c.n_differences++;
        } else if (c.info.type == BPF_MAP_TYPE_QUEUE || c.info.type == BPF_MAP_TYPE_STACK) {
                compare_queues(&c);
        } else {
                compare_entries(&c, false, true);
                if (!is_array((enum bpf_map_type) c.info.type))
                        compare_entries(&c, true, false);
        }
        if (c.n_differences > DIFFERENCES_MAX)
                fprintf(f, "map %s: %u differences in all\n", name, c.n_differences);
        free(c.value_a);
        free(c.value_b);
        return c.n_differences > 0;
}
