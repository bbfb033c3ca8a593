/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/chain-bus.h"

#include "bus/context.h"
#include "bus/guard-bus.h"
#include "bus/options.h"
#include "bus/simulate-bus.h"
#include "bus/wire.h"

/* The chain at a path; NULL: there is none (any more), or no memory. */
static Chain *chain_from_path(BusContext *context, const char *path) {
        _cleanup_free_ char *interface = NULL, *hook_name = NULL;
        Hook hook;

        if (object_path_parse(path, OBJECT_CHAIN, &interface, &hook_name) <= 0)
                return NULL;
        hook = hook_from_string(hook_name);
        return (int) hook < 0 ? NULL : manager_get_chain(context->manager, interface, hook);
}

static int chain_find(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret_found,
                      sd_bus_error *ret_error) {
        if (!chain_from_path(userdata, path))
                return 0;
        *ret_found = userdata;
        return 1;
}

static int chain_enumerate(sd_bus *bus, const char *prefix, void *userdata, char ***ret_nodes,
                           sd_bus_error *ret_error) {
        BusContext *context = userdata;
        char **nodes = NULL;
        size_t n = 0;

        TABLE_FOREACH (Chain, chain, manager_chains(context->manager)) {
                if (object_list_add(&nodes, &n, OBJECT_CHAIN, chain->interface, hook_to_string(chain->hook)) < 0) {
                        object_list_free(nodes);
                        return -ENOMEM;
                }
        }
        *ret_nodes = nodes;
        return 0;
}

static int authorize(BusContext *context, sd_bus_message *message, const char *program, size_t weight,
                     sd_bus_error *ret_error) {
        _cleanup_free_ char *interface = NULL, *hook = NULL, *chain = NULL;
        int r;

        r = object_path_parse(sd_bus_message_get_path(message), OBJECT_CHAIN, &interface, &hook);
        if (r <= 0)
                return r < 0 ? r : -ENOENT;
        if (asprintf(&chain, "%s/%s", interface, hook) < 0) {
                chain = NULL;
                return -ENOMEM;
        }

        const PolkitDetail details[] = {
                { "chain", chain }, { "interface", interface }, { "hook", hook }, { "program", program }, {},
        };
        return polkit_check(context->polkit, message, POLKIT_MANAGE_CHAINS, details, weight, ret_error);
}

/* What all methods end with: options, authorization, the chain looked up afresh, the change, the reply. */
typedef int (*ChainAct)(Manager *manager, Chain *chain, const void *arguments, const ChangeOptions *options,
                        uint64_t *ret_generation, Error *error);

static int chain_change(sd_bus_message *message, BusContext *context, const char *program, ChainAct act,
                        const void *arguments, sd_bus_error *ret_error) {
        _cleanup_error_ Error error = ERROR_INIT;
        uint64_t generation = 0;
        Options options;
        Chain *chain;
        int r;

        r = options_read(message, OPTIONS_CHANGE, &options, ret_error);
        if (r < 0)
                return r;

        r = authorize(context, message, program, 0, ret_error);
        if (r <= 0)
                return r < 0 ? r : 1;

        chain = chain_from_path(context, sd_bus_message_get_path(message));
        if (!chain)
                return bus_error_failf(ret_error, ERROR_NO_SUCH_CHAIN, "The chain is gone.");

        options.change.origin = bus_context_origin(context, message);
        r = act(context->manager, chain, arguments, &options.change, &generation, &error);
        if (r < 0)
                return bus_error_fail(ret_error, r, &error, "Can't change the chain");

        changes_flush(context);
        return sd_bus_reply_method_return(message, "t", generation);
}

typedef struct Placement {
        const char *program;
        const char *anchor;
} Placement;

static int check_program(const char *program, sd_bus_error *ret_error) {
        if (program_name_is_valid(program))
                return 0;
        return bus_error_failf(ret_error, ERROR_INVALID_ARGUMENT,
                               "\"%.64s\" can't be the name of a program: that has 1 to %d characters of "
                               "A-Z a-z 0-9 . _ - and begins with a letter or digit.",
                               program, PROGRAM_NAME_MAX);
}

static int check_anchor(const char *anchor, sd_bus_error *ret_error) {
        const char *name = startswith(anchor, "before:");

        if (!name)
                name = startswith(anchor, "after:");
        if (name ? program_name_is_valid(name) : streq(anchor, "first") || streq(anchor, "last"))
                return 0;
        return bus_error_failf(ret_error, ERROR_INVALID_ARGUMENT,
                               "\"%.80s\" is no place in a chain: those are first, last, before:NAME and after:NAME.",
                               anchor);
}

static int read_placement(sd_bus_message *message, Placement *ret, sd_bus_error *ret_error) {
        int r;

        r = sd_bus_message_read(message, "ss", &ret->program, &ret->anchor);
        if (r < 0)
                return r;
        r = check_program(ret->program, ret_error);
        return r < 0 ? r : check_anchor(ret->anchor, ret_error);
}

static int act_insert(Manager *manager, Chain *chain, const void *arguments, const ChangeOptions *options,
                      uint64_t *ret_generation, Error *error) {
        const Placement *p = arguments;

        return manager_chain_insert(manager, chain, p->program, p->anchor, options, ret_generation, error);
}

static int method_insert(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        Placement p;
        int r;

        r = read_placement(message, &p, ret_error);
        return r < 0 ? r : chain_change(message, userdata, p.program, act_insert, &p, ret_error);
}

static int act_move(Manager *manager, Chain *chain, const void *arguments, const ChangeOptions *options,
                    uint64_t *ret_generation, Error *error) {
        const Placement *p = arguments;

        return manager_chain_move(manager, chain, p->program, p->anchor, options, ret_generation, error);
}

static int method_move(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        Placement p;
        int r;

        r = read_placement(message, &p, ret_error);
        return r < 0 ? r : chain_change(message, userdata, p.program, act_move, &p, ret_error);
}

static int act_remove(Manager *manager, Chain *chain, const void *arguments, const ChangeOptions *options,
                      uint64_t *ret_generation, Error *error) {
        return manager_chain_remove(manager, chain, arguments, options, ret_generation, error);
}

static int method_remove(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        const char *program;
        int r;

        r = sd_bus_message_read(message, "s", &program);
        if (r < 0)
                return r;
        r = check_program(program, ret_error);
        return r < 0 ? r : chain_change(message, userdata, program, act_remove, program, ret_error);
}

static int act_set_order(Manager *manager, Chain *chain, const void *arguments, const ChangeOptions *options,
                         uint64_t *ret_generation, Error *error) {
        char *const *programs = arguments;

        return manager_chain_set_order(manager, chain, programs, options, ret_generation, error);
}

/* The names belong to the message. */
static int read_programs(sd_bus_message *message, const char *ret[CHAIN_SLOTS_MAX + 1], sd_bus_error *ret_error) {
        size_t n = 0;
        const char *s;
        int r;

        r = sd_bus_message_enter_container(message, 'a', "s");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_read_basic(message, 's', &s)) > 0) {
                if (n == CHAIN_SLOTS_MAX)
                        return bus_error_failf(ret_error, ERROR_INVALID_ARGUMENT,
                                               "More than %d programs: no chain has so many.", CHAIN_SLOTS_MAX);
                r = check_program(s, ret_error);
                if (r < 0)
                        return r;
                ret[n++] = s;
        }
        if (r < 0)
                return r;
        ret[n] = NULL;
        return sd_bus_message_exit_container(message);
}

static int method_set_order(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        const char *programs[CHAIN_SLOTS_MAX + 1];
        int r;

        r = read_programs(message, programs, ret_error);
        return r < 0 ? r : chain_change(message, userdata, NULL, act_set_order, programs, ret_error);
}

static int act_set_detached(Manager *manager, Chain *chain, const void *arguments, const ChangeOptions *options,
                            uint64_t *ret_generation, Error *error) {
        const bool *detached = arguments;

        return manager_chain_set_detached(manager, chain, *detached, options, ret_generation, error);
}

static int method_detach(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        return chain_change(message, userdata, NULL, act_set_detached, &(const bool){ true }, ret_error);
}

static int method_attach(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        return chain_change(message, userdata, NULL, act_set_detached, &(const bool){ false }, ret_error);
}

static int method_simulate(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        _cleanup_(simulate_packets_done) SimulatePackets packets = {};
        BusContext *context = userdata;
        Options options;
        Chain *chain;
        int r;

        r = simulate_packets_read(message, &packets, ret_error);
        if (r >= 0)
                r = options_read(message, OPTION_CONTENTS, &options, ret_error);
        if (r < 0)
                return r;

        r = authorize(context, message, NULL, packets.bytes, ret_error);
        if (r <= 0)
                return r < 0 ? r : 1;

        chain = chain_from_path(context, sd_bus_message_get_path(message));
        if (!chain)
                return bus_error_failf(ret_error, ERROR_NO_SUCH_CHAIN, "The chain is gone.");
        return simulate_chain(context, message, chain, &options, &packets, ret_error);
}

/* One getter for what is a string, one for numbers: each looks its chain up by the path. */
static int property_string(sd_bus *bus, const char *path, const char *interface, const char *property,
                           sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        Chain *chain = chain_from_path(userdata, path);
        const char *s = NULL;

        if (!chain)
                return -ENOENT;
        if (streq(property, "Interface"))
                s = chain->interface;
        else if (streq(property, "Hook"))
                s = hook_to_string(chain->hook);
        else if (streq(property, "State"))
                s = chain_state_to_string(chain->state);
        else if (streq(property, "Reason"))
                s = chain->reason;
        else if (streq(property, "Mode"))
                s = chain_mode_in_effect(chain);
        else if (streq(property, "Counters"))
                s = counter_level_to_string(chain->counters);
        else if (streq(property, "Attachment"))
                s = attach_kind_to_string(chain->attachment ? chain->info.kind : ATTACH_KIND_NONE);
        return wire_append_string(reply, s);
}

static int property_number(sd_bus *bus, const char *path, const char *interface, const char *property,
                           sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        Chain *chain = chain_from_path(userdata, path);

        if (!chain)
                return -ENOENT;
        if (streq(property, "InterfaceIndex"))
                return sd_bus_message_append(reply, "i", chain->ifindex);
        if (streq(property, "LinkId"))
                return sd_bus_message_append(reply, "u", chain->attachment ? chain->info.link_id : 0);
        if (streq(property, "ProgramId"))
                return sd_bus_message_append(reply, "u", chain->attachment ? chain->info.program_id : 0);
        if (streq(property, "Segments"))
                return sd_bus_message_append(reply, "u", chain->attachment ? chain->fused.n_segments : 0);
        return sd_bus_message_append(reply, "t", chain->generation);
}

static int property_documents(sd_bus *bus, const char *path, const char *interface, const char *property,
                              sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        Chain *chain = chain_from_path(userdata, path);

        return chain ? wire_append_strv(reply, chain->documents) : -ENOENT;
}

static int property_disturbance(sd_bus *bus, const char *path, const char *interface, const char *property,
                                sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        Chain *chain = chain_from_path(userdata, path);

        if (!chain)
                return -ENOENT;
        return chain->disturbance ? guard_append_event(reply, chain->disturbance)
                                  : sd_bus_message_append(reply, "a{sv}", 0);
}

static int append_proceed_on(sd_bus_message *reply, Hook hook, uint32_t proceed_on) {
        int r;

        r = sd_bus_message_append(reply, "s", "proceed-on");
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'v', "as");
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "s");
        for (unsigned i = 0; r >= 0 && i < verdict_buckets(hook); i++)
                if (proceed_on & (UINT32_C(1) << i))
                        r = sd_bus_message_append(reply, "s", verdict_bucket_to_string(hook, i));
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_verdicts_entry(sd_bus_message *reply, const char *key, Hook hook,
                                 const uint64_t verdicts[VERDICT_BUCKETS]) {
        int r;

        r = sd_bus_message_open_container(reply, 'e', "sv");
        if (r >= 0)
                r = sd_bus_message_append(reply, "s", key);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'v', "a{st}");
        if (r >= 0)
                r = wire_append_verdicts(reply, hook, verdicts);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* What the level does not count is left out, rather than shown as zero. */
static int append_slot_figures(sd_bus_message *reply, const Chain *chain, const SlotCounters *counters) {
        int r;

        r = wire_append_entry_u64(reply, "ended", counters->ended);
        if (r >= 0)
                r = wire_append_entry_u64(reply, "ended-bytes", counters->ended_bytes);
        if (r >= 0)
                r = append_verdicts_entry(reply, "endings", chain->hook, counters->endings);
        if (r < 0 || chain->counters != COUNTER_LEVEL_ALL)
                return r;
        r = wire_append_entry_u64(reply, "packets", counters->packets);
        if (r >= 0)
                r = wire_append_entry_u64(reply, "bytes", counters->bytes);
        if (r >= 0)
                r = append_verdicts_entry(reply, "verdicts", chain->hook, counters->verdicts);
        return r;
}

static int append_slot_details(sd_bus_message *reply, const Chain *chain, const Slot *slot,
                               const SlotCounters *counters) {
        int r;

        r = sd_bus_message_open_container(reply, 'a', "{sv}");
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'e', "sv");
        if (r >= 0)
                r = append_proceed_on(reply, chain->hook, slot->proceed_on);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        if (r >= 0)
                r = wire_append_entry_string(reply, "form", slot_form_to_string(slot->form));
        if (r >= 0 && slot->reason)
                r = wire_append_entry_string(reply, "form-reason", slot->reason);
        if (r >= 0 && counters)
                r = append_slot_figures(reply, chain, counters);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_slot(sd_bus_message *reply, const Chain *chain, const Slot *slot, const SlotCounters *counters) {
        _cleanup_free_ char *path = object_path(OBJECT_PROGRAM, slot->program, NULL);
        int r;

        if (!path)
                return -ENOMEM;
        r = sd_bus_message_open_container(reply, 'r', "osa{sv}");
        if (r >= 0)
                r = sd_bus_message_append(reply, "os", path, slot->program);
        if (r >= 0)
                r = append_slot_details(reply, chain, slot, counters);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int property_slots(sd_bus *bus, const char *path, const char *interface, const char *property,
                          sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        BusContext *context = userdata;
        const ChainFigures *figures;
        Chain *chain = chain_from_path(context, path);
        int r;

        if (!chain)
                return -ENOENT;
        figures = counters_get(&context->counters, context->event, context->manager, chain);
        if (!figures)
                return -ENOMEM;

        r = sd_bus_message_open_container(reply, 'a', "(osa{sv})");
        for (size_t i = 0; r >= 0 && i < chain->n_slots; i++)
                r = append_slot(reply, chain, &chain->slots[i],
                                figures->counted ? &figures->counters.slots[i] : NULL);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int property_figure(sd_bus *bus, const char *path, const char *interface, const char *property,
                           sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        BusContext *context = userdata;
        const ChainFigures *figures;
        Chain *chain = chain_from_path(context, path);

        if (!chain)
                return -ENOENT;
        figures = counters_get(&context->counters, context->event, context->manager, chain);
        if (!figures)
                return -ENOMEM;
        if (streq(property, "Packets"))
                return sd_bus_message_append(reply, "t", figures->counters.packets);
        if (streq(property, "Bytes"))
                return sd_bus_message_append(reply, "t", figures->counters.bytes);
        return sd_bus_message_append(reply, "t",
                                     streq(property, "RunCount") ? figures->run_count : figures->run_nsec);
}

int chain_append_conflict(BusContext *context, const char *path, sd_bus_message *signal) {
        _cleanup_free_ ForeignInfo *foreign = NULL;
        Chain *chain = chain_from_path(context, path);
        Interface *interface;
        size_t n = 0;
        int r;

        if (!chain)
                return 0;
        interface = manager_get_interface(context->manager, chain->interface);
        if (interface && manager_interface_foreign(context->manager, interface, &foreign, &n) < 0)
                n = 0;

        r = sd_bus_message_open_container(signal, 'a', "{sv}");
        if (r >= 0)
                r = wire_append_entry_string(signal, "hook", hook_to_string(chain->hook));
        if (r >= 0)
                r = wire_append_entry_string(signal, "reason", chain->reason);
        for (size_t i = 0; r >= 0 && i < n; i++)
                if (foreign[i].hook == chain->hook) {
                        r = wire_append_foreign(signal, &foreign[i]);
                        break;
                }
        if (r >= 0)
                r = sd_bus_message_close_container(signal);
        return r < 0 ? r : 1;
}

static const sd_bus_vtable chain_vtable[] = {
        SD_BUS_VTABLE_START(0),

        SD_BUS_METHOD_WITH_ARGS("Insert", SD_BUS_ARGS("s", program, "s", anchor, "a{sv}", options),
                                SD_BUS_RESULT("t", generation), method_insert, BUS_PUBLIC),
        SD_BUS_METHOD_WITH_ARGS("Move", SD_BUS_ARGS("s", program, "s", anchor, "a{sv}", options),
                                SD_BUS_RESULT("t", generation), method_move, BUS_PUBLIC),
        SD_BUS_METHOD_WITH_ARGS("Remove", SD_BUS_ARGS("s", program, "a{sv}", options), SD_BUS_RESULT("t", generation),
                                method_remove, BUS_PUBLIC),
        SD_BUS_METHOD_WITH_ARGS("SetOrder", SD_BUS_ARGS("as", programs, "a{sv}", options),
                                SD_BUS_RESULT("t", generation), method_set_order, BUS_PUBLIC),
        SD_BUS_METHOD_WITH_ARGS("Detach", SD_BUS_ARGS("a{sv}", options), SD_BUS_RESULT("t", generation),
                                method_detach, BUS_PUBLIC),
        SD_BUS_METHOD_WITH_ARGS("Attach", SD_BUS_ARGS("a{sv}", options), SD_BUS_RESULT("t", generation),
                                method_attach, BUS_PUBLIC),
        SD_BUS_METHOD_WITH_ARGS("Simulate", SD_BUS_ARGS("aay", packets, "a{sv}", options), SD_BUS_RESULT("s", report),
                                method_simulate, BUS_PUBLIC),

        SD_BUS_PROPERTY("Interface", "s", property_string, 0, BUS_CONSTANT),
        SD_BUS_PROPERTY("InterfaceIndex", "i", property_number, 0, BUS_CHANGES),
        SD_BUS_PROPERTY("Hook", "s", property_string, 0, BUS_CONSTANT),
        SD_BUS_PROPERTY("State", "s", property_string, 0, BUS_CHANGES),
        SD_BUS_PROPERTY("Reason", "s", property_string, 0, BUS_CHANGES),
        SD_BUS_PROPERTY("Mode", "s", property_string, 0, BUS_CHANGES),
        SD_BUS_PROPERTY("Attachment", "s", property_string, 0, BUS_CHANGES),
        SD_BUS_PROPERTY("LinkId", "u", property_number, 0, BUS_CHANGES),
        SD_BUS_PROPERTY("ProgramId", "u", property_number, 0, BUS_CHANGES),
        SD_BUS_PROPERTY("Segments", "u", property_number, 0, BUS_CHANGES),
        SD_BUS_PROPERTY("Generation", "t", property_number, 0, BUS_CHANGES),
        SD_BUS_PROPERTY("Documents", "as", property_documents, 0, BUS_CHANGES),
        SD_BUS_PROPERTY("LastDisturbance", "a{sv}", property_disturbance, 0, BUS_INVALIDATES),
        SD_BUS_PROPERTY("Slots", "a(osa{sv})", property_slots, 0, BUS_INVALIDATES),
        SD_BUS_PROPERTY("Counters", "s", property_string, 0, BUS_CHANGES),
        SD_BUS_PROPERTY("Packets", "t", property_figure, 0, BUS_SILENT),
        SD_BUS_PROPERTY("Bytes", "t", property_figure, 0, BUS_SILENT),
        SD_BUS_PROPERTY("RunCount", "t", property_figure, 0, BUS_SILENT),
        SD_BUS_PROPERTY("RunTimeNSec", "t", property_figure, 0, BUS_SILENT),

        SD_BUS_SIGNAL_WITH_ARGS("Conflict", SD_BUS_ARGS("a{sv}", holder), 0),
        SD_BUS_SIGNAL_WITH_ARGS("Disturbed", SD_BUS_ARGS("a{sv}", event), 0),
        SD_BUS_VTABLE_END,
};

const ObjectImplementation chain_implementation = {
        .path = BUS_ROOT "/chain",
        .interface = "org.bpfchain1.Chain",
        .vtable = chain_vtable,
        .find = chain_find,
        .enumerate = chain_enumerate,
};
