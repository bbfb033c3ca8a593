/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <time.h>

#include "client/connection.h"
#include "client/snapshot.h"
#include "client/verbs.h"
#include "util/clock.h"

#define LABEL_WIDTH 22

static void show_time(Output *out) {
        uint64_t now = usec_now(CLOCK_REALTIME);
        time_t seconds = (time_t) (now / USEC_PER_SEC);
        char buffer[32];
        struct tm tm;

        if (!localtime_r(&seconds, &tm) || strftime(buffer, sizeof(buffer), "%H:%M:%S", &tm) == 0)
                return;
        output_printf(out, STYLE_DIM, "%s.%03u", buffer, (unsigned) (now % USEC_PER_SEC / 1000));
}

static void show_line(Client *client, const char *label, Style style, const char *text) {
        Output *out = &client->output;
        unsigned width = text_width(label);

        show_time(out);
        fputs("  ", out->stream);
        output_text(out, STYLE_STRONG, label);
        fprintf(out->stream, "%*s  ", width < LABEL_WIDTH ? (int) (LABEL_WIDTH - width) : 0, "");
        output_text(out, style, text);
        fputc('\n', out->stream);
}

static json_object *argument(json_object *arguments, size_t i) {
        return i < json_length(arguments) ? json_object_array_get_idx(arguments, i) : NULL;
}

static const char *argument_text(json_object *arguments, size_t i) {
        return strempty_to(json_object_get_string(argument(arguments, i)), "");
}

/* "state active, generation 15, slots": single values are shown, others only named. */
static char *changes_text(json_object *changed, json_object *invalidated) {
        _cleanup_fclose_ FILE *stream = NULL;
        _cleanup_free_ char *text = NULL;
        const char *separator = "";
        size_t size;

        stream = open_memstream(&text, &size);
        if (!stream)
                return NULL;
        if (json_object_is_type(changed, json_type_object)) {
                json_object_object_foreach (changed, property, value) {
                        _cleanup_free_ char *name = kebab(property);
                        bool single = !json_object_is_type(value, json_type_array) &&
                                      !json_object_is_type(value, json_type_object);
                        const char *shown = single ? strempty_to(json_object_get_string(value), "none") : "changed";

                        fprintf(stream, "%s%s %s", separator, strempty_to(name, property), shown);
                        separator = ", ";
                }
        }
        for (size_t i = 0; i < json_length(invalidated); i++) {
                _cleanup_free_ char *name = kebab(argument_text(invalidated, i));

                fprintf(stream, "%s%s changed", separator, strempty_to(name, "something"));
                separator = ", ";
        }
        if (fclose(TAKE_PTR(stream)) != 0)
                return NULL;
        return TAKE_PTR(text);
}

static void show_generation(Client *client, bool back, json_object *arguments) {
        _cleanup_free_ char *label = NULL, *text = NULL;

        if (asprintf(&label, "generation %s", argument_text(arguments, back ? 1 : 0)) < 0) {
                label = NULL;
                return;
        }
        if ((back ? asprintf(&text, "%s was left: %s", argument_text(arguments, 0), argument_text(arguments, 2))
                  : asprintf(&text, "committed, asked for by %s",
                             strempty_to(argument_text(arguments, 1), "nobody"))) < 0) {
                text = NULL;
                return;
        }
        show_line(client, label, back ? STYLE_WARNING : STYLE_GOOD, text);
}

static Style style_of_event(json_object *event) {
        const char *verdict = json_text(event, "verdict");

        if (streq(verdict, "refused"))
                return STYLE_GOOD;
        return streq(verdict, "allowed") || streq(json_text(event, "what"), "program-loaded") ? STYLE_NONE
                                                                                              : STYLE_WARNING;
}

static void show_signal(Client *client, const char *path, const char *member, json_object *arguments) {
        _cleanup_free_ char *label = path_to_label(path), *text = NULL;

        if (!label)
                return;
        if (streq(member, "GenerationCommitted") || streq(member, "GenerationRolledBack"))
                return show_generation(client, streq(member, "GenerationRolledBack"), arguments);
        if (streq(member, "PropertiesChanged")) {
                text = changes_text(argument(arguments, 1), argument(arguments, 2));
                return show_line(client, label, STYLE_NONE, strempty_to(text, "changed"));
        }
        if (streq(member, "InterfacesAdded") || streq(member, "InterfacesRemoved")) {
                _cleanup_free_ char *object = path_to_label(argument_text(arguments, 0));
                bool added = streq(member, "InterfacesAdded");

                return show_line(client, strempty_to(object, label), added ? STYLE_GOOD : STYLE_WARNING,
                                 added ? "added" : "removed");
        }
        if (streq(member, "Event"))
                return show_line(client, label, style_of_event(argument(arguments, 0)),
                                 json_text(argument(arguments, 0), "sentence"));
        if (streq(member, "Disturbed")) /* the guard's own line says the same */
                return;
        if (streq(member, "Conflict"))
                return show_line(
                        client, label, STYLE_BAD,
                        strempty_to(json_text(argument(arguments, 0), "reason"), "somebody else holds the hook"));
        if (asprintf(&text, "%s %s", member, json_object_to_json_string_ext(arguments, JSON_C_TO_STRING_PLAIN)) < 0)
                text = NULL;
        show_line(client, label, STYLE_NONE, strempty_to(text, member));
}

static void show_signal_json(Client *client, sd_bus_message *message, json_object *arguments) {
        _cleanup_json_ json_object *event = json_object_new_object();

        if (!event || json_add(event, "time", json_object_new_uint64(usec_now(CLOCK_REALTIME))) < 0 ||
            json_add(event, "path", json_object_new_string(strempty_to(sd_bus_message_get_path(message), ""))) < 0 ||
            json_add(event, "interface",
                     json_object_new_string(strempty_to(sd_bus_message_get_interface(message), ""))) < 0 ||
            json_add(event, "member", json_object_new_string(strempty_to(sd_bus_message_get_member(message), ""))) <
                    0 ||
            json_add(event, "arguments", json_object_get(arguments)) < 0)
                return;
        output_json(&client->output, client->options.json, event);
}

/* The arguments, always as an array. */
static json_object *signal_arguments(sd_bus_message *message) {
        _cleanup_json_ json_object *array = json_object_new_array();

        while (array && sd_bus_message_at_end(message, true) == 0) {
                json_object *value = NULL;

                if (bus_json_read_value(message, &value) < 0 || json_object_array_add(array, value) < 0)
                        return NULL;
        }
        return TAKE_PTR(array);
}

static int on_signal(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        Client *client = userdata;
        _cleanup_json_ json_object *arguments = signal_arguments(message);

        if (!arguments)
                return 0;
        if (client->options.json != JSON_MODE_OFF)
                show_signal_json(client, message, arguments);
        else
                show_signal(client, strempty_to(sd_bus_message_get_path(message), "/"),
                            strempty_to(sd_bus_message_get_member(message), ""), arguments);
        return output_flush(&client->output);
}

static int on_owner(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        Client *client = userdata;
        const char *name, *before, *after;

        if (sd_bus_message_read(message, "sss", &name, &before, &after) < 0)
                return 0;
        if (client->options.json != JSON_MODE_OFF)
                return 0;
        show_line(client, "bpfchaind", *after ? STYLE_GOOD : STYLE_WARNING,
                  *after ? "started" : "stopped; chains run on");
        return output_flush(&client->output);
}

static int subscribe(Client *client) {
        int r;

        if (client->direct) /* signals come by themselves */
                return sd_bus_add_match(client->bus, NULL, "type='signal',path_namespace='" SERVICE_ROOT "'",
                                        on_signal, client);
        r = sd_bus_add_match(client->bus, NULL,
                             "type='signal',sender='" SERVICE_NAME "',path_namespace='" SERVICE_ROOT "'", on_signal,
                             client);
        if (r < 0)
                return r;
        return sd_bus_add_match(client->bus, NULL,
                                "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',"
                                "member='NameOwnerChanged',arg0='" SERVICE_NAME "'",
                                on_owner, client);
}

int verb_monitor(Client *client, int argc, char **argv) {
        int r, status;

        status = client_connect(client);
        if (status != EXIT_DONE)
                return status;
        r = subscribe(client);
        while (r >= 0) {
                r = sd_bus_process(client->bus, NULL);
                if (r == 0)
                        r = sd_bus_wait(client->bus, UINT64_MAX);
                if (r == -EINTR)
                        r = 0;
        }
        if (r == -EPIPE && !client->output.terminal)
                return EXIT_DONE; /* whoever read our output went away */
        return fail(EXIT_NOT_RUNNING, "The connection to bpfchaind ended: %s. Chains run on without it.",
                    r == -ECONNRESET || r == -ENOTCONN ? "it stopped" : strerror(-r));
}
