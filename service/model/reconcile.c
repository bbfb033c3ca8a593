/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Interfaces come, go and change; chains follow. A chain that runs belongs to an interface index, not to a name: a
 * renamed interface keeps its chain under the new name, as far as documents want it there.
 */
#include "model/transaction.h"
#include "util/log.h"

/* What is not adopted is attached anew: a fault that passes is worth another try. */
#define ADOPT_TRIES 3

static Interface *find_by_index(Manager *manager, int ifindex) {
        TABLE_FOREACH (Interface, interface, &manager->interfaces)
                if (interface->link.ifindex == ifindex)
                        return interface;
        return NULL;
}

void manager_want_reconcile(Manager *manager) {
        if (manager->reconcile_wanted)
                return;
        manager->reconcile_wanted = true;
        OBSERVE(manager, reconcile_wanted);
}

static void remove_interface(Manager *manager, Interface *interface) {
        OBSERVE(manager, interface_removed, interface);
        table_remove(&manager->interfaces, interface->name);
        link_record_done(&interface->link);
        free(interface->name);
        free(interface);
}

static int add_interface(Manager *manager, const LinkRecord *link) {
        Interface *interface = calloc(1, sizeof(Interface));
        int r = -ENOMEM;

        if (interface && (interface->name = strdup(link->name)))
                r = link_record_copy(link, &interface->link);
        if (r >= 0)
                r = table_add(&manager->interfaces, interface);
        if (r < 0) {
                if (interface) {
                        link_record_done(&interface->link);
                        free(interface->name);
                }
                free(interface);
                return r;
        }
        OBSERVE(manager, interface_added, interface);
        holdings_link_changed(manager, interface);
        return 0;
}

/* Do chains have to look at this change? Up and down, counters and the like do not matter to them. An XDP program
 * that went may leave the hook to a chain that waits for it. */
static bool concerns_chains(const LinkRecord *before, const LinkRecord *after) {
        if (before->n_altnames != after->n_altnames || (before->xdp_program_id != 0 && after->xdp_program_id == 0))
                return true;
        for (size_t i = 0; i < before->n_altnames; i++)
                if (!streq(before->altnames[i], after->altnames[i]))
                        return true;
        return false;
}

int manager_link_changed(Manager *manager, const LinkRecord *link) {
        Interface *interface = find_by_index(manager, link->ifindex);
        Interface *holder = manager_get_interface(manager, link->name);
        LinkRecord copy;
        int r;

        /* Names are unique: who else had it has been renamed or has gone, and the news is still on its way. */
        if (holder && holder != interface)
                remove_interface(manager, holder);

        if (interface && streq(interface->name, link->name)) {
                if (link_record_equal(&interface->link, link))
                        return 0;
                r = link_record_copy(link, &copy);
                if (r < 0)
                        return r;
                if (concerns_chains(&interface->link, link))
                        manager_want_reconcile(manager);
                link_record_done(&interface->link);
                interface->link = copy;
                OBSERVE(manager, interface_changed, interface);
                holdings_link_changed(manager, interface);
                return 0;
        }

        if (interface)
                remove_interface(manager, interface);
        manager_want_reconcile(manager);
        return add_interface(manager, link);
}

void manager_link_vanished(Manager *manager, int ifindex) {
        Interface *interface = find_by_index(manager, ifindex);

        if (!interface)
                return;
        remove_interface(manager, interface);
        manager_want_reconcile(manager);
}

/* Chains whose interface has another name now get it, those whose interface is gone lose what is left of their
 * attachment. All leave the table before the first comes back, so that names can be swapped. 1: something changed. */
static int follow_interfaces(Manager *manager) {
        Chain **moved _cleanup_free_ = calloc(manager->chains.n + 1, sizeof(Chain *));
        bool dropped = false;
        size_t n = 0;

        if (!moved)
                return -ENOMEM;
        for (size_t i = manager->chains.n; i > 0; i--) {
                Chain *chain = manager->chains.items[i - 1];
                Interface *interface = chain->ifindex > 0 ? find_by_index(manager, chain->ifindex) : NULL;

                if (!chain->attachment)
                        continue;
                if (!interface) {
                        manager_drop_attachment(manager, chain);
                        dropped = true;
                } else if (!streq(interface->name, chain->interface)) {
                        OBSERVE(manager, chain_removed, chain);
                        table_remove(&manager->chains, chain->key);
                        moved[n++] = chain;
                }
        }

        for (size_t i = 0; i < n; i++) {
                Chain *chain = moved[i], *other;
                Interface *interface = find_by_index(manager, chain->ifindex);
                LogFields fields = { .interface = interface->name, .hook = hook_to_string(chain->hook) };
                char *key = chain_key(interface->name, chain->hook), *name = strdup(interface->name);

                if (!key || !name) {
                        free(key);
                        free(name);
                        manager->ops->attachment_free(chain->attachment);
                        chain_free(chain);
                        continue;
                }
                log_with(LOG_INFO, &fields, "%s/%s: the interface is called %s now", chain->interface,
                         hook_to_string(chain->hook), name);
                free(chain->key);
                free(chain->interface);
                chain->key = key;
                chain->interface = name;

                other = table_get(&manager->chains, chain->key);
                if (other) {
                        manager_drop_attachment(manager, other);
                        OBSERVE(manager, chain_removed, other);
                        table_remove(&manager->chains, other->key);
                        chain_free(other);
                }
                if (table_add(&manager->chains, chain) < 0) {
                        manager->ops->attachment_free(chain->attachment);
                        chain_free(chain);
                        continue;
                }
                OBSERVE(manager, chain_added, chain);
        }
        return dropped || n > 0;
}

/* The chain of state.json that an attachment belongs to, or a new one for an attachment that it does not know. */
static Chain *chain_for_attachment(Manager *manager, int ifindex, Hook hook, const Interface *interface) {
        _cleanup_(chain_freep) Chain *chain = NULL;
        Chain *known;

        TABLE_FOREACH (Chain, c, &manager->chains)
                if (c->ifindex == ifindex && c->hook == hook)
                        return c;
        known = manager_get_chain(manager, interface->name, hook);
        if (known)
                return known->attachment ? NULL : known;
        chain = chain_new(interface->name, hook);
        if (!chain)
                return NULL;
        chain->ifindex = ifindex;
        if (table_add(&manager->chains, chain) < 0)
                return NULL;
        return TAKE_PTR(chain);
}

/* Counters that were lost, or are of a service that kept other ones, begin anew with the next exchange. */
static void check_rows(Manager *manager, Chain *chain) {
        ChainCounters ignored;

        if (chain->counters != COUNTER_LEVEL_OFF && manager_read_chain_counters(manager, chain, &ignored) == -ENODATA)
                chain_reset_rows(chain);
}

static void adopt_one(Manager *manager, int ifindex, Hook hook) {
        const Interface *interface = find_by_index(manager, ifindex);
        KernelAttachment *attachment = NULL;
        AttachmentInfo info = {};
        char signature[65] = "";
        Chain *chain;
        int r;

        for (unsigned i = 0; i < ADOPT_TRIES; i++) {
                r = manager->ops->chain_adopt(manager->kernel, ifindex, hook, &attachment, &info, signature);
                if (r >= 0 || r == -ENOENT)
                        break;
        }
        if (r < 0) {
                if (r != -ENOENT)
                        log_warning("The chain pinned for %s of interface %d can't be adopted: %s",
                                    hook_to_string(hook), ifindex, strerror(-r));
                return;
        }
        chain = interface ? chain_for_attachment(manager, ifindex, hook, interface) : NULL;
        if (!chain) {
                /* Left by an earlier service on an interface that is none of ours any more, or by two that have got
                 * the same name one after the other. */
                manager->ops->chain_detach(manager->kernel, attachment);
                return;
        }
        if (chain->signature && chain->ifindex == ifindex && chain->info.program_id == info.program_id &&
            startswith(chain->signature, signature)) {
                LogFields fields = { .interface = interface->name, .hook = hook_to_string(hook) };

                log_with(LOG_INFO, &fields, "%s: adopted, link %u, program %u", chain->key, info.link_id,
                         info.program_id);
        } else {
                /* It runs something that we have no record of: it is exchanged if wanted, taken off if not. */
                (void) free_and_strdup(&chain->signature, NULL);
                chain_free_seats(chain);
                slots_free(chain->slots, chain->n_slots);
                chain->slots = NULL;
                chain->n_slots = 0;
        }
        chain->ifindex = ifindex;
        chain->attachment = attachment;
        chain->info = info;
        chain->state = CHAIN_STATE_ACTIVE;
        check_rows(manager, chain);
}

static bool runs(Manager *manager, const char *program) {
        TABLE_FOREACH (Chain, chain, &manager->chains)
                if (chain->attachment && chain_find_slot(chain, program) >= 0)
                        return true;
        return false;
}

static bool maps_were_exchanged(const Program *program) {
        for (size_t i = 0; i < program->n_recorded; i++) {
                const MapInfo *map = program_get_map(program, program->recorded[i].name);

                if (map && map->id != program->recorded[i].id)
                        return true;
        }
        return false;
}

/* The last service died in a commit: it had pinned the maps of a new instance, and not yet exchanged the chains. What
 * runs does not use the maps that are pinned; so it is built anew, with them. */
static void rebuild(Manager *manager, Program *program) {
        log_notice("The maps pinned for program %s are not those that it runs with; it is loaded anew",
                   program->name);
        TABLE_FOREACH (Chain, chain, &manager->chains)
                if (chain_find_slot(chain, program->name) >= 0)
                        (void) free_and_strdup(&chain->signature, NULL);
        (void) free_and_strdup(&program->signature, NULL);
        (void) free_and_strdup(&program->contents, NULL);
        (void) free_and_strdup(&program->digest, NULL);
}

static int adopt_maps(Manager *manager, Program *program) {
        ProgramInfo info = {};
        int r;

        r = manager->ops->program_adopt(manager->kernel, program->name, &program->kernel, &info);
        if (r < 0) {
                if (r != -ENOENT)
                        log_warning("The maps pinned for program %s can't be adopted: %s", program->name,
                                    strerror(-r));
                return r;
        }
        program->info.maps = info.maps;
        program->info.n_maps = info.n_maps;
        free(info.function);
        return 0;
}

/* Programs that were recorded. One without maps has no pins, and is there as long as it runs. */
static void adopt_recorded(Manager *manager) {
        for (size_t i = manager->programs.n; i > 0; i--) {
                Program *program = manager->programs.items[i - 1];

                if (adopt_maps(manager, program) < 0 && !runs(manager, program->name)) {
                        table_remove(&manager->programs, program->name);
                        program_free(program);
                        continue;
                }
                if (maps_were_exchanged(program))
                        rebuild(manager, program);
                program_forget_recorded(program);
                OBSERVE(manager, program_added, program);
                OBSERVE(manager, program_maps_added, program);
        }
}

/* Maps that are pinned for programs of which there is no record: what is in them is kept. */
static int adopt_unrecorded(Manager *manager) {
        const Table *defs = desired_programs(manager->desired);

        for (size_t i = 0; i < defs->n; i++) {
                const ProgramDef *def = defs->items[i];
                _cleanup_(program_freep) Program *program = NULL;
                int r;

                if (manager_get_program(manager, def->name))
                        continue;
                program = program_new(def->name);
                if (!program)
                        return -ENOMEM;
                if (adopt_maps(manager, program) < 0)
                        continue;
                program->state = PROGRAM_STATE_ADOPTED;
                r = table_add(&manager->programs, program);
                if (r < 0) {
                        manager->ops->program_unref(program->kernel);
                        return r;
                }
                OBSERVE(manager, program_added, program);
                OBSERVE(manager, program_maps_added, program);
                TAKE_PTR(program);
        }
        return 0;
}

static bool is_known(const char *program, void *userdata) {
        Manager *manager = userdata;

        return manager_get_program(manager, program) || desired_get_program(manager->desired, program);
}

/* A service that died in a change, or whose record was lost, may have left maps that nobody asks for. Not while a
 * document can't be read: it may be the one that does. */
static void sweep_maps(Manager *manager) {
        for (size_t i = 0; i < manager->store.n; i++)
                if (manager->store.items[i].state == DOCUMENT_STATE_FAILED)
                        return;
        manager->ops->program_sweep(manager->kernel, is_known, manager);
}

static int adopt(Manager *manager) {
        int *ifindexes _cleanup_free_ = NULL;
        Hook *hooks _cleanup_free_ = NULL;
        size_t n = 0;
        int r;

        for (unsigned i = 0; i < ADOPT_TRIES; i++) {
                r = manager->ops->chain_list(manager->kernel, &ifindexes, &hooks, &n);
                if (r >= 0)
                        break;
        }
        if (r < 0)
                log_warning("What an earlier service left can't be listed: %s", strerror(-r));
        for (size_t i = 0; i < n; i++)
                adopt_one(manager, ifindexes[i], hooks[i]);

        /* What state.json knows and nothing is pinned of is gone. */
        for (size_t i = manager->chains.n; i > 0; i--) {
                Chain *chain = manager->chains.items[i - 1];

                if (chain->attachment) {
                        OBSERVE(manager, chain_added, chain);
                        continue;
                }
                table_remove(&manager->chains, chain->key);
                chain_free(chain);
        }
        adopt_recorded(manager);
        r = adopt_unrecorded(manager);
        sweep_maps(manager);
        return r;
}

int manager_reconcile(Manager *manager) {
        _cleanup_(transaction_freep) Transaction *t = NULL;
        _cleanup_error_ Error error = ERROR_INIT;
        bool first = !manager->ready, moved;
        int r;

        manager->reconcile_wanted = false;
        if (first) {
                r = adopt(manager);
                if (r < 0)
                        log_warning("What an earlier service left can't be adopted: %s", strerror(-r));
        }
        r = follow_interfaces(manager);
        moved = r > 0;
        /* Building chains takes time, in which no packet is to pass. */
        holdings_update(manager);
        if (r >= 0)
                r = transaction_new(manager, manager->desired, NULL, &t);
        if (r >= 0)
                r = transaction_prepare(t, &error);
        if (r >= 0)
                r = transaction_commit(t, manager->generation, &error);
        if (r < 0)
                log_error("Chains could not be brought to what is wanted: %s",
                          error.message ? error.message : strerror(-r));
        manager->ready = true;
        holdings_update(manager);
        if (first || moved || (t && transaction_changed_anything(t)))
                (void) state_save(manager);
        manager_refresh_problems(manager);
        return r;
}
