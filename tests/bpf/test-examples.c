// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The example programs by themselves: that they do what they promise, packet by packet. */

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "denylist.h"
#include "flows.h"
#include "ratelimit.h"
#include "run.h"

#define EXAMPLES "bpf/examples"

static int print_warnings(enum libbpf_print_level level, const char *format, va_list args) {
        return level == LIBBPF_WARN ? vfprintf(stderr, format, args) : 0;
}

/* Flows */

typedef struct Flows {
        struct bpf_object *object;
        int map, stats, program, neutral;
        size_t n;
} Flows;

/* Runs the packet and expects that it makes the one and only flow, which is removed; NULL source: makes none. */
static void expect_flow(Flows *f, Packet *p, const char *source, const char *destination, int protocol,
                        uint16_t sport, uint16_t dport) {
        struct flow_key key,
                wanted = { .protocol = protocol, .source_port = htons(sport), .destination_port = htons(dport) };
        uint64_t not_ip = percpu_sum(f->stats, FLOW_STAT_NOT_IP, 8, 0);
        struct flow_counters counters;
        size_t size = p->size;

        assert_int_equal(run(f->program, p), f->neutral);
        if (!source) {
                assert_int_equal(bpf_map_get_next_key(f->map, NULL, &key), -ENOENT);
                assert_int_equal(percpu_sum(f->stats, FLOW_STAT_NOT_IP, 8, 0), not_ip + 1);
                return;
        }

        mapped(wanted.source, source);
        mapped(wanted.destination, destination);
        assert_int_equal(bpf_map_get_next_key(f->map, NULL, &key), 0);
        assert_memory_equal(&key, &wanted, sizeof(key));
        assert_int_equal(bpf_map_lookup_elem(f->map, &key, &counters), 0);
        assert_int_equal(counters.packets, 1);
        assert_int_equal(counters.bytes, size);
        assert_true(counters.first_seen > 0 && counters.last_seen >= counters.first_seen);
        assert_int_equal(bpf_map_delete_elem(f->map, &key), 0);
        assert_int_equal(percpu_sum(f->stats, FLOW_STAT_COUNTED, 8, 0), ++f->n);
}

static void flows_ipv4(Flows *f) {
        Packet p;

        for (unsigned vlans = 0; vlans <= 2; vlans++) {
                packet_eth(&p, vlans, ETH_P_IP);
                packet_ipv4(&p, "192.0.2.1", "198.51.100.2", IPPROTO_UDP, 0, 0);
                packet_ports(&p, 1234, 53, 10);
                expect_flow(f, &p, "192.0.2.1", "198.51.100.2", IPPROTO_UDP, 1234, 53);
        }

        packet_eth(&p, 3, ETH_P_IP);
        packet_ipv4(&p, "192.0.2.1", "198.51.100.2", IPPROTO_UDP, 0, 0);
        packet_ports(&p, 1234, 53, 10);
        expect_flow(f, &p, NULL, NULL, 0, 0, 0);

        packet_eth(&p, 0, ETH_P_IP);
        packet_ipv4(&p, "192.0.2.1", "198.51.100.2", IPPROTO_TCP, 0, 40);
        packet_ports(&p, 1, 65535, 12);
        expect_flow(f, &p, "192.0.2.1", "198.51.100.2", IPPROTO_TCP, 1, 65535);

        /* The first fragment has ports, later ones have something else there. */
        packet_eth(&p, 0, ETH_P_IP);
        packet_ipv4(&p, "192.0.2.1", "198.51.100.2", IPPROTO_UDP, 0x2000, 0);
        packet_ports(&p, 5, 6, 8);
        expect_flow(f, &p, "192.0.2.1", "198.51.100.2", IPPROTO_UDP, 5, 6);
        packet_eth(&p, 0, ETH_P_IP);
        packet_ipv4(&p, "192.0.2.1", "198.51.100.2", IPPROTO_UDP, 0x2001, 0);
        packet_ports(&p, 5, 6, 8);
        expect_flow(f, &p, "192.0.2.1", "198.51.100.2", IPPROTO_UDP, 0, 0);

        packet_eth(&p, 0, ETH_P_IP);
        packet_ipv4(&p, "192.0.2.1", "198.51.100.2", IPPROTO_ICMP, 0, 0);
        packet_ports(&p, 0x0800, 7, 8);
        expect_flow(f, &p, "192.0.2.1", "198.51.100.2", IPPROTO_ICMP, 0, 0);

        packet_eth(&p, 0, ETH_P_IP);
        packet_ipv4(&p, "192.0.2.1", "198.51.100.2", IPPROTO_SCTP, 0, 0);
        packet_ports(&p, 2905, 2906, 8);
        expect_flow(f, &p, "192.0.2.1", "198.51.100.2", IPPROTO_SCTP, 2905, 2906);
}

static void flows_ipv6(Flows *f) {
        Packet p;

        packet_eth(&p, 1, ETH_P_IPV6);
        packet_ipv6(&p, "2001:db8::1", "2001:db8::2", IPPROTO_TCP);
        packet_ports(&p, 443, 40000, 12);
        expect_flow(f, &p, "2001:db8::1", "2001:db8::2", IPPROTO_TCP, 443, 40000);

        packet_eth(&p, 2, ETH_P_IPV6);
        packet_ipv6(&p, "2001:db8::1", "2001:db8::2", IPPROTO_HOPOPTS);
        packet_ext(&p, IPPROTO_DSTOPTS, 0);
        packet_ext(&p, IPPROTO_ROUTING, 3);
        packet_ext(&p, IPPROTO_FRAGMENT, 1);
        packet_fragment(&p, IPPROTO_UDP, 0);
        packet_ports(&p, 7, 8, 8);
        expect_flow(f, &p, "2001:db8::1", "2001:db8::2", IPPROTO_UDP, 7, 8);

        packet_eth(&p, 0, ETH_P_IPV6);
        packet_ipv6(&p, "2001:db8::1", "2001:db8::2", IPPROTO_FRAGMENT);
        packet_fragment(&p, IPPROTO_UDP, 1280);
        packet_ports(&p, 7, 8, 8);
        expect_flow(f, &p, "2001:db8::1", "2001:db8::2", IPPROTO_FRAGMENT, 0, 0);

        /* One extension header too many. */
        packet_eth(&p, 0, ETH_P_IPV6);
        packet_ipv6(&p, "2001:db8::1", "2001:db8::2", IPPROTO_HOPOPTS);
        for (int i = 0; i < 4; i++)
                packet_ext(&p, IPPROTO_DSTOPTS, 0);
        packet_ext(&p, IPPROTO_UDP, 0);
        packet_ports(&p, 7, 8, 8);
        expect_flow(f, &p, "2001:db8::1", "2001:db8::2", IPPROTO_DSTOPTS, 0, 0);

        /* An extension header that reaches behind the end of the packet. */
        packet_eth(&p, 0, ETH_P_IPV6);
        packet_ipv6(&p, "2001:db8::1", "2001:db8::2", IPPROTO_HOPOPTS);
        packet_ext(&p, IPPROTO_UDP, 0);
        p.data[p.size - 7] = 255;
        packet_ports(&p, 7, 8, 8);
        expect_flow(f, &p, "2001:db8::1", "2001:db8::2", IPPROTO_UDP, 0, 0);

        /* Protocols whose number modulo 64 is that of an extension header. */
        packet_eth(&p, 0, ETH_P_IPV6);
        packet_ipv6(&p, "2001:db8::1", "2001:db8::2", 64);
        packet_ports(&p, 7, 8, 8);
        expect_flow(f, &p, "2001:db8::1", "2001:db8::2", 64, 0, 0);
}

static void flows_not_ip(Flows *f) {
        Packet p;

        packet_eth(&p, 0, ETH_P_ARP);
        packet_bytes(&p, NULL, 28);
        expect_flow(f, &p, NULL, NULL, 0, 0, 0);

        /* No header may be trusted to be whole, or to be what the one before says. */
        packet_eth(&p, 0, ETH_P_IP);
        packet_ipv4(&p, "192.0.2.1", "198.51.100.2", IPPROTO_UDP, 0, 20);
        p.size -= 4;
        expect_flow(f, &p, NULL, NULL, 0, 0, 0);
        packet_eth(&p, 0, ETH_P_IP);
        packet_ipv4(&p, "192.0.2.1", "198.51.100.2", IPPROTO_UDP, 0, 0);
        p.data[14] = 0x44;
        expect_flow(f, &p, NULL, NULL, 0, 0, 0);
        packet_eth(&p, 0, ETH_P_IP);
        packet_ipv6(&p, "2001:db8::1", "2001:db8::2", IPPROTO_UDP);
        expect_flow(f, &p, NULL, NULL, 0, 0, 0);
        if (f->neutral == XDP_PASS) { /* a test run of TC takes no packets with less than an IP header */
                packet_eth(&p, 0, ETH_P_IPV6);
                packet_ipv6(&p, "2001:db8::1", "2001:db8::2", IPPROTO_UDP);
                p.size -= 1;
                expect_flow(f, &p, NULL, NULL, 0, 0, 0);
        }

        /* Only the ports are cut off. */
        packet_eth(&p, 0, ETH_P_IP);
        packet_ipv4(&p, "192.0.2.1", "198.51.100.2", IPPROTO_UDP, 0, 0);
        packet_bytes(&p, NULL, 3);
        expect_flow(f, &p, "192.0.2.1", "198.51.100.2", IPPROTO_UDP, 0, 0);
}

static void test_flows(Flows *f, const char *function, int neutral) {
        f->object = object_load(object_open(EXAMPLES, "flows"));
        f->map = map_of(f->object, "flows");
        f->stats = map_of(f->object, "stats");
        f->program = program_of(f->object, function);
        f->neutral = neutral;

        flows_ipv4(f);
        flows_ipv6(f);
        flows_not_ip(f);
        bpf_object__close(f->object);
}

static void test_flows_xdp(void **state) {
        test_flows(&(Flows){}, "xdp_flows", XDP_PASS);
}

static void test_flows_tc(void **state) {
        test_flows(&(Flows){}, "tc_flows", -1);
}

static void test_flows_options(void **state) {
        struct bpf_object *object = object_open(EXAMPLES, "flows");
        struct flow_counters counters;
        struct flow_key key;
        int map;

        OBJECT_SET(object, "by_port", bool, false);
        object_load(object);
        map = map_of(object, "flows");

        for (unsigned i = 0; i < 10; i++) {
                Packet p;

                packet_eth(&p, 0, ETH_P_IP);
                packet_ipv4(&p, "192.0.2.1", "198.51.100.2", IPPROTO_UDP, 0, 0);
                packet_ports(&p, 1000 + i, 53, i);
                assert_int_equal(run(program_of(object, "xdp_flows"), &p), XDP_PASS);
        }

        assert_int_equal(bpf_map_get_next_key(map, NULL, &key), 0);
        assert_int_equal(key.source_port, 0);
        assert_int_equal(bpf_map_get_next_key(map, &key, &key), -ENOENT);
        assert_int_equal(bpf_map_lookup_elem(map, &key, &counters), 0);
        assert_int_equal(counters.packets, 10);
        assert_int_equal(counters.bytes, 10 * 42 + 45);
        bpf_object__close(object);
}

/* Denylist */

static void deny(struct bpf_object *object, const char *address, uint32_t prefixlen, uint32_t class) {
        struct denylist_key_v4 v4 = { .prefixlen = prefixlen };
        struct denylist_key_v6 v6 = { .prefixlen = prefixlen };

        if (inet_pton(AF_INET6, address, v6.addr) == 1)
                assert_int_equal(bpf_map_update_elem(map_of(object, "denied_v6"), &v6, &class, BPF_ANY), 0);
        else {
                assert_int_equal(inet_pton(AF_INET, address, v4.addr), 1);
                assert_int_equal(bpf_map_update_elem(map_of(object, "denied_v4"), &v4, &class, BPF_ANY), 0);
        }
}

static int on_drop(void *context, void *data, size_t size) {
        struct denylist_drop *last = context;

        assert_true(size >= sizeof(*last));
        memcpy(last, data, sizeof(*last));
        return 0;
}

static void test_denylist(void **state) {
        struct bpf_object *object = object_open(EXAMPLES, "denylist");
        struct denylist_drop drop = {};
        struct ring_buffer *ring;
        uint8_t address[16];
        int program, stats;
        Packet p;

        OBJECT_SET(object, "log_drops", bool, true);
        object_load(object);
        program = program_of(object, "xdp_denylist");
        stats = map_of(object, "stats");

        assert_int_equal(run_from(program, "203.0.113.9", 0), XDP_PASS);
        deny(object, "203.0.113.0", 24, 3);
        deny(object, "203.0.113.7", 32, 0);
        deny(object, "2001:db8::", 32, 1000);
        deny(object, "2001:db8:1::", 48, 4);

        ring = ring_buffer__new(map_of(object, "drops"), on_drop, &drop, NULL);
        assert_non_null(ring);

        for (unsigned vlans = 0; vlans <= 2; vlans++)
                assert_int_equal(run_from(program, "203.0.113.9", vlans), XDP_DROP);
        assert_int_equal(ring_buffer__consume(ring), 3);
        mapped(address, "203.0.113.9");
        assert_memory_equal(drop.source, address, 16);
        assert_int_equal(drop.class, 3);
        assert_int_equal(drop.ethertype, ETH_P_IP);
        assert_int_equal(drop.length, 80);

        assert_int_equal(run_from(program, "203.0.113.7", 0), XDP_PASS);
        assert_int_equal(run_from(program, "203.0.114.9", 0), XDP_PASS);
        assert_int_equal(run_from(program, "2001:db8:1::5", 0), XDP_DROP);
        assert_int_equal(run_from(program, "2001:db8:2::5", 1), XDP_DROP);
        assert_int_equal(run_from(program, "2001:db9::5", 0), XDP_PASS);
        assert_int_equal(ring_buffer__consume(ring), 2);
        mapped(address, "2001:db8:2::5");
        assert_memory_equal(drop.source, address, 16);
        assert_int_equal(drop.class, 1000);

        assert_int_equal(percpu_sum(stats, 3, sizeof(struct denylist_stats), 0), 3);
        assert_int_equal(percpu_sum(stats, 3, sizeof(struct denylist_stats), 1), 72 + 76 + 80);
        assert_int_equal(percpu_sum(stats, 4, sizeof(struct denylist_stats), 0), 1);
        assert_int_equal(percpu_sum(stats, DENYLIST_CLASSES - 1, sizeof(struct denylist_stats), 0), 1);

        packet_eth(&p, 0, ETH_P_ARP);
        packet_bytes(&p, NULL, 28);
        assert_int_equal(run(program, &p), XDP_PASS);
        packet_eth(&p, 0, ETH_P_IP);
        packet_ipv4(&p, "203.0.113.9", "198.51.100.2", IPPROTO_UDP, 0, 0);
        p.size -= 1;
        assert_int_equal(run(program, &p), XDP_PASS);

        ring_buffer__free(ring);
        bpf_object__close(object);
}

/* Rate limit */

static struct bpf_object *ratelimit(uint64_t rate, uint64_t burst) {
        struct bpf_object *object = object_open(EXAMPLES, "ratelimit");

        OBJECT_SET(object, "rate_pps", uint64_t, rate);
        OBJECT_SET(object, "burst", uint64_t, burst);
        return object_load(object);
}

static void test_ratelimit(void **state) {
        struct bpf_object *object = ratelimit(1, 10);
        int program = program_of(object, "xdp_ratelimit"), stats = map_of(object, "stats");
        struct ratelimit_source source;
        struct ratelimit_key key;
        Packet p;

        /* One packet a second on average: the burst passes, and nothing more within this test. */
        assert_int_equal(run_passed(program, "192.0.2.1", 50), 10);
        assert_int_equal(run_passed(program, "192.0.2.2", 50), 10);
        assert_int_equal(run_passed(program, "2001:db8::1", 5), 5);
        assert_int_equal(run_passed(program, "2001:db8::ffff:1", 50), 5); /* of the same /64 */
        assert_int_equal(run_passed(program, "2001:db8:0:1::1", 50), 10); /* of another */

        mapped(key.addr, "192.0.2.1");
        assert_int_equal(bpf_map_lookup_elem(map_of(object, "sources"), &key, &source), 0);
        assert_int_equal(source.dropped, 40);
        mapped(key.addr, "2001:db8::");
        assert_int_equal(bpf_map_lookup_elem(map_of(object, "sources"), &key, &source), 0);
        assert_int_equal(source.dropped, 45);

        packet_eth(&p, 0, ETH_P_ARP);
        packet_bytes(&p, NULL, 28);
        assert_int_equal(run(program, &p), XDP_PASS);
        assert_int_equal(percpu_sum(stats, RATELIMIT_PASSED, 8, 0), 40);
        assert_int_equal(percpu_sum(stats, RATELIMIT_DROPPED, 8, 0), 165);
        assert_int_equal(percpu_sum(stats, RATELIMIT_UNTRACKED, 8, 0), 1);
        bpf_object__close(object);

        object = ratelimit(0, 1);
        assert_int_equal(run_passed(program_of(object, "xdp_ratelimit"), "192.0.2.1", 50), 50);
        bpf_object__close(object);
}

static uint64_t now_usec(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return t.tv_sec * 1000000ULL + t.tv_nsec / 1000;
}

static void test_ratelimit_refills(void **state) {
        struct bpf_object *object = ratelimit(1000, 100);
        int program = program_of(object, "xdp_ratelimit");
        uint64_t begin = now_usec(), elapsed;
        unsigned n = 0;

        do {
                n += run_passed(program, "192.0.2.1", 20);
                elapsed = now_usec() - begin;
        } while (elapsed < 500000);

        /* The full bucket, and one for each millisecond; the clock was read a bit outside. */
        assert_in_range(n, 100 + elapsed / 1000 - 25, 100 + elapsed / 1000 + 2);

        /* A pause never earns more than the burst. */
        usleep(200000);
        begin = now_usec();
        n = run_passed(program, "192.0.2.1", 300);
        elapsed = now_usec() - begin;
        assert_in_range(n, 100, 100 + elapsed / 1000 + 2);
        bpf_object__close(object);
}

typedef struct Flood {
        int program;
        unsigned n;
} Flood;

static void *flood(void *data) {
        const Flood *f = data;
        Packet p;

        packet_eth(&p, 0, ETH_P_IP);
        packet_ipv4(&p, "192.0.2.1", "198.51.100.2", IPPROTO_UDP, 0, 0);
        packet_ports(&p, 1, 2, 30);
        LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = p.data, .data_size_in = p.size, .repeat = f->n);
        return bpf_prog_test_run_opts(f->program, &opts) == 0 ? NULL : (void *) 1;
}

static void test_ratelimit_concurrent(void **state) {
        enum { THREADS = 8, EACH = 100000, BURST = 300000 };
        struct bpf_object *object = ratelimit(1, BURST);
        int stats = map_of(object, "stats");
        Flood f = { program_of(object, "xdp_ratelimit"), EACH };
        uint64_t begin = now_usec(), pass, drop;
        pthread_t threads[THREADS];
        void *result;

        for (int i = 0; i < THREADS; i++)
                assert_int_equal(pthread_create(&threads[i], NULL, flood, &f), 0);
        for (int i = 0; i < THREADS; i++) {
                assert_int_equal(pthread_join(threads[i], &result), 0);
                assert_null(result);
        }

        pass = percpu_sum(stats, RATELIMIT_PASSED, 8, 0);
        drop = percpu_sum(stats, RATELIMIT_DROPPED, 8, 0);
        assert_int_equal(pass + drop, THREADS * EACH);
        /* Each token is given out once: one a second comes in, and each CPU may have had one on credit. */
        assert_in_range(pass, BURST, BURST + (now_usec() - begin) / 1000000 + 1 + libbpf_num_possible_cpus());
        bpf_object__close(object);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_flows_xdp),
                cmocka_unit_test(test_flows_tc),
                cmocka_unit_test(test_flows_options),
                cmocka_unit_test(test_denylist),
                cmocka_unit_test(test_ratelimit),
                cmocka_unit_test(test_ratelimit_refills),
                cmocka_unit_test(test_ratelimit_concurrent),
        };

        if (geteuid() != 0) {
                printf("SKIP: loading BPF programs needs root\n");
                return 77;
        }

        libbpf_set_print(print_warnings);
        return cmocka_run_group_tests_name("examples", tests, NULL, NULL);
}
