/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/fuse-root.h"

/* Which of r6 to r9 instructions name. */
static unsigned named_registers(const struct bpf_insn *insns, size_t n) {
        unsigned named = 0;

        for (size_t i = 0; i < n; i++) {
                named |= 1U << insns[i].dst_reg | 1U << insns[i].src_reg;
                if (insn_is_wide(&insns[i]))
                        i++;
        }
        return named;
}

Root root_layout(const FuseInput *input) {
        Root root = {
                .kept = {
                        [ROOT_CONTEXT] = input->n_members > 1 || input->next > 0 || input->trace_fd >= 0 ||
                                         input->counters != COUNTER_LEVEL_OFF,
                        [ROOT_LENGTH] = input->counters != COUNTER_LEVEL_OFF,
                        [ROOT_COUNTERS] = input->counters != COUNTER_LEVEL_OFF,
                },
        };
        unsigned named = 0, reg = BPF_REG_6;
        bool has_stack = false;
        uint32_t depth = 0;

        for (size_t i = 0; i < input->n_members; i++) {
                const Member *member = input->members[i].member;

                if (input->members[i].form != SLOT_FORM_INLINED)
                        continue;
                has_stack = true;
                depth = MAX2(depth, member->main_stack);
                named |= named_registers(member->insns, member_main_insns(member));
        }
        depth = (depth + 7) & ~UINT32_C(7);

        for (RootValue value = 0; value < _ROOT_VALUE_MAX; value++) {
                if (!root.kept[value])
                        continue;
                while (reg <= BPF_REG_9 && (named & (1U << reg)))
                        reg++;
                if (reg <= BPF_REG_9) {
                        root.reg[value] = reg++;
                } else {
                        depth += 8;
                        root.offset[value] = -(int) depth;
                }
        }
        if ((has_stack || input->carry_fd >= 0) && input->counters != COUNTER_LEVEL_OFF)
                root.key = -(int) depth - 8;
        return root;
}

void root_put(const Root *root, Code *code, RootValue value, unsigned reg) {
        if (!root->kept[value])
                return;
        if (root->reg[value] != 0)
                emit_move(code, root->reg[value], reg);
        else
                emit_store(code, BPF_DW, BPF_REG_10, root->offset[value], reg);
}

unsigned root_get(const Root *root, Code *code, RootValue value, unsigned scratch) {
        assert(root->kept[value]);
        if (root->reg[value] != 0)
                return root->reg[value];
        emit_load(code, BPF_DW, scratch, BPF_REG_10, root->offset[value]);
        return scratch;
}
