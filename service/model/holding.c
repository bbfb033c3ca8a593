/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <json-c/json.h>

#include "model/manager-internal.h"
#include "util/clock.h"
#include "util/log.h"

#define MESSAGE_ID_HELD     "5a4881d45a524277b64f12e9b1531e9c"
#define MESSAGE_ID_RELEASED "41660b9d68a34c4f9f8bf7344464742c"

/* The last pause is short: the interface is open meanwhile. */
#define LIMITS                                                                                                       \
        ((RestoreLimits){ .limit = 10,                                                                               \
                          .window = 10 * USEC_PER_SEC,                                                               \
                          .backoff = 100 * USEC_PER_MSEC,                                                            \
                          .backoff_max = USEC_PER_SEC })
#define FAILED_PAUSE USEC_PER_SEC
#define LOADED_MAX   65536

void holdings_done(Holdings *holdings) {
        for (size_t i = 0; i < holdings->n; i++)
                free(holdings->items[i].reason);
        free(holdings->items);
        *holdings = (Holdings){};
}

static Holding *find(const Manager *manager, int ifindex) {
        for (size_t i = 0; i < manager->holdings.n; i++)
                if (manager->holdings.items[i].ifindex == ifindex)
                        return &manager->holdings.items[i];
        return NULL;
}

static Holding *add(Manager *manager, int ifindex) {
        Holding *holding = ARRAY_APPEND(manager->holdings.items, manager->holdings.n);

        if (holding)
                *holding = (Holding){ .ifindex = ifindex };
        return holding;
}

static void drop(Manager *manager, Holding *holding) {
        Holdings *all = &manager->holdings;
        size_t i = (size_t) (holding - all->items);

        free(holding->reason);
        memmove(holding, holding + 1, (all->n - i - 1) * sizeof(Holding));
        all->n--;
}

const char *manager_interface_held(const Manager *manager, const Interface *interface) {
        const Holding *holding = find(manager, interface->link.ifindex);

        return holding ? holding->reason : NULL;
}

/* Documents in effect, those included that are left out for what they have in common with others: they ask for it
 * nevertheless. */
static const Document *document_of(const StoredDocument *item) {
        return item->state == DOCUMENT_STATE_ACTIVE || item->state == DOCUMENT_STATE_FAILED ? item->document : NULL;
}

static bool anybody_asks(const Manager *manager) {
        for (size_t i = 0; i < manager->store.n; i++) {
                const Document *document = document_of(&manager->store.items[i]);

                for (size_t j = 0; document && j < document->n_chains; j++)
                        if (document->chains[j].fail_closed)
                                return true;
        }
        return false;
}

/* The document that asks for it, or NULL. */
static const Document *who_asks(const Manager *manager, const LinkRecord *link, Hook hook) {
        const Document *asks = NULL;
        bool programs = false;

        for (size_t i = 0; i < manager->store.n; i++) {
                const Document *document = document_of(&manager->store.items[i]);

                for (size_t j = 0; document && j < document->n_chains; j++) {
                        const ChainDef *def = &document->chains[j];

                        if (!chain_def_matches(def, link, hook))
                                continue;
                        if (def->detached)
                                return NULL;
                        programs = programs || def->n_slots > 0;
                        if (def->fail_closed && !asks)
                                asks = document;
                }
        }
        return programs ? asks : NULL;
}

static bool runs(const Chain *chain) {
        return chain && chain->attachment &&
               (chain->state == CHAIN_STATE_ACTIVE || (chain->state == CHAIN_STATE_DEGRADED && chain->fail_closed));
}

/* What is attached belongs to the interface, whatever that was called a moment ago. */
static const Chain *chain_on(Manager *manager, const Interface *interface, Hook hook) {
        TABLE_FOREACH (Chain, chain, &manager->chains)
                if (chain->attachment && chain->ifindex == interface->link.ifindex && chain->hook == hook)
                        return chain;
        return manager_get_chain(manager, interface->name, hook);
}

/* 0: nothing keeps it down; 1: the sentence, and the document that asks; -ENOMEM. */
static int why_down(Manager *manager, const Interface *interface, Hook *ret_hook, const char **ret_document,
                    char **ret) {
        if (manager->all_detached || interface->link.flags & IFF_LOOPBACK)
                return 0;
        for (Hook hook = 0; hook < _HOOK_MAX; hook++) {
                const Document *document = who_asks(manager, &interface->link, hook);
                const Chain *chain = document ? chain_on(manager, interface, hook) : NULL;
                const char *reason = chain && chain->reason ? chain->reason : "it is not on its hook yet";

                if (!document || runs(chain) || (chain && chain->state == CHAIN_STATE_DETACHED))
                        continue;
                if (asprintf(ret, "\"fail-closed\" of %s.json keeps %s down until %s/%s runs: %s", document->name,
                             interface->name, interface->name, hook_to_string(hook), reason) < 0)
                        return -ENOMEM;
                *ret_hook = hook;
                *ret_document = document->name;
                return 1;
        }
        return 0;
}

static void log_held(const Interface *interface, const Holding *holding, Hook hook, const char *document) {
        const LogFields fields = { .interface = interface->name,
                                   .hook = hook_to_string(hook),
                                   .document = document,
                                   .message_id = MESSAGE_ID_HELD };

        log_with(LOG_WARNING, &fields, "%s: set down. %s", interface->name, holding->reason);
}

/* May it be set down now? If not, it is tried again after a pause. */
static bool is_time(const Interface *interface, Holding *holding, uint64_t now) {
        if (holding->again > now)
                return false;
        if (holding->again > 0) {
                holding->again = 0;
                return true;
        }
        if (restores_allow(&holding->acts, RESTORE_POLICY_LIMITED, &LIMITS, now, &holding->again)) {
                holding->again = 0;
                return true;
        }
        if (!holding->told)
                log_warning("%s: somebody sets it up again and again, against \"fail-closed\"; it is set down once a "
                            "second from now on",
                            interface->name);
        holding->told = true;
        return false;
}

static void set(Manager *manager, Interface *interface, bool up) {
        interface->link.flags = up ? interface->link.flags | IFF_UP : interface->link.flags & ~(unsigned) IFF_UP;
        OBSERVE(manager, interface_changed, interface);
}

static void set_down(Manager *manager, Interface *interface, Holding *holding, Hook hook, const char *document) {
        bool before = holding->taken;
        int r;

        if (!link_record_up(&interface->link)) {
                holding->again = 0;
                return;
        }
        if (!is_time(interface, holding, usec_now(CLOCK_BOOTTIME)))
                return;
        /* First, so that one who dies after the act knows what to undo. */
        holding->taken = true;
        if (!before)
                (void) state_save(manager);
        r = manager->ops->interface_set_up(manager->kernel, interface->link.ifindex, false);
        if (r < 0) {
                if (!holding->told)
                        log_error(
                                "%s: it can't be set down, so that packets pass without the chain: %s; trying again",
                                interface->name, strerror(-r));
                holding->told = true;
                holding->taken = before;
                holding->again = usec_now(CLOCK_BOOTTIME) + FAILED_PAUSE;
                return;
        }
        if (!before)
                log_held(interface, holding, hook, document);
        set(manager, interface, false);
}

/* Nothing keeps it down any more. */
static void release(Manager *manager, Interface *interface, Holding *holding) {
        const LogFields fields = { .interface = interface->name, .message_id = MESSAGE_ID_RELEASED };
        bool taken = holding->taken;
        int r = 0;

        if (taken && holding->again > usec_now(CLOCK_BOOTTIME) && !holding->reason)
                return;
        if (taken)
                r = manager->ops->interface_set_up(manager->kernel, interface->link.ifindex, true);
        if (r < 0 && r != -ENODEV) {
                if (holding->reason)
                        log_error("%s: it can't be set up again: %s; trying again", interface->name, strerror(-r));
                (void) free_and_strdup(&holding->reason, NULL);
                holding->again = usec_now(CLOCK_BOOTTIME) + FAILED_PAUSE;
                OBSERVE(manager, interface_changed, interface);
                return;
        }
        drop(manager, holding);
        if (!taken) {
                OBSERVE(manager, interface_changed, interface);
                return;
        }
        log_with(LOG_NOTICE, &fields, "%s: set up again, nothing keeps it down any more", interface->name);
        set(manager, interface, true);
        (void) state_save(manager);
}

static void update(Manager *manager, Interface *interface) {
        Holding *holding = find(manager, interface->link.ifindex);
        _cleanup_free_ char *reason = NULL;
        const char *document = NULL;
        Hook hook = HOOK_XDP;
        int r;

        r = why_down(manager, interface, &hook, &document, &reason);
        if (r == 0 && holding)
                release(manager, interface, holding);
        if (r == 0)
                return;
        if (r > 0 && !holding)
                holding = add(manager, interface->link.ifindex);
        if (r < 0 || !holding) {
                log_error("Out of memory while %s is to be kept down", interface->name);
                return;
        }
        if (!streq_ptr(holding->reason, reason)) {
                /* It waited to be set up, and now that is over. */
                if (!holding->reason)
                        holding->again = 0;
                free(holding->reason);
                holding->reason = TAKE_PTR(reason);
                OBSERVE(manager, interface_changed, interface);
        }
        set_down(manager, interface, holding, hook, document);
}

static bool is_there(Manager *manager, int ifindex) {
        TABLE_FOREACH (Interface, interface, &manager->interfaces)
                if (interface->link.ifindex == ifindex)
                        return true;
        return false;
}

void holdings_update(Manager *manager) {
        bool gone = false;

        for (size_t i = manager->holdings.n; i > 0; i--)
                if (!is_there(manager, manager->holdings.items[i - 1].ifindex)) {
                        gone = gone || manager->holdings.items[i - 1].taken;
                        drop(manager, &manager->holdings.items[i - 1]);
                }
        if (gone)
                (void) state_save(manager);
        if (manager->holdings.n > 0 || anybody_asks(manager))
                TABLE_FOREACH (Interface, interface, &manager->interfaces)
                        update(manager, interface);
        manager_tell_deadline(manager);
}

void holdings_link_changed(Manager *manager, Interface *interface) {
        /* Before that nobody knows what runs. */
        if (!manager->ready || !link_record_up(&interface->link) || !anybody_asks(manager))
                return;
        update(manager, interface);
        manager_tell_deadline(manager);
}

uint64_t holdings_deadline(const Manager *manager) {
        uint64_t deadline = UINT64_MAX;

        for (size_t i = 0; i < manager->holdings.n; i++)
                if (manager->holdings.items[i].again > 0)
                        deadline = MIN2(deadline, manager->holdings.items[i].again);
        return deadline;
}

json_object *holdings_json(const Manager *manager) {
        json_object *array = json_object_new_array();

        for (size_t i = 0; i < manager->holdings.n; i++)
                if (manager->holdings.items[i].taken)
                        json_object_array_add(array, json_object_new_int(manager->holdings.items[i].ifindex));
        return array;
}

int holdings_load(Manager *manager, json_object *array) {
        size_t n = array ? json_object_array_length(array) : 0;

        if (n > LOADED_MAX)
                return -EBADMSG;
        for (size_t i = 0; i < n; i++) {
                json_object *item = json_object_array_get_idx(array, i);
                int ifindex = json_object_get_int(item);
                Holding *holding;

                if (!json_object_is_type(item, json_type_int) || ifindex <= 0)
                        return -EBADMSG;
                if (find(manager, ifindex))
                        continue;
                holding = add(manager, ifindex);
                if (!holding)
                        return -ENOMEM;
                holding->taken = true;
        }
        return 0;
}
