/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/fuse-form.h"

SlotForm fuse_form_choose(const FuseMember *m, const char **ret_reason) {
        const Member *member = m->member;
        size_t n_main = member->n_subprograms > 1 ? member->subprograms[1] : member->n_insns;

        *ret_reason = NULL;
        if (member->n_tail_calls > 0)
                *ret_reason = "it makes tail calls, which would end the chain";
        else if (member->packet_loads)
                *ret_reason = "it has packet loads of classic BPF, which would end the chain";
        else if (member->main_stack == UINT32_MAX)
                *ret_reason = "the kernel does not tell how much stack it takes";
        else if (member->main_stack > FUSE_INLINE_STACK_MAX)
                *ret_reason = "it takes much stack";
        else if (n_main > FUSE_INLINE_INSNS_MAX)
                *ret_reason = "it is too long for the jumps of an inlined program";
        else if (m->verified_insns > FUSE_INLINE_COST_MAX)
                *ret_reason = "it is costly to verify";

        return *ret_reason ? SLOT_FORM_GLOBAL : SLOT_FORM_INLINED;
}

bool fuse_form_retreat(FuseMember *members, size_t n_members, FuseMember *culprit, bool everything) {
        bool changed = false;

        if (!everything && culprit && culprit->form == SLOT_FORM_INLINED) {
                culprit->form = SLOT_FORM_GLOBAL;
                culprit->reason = "the verifier refused it inlined";
                return true;
        }
        if (!everything && culprit && culprit->form == SLOT_FORM_GLOBAL) {
                culprit->form = SLOT_FORM_STATIC;
                culprit->reason = "the verifier refused it as a global function";
                return true;
        }

        for (size_t i = 0; i < n_members; i++) {
                if (members[i].form != SLOT_FORM_INLINED)
                        continue;
                members[i].form = SLOT_FORM_GLOBAL;
                members[i].reason = "the chain was too much for the verifier with it inlined";
                changed = true;
        }
        return changed;
}
