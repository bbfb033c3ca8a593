/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Hooks, where packets meet programs, and verdicts, what a program answers there.
 *
 * A verdict is counted in a bucket: for XDP the value of enum xdp_action (0 aborted .. 4 redirect) and one for
 * all else; for TC the value of TC_ACT_* plus one (next is -1, see enum tcx_action_base and
 * include/uapi/linux/pkt_cls.h) and one for all else. A proceed-on set is a mask of buckets.
 */

#include "util/macros.h"
#include "util/string-table.h"

typedef enum Hook {
        HOOK_XDP,
        HOOK_TC_INGRESS,
        HOOK_TC_EGRESS,
        _HOOK_MAX,
        _HOOK_INVALID = -EINVAL,
} Hook;

DECLARE_STRING_TABLE(hook, Hook)

static inline bool hook_is_tc(Hook hook) {
        return hook == HOOK_TC_INGRESS || hook == HOOK_TC_EGRESS;
}

/* How an XDP chain is attached: best tries native (in the driver) and falls back to generic. TC has best only. */
typedef enum AttachMode {
        ATTACH_MODE_BEST,
        ATTACH_MODE_NATIVE,
        ATTACH_MODE_GENERIC,
        _ATTACH_MODE_MAX,
        _ATTACH_MODE_INVALID = -EINVAL,
} AttachMode;

DECLARE_STRING_TABLE(attach_mode, AttachMode)

/* What holds a chain on its hook. */
typedef enum AttachKind {
        ATTACH_KIND_NONE,
        ATTACH_KIND_XDP_LINK,
        ATTACH_KIND_TCX_LINK,
        ATTACH_KIND_CLSACT,
        _ATTACH_KIND_MAX,
        _ATTACH_KIND_INVALID = -EINVAL,
} AttachKind;

DECLARE_STRING_TABLE(attach_kind, AttachKind)

/* What TC chains are attached with: auto takes tcx, and clsact where the kernel has none (before 6.6). */
typedef enum TcAttach {
        TC_ATTACH_AUTO,
        TC_ATTACH_TCX,
        TC_ATTACH_CLSACT,
        _TC_ATTACH_MAX,
        _TC_ATTACH_INVALID = -EINVAL,
} TcAttach;

DECLARE_STRING_TABLE(tc_attach, TcAttach)

/* How a member got into the fused program. */
typedef enum SlotForm {
        SLOT_FORM_NONE,
        SLOT_FORM_INLINED,
        SLOT_FORM_GLOBAL, /* called as a global function: verified once, by itself */
        SLOT_FORM_STATIC, /* called as a static function: verified in its context */
        SLOT_FORM_SLOT,   /* a program of its own, reached by a tail call that comes back */
        _SLOT_FORM_MAX,
        _SLOT_FORM_INVALID = -EINVAL,
} SlotForm;

DECLARE_STRING_TABLE(slot_form, SlotForm)

/* How much a chain counts, from least to most. */
typedef enum CounterLevel {
        COUNTER_LEVEL_OFF,      /* nothing */
        COUNTER_LEVEL_VERDICTS, /* where packets' ways ended, with which verdict, and how many bytes they had */
        COUNTER_LEVEL_ALL,      /* besides, every verdict of every slot */
        _COUNTER_LEVEL_MAX,
        _COUNTER_LEVEL_INVALID = -EINVAL,
} CounterLevel;

DECLARE_STRING_TABLE(counter_level, CounterLevel)

#define COUNTER_LEVEL_DEFAULT COUNTER_LEVEL_VERDICTS

#define VERDICT_BUCKETS 11

/* A program's row of a chain's counters: by bucket, how often it gave a verdict, and behind that how often the
 * packet's way ended with it. Which verdicts end a way depends on the place in the chain, so the second can't be told
 * from the first once a chain was changed. Behind each of the two the bytes of those packets, by the length that they
 * came into the chain with. The first half counts at the level `all` only. */
#define COUNTER_SEEN_BYTES  VERDICT_BUCKETS
#define COUNTER_ENDED       (VERDICT_BUCKETS + 1)
#define COUNTER_ENDED_BYTES (COUNTER_ENDED + VERDICT_BUCKETS)
#define COUNTER_CELLS       (2 * (VERDICT_BUCKETS + 1))

/* Number of buckets in use on a hook; the last of them is "other". */
unsigned verdict_buckets(Hook hook);

/* The bucket that a verdict is counted in. */
unsigned verdict_bucket_of(Hook hook, int32_t verdict);

/* The name of a bucket ("drop", "next", "other"), NULL when out of range. */
const char *verdict_bucket_to_string(Hook hook, unsigned bucket);

/* The bucket of a name, or -EINVAL. "other" is no verdict that a document may name. */
int verdict_bucket_from_string(Hook hook, const char *name);

/* The verdict that a bucket counts (-1 .. 8 for TC, 0 .. 4 for XDP); undefined for "other". */
int verdict_bucket_to_value(Hook hook, unsigned bucket);

/* The proceed-on set that applies where a document names none: pass for XDP, next for TC. */
uint32_t verdict_default_proceed_on(Hook hook);
