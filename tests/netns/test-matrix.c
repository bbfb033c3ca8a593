/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Each row of the feature matrix, see matrix.h, and what takes more than one such program in a chain. With arguments:
 * only the rows whose name has one of them in it. */

#include <bpf/bpf.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <linux/pkt_cls.h>
#include <net/if.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "kernel/uapi.h"
#include "matrix.h"
#include "util/file.h"

#define ROWS_MAX 256

typedef struct Case {
        Kernel *kernel;
        const MatrixRow *row;
        char name[192];
} Case;

static Case cases[ROWS_MAX];

static void test_row(void **state) {
        Case *c = *state;

        matrix_run(c->kernel, c->row);
}

static const SlotForm limits[] = { SLOT_FORM_NONE, SLOT_FORM_GLOBAL, SLOT_FORM_STATIC, SLOT_FORM_SLOT };

static KernelFused *build(Kernel *kernel, Hook hook, KernelProgram *const *programs, size_t n, SlotForm limit,
                          const char *forms) {
        _cleanup_error_ Error error = ERROR_INIT;
        KernelFused *fused = NULL;
        FusedInfo info;

        if (matrix_build(kernel, hook, programs, n, limit, &fused, &info, &error) < 0)
                fail_msg("%s first: %s\n%s", slot_form_to_string(limit), strempty_to(error.message, "no reason"),
                         strempty_to(error.log, ""));
        for (size_t i = 0; i < n && forms; i++)
                if (matrix_form_letter(info.forms[i]) != forms[i])
                        fail_msg("%s first: slot %zu has form %s (%s)", slot_form_to_string(limit), i,
                                 slot_form_to_string(info.forms[i]), strempty_to(info.reasons[i], "no reason"));
        return fused;
}

static void skip_unless_taken(const char *object, const char *function, Hook hook) {
        const char *refused = matrix_probe(object, function, hook);

        if (!refused)
                return;
        print_message("SKIP: this kernel does not take %s of %s: %s\n", function, object, refused);
        skip();
}

static volatile uint64_t *map_arena(KernelProgram *program, uintptr_t at) {
        ssize_t i = kernel_program_find_map(program, "arena");
        void *memory;

        assert_true(i >= 0);
        memory = mmap((void *) at, 4 * (size_t) sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_FIXED_NOREPLACE, program->map_fds[i], 0);
        assert_true(memory != MAP_FAILED);
        ((volatile uint64_t *) memory)[8] = 10;
        return memory;
}

/* An arena that its author wants at a place where we have something: loading it would take our memory away. */
static void test_arena_over_memory(void **state) {
        size_t size = (size_t) sysconf(_SC_PAGESIZE);
        _cleanup_error_ Error error = ERROR_INIT;
        KernelProgram *program = NULL;
        uint8_t *memory;
        int r;

        skip_unless_taken("arena-a", "xdp_arena", HOOK_XDP);
        memory = mmap((void *) (MATRIX_ARENA_A + size), size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
        assert_true(memory != MAP_FAILED);
        memset(memory, 0x5a, size);
        r = test_load(*state, &(TestProgram){ .name = "arena", .object = "arena-a", .function = "xdp_arena" },
                      &program, NULL, &error);
        for (size_t i = 0; i < size; i++)
                assert_int_equal(memory[i], 0x5a);
        assert_int_equal(r, error_code_to_errno(ERROR_INCOMPATIBLE));
        assert_string_equal(error.where, "programs.arena");
        assert_non_null(strstr(error.message, "0x40000000"));
        munmap(memory, size);
        kernel_program_unref(matrix_load_program(*state, "arena-a", "xdp_arena", NULL));
}

/* A program knows one arena. Who has another one gets a program of its own. */
static void test_two_arenas(void **state) {
        static const char *const forms[] = { "IL", "GL", "SL", "LL" };

        skip_unless_taken("arena-a", "xdp_arena", HOOK_XDP);
        for (size_t i = 0; i < ELEMENTSOF(limits); i++) {
                MatrixRow row = { .object = "arena-a", .function = "xdp_arena" };
                KernelProgram *programs[2];
                volatile uint64_t *a, *b;
                KernelFused *fused;

                programs[0] = matrix_load(*state, &row);
                row.object = "arena-b";
                programs[1] = matrix_load(*state, &row);
                fused = build(*state, HOOK_XDP, programs, 2, limits[i], forms[i]);
                a = map_arena(programs[0], MATRIX_ARENA_A);
                b = map_arena(programs[1], MATRIX_ARENA_B);
                assert_int_equal(test_run(fused, NULL, 0, 3), 2);
                assert_int_equal(a[8], 13);
                assert_int_equal(b[8], 13);
                assert_int_equal(test_hits(*state, programs[0]), 3);
                assert_int_equal(test_hits(*state, programs[1]), 3);
                munmap((void *) a, 4 * (size_t) sysconf(_SC_PAGESIZE));
                munmap((void *) b, 4 * (size_t) sysconf(_SC_PAGESIZE));
                kernel_fused_free(fused);
                test_unref_all(programs, 2);
        }
}

/* The same arena twice is one. */
static void test_shared_arena(void **state) {
        static const char *const forms[] = { "II", "GG", "SS", "LL" };

        skip_unless_taken("arena-a", "xdp_arena", HOOK_XDP);
        for (size_t i = 0; i < ELEMENTSOF(limits); i++) {
                KernelProgram *program =
                        matrix_load(*state, &(MatrixRow){ .object = "arena-a", .function = "xdp_arena" });
                KernelProgram *programs[] = { program, program };
                KernelFused *fused = build(*state, HOOK_XDP, programs, 2, limits[i], forms[i]);
                volatile uint64_t *arena = map_arena(program, MATRIX_ARENA_A);

                assert_int_equal(test_run(fused, NULL, 0, 3), 2);
                assert_int_equal(arena[8], 16);
                assert_int_equal(test_hits(*state, program), 6);
                munmap((void *) arena, 4 * (size_t) sysconf(_SC_PAGESIZE));
                kernel_fused_free(fused);
                kernel_program_unref(program);
        }
}

/* Maps, types, variables and functions, static here and global there, of the same names stay apart. */
static void test_same_names(void **state) {
        static const char *const forms[] = { "III", "GGG", "SSS", "LLL" };

        for (size_t i = 0; i < ELEMENTSOF(limits); i++) {
                MatrixRow a = { .object = "samename-a", .function = "xdp_samename" }, b = a;
                KernelProgram *programs[3];
                KernelFused *fused;

                b.object = "samename-b";
                programs[0] = matrix_load(*state, &a);
                programs[1] = matrix_load(*state, &b);
                programs[2] = matrix_load(*state, &a);
                fused = build(*state, HOOK_XDP, programs, 3, limits[i], forms[i]);
                assert_int_equal(test_run(fused, NULL, 0, 2), 2);
                assert_int_equal(matrix_variable(programs[0], "effect"), 2);
                assert_int_equal(matrix_variable(programs[1], "effect"), 2000);
                assert_int_equal(matrix_variable(programs[2], "effect"), 2);
                kernel_fused_free(fused);
                test_unref_all(programs, 3);
        }
}

/* What a program leaves in the socket buffer is there for the next one. */
static void test_fields(void **state) {
        static const char *const forms[] = { "II", "GG", "SS", "LL" };

        for (size_t i = 0; i < ELEMENTSOF(limits); i++) {
                MatrixRow row = { .object = "skbfields", .function = "tc_fields_write", .hook = HOOK_TC_EGRESS };
                KernelProgram *programs[2];
                KernelFused *fused;

                programs[0] = matrix_load(*state, &row);
                row.function = "tc_fields_read";
                programs[1] = matrix_load(*state, &row);
                fused = build(*state, HOOK_TC_EGRESS, programs, 2, limits[i], forms[i]);
                assert_int_equal(test_run(fused, NULL, 0, 4), -1);
                assert_int_equal(matrix_variable(programs[1], "effect"), 4);
                kernel_fused_free(fused);
                test_unref_all(programs, 2);
        }
}

/* A chain within a chain: what the first clones goes through the other on its way out, on the same CPU. */
static void check_clone(Kernel *kernel, SlotForm limit) {
        uint64_t counters[CHAIN_SEATS_MAX][COUNTER_CELLS];
        MatrixRow row = { .object = "clone",
                          .function = "tc_clone",
                          .globals = "{\"target_ifindex\": %u}",
                          .hook = HOOK_TC_INGRESS };
        MatrixRow plain = { .object = "verdict", .function = "tc_verdict", .hook = HOOK_TC_INGRESS };
        KernelProgram *outer[] = { matrix_load(kernel, &plain), matrix_load(kernel, &row),
                                   matrix_load(kernel, &plain) };
        KernelProgram *inner[] = { matrix_load(kernel, &plain), matrix_load(kernel, &plain) };
        KernelFused *first = build(kernel, HOOK_TC_INGRESS, outer, 3, limit, NULL);
        KernelFused *second = build(kernel, HOOK_TC_EGRESS, inner, 2, limit, NULL);
        MatrixRun run = {};
        int link;

        link = bpf_link_create(second->program_fd, (int) if_nametoindex(MATRIX_DEVICE), UAPI_TCX_EGRESS, NULL);
        if (link < 0) {
                print_message("SKIP: this kernel has no tcx: %s\n", strerror(errno));
                skip();
        }
        matrix_packet(&run.in);
        for (unsigned i = 0; i < 5; i++)
                assert_int_equal(matrix_send(&run, first), -1);
        assert_int_equal(matrix_variable(outer[1], "effect"), 5);
        test_counters(first, counters);
        for (size_t i = 0; i < 3; i++)
                assert_int_equal(counters[i][0], 5);
        assert_int_equal(counters[2][COUNTER_ENDED_BYTES], 5 * run.in.size);
        test_counters(second, counters);
        assert_int_equal(counters[1][0], 5);
        close(link);
        kernel_fused_free(first);
        kernel_fused_free(second);
        test_unref_all(outer, 3);
        test_unref_all(inner, 2);
}

static void test_nested_chains(void **state) {
        for (size_t i = 0; i < ELEMENTSOF(limits); i++)
                check_clone(*state, limits[i]);
}

/* Sends packets out of the other end of the wire: a program that is bound to an interface can't be run otherwise. */
static void send_over_wire(const Packet *packet, unsigned n) {
        struct sockaddr_ll address = { .sll_family = AF_PACKET, .sll_ifindex = (int) if_nametoindex(MATRIX_PEER) };
        int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

        assert_true(fd >= 0);
        for (unsigned i = 0; i < n; i++)
                assert_int_equal(
                        sendto(fd, packet->data, packet->size, 0, (struct sockaddr *) &address, sizeof(address)),
                        packet->size);
        close(fd);
}

static int build_for(Kernel *kernel, const char *interface, KernelProgram *const *programs, size_t n, SlotForm limit,
                     KernelFused **ret, Error *error) {
        FuseSlot slots[4] = {};
        FuseRequest request = { .interface = interface,
                                .ifindex = (int) if_nametoindex(interface),
                                .hook = HOOK_XDP,
                                .signature = "0123456789abcdef0123456789abcdef",
                                .slots = slots,
                                .n_slots = n,
                                .form_limit = limit,
                                .counters = COUNTER_LEVEL_ALL };
        FusedInfo info;

        for (size_t i = 0; i < n; i++)
                slots[i] = (FuseSlot){ programs[i], programs[i]->name, verdict_default_proceed_on(HOOK_XDP),
                                       (unsigned) i };
        return kernel_chain_build(kernel, &request, ret, &info, error);
}

static void check_bound(Kernel *kernel, SlotForm limit) {
        KernelProgram *programs[] = { matrix_load_program(kernel, "verdict", "xdp_verdict", NULL),
                                      matrix_load_program(kernel, "bound", "xdp_bound", NULL),
                                      matrix_load_program(kernel, "verdict", "xdp_verdict", "{\"verdict\": 1}") };
        uint64_t counters[CHAIN_SEATS_MAX][COUNTER_CELLS];
        _cleanup_error_ Error error = ERROR_INIT;
        KernelFused *fused = NULL;
        Packet packet;
        int link;

        if (build_for(kernel, MATRIX_DEVICE, programs, 3, limit, &fused, &error) < 0)
                fail_msg("%s first: %s\n%s", slot_form_to_string(limit), strempty_to(error.message, "no reason"),
                         strempty_to(error.log, ""));
        link = bpf_link_create(fused->program_fd, (int) if_nametoindex(MATRIX_DEVICE), BPF_XDP, NULL);
        assert_true(link >= 0);

        matrix_packet(&packet);
        send_over_wire(&packet, 5);
        for (unsigned i = 0; i < 400 && test_hits(kernel, programs[2]) < 5; i++)
                usleep(5000);
        test_counters(fused, counters);
        assert_int_equal(counters[0][2], 5);
        assert_int_equal(counters[1][2], counters[0][2]);
        assert_int_equal(counters[2][1], counters[0][2]);
        assert_int_equal(matrix_variable(programs[1], "effect"), counters[1][2]);
        close(link);
        kernel_fused_free(fused);
        test_unref_all(programs, 3);
}

static void skip_without_metadata(Kernel *kernel) {
        _cleanup_error_ Error error = ERROR_INIT;
        KernelProgram *program = NULL;

        if (test_load(kernel, &(TestProgram){ .name = "bound", .object = "bound" }, &program, NULL, &error) >= 0) {
                kernel_program_unref(program);
                return;
        }
        if (error.code != ERROR_INCOMPATIBLE)
                fail_msg("%s", error.message);
        print_message("SKIP: this kernel does not know of metadata: %s\n", error.message);
        skip();
}

/* A program that asks the driver about packets binds its chain to the interface. */
static void test_device_bound(void **state) {
        skip_without_metadata(*state);
        for (size_t i = 0; i < ELEMENTSOF(limits) - 1; i++)
                check_bound(*state, limits[i]);
}

/* The kernel puts no bound program into an array, so such a chain has neither slots nor segments. */
static void test_device_bound_in_slot(void **state) {
        _cleanup_error_ Error error = ERROR_INIT, again = ERROR_INIT;
        KernelProgram *programs[2];
        KernelFused *fused = NULL;

        skip_without_metadata(*state);
        skip_unless_taken("throw", "xdp_throw", HOOK_XDP);
        programs[0] = matrix_load_program(*state, "bound", "xdp_bound", NULL);
        programs[1] = matrix_load_program(*state, "throw", "xdp_throw", NULL);
        assert_true(build_for(*state, MATRIX_DEVICE, programs, 1, SLOT_FORM_SLOT, &fused, &error) < 0);
        assert_non_null(strstr(error.message, "bound to the interface"));
        assert_true(build_for(*state, MATRIX_DEVICE, programs, 2, SLOT_FORM_NONE, &fused, &again) < 0);
        assert_non_null(strstr(again.message, "xdp_bound"));
        assert_non_null(strstr(again.message, "bound to the interface"));
        assert_null(fused);
        test_unref_all(programs, 2);
}

static bool table_line_says(const char *line, const char *feature, const bool flags[4]) {
        char expected[512];
        size_t n;

        n = (size_t) snprintf(expected, sizeof(expected), "| %s |", feature);
        for (size_t i = 0; i < 4; i++)
                n += (size_t) snprintf(expected + n, sizeof(expected) - n, " %s |", flags[i] ? "yes" : "no");
        return strncmp(line, expected, n) == 0;
}

/* Each feature is in the table of bpf/FORMS.md, with the forms that it was seen in here. */
static void test_handbook(void **state) {
        _cleanup_free_ char *path = NULL, *text = NULL;
        const char *feature = "";
        size_t size;

        if (asprintf(&path, "%s/bpf/FORMS.md", getenv("BPFCHAIN_SOURCE")) < 0)
                fail();
        assert_true(file_read(path, 1 << 20, &text, &size) >= 0);
        for (const MatrixRow *row = matrix_table; row->object; row++) {
                const bool flags[] = { row->forms[0] == 'I', row->forms[1] == 'G', row->forms[2] == 'S',
                                       row->forms[3] == 'L' };
                bool found = false;

                feature = row->feature ? row->feature : feature;
                for (const char *line = text; line && !found; line = strchr(line, '\n')) {
                        line += *line == '\n';
                        found = table_line_says(line, feature, flags);
                }
                if (!found)
                        fail_msg("bpf/FORMS.md does not say of \"%s\" what %s/%s shows: %s", feature, row->object,
                                 row->function, row->forms);
        }
}

static bool wanted(const char *name, int argc, char **argv) {
        for (int i = 1; i < argc; i++)
                if (strstr(name, argv[i]))
                        return true;
        return argc < 2;
}

int main(int argc, char **argv) {
        static const struct CMUnitTest others[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, test_remember_fds, test_compare_fds)
                TEST(test_arena_over_memory),
                TEST(test_two_arenas),
                TEST(test_shared_arena),
                TEST(test_same_names),
                TEST(test_fields),
                TEST(test_nested_chains),
                TEST(test_device_bound),
                TEST(test_device_bound_in_slot),
                TEST(test_handbook),
        };
        static struct CMUnitTest tests[ROWS_MAX + ELEMENTSOF(others)];
        const char *feature = "";
        void *kernel = NULL;
        size_t n = 0;
        int r;

        matrix_enter_namespace();
        if (kernel_fixture_setup(&kernel) < 0)
                return 1;
        for (const MatrixRow *row = matrix_table; row->object && n < ROWS_MAX; row++) {
                Case *c = &cases[n];

                feature = row->feature ? row->feature : feature;
                *c = (Case){ .kernel = kernel, .row = row };
                snprintf(c->name, sizeof(c->name), "%s: %s/%s%s", feature, row->object, row->function,
                         row->keep_tail_calls ? ", as it is" : "");
                if (wanted(c->name, argc, argv))
                        tests[n++] = (struct CMUnitTest){ c->name, test_row, test_remember_fds, test_compare_fds, c };
        }
        for (size_t i = 0; i < ELEMENTSOF(others); i++)
                if (wanted(others[i].name, argc, argv)) {
                        tests[n] = others[i];
                        tests[n++].initial_state = kernel;
                }
        r = _cmocka_run_group_tests("matrix", tests, n, NULL, NULL);
        (void) kernel_fixture_teardown(&kernel);
        return r;
}
