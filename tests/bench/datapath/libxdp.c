/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <bpf/btf.h>
#include <glob.h>

#include "libxdp.h"

#define NOTHING_HERE 31 /* what a function answers that no program has come in the place of */

static void note_once(bool *told, const char *text) {
        if (!*told)
                note("%s", text);
        *told = true;
}

/* Where distributions put it. */
static char *find_object(void) {
        const char *const patterns[] = { "/usr/lib*/bpf/xdp-dispatcher.o", "/usr/lib/*/bpf/xdp-dispatcher.o" };
        char *path = NULL;
        glob_t found;

        for (size_t i = 0; i < ELEMENTSOF(patterns) && !path; i++) {
                if (glob(patterns[i], 0, NULL, &found) != 0)
                        continue;
                path = strdup(found.gl_pathv[0]);
                if (!path)
                        die("Out of memory.");
                globfree(&found);
        }
        return path;
}

/* The table has changed between versions, but not the names in it. */
static uint32_t find_field(const struct btf *btf, const char *name) {
        int id = btf__find_by_name_kind(btf, "xdp_dispatcher_config", BTF_KIND_STRUCT);
        const struct btf_type *type = id > 0 ? btf__type_by_id(btf, (uint32_t) id) : NULL;

        for (uint32_t i = 0; type && i < btf_vlen(type); i++)
                if (streq(btf__name_by_offset(btf, btf_members(type)[i].name_off), name))
                        return btf_member_bit_offset(type, i) / 8;
        die("libxdp's dispatcher has no %s in its table; this version is not known.", name);
}

static void fill_table(struct bpf_object *object, unsigned n) {
        struct bpf_map *map = stock_find_section(object, ".rodata");
        const struct btf *btf = bpf_object__btf(object);
        uint32_t count = find_field(btf, "num_progs_enabled"), actions = find_field(btf, "chain_call_actions");
        const uint32_t set = (UINT32_C(1) << XDP_PASS) | (UINT32_C(1) << NOTHING_HERE);
        size_t size = 0;
        const void *initial = bpf_map__initial_value(map, &size);
        _cleanup_free_ uint8_t *table = malloc(size);

        if (!initial || !table)
                die("libxdp's dispatcher has an empty table.");
        if (count >= size || actions + n * sizeof(set) > size)
                die("libxdp's dispatcher has a table of %zu bytes, which is too short; this version is not known.",
                    size);
        memcpy(table, initial, size);
        table[count] = (uint8_t) n;
        for (unsigned i = 0; i < n; i++)
                memcpy(table + actions + i * sizeof(set), &set, sizeof(set));
        must(bpf_map__set_initial_value(map, table, size), NULL, "The table of libxdp's dispatcher");
}

static int load_dispatcher(unsigned n) {
        static bool told;
        _cleanup_free_ char *path = find_object();
        struct bpf_object *object;
        struct bpf_program *p;
        int fd;

        if (!path) {
                note_once(&told, "libxdp is not installed, so that its own dispatcher can't be measured.");
                return -ENOTSUP;
        }
        object = bpf_object__open_file(path, NULL);
        if (!object)
                die("%s: %s.", path, strerror(errno));
        bpf_object__for_each_program(p, object)
                must(bpf_program__set_autoload(p, streq(bpf_program__name(p), "xdp_dispatcher")), NULL, "%s", path);
        p = bpf_object__find_program_by_name(object, "xdp_dispatcher");
        if (!p)
                die("%s has no program xdp_dispatcher.", path);
        fill_table(object, n);
        fd = stock_load(object, p);
        bpf_object__close(object);
        return fd;
}

int libxdp_make_empty(_unused_ const Stock *stock, Chain *chain) {
        int fd = load_dispatcher(chain->n);

        chain->n_counted = 0;
        return fd;
}

int libxdp_make(const Stock *stock, Chain *chain) {
        int fd = load_dispatcher(chain->n);

        for (unsigned i = 0; fd >= 0 && i < chain->n; i++) {
                char function[16];

                snprintf(function, sizeof(function), "prog%u", i);
                chain->counters[i] = stock_map(stock, chain->n, i);
                if (!chain_replace_function(stock, chain, fd, function, i)) {
                        close(fd);
                        return -ENOTSUP;
                }
        }
        return fd;
}
