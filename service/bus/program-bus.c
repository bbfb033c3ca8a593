/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/program-bus.h"

#include "bus/context.h"
#include "bus/wire.h"

static Program *program_from_path(BusContext *context, const char *path) {
        _cleanup_free_ char *name = NULL;

        if (object_path_parse(path, OBJECT_PROGRAM, &name, NULL) <= 0)
                return NULL;
        return manager_get_program(context->manager, name);
}

static int program_find(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret_found,
                        sd_bus_error *ret_error) {
        if (!program_from_path(userdata, path))
                return 0;
        *ret_found = userdata;
        return 1;
}

static int program_enumerate(sd_bus *bus, const char *prefix, void *userdata, char ***ret_nodes,
                             sd_bus_error *ret_error) {
        BusContext *context = userdata;
        char **nodes = NULL;
        size_t n = 0;

        TABLE_FOREACH (Program, program, manager_programs(context->manager)) {
                if (object_list_add(&nodes, &n, OBJECT_PROGRAM, program->name, NULL) < 0) {
                        object_list_free(nodes);
                        return -ENOMEM;
                }
        }
        *ret_nodes = nodes;
        return 0;
}

static int property_string(sd_bus *bus, const char *path, const char *interface, const char *property,
                           sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        Program *program = program_from_path(userdata, path);
        const char *s = NULL;

        if (!program)
                return -ENOENT;
        if (streq(property, "Name"))
                s = program->name;
        else if (streq(property, "Object"))
                s = program->object;
        else if (streq(property, "Function"))
                s = program->info.function ? program->info.function : program->function;
        else if (streq(property, "Type"))
                s = !program->info.function ? "" : program->info.tc ? "tc" : "xdp";
        else if (streq(property, "Digest"))
                s = program->digest;
        else if (streq(property, "State"))
                s = program_state_to_string(program->state);
        else if (streq(property, "Error"))
                s = program->error;
        else if (streq(property, "Tag"))
                s = program->info.tag;
        else if (streq(property, "Document"))
                s = program->document;
        else if (streq(property, "Description"))
                s = program->description;
        return wire_append_string(reply, s);
}

static int property_chains(sd_bus *bus, const char *path, const char *interface, const char *property,
                           sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        BusContext *context = userdata;
        Program *program = program_from_path(context, path);
        int r;

        if (!program)
                return -ENOENT;
        r = sd_bus_message_open_container(reply, 'a', "o");
        TABLE_FOREACH (Chain, chain, manager_chains(context->manager)) {
                _cleanup_free_ char *chain_path = NULL;

                if (r < 0 || chain_find_slot(chain, program->name) < 0)
                        continue;
                chain_path = object_path(OBJECT_CHAIN, chain->interface, hook_to_string(chain->hook));
                r = chain_path ? sd_bus_message_append(reply, "o", chain_path) : -ENOMEM;
        }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int property_maps(sd_bus *bus, const char *path, const char *interface, const char *property,
                         sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        Program *program = program_from_path(userdata, path);
        int r;

        if (!program)
                return -ENOENT;
        r = sd_bus_message_open_container(reply, 'a', "o");
        for (size_t i = 0; r >= 0 && i < program->info.n_maps; i++) {
                _cleanup_free_ char *map = object_path(OBJECT_MAP, program->name, program->info.maps[i].name);

                r = map ? sd_bus_message_append(reply, "o", map) : -ENOMEM;
        }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int property_verifier(sd_bus *bus, const char *path, const char *interface, const char *property,
                             sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        Program *program = program_from_path(userdata, path);
        const ProgramInfo *info;
        int r;

        if (!program)
                return -ENOENT;
        info = &program->info;
        r = sd_bus_message_open_container(reply, 'a', "{sv}");
        if (r >= 0 && info->insns > 0)
                r = wire_append_entry_u32(reply, "instructions", info->insns);
        if (r >= 0 && info->verified_insns > 0)
                r = wire_append_entry_u32(reply, "instructions-processed", info->verified_insns);
        if (r >= 0 && info->states_total > 0)
                r = wire_append_entry_u32(reply, "states", info->states_total);
        if (r >= 0 && info->stack_depth > 0)
                r = wire_append_entry_u32(reply, "stack-depth", info->stack_depth);
        if (r >= 0 && info->load_usec > 0)
                r = wire_append_entry_u64(reply, "time", info->load_usec);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int property_loaded_at(sd_bus *bus, const char *path, const char *interface, const char *property,
                              sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        Program *program = program_from_path(userdata, path);

        return program ? sd_bus_message_append(reply, "t", program->loaded_at) : -ENOENT;
}

/* Sums of all chains that count. Each counts as its level has it, so that what a program saw is known of chains at
 * the level `all` only. A program is for XDP or for TC, so its verdicts all have the same names. */
static int program_counters(BusContext *context, const Program *program, SlotCounters *ret, Hook *ret_hook) {
        SlotCounters sum = {};
        Hook hook = program->info.tc ? HOOK_TC_INGRESS : HOOK_XDP;

        TABLE_FOREACH (Chain, chain, manager_chains(context->manager)) {
                const ChainFigures *figures;
                const SlotCounters *counters;
                int slot = chain_find_slot(chain, program->name);

                if (slot < 0)
                        continue;
                figures = counters_get(&context->counters, context->event, context->manager, chain);
                if (!figures)
                        return -ENOMEM;
                hook = chain->hook;
                counters = &figures->counters.slots[slot];
                sum.ended += counters->ended;
                for (unsigned i = 0; i < VERDICT_BUCKETS; i++)
                        sum.endings[i] += counters->endings[i];
                if (chain->counters != COUNTER_LEVEL_ALL)
                        continue;
                sum.packets += counters->packets;
                for (unsigned i = 0; i < VERDICT_BUCKETS; i++)
                        sum.verdicts[i] += counters->verdicts[i];
        }
        *ret = sum;
        *ret_hook = hook;
        return 0;
}

static int property_figure(sd_bus *bus, const char *path, const char *interface, const char *property,
                           sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        Program *program = program_from_path(userdata, path);
        SlotCounters counters;
        Hook hook;
        int r;

        if (!program)
                return -ENOENT;
        r = program_counters(userdata, program, &counters, &hook);
        if (r < 0)
                return r;
        return sd_bus_message_append(reply, "t", streq(property, "Packets") ? counters.packets : counters.ended);
}

static int property_verdicts(sd_bus *bus, const char *path, const char *interface, const char *property,
                             sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        Program *program = program_from_path(userdata, path);
        SlotCounters counters;
        Hook hook;
        int r;

        if (!program)
                return -ENOENT;
        r = program_counters(userdata, program, &counters, &hook);
        if (r < 0)
                return r;
        return wire_append_verdicts(reply, hook, streq(property, "Verdicts") ? counters.verdicts : counters.endings);
}

static const sd_bus_vtable program_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Name", "s", property_string, 0, BUS_CONSTANT),
        SD_BUS_PROPERTY("Object", "s", property_string, 0, BUS_CHANGES),
        SD_BUS_PROPERTY("Function", "s", property_string, 0, BUS_CHANGES),
        SD_BUS_PROPERTY("Type", "s", property_string, 0, BUS_CHANGES),
        SD_BUS_PROPERTY("Digest", "s", property_string, 0, BUS_CHANGES),
        SD_BUS_PROPERTY("State", "s", property_string, 0, BUS_CHANGES),
        SD_BUS_PROPERTY("Error", "s", property_string, 0, BUS_CHANGES),
        SD_BUS_PROPERTY("Tag", "s", property_string, 0, BUS_CHANGES),
        SD_BUS_PROPERTY("Chains", "ao", property_chains, 0, BUS_CHANGES),
        SD_BUS_PROPERTY("Maps", "ao", property_maps, 0, BUS_CHANGES),
        SD_BUS_PROPERTY("Verifier", "a{sv}", property_verifier, 0, BUS_CHANGES),
        SD_BUS_PROPERTY("LoadedAt", "t", property_loaded_at, 0, BUS_CHANGES),
        SD_BUS_PROPERTY("Ended", "t", property_figure, 0, BUS_SILENT),
        SD_BUS_PROPERTY("Endings", "a{st}", property_verdicts, 0, BUS_SILENT),
        SD_BUS_PROPERTY("Packets", "t", property_figure, 0, BUS_SILENT),
        SD_BUS_PROPERTY("Verdicts", "a{st}", property_verdicts, 0, BUS_SILENT),
        SD_BUS_PROPERTY("Document", "s", property_string, 0, BUS_CHANGES),
        SD_BUS_PROPERTY("Description", "s", property_string, 0, BUS_CHANGES),
        SD_BUS_VTABLE_END,
};

const ObjectImplementation program_implementation = {
        .path = BUS_ROOT "/program",
        .interface = "org.bpfchain1.Program",
        .vtable = program_vtable,
        .find = program_find,
        .enumerate = program_enumerate,
};
