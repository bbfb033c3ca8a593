/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <bpf/btf.h>

#include "compiled.h"

#define TESTS    "tests/bpf"
#define EXAMPLES "bpf/examples"

/* Left out is what arms timers, asks for routes and sockets, sends packets elsewhere, needs a place where user space
 * has been before, changes of a packet what can't be handed on, or is there to be refused. A program that can only go
 * into a slot takes a tail call. */
static const Compiled all[] = {
        { TESTS, "adjust", "xdp_adjust_meta", .n_maps = 2, .moves = 4, .verdict = true },
        { TESTS, "adjust", "xdp_adjust_pop", .n_maps = 2, .moves = 4, .verdict = true },
        { TESTS, "adjust", "xdp_adjust_push", .n_maps = 2, .moves = 4, .verdict = true },
        { TESTS, "allocate", "xdp_allocate", .n_maps = 2, .tail_calls = 1, .verdict = true },
        { TESTS, "arena-a", "xdp_arena", .n_maps = 5, .tail_calls = 1, .verdict = true },
        { TESTS, "arena-b", "xdp_arena", .n_maps = 5, .tail_calls = 1, .verdict = true },
        { TESTS, "argtags", "xdp_argtags", .n_maps = 3, .verdict = true },
        { TESTS, "atomics", "xdp_atomics", .n_maps = 4, .verdict = true },
        { TESTS, "bigstack", "xdp_bigstack", .n_maps = 2, .verdict = true },
        { TESTS, "bytes", "xdp_bytes", .n_maps = 3, .verdict = true },
        { TESTS, "callback", "xdp_callback", .n_maps = 4, .verdict = true },
        { TESTS, "castctx", "xdp_castctx", .n_maps = 3, .verdict = true },
        { TESTS, "critical", "xdp_irq", .n_maps = 4, .verdict = true },
        { TESTS, "critical", "xdp_preempt", .n_maps = 4, .verdict = true },
        { TESTS, "critical", "xdp_rcu", .n_maps = 4, .verdict = true },
        { TESTS, "critical", "xdp_reslock", .n_maps = 4, .verdict = true },
        { TESTS, "csum", "xdp_csum", .n_maps = 3, .verdict = true },
        { TESTS, "datasections", "xdp_datasections", .n_maps = 5, .verdict = true },
        { TESTS, "deepcalls", "xdp_almost_deepcalls", .n_maps = 2, .verdict = true },
        { TESTS, "deepcalls", "xdp_deepcalls", .n_maps = 2, .tail_calls = 1, .verdict = true },
        { TESTS, "dynptr", "xdp_dynptr", .n_maps = 5, .verdict = true },
        { TESTS, "externs", "xdp_externs", .n_maps = 4, .verdict = true },
        { TESTS, "globals", "xdp_globals", .n_maps = 5, .verdict = true },
        { TESTS, "graph", "xdp_list", .n_maps = 6, .tail_calls = 1, .verdict = true },
        { TESTS, "graph", "xdp_rbtree", .n_maps = 6, .tail_calls = 1, .verdict = true },
        { TESTS, "graph", "xdp_refcount", .n_maps = 6, .tail_calls = 1, .verdict = true },
        { TESTS, "iterators", "xdp_iterators", .n_maps = 3, .verdict = true },
        { TESTS, "jumps", "xdp_jumps", .n_maps = 3, .tail_calls = 1, .verdict = true },
        { TESTS, "kfunc", "xdp_kfunc", .n_maps = 3, .verdict = true },
        { TESTS, "kptr", "xdp_kptr", .n_maps = 5, .tail_calls = 1, .verdict = true },
        { TESTS, "kptr", "xdp_percpu", .n_maps = 5, .tail_calls = 1, .verdict = true },
        { TESTS, "l3af", "xdp_next_end", .n_maps = 6, .tail_calls = 1, .verdict = true },
        { TESTS, "l3af", "xdp_next_middle", .n_maps = 6, .tail_calls = 3, .verdict = true },
        { TESTS, "l3af", "xdp_next_registers", .n_maps = 6, .tail_calls = 2, .verdict = true },
        { TESTS, "l3af", "xdp_next_variable", .n_maps = 6, .tail_calls = 1, .verdict = true },
        { TESTS, "longcode", "xdp_longcode", .n_maps = 3, .verdict = true },
        { TESTS, "manymaps", "xdp_manymaps", .n_maps = 21, .verdict = true },
        { TESTS, "manytailcalls", "xdp_manytailcalls", .n_maps = 3, .tail_calls = 12, .verdict = true },
        { TESTS, "mapinmap", "xdp_mapinmap", .n_maps = 4, .verdict = true },
        { TESTS, "maps", "xdp_maps", .n_maps = 15, .verdict = true },
        { TESTS, "maygoto", "xdp_maygoto", .n_maps = 4, .verdict = true },
        { TESTS, "mixed", "xdp_mixed", .n_maps = 3, .verdict = true },
        { TESTS, "nobtf", "xdp_nobtf" },
        { TESTS, "nofuncinfo", "xdp_nofuncinfo", .n_maps = 4, .verdict = true },
        { TESTS, "nofuncinfo", "xdp_nofuncinfo_tailcall", .n_maps = 4, .tail_calls = 1, .verdict = true },
        { TESTS, "ringbuf", "xdp_ringbuf", .n_maps = 4, .verdict = true },
        { TESTS, "samename-a", "xdp_samename", .n_maps = 4, .verdict = true },
        { TESTS, "samename-b", "xdp_samename", .n_maps = 5, .verdict = true },
        { TESTS, "spinlock", "xdp_spinlock", .n_maps = 3, .verdict = true },
        { TESTS, "stack", "xdp_stack_frames", .n_maps = 3, .verdict = true },
        { TESTS, "stack", "xdp_stack_full", .n_maps = 3, .verdict = true },
        { TESTS, "subprog", "xdp_subprog", .n_maps = 3, .verdict = true },
        { TESTS, "switch", "xdp_switch", .n_maps = 4, .verdict = true },
        { TESTS, "tailcall", "xdp_tailcall", .n_maps = 4, .tail_calls = 1, .verdict = true },
        { TESTS, "throw", "xdp_throw", .n_maps = 2, .tail_calls = 1, .verdict = true },
        { TESTS, "throw-caught", "xdp_throw_caught", .n_maps = 3, .tail_calls = 1, .verdict = true },
        { TESTS, "verdict", "xdp_verdict", .n_maps = 2, .verdict = true },
        { TESTS, "verdict-v2", "xdp_verdict", .n_maps = 2, .verdict = true },
        { TESTS, "voidctx", "xdp_voidctx", .n_maps = 2, .verdict = true },
        { TESTS, "frags", "xdp_frags", .n_maps = 3, .frags = true, .verdict = true },
        { EXAMPLES, "denylist", "xdp_denylist", .n_maps = 5 },
        { EXAMPLES, "flows", "xdp_flows", "flows", .n_maps = 3 },
        { EXAMPLES, "ratelimit", "xdp_ratelimit", "sources", .n_maps = 3 },
        { TESTS, "adjust", "tc_adjust_meta", .n_maps = 2, .tc = true, .verdict = true },
        { TESTS, "bytes", "tc_bytes", .n_maps = 3, .tc = true, .verdict = true },
        { TESTS, "csum", "tc_csum", .n_maps = 3, .tc = true, .verdict = true },
        { TESTS, "dynptr", "tc_dynptr", .n_maps = 5, .tc = true, .verdict = true },
        { TESTS, "graph", "tc_list", .n_maps = 6, .tail_calls = 1, .tc = true, .verdict = true },
        { TESTS, "iterators", "tc_iterators", .n_maps = 3, .tc = true, .verdict = true },
        { TESTS, "l3af", "tc_next_end", .n_maps = 6, .tail_calls = 1, .tc = true, .verdict = true },
        { TESTS, "maygoto", "tc_maygoto", .n_maps = 4, .tc = true, .verdict = true },
        { TESTS, "nobtf", "tc_nobtf", .tc = true },
        { TESTS, "packetload", "tc_packetload", .n_maps = 3, .tc = true, .verdict = true },
        { TESTS, "redirect", "tc_redirect", .n_maps = 3, .tc = true, .verdict = true },
        { TESTS, "skbchange", "tc_pull_data", .n_maps = 3, .tc = true, .verdict = true },
        { TESTS, "skbfields", "tc_fields_read", .n_maps = 3, .tc = true, .verdict = true },
        { TESTS, "skbfields", "tc_fields_write", .n_maps = 3, .tc = true, .verdict = true },
        { TESTS, "subprog", "tc_subprog", .n_maps = 3, .tc = true, .verdict = true },
        { TESTS, "switch", "tc_switch", .n_maps = 4, .tc = true, .verdict = true },
        { TESTS, "tailcall", "tc_tailcall", .n_maps = 4, .tail_calls = 1, .tc = true, .verdict = true },
        { TESTS, "verdict", "tc_verdict", .n_maps = 2, .tc = true, .verdict = true },
        { TESTS, "verdict-v2", "tc_verdict", .n_maps = 2, .tc = true, .verdict = true },
        { TESTS, "voidctx", "tc_voidctx", .n_maps = 2, .tc = true, .verdict = true },
        { EXAMPLES, "flows", "tc_flows", "flows", .n_maps = 3, .tc = true },
};

/* By index in `all`: this kernel, or the compiler, was too old for it. */
static bool unusable[ELEMENTSOF(all)];

const Compiled *compiled_pick(Random *random, Hook hook, bool frags, bool moves, bool tail_calls, size_t n_maps) {
        const Compiled *found = NULL;
        uint32_t n = 0;

        for (size_t i = 0; i < ELEMENTSOF(all); i++) {
                const Compiled *c = &all[i];

                if (unusable[i] || c->tc != hook_is_tc(hook) || (frags && !c->frags) || c->n_maps > n_maps ||
                    (c->moves > 0 && !moves) || (c->tail_calls > 0 && !tail_calls))
                        continue;
                if (random_below(random, ++n) == 0)
                        found = c;
        }
        return found;
}

char *compiled_path(const Compiled *compiled) {
        char *path = NULL;

        if (asprintf(&path, "%s/%s/%s.bpf.o", strempty_to(getenv("BPFCHAIN_BUILD"), "."), compiled->folder,
                     compiled->object) < 0)
                return NULL;
        return path;
}

/* The section of a map of global data, or the map's name. */
static const char *short_name(const struct bpf_map *map) {
        const char *name = bpf_map__name(map), *dot;

        if (!bpf_map__is_internal(map))
                return name;
        dot = strchr(name, '.');
        return dot ? dot : name;
}

static struct bpf_map *find_map(const struct bpf_object *object, const char *name) {
        struct bpf_map *map;

        bpf_object__for_each_map(map, object) if (streq(short_name(map), name)) return map;
        return NULL;
}

/* Writes the constant `verdict`. */
static int set_verdict(struct bpf_object *object, int verdict) {
        const struct btf *btf = bpf_object__btf(object);
        struct bpf_map *map = find_map(object, ".rodata");
        const struct btf_type *section;
        size_t size = 0;
        uint8_t *data = map ? bpf_map__initial_value(map, &size) : NULL;
        int id = btf__find_by_name_kind(btf, ".rodata", BTF_KIND_DATASEC);

        if (!data || id < 0)
                return -ENOENT;
        section = btf__type_by_id(btf, (uint32_t) id);
        for (int i = 0; i < btf_vlen(section); i++) {
                const struct btf_var_secinfo *info = btf_var_secinfos(section) + i;

                if (!streq(btf__name_by_offset(btf, btf__type_by_id(btf, info->type)->name_off), "verdict") ||
                    info->size != sizeof(verdict) || info->offset + info->size > size)
                        continue;
                memcpy(data + info->offset, &verdict, sizeof(verdict));
                return 0;
        }
        return -ENOENT;
}

int compiled_load(const Compiled *compiled, int verdict, struct bpf_object **ret) {
        _cleanup_free_ char *path = compiled_path(compiled);
        struct bpf_program *program, *wanted = NULL;
        struct bpf_object *object;
        int r = 0;

        object = path ? bpf_object__open_file(path, NULL) : NULL;
        if (!object)
                return path ? -errno : -ENOMEM;
        bpf_object__for_each_program(program, object) {
                bool it = streq(bpf_program__name(program), compiled->function);

                /* one object fills its program array with its other programs */
                if (!streq(compiled->object, "jumps"))
                        (void) bpf_program__set_autoload(program, it);
                if (it)
                        wanted = program;
        }
        if (compiled->verdict)
                r = set_verdict(object, verdict);
        if (r >= 0)
                r = wanted ? bpf_object__load(object) : -ENOENT;
        if (r < 0) {
                bpf_object__close(object);
                return r;
        }
        *ret = object;
        return bpf_program__fd(wanted);
}

int compiled_map(const struct bpf_object *object, const char *name) {
        const struct bpf_map *map = find_map(object, name);

        return map ? bpf_map__fd(map) : -ENOENT;
}

size_t compiled_probe(FILE *f) {
        size_t n = 0;

        for (size_t i = 0; i < ELEMENTSOF(all); i++) {
                struct bpf_object *object = NULL;
                int r = compiled_load(&all[i], 0, &object);

                unusable[i] = r < 0;
                n += r >= 0;
                if (r < 0)
                        fprintf(f, "# left out, since it does not load by itself here: %s (%s)\n", all[i].function,
                                strerror(-r));
                else
                        bpf_object__close(object);
        }
        return n;
}
