/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/member.h"

/* MAX_CALL_FRAMES of include/linux/bpf_verifier.h, and some */
#define FRAMES_MAX 16

void member_free(Member *member) {
        if (!member)
                return;
        for (size_t i = 0; i < member->n_btf_fds; i++)
                safe_close(member->btf_fds[i]);
        if (member->has_types)
                safe_close(member->types_fd);
        free(member->btf_fds);
        free(member->function);
        free(member->insns);
        free(member->func_info);
        free(member->line_info);
        free(member->subprograms);
        free(member->uses_map);
        btf__free(member->btf);
        free(member);
}

/* Marks what the instruction at i tells; `starts` has a flag an instruction. */
static int scan_one(Member *member, size_t i, bool *starts) {
        const struct bpf_insn *insn = &member->insns[i];

        if (insn_is_wide(insn) && i + 1 >= member->n_insns)
                return -EINVAL;

        if (insn_is_map(insn)) {
                if ((uint32_t) insn->imm >= member->n_uses_map)
                        return -EINVAL;
                member->uses_map[insn->imm] = true;
        } else if (insn_calls_function(insn)) {
                int64_t target = (int64_t) i + insn->imm + 1;

                if (target < 0 || target >= (int64_t) member->n_insns)
                        return -EINVAL;
                starts[target] = true;
                member->refers_to_itself = member->refers_to_itself || target == 0;
        } else if (insn_is_tail_call(insn)) {
                member->n_tail_calls++;
        } else if (BPF_CLASS(insn->code) == BPF_LD &&
                   (BPF_MODE(insn->code) == BPF_ABS || BPF_MODE(insn->code) == BPF_IND)) {
                member->packet_loads = true;
        }
        return 0;
}

/* Index of the function that an instruction is in. */
static size_t function_at(const Member *member, size_t insn) {
        size_t low = 0, high = member->n_subprograms;

        while (high - low > 1) {
                size_t middle = (low + high) / 2;

                if (member->subprograms[middle] <= insn)
                        low = middle;
                else
                        high = middle;
        }
        return low;
}

/* The kernel allows no recursion and MAX_CALL_FRAMES; whatever else is in instructions that it has not seen yet, it
 * is not followed any further. */
static int count_frames(Member *member) {
        _cleanup_free_ unsigned *frames = calloc(member->n_subprograms, sizeof(unsigned));
        bool changed = true;

        if (!frames)
                return -ENOMEM;
        for (unsigned turn = 0; changed && turn <= FRAMES_MAX; turn++) {
                changed = false;
                for (size_t i = 0; i < member->n_insns; i++) {
                        const struct bpf_insn *insn = &member->insns[i];
                        size_t caller, callee;

                        if (insn_calls_function(insn)) {
                                caller = function_at(member, i);
                                callee = function_at(member, (size_t) ((int64_t) i + insn->imm + 1));
                                if (frames[caller] < frames[callee] + 1 && frames[callee] < FRAMES_MAX) {
                                        frames[caller] = frames[callee] + 1;
                                        changed = true;
                                }
                        }
                        if (insn_is_wide(insn))
                                i++;
                }
        }
        member->n_frames = frames[0] + 1;
        return 0;
}

int member_scan(Member *member, size_t n_maps) {
        _cleanup_free_ bool *starts = calloc(member->n_insns > 0 ? member->n_insns : 1, sizeof(bool));
        size_t n = 0;

        free(member->uses_map);
        free(member->subprograms);
        member->subprograms = NULL;
        member->n_subprograms = 0;
        member->n_tail_calls = 0;
        member->refers_to_itself = member->packet_loads = false;
        member->uses_map = calloc(n_maps > 0 ? n_maps : 1, sizeof(bool));
        member->n_uses_map = member->uses_map ? n_maps : 0;
        if (!starts || !member->uses_map)
                return -ENOMEM;
        if (member->n_insns == 0)
                return -EINVAL;

        starts[0] = true;
        for (size_t i = 0; i < member->n_insns; i++) {
                int r = scan_one(member, i, starts);

                if (r < 0)
                        return r;
                if (insn_is_wide(&member->insns[i]))
                        i++;
        }

        for (size_t i = 0; i < member->n_insns; i++) {
                n += starts[i];
                /* no function begins in the middle of an instruction */
                if (insn_is_wide(&member->insns[i]) && starts[++i])
                        return -EINVAL;
        }
        member->subprograms = calloc(n, sizeof(uint32_t));
        if (!member->subprograms)
                return -ENOMEM;
        for (size_t i = 0; i < member->n_insns; i++)
                if (starts[i])
                        member->subprograms[member->n_subprograms++] = (uint32_t) i;
        return count_frames(member);
}

uint32_t member_named_stack(const Member *member) {
        int lowest = 0;

        for (size_t i = 0; i < member_main_insns(member); i++) {
                const struct bpf_insn *insn = &member->insns[i];
                unsigned class = BPF_CLASS(insn->code);
                bool loads = class == BPF_LDX && insn->src_reg == BPF_REG_10;

                if (loads || ((class == BPF_ST || class == BPF_STX) && insn->dst_reg == BPF_REG_10))
                        lowest = MIN2(lowest, (int) insn->off);
                if (insn_is_wide(insn))
                        i++;
        }
        return (uint32_t) -lowest;
}
