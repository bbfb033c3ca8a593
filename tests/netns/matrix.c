/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <bpf/bpf.h>
#include <linux/pkt_cls.h>
#include <net/if.h>
#include <sys/mman.h>

#include "../bpf/order.h"
#include "matrix.h"
#include "netns.h"

static const SlotForm limits[] = { SLOT_FORM_NONE, SLOT_FORM_GLOBAL, SLOT_FORM_STATIC, SLOT_FORM_SLOT };

void matrix_enter_namespace(void) {
        netns_enter();
        /* the kernel itself is to send nothing */
        run("! test -e /proc/sys/net/ipv6 || echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6");
        run("ip link add " MATRIX_DEVICE " type veth peer name " MATRIX_PEER " && "
            "ip link set " MATRIX_PEER " up && ip link set " MATRIX_DEVICE " up && "
            "ip address add " MATRIX_ADDRESS "/24 dev " MATRIX_DEVICE " && "
            "ip neighbour add " MATRIX_NEIGHBOUR " lladdr 02:00:00:00:00:99 dev " MATRIX_DEVICE " && "
            "echo 1 >/proc/sys/net/ipv4/conf/all/forwarding");
}

/* A variable is found by the types of the data sections, which are maps of their names. */
static const struct btf_var_secinfo *find_variable(const struct btf *btf, const char *name,
                                                   const char **ret_section) {
        for (uint32_t id = 1; id < btf__type_cnt(btf); id++) {
                const struct btf_type *section = btf__type_by_id(btf, id);
                const struct btf_var_secinfo *infos = btf_var_secinfos(section);

                for (unsigned i = 0; btf_is_datasec(section) && i < btf_vlen(section); i++) {
                        const struct btf_type *variable = btf__type_by_id(btf, infos[i].type);

                        *ret_section = btf__name_by_offset(btf, section->name_off);
                        if (streq(btf__name_by_offset(btf, variable->name_off), name) &&
                            !streq(*ret_section, ".maps"))
                                return &infos[i];
                }
        }
        return NULL;
}

uint64_t matrix_variable(KernelProgram *program, const char *name) {
        const struct btf_var_secinfo *info = NULL;
        _cleanup_free_ uint8_t *data = NULL;
        const char *section = "";
        uint64_t value = 0;
        uint32_t key = 0;
        ssize_t map;

        if (program->member->btf)
                info = find_variable(program->member->btf, name, &section);
        if (!info || info->size > sizeof(value))
                fail_msg("%s has no variable %s", program->name, name);
        map = kernel_program_find_map(program, section);
        assert_true(map >= 0);
        data = malloc(program->info.maps[map].value_size);
        assert_non_null(data);
        assert_true(info->offset + info->size <= program->info.maps[map].value_size);
        assert_int_equal(bpf_map_lookup_elem(program->map_fds[map], &key, data), 0);
        memcpy(&value, data + info->offset, info->size);
        return value;
}

KernelProgram *matrix_load(Kernel *kernel, const MatrixRow *row) {
        _cleanup_free_ char *globals = NULL;

        if (row->globals && asprintf(&globals, row->globals, if_nametoindex(MATRIX_DEVICE)) < 0)
                fail();
        return must_load(kernel, &(TestProgram){ .name = row->function,
                                                 .object = row->object,
                                                 .function = row->function,
                                                 .type = row->type,
                                                 .globals = globals,
                                                 .maps = row->maps,
                                                 .keep_tail_calls = row->keep_tail_calls });
}

/* The last line of the verifier's log that says something. */
static const char *last_words(char *log) {
        char *at = strstr(log, "\nprocessed "), *line;

        if (startswith(log, "processed ") || log[0] == '\0')
                return "it does not say why";
        if (at)
                *at = '\0';
        line = strrchr(log, '\n');
        return line && line[1] != '\0' ? line + 1 : log;
}

/* Loads one program of an object, or all. With a log, if it must be: it slows the verifier down, and a long one
 * would not fit. */
static const char *try_object(const char *path, const char *function, enum bpf_prog_type type, bool all,
                              bool logged) {
        static char log[1 << 20];
        struct bpf_program *program, *chosen = NULL;
        struct bpf_object *object = bpf_object__open_file(path, NULL);
        const char *reason = NULL;

        if (!object)
                fail_msg("%s: %s", path, strerror(errno));
        bpf_object__for_each_program(program, object) {
                if (streq(bpf_program__name(program), function))
                        chosen = program;
                bpf_program__set_autoload(program, all || program == chosen);
        }
        assert_non_null(chosen);
        log[0] = '\0';
        assert_int_equal(bpf_program__set_type(chosen, type), 0);
        if (logged) {
                assert_int_equal(bpf_program__set_log_buf(chosen, log, sizeof(log)), 0);
                assert_int_equal(bpf_program__set_log_level(chosen, 1), 0);
        }
        if (bpf_object__load(object) < 0)
                reason = log[0] == '\0' ? strerror(errno) : last_words(log);
        bpf_object__close(object);
        return reason;
}

const char *matrix_probe(const char *object, const char *function, Hook hook) {
        enum bpf_prog_type type = hook_is_tc(hook) ? BPF_PROG_TYPE_SCHED_CLS : BPF_PROG_TYPE_XDP;
        _cleanup_free_ char *path = NULL;

        if (asprintf(&path, "%s/tests/bpf/%s.bpf.o", getenv("BPFCHAIN_BUILD"), object) < 0)
                fail();
        /* by itself first; programs that the object puts into an array need all of them */
        if (!try_object(path, function, type, false, false) || !try_object(path, function, type, true, false))
                return NULL;
        return try_object(path, function, type, false, true);
}

int matrix_build(Kernel *kernel, Hook hook, KernelProgram *const *programs, size_t n, SlotForm limit,
                 KernelFused **ret, FusedInfo *ret_info, Error *error) {
        FuseSlot slots[CHAIN_SLOTS_MAX + 1];
        FuseRequest request = test_request(hook, programs, n, NULL, slots);

        request.form_limit = limit;
        return kernel_chain_build(kernel, &request, ret, ret_info, error);
}

KernelProgram *matrix_load_program(Kernel *kernel, const char *object, const char *function, const char *globals) {
        return must_load(
                kernel,
                &(TestProgram){ .name = function, .object = object, .function = function, .globals = globals });
}

void matrix_traced_packet(Packet *ret) {
        struct order_payload payload = { .magic = ORDER_MAGIC };

        matrix_packet(ret);
        ret->size -= 32; /* its payload */
        packet_bytes(ret, &payload, sizeof(payload));
}

void matrix_check_trace(const Packet *packet, const uint8_t *ids, size_t n) {
        struct order_payload payload;

        memcpy(&payload, packet->data + packet->size - sizeof(payload), sizeof(payload));
        assert_int_equal(payload.count, n);
        assert_int_equal(payload.lost, 0);
        for (size_t i = 0; i < n; i++)
                if (payload.entries[i].id != ids[i])
                        fail_msg("the trace has %u at %zu, not %u", payload.entries[i].id, i, ids[i]);
}

void matrix_packet(Packet *ret) {
        uint32_t sum = 0;

        packet_eth(ret, 0, ETH_P_IP);
        packet_ipv4(ret, "192.0.2.1", MATRIX_NEIGHBOUR, IPPROTO_UDP, 0, 0);
        packet_ports(ret, 1000, MATRIX_PORT, 32);
        ret->data[17] = (uint8_t) (ret->size - 14); /* its total length */
        for (size_t i = 14; i < 34; i += 2)
                sum += (uint32_t) (ret->data[i] << 8 | ret->data[i + 1]);
        sum = (sum & 0xffff) + (sum >> 16);
        sum = ~((sum & 0xffff) + (sum >> 16));
        ret->data[24] = (uint8_t) (sum >> 8);
        ret->data[25] = (uint8_t) sum;
}

int matrix_send(MatrixRun *run, const KernelFused *fused) {
        LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = run->in.data, .data_size_in = (uint32_t) run->in.size,
                    .data_out = run->out.data, .data_size_out = sizeof(run->out.data), .repeat = 1);

        if (hook_is_tc(fused->hook)) {
                opts.ctx_out = &run->skb;
                opts.ctx_size_out = sizeof(run->skb);
        }
        if (bpf_prog_test_run_opts(fused->program_fd, &opts) < 0)
                fail_msg("BPF_PROG_TEST_RUN: %s", strerror(errno));
        run->out.size = opts.data_size_out;
        return (int) opts.retval;
}

char matrix_form_letter(SlotForm form) {
        switch (form) {
        case SLOT_FORM_INLINED: return 'I';
        case SLOT_FORM_GLOBAL: return 'G';
        case SLOT_FORM_STATIC: return 'S';
        case SLOT_FORM_SLOT: return 'L';
        case SLOT_FORM_NONE:
        case _SLOT_FORM_MAX:
        case _SLOT_FORM_INVALID: break;
        }
        return '?';
}

/* What a chain of the row is: [leader,] the feature, follower. */
typedef struct Chain {
        const MatrixRow *row;
        SlotForm limit;
        char expected; /* form of the feature */
        bool led;
        KernelProgram *programs[3];
        size_t n;
        size_t at; /* of the feature */
} Chain;

static int neutral(Hook hook) {
        return hook_is_tc(hook) ? TC_ACT_UNSPEC : 2;
}

#define CHAIN_FAIL(chain, format, ...)                                                                               \
        fail_msg("%s/%s, %s first, %s: " format, (chain)->row->object, (chain)->row->function,                       \
                 slot_form_to_string((chain)->limit), (chain)->led ? "behind a leader" : "in front", ##__VA_ARGS__)

static uint64_t sum_cells(const uint64_t *cells, size_t n) {
        uint64_t sum = 0;

        for (size_t i = 0; i < n; i++)
                sum += cells[i];
        return sum;
}

/* The counters of a slot that saw `n` packets of `size` bytes, which all got this verdict. */
static void check_row(const Chain *chain, const uint64_t cells[COUNTER_CELLS], size_t slot, int verdict, bool ended,
                      uint64_t n, size_t size) {
        unsigned bucket = (unsigned) (verdict + (hook_is_tc(chain->row->hook) ? 1 : 0));
        uint64_t last = ended ? n : 0;

        if (cells[bucket] != n || sum_cells(cells, VERDICT_BUCKETS) != n || cells[COUNTER_SEEN_BYTES] != n * size)
                CHAIN_FAIL(chain, "slot %zu counted %" PRIu64 " of %" PRIu64 " packets and %" PRIu64 " bytes", slot,
                           cells[bucket], n, cells[COUNTER_SEEN_BYTES]);
        if (cells[COUNTER_ENDED + bucket] != last || sum_cells(cells + COUNTER_ENDED, VERDICT_BUCKETS) != last ||
            cells[COUNTER_ENDED_BYTES] != last * size)
                CHAIN_FAIL(chain, "of %" PRIu64 " packets %" PRIu64 " with %" PRIu64 " bytes ended in slot %zu", last,
                           cells[COUNTER_ENDED + bucket], cells[COUNTER_ENDED_BYTES], slot);
}

static void check_counters(const Chain *chain, const KernelFused *fused, uint64_t n, size_t size) {
        const MatrixRow *row = chain->row;
        uint64_t counters[CHAIN_SEATS_MAX][COUNTER_CELLS];
        int pass = neutral(row->hook), end = hook_is_tc(row->hook) ? TC_ACT_SHOT : 1;

        test_counters(fused, counters);
        if (chain->led)
                check_row(chain, counters[0], 0, pass, false, n, size);
        check_row(chain, counters[chain->at], chain->at, row->ends ? row->verdict : pass, row->ends, n, size);
        check_row(chain, counters[chain->at + 1], chain->at + 1, end, true, row->ends ? 0 : n, size);
        for (size_t i = chain->n; i < CHAIN_SEATS_MAX; i++)
                assert_int_equal(sum_cells(counters[i], COUNTER_CELLS), 0);
}

static void check_forms(const Chain *chain, const FusedInfo *info) {
        SlotForm least = chain->limit == SLOT_FORM_NONE ? SLOT_FORM_INLINED : chain->limit;
        char company = matrix_form_letter(least);

        if (least == SLOT_FORM_INLINED && chain->row->company_form)
                company = chain->row->company_form;

        for (size_t i = 0; i < chain->n; i++) {
                char expected = i == chain->at ? chain->expected : company;
                char found = matrix_form_letter(info->forms[i]);

                if (found != expected)
                        CHAIN_FAIL(chain, "slot %zu has form %c, not %c (%s)", i, found, expected,
                                   strempty_to(info->reasons[i], "no reason"));
                if ((info->reasons[i] != NULL) != (found != 'I'))
                        CHAIN_FAIL(chain, "slot %zu has form %c and the reason \"%s\"", i, found,
                                   strempty_to(info->reasons[i], ""));
        }
        if (chain->limit == SLOT_FORM_NONE && chain->row->reason &&
            !strstr(strempty_to(info->reasons[chain->at], ""), chain->row->reason))
                CHAIN_FAIL(chain, "\"%s\" lacks \"%s\"", strempty_to(info->reasons[chain->at], ""),
                           chain->row->reason);
}

static void check_packet(const Chain *chain, const KernelFused *fused, MatrixRun *run) {
        const MatrixRow *row = chain->row;
        int end = hook_is_tc(row->hook) ? TC_ACT_SHOT : 1, verdict = matrix_send(run, fused);

        if (verdict != (row->ends ? row->verdict : end))
                CHAIN_FAIL(chain, "the verdict is %d", verdict);
        if (row->effect != 0) {
                uint64_t effect = matrix_variable(run->program, row->variable ? row->variable : "effect");

                if (effect != row->effect)
                        CHAIN_FAIL(chain, "the effect is %" PRIu64 ", not %" PRIu64, effect, row->effect);
        }
        if (kernel_program_find_map(run->program, "hits") >= 0 && test_hits(run->kernel, run->program) != 1)
                CHAIN_FAIL(chain, "the program saw %" PRIu64 " packets", test_hits(run->kernel, run->program));
        if (row->check)
                row->check(run);
        for (size_t i = 0; i < 2; i++)
                if (matrix_send(run, fused) != verdict)
                        CHAIN_FAIL(chain, "another verdict than before");
}

static void check_refused(const Chain *chain, Kernel *kernel) {
        _cleanup_error_ Error error = ERROR_INIT;
        KernelFused *fused = NULL;
        FusedInfo info;

        if (matrix_build(kernel, chain->row->hook, chain->programs, chain->n, chain->limit, &fused, &info, &error) >=
            0)
                CHAIN_FAIL(chain, "not refused");
        assert_null(fused);
        if (!chain->row->refusal || !strstr(strempty_to(error.message, ""), chain->row->refusal))
                CHAIN_FAIL(chain, "refused: %s", strempty_to(error.message, "no reason"));
}

static void check_chain(Chain *chain, Kernel *kernel) {
        _cleanup_error_ Error error = ERROR_INIT;
        MatrixRun run = { .kernel = kernel, .program = chain->programs[chain->at], .fd = -EBADF };
        KernelFused *fused = NULL;
        FusedInfo info;

        if (chain->expected == '-') {
                check_refused(chain, kernel);
                return;
        }
        if (matrix_build(kernel, chain->row->hook, chain->programs, chain->n, chain->limit, &fused, &info, &error) <
            0)
                CHAIN_FAIL(chain, "%s\n%s", strempty_to(error.message, "no reason"), strempty_to(error.log, ""));
        check_forms(chain, &info);
        matrix_packet(&run.in);
        if (chain->row->prepare)
                chain->row->prepare(&run);
        check_packet(chain, fused, &run);
        check_counters(chain, fused, 3, run.in.size);
        if (run.memory)
                munmap(run.memory, run.memory_size);
        if (run.fd >= 0)
                close(run.fd);
        kernel_fused_free(fused);
}

static KernelProgram *load_company(Kernel *kernel, const MatrixRow *row, int verdict) {
        static const char *const functions[][2] = { { "xdp_verdict", "tc_verdict" }, { "xdp_frags", NULL } };
        bool tc = hook_is_tc(row->hook);
        char globals[64];

        snprintf(globals, sizeof(globals), "{\"verdict\": %d}", verdict);
        return must_load(kernel, &(TestProgram){ .name = "company",
                                                 .object = row->company ? row->company : "verdict",
                                                 .function = functions[row->company != NULL][tc],
                                                 .globals = globals });
}

void matrix_run(Kernel *kernel, const MatrixRow *row) {
        const char *refused = matrix_probe(row->object, row->function, row->hook);

        if (refused) {
                print_message("SKIP: this kernel does not take %s of %s: %s\n", row->function, row->object, refused);
                skip();
        }
        for (size_t i = 0; i < 2 * ELEMENTSOF(limits); i++) {
                Chain chain = { .row = row, .limit = limits[i / 2], .expected = row->forms[i / 2], .led = i % 2 };

                if (chain.led)
                        chain.programs[chain.n++] = load_company(kernel, row, neutral(row->hook));
                chain.at = chain.n;
                chain.programs[chain.n++] = matrix_load(kernel, row);
                chain.programs[chain.n++] = load_company(kernel, row, hook_is_tc(row->hook) ? TC_ACT_SHOT : 1);
                check_chain(&chain, kernel);
                for (size_t j = 0; j < chain.n; j++)
                        kernel_program_unref(chain.programs[j]);
        }
}
