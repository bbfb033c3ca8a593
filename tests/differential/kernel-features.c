/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "function.h"
#include "kernel-features.h"

static bool loads(const struct bpf_insn *insns, size_t n) {
        _cleanup_close_ int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "probe", "GPL", insns, n, NULL);

        return fd >= 0;
}

void features_probe(Features *ret) {
        static const struct bpf_insn v4[] = {
                { .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 1, .imm = -1 },
                { .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 0, .src_reg = 1, .off = 8 },
                { .code = BPF_JMP | BPF_EXIT },
        };
        static const struct bpf_insn may_goto[] = {
                { .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 1 },
                { .code = BPF_JMP | INSN_JCOND, .off = 1 },
                { .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 2 },
                { .code = BPF_JMP | BPF_EXIT },
        };

        *ret = (Features){
                .v4 = loads(v4, ELEMENTSOF(v4)),
                .may_goto = loads(may_goto, ELEMENTSOF(may_goto)),
                .bpf_loop = libbpf_probe_bpf_helper(BPF_PROG_TYPE_XDP, BPF_FUNC_loop, NULL) == 1,
                .xdp_bytes = libbpf_probe_bpf_helper(BPF_PROG_TYPE_XDP, BPF_FUNC_xdp_load_bytes, NULL) == 1,
        };
}
