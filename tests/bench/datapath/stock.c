/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <bpf/bpf.h>
#include <fcntl.h>

#include "stock.h"

int stock_map(const Stock *stock, unsigned n, unsigned i) {
        return stock->maps[n > BENCH_OWN_MAPS_MAX ? i / 2 : i];
}

struct bpf_object *stock_open_all(const Settings *settings, const char *name) {
        _cleanup_free_ char *path = NULL;
        struct bpf_object *object;

        if (asprintf(&path, "%s/tests/bench/datapath/%s.bpf.o", settings->build_dir, name) < 0)
                die("Out of memory.");
        object = bpf_object__open_file(path, NULL);
        if (!object)
                die("%s: %s.", path, strerror(errno));
        return object;
}

struct bpf_object *stock_open(const Stock *stock, const char *name, const char *program,
                              struct bpf_program **ret_program) {
        struct bpf_object *object = stock_open_all(stock->settings, name);
        _cleanup_free_ char *function = NULL;
        struct bpf_program *candidate;

        if (asprintf(&function, "%s_%s", stock->prefix, program) < 0)
                die("Out of memory.");

        *ret_program = NULL;
        bpf_object__for_each_program(candidate, object) {
                bool wanted = streq(bpf_program__name(candidate), function);

                if (wanted)
                        *ret_program = candidate;
                must(bpf_program__set_autoload(candidate, wanted), NULL, "%s", function);
        }
        if (!*ret_program)
                die("%s.bpf.o has no program %s.", name, function);
        return object;
}

struct bpf_map *stock_find_map(struct bpf_object *object, const char *name) {
        struct bpf_map *map = bpf_object__find_map_by_name(object, name);

        if (!map)
                die("%s has no map %s.", bpf_object__name(object), name);
        return map;
}

struct bpf_map *stock_find_section(struct bpf_object *object, const char *section) {
        struct bpf_map *map;

        bpf_object__for_each_map(map, object) if (endswith(bpf_map__name(map), section)) return map;
        die("%s has no section %s.", bpf_object__name(object), section);
}

int stock_find_program(struct bpf_object *object, const char *name) {
        struct bpf_program *p = bpf_object__find_program_by_name(object, name);

        if (!p)
                die("%s has no program %s.", bpf_object__name(object), name);
        return bpf_program__fd(p);
}

int stock_load(struct bpf_object *object, struct bpf_program *program) {
        int fd;

        must(bpf_object__load(object), NULL, "The kernel refuses %s", bpf_program__name(program));
        fd = fcntl(bpf_program__fd(program), F_DUPFD_CLOEXEC, 3);
        if (fd < 0)
                die("A descriptor can't be duplicated: %s.", strerror(errno));
        return fd;
}

void stock_share_maps(const Stock *stock, struct bpf_object *object, unsigned n) {
        struct bpf_map *map;
        unsigned i = 0;

        bpf_object__for_each_map(map, object) {
                if (sscanf(bpf_map__name(map), "c%2o", &i) != 1 || i >= BENCH_N_MAX)
                        continue;
                /* those that a shorter chain does not use are made neither */
                must(i < n ? bpf_map__reuse_fd(map, stock_map(stock, n, i)) : bpf_map__set_autocreate(map, false),
                     NULL, "%s", bpf_map__name(map));
        }
}

static int load_edge(const Stock *stock, const char *prefix, const char *program) {
        Stock view = { .settings = stock->settings, .prefix = prefix };
        struct bpf_program *p;
        struct bpf_object *object = stock_open(&view, "edge", program, &p);
        int fd = stock_load(object, p);

        bpf_object__close(object);
        return fd;
}

static int load_member(const Stock *stock, unsigned n, unsigned i) {
        struct bpf_program *p;
        struct bpf_object *object = stock_open(stock, "member", i % 2 ? "odd" : "even", &p);
        int fd;

        must(bpf_map__reuse_fd(stock_find_map(object, "counter"), stock_map(stock, n, i)), NULL, "counter");
        fd = stock_load(object, p);
        bpf_object__close(object);
        return fd;
}

/* A member for the service's builder, with the maps of `previous` or new ones. */
static KernelProgram *load_program(const Stock *stock, unsigned i, KernelProgram *previous) {
        _cleanup_free_ char *path = NULL, *function = NULL, *name = NULL, *where = NULL;
        _cleanup_(program_info_done) ProgramInfo info = {};
        KernelProgram *program = NULL;
        Error error = ERROR_INIT;

        if (asprintf(&path, "%s/tests/bench/datapath/member.bpf.o", stock->settings->build_dir) < 0 ||
            asprintf(&function, "%s_%s", stock->prefix, i % 2 ? "odd" : "even") < 0 ||
            asprintf(&name, "member%u", i) < 0 || asprintf(&where, "programs.%s", name) < 0)
                die("Out of memory.");
        ProgramRequest request = {
                .name = name,
                .object_path = path,
                .object_name = "member.bpf.o",
                .function = function,
                .where = where,
                .previous = previous,
                .same_object = previous,
                .same_contents = previous,
        };
        must(kernel_program_load(stock->kernel, &request, &program, &info, &error), &error, "%s", function);
        return program;
}

static void load_linked(Stock *stock) {
        const uint32_t key = 0;

        for (unsigned i = 0; i < STOCK_LINKED_MAX; i++) {
                struct bpf_program *p;

                stock->linked[i] = stock_open(stock, "linked", i % 2 ? "odd" : "even", &p);
                must(bpf_map__reuse_fd(stock_find_map(stock->linked[i], "counter"), stock->maps[i]), NULL, "counter");
                stock->linked_fds[i] = stock_load(stock->linked[i], p);
        }
        for (unsigned i = 0; i + 1 < STOCK_LINKED_MAX; i++)
                must(bpf_map_update_elem(bpf_map__fd(stock_find_map(stock->linked[i], "next")), &key,
                                         &stock->linked_fds[i + 1], BPF_ANY),
                     NULL, "A program can't be linked to the next");
}

static void make_maps(Stock *stock) {
        for (unsigned i = 0; i < BENCH_N_MAX; i++) {
                stock->maps[i] = bpf_map_create(BPF_MAP_TYPE_PERCPU_ARRAY, "counter", sizeof(uint32_t),
                                                sizeof(uint64_t), 2, NULL);
                must(stock->maps[i], NULL, "The kernel gives no map");
        }
}

Stock *stock_new(const Settings *settings, Hook hook, unsigned n_max) {
        Stock *stock = calloc(1, sizeof(*stock));

        if (!stock)
                die("Out of memory.");
        *stock = (Stock){
                .settings = settings,
                .hook = hook,
                .prefix = hook_is_tc(hook) ? "tc" : "xdp",
                .n_max = n_max,
        };
        must(kernel_new(NULL, TC_ATTACH_AUTO, &stock->kernel), NULL, "The kernel layer can't start");
        stock->empty_fd = load_edge(stock, stock->prefix, "empty");
        stock->pass_fd = load_edge(stock, "xdp", "empty");

        make_maps(stock);
        for (unsigned i = 0; i < MIN2(n_max, BENCH_OWN_MAPS_MAX); i++) {
                stock->own[i] = load_program(stock, i, NULL);
                stock->list[i] = load_member(stock, 1, i);
        }
        for (unsigned i = 0; n_max > BENCH_OWN_MAPS_MAX && i < n_max; i++) {
                stock->paired[i] = load_program(stock, i, i % 2 ? stock->paired[i - 1] : NULL);
                stock->paired_list[i] = load_member(stock, n_max, i);
        }
        load_linked(stock);
        return stock;
}
