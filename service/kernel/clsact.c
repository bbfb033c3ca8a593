/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <bpf/libbpf.h>

#include "kernel/clsact.h"

static struct bpf_tc_hook tc_hook(int ifindex, Hook hook) {
        assert(hook_is_tc(hook));
        return (struct bpf_tc_hook){
                .sz = sizeof(struct bpf_tc_hook),
                .ifindex = ifindex,
                .attach_point = hook == HOOK_TC_INGRESS ? BPF_TC_INGRESS : BPF_TC_EGRESS,
        };
}

static struct bpf_tc_opts tc_opts(void) {
        return (struct bpf_tc_opts){
                .sz = sizeof(struct bpf_tc_opts),
                .handle = CLSACT_HANDLE,
                .priority = CLSACT_PRIORITY,
        };
}

int clsact_query(int ifindex, Hook hook, uint32_t *ret_program_id) {
        struct bpf_tc_hook on = tc_hook(ifindex, hook);
        struct bpf_tc_opts opts = tc_opts();
        int r;

        /* Without the qdisc the kernel says EINVAL ("Parent Qdisc doesn't exists"). */
        r = bpf_tc_query(&on, &opts);
        if (r == -EINVAL || r == -ENODEV)
                return -ENOENT;
        if (r < 0)
                return r;
        *ret_program_id = opts.prog_id;
        return 0;
}

static int check_program(int ifindex, Hook hook, uint32_t expected_id) {
        uint32_t id;
        int r;

        r = clsact_query(ifindex, hook, &id);
        if (r < 0)
                return r;
        return id == expected_id ? 0 : -ESTALE;
}

int clsact_attach(int ifindex, Hook hook, int program_fd) {
        /* The qdisc has both sides; made for one of them libbpf makes it as well, but asks for one only. */
        struct bpf_tc_hook qdisc = tc_hook(ifindex, hook), on = qdisc;
        struct bpf_tc_opts opts = tc_opts();
        int r;

        qdisc.attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS;
        r = bpf_tc_hook_create(&qdisc);
        if (r < 0 && r != -EEXIST)
                return r;

        opts.prog_fd = program_fd;
        return bpf_tc_attach(&on, &opts);
}

int clsact_replace(int ifindex, Hook hook, int program_fd, uint32_t expected_id) {
        struct bpf_tc_hook on = tc_hook(ifindex, hook);
        struct bpf_tc_opts opts = tc_opts();
        int r;

        r = check_program(ifindex, hook, expected_id);
        if (r < 0)
                return r;

        opts.prog_fd = program_fd;
        opts.flags = BPF_TC_F_REPLACE;
        return bpf_tc_attach(&on, &opts);
}

int clsact_detach(int ifindex, Hook hook, uint32_t expected_id) {
        struct bpf_tc_hook on = tc_hook(ifindex, hook);
        struct bpf_tc_opts opts = tc_opts();
        int r;

        r = check_program(ifindex, hook, expected_id);
        if (r < 0)
                return r;
        return bpf_tc_detach(&on, &opts);
}
