/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <bpf/btf.h>

#include "kernel/disarm.h"
#include "kernel/program.h"

void rearm(DisarmedList *list) {
        for (size_t i = list->n; i-- > 0;)
                *list->items[i].insn = list->items[i].before;
        for (size_t i = 0; i < list->n_bound; i++)
                list->bound[i]->bound = true;
        free(list->items);
        *list = (DisarmedList){};
}

static int omit(MapCopies *copies, const char *program, const char *reason) {
        SimulationOmission *omission = ARRAY_APPEND(copies->omissions, copies->n_omissions);

        if (!omission)
                return -ENOMEM;
        *omission = (SimulationOmission){ .program = strdup(program), .map = strdup(""), .reason = strdup(reason) };
        return omission->program && omission->map && omission->reason ? 0 : -ENOMEM;
}

/* Replaces calls of one function by `r0 = result`. Returns how many, or -ENOMEM. */
static int replace(Member *member, unsigned kind, int32_t function, int32_t result, DisarmedList *list) {
        int n = 0;

        for (size_t i = 0; i < member->n_insns; i++) {
                struct bpf_insn *insn = &member->insns[i];
                Disarmed *disarmed;

                if (insn_is_call(insn, kind) && insn->off == 0 && insn->imm == function) {
                        disarmed = ARRAY_APPEND(list->items, list->n);
                        if (!disarmed)
                                return -ENOMEM;
                        *disarmed = (Disarmed){ insn, *insn };
                        *insn = (struct bpf_insn){
                                .code = BPF_ALU64 | BPF_MOV | BPF_K,
                                .dst_reg = BPF_REG_0,
                                .imm = result,
                        };
                        n++;
                }
                if (insn_is_wide(insn))
                        i++;
        }
        return n;
}

static int disarm_sending(const FuseSlot *slot, MapCopies *copies, DisarmedList *list) {
        int r = replace(slot->program->member, 0, BPF_FUNC_clone_redirect, 0, list);

        return r > 0 ? omit(copies, slot->name, "bpf_clone_redirect() sends nothing in the simulation") : r;
}

static int disarm_bound(const FuseSlot *slot, MapCopies *copies, DisarmedList *list) {
        static const char *const functions[] = { "bpf_xdp_metadata_rx_timestamp", "bpf_xdp_metadata_rx_hash",
                                                 "bpf_xdp_metadata_rx_vlan_tag" };
        Member *member = slot->program->member;
        struct btf *kernel;
        int r = 0;

        if (!member->bound)
                return 0;
        kernel = btf__load_vmlinux_btf();
        if (!kernel)
                return -errno;
        for (size_t i = 0; i < ELEMENTSOF(functions) && r >= 0; i++) {
                int id = btf__find_by_name_kind(kernel, functions[i], BTF_KIND_FUNC);

                if (id > 0)
                        r = replace(member, BPF_PSEUDO_KFUNC_CALL, id, -EOPNOTSUPP, list);
        }
        btf__free(kernel);
        if (r < 0)
                return r;
        member->bound = false;
        list->bound[list->n_bound++] = member;
        return omit(copies, slot->name,
                    "the driver tells nothing of packets (bpf_xdp_metadata_*()) in the simulation");
}

/* The types tell which functions the object calls, maybe in another of its programs. */
static int tell_live_calls(const FuseSlot *slot, MapCopies *copies) {
        static const struct {
                const char *function;
                const char *reason;
        } live[] = {
#define LIVE(function) { function, function "() changes the live connection tracking, in the simulation as well" }
                LIVE("bpf_ct_insert_entry"),
                LIVE("bpf_ct_change_timeout"),
                LIVE("bpf_ct_change_status"),
#undef LIVE
        };
        const Member *member = slot->program->member;
        bool calls = false;
        int r = 0;

        for (size_t i = 0; i < member->n_insns && !calls; i++)
                calls = insn_is_call(&member->insns[i], BPF_PSEUDO_KFUNC_CALL);
        for (size_t i = 0; calls && member->btf && i < ELEMENTSOF(live) && r >= 0; i++)
                if (btf__find_by_name_kind(member->btf, live[i].function, BTF_KIND_FUNC) > 0)
                        r = omit(copies, slot->name, live[i].reason);
        return r;
}

static bool is_first(const FuseRequest *request, size_t slot) {
        for (size_t i = 0; i < slot; i++)
                if (request->slots[i].program == request->slots[slot].program)
                        return false;
        return true;
}

int disarm(const FuseRequest *request, MapCopies *copies, DisarmedList *list) {
        int r = 0;

        for (size_t i = 0; i < MIN2(request->n_slots, (size_t) CHAIN_SLOTS_MAX) && r >= 0; i++) {
                const FuseSlot *slot = &request->slots[i];

                if (!slot->program->member || !is_first(request, i))
                        continue;
                r = disarm_sending(slot, copies, list);
                if (r >= 0)
                        r = disarm_bound(slot, copies, list);
                if (r >= 0)
                        r = tell_live_calls(slot, copies);
        }
        return r;
}
