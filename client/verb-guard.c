/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <time.h>

#include "client/bus-json.h"
#include "client/connection.h"
#include "client/grid.h"
#include "client/verb.h"
#include "client/verbs.h"
#include "util/clock.h"
#include "util/file.h"
#include "util/json.h"

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

/* The mode, how it comes about, and why it is not another. */
static void show_mode(Output *out, json_object *properties) {
        const char *mode = json_text(properties, "mode"), *wanted = json_text(properties, "mode-wanted");
        const char *configured = json_text(properties, "mode-configured"), *reason = json_text(properties, "reason");

        output_printf(out, STYLE_STRONG, "guard: %s", mode);
        if (*json_text(properties, "technique"))
                output_printf(out, STYLE_NONE, ", by %s, %s", json_text(properties, "technique"),
                              json_truth(properties, "pinned") ? "stays when the service ends"
                                                               : "goes with the service");
        fputc('\n', out->stream);
        if (!streq(mode, wanted))
                output_printf(out, STYLE_WARNING, "  %s is wanted\n", wanted);
        if (!streq(wanted, configured))
                output_printf(out, STYLE_NONE, "  until the next boot; the settings say %s\n", configured);
        if (*reason) {
                fputs("  ", out->stream);
                output_text(out, STYLE_WARNING, reason);
                fputc('\n', out->stream);
        }
}

static int show_rules(Client *client, json_object *counters) {
        static const char *const headings[] = { "RULE", "REFUSED", "WOULD BE", "ALLOWED" };
        static const char *const names[] = { "refused", "would-refuse", "allowed" };
        _cleanup_(grid_freep) Grid *grid = grid_new();
        Output *out = &client->output;
        int r;

        if (!grid)
                return fail_errno(-ENOMEM, "The rules");
        for (unsigned i = 0; i < ELEMENTSOF(names); i++)
                grid_align_right(grid, 0, i + 1);
        grid_headings(grid, client->options.legend, 0, headings, ELEMENTSOF(headings));
        json_object_object_foreach (counters, rule, figures) {
                grid_row(grid, 0, NULL);
                grid_cell(grid, STYLE_NONE, rule);
                for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                        char buffer[COUNT_SIZE];

                        grid_cell(grid, STYLE_NONE,
                                  count_to_string(buffer, json_number(figures, names[i]), output_group(out)));
                }
        }
        r = grid_print(grid, out);
        return r < 0 ? fail_errno(r, "The rules") : EXIT_DONE;
}

static void show_sources(Output *out, json_object *sources) {
        output_printf(out, STYLE_STRONG, "sources:");
        fputc('\n', out->stream);
        if (!json_object_is_type(sources, json_type_object))
                return;
        json_object_object_foreach (sources, name, value) {
                const char *text = strempty_to(json_object_get_string(value), "");
                bool fine = streq(text, "available") || startswith(text, "not needed");

                fprintf(out->stream, "  %-14s  ", name);
                output_text(out, fine ? STYLE_GOOD : STYLE_WARNING, text);
                fputc('\n', out->stream);
        }
}

static int guard_status(Client *client) {
        _cleanup_json_ json_object *properties = NULL;
        Output *out = &client->output;
        json_object *counters;
        int status;

        status = get_properties(client, &properties);
        if (status != EXIT_DONE)
                return status;
        if (client->options.json != JSON_MODE_OFF) {
                output_json(out, client->options.json, properties);
                return EXIT_DONE;
        }
        show_mode(out, properties);
        counters = json_member(properties, "counters");
        if (*json_text(properties, "technique") && json_object_is_type(counters, json_type_object))
                status = show_rules(client, counters);
        show_figure(out, properties, "events", "acts of others on hooks of chains");
        show_figure(out, properties, "attempts", "that came under a rule of the guard");
        show_figure(out, properties, "loads", "BPF programs loaded by others");
        show_figure(out, properties, "dropped", "of these told together with others, or not kept any more");
        show_figure(out, properties, "missed", "that the kernel could not hand over");
        show_sources(out, json_member(properties, "sources"));
        return status;
}

static Style style_of_event(json_object *event) {
        const char *verdict = json_text(event, "verdict");

        if (streq(verdict, "refused"))
                return STYLE_GOOD;
        return streq(verdict, "allowed") || streq(json_text(event, "what"), "program-loaded") ? STYLE_NONE
                                                                                              : STYLE_WARNING;
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
        output_text(out, style_of_event(event), json_text(event, "sentence"));
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

static int guard_mode(Client *client, const char *mode) {
        _cleanup_message_ sd_bus_message *call = NULL;
        _cleanup_json_ json_object *properties = NULL;
        Output *out = &client->output;
        int r, status;

        if (mode) {
                status = client_new_call(client, SERVICE_ROOT "/guard", INTERFACE_GUARD, "SetMode", &call);
                if (status != EXIT_DONE)
                        return status;
                r = sd_bus_message_append(call, "s", mode);
                if (r < 0)
                        return fail_argument(r, "The mode");
                r = options_begin(client, call);
                if (r >= 0 && client->options.force)
                        r = options_add(call, "force", "b", 1);
                if (r >= 0)
                        r = options_end(call);
                if (r < 0)
                        return fail_errno(r, "SetMode");
                status = client_call(client, call, "Switching", NULL);
                if (status != EXIT_DONE)
                        return status;
        }
        status = get_properties(client, &properties);
        if (status != EXIT_DONE)
                return status;
        if (client->options.json != JSON_MODE_OFF)
                output_json(out, client->options.json, json_member(properties, "mode"));
        else
                show_mode(out, properties);
        return EXIT_DONE;
}

/* Where the JSON value that begins here ends. The text is valid. */
static size_t end_of_value(const char *text, size_t from, size_t size) {
        unsigned depth = 0;
        bool quoted = false;

        for (size_t i = from; i < size; i++) {
                if (quoted) {
                        if (text[i] == '\\')
                                i++;
                        else if (text[i] == '"')
                                quoted = false;
                        continue;
                }
                switch (text[i]) {
                case '"': quoted = true; break;
                case '{':
                case '[': depth++; break;
                case '}':
                case ']':
                        if (depth <= 1)
                                return i + 1;
                        depth--;
                        break;
                }
        }
        return size;
}

/* What "guard" says in a file of settings. All else is made blank, so that places in messages are those of the file.
 * The caller frees. Returns an exit status. */
static int read_policy(const char *path, char **ret) {
        _cleanup_error_ Error error = ERROR_INIT;
        _cleanup_json_ json_object *root = NULL;
        _cleanup_free_ char *text = NULL;
        JsonPosition position = {};
        size_t size = 0, end;
        int r;

        r = file_read(path, JSON_DOCUMENT_MAX, &text, &size);
        if (r < 0)
                return fail(EXIT_FAILED, "%s can't be read: %s.", path, strerror(-r));
        r = json_parse(text, size, &root, &position, &error);
        if (r < 0)
                return fail(EXIT_FAILED, "%s:%u:%u: %s.", path, position.line, position.column,
                            error.message ? error.message : strerror(-r));
        if (!json_object_is_type(json_member(root, "guard"), json_type_object))
                return fail(EXIT_FAILED, "%s has no \"guard\" with settings in it.", path);
        r = json_locate(text, size, "guard", &position);
        if (r < 0)
                return fail_errno(r, path);
        end = end_of_value(text, position.offset, size);
        for (size_t i = 0; i < size; i++)
                if ((i < position.offset || i >= end) && text[i] != '\n')
                        text[i] = ' ';
        *ret = TAKE_PTR(text);
        return EXIT_DONE;
}

static const char *who_text(json_object *who) {
        return strempty_to(json_text(who, "executable"), json_text(who, "name"));
}

static int show_judgements(Client *client, json_object *judgements, const char *objection) {
        static const char *const headings[] = { "POLICY", "RULE", "WHAT", "TIMES", "UID", "WHO", "UNIT", "BY" };
        _cleanup_(grid_freep) Grid *grid = grid_new();
        Output *out = &client->output;
        int r;

        if (!grid)
                return fail_errno(-ENOMEM, "The test");
        grid_align_right(grid, 0, 3);
        grid_align_right(grid, 0, 4);
        if (json_length(judgements) > 0)
                grid_headings(grid, client->options.legend, 0, headings, ELEMENTSOF(headings));
        for (size_t i = 0; i < json_length(judgements); i++) {
                json_object *judgement = json_object_array_get_idx(judgements, i),
                            *who = json_member(judgement, "who");
                bool allowed = json_truth(judgement, "allowed");
                char buffer[COUNT_SIZE];

                grid_row(grid, 0, NULL);
                grid_cell(grid, allowed ? STYLE_GOOD : STYLE_BAD, allowed ? "allows" : "refuses");
                grid_cell(grid, STYLE_NONE, json_text(judgement, "rule"));
                grid_cell(grid, STYLE_NONE, json_text(judgement, "what"));
                grid_cell(grid, STYLE_NONE,
                          count_to_string(buffer, json_number(judgement, "count"), output_group(out)));
                if (json_member(who, "uid"))
                        grid_cellf(grid, STYLE_NONE, "%" PRIu64, json_number(who, "uid"));
                else
                        grid_cell(grid, STYLE_NONE, "");
                grid_cell(grid, STYLE_NONE, strempty_to(who_text(who), "somebody unknown"));
                grid_cell(grid, STYLE_NONE, json_text(who, "unit"));
                grid_cell(grid, STYLE_DIM, json_text(judgement, "by"));
        }
        r = grid_print(grid, out);
        if (r < 0)
                return fail_errno(r, "The test");
        if (json_length(judgements) == 0 && client->options.legend)
                fputs("Nobody was seen whom a rule could be about.\n", out->stream);
        if (*objection)
                output_printf(out, STYLE_WARNING, "%s\n", objection);
        return EXIT_DONE;
}

static int guard_test(Client *client) {
        _cleanup_message_ sd_bus_message *call = NULL, *reply = NULL;
        _cleanup_json_ json_object *judgements = NULL, *objection = NULL, *both = NULL;
        _cleanup_free_ char *policy = NULL;
        int r, status = EXIT_DONE;

        if (client->options.settings)
                status = read_policy(client->options.settings, &policy);
        if (status == EXIT_DONE)
                status = client_new_call(client, SERVICE_ROOT "/guard", INTERFACE_GUARD, "Test", &call);
        if (status != EXIT_DONE)
                return status;
        r = sd_bus_message_open_container(call, 'a', "{sv}");
        if (r >= 0 && policy)
                r = options_add(call, "policy", "s", policy);
        if (r >= 0)
                r = sd_bus_message_close_container(call);
        if (r < 0)
                return fail_argument(r, "The settings");
        status = client_call(client, call, NULL, &reply);
        if (status != EXIT_DONE)
                return status;
        r = bus_json_read_value(reply, &judgements);
        if (r >= 0)
                r = bus_json_read_value(reply, &objection);
        if (r < 0)
                return fail_errno(r, "The reply of bpfchaind");
        if (client->options.json == JSON_MODE_OFF)
                return show_judgements(client, judgements, strempty_to(json_object_get_string(objection), ""));
        both = json_object_new_object();
        if (!both || json_add(both, "judgements", TAKE_PTR(judgements)) < 0 ||
            json_add(both, "objection", TAKE_PTR(objection)) < 0)
                return fail_errno(-ENOMEM, "The test");
        output_json(&client->output, client->options.json, both);
        return EXIT_DONE;
}

int verb_guard(Client *client, int argc, char **argv) {
        static const char *const words[] = { "status", "log", "mode", "test" };
        int i = argc > 0 ? word_match(argv[0], words, ELEMENTSOF(words)) : 0;

        if (i < 0)
                return fail(EXIT_USAGE,
                            "\"%s\" is nothing that the guard does: those are status, log, mode and test.", argv[0]);
        if (argc > 1 && i != 2)
                return fail(EXIT_USAGE, "\"bpfchain guard %s\" takes no arguments.", words[i]);
        switch (i) {
        case 0: return guard_status(client);
        case 1: return guard_log(client);
        case 2: return guard_mode(client, argc > 1 ? argv[1] : NULL);
        default: return guard_test(client);
        }
}
