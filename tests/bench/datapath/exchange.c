/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <bpf/bpf.h>

#include "exchange.h"
#include "kernel/attach.h"
#include "kernel/uapi.h"
#include "util/json.h"

#define XDP_NATIVE (1U << 2) /* XDP_FLAGS_DRV_MODE */

/* --- ours ---------------------------------------------------------------------------------------------------- */

static KernelProgram *load_ours(const Exchange *exchange, unsigned i, unsigned generation) {
        _cleanup_free_ char *path = NULL, *name = NULL, *where = NULL, *text = NULL;
        _cleanup_(program_info_done) ProgramInfo info = {};
        _cleanup_json_ json_object *globals = NULL;
        KernelProgram *program = NULL;
        Error error = ERROR_INIT;

        if (asprintf(&path, "%s/tests/bench/datapath/trace.bpf.o", exchange->settings->build_dir) < 0 ||
            asprintf(&name, "member%u", i) < 0 || asprintf(&where, "programs.%s", name) < 0 ||
            asprintf(&text, "{\"id\": %u, \"generation\": %u}", i, generation) < 0)
                die("Out of memory.");
        must(json_parse(text, strlen(text), &globals, NULL, &error), &error, "%s", text);
        ProgramRequest request = {
                .name = name,
                .object_path = path,
                .object_name = "trace.bpf.o",
                .function = hook_is_tc(exchange->hook) ? "tc_trace" : "xdp_trace",
                .globals = globals,
                .where = where,
        };
        must(kernel_program_load(exchange->kernel, &request, &program, &info, &error), &error, "%s", name);
        return program;
}

/* Builds and puts into effect, as the service does. */
static void exchange_ours(Exchange *exchange, unsigned generation) {
        FuseSlot slots[EXCHANGE_MEMBERS];
        FuseRequest request = {
                .interface = exchange->interface,
                .ifindex = exchange->ifindex,
                .hook = exchange->hook,
                .signature = generation ? "11111111111111" : "00000000000000",
                .slots = slots,
                .n_slots = EXCHANGE_MEMBERS,
                .attachment = exchange->attachment,
                .counters = COUNTER_LEVEL_DEFAULT,
        };
        ChainCommit item = {
                .interface = exchange->interface,
                .ifindex = exchange->ifindex,
                .hook = exchange->hook,
                .mode = hook_is_tc(exchange->hook) ? ATTACH_MODE_BEST : ATTACH_MODE_NATIVE,
                .attachment = exchange->attachment,
        };
        Error error = ERROR_INIT;
        FusedInfo info;

        for (unsigned i = 0; i < EXCHANGE_MEMBERS; i++) {
                KernelProgram *program = exchange->programs[generation][i];

                slots[i] = (FuseSlot){
                        .program = program,
                        .name = program->name,
                        .proceed_on = verdict_default_proceed_on(exchange->hook),
                        .seat = i,
                };
        }
        must(kernel_chain_build(exchange->kernel, &request, &item.fused, &info, &error), &error, "Building");
        must(kernel_chain_commit(exchange->kernel, &item, 1), &item.error, "Exchanging");
        kernel_chain_release(exchange->kernel, &item);
        exchange->attachment = item.attachment;
}

/* --- others -------------------------------------------------------------------------------------------------- */

/* Both objects have two constants of 32 bits, in the order of their source. */
static struct bpf_object *load_object(const Exchange *exchange, const char *name, unsigned i, unsigned generation) {
        struct bpf_object *object = stock_open_all(exchange->settings, name);
        const uint32_t values[] = { i, generation };

        must(bpf_map__set_initial_value(stock_find_section(object, ".rodata"), values, sizeof(values)), NULL,
             ".rodata");
        must(bpf_object__load(object), NULL, "%s.bpf.o", name);
        return object;
}

static void load_linked(Exchange *exchange, unsigned i, unsigned generation) {
        struct bpf_object *object = load_object(exchange, "trace-linked", i, generation);

        exchange->fds[generation][i] = stock_find_program(object, "xdp_trace");
        exchange->next[generation][i] = bpf_map__fd(stock_find_map(object, "next"));
}

static void load_root(Exchange *exchange) {
        LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = XDP_NATIVE);
        struct bpf_object *object = load_object(exchange, "trace-linked", 0, 0);

        exchange->root_next = bpf_map__fd(stock_find_map(object, "next"));
        exchange->links[0] =
                bpf_link_create(stock_find_program(object, "xdp_root"), exchange->ifindex, BPF_XDP, &opts);
        must(exchange->links[0], NULL, "XDP on %s", exchange->interface);
}

static void link_to(int map, int program) {
        const uint32_t key = 0;

        must(bpf_map_update_elem(map, &key, &program, BPF_ANY), NULL, "An exchange of a linked program");
}

/* A new member first gets what is behind the old one, then takes its place. */
static void exchange_linked(Exchange *exchange, unsigned generation) {
        unsigned old = (generation + 1) % EXCHANGE_GENERATIONS;

        for (unsigned i = 0; i < EXCHANGE_MEMBERS; i++) {
                if (i + 1 < EXCHANGE_MEMBERS)
                        link_to(exchange->next[generation][i], exchange->fds[old][i + 1]);
                link_to(i == 0 ? exchange->root_next : exchange->next[generation][i - 1],
                        exchange->fds[generation][i]);
        }
}

static void exchange_tcx_list(Exchange *exchange, unsigned generation) {
        for (unsigned i = 0; i < EXCHANGE_MEMBERS; i++) {
                int fd = exchange->fds[generation][i];

                if (exchange->links[i] < 0) {
                        exchange->links[i] = bpf_link_create(fd, exchange->ifindex, UAPI_TCX_INGRESS, NULL);
                        must(exchange->links[i], NULL, "A tcx link");
                } else
                        must(bpf_link_update(exchange->links[i], fd, NULL), NULL, "An exchange in the tcx list");
        }
}

/* --- all ----------------------------------------------------------------------------------------------------- */

static void load_member(Exchange *exchange, unsigned i, unsigned generation) {
        switch (exchange->kind) {
        case EXCHANGE_OURS: exchange->programs[generation][i] = load_ours(exchange, i, generation); break;
        case EXCHANGE_TCX_LIST:
                exchange->fds[generation][i] =
                        stock_find_program(load_object(exchange, "trace", i, generation), "tc_trace");
                break;
        case EXCHANGE_LINKED: load_linked(exchange, i, generation); break;
        }
}

void exchange_to(Exchange *exchange, unsigned generation) {
        switch (exchange->kind) {
        case EXCHANGE_OURS: exchange_ours(exchange, generation); break;
        case EXCHANGE_TCX_LIST: exchange_tcx_list(exchange, generation); break;
        case EXCHANGE_LINKED: exchange_linked(exchange, generation); break;
        }
}

void exchange_start(Exchange *exchange) {
        for (unsigned i = 0; i < EXCHANGE_MEMBERS; i++)
                exchange->links[i] = -EBADF;
        for (unsigned generation = 0; generation < EXCHANGE_GENERATIONS; generation++)
                for (unsigned i = 0; i < EXCHANGE_MEMBERS; i++)
                        load_member(exchange, i, generation);
        if (exchange->kind == EXCHANGE_LINKED)
                load_root(exchange);
        exchange_to(exchange, 0);
}

void exchange_end(Exchange *exchange) {
        if (exchange->attachment)
                kernel_chain_detach(exchange->kernel, exchange->attachment);
        for (unsigned i = 0; i < EXCHANGE_MEMBERS; i++)
                if (exchange->links[i] >= 0)
                        close(exchange->links[i]);
}

const char *exchange_name(const Exchange *exchange) {
        switch (exchange->kind) {
        case EXCHANGE_OURS: return hook_to_string(exchange->hook);
        case EXCHANGE_TCX_LIST: return "tcx-list";
        case EXCHANGE_LINKED: return "linked";
        }
        return NULL;
}
