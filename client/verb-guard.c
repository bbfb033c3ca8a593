/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <time.h>

#include "client/bus-json.h"
#include "client/connection.h"
#include "client/grid.h"
#include "client/verb.h"
#include "client/verbs.h"
#include "util/clock.h"

#define EVENTS_DEFAULT 50

/* A message's contents as JSON, converted. Returns an exit status. */
static int call_json(Client *client, sd_bus_message *call, json_object **ret) {
        _cleanup_message_ sd_bus_message *reply = NULL;
        int r, status;

        status = client_call(client, call, NULL, &reply);
        if (status != EXIT_DONE)
                return status;
        r = bus_json_read_value(reply, ret);
        return r < 0 ? fail_errno(r, "The reply of bpfchaind") : EXIT_DONE;
}

static int get_properties(Client *client, json_object **ret) {
        _cleanup_message_ sd_bus_message *call = NULL;
        _cleanup_json_ json_object *properties = NULL;
        int r, status;

        status = client_new_call(client, SERVICE_ROOT "/guard", "org.freedesktop.DBus.Properties", "GetAll", &call);
        if (status != EXIT_DONE)
                return status;
        r = sd_bus_message_append(call, "s", INTERFACE_GUARD);
        if (r < 0)
                return fail_errno(r, "GetAll");
        status = call_json(client, call, &properties);
        if (status != EXIT_DONE)
                return status;
        *ret = kebab_members(properties);
        return *ret ? EXIT_DONE : fail_errno(-ENOMEM, "The properties");
}

static void show_figure(Output *out, json_object *properties, const char *name, const char *meaning) {
        char buffer[COUNT_SIZE];

        fprintf(out->stream, "  %12s  ", count_to_string(buffer, json_number(properties, name), output_group(out)));
        output_text(out, STYLE_NONE, meaning);
        fputc('\n', out->stream);
}

static int guard_status(Client *client) {
        _cleanup_json_ json_object *properties = NULL;
        Output *out = &client->output;
        json_object *sources;
        int status;

        status = get_properties(client, &properties);
        if (status != EXIT_DONE)
                return status;
        if (client->options.json != JSON_MODE_OFF) {
                output_json(out, client->options.json, properties);
                return EXIT_DONE;
        }
        output_printf(out, STYLE_STRONG, "guard: %s", json_text(properties, "mode"));
        fputc('\n', out->stream);
        show_figure(out, properties, "events", "acts of others on hooks of chains");
        show_figure(out, properties, "loads", "BPF programs loaded by others");
        show_figure(out, properties, "dropped", "of these told together with others, or not kept any more");
        show_figure(out, properties, "missed", "that the kernel could not hand over");
        output_printf(out, STYLE_STRONG, "sources:");
        fputc('\n', out->stream);
        sources = json_member(properties, "sources");
        if (json_object_is_type(sources, json_type_object)) {
                json_object_object_foreach (sources, name, value) {
                        const char *text = strempty_to(json_object_get_string(value), "");

                        fprintf(out->stream, "  %-14s  ", name);
                        output_text(out, streq(text, "available") ? STYLE_GOOD : STYLE_WARNING, text);
                        fputc('\n', out->stream);
                }
        }
        return EXIT_DONE;
}

static void show_event(Output *out, json_object *event) {
        uint64_t time = json_number(event, "time");
        time_t seconds = (time_t) (time / USEC_PER_SEC);
        json_object *who = json_member(event, "who");
        const char *outcome = json_text(event, "outcome"), *unknown = json_text(who, "unknown");
        char buffer[32] = "";
        struct tm tm;

        if (localtime_r(&seconds, &tm))
                (void) strftime(buffer, sizeof(buffer), "%F %T", &tm);
        output_printf(out, STYLE_DIM, "%s.%03u  ", buffer, (unsigned) (time % USEC_PER_SEC / 1000));
        output_text(out, streq(json_text(event, "what"), "program-loaded") ? STYLE_NONE : STYLE_WARNING,
                    json_text(event, "sentence"));
        if (json_number(event, "count") > 1)
                fprintf(out->stream, " (%" PRIu64 " times)", json_number(event, "count"));
        if (streq(outcome, "restored") || streq(outcome, "failed"))
                output_printf(out, streq(outcome, "restored") ? STYLE_GOOD : STYLE_BAD, " [%s]", outcome);
        fputc('\n', out->stream);
        if (*json_text(who, "command")) {
                fputs("    ", out->stream);
                output_text(out, STYLE_DIM, json_text(who, "command"));
                fputc('\n', out->stream);
        }
        if (*unknown) {
                fputs("    not known: ", out->stream);
                output_text(out, STYLE_DIM, unknown);
                fputc('\n', out->stream);
        }
}

static int guard_log(Client *client) {
        _cleanup_message_ sd_bus_message *call = NULL;
        _cleanup_json_ json_object *events = NULL;
        uint64_t limit = client->options.limit > 0 ? client->options.limit : EVENTS_DEFAULT;
        int r, status;

        status = client_new_call(client, SERVICE_ROOT "/guard", INTERFACE_GUARD, "GetEvents", &call);
        if (status != EXIT_DONE)
                return status;
        r = sd_bus_message_append(call, "tu", UINT64_C(0), (uint32_t) MIN2(limit, (uint64_t) UINT32_MAX));
        if (r < 0)
                return fail_errno(r, "GetEvents");
        status = call_json(client, call, &events);
        if (status != EXIT_DONE)
                return status;
        if (client->options.json != JSON_MODE_OFF) {
                output_json(&client->output, client->options.json, events);
                return EXIT_DONE;
        }
        for (size_t i = 0; i < json_length(events); i++)
                show_event(&client->output, json_object_array_get_idx(events, i));
        if (json_length(events) == 0 && client->options.legend)
                output_printf(&client->output, STYLE_NONE, "Nothing was seen.\n");
        return EXIT_DONE;
}

int verb_guard(Client *client, int argc, char **argv) {
        static const char *const words[] = { "status", "log" };
        int i = argc > 0 ? word_match(argv[0], words, ELEMENTSOF(words)) : 0;

        if (i < 0)
                return fail(EXIT_USAGE, "\"%s\" is nothing that the guard does: those are status and log.", argv[0]);
        return i == 0 ? guard_status(client) : guard_log(client);
}
