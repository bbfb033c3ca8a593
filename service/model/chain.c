/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/chain.h"
#include "util/strv.h"

static const char *const chain_state_table[_CHAIN_STATE_MAX] = {
        [CHAIN_STATE_ACTIVE] = "active",     [CHAIN_STATE_WAITING] = "waiting", [CHAIN_STATE_DEGRADED] = "degraded",
        [CHAIN_STATE_CONFLICT] = "conflict", [CHAIN_STATE_FAILED] = "failed",   [CHAIN_STATE_DETACHED] = "detached",
};

DEFINE_STRING_TABLE(chain_state, ChainState, _CHAIN_STATE_MAX)

char *chain_key(const char *interface, Hook hook) {
        char *key;

        return asprintf(&key, "%s/%s", interface, hook_to_string(hook)) < 0 ? NULL : key;
}

Chain *chain_new(const char *interface, Hook hook) {
        _cleanup_(chain_freep) Chain *chain = calloc(1, sizeof(Chain));

        if (!chain)
                return NULL;
        chain->hook = hook;
        chain->counters = COUNTER_LEVEL_DEFAULT;
        chain->key = chain_key(interface, hook);
        chain->interface = strdup(interface);
        if (!chain->key || !chain->interface)
                return NULL;
        return TAKE_PTR(chain);
}

void slots_free(Slot *slots, size_t n_slots) {
        for (size_t i = 0; i < n_slots; i++) {
                free(slots[i].program);
                free(slots[i].reason);
        }
        free(slots);
}

void chain_free_seats(Chain *chain) {
        for (size_t i = 0; i < CHAIN_SEATS_MAX; i++) {
                free(chain->seats[i].program);
                chain->seats[i] = (Seat){};
        }
        chain->retired_packets = chain->retired_bytes = 0;
}

void chain_reset_rows(Chain *chain) {
        for (size_t i = 0; i < CHAIN_SEATS_MAX; i++)
                memset(chain->seats[i].base, 0, sizeof(chain->seats[i].base));
}

void chain_restart(Chain *chain) {
        chain_reset_rows(chain);
        chain->retired_packets = chain->retired_bytes = 0;
}

void chain_free(Chain *chain) {
        if (!chain)
                return;
        chain_free_seats(chain);
        slots_free(chain->slots, chain->n_slots);
        strv_free(chain->documents);
        free(chain->key);
        free(chain->interface);
        free(chain->reason);
        free(chain->mode_refusal);
        free(chain->signature);
        free(chain->held);
        free(chain->disturbance);
        free(chain);
}

int chain_find_slot(const Chain *chain, const char *program) {
        for (size_t i = 0; i < chain->n_slots; i++)
                if (streq(chain->slots[i].program, program))
                        return (int) i;
        return -ENOENT;
}

static uint64_t since(const uint64_t *row, const uint64_t *base, unsigned i) {
        return row[i] >= base[i] ? row[i] - base[i] : 0;
}

static void count_slot(const Chain *chain, const uint64_t *row, const uint64_t *base, SlotCounters *ret) {
        for (unsigned i = 0; i < verdict_buckets(chain->hook); i++) {
                ret->verdicts[i] = since(row, base, i);
                ret->endings[i] = since(row, base, COUNTER_ENDED + i);
                ret->packets += ret->verdicts[i];
                ret->ended += ret->endings[i];
        }
        ret->bytes = since(row, base, COUNTER_SEEN_BYTES);
        ret->ended_bytes = since(row, base, COUNTER_ENDED_BYTES);
}

static void sum_rows(const Chain *chain, uint64_t rows[CHAIN_SEATS_MAX][COUNTER_CELLS], uint64_t *packets,
                     uint64_t *bytes) {
        for (unsigned seat = 0; seat < CHAIN_SEATS_MAX; seat++) {
                for (unsigned i = 0; i < verdict_buckets(chain->hook); i++)
                        *packets += rows[seat][COUNTER_ENDED + i];
                *bytes += rows[seat][COUNTER_ENDED_BYTES];
        }
}

void chain_count(const Chain *chain, uint64_t rows[CHAIN_SEATS_MAX][COUNTER_CELLS], ChainCounters *ret) {
        *ret = (ChainCounters){ .packets = chain->retired_packets, .bytes = chain->retired_bytes };
        sum_rows(chain, rows, &ret->packets, &ret->bytes);
        for (size_t i = 0; i < chain->n_slots; i++)
                count_slot(chain, rows[chain->slots[i].seat], chain->seats[chain->slots[i].seat].base,
                           &ret->slots[i]);
}

void chain_retire_rows(Chain *chain, uint64_t rows[CHAIN_SEATS_MAX][COUNTER_CELLS]) {
        sum_rows(chain, rows, &chain->retired_packets, &chain->retired_bytes);
        chain_reset_rows(chain);
}

const char *chain_mode_in_effect(const Chain *chain) {
        switch (chain->attachment ? chain->info.kind : ATTACH_KIND_NONE) {
        case ATTACH_KIND_NONE: return "";
        case ATTACH_KIND_XDP_LINK: return chain->info.native ? "native" : "generic";
        case ATTACH_KIND_TCX_LINK: return "tcx";
        case ATTACH_KIND_CLSACT: return "clsact";
        case _ATTACH_KIND_MAX:
        case _ATTACH_KIND_INVALID: break;
        }
        return "";
}
