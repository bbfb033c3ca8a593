/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Somebody else's acts on the hooks of an interface, as fast as it goes, for the guard's tests and measurements:
 *
 *      hook-flood xdp IFINDEX COUNT     an XDP link made, its program replaced 98 times, the link detached; drivers
 *                                       take their time for the first and the last
 *      hook-flood tcx IFINDEX COUNT     a tcx link, another program into it, its detachment; then a program in
 *                                       front, another in its place, its removal
 *      hook-flood netkit IFINDEX COUNT  as of tcx, on a netkit interface's own hook
 *      hook-flood load COUNT            programs loaded and let go
 *
 * COUNT is of acts, rounded up to whole rounds. Prints a line: how many were done, and the time from the first to the
 * last of them in nanoseconds.
 */
#include <bpf/bpf.h>
#include <inttypes.h>
#include <time.h>

#include "kernel/uapi.h"
#include "util/macros.h"

#define PROGRAMS 2
/* include/uapi/linux/bpf.h, since 6.7 */
#define UAPI_NETKIT_PRIMARY ((enum bpf_attach_type) 54)

static int programs[PROGRAMS];
static unsigned long done;

static int64_t now(void) {
        struct timespec ts;

        (void) clock_gettime(CLOCK_BOOTTIME, &ts);
        return (int64_t) ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static int load(enum bpf_prog_type type, int verdict) {
        const struct bpf_insn insns[] = {
                { .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = verdict },
                { .code = BPF_JMP | BPF_EXIT },
        };

        return bpf_prog_load(type, "flood", "GPL", insns, ELEMENTSOF(insns), NULL);
}

static void act(int r, const char *what) {
        if (r < 0) {
                fprintf(stderr, "%s: %s\n", what, strerror(-r));
                exit(EXIT_FAILURE);
        }
        done++;
}

static void link_round(int ifindex, enum bpf_attach_type type, unsigned updates) {
        int link = bpf_link_create(programs[0], ifindex, type, NULL);

        act(link, "a link");
        for (unsigned i = 0; i < updates; i++)
                act(bpf_link_update(link, programs[(i + 1) % PROGRAMS], NULL), "another program into it");
        act(bpf_link_detach(link), "its detachment");
        close(link);
}

static void program_round(int ifindex, enum bpf_attach_type type) {
        LIBBPF_OPTS(bpf_prog_attach_opts, before, .flags = UAPI_F_BEFORE);
        LIBBPF_OPTS(bpf_prog_attach_opts, replace, .flags = BPF_F_REPLACE, .replace_prog_fd = programs[0]);
        LIBBPF_OPTS(bpf_prog_detach_opts, detach);

        act(bpf_prog_attach_opts(programs[0], ifindex, type, &before), "a program in front");
        act(bpf_prog_attach_opts(programs[1], ifindex, type, &replace), "another in its place");
        act(bpf_prog_detach_opts(programs[1], ifindex, type, &detach), "taking it away");
}

static void load_round(void) {
        int program = load(BPF_PROG_TYPE_XDP, 2);

        act(program, "a program");
        close(program);
}

static const struct {
        const char *name;
        enum bpf_prog_type type;
        enum bpf_attach_type hook;
        unsigned updates;
        bool by_program;
} kinds[] = {
        { "xdp", BPF_PROG_TYPE_XDP, BPF_XDP, 98, false },
        { "tcx", BPF_PROG_TYPE_SCHED_CLS, UAPI_TCX_INGRESS, 1, true },
        { "netkit", BPF_PROG_TYPE_SCHED_CLS, UAPI_NETKIT_PRIMARY, 1, true },
        { "load", BPF_PROG_TYPE_XDP, 0, 0, false },
};

static void flood(unsigned kind, int ifindex, unsigned long count) {
        int64_t started;

        for (unsigned i = 0; i < PROGRAMS; i++) {
                programs[i] = load(kinds[kind].type, kinds[kind].type == BPF_PROG_TYPE_XDP ? 2 : 0);
                act(programs[i], "a program");
        }
        done = 0;
        started = now();
        while (done < count) {
                if (ifindex == 0)
                        load_round();
                else
                        link_round(ifindex, kinds[kind].hook, kinds[kind].updates);
                if (kinds[kind].by_program)
                        program_round(ifindex, kinds[kind].hook);
        }
        printf("%lu %" PRId64 "\n", done, now() - started);
}

int main(int argc, char **argv) {
        for (unsigned kind = 0; argc >= 3 && kind < ELEMENTSOF(kinds); kind++) {
                bool loads = streq(kinds[kind].name, "load");
                unsigned long count = strtoul(argv[argc - 1], NULL, 10);
                int ifindex = loads ? 0 : (int) strtol(argv[2], NULL, 10);

                if (!streq(argv[1], kinds[kind].name) || argc != (loads ? 3 : 4) || count == 0)
                        continue;
                flood(kind, ifindex, count);
                return EXIT_SUCCESS;
        }
        fprintf(stderr, "Wrong arguments; see hook-flood.c.\n");
        return 2;
}
