/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/hook.h"

static const char *const hook_table[_HOOK_MAX] = {
        [HOOK_XDP] = "xdp",
        [HOOK_TC_INGRESS] = "tc-ingress",
        [HOOK_TC_EGRESS] = "tc-egress",
};

DEFINE_STRING_TABLE(hook, Hook, _HOOK_MAX)

static const char *const attach_mode_table[_ATTACH_MODE_MAX] = {
        [ATTACH_MODE_BEST] = "best",
        [ATTACH_MODE_NATIVE] = "native",
        [ATTACH_MODE_GENERIC] = "generic",
};

DEFINE_STRING_TABLE(attach_mode, AttachMode, _ATTACH_MODE_MAX)

static const char *const attach_kind_table[_ATTACH_KIND_MAX] = {
        [ATTACH_KIND_NONE] = "none",
        [ATTACH_KIND_XDP_LINK] = "xdp-link",
        [ATTACH_KIND_TCX_LINK] = "tcx-link",
        [ATTACH_KIND_CLSACT] = "clsact",
};

DEFINE_STRING_TABLE(attach_kind, AttachKind, _ATTACH_KIND_MAX)

static const char *const tc_attach_table[_TC_ATTACH_MAX] = {
        [TC_ATTACH_AUTO] = "auto",
        [TC_ATTACH_TCX] = "tcx",
        [TC_ATTACH_CLSACT] = "clsact",
};

DEFINE_STRING_TABLE(tc_attach, TcAttach, _TC_ATTACH_MAX)

static const char *const slot_form_table[_SLOT_FORM_MAX] = {
        [SLOT_FORM_NONE] = "none",     [SLOT_FORM_INLINED] = "inlined",
        [SLOT_FORM_GLOBAL] = "called", [SLOT_FORM_STATIC] = "called-static",
        [SLOT_FORM_SLOT] = "slot",
};

DEFINE_STRING_TABLE(slot_form, SlotForm, _SLOT_FORM_MAX)

static const char *const counter_level_table[_COUNTER_LEVEL_MAX] = {
        [COUNTER_LEVEL_OFF] = "off",
        [COUNTER_LEVEL_VERDICTS] = "verdicts",
        [COUNTER_LEVEL_ALL] = "all",
};

DEFINE_STRING_TABLE(counter_level, CounterLevel, _COUNTER_LEVEL_MAX)

static const char *const xdp_verdicts[] = { "aborted", "drop", "pass", "tx", "redirect", "other" };

static const char *const tc_verdicts[] = { "next",   "ok",     "reclassify", "shot", "pipe", "stolen",
                                           "queued", "repeat", "redirect",   "trap", "other" };

_Static_assert(ELEMENTSOF(xdp_verdicts) <= VERDICT_BUCKETS, "buckets hold all XDP verdicts");
_Static_assert(ELEMENTSOF(tc_verdicts) <= VERDICT_BUCKETS, "buckets hold all TC verdicts");

unsigned verdict_buckets(Hook hook) {
        return hook_is_tc(hook) ? ELEMENTSOF(tc_verdicts) : ELEMENTSOF(xdp_verdicts);
}

unsigned verdict_bucket_of(Hook hook, int32_t verdict) {
        uint32_t bucket = (uint32_t) verdict + (hook_is_tc(hook) ? 1 : 0);

        return MIN2(bucket, verdict_buckets(hook) - 1);
}

const char *verdict_bucket_to_string(Hook hook, unsigned bucket) {
        if (bucket >= verdict_buckets(hook))
                return NULL;
        return hook_is_tc(hook) ? tc_verdicts[bucket] : xdp_verdicts[bucket];
}

int verdict_bucket_from_string(Hook hook, const char *name) {
        for (unsigned i = 0; i + 1 < verdict_buckets(hook); i++)
                if (streq(verdict_bucket_to_string(hook, i), name))
                        return (int) i;
        return -EINVAL;
}

int verdict_bucket_to_value(Hook hook, unsigned bucket) {
        return hook_is_tc(hook) ? (int) bucket - 1 : (int) bucket;
}

uint32_t verdict_default_proceed_on(Hook hook) {
        return UINT32_C(1) << (hook_is_tc(hook) ? 0 : 2);
}
