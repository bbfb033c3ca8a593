/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/fuse-form.h"

SlotForm fuse_form_choose(const FuseMember *m, const char **ret_reason) {
        const Member *member = m->member;

        *ret_reason = NULL;
        if (member->slot_reason) {
                *ret_reason = member->slot_reason;
                return SLOT_FORM_SLOT;
        }

        if (member->n_tail_calls > 0)
                *ret_reason = "it makes tail calls, which would end the chain";
        else if (member->packet_loads)
                *ret_reason = "it has packet loads of classic BPF, which would end the chain";
        else if (member->refers_to_itself)
                *ret_reason = "it refers to itself as a function";
        else if (member->main_stack == UINT32_MAX)
                *ret_reason = "the kernel does not tell how much stack it takes";
        else if (member->main_stack > FUSE_INLINE_STACK_MAX)
                *ret_reason = "it takes much stack";
        else if (member_main_insns(member) > FUSE_INLINE_INSNS_MAX)
                *ret_reason = "it is too long for the jumps of an inlined program";
        else if (m->verified_insns > FUSE_INLINE_COST_MAX)
                *ret_reason = "it is costly to verify";

        return *ret_reason ? SLOT_FORM_GLOBAL : SLOT_FORM_INLINED;
}

static void change_form(FuseMember *m, SlotForm form, const char *reason) {
        m->form = form;
        m->reason = reason;
}

static bool ends_unseen(const Member *member) {
        return member->n_tail_calls > 0 || member->packet_loads;
}

void fuse_form_settle(FuseMember *members, size_t n_members) {
        bool tail_calls = false;
        uint32_t arena = 0;

        for (size_t i = 0; i < n_members; i++) {
                FuseMember *m = &members[i];

                if (m->form == SLOT_FORM_STATIC && ends_unseen(m->member))
                        change_form(m, SLOT_FORM_SLOT,
                                    "its verdicts come from where the verifier does not look in a static function");
                if (m->form != SLOT_FORM_SLOT && m->arena != 0 && arena != 0 && m->arena != arena)
                        change_form(m, SLOT_FORM_SLOT,
                                    "a program before it has another arena, and a program has one");
                else if (m->form != SLOT_FORM_SLOT && m->arena != 0)
                        arena = m->arena;
                tail_calls = tail_calls || m->form == SLOT_FORM_SLOT || m->member->n_tail_calls > 0;
        }
        for (size_t i = 0; tail_calls && i < n_members; i++)
                if (members[i].form == SLOT_FORM_INLINED &&
                    members[i].member->main_stack > FUSE_INLINE_STACK_TAIL_CALL_MAX)
                        change_form(&members[i], SLOT_FORM_GLOBAL,
                                    "it takes much stack beside the chain's tail calls");
}

static bool retreat_member(FuseMember *m, bool slots) {
        switch (m->form) {
        case SLOT_FORM_INLINED: change_form(m, SLOT_FORM_GLOBAL, "the verifier refused it inlined"); return true;
        case SLOT_FORM_GLOBAL:
                if (ends_unseen(m->member) && !slots)
                        return false;
                change_form(m, SLOT_FORM_STATIC, "the verifier refused it as a global function");
                return true;
        case SLOT_FORM_STATIC:
                if (!slots)
                        return false;
                change_form(m, SLOT_FORM_SLOT, "the verifier refused it as a part of the chain's program");
                return true;
        case SLOT_FORM_NONE:
        case SLOT_FORM_SLOT:
        case _SLOT_FORM_MAX:
        case _SLOT_FORM_INVALID: break;
        }
        return false;
}

/* Inlined members make their paths multiply, and their stack everybody's. */
static bool call_all(FuseMember *members, size_t n_members) {
        bool changed = false;

        for (size_t i = 0; i < n_members; i++) {
                if (members[i].form != SLOT_FORM_INLINED)
                        continue;
                change_form(&members[i], SLOT_FORM_GLOBAL, "the chain was too much for the verifier with it inlined");
                changed = true;
        }
        return changed;
}

#define TOO_DEEP "its stack or its calls go too deep to be called from a chain"

/* Slots that are spent so, before all others have to be called. */
#define DEEP_SLOTS_MAX 3

static bool is_deeper(const FuseMember *a, const FuseMember *b, FuseComplaint complaint) {
        if (complaint == FUSE_COMPLAINT_NESTED && a->member->n_frames != b->member->n_frames)
                return a->member->n_frames > b->member->n_frames;
        return a->stack_depth > b->stack_depth;
}

/* The member with the deepest stack gives way, or with the most calls in each other, as long as that is one of a few;
 * else everybody does, so that the root has no stack, and then that one all the same. */
static bool retreat_deepest(FuseMember *members, size_t n_members, FuseComplaint complaint, bool slots) {
        FuseMember *deepest = NULL;
        size_t n_deep = 0;

        for (size_t i = 0; i < n_members; i++) {
                FuseMember *m = &members[i];

                /* an inlined member's calls nest no deeper than they did alone */
                if (m->form == SLOT_FORM_INLINED && complaint == FUSE_COMPLAINT_NESTED)
                        continue;
                if (m->form == SLOT_FORM_SLOT)
                        n_deep += streq_ptr(m->reason, TOO_DEEP);
                else if (!deepest || is_deeper(m, deepest, complaint))
                        deepest = m;
        }
        if (!deepest)
                return false;
        if (deepest->form == SLOT_FORM_INLINED && n_deep < DEEP_SLOTS_MAX) {
                change_form(deepest, SLOT_FORM_GLOBAL, "its stack or its calls go too deep for it to be inlined");
                return true;
        }
        if (complaint == FUSE_COMPLAINT_DEEP && (n_deep >= DEEP_SLOTS_MAX || !slots) && call_all(members, n_members))
                return true;
        if (!slots)
                return false;
        change_form(deepest, SLOT_FORM_SLOT, TOO_DEEP);
        return true;
}

bool fuse_form_retreat(FuseMember *members, size_t n_members, FuseMember *culprit, FuseComplaint complaint,
                       bool slots) {
        switch (complaint) {
        case FUSE_COMPLAINT_MEMBER:
                if (culprit && retreat_member(culprit, slots))
                        return true;
                break;
        case FUSE_COMPLAINT_DEEP:
        case FUSE_COMPLAINT_NESTED: return retreat_deepest(members, n_members, complaint, slots);
        case FUSE_COMPLAINT_COMPLEX: break;
        }
        return call_all(members, n_members);
}
