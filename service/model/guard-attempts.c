/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What others were about to do, or did, as programs in the kernel told at once: told of in turn, and remembered as
 * hints for the look that finds what came of it.
 */
#include <linux/bpf.h>
#include <signal.h>

#include "model/guard-internal.h"
#include "util/clock.h"

#define BIT(act)   (UINT32_C(1) << (act))
#define QDISC_ACTS (BIT(GUARD_ACT_QDISC_CHANGE) | BIT(GUARD_ACT_QDISC_ADDED) | BIT(GUARD_ACT_QDISC_DELETED))

/* Static, for GuardEvent.basis. */
#define BASIS_ASKED "asked-for-it"
#define BASIS_DID   "did-it"

const Interface *guard_interface_of(const Guard *guard, int ifindex) {
        TABLE_FOREACH (Interface, interface, &guard->manager->interfaces)
                if (interface->link.ifindex == ifindex)
                        return interface;
        return NULL;
}

void guard_hint(Guard *guard, const GuardHint *hint) {
        guard->hints[guard->n_hints++ % GUARD_HINTS_KEPT] = *hint;
}

/* Acts that end in what the event says. */
static uint32_t causes_of(GuardAct act) {
        switch (act) {
        case GUARD_ACT_DETACHED:
                return BIT(GUARD_ACT_DETACH) | BIT(GUARD_ACT_FILTER_CHANGE) | BIT(GUARD_ACT_QDISC_CHANGE) |
                       BIT(GUARD_ACT_FILTER_DELETED) | BIT(GUARD_ACT_QDISC_DELETED) | BIT(GUARD_ACT_FILTER_ADDED) |
                       BIT(GUARD_ACT_REPLACE) | BIT(GUARD_ACT_UNCLEAR);
        case GUARD_ACT_REPLACED:
                return BIT(GUARD_ACT_REPLACE) | BIT(GUARD_ACT_ATTACH) | BIT(GUARD_ACT_FILTER_CHANGE) |
                       BIT(GUARD_ACT_FILTER_ADDED) | BIT(GUARD_ACT_FILTER_DELETED) | BIT(GUARD_ACT_UNCLEAR);
        case GUARD_ACT_PRECEDED: return BIT(GUARD_ACT_PRECEDE) | BIT(GUARD_ACT_ATTACH) | BIT(GUARD_ACT_REPLACE);
        case GUARD_ACT_UNPINNED: return BIT(GUARD_ACT_UNPIN) | BIT(GUARD_ACT_UNMOUNT) | BIT(GUARD_ACT_UNPINNED);
        case GUARD_ACT_INTERFACE_MOVED: return BIT(GUARD_ACT_INTERFACE_MOVE) | BIT(GUARD_ACT_UNCLEAR);
        case GUARD_ACT_INTERFACE_DELETED: return BIT(GUARD_ACT_INTERFACE_DELETE) | BIT(GUARD_ACT_UNCLEAR);
        case GUARD_ACT_FILTER_ADDED:
        case GUARD_ACT_FILTER_DELETED: return BIT(GUARD_ACT_FILTER_CHANGE) | BIT(GUARD_ACT_UNCLEAR);
        case GUARD_ACT_QDISC_ADDED:
        case GUARD_ACT_QDISC_DELETED: return BIT(GUARD_ACT_QDISC_CHANGE) | BIT(GUARD_ACT_UNCLEAR);
        case GUARD_ACT_INTERFACE_RENAMED: return BIT(GUARD_ACT_INTERFACE_RENAMED);
        case GUARD_ACT_PROGRAM_LOADED:
        case GUARD_ACT_ATTACH:
        case GUARD_ACT_REPLACE:
        case GUARD_ACT_DETACH:
        case GUARD_ACT_PRECEDE:
        case GUARD_ACT_FILTER_CHANGE:
        case GUARD_ACT_QDISC_CHANGE:
        case GUARD_ACT_INTERFACE_MOVE:
        case GUARD_ACT_INTERFACE_DELETE:
        case GUARD_ACT_UNPIN:
        case GUARD_ACT_UNMOUNT:
        case GUARD_ACT_OPEN_OBJECT:
        case GUARD_ACT_REPLACE_FUNCTION:
        case GUARD_ACT_LOAD_PROGRAM:
        case GUARD_ACT_SIGNAL:
        case GUARD_ACT_TRACE:
        case GUARD_ACT_UNCLEAR:
        case _GUARD_ACT_MAX:
        case _GUARD_ACT_INVALID: break;
        }
        return 0;
}

/* How well it explains such an event; 0: not at all. */
static unsigned rate(const GuardHint *hint, const GuardEvent *event, int ifindex, uint64_t now) {
        unsigned points = 1;

        if (hint->boottime == 0 || (now > hint->boottime && now - hint->boottime > GUARD_CORRELATE_USEC) ||
            !(causes_of(event->act) & BIT(hint->act)))
                return 0;
        if ((hint->ifindex > 0 && hint->ifindex != ifindex) ||
            (hint->hook >= 0 && event->hook >= 0 && hint->hook != event->hook) ||
            (hint->program_id > 0 && event->program_id > 0 && hint->program_id != event->program_id))
                return 0;
        points += hint->program_id > 0 && hint->program_id == event->program_id ? 16 : 0;
        points += hint->ifindex > 0 ? 4 : 0;
        /* What is done to a qdisc is done to all that is on it. */
        points += hint->hook < 0 ? (BIT(hint->act) & QDISC_ACTS ? 2 : 0) : hint->hook == event->hook ? 2 : 0;
        points += *event->pin && streq(hint->pin, event->pin) ? 4 : 0;
        points += hint->act != GUARD_ACT_UNCLEAR ? 8 : 0;
        points += !streq(hint->basis, BASIS_ASKED) ? 1 : 0; /* who asked may have failed, and another done it */
        return points;
}

bool guard_blame(Guard *guard, GuardEvent *event, int ifindex) {
        GuardHint *best = NULL;
        unsigned most = 0;

        if (guard->read)
                guard->read(guard->read_userdata);
        for (size_t i = 0; i < MIN2(guard->n_hints, (size_t) GUARD_HINTS_KEPT); i++) {
                GuardHint *hint = &guard->hints[i];
                unsigned points = rate(hint, event, ifindex, event->boottime);

                if (points > most || (points > 0 && points == most && hint->boottime >= best->boottime)) {
                        best = hint;
                        most = points;
                }
        }
        if (!best)
                return false;
        best->used = true;
        event->who = best->who;
        event->basis = best->basis;
        return true;
}

bool guard_interface_is_going(const Guard *guard, int ifindex) {
        uint64_t now = usec_now(CLOCK_BOOTTIME);

        for (size_t i = 0; i < MIN2(guard->n_hints, (size_t) GUARD_HINTS_KEPT); i++) {
                const GuardHint *hint = &guard->hints[i];

                if (hint->fact && hint->act == GUARD_ACT_INTERFACE_DELETE && hint->ifindex == ifindex &&
                    hint->boottime + GUARD_CORRELATE_USEC > now)
                        return true;
        }
        return false;
}

static Chain *chain_at(const Guard *guard, int ifindex, int hook) {
        const Interface *interface = guard_interface_of(guard, ifindex);

        TABLE_FOREACH (Chain, chain, &guard->manager->chains) {
                bool on_it = chain->attachment ? chain->ifindex == ifindex
                                               : interface && streq(chain->interface, interface->name);

                if (on_it && (hook < 0 || hook == (int) chain->hook))
                        return chain;
        }
        return NULL;
}

/* Commands of bpf(2) that attempts are told of. */
static const char *command_name(uint32_t command) {
        static const char *const names[] = {
                [BPF_MAP_CREATE] = "BPF_MAP_CREATE",
                [BPF_MAP_UPDATE_ELEM] = "BPF_MAP_UPDATE_ELEM",
                [BPF_PROG_LOAD] = "BPF_PROG_LOAD",
                [BPF_OBJ_PIN] = "BPF_OBJ_PIN",
                [BPF_OBJ_GET] = "BPF_OBJ_GET",
                [BPF_PROG_ATTACH] = "BPF_PROG_ATTACH",
                [BPF_PROG_DETACH] = "BPF_PROG_DETACH",
                [BPF_PROG_GET_FD_BY_ID] = "BPF_PROG_GET_FD_BY_ID",
                [BPF_MAP_GET_FD_BY_ID] = "BPF_MAP_GET_FD_BY_ID",
                [BPF_LINK_CREATE] = "BPF_LINK_CREATE",
                [BPF_LINK_UPDATE] = "BPF_LINK_UPDATE",
                [BPF_LINK_GET_FD_BY_ID] = "BPF_LINK_GET_FD_BY_ID",
                [BPF_LINK_DETACH] = "BPF_LINK_DETACH",
        };

        return command < ELEMENTSOF(names) ? names[command] : NULL;
}

/* Types of programs that the stricter rules are about. */
static const char *program_type_name(uint32_t type) {
        static const char *const names[] = {
                [BPF_PROG_TYPE_SOCKET_FILTER] = "socket filter",
                [BPF_PROG_TYPE_KPROBE] = "kprobe",
                [BPF_PROG_TYPE_SCHED_CLS] = "TC classifier",
                [BPF_PROG_TYPE_SCHED_ACT] = "TC action",
                [BPF_PROG_TYPE_TRACEPOINT] = "tracepoint",
                [BPF_PROG_TYPE_XDP] = "XDP",
                [BPF_PROG_TYPE_CGROUP_SKB] = "cgroup",
                [BPF_PROG_TYPE_LWT_IN] = "LWT",
                [BPF_PROG_TYPE_LWT_OUT] = "LWT",
                [BPF_PROG_TYPE_LWT_XMIT] = "LWT",
                [BPF_PROG_TYPE_CGROUP_DEVICE] = "cgroup device",
                [BPF_PROG_TYPE_LWT_SEG6LOCAL] = "LWT",
                [BPF_PROG_TYPE_TRACING] = "tracing",
                [BPF_PROG_TYPE_EXT] = "EXT",
                [BPF_PROG_TYPE_LSM] = "LSM",
        };

        return type < ELEMENTSOF(names) ? names[type] : NULL;
}

/* Messages of rtnetlink(7), whose headers the model does not know. */
static const char *message_name(uint32_t type) {
        static const struct {
                uint32_t type;
                const char *name;
        } names[] = {
                { 16, "RTM_NEWLINK" },    { 17, "RTM_DELLINK" },   { 19, "RTM_SETLINK" },
                { 36, "RTM_NEWQDISC" },   { 37, "RTM_DELQDISC" },  { 44, "RTM_NEWTFILTER" },
                { 45, "RTM_DELTFILTER" }, { 100, "RTM_NEWCHAIN" }, { 101, "RTM_DELCHAIN" },
        };

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (names[i].type == type)
                        return names[i].name;
        return NULL;
}

static void describe_detail(const GuardAttempt *attempt, char *ret, size_t size) {
        const char *name = NULL, *kind = "";

        switch (attempt->rule) {
        case GUARD_RULE_LINKS:
        case GUARD_RULE_OBJECTS: name = attempt->detail > 0 ? command_name(attempt->detail) : NULL; break;
        case GUARD_RULE_NETLINK:
        case GUARD_RULE_INTERFACES: name = message_name(attempt->detail); break;
        case GUARD_RULE_LOADS:
                name = program_type_name(attempt->detail);
                kind = "of type ";
                break;
        case GUARD_RULE_SERVICE:
                if (attempt->act == GUARD_ACT_SIGNAL && attempt->detail <= (uint32_t) SIGRTMAX) {
                        name = sigabbrev_np((int) attempt->detail);
                        kind = "SIG";
                }
                break;
        case GUARD_RULE_PINS:
        case _GUARD_RULE_MAX:
        case _GUARD_RULE_INVALID: break;
        }
        if (!name && attempt->detail > 0)
                snprintf(ret, size, "number %u", attempt->detail);
        else
                snprintf(ret, size, "%s%s", name ? kind : "", strempty_to(name, ""));
        if (attempt->object_id > 0) {
                size_t used = strlen(ret);

                snprintf(ret + used, size - used, "%sobject %u", used > 0 ? ", " : "", attempt->object_id);
        }
}

void guard_note_attempt(Guard *guard, const GuardAttempt *attempt) {
        Chain *chain = attempt->ifindex > 0 ? chain_at(guard, attempt->ifindex, attempt->hook) : NULL;
        const Interface *interface = guard_interface_of(guard, attempt->ifindex);
        GuardEvent event = {
                .realtime = usec_now(CLOCK_REALTIME),
                .boottime = attempt->boottime,
                .act = attempt->act,
                .verdict = attempt->verdict,
                .rule = (int) attempt->rule,
                .hook = attempt->hook,
                .source = "guard",
                .basis = BASIS_ASKED,
                .who = attempt->who,
        };

        if (interface || chain)
                snprintf(event.interface, sizeof(event.interface), "%s",
                         interface ? interface->name : chain->interface);
        memcpy(event.pin, attempt->pin, sizeof(event.pin));
        event.pin[sizeof(event.pin) - 1] = '\0';
        describe_detail(attempt, event.detail, sizeof(event.detail));
        (void) guard_add(guard, &event, chain);
        if (attempt->verdict == GUARD_VERDICT_REFUSED)
                return; /* whatever happens to the chain, it was not this */
        guard_hint(guard, &(GuardHint){
                                  .boottime = attempt->boottime,
                                  .act = attempt->act,
                                  .ifindex = attempt->ifindex,
                                  .hook = attempt->hook,
                                  .basis = BASIS_ASKED,
                                  .who = attempt->who,
                          });
}

bool guard_note_fact(Guard *guard, const GuardFact *fact) {
        const Chain *chain = chain_at(guard, fact->ifindex, fact->hook);

        if (fact->result != 0 || !chain)
                return false;
        guard_hint(guard, &(GuardHint){
                                  .boottime = fact->boottime,
                                  .act = fact->act,
                                  .ifindex = fact->ifindex,
                                  .hook = fact->hook,
                                  .program_id = fact->act == GUARD_ACT_DETACH ? 0 : fact->program_id,
                                  .basis = BASIS_DID,
                                  .fact = true,
                                  .who = fact->who,
                          });
        return true;
}

/* Is that, done on this hook, done to the chain? On tcx others may come and go behind ours. A link that was detached
 * stays so: what was detached there and is not missed was none of ours, or nothing at all ("xdpgeneric off"). */
static bool is_disturbing(const Chain *chain, GuardAct act) {
        return act == GUARD_ACT_PRECEDE || (chain->hook == HOOK_XDP && act == GUARD_ACT_REPLACE);
}

void guard_tell_what_passed(Guard *guard) {
        for (size_t i = 0; i < MIN2(guard->n_hints, (size_t) GUARD_HINTS_KEPT); i++) {
                GuardHint *hint = &guard->hints[i];
                Chain *chain = hint->fact && !hint->used ? chain_at(guard, hint->ifindex, hint->hook) : NULL;
                GuardEvent event;

                if (!hint->fact || hint->used)
                        continue;
                hint->used = true;
                /* One that does not run, or was told of already, is another matter. */
                if (!chain || !chain->attachment || chain->noted != 0 || !is_disturbing(chain, hint->act))
                        continue;
                event = (GuardEvent){
                        .realtime = usec_now(CLOCK_REALTIME),
                        .boottime = hint->boottime,
                        .act = hint->act,
                        .rule = -1,
                        .hook = hint->hook,
                        .program_id = hint->program_id,
                        .detail = "which was over when it was looked at",
                        .source = "hook-facts",
                        .basis = hint->basis,
                        .who = hint->who,
                };
                snprintf(event.interface, sizeof(event.interface), "%s", chain->interface);
                (void) guard_add(guard, &event, chain);
        }
}

void guard_set_facts_complete(Guard *guard, bool complete) {
        guard->facts_complete = complete;
}

void guard_set_reader(Guard *guard, void (*read)(void *userdata), void *userdata) {
        guard->read = read;
        guard->read_userdata = userdata;
}
