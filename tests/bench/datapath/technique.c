/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <bpf/bpf.h>
#include <linux/pkt_cls.h>

#include "libxdp.h"
#include "technique.h"

static int make_empty(const Stock *stock, _unused_ Chain *chain) {
        return stock->empty_fd;
}

/* An object that has the chain whole. */
static int make_compiled(const Stock *stock, Chain *chain, const char *object_name) {
        struct bpf_object *object;
        struct bpf_program *p;
        char name[64];
        int fd;

        snprintf(name, sizeof(name), "%s_%u", object_name, chain->n);
        object = stock_open(stock, object_name, name, &p);
        stock_share_maps(stock, object, chain->n);
        fd = stock_load(object, p);
        bpf_object__close(object);
        for (unsigned i = 0; i < chain->n; i++)
                chain->counters[i] = stock_map(stock, chain->n, i);
        return fd;
}

static int make_limit(const Stock *stock, Chain *chain) {
        return make_compiled(stock, chain, "limit");
}

static int make_dispatcher(const Stock *stock, Chain *chain) {
        return make_compiled(stock, chain, "dispatcher");
}

static KernelProgram *const *our_members(const Stock *stock, unsigned n) {
        return n > BENCH_OWN_MAPS_MAX ? stock->paired : stock->own;
}

/* Builds and loads a chain of n of the stock's members. */
static KernelFused *build_ours(const Stock *stock, unsigned n, SlotForm form, CounterLevel counters,
                               FusedInfo *ret_info) {
        KernelProgram *const *programs = our_members(stock, n);
        FuseSlot slots[BENCH_N_MAX];
        FuseRequest request = {
                .interface = "bct-none",
                .ifindex = 1,
                .hook = stock->hook,
                .signature = "0123456789abcdef",
                .slots = slots,
                .n_slots = n,
                .form_limit = form,
                .counters = counters,
        };
        KernelFused *fused = NULL;
        Error error = ERROR_INIT;

        for (unsigned i = 0; i < n; i++)
                slots[i] = (FuseSlot){
                        .program = programs[i],
                        .name = programs[i]->name,
                        .proceed_on = verdict_default_proceed_on(stock->hook),
                        .seat = i,
                };
        must(kernel_chain_build(stock->kernel, &request, &fused, ret_info, &error), &error, "%u members, %s", n,
             slot_form_to_string(form));
        return fused;
}

static int make_ours(const Stock *stock, Chain *chain) {
        SlotForm form = chain->technique->form;
        FusedInfo info;
        KernelFused *fused = build_ours(stock, chain->n, form, chain->technique->counters, &info);

        for (unsigned i = 0; i < chain->n; i++) {
                const KernelProgram *program = our_members(stock, chain->n)[i];

                if (info.forms[i] != form)
                        die("Member %u of %u is %s, not %s.", i, chain->n, slot_form_to_string(info.forms[i]),
                            slot_form_to_string(form));
                chain->counters[i] = program->map_fds[kernel_program_find_map(program, "counter")];
        }
        return fused->program_fd;
}

void chain_time_build(const Stock *stock, unsigned n, unsigned round) {
        FusedInfo info;

        kernel_fused_free(build_ours(stock, n, SLOT_FORM_INLINED, COUNTER_LEVEL_DEFAULT, &info));
        printf("{\"build\": [%u, %u, %llu, %llu]}\n", n, round, (unsigned long long) info.build_usec,
               (unsigned long long) info.load_usec);
}

/* The last n of the linked programs. */
static int make_linked(const Stock *stock, Chain *chain) {
        unsigned first = STOCK_LINKED_MAX - chain->n;

        chain->odd = first % 2;
        for (unsigned i = 0; i < chain->n; i++)
                chain->counters[i] = stock->maps[first + i];
        return stock->linked_fds[first];
}

static int make_list(const Stock *stock, Chain *chain) {
        memcpy(chain->list, chain->n > BENCH_OWN_MAPS_MAX ? stock->paired_list : stock->list, sizeof(chain->list));
        for (unsigned i = 0; i < chain->n; i++)
                chain->counters[i] = stock_map(stock, chain->n, i);
        return -EBADF;
}

/* The kernel keeps the link as long as the object. */
static int replace_function(const Stock *stock, const Chain *chain, int program, const char *function, unsigned i) {
        struct bpf_object *object;
        struct bpf_program *p;
        int r;

        object = stock_open(stock, "member", i % 2 ? "odd" : "even", &p);
        must(bpf_map__reuse_fd(stock_find_map(object, "counter"), chain->counters[i]), NULL, "counter");
        must(bpf_program__set_type(p, BPF_PROG_TYPE_EXT), NULL, "%s", function);
        must(bpf_program__set_expected_attach_type(p, 0), NULL, "%s", function);
        must(bpf_program__set_attach_target(p, program, function), NULL, "%s", function);
        r = bpf_object__load(object);
        if (r >= 0 && !bpf_program__attach_freplace(p, program, function))
                r = -errno;
        if (r < 0)
                bpf_object__close(object);
        return r;
}

bool chain_replace_function(const Stock *stock, const Chain *chain, int program, const char *function, unsigned i) {
        static bool told;
        int r = replace_function(stock, chain, program, function, i);

        if (r < 0 && !told)
                note("This kernel refuses freplace programs (%s), which libxdp and bpfman need. The technique "
                     "\"dispatcher\" is their dispatcher with functions that were compiled into it, which has the "
                     "same calls without freplace's jump; \"libxdp-empty\" is libxdp's own with nothing in it.",
                     strerror(-r));
        told = told || r < 0;
        return r >= 0;
}

static int make_freplace(const Stock *stock, Chain *chain) {
        int fd = make_compiled(stock, chain, "dispatcher");

        for (unsigned i = 0; i < chain->n; i++) {
                char function[32];

                snprintf(function, sizeof(function), "%s_slot_%02o", stock->prefix, i);
                /* not the maps of the functions that are replaced, so that it shows which of both ran */
                chain->counters[i] = stock->maps[chain->n + i];
                if (!chain_replace_function(stock, chain, fd, function, i)) {
                        close(fd);
                        return -ENOTSUP;
                }
        }
        return fd;
}

/* Tail calls that a packet gets from the kernel. */
#define SLOTS_MAX 33

const Technique techniques[] = {
        { "empty", 0, make_empty, .runnable = true },
        { "limit", BENCH_N_MAX, make_limit, .runnable = true },
        { "inlined-off", BENCH_N_MAX, make_ours, SLOT_FORM_INLINED, COUNTER_LEVEL_OFF, .runnable = true },
        { "inlined", BENCH_N_MAX, make_ours, SLOT_FORM_INLINED, COUNTER_LEVEL_VERDICTS, .runnable = true },
        { "inlined-all", BENCH_N_MAX, make_ours, SLOT_FORM_INLINED, COUNTER_LEVEL_ALL, .runnable = true },
        { "global", BENCH_N_MAX, make_ours, SLOT_FORM_GLOBAL, COUNTER_LEVEL_OFF, .runnable = true },
        { "static", BENCH_N_MAX, make_ours, SLOT_FORM_STATIC, COUNTER_LEVEL_OFF, .runnable = true },
        { "slot", SLOTS_MAX, make_ours, SLOT_FORM_SLOT, COUNTER_LEVEL_OFF, .runnable = true },
        { "dispatcher", 10, make_dispatcher, .runnable = true },
        { "freplace", 10, make_freplace, .runnable = true },
        { "libxdp", 10, libxdp_make, .runnable = true, .xdp_only = true },
        { "libxdp-empty", 10, libxdp_make_empty, .runnable = true, .xdp_only = true },
        { "linked", STOCK_LINKED_MAX, make_linked, .runnable = true },
        { "list", BENCH_N_MAX, make_list },
};
const size_t n_techniques = ELEMENTSOF(techniques);

const Technique *technique_find(const char *name) {
        for (size_t i = 0; i < n_techniques; i++)
                if (streq(techniques[i].name, name))
                        return &techniques[i];
        die("There is no technique %s.", name);
}

bool chain_make(const Stock *stock, const Technique *technique, unsigned n, Chain *ret) {
        *ret = (Chain){ .technique = technique, .n = n, .n_counted = n };
        if (n > technique->n_max || (technique->n_max > 0) != (n > 0))
                return false;
        if (technique->xdp_only && hook_is_tc(stock->hook))
                return false;
        ret->fd = technique->make(stock, ret);
        return ret->fd != -ENOTSUP;
}

void chain_read(const Chain *chain, uint64_t ret[BENCH_N_MAX]) {
        int n_cpus = libbpf_num_possible_cpus();
        _cleanup_free_ uint64_t *values = calloc((size_t) MAX2(n_cpus, 1), sizeof(uint64_t));

        if (!values)
                die("Out of memory.");
        for (unsigned i = 0; i < chain->n_counted; i++) {
                uint32_t key = (i + chain->odd) % 2;

                must(bpf_map_lookup_elem(chain->counters[i], &key, values), NULL, "A counter can't be read");
                ret[i] = 0;
                for (int cpu = 0; cpu < n_cpus; cpu++)
                        ret[i] += values[cpu];
        }
}

void chain_check(const Chain *chain, const uint64_t before[BENCH_N_MAX], uint64_t packets) {
        uint64_t after[BENCH_N_MAX];

        chain_read(chain, after);
        for (unsigned i = 0; i < chain->n_counted; i++)
                if (after[i] - before[i] != packets)
                        die("%s, %u members: member %u met %llu of %llu packets.", chain->technique->name, chain->n,
                            i, (unsigned long long) (after[i] - before[i]), (unsigned long long) packets);
}

void chain_report(const Chain *chain, Part part) {
        struct bpf_prog_info info = {};
        uint32_t size = sizeof(info);

        if (chain->fd < 0)
                return;
        must(bpf_prog_get_info_by_fd(chain->fd, &info, &size), NULL, "A program can't be read");
        printf("{\"code\": [\"%s\", \"%s\", %u, %u, %u, %u]}\n", part_to_string(part), chain->technique->name,
               chain->n, info.xlated_prog_len / 8, info.jited_prog_len, info.verified_insns);
}
