/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/manager-bus.h"

#include "bus/context.h"
#include "bus/metrics-bus.h"
#include "bus/options.h"
#include "bus/simulate-bus.h"
#include "bus/wire.h"
#include "config-build.h"
#include "util/json.h"

/* Argument checks that cost nothing, before polkit is asked. */

static int check_document_name(const char *name, sd_bus_error *ret_error) {
        if (document_name_is_valid(name))
                return 0;
        return bus_error_failf(ret_error, ERROR_INVALID_ARGUMENT,
                               "\"%.64s\" can't be the name of a document: that has 1 to 128 characters of "
                               "A-Z a-z 0-9 . _ @ : -, begins with a letter or digit, and goes without \".json\".",
                               name);
}

static int check_document_size(const char *document, sd_bus_error *ret_error) {
        if (strlen(document) <= JSON_DOCUMENT_MAX)
                return 0;
        return bus_error_failf(ret_error, ERROR_LIMIT_EXCEEDED,
                               "The document has %zu bytes; at most %u are taken. Split it.", strlen(document),
                               JSON_DOCUMENT_MAX);
}

static int authorize(BusContext *context, sd_bus_message *message, const char *action, const char *document,
                     size_t weight, sd_bus_error *ret_error) {
        const PolkitDetail details[] = { { "document", document }, {} };

        return polkit_check(context->polkit, message, action, details, weight, ret_error);
}

static int reply_generation(BusContext *context, sd_bus_message *message, uint64_t generation) {
        changes_flush(context);
        return sd_bus_reply_method_return(message, "t", generation);
}

static int apply(sd_bus_message *message, BusContext *context, bool plan, sd_bus_error *ret_error) {
        _cleanup_error_ Error error = ERROR_INIT;
        _cleanup_free_ char *report = NULL, *valid = NULL;
        const char *name, *document;
        uint64_t generation = 0;
        Options options;
        int r;

        r = sd_bus_message_read(message, "ss", &name, &document);
        if (r < 0)
                return r;
        r = options_read(message, OPTIONS_APPLY, &options, ret_error);
        if (r < 0)
                return r;
        r = check_document_name(name, ret_error);
        if (r < 0)
                return r;
        r = check_document_size(document, ret_error);
        if (r < 0)
                return r;
        if (plan && (options.given & OPTION_DRY_RUN) && !options.change.dry_run)
                return bus_error_failf(ret_error, ERROR_INVALID_ARGUMENT,
                                       "Plan is always a dry run; call Apply to change something.");

        r = authorize(context, message, POLKIT_CONFIGURE, name, strlen(document), ret_error);
        if (r <= 0)
                return r < 0 ? r : 1;

        options.change.dry_run |= plan;
        options.change.origin = bus_context_origin(context, message);
        r = manager_apply(context->manager, name, document, &options.change, &generation, &report, &error);
        if (r < 0)
                return bus_error_fail(ret_error, r, &error, "Can't apply the document");

        valid = string_make_valid(report ? report : "");
        if (!valid)
                return -ENOMEM;
        changes_flush(context);
        return plan ? sd_bus_reply_method_return(message, "s", valid)
                    : sd_bus_reply_method_return(message, "ts", generation, valid);
}

static int method_apply(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        return apply(message, userdata, false, ret_error);
}

static int method_plan(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        return apply(message, userdata, true, ret_error);
}

static int method_simulate(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        _cleanup_(simulate_packets_done) SimulatePackets packets = {};
        BusContext *context = userdata;
        const char *name, *document;
        Options options;
        int r;

        r = sd_bus_message_read(message, "ss", &name, &document);
        if (r >= 0)
                r = simulate_packets_read(message, &packets, ret_error);
        if (r >= 0)
                r = options_read(message, OPTIONS_SIMULATE, &options, ret_error);
        if (r >= 0)
                r = check_document_name(name, ret_error);
        if (r >= 0)
                r = check_document_size(document, ret_error);
        if (r < 0)
                return r;
        if ((options.given & OPTION_DRY_RUN) && !options.change.dry_run)
                return bus_error_failf(ret_error, ERROR_INVALID_ARGUMENT,
                                       "Simulate is always a dry run; call Apply to change something.");

        r = authorize(context, message, POLKIT_CONFIGURE, name, strlen(document) + packets.bytes, ret_error);
        if (r <= 0)
                return r < 0 ? r : 1;

        options.change.origin = bus_context_origin(context, message);
        return simulate_document(context, message, name, document, &options, &packets, ret_error);
}

static int method_withdraw(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        _cleanup_error_ Error error = ERROR_INIT;
        BusContext *context = userdata;
        uint64_t generation = 0;
        Options options;
        const char *name;
        int r;

        r = sd_bus_message_read(message, "s", &name);
        if (r < 0)
                return r;
        r = options_read(message, OPTIONS_CHANGE, &options, ret_error);
        if (r < 0)
                return r;
        r = check_document_name(name, ret_error);
        if (r < 0)
                return r;

        r = authorize(context, message, POLKIT_CONFIGURE, name, 0, ret_error);
        if (r <= 0)
                return r < 0 ? r : 1;

        options.change.origin = bus_context_origin(context, message);
        r = manager_withdraw(context->manager, name, &options.change, &generation, &error);
        if (r < 0)
                return bus_error_fail(ret_error, r, &error, "Can't withdraw the document");
        return reply_generation(context, message, generation);
}

static int method_confirm(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        _cleanup_error_ Error error = ERROR_INIT;
        BusContext *context = userdata;
        uint64_t generation;
        int r;

        r = sd_bus_message_read(message, "t", &generation);
        if (r < 0)
                return r;

        r = authorize(context, message, POLKIT_CONFIGURE, NULL, 0, ret_error);
        if (r <= 0)
                return r < 0 ? r : 1;

        r = manager_confirm(context->manager, generation, &error);
        if (r < 0)
                return bus_error_fail(ret_error, r, &error, "Can't confirm");
        changes_flush(context);
        return sd_bus_reply_method_return(message, NULL);
}

static int method_rollback(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        _cleanup_error_ Error error = ERROR_INIT;
        BusContext *context = userdata;
        uint64_t generation, new_generation = 0;
        int r;

        r = sd_bus_message_read(message, "t", &generation);
        if (r < 0)
                return r;

        r = authorize(context, message, POLKIT_CONFIGURE, NULL, 0, ret_error);
        if (r <= 0)
                return r < 0 ? r : 1;

        if (generation == 0)
                generation = manager_generation(context->manager);
        r = manager_rollback(context->manager, generation, &new_generation, &error);
        if (r < 0)
                return bus_error_fail(ret_error, r, &error, "Can't go back");
        return reply_generation(context, message, new_generation);
}

typedef int (*ChangeFunction)(Manager *manager, const ChangeOptions *options, uint64_t *ret_generation, Error *error);

static int change_all(sd_bus_message *message, BusContext *context, ChangeFunction function, const char *what,
                      sd_bus_error *ret_error) {
        _cleanup_error_ Error error = ERROR_INIT;
        uint64_t generation = 0;
        Options options;
        int r;

        r = options_read(message, OPTIONS_CHANGE, &options, ret_error);
        if (r < 0)
                return r;

        r = authorize(context, message, POLKIT_CONFIGURE, NULL, 0, ret_error);
        if (r <= 0)
                return r < 0 ? r : 1;

        options.change.origin = bus_context_origin(context, message);
        r = function(context->manager, &options.change, &generation, &error);
        if (r < 0)
                return bus_error_fail(ret_error, r, &error, what);
        return reply_generation(context, message, generation);
}

static int method_reload(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        return change_all(message, userdata, manager_reload, "Can't reload", ret_error);
}

static int method_detach_all(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        return change_all(message, userdata, manager_detach_all, "Can't detach", ret_error);
}

static int append_document(const char *name, const char *path, DocumentState state, bool overridden, void *userdata) {
        sd_bus_message *reply = userdata;
        int r;

        r = sd_bus_message_open_container(reply, 'r', "sssb");
        if (r >= 0)
                r = wire_append_string(reply, name);
        if (r >= 0)
                r = wire_append_string(reply, path);
        if (r >= 0)
                r = wire_append_string(reply, document_state_to_string(state));
        if (r >= 0)
                r = sd_bus_message_append(reply, "b", overridden);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int method_list_documents(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        BusContext *context = userdata;
        int r;

        r = authorize(context, message, POLKIT_INSPECT, NULL, 0, ret_error);
        if (r <= 0)
                return r < 0 ? r : 1;

        r = sd_bus_message_new_method_return(message, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(sssb)");
        if (r >= 0)
                r = manager_visit_documents(context->manager, append_document, reply);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int method_get_document(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        BusContext *context = userdata;
        const char *name, *text;
        int r;

        r = sd_bus_message_read(message, "s", &name);
        if (r < 0)
                return r;
        r = check_document_name(name, ret_error);
        if (r < 0)
                return r;

        r = authorize(context, message, POLKIT_INSPECT, name, 0, ret_error);
        if (r <= 0)
                return r < 0 ? r : 1;

        text = manager_get_document(context->manager, name);
        if (!text)
                return bus_error_failf(ret_error, ERROR_NO_SUCH_DOCUMENT,
                                       "There is no document \"%s\" in effect; ListDocuments tells which there are.",
                                       name);
        return sd_bus_reply_method_return(message, "s", text);
}

static int reply_path(sd_bus_message *message, ObjectKind kind, const char *first, const char *second) {
        _cleanup_free_ char *path = object_path(kind, first, second);

        return path ? sd_bus_reply_method_return(message, "o", path) : -ENOMEM;
}

static int method_get_interface(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        BusContext *context = userdata;
        const char *name;
        int r;

        r = sd_bus_message_read(message, "s", &name);
        if (r < 0)
                return r;
        if (!manager_get_interface(context->manager, name))
                return bus_error_failf(ret_error, ERROR_NO_SUCH_INTERFACE,
                                       "There is no interface \"%.64s\"; see `ip link`.", name);
        return reply_path(message, OBJECT_INTERFACE, name, NULL);
}

static int method_get_chain(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        const char *interface, *hook_name;
        BusContext *context = userdata;
        Hook hook;
        int r;

        r = sd_bus_message_read(message, "ss", &interface, &hook_name);
        if (r < 0)
                return r;
        hook = hook_from_string(hook_name);
        if ((int) hook < 0)
                return bus_error_failf(ret_error, ERROR_INVALID_ARGUMENT,
                                       "\"%.64s\" is no hook; those are xdp, tc-ingress and tc-egress.", hook_name);
        if (!manager_get_chain(context->manager, interface, hook))
                return bus_error_failf(ret_error, ERROR_NO_SUCH_CHAIN,
                                       "No document asks for a chain on %.64s/%s; apply one that does.", interface,
                                       hook_name);
        return reply_path(message, OBJECT_CHAIN, interface, hook_name);
}

static Program *get_program(BusContext *context, const char *name, sd_bus_error *ret_error) {
        Program *program = manager_get_program(context->manager, name);

        if (!program)
                (void) bus_error_failf(ret_error, ERROR_NO_SUCH_PROGRAM,
                                       "There is no program \"%.64s\"; no document in effect defines it.", name);
        return program;
}

static int method_get_program(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        const char *name;
        int r;

        r = sd_bus_message_read(message, "s", &name);
        if (r < 0)
                return r;
        if (!get_program(userdata, name, ret_error))
                return -ENOENT;
        return reply_path(message, OBJECT_PROGRAM, name, NULL);
}

static int method_get_map(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        const char *name, *map;
        Program *program;
        int r;

        r = sd_bus_message_read(message, "ss", &name, &map);
        if (r < 0)
                return r;
        program = get_program(userdata, name, ret_error);
        if (!program)
                return -ENOENT;
        if (!program_get_map(program, map))
                return bus_error_failf(
                        ret_error, ERROR_NO_SUCH_MAP,
                        "Program %s has no map \"%.64s\"; its property Maps lists those that it has%s.", name, map,
                        program->kernel ? "" : " once it is loaded");
        return reply_path(message, OBJECT_MAP, name, map);
}

static int property_version(sd_bus *bus, const char *path, const char *interface, const char *property,
                            sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        return sd_bus_message_append(reply, "s", BPFCHAIN_VERSION);
}

static int property_generation(sd_bus *bus, const char *path, const char *interface, const char *property,
                               sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        BusContext *context = userdata;

        return sd_bus_message_append(reply, "t", manager_generation(context->manager));
}

static int property_state(sd_bus *bus, const char *path, const char *interface, const char *property,
                          sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        BusContext *context = userdata;

        return wire_append_string(reply, manager_state(context->manager));
}

static int append_problem(sd_bus_message *reply, const Problem *problem) {
        int r;

        r = sd_bus_message_open_container(reply, 'r', "sss");
        if (r >= 0)
                r = wire_append_string(reply, severity_to_string(problem->severity));
        if (r >= 0)
                r = wire_append_string(reply, problem->where);
        if (r >= 0)
                r = wire_append_string(reply, problem->sentence);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int property_problems(sd_bus *bus, const char *path, const char *interface, const char *property,
                             sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        BusContext *context = userdata;
        const Problem *problems;
        size_t n = 0;
        int r;

        problems = manager_problems(context->manager, &n);
        r = sd_bus_message_open_container(reply, 'a', "(sss)");
        for (size_t i = 0; r >= 0 && i < n; i++)
                r = append_problem(reply, &problems[i]);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int property_pending_confirmation(sd_bus *bus, const char *path, const char *interface, const char *property,
                                         sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        BusContext *context = userdata;
        Pending pending = manager_pending(context->manager);

        return sd_bus_message_append(reply, "(tt)", pending.generation, pending.generation ? pending.deadline : 0);
}

static int property_capabilities(sd_bus *bus, const char *path, const char *interface, const char *property,
                                 sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        _cleanup_json_ json_object *capabilities = NULL;
        BusContext *context = userdata;

        if (context->capabilities)
                capabilities = context->capabilities(context->userdata);
        return wire_append_json(reply, capabilities);
}

static const sd_bus_vtable manager_vtable[] = {
        SD_BUS_VTABLE_START(0),

        SD_BUS_METHOD_WITH_ARGS("Apply", SD_BUS_ARGS("s", name, "s", document, "a{sv}", options),
                                SD_BUS_RESULT("t", generation, "s", report), method_apply, BUS_PUBLIC),
        SD_BUS_METHOD_WITH_ARGS("Plan", SD_BUS_ARGS("s", name, "s", document, "a{sv}", options),
                                SD_BUS_RESULT("s", report), method_plan, BUS_PUBLIC),
        SD_BUS_METHOD_WITH_ARGS("Simulate", SD_BUS_ARGS("s", name, "s", document, "aay", packets, "a{sv}", options),
                                SD_BUS_RESULT("s", report), method_simulate, BUS_PUBLIC),
        SD_BUS_METHOD_WITH_ARGS("Withdraw", SD_BUS_ARGS("s", name, "a{sv}", options), SD_BUS_RESULT("t", generation),
                                method_withdraw, BUS_PUBLIC),
        SD_BUS_METHOD_WITH_ARGS("Confirm", SD_BUS_ARGS("t", generation), SD_BUS_NO_RESULT, method_confirm,
                                BUS_PUBLIC),
        SD_BUS_METHOD_WITH_ARGS("Rollback", SD_BUS_ARGS("t", generation), SD_BUS_RESULT("t", new_generation),
                                method_rollback, BUS_PUBLIC),
        SD_BUS_METHOD_WITH_ARGS("Reload", SD_BUS_ARGS("a{sv}", options), SD_BUS_RESULT("t", generation),
                                method_reload, BUS_PUBLIC),
        SD_BUS_METHOD_WITH_ARGS("DetachAll", SD_BUS_ARGS("a{sv}", options), SD_BUS_RESULT("t", generation),
                                method_detach_all, BUS_PUBLIC),
        SD_BUS_METHOD_WITH_ARGS("ListDocuments", SD_BUS_NO_ARGS, SD_BUS_RESULT("a(sssb)", documents),
                                method_list_documents, BUS_PUBLIC),
        SD_BUS_METHOD_WITH_ARGS("GetDocument", SD_BUS_ARGS("s", name), SD_BUS_RESULT("s", document),
                                method_get_document, BUS_PUBLIC),
        SD_BUS_METHOD_WITH_ARGS("GetMetrics", SD_BUS_ARGS("a{sv}", options), SD_BUS_RESULT("s", text),
                                metrics_bus_get, BUS_PUBLIC),
        SD_BUS_METHOD_WITH_ARGS("GetInterface", SD_BUS_ARGS("s", name), SD_BUS_RESULT("o", interface),
                                method_get_interface, BUS_PUBLIC),
        SD_BUS_METHOD_WITH_ARGS("GetChain", SD_BUS_ARGS("s", interface, "s", hook), SD_BUS_RESULT("o", chain),
                                method_get_chain, BUS_PUBLIC),
        SD_BUS_METHOD_WITH_ARGS("GetProgram", SD_BUS_ARGS("s", name), SD_BUS_RESULT("o", program), method_get_program,
                                BUS_PUBLIC),
        SD_BUS_METHOD_WITH_ARGS("GetMap", SD_BUS_ARGS("s", program, "s", name), SD_BUS_RESULT("o", map),
                                method_get_map, BUS_PUBLIC),

        SD_BUS_PROPERTY("Version", "s", property_version, 0, BUS_CONSTANT),
        SD_BUS_PROPERTY("Generation", "t", property_generation, 0, BUS_CHANGES),
        SD_BUS_PROPERTY("State", "s", property_state, 0, BUS_CHANGES),
        SD_BUS_PROPERTY("Problems", "a(sss)", property_problems, 0, BUS_CHANGES),
        SD_BUS_PROPERTY("PendingConfirmation", "(tt)", property_pending_confirmation, 0, BUS_CHANGES),
        SD_BUS_PROPERTY("Capabilities", "a{sv}", property_capabilities, 0, BUS_CONSTANT),

        SD_BUS_SIGNAL_WITH_ARGS("GenerationCommitted", SD_BUS_ARGS("t", generation, "s", origin), 0),
        SD_BUS_SIGNAL_WITH_ARGS("GenerationRolledBack", SD_BUS_ARGS("t", from, "t", to, "s", reason), 0),
        SD_BUS_VTABLE_END,
};

const ObjectImplementation manager_implementation = {
        .path = BUS_ROOT,
        .interface = "org.bpfchain1.Manager",
        .vtable = manager_vtable,
};
