// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The objects of the suites by themselves: that they load, or are refused, and do what their head comments say. */

#include <errno.h>
#include <stdio.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "globals.h"
#include "order.h"
#include "run.h"

#define OBJECTS "tests/bpf"

static int print_nothing(enum libbpf_print_level level, const char *format, va_list args) {
        return 0;
}

static int print_warnings(enum libbpf_print_level level, const char *format, va_list args) {
        return level == LIBBPF_WARN ? vfprintf(stderr, format, args) : 0;
}

static void order_packet(Packet *p, bool ipv6, unsigned vlans) {
        struct order_payload payload = { .magic = ORDER_MAGIC, .sequence = 42 };

        packet_eth(p, vlans, ipv6 ? ETH_P_IPV6 : ETH_P_IP);
        if (ipv6)
                packet_ipv6(p, "2001:db8::1", "2001:db8::2", IPPROTO_UDP);
        else
                packet_ipv4(p, "192.0.2.1", "198.51.100.2", IPPROTO_UDP, 0, 0);
        packet_ports(p, 1, 2, 0);
        packet_bytes(p, &payload, sizeof(payload));
}

static void check_order(const char *function, int neutral, bool ipv6, unsigned vlans) {
        struct bpf_object *objects[2];
        struct order_payload payload;
        int programs[2];
        Packet p;

        for (unsigned i = 0; i < 2; i++) {
                objects[i] = object_open(OBJECTS, "order");
                OBJECT_SET(objects[i], "id", uint32_t, 10 + i);
                OBJECT_SET(objects[i], "generation", uint32_t, 100 + i);
                object_load(objects[i]);
                programs[i] = program_of(objects[i], function);
        }

        order_packet(&p, ipv6, vlans);
        for (unsigned i = 0; i < ORDER_MAX + 3; i++)
                assert_int_equal(run(programs[i % 3 == 2], &p), neutral);

        memcpy(&payload, p.data + p.size - sizeof(payload), sizeof(payload));
        assert_int_equal(payload.sequence, 42);
        assert_int_equal(payload.count, ORDER_MAX);
        assert_int_equal(payload.lost, 3);
        for (unsigned i = 0; i < ORDER_MAX; i++) {
                assert_int_equal(payload.entries[i].id, i % 3 == 2 ? 11 : 10);
                assert_int_equal(payload.entries[i].generation, i % 3 == 2 ? 101 : 100);
        }

        for (unsigned i = 0; i < 2; i++)
                bpf_object__close(objects[i]);
}

static void test_order(void **state) {
        check_order("xdp_order", XDP_PASS, false, 0);
        check_order("xdp_order", XDP_PASS, true, 2);
        check_order("tc_order", -1, false, 1);
        check_order("tc_order", -1, true, 0);
}

static void test_verdict(void **state) {
        for (int verdict = -1; verdict < 8; verdict++) {
                struct bpf_object *object = object_open(OBJECTS, verdict % 2 ? "verdict" : "verdict-v2");

                OBJECT_SET(object, "verdict", int, verdict);
                object_load(object);
                assert_int_equal(run_passed(program_of(object, "xdp_verdict"), "192.0.2.1", 7),
                                 verdict == XDP_PASS ? 7 : 0);
                assert_int_equal(run_from(program_of(object, "tc_verdict"), "192.0.2.1", 0), verdict);
                assert_int_equal(percpu_sum(map_of(object, "hits"), 0, 8, 0), 8);
                bpf_object__close(object);
        }
}

static void test_globals(void **state) {
        struct bpf_object *object = object_load(object_open(OBJECTS, "globals"));
        struct globals_seen seen;

        assert_int_equal(run_passed(program_of(object, "xdp_globals"), "192.0.2.1", 3), 3);
        assert_int_equal(bpf_map_lookup_elem(map_of(object, "seen"), &(uint32_t){ 0 }, &seen), 0);
        assert_int_equal(seen.g_u64, 64);
        assert_int_equal(seen.g_s8, -8);
        assert_int_equal(seen.level, 5);
        assert_string_equal(seen.text, "default");
        assert_int_equal(seen.range_high, 2);
        assert_int_equal(seen.bits_a, 5);
        assert_int_equal(seen.bits_b, 1000);
        assert_int_equal(seen.bits_c, -3);
        assert_int_equal(seen.bits_d, 1);
        assert_int_equal(seen.data_u32, 9);
        assert_int_equal(seen.bss_count, 2);
        bpf_object__close(object);
}

static bool kernel_is_older(int major, int minor) {
        struct utsname name;
        int a = 0, b = 0;

        assert_int_equal(uname(&name), 0);
        assert_int_equal(sscanf(name.release, "%d.%d", &a, &b), 2);
        return a < major || (a == major && b < minor);
}

static void test_load(void **state) {
        static const struct {
                const char *name;
                int error;
                const char *xdp, *tc; /* programs whose type the section name doesn't tell */
                int major, minor;     /* kernel that it needs, where that is newer than what bpfchain itself needs */
        } objects[] = {
                { "adjust" },
                { "bigstack" },
                { "callback", .major = 5, .minor = 17 },
                { "datasections" },
                { "frags", .major = 5, .minor = 18 },
                { "kfunc", .major = 6, .minor = 4 },
                { "manymaps" },
                { "manytailcalls" },
                { "maps" },
                { "mixed" },
                { "nobtf" },
                { "oddsection", .xdp = "odd_xdp", .tc = "odd_tc" },
                { "oddsection", -EINVAL },
                { "redirect" },
                { "rejected", -EACCES },
                { "ringbuf" },
                { "spinlock" },
                { "subprog" },
                { "tailcall" },
                { "throw", .major = 6, .minor = 7 },
                { "timer", .major = 5, .minor = 15 },
                { "toolong" },
                { "unknownsection", .xdp = "unknown_xdp" },
                { "unknownsection", -EINVAL },
                { "upgrade-v1" },
                { "upgrade-v2" },
                { "upgrade-v3" },
                { "voidctx" },
        };

        for (size_t i = 0; i < sizeof(objects) / sizeof(objects[0]); i++) {
                struct bpf_object *object = object_open(OBJECTS, objects[i].name);
                struct bpf_program *program;
                int r;

                if (kernel_is_older(objects[i].major, objects[i].minor)) {
                        print_message("%s needs kernel %d.%d\n", objects[i].name, objects[i].major, objects[i].minor);
                        bpf_object__close(object);
                        continue;
                }
                if (objects[i].xdp)
                        bpf_program__set_type(bpf_object__find_program_by_name(object, objects[i].xdp),
                                              BPF_PROG_TYPE_XDP);
                if (objects[i].tc)
                        bpf_program__set_type(bpf_object__find_program_by_name(object, objects[i].tc),
                                              BPF_PROG_TYPE_SCHED_CLS);

                libbpf_set_print(objects[i].error ? print_nothing : print_warnings);
                r = bpf_object__load(object);
                libbpf_set_print(print_warnings);
                if (r != objects[i].error)
                        fail_msg("%s: load gives %d instead of %d", objects[i].name, r, objects[i].error);

                /* All that do nothing special answer with their neutral verdict. */
                bpf_object__for_each_program(program, object) {
                        int wanted = bpf_program__type(program) == BPF_PROG_TYPE_XDP ? XDP_PASS : -1;

                        if (r < 0 || bpf_program__type(program) == BPF_PROG_TYPE_TRACEPOINT ||
                            strcmp(objects[i].name, "redirect") == 0 ||
                            strcmp(bpf_program__name(program), "xdp_tailcall_target") == 0)
                                continue;
                        if (run_from(bpf_program__fd(program), "192.0.2.1", 0) != wanted)
                                fail_msg("%s: %s does not answer %d", objects[i].name, bpf_program__name(program),
                                         wanted);
                }
                bpf_object__close(object);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_order),
                cmocka_unit_test(test_verdict),
                cmocka_unit_test(test_globals),
                cmocka_unit_test(test_load),
        };

        if (geteuid() != 0) {
                printf("SKIP: loading BPF programs needs root\n");
                return 77;
        }

        libbpf_set_print(print_warnings);
        return cmocka_run_group_tests_name("objects", tests, NULL, NULL);
}
