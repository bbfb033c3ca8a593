/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/fuse.h"

static bool member_fits_hook(const FuseInput *input, const FuseMember *m) {
        return m->member->type == (hook_is_tc(input->hook) ? BPF_PROG_TYPE_SCHED_CLS : BPF_PROG_TYPE_XDP);
}

static int check_member(const FuseInput *input, const FuseMember *m, Error *error) {
        uint32_t all = (UINT32_C(1) << verdict_buckets(input->hook)) - 1;

        if (!member_fits_hook(input, m))
                return error_set(error, ERROR_INCOMPATIBLE,
                                 "Program %s is for %s and can't be in a chain on hook %s.", m->name,
                                 hook_is_tc(input->hook) ? "XDP" : "TC", hook_to_string(input->hook));
        if ((m->proceed_on & ~all) != 0)
                return error_set(error, ERROR_INVALID_ARGUMENT,
                                 "The proceed-on set %#x of program %s has verdicts that hook %s does not know.",
                                 m->proceed_on, m->name, hook_to_string(input->hook));
        if (m->seat >= CHAIN_SEATS_MAX)
                return error_set(error, ERROR_INVALID_ARGUMENT, "Program %s has seat %u; seats end at %u.", m->name,
                                 m->seat, CHAIN_SEATS_MAX - 1);
        return 0;
}

/* A program array takes only programs that agree with the first one, which was the member by itself. */
static int check_frags(const FuseInput *input, Error *error) {
        const FuseMember *without = NULL;

        for (size_t i = 0; i < input->n_members && !without; i++)
                if (!input->members[i].member->frags)
                        without = &input->members[i];
        for (size_t i = 0; i < input->n_members && without; i++) {
                const FuseMember *m = &input->members[i];

                if (m->member->frags && m->member->n_tail_calls > 0)
                        return error_set(error, ERROR_INCOMPATIBLE,
                                         "Program %s takes XDP packets of several buffers and makes tail calls, so "
                                         "its prog_array "
                                         "fits a chain only if all programs in it take such packets. %s does not: "
                                         "compile it for "
                                         "SEC(\"xdp.frags\"), or take one of the two out of the chain.",
                                         m->name, without->name);
        }
        return 0;
}

static int compare_ids(const void *a, const void *b) {
        uint32_t x = *(const uint32_t *) a, y = *(const uint32_t *) b;

        return x < y ? -1 : x > y;
}

/* Maps that the chain refers to, each counted once, and the chain's own. */
static int check_maps(const FuseInput *input, Error *error) {
        _cleanup_free_ uint32_t *ids = NULL;
        size_t room = 1, n = 0, distinct = 1, most = 0;
        const char *most_name = "";

        for (size_t i = 0; i < input->n_members; i++)
                room += input->members[i].n_maps;
        ids = calloc(room, sizeof(uint32_t));
        if (!ids)
                return -ENOMEM;

        for (size_t i = 0; i < input->n_members; i++) {
                const FuseMember *m = &input->members[i];
                size_t before = n;

                for (size_t j = 0; j < m->n_maps && j < m->member->n_uses_map; j++)
                        if (m->member->uses_map[j])
                                ids[n++] = m->map_ids[j];
                if (n - before > most) {
                        most = n - before;
                        most_name = m->name;
                }
        }
        qsort(ids, n, sizeof(uint32_t), compare_ids);
        for (size_t i = 0; i < n; i++)
                distinct += i == 0 || ids[i] != ids[i - 1];

        if (distinct > FUSE_MAPS_MAX)
                return error_set(
                        error, ERROR_LIMIT_EXCEEDED,
                        "The programs of this chain use %zu maps together (sections of global data and the chain's "
                        "own counters included); the kernel allows %u for one chain. %s uses most, %zu. Take "
                        "programs out of the chain.",
                        distinct, FUSE_MAPS_MAX, most_name, most);
        return 0;
}

static int check_sums(const FuseInput *input, Error *error) {
        size_t insns = 0, subprograms = 2, modules = 0;
        unsigned tail_calls = 0, n_tail_callers = 0;

        for (size_t i = 0; i < input->n_members; i++) {
                const Member *member = input->members[i].member;

                insns += member->n_insns;
                subprograms += member->n_subprograms;
                modules += member->n_btf_fds;
                tail_calls += member->n_tail_calls;
                n_tail_callers += member->n_tail_calls > 0;
        }

        if (insns > FUSE_INSNS_MAX)
                return error_set(error, ERROR_LIMIT_EXCEEDED,
                                 "The programs of this chain have %zu instructions together; the kernel allows %u.",
                                 insns, FUSE_INSNS_MAX);
        if (subprograms > FUSE_SUBPROGRAMS_MAX)
                return error_set(
                        error, ERROR_LIMIT_EXCEEDED,
                        "The programs of this chain have %zu functions together (the chain's own two included); "
                        "the kernel allows %u. Take programs out of the chain.",
                        subprograms, FUSE_SUBPROGRAMS_MAX);
        if (tail_calls > FUSE_TAIL_CALLS_MAX)
                return error_set(
                        error, ERROR_LIMIT_EXCEEDED,
                        "%u programs of this chain make tail calls, at %u places together; a packet gets %u tail "
                        "calls from the kernel and the next ones would be skipped silently. Take programs out "
                        "of the chain.",
                        n_tail_callers, tail_calls, FUSE_TAIL_CALLS_MAX);
        if (modules > FUSE_MODULES_MAX)
                return error_set(
                        error, ERROR_LIMIT_EXCEEDED,
                        "The programs of this chain call functions of %zu kernel modules together; the kernel "
                        "allows %u.",
                        modules, FUSE_MODULES_MAX);
        return 0;
}

int fuse_check(const FuseInput *input, Error *error) {
        int r;

        if (input->n_members == 0)
                return error_set(error, ERROR_INVALID_ARGUMENT, "A chain has at least one program.");
        if (input->n_members > CHAIN_SLOTS_MAX)
                return error_set(error, ERROR_LIMIT_EXCEEDED, "This chain has %zu programs; a chain has %u at most.",
                                 input->n_members, CHAIN_SLOTS_MAX);

        for (size_t i = 0; i < input->n_members; i++) {
                r = check_member(input, &input->members[i], error);
                if (r < 0)
                        return r;
        }
        r = check_sums(input, error);
        if (r >= 0)
                r = check_frags(input, error);
        return r < 0 ? r : check_maps(input, error);
}
