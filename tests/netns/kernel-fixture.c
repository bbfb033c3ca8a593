/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "kernel-fixture.h"
#include "kernel/map-info.h"
#include "util/log.h"

int kernel_fixture_setup(void **state) {
        Kernel *kernel;
        char *dir = NULL;

        log_close();
        if (asprintf(&dir, "%s/bct-kernel-XXXXXX", strempty_to(getenv("TMPDIR"), "/tmp")) < 0 || !mkdtemp(dir))
                return -1;
        if (mount("bpf", dir, "bpf", 0, "mode=0700") < 0) {
                fprintf(stderr, "can't mount a bpffs: %s\n", strerror(errno));
                (void) rmdir(dir);
                free(dir);
                return -1;
        }
        kernel = calloc(1, sizeof(Kernel));
        if (!kernel || asprintf(&kernel->bpffs_dir, "%s/bpfchain", dir) < 0)
                return -1;
        free(dir);
        *state = kernel;
        return 0;
}

int kernel_fixture_teardown(void **state) {
        Kernel *kernel = *state;
        char *slash = strrchr(kernel->bpffs_dir, '/');

        *slash = '\0';
        (void) umount2(kernel->bpffs_dir, MNT_DETACH);
        (void) rmdir(kernel->bpffs_dir);
        free(kernel->bpffs_dir);
        free(kernel);
        return 0;
}

static json_object *parse(const char *text) {
        json_object *value = NULL;
        Error error = ERROR_INIT;

        if (text && json_parse(text, strlen(text), &value, NULL, &error) < 0)
                fail_msg("%s: %s", text, strna(error.message));
        return value;
}

int test_load(Kernel *kernel, const TestProgram *what, KernelProgram **ret, ProgramInfo *ret_info, Error *error) {
        _cleanup_json_ json_object *globals = parse(what->globals), *maps = parse(what->maps);
        _cleanup_(program_info_done) ProgramInfo info = {};
        _cleanup_free_ char *path = NULL, *where = NULL;
        ProgramRequest request = {
                .name = what->name,
                .object_name = what->object,
                .function = what->function,
                .type = what->type,
                .globals = globals,
                .maps = maps,
                .previous = what->previous,
                .same_object = what->same_object,
                .same_contents = what->same_contents,
                .keep_tail_calls = what->keep_tail_calls,
        };
        int r;

        if (what->object[0] == '/')
                path = strdup(what->object);
        else
                assert_true(asprintf(&path, "%s/tests/bpf/%s.bpf.o", getenv("BPFCHAIN_BUILD"), what->object) > 0);
        assert_true(asprintf(&where, "programs.%s", what->name) > 0);
        request.object_path = path;
        request.where = where;

        r = kernel_program_load(kernel, &request, ret, &info, error);
        if (r >= 0 && ret_info) {
                *ret_info = info;
                info = (ProgramInfo){};
        }
        return r;
}

KernelProgram *must_load(Kernel *kernel, const TestProgram *what) {
        KernelProgram *program = NULL;
        Error error = ERROR_INIT;

        if (error_ensure(&error, test_load(kernel, what, &program, NULL, &error), what->name) < 0)
                fail_msg("%s: %s\n%s", what->object, strna(error.message), strna(error.log));
        assert_non_null(program);
        return program;
}

KernelProgram *test_load_function(Kernel *kernel, const char *object, const char *function, int verdict) {
        char globals[64];

        snprintf(globals, sizeof(globals), "{\"verdict\": %d}", verdict);
        return must_load(kernel, &(TestProgram){ .name = function,
                                                 .object = object,
                                                 .function = function,
                                                 .globals = verdict == TEST_NEUTRAL ? NULL : globals });
}

void test_unref_all(KernelProgram *const *programs, size_t n) {
        for (size_t i = 0; i < n; i++)
                kernel_program_unref(programs[i]);
}

FuseRequest test_request(Hook hook, KernelProgram *const *programs, size_t n, const uint32_t *proceed_on,
                         FuseSlot slots[static CHAIN_SLOTS_MAX + 1]) {
        assert_true(n <= CHAIN_SLOTS_MAX + 1);
        for (size_t i = 0; i < n; i++)
                slots[i] = (FuseSlot){
                        .program = programs[i],
                        .name = programs[i]->name,
                        .proceed_on = proceed_on ? proceed_on[i] : verdict_default_proceed_on(hook),
                        .seat = (unsigned) i,
                };
        return (FuseRequest){
                .interface = "bct-none",
                .ifindex = 1,
                .hook = hook,
                .signature = "0123456789abcdef0123456789abcdef",
                .slots = slots,
                .n_slots = n,
                .counters = COUNTER_LEVEL_ALL,
        };
}

int test_build(Kernel *kernel, Hook hook, KernelProgram *const *programs, size_t n, const uint32_t *proceed_on,
               KernelFused **ret, FusedInfo *ret_info, Error *error) {
        FuseSlot slots[CHAIN_SLOTS_MAX + 1];
        FuseRequest request = test_request(hook, programs, n, proceed_on, slots);
        FusedInfo info;

        return kernel_chain_build(kernel, &request, ret, ret_info ? ret_info : &info, error);
}

KernelFused *must_build(Kernel *kernel, Hook hook, KernelProgram *const *programs, size_t n,
                        const uint32_t *proceed_on, FusedInfo *ret_info) {
        KernelFused *fused = NULL;
        Error error = ERROR_INIT;

        if (error_ensure(&error, test_build(kernel, hook, programs, n, proceed_on, &fused, ret_info, &error),
                         "build") < 0)
                fail_msg("%s\n%s", strna(error.message), strna(error.log));
        assert_non_null(fused);
        return fused;
}

void make_order_packet(OrderPacket *packet) {
        *packet = (OrderPacket){
                .eth.h_proto = htons(ETH_P_IP),
                .ip = { .version = 4,
                        .ihl = 5,
                        .ttl = 64,
                        .protocol = IPPROTO_UDP,
                        .tot_len = htons(sizeof(OrderPacket) - sizeof(struct ethhdr)) },
                .udp.len = htons(sizeof(struct udphdr) + sizeof(struct order_payload)),
        };
        memcpy(packet->order.magic, ORDER_MAGIC, 4);
}

/* One by one: for more than one packet at a time the kernel patches the program into its XDP dispatcher first, which
 * takes longer than all these calls. */
int test_run(const KernelFused *fused, const void *data, size_t size, unsigned repeat) {
        static const uint8_t empty[64] = { [12] = 0x08 };
        int verdict = 0;

        for (unsigned i = 0; i < repeat; i++) {
                LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = data ? data : empty,
                            .data_size_in = (uint32_t) (data ? size : sizeof(empty)), .repeat = 1);

                if (bpf_prog_test_run_opts(fused->program_fd, &opts) < 0)
                        fail_msg("BPF_PROG_TEST_RUN: %s", strerror(errno));
                if (i > 0)
                        assert_int_equal((int) opts.retval, verdict);
                verdict = (int) opts.retval;
        }
        return verdict;
}

void test_counters(const KernelFused *fused, uint64_t ret[CHAIN_SEATS_MAX][COUNTER_CELLS]) {
        int n = libbpf_num_possible_cpus();
        uint32_t key = 0;
        uint64_t(*values)[CHAIN_SEATS_MAX][COUNTER_CELLS] = calloc((size_t) n, sizeof(*values));

        assert_non_null(values);
        assert_int_equal(bpf_map_lookup_elem(fused->counters_fd, &key, values), 0);
        memset(ret, 0, sizeof(*values));
        for (int cpu = 0; cpu < n; cpu++)
                for (size_t i = 0; i < CHAIN_SEATS_MAX; i++)
                        for (size_t j = 0; j < COUNTER_CELLS; j++)
                                ret[i][j] += values[cpu][i][j];
        free(values);
}

uint64_t test_hits(Kernel *kernel, KernelProgram *program) {
        ssize_t i = kernel_program_find_map(program, "hits");
        _cleanup_free_ uint64_t *values = NULL;
        uint64_t sum = 0;
        uint32_t key = 0;
        size_t n;
        Error error = ERROR_INIT;

        assert_true(i >= 0);
        n = map_info_value_bytes(&program->info.maps[i]);
        values = calloc(1, n);
        assert_non_null(values);
        if (kernel_map_lookup(kernel, program, "hits", &key, sizeof(key), values, n, &error) < 0)
                fail_msg("%s", strna(error.message));
        for (size_t j = 0; j < n / sizeof(uint64_t); j++)
                sum += values[j];
        return sum;
}

unsigned test_count_fds(void) {
        _cleanup_closedir_ DIR *dir = opendir("/proc/self/fd");
        unsigned n = 0;

        assert_non_null(dir);
        while (readdir(dir))
                n++;
        return n;
}

static unsigned fds_before;

int test_remember_fds(void **state) {
        fds_before = test_count_fds();
        return 0;
}

int test_compare_fds(void **state) {
        unsigned n = test_count_fds();

        if (n != fds_before)
                print_error("%u descriptors are open, %u were before\n", n, fds_before);
        return n == fds_before ? 0 : -1;
}
