/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <bpf/bpf.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>

#include "kernel/uapi.h"
#include "pairs.h"

#define LOOPBACK 1 /* its index */
#define BATCH    4 /* packets that the kernel makes at a time */

static void write_file(const char *path, const char *text) {
        _cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

        if (fd >= 0 && write(fd, text, strlen(text)) < 0)
                die("%s: %s.", path, strerror(errno));
}

/* Interfaces that come up there send nothing by themselves: what came in would be sent to and fro with the rest. */
static int new_namespace(void) {
        int namespace;

        if (unshare(CLONE_NEWNET) < 0)
                die("No network namespace can be made: %s.", strerror(errno));
        write_file("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
        write_file("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1");
        namespace = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
        if (namespace < 0)
                die("A new network namespace can't be opened: %s.", strerror(errno));
        return namespace;
}

static void enter(int namespace) {
        if (setns(namespace, CLONE_NEWNET) < 0)
                die("A network namespace can't be entered: %s.", strerror(errno));
}

/* Both ends of a pair have the same name. */
static void name_pair(unsigned pair, char ret[IFNAMSIZ]) {
        snprintf(ret, IFNAMSIZ, "bct-l%u", pair);
}

static void add_pairs(const Pairs *pairs) {
        char name[IFNAMSIZ];
        FILE *ip;

        enter(pairs->namespaces[0]);
        ip = popen("ip -batch -", "we");
        if (!ip)
                die("\"ip\" can't be started: %s.", strerror(errno));
        fprintf(ip, "link set lo up\n");
        for (unsigned i = 0; i < pairs->n; i++) {
                name_pair(i, name);
                fprintf(ip, "link add %s up type veth peer name %s netns /proc/%d/fd/%d\n", name, name, getpid(),
                        pairs->namespaces[1]);
        }
        if (pclose(ip) != 0)
                die("\"ip\" can't make veth pairs.");

        enter(pairs->namespaces[1]);
        ip = popen("ip -batch -", "we");
        if (!ip)
                die("\"ip\" can't be started: %s.", strerror(errno));
        for (unsigned i = 0; i < pairs->n; i++) {
                name_pair(i, name);
                fprintf(ip, "link set %s up\n", name);
        }
        if (pclose(ip) != 0)
                die("\"ip\" can't set veth pairs up.");
}

bool pairs_new(const Stock *stock, unsigned n, Pairs *ret) {
        struct bpf_object *object = stock_open_all(stock->settings, "bounce");
        Pairs pairs = { .n = n, .pass_fd = stock->pass_fd };
        int link;

        must(bpf_object__load(object), NULL, "bounce.bpf.o");
        pairs.bounce_fd = stock_find_program(object, "tc_bounce");
        pairs.state_fd = bpf_map__fd(stock_find_section(object, ".bss"));
        pairs.namespaces[0] = new_namespace();
        link = bpf_link_create(stock_find_program(object, "tc_enter"), LOOPBACK, UAPI_TCX_INGRESS, NULL);
        if (link < 0) {
                note("This kernel has no tcx (%s), so that nothing can be measured on the TC hook itself.",
                     strerror(errno));
                return false;
        }
        pairs.namespaces[1] = new_namespace();
        add_pairs(&pairs);
        *ret = pairs;
        return true;
}

static void put_on_tcx(int ifindex, const int *programs, size_t n) {
        for (size_t i = 0; i < n; i++)
                must(bpf_link_create(programs[i], ifindex, UAPI_TCX_INGRESS, NULL), NULL, "Program %zu of %zu on tcx",
                     i, n);
}

static void put_on_clsact(int ifindex, const int *programs, size_t n) {
        LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = BPF_TC_INGRESS);

        must(bpf_tc_hook_create(&hook), NULL, "clsact");
        for (size_t i = 0; i < n; i++) {
                LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = programs[i], .handle = 1, .priority = (uint32_t) i + 1);

                must(bpf_tc_attach(&hook, &opts), NULL, "Program %zu of %zu on clsact", i, n);
        }
}

void pairs_fill(const Pairs *pairs, unsigned pair, const int *programs, size_t n_programs, bool clsact) {
        int all[BENCH_N_MAX + 1];
        char name[IFNAMSIZ];

        assert(n_programs <= BENCH_N_MAX);
        if (n_programs > 0)
                memcpy(all, programs, n_programs * sizeof(int));
        all[n_programs++] = pairs->bounce_fd;
        name_pair(pair, name);
        for (size_t end = 0; end < ELEMENTSOF(pairs->namespaces); end++) {
                int ifindex;

                enter(pairs->namespaces[end]);
                ifindex = (int) if_nametoindex(name);
                if (clsact)
                        put_on_clsact(ifindex, all, n_programs);
                else
                        put_on_tcx(ifindex, all, n_programs);
        }
        enter(pairs->namespaces[0]);
}

int pairs_send(const Pairs *pairs, unsigned pair, unsigned packets) {
        LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = bench_packet, .data_size_in = sizeof(bench_packet),
                    .repeat = (int) packets, .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = BATCH);
        uint32_t key = 0, state[3] = { 0, PAIRS_ROUNDS, 0 };
        char name[IFNAMSIZ];

        name_pair(pair, name);
        state[0] = if_nametoindex(name);
        must(bpf_map_update_elem(pairs->state_fd, &key, state, BPF_ANY), NULL, ".bss");
        return bpf_prog_test_run_opts(pairs->pass_fd, &opts);
}
