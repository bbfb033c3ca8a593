/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How chains stand on their hooks, and what is done about it.
 */
#include "model/guard-internal.h"
#include "util/clock.h"
#include "util/log.h"

#define BIT(act) (UINT32_C(1) << (act))

/* Static, for GuardEvent.basis. */
#define BASIS_NETLINK "asked-by-netlink"

static GuardEvent event_on(const Chain *chain, GuardAct act, const char *source) {
        GuardEvent event = {
                .realtime = usec_now(CLOCK_REALTIME),
                .boottime = usec_now(CLOCK_BOOTTIME),
                .act = act,
                .rule = -1,
                .hook = (int) chain->hook,
                .source = source,
                .basis = "",
        };

        snprintf(event.interface, sizeof(event.interface), "%s", chain->interface);
        snprintf(event.who.unknown, sizeof(event.who.unknown), "no source on this host tells who it was");
        return event;
}

/* Who did it, else who loaded the program that did it; mostly that is the same. */
static void blame_program(Guard *guard, const Chain *chain, GuardEvent *event, uint32_t program_id) {
        const GuardEvent *loader = guard_loader_of(guard, program_id);

        event->program_id = program_id;
        (void) guard->manager->ops->program_name(guard->manager->kernel, program_id, event->program_name);
        if (guard_blame(guard, event, chain->ifindex))
                return;
        if (loader) {
                event->who = loader->who;
                event->basis = loader->basis;
        } else
                snprintf(event->who.unknown, sizeof(event->who.unknown),
                         "the program was loaded before this was watched, or its loading was not told");
}

static void hold(Chain *chain, const GuardEvent *event, RestorePolicy policy, uint64_t until) {
        _cleanup_free_ char *text = guard_event_describe(event), *held = NULL;
        char span[USEC_STRING_SIZE];

        if (asprintf(&held, "%s; %s%s", strna(text),
                     policy == RESTORE_POLICY_NEVER
                             ? "it is not put back, as \"restore\" says; attach the chain, or reload, to have it back"
                             : "this went on too often, so that it is not tried before ",
                     policy == RESTORE_POLICY_NEVER ? "" : usec_to_string(until - event->boottime, span)) < 0)
                held = NULL;
        if (policy != RESTORE_POLICY_NEVER && held) {
                char *more = NULL;

                if (asprintf(&more, "%s have gone by; reload to have it tried at once", held) >= 0) {
                        free(held);
                        held = more;
                }
        }
        free(chain->held);
        chain->held = TAKE_PTR(held);
        chain->held_until = until;
}

/* What is to become of the chain. */
static void decide(Guard *guard, Chain *chain, GuardEvent *event) {
        RestorePolicy policy = chain->restore_set ? chain->restore : guard->settings.restore;
        uint64_t until = 0;

        event->outcome = GUARD_OUTCOME_RESTORING;
        if (chain->held) { /* is so already; a further act does not prolong it */
                event->outcome = GUARD_OUTCOME_HELD;
                manager_want_reconcile(guard->manager);
                return;
        }
        if (!restores_allow(&chain->restores, policy, &guard->settings.limits, event->boottime, &until)) {
                hold(chain, event, policy, until);
                event->outcome = GUARD_OUTCOME_HELD;
        } else if (event->act == GUARD_ACT_PRECEDED)
                chain->to_front = true;
        manager_want_reconcile(guard->manager);
}

/* Something that holds now: told when it begins to. */
static bool begins(Chain *chain, GuardAct act, bool holds) {
        bool noted = chain->noted & BIT(act);

        if (!holds) {
                chain->noted &= ~BIT(act);
                return false;
        }
        chain->noted |= BIT(act);
        return !noted;
}

static bool program_begins(Chain *chain, GuardAct act, bool holds, uint32_t program_id) {
        bool other = holds && chain->noted_program != program_id;

        if (!begins(chain, act, holds) && !other)
                return false;
        chain->noted_program = program_id;
        return true;
}

static void look_at_interface(Guard *guard, Chain *chain, const Interface *interface, const ChainFacts *facts,
                              const char *source) {
        GuardEvent event;

        if (begins(chain, GUARD_ACT_INTERFACE_MOVED, !interface && facts->ifindex != 0)) {
                event = event_on(chain, GUARD_ACT_INTERFACE_MOVED, source);
                (void) guard_blame(guard, &event, chain->ifindex);
                (void) guard_add(guard, &event, chain);
        }
        if (begins(chain, GUARD_ACT_INTERFACE_DELETED, !interface && facts->ifindex == 0)) {
                event = event_on(chain, GUARD_ACT_INTERFACE_DELETED, source);
                (void) guard_blame(guard, &event, chain->ifindex);
                (void) guard_add(guard, &event, chain);
        }
        if (begins(chain, GUARD_ACT_INTERFACE_RENAMED, interface && !streq(interface->name, chain->interface))) {
                event = event_on(chain, GUARD_ACT_INTERFACE_RENAMED, source);
                (void) guard_blame(guard, &event, chain->ifindex);
                snprintf(event.detail, sizeof(event.detail), "to %s", interface->name);
                (void) guard_add(guard, &event, chain);
        }
}

static bool repin(Guard *guard, Chain *chain, GuardEvent *event) {
        _cleanup_error_ Error error = ERROR_INIT;

        if (guard->manager->ops->chain_repin(guard->manager->kernel, chain->attachment, &error) >= 0) {
                chain->noted &= ~BIT(GUARD_ACT_UNPINNED);
                return true;
        }
        if (event)
                snprintf(event->detail, sizeof(event->detail), "%s", strna(error.message));
        else
                log_warning("%s: %s", chain->key, strna(error.message));
        return false;
}

/* The chain runs on without its pins, so that putting them back is bounded like putting back the chain, but apart. */
static void look_at_pins(Guard *guard, Chain *chain, unsigned what, const ChainFacts *facts, const char *source) {
        RestorePolicy policy = chain->restore_set ? chain->restore : guard->settings.restore;
        GuardEvent event;
        uint64_t until;

        if (!(what & GUARD_LOOK_PINS) || (!facts->pinned && chain->repin_at > 0) ||
            !begins(chain, GUARD_ACT_UNPINNED, !facts->pinned))
                return;
        event = event_on(chain, GUARD_ACT_UNPINNED, source);
        snprintf(event.pin, sizeof(event.pin), "if%d-%s", chain->ifindex, hook_to_string(chain->hook));
        (void) guard_blame(guard, &event, chain->ifindex);
        if (!restores_allow(&chain->repins, policy, &guard->settings.limits, event.boottime, &until)) {
                event.outcome = GUARD_OUTCOME_HELD;
                if (until != UINT64_MAX) {
                        chain->repin_at = until;
                        snprintf(event.detail, sizeof(event.detail), "too often: pinned again only after a pause");
                }
        } else
                event.outcome = repin(guard, chain, &event) ? GUARD_OUTCOME_RESTORED : GUARD_OUTCOME_IMPOSSIBLE;
        (void) guard_add(guard, &event, chain);
}

static void look_at_hook(Guard *guard, Chain *chain, const ChainFacts *facts, const char *source) {
        bool off = facts->ifindex == 0, other = !off && !facts->own, behind = !off && facts->first_program > 0;
        GuardEvent event;

        if (begins(chain, GUARD_ACT_DETACHED, off)) {
                event = event_on(chain, GUARD_ACT_DETACHED, source);
                (void) guard_blame(guard, &event, chain->ifindex);
                decide(guard, chain, &event);
                (void) guard_add(guard, &event, chain);
        }
        if (program_begins(chain, GUARD_ACT_REPLACED, other, facts->program_id)) {
                event = event_on(chain, GUARD_ACT_REPLACED, source);
                blame_program(guard, chain, &event, facts->program_id);
                decide(guard, chain, &event);
                (void) guard_add(guard, &event, chain);
        }
        if (program_begins(chain, GUARD_ACT_PRECEDED, behind && !other, facts->first_program)) {
                event = event_on(chain, GUARD_ACT_PRECEDED, source);
                blame_program(guard, chain, &event, facts->first_program);
                decide(guard, chain, &event);
                (void) guard_add(guard, &event, chain);
        }
}

static void look_at(Guard *guard, Chain *chain, unsigned what, const char *source) {
        const Interface *interface = guard_interface_of(guard, chain->ifindex);
        unsigned inspect = (what & GUARD_LOOK_PINS ? INSPECT_PINS : 0) |
                           (what & GUARD_LOOK_FILTERS || !interface ? INSPECT_FILTER : 0);
        ChainFacts facts = {};
        int r;

        r = guard->manager->ops->chain_inspect(guard->manager->kernel, chain->attachment, inspect, &facts);
        if (r < 0) {
                if (r != -EAGAIN) /* a filter that was not to be looked at */
                        log_debug("%s: it can't be told how it stands on its hook: %s", chain->key, strerror(-r));
                return;
        }
        look_at_interface(guard, chain, interface, &facts, source);
        if (!interface || (facts.ifindex == 0 && guard_interface_is_going(guard, chain->ifindex)))
                return; /* the chain goes with it */
        look_at_hook(guard, chain, &facts, source);
        if (facts.ifindex != 0)
                look_at_pins(guard, chain, what, &facts, source);
}

/* Has the hook become free that a chain waits for? */
static void look_at_conflict(Guard *guard, const Chain *chain) {
        Interface *interface = manager_get_interface(guard->manager, chain->interface);
        _cleanup_free_ ForeignInfo *foreign = NULL;
        size_t n = 0;

        if (chain->held || !interface || manager_interface_foreign(guard->manager, interface, &foreign, &n) < 0)
                return;
        for (size_t i = 0; i < n; i++)
                if (foreign[i].hook == chain->hook)
                        return;
        manager_want_reconcile(guard->manager);
}

void guard_look(Guard *guard, unsigned what, const char *source) {
        if (!guard->manager->ready)
                return;
        TABLE_FOREACH (Chain, chain, &guard->manager->chains) {
                if (chain->attachment)
                        look_at(guard, chain, what, source);
                else if (chain->state == CHAIN_STATE_CONFLICT && (what & GUARD_LOOK_FILTERS))
                        look_at_conflict(guard, chain);
        }
        if (what & GUARD_LOOK_PINS)
                guard_look_at_map_pins(guard, source);
        guard_tell_what_passed(guard);
}

static bool is_our_filter(const Chain *chain, const TcFact *fact) {
        return chain->attachment && chain->info.kind == ATTACH_KIND_CLSACT && fact->filter &&
               fact->hook == (int) chain->hook && fact->program_id == chain->info.program_id;
}

static Chain *chain_of_fact(Guard *guard, const TcFact *fact) {
        TABLE_FOREACH (Chain, chain, &guard->manager->chains)
                if (chain->attachment && chain->ifindex == fact->ifindex && hook_is_tc(chain->hook) &&
                    (!fact->filter || fact->hook == (int) chain->hook))
                        return chain;
        return NULL;
}

bool guard_wants_tc(Guard *guard, const TcFact *fact) {
        return chain_of_fact(guard, fact) != NULL;
}

static GuardAct act_of_tc(const TcFact *fact) {
        if (fact->filter)
                return fact->added ? GUARD_ACT_FILTER_ADDED : GUARD_ACT_FILTER_DELETED;
        return fact->added ? GUARD_ACT_QDISC_ADDED : GUARD_ACT_QDISC_DELETED;
}

void guard_note_tc(Guard *guard, const TcFact *fact, const Culprit *who) {
        Chain *chain = chain_of_fact(guard, fact);
        GuardEvent event;

        if (!chain)
                return;
        event = event_on(chain, act_of_tc(fact), "tc-events");
        if (fact->filter)
                snprintf(event.detail, sizeof(event.detail), "%s, priority %u, handle 0x%x", fact->kind,
                         fact->priority, fact->handle);
        else
                snprintf(event.detail, sizeof(event.detail), "%s", fact->kind);
        if (fact->program_id > 0) {
                event.program_id = fact->program_id;
                (void) guard->manager->ops->program_name(guard->manager->kernel, fact->program_id,
                                                         event.program_name);
        }
        /* The port is their choice, while what the guard saw is them. */
        if (!guard_blame(guard, &event, fact->ifindex)) {
                event.who = *who;
                event.basis = BASIS_NETLINK;
        }
        guard_hint(guard, &(GuardHint){
                                  .boottime = event.boottime,
                                  .act = event.act,
                                  .ifindex = fact->ifindex,
                                  .hook = fact->filter ? fact->hook : -1,
                                  .basis = event.basis,
                                  .who = event.who,
                          });
        if (!is_our_filter(chain, fact)) /* added by us, or the look says what became of it */
                (void) guard_add(guard, &event, chain);
}

void guard_note_pin(Guard *guard, const char *name, const Culprit *who) {
        GuardHint hint = {
                .boottime = usec_now(CLOCK_BOOTTIME),
                .act = GUARD_ACT_UNPINNED,
                .hook = -1,
                .basis = "removed-the-pin",
                .who = *who,
        };

        snprintf(hint.pin, sizeof(hint.pin), "%s", name);
        guard_hint(guard, &hint);
}

/* All that was about to be mended on the chain's hook. */
static void settle(Guard *guard, Chain *chain) {
        bool back = chain->attachment && chain->state == CHAIN_STATE_ACTIVE && !chain->held;
        GuardOutcome outcome;

        if (back)
                chain->noted = 0;
        outcome = back ? GUARD_OUTCOME_RESTORED : GUARD_OUTCOME_IMPOSSIBLE;
        for (size_t i = 0; i < guard->acts.size && i < guard->acts.n; i++) {
                GuardEvent *event = &guard->acts.events[i];

                if (event->outcome == GUARD_OUTCOME_RESTORING && event->hook == (int) chain->hook &&
                    streq(event->interface, chain->interface))
                        event->outcome = outcome;
        }
        if (!chain->disturbance || chain->disturbance->outcome != GUARD_OUTCOME_RESTORING)
                return;
        chain->disturbance->outcome = outcome;
        OBSERVE(guard->manager, chain_changed, chain);
}

void guard_settle(Guard *guard) {
        TABLE_FOREACH (Chain, chain, &guard->manager->chains)
                settle(guard, chain);
}

uint64_t guard_deadline(const Guard *guard) {
        uint64_t deadline = guard_map_pins_deadline(guard);

        TABLE_FOREACH (Chain, chain, &guard->manager->chains) {
                if (chain->held)
                        deadline = MIN2(deadline, chain->held_until);
                if (chain->repin_at > 0)
                        deadline = MIN2(deadline, chain->repin_at);
        }
        return deadline;
}

void guard_wake(Guard *guard, uint64_t now) {
        guard_map_pins_wake(guard, now);
        TABLE_FOREACH (Chain, chain, &guard->manager->chains) {
                if (chain->repin_at > 0 && chain->repin_at <= now) {
                        chain->repin_at = 0;
                        if (chain->attachment)
                                (void) repin(guard, chain, NULL);
                }
                if (!chain->held || chain->held_until > now)
                        continue;
                chain->to_front = chain->noted & BIT(GUARD_ACT_PRECEDED);
                (void) free_and_strdup(&chain->held, NULL);
                manager_want_reconcile(guard->manager);
        }
}

bool guard_has_chains(const Guard *guard) {
        TABLE_FOREACH (Chain, chain, &guard->manager->chains)
                if (chain->attachment || chain->state == CHAIN_STATE_CONFLICT)
                        return true;
        return false;
}

bool guard_needs_interval(const Guard *guard) {
        if (guard->facts_complete)
                return false;
        TABLE_FOREACH (Chain, chain, &guard->manager->chains)
                if ((chain->attachment && chain->info.kind != ATTACH_KIND_CLSACT) ||
                    (chain->state == CHAIN_STATE_CONFLICT && !chain->held))
                        return true;
        return false;
}
