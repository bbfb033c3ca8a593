/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a policy would have done to those who were seen.
 */
#include "model/guard-internal.h"

/* The rule that an act would come under, or negative: none, as it is let whatever the policy. */
static int rule_of(const GuardEvent *event) {
        if (event->rule >= 0)
                return event->rule;
        switch (event->act) {
        case GUARD_ACT_PROGRAM_LOADED:
        case GUARD_ACT_LOAD_PROGRAM: return GUARD_RULE_LOADS;
        case GUARD_ACT_DETACHED:
        case GUARD_ACT_REPLACED:
        case GUARD_ACT_PRECEDED:
        case GUARD_ACT_ATTACH:
        case GUARD_ACT_REPLACE:
        case GUARD_ACT_DETACH:
        case GUARD_ACT_PRECEDE: return GUARD_RULE_LINKS;
        case GUARD_ACT_FILTER_ADDED:
        case GUARD_ACT_FILTER_DELETED:
        case GUARD_ACT_QDISC_ADDED:
        case GUARD_ACT_QDISC_DELETED:
        case GUARD_ACT_FILTER_CHANGE:
        case GUARD_ACT_QDISC_CHANGE:
        case GUARD_ACT_UNCLEAR: return GUARD_RULE_NETLINK;
        case GUARD_ACT_UNPINNED:
        case GUARD_ACT_UNPIN:
        case GUARD_ACT_UNMOUNT: return GUARD_RULE_PINS;
        case GUARD_ACT_INTERFACE_MOVED:
        case GUARD_ACT_INTERFACE_DELETED:
        case GUARD_ACT_INTERFACE_MOVE:
        case GUARD_ACT_INTERFACE_DELETE: return GUARD_RULE_INTERFACES;
        case GUARD_ACT_OPEN_OBJECT:
        case GUARD_ACT_REPLACE_FUNCTION: return GUARD_RULE_OBJECTS;
        case GUARD_ACT_SIGNAL:
        case GUARD_ACT_TRACE: return GUARD_RULE_SERVICE;
        case GUARD_ACT_INTERFACE_RENAMED:
        case _GUARD_ACT_MAX:
        case _GUARD_ACT_INVALID: break;
        }
        return -1;
}

/* The same people, as far as a policy can tell them apart. */
static bool is_same(const GuardJudgement *judgement, const GuardEvent *event) {
        const Culprit *a = &judgement->who, *b = &event->who;

        return judgement->act == event->act && a->has_uid == b->has_uid && a->uid == b->uid &&
               a->effective_uid == b->effective_uid && (a->pid == 1) == (b->pid == 1) &&
               streq(a->executable, b->executable) && streq(a->comm, b->comm) && streq(a->unit, b->unit) &&
               streq(a->cgroup, b->cgroup);
}

static void judge(const GuardPolicy *policy, GuardJudgement *judgement) {
        size_t n_default;
        const GuardAllow *defaults = guard_default_allow(&n_default), *by = NULL;

        judgement->allowed = guard_policy_allows(policy, judgement->rule, &judgement->who, &by);
        if (by) {
                bool is_default = by >= defaults && by < defaults + n_default;

                snprintf(judgement->by, sizeof(judgement->by), "%s%s %s", is_default ? "default " : "",
                         guard_allow_kind_to_string(by->kind), by->text);
        } else if (!judgement->allowed && judgement->act == GUARD_ACT_PROGRAM_LOADED &&
                   policy->loading == GUARD_LOADING_NETWORKING)
                snprintf(judgement->by, sizeof(judgement->by), "unless it was no program for networking");
}

int guard_judge(const Guard *guard, const GuardPolicy *policy, GuardJudgement **ret, size_t *ret_n) {
        const GuardEvent **events _cleanup_free_ = NULL;
        GuardJudgement *list = NULL;
        size_t n_events = 0, n = 0;
        int r;

        r = guard_get_events(guard, 0, SIZE_MAX, &events, &n_events);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n_events; i++) {
                const GuardEvent *event = events[i];
                int rule = rule_of(event);
                size_t k = 0;

                if (rule < 0)
                        continue;
                while (k < n && !(is_same(&list[k], event) && list[k].rule == (GuardRule) rule))
                        k++;
                if (k == n) {
                        if (!ARRAY_APPEND(list, n)) {
                                free(list);
                                return -ENOMEM;
                        }
                        list[k] = (GuardJudgement){ .rule = (GuardRule) rule,
                                                    .act = event->act,
                                                    .first = event->realtime };
                }
                list[k].who = event->who;
                list[k].last = MAX2(list[k].last, event->realtime + (event->last - event->boottime));
                list[k].count += event->count;
        }
        for (size_t i = 0; i < n; i++)
                judge(policy, &list[i]);
        *ret = list;
        *ret_n = n;
        return 0;
}
