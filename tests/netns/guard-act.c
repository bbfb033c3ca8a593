/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What others may do to a hook, by raw bpf(2), for test-guard.py:
 *
 *      guard-act detach LINK-ID
 *      guard-act update LINK-ID PIN           another program into a link
 *      guard-act before-link IFINDEX PIN      on tc-ingress by tcx, first; held until standard input ends
 *      guard-act before-program IFINDEX PIN   the same without a link; stays
 *      guard-act remove-program IFINDEX PIN   takes that away
 *      guard-act load COUNT                   loads so many small programs as fast as it goes
 *      guard-act xdp IFINDEX PIN              an XDP link, held until standard input ends
 *
 * Prints the time of the act (nanoseconds, CLOCK_BOOTTIME), its own pid, and when the kernel was done with it.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <inttypes.h>
#include <time.h>

#include "kernel/uapi.h"
#include "util/macros.h"

static int64_t now(void) {
        struct timespec ts;

        (void) clock_gettime(CLOCK_BOOTTIME, &ts);
        return (int64_t) ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static int open_pin(const char *path) {
        int fd = bpf_obj_get(path);

        if (fd < 0)
                fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return fd;
}

static int hold(int r, int64_t time, bool until_end) {
        if (r < 0) {
                fprintf(stderr, "%s\n", strerror(-r));
                return EXIT_FAILURE;
        }
        printf("%" PRId64 " %d %" PRId64 "\n", time, (int) getpid(), now());
        fflush(stdout);
        while (until_end && getchar() != EOF)
                ;
        return EXIT_SUCCESS;
}

static int load(unsigned long count) {
        static const struct bpf_insn insns[] = {
                { .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 2 },
                { .code = BPF_JMP | BPF_EXIT },
        };
        int64_t started = now();

        for (unsigned long i = 0; i < count; i++) {
                int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "flood", "GPL", insns, ELEMENTSOF(insns), NULL);

                if (fd < 0)
                        return hold(fd, 0, false);
                close(fd);
        }
        return hold(0, started, false);
}

static int link_act(const char *what, unsigned long id, const char *pin) {
        int link = bpf_link_get_fd_by_id((uint32_t) id), program = -1;
        int64_t time;

        if (link < 0)
                return hold(link, 0, false);
        if (streq(what, "update")) {
                program = open_pin(pin);
                if (program < 0)
                        return EXIT_FAILURE;
        }
        time = now();
        return hold(streq(what, "detach") ? bpf_link_detach(link) : bpf_link_update(link, program, NULL), time,
                    false);
}

static int hook_act(const char *what, int ifindex, const char *pin) {
        LIBBPF_OPTS(bpf_link_create_opts, first, .flags = UAPI_F_BEFORE);
        LIBBPF_OPTS(bpf_prog_attach_opts, before, .flags = UAPI_F_BEFORE);
        LIBBPF_OPTS(bpf_prog_detach_opts, detach);
        int program = open_pin(pin);
        int64_t time = now();

        if (program < 0)
                return EXIT_FAILURE;
        if (streq(what, "before-link"))
                return hold(bpf_link_create(program, ifindex, UAPI_TCX_INGRESS, &first), time, true);
        if (streq(what, "xdp"))
                return hold(bpf_link_create(program, ifindex, BPF_XDP, NULL), time, true);
        if (streq(what, "before-program"))
                return hold(bpf_prog_attach_opts(program, ifindex, UAPI_TCX_INGRESS, &before), time, false);
        return hold(bpf_prog_detach_opts(program, ifindex, UAPI_TCX_INGRESS, &detach), time, false);
}

int main(int argc, char **argv) {
        const char *what = argc > 2 ? argv[1] : "";
        unsigned long number = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;

        if (streq(what, "load"))
                return load(number);
        if (streq(what, "detach") || (streq(what, "update") && argc > 3))
                return link_act(what, number, argc > 3 ? argv[3] : NULL);
        if (argc > 3)
                return hook_act(what, (int) number, argv[3]);
        fprintf(stderr, "Wrong arguments; see guard-act.c.\n");
        return 2;
}
