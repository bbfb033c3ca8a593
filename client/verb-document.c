/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <stdarg.h>

#include "client/agent.h"
#include "client/connection.h"
#include "client/grid.h"
#include "client/snapshot.h"
#include "client/verbs.h"
#include "config-build.h"
#include "util/clock.h"

/* A generation in decimal digits; "bpfchain confirm" takes one. Returns an exit status. */
static int parse_generation(const char *s, uint64_t *ret) {
        unsigned long long value;
        char *end;

        errno = 0;
        value = strtoull(s, &end, 10);
        if (*s < '0' || *s > '9' || *end || errno == ERANGE || value == 0)
                return fail(EXIT_USAGE, "\"%s\" is no generation; \"bpfchain status\" shows the present one.", s);
        *ret = value;
        return EXIT_DONE;
}

/* What is said of a change: a generation in JSON, else the sentence. */
static int show_change(Client *client, uint64_t generation, const char *sentence) {
        if (client->options.json != JSON_MODE_OFF) {
                _cleanup_json_ json_object *result = json_object_new_object();

                if (!result || json_add(result, "generation", json_object_new_uint64(generation)) < 0)
                        return fail_errno(-ENOMEM, "The result");
                output_json(&client->output, client->options.json, result);
        } else
                output_text(&client->output, STYLE_NONE, sentence);
        return EXIT_DONE;
}

int client_show_generation(Client *client, sd_bus_message *reply, const char *format, ...) {
        _cleanup_free_ char *what = NULL, *sentence = NULL;
        const Options *options = &client->options;
        char buffer[USEC_STRING_SIZE];
        uint64_t generation;
        va_list ap;
        int r;

        r = sd_bus_message_read(reply, "t", &generation);
        if (r < 0)
                return fail_errno(r, "The reply of bpfchaind");
        va_start(ap, format);
        r = vasprintf(&what, format, ap);
        va_end(ap);
        if (r < 0) {
                what = NULL;
                return fail_errno(-ENOMEM, "The result");
        }

        if (options->dry_run)
                r = asprintf(&sentence, "It would work. Nothing was changed: this was a trial.\n");
        else if (options->confirm > 0)
                r = asprintf(&sentence,
                             "%s Generation %" PRIu64 " is running. Confirm with \"bpfchain confirm %" PRIu64
                             "\" within %s, or the generation before comes back.\n",
                             what, generation, generation, usec_to_string(options->confirm, buffer));
        else
                r = asprintf(&sentence, "%s Generation %" PRIu64 " is running%s.\n", what, generation,
                             options->runtime ? " until the next reboot" : "");
        if (r < 0) {
                sentence = NULL;
                return fail_errno(-ENOMEM, "The result");
        }
        return show_change(client, generation, sentence);
}

static int get_pending(Client *client, uint64_t *ret_generation) {
        _cleanup_json_ json_object *properties = NULL, *manager = NULL;
        int status;

        status = client_get_manager(client, &properties);
        if (status != EXIT_DONE)
                return status;
        manager = snapshot_manager(properties);
        if (!manager)
                return fail_errno(-ENOMEM, "The state of the service");
        *ret_generation = json_number(json_member(manager, "pending-confirmation"), "generation");
        return EXIT_DONE;
}

int verb_confirm(Client *client, int argc, char **argv) {
        _cleanup_message_ sd_bus_message *call = NULL;
        _cleanup_free_ char *sentence = NULL;
        uint64_t generation;
        int r, status;

        status = argc > 0 ? parse_generation(argv[0], &generation) : get_pending(client, &generation);
        if (status != EXIT_DONE)
                return status;
        if (generation == 0)
                return fail(EXIT_FAILED, "No generation waits for a confirmation: what runs, stays. If the time ran "
                                         "out, \"bpfchain status\" shows what came back.");
        status = client_new_call(client, SERVICE_ROOT, INTERFACE_MANAGER, "Confirm", &call);
        if (status != EXIT_DONE)
                return status;
        agent_start(client);
        r = sd_bus_message_append(call, "t", generation);
        if (r < 0)
                return fail_errno(r, "Confirm");
        status = client_call(client, call, NULL, NULL);
        if (status != EXIT_DONE)
                return status;
        if (asprintf(&sentence, "Generation %" PRIu64 " stays.\n", generation) < 0) {
                sentence = NULL;
                return fail_errno(-ENOMEM, "The result");
        }
        return show_change(client, generation, sentence);
}

int verb_rollback(Client *client, int argc, char **argv) {
        _cleanup_message_ sd_bus_message *call = NULL, *reply = NULL;
        _cleanup_free_ char *sentence = NULL;
        uint64_t generation = 0, present;
        int r, status = EXIT_DONE;

        if (argc > 0)
                status = parse_generation(argv[0], &generation);
        if (status == EXIT_DONE)
                status = client_new_call(client, SERVICE_ROOT, INTERFACE_MANAGER, "Rollback", &call);
        if (status != EXIT_DONE)
                return status;
        agent_start(client);
        r = sd_bus_message_append(call, "t", generation);
        if (r < 0)
                return fail_errno(r, "Rollback");
        status = client_call(client, call, "Going back", &reply);
        if (status != EXIT_DONE)
                return status;
        r = sd_bus_message_read(reply, "t", &present);
        if (r < 0)
                return fail_errno(r, "The reply of bpfchaind");
        if (asprintf(&sentence, "What was wanted before is back, as generation %" PRIu64 ".\n", present) < 0) {
                sentence = NULL;
                return fail_errno(-ENOMEM, "The result");
        }
        return show_change(client, present, sentence);
}

int verb_withdraw(Client *client, int argc, char **argv) {
        _cleanup_message_ sd_bus_message *call = NULL, *reply = NULL;
        int r, status;

        status = client_new_call(client, SERVICE_ROOT, INTERFACE_MANAGER, "Withdraw", &call);
        if (status != EXIT_DONE)
                return status;
        r = sd_bus_message_append(call, "s", argv[0]);
        if (r >= 0)
                r = options_begin(client, call);
        if (r >= 0)
                r = options_end(call);
        if (r < 0)
                return fail_argument(r, "The document's name");
        status = client_call(client, call, "Withdrawing the document", &reply);
        return status == EXIT_DONE ? client_show_generation(client, reply, "Document %s is withdrawn.", argv[0])
                                   : status;
}

int verb_reload(Client *client, int argc, char **argv) {
        _cleanup_message_ sd_bus_message *call = NULL, *reply = NULL;
        _cleanup_json_ json_object *properties = NULL, *manager = NULL;
        size_t n_problems;
        int r, status;

        status = client_new_call(client, SERVICE_ROOT, INTERFACE_MANAGER, "Reload", &call);
        if (status != EXIT_DONE)
                return status;
        r = options_begin(client, call);
        if (r >= 0)
                r = options_end(call);
        if (r < 0)
                return fail_errno(r, "Reload");
        status = client_call(client, call, "Reading all documents", &reply);
        if (status == EXIT_DONE)
                status = client_show_generation(client, reply, "All documents were read again.");
        if (status == EXIT_DONE && client->options.json == JSON_MODE_OFF)
                status = client_get_manager(client, &properties);
        if (status != EXIT_DONE || !properties)
                return status;

        /* A reload is lenient: it succeeds with what can be put into effect. */
        manager = snapshot_manager(properties);
        n_problems = json_length(json_list(manager, "problems"));
        if (n_problems > 0)
                output_printf(&client->output, STYLE_WARNING, "%zu problem%s: \"bpfchain status\" shows %s.\n",
                              n_problems, n_problems == 1 ? "" : "s", n_problems == 1 ? "it" : "them");
        return EXIT_DONE;
}

static int list_documents(Client *client, json_object **ret) {
        _cleanup_message_ sd_bus_message *call = NULL, *reply = NULL;
        _cleanup_json_ json_object *list = json_object_new_array();
        const char *name, *path, *state;
        int r, status, overridden;

        status = client_new_call(client, SERVICE_ROOT, INTERFACE_MANAGER, "ListDocuments", &call);
        if (status == EXIT_DONE)
                status = client_call(client, call, NULL, &reply);
        if (status != EXIT_DONE)
                return status;
        r = sd_bus_message_enter_container(reply, 'a', "(sssb)");
        while (r >= 0 && (r = sd_bus_message_read(reply, "(sssb)", &name, &path, &state, &overridden)) > 0) {
                json_object *document = json_object_new_object();

                if (!list || !document || json_object_array_add(list, document) < 0 ||
                    json_add(document, "name", json_object_new_string(name)) < 0 ||
                    json_add(document, "path", json_object_new_string(path)) < 0 ||
                    json_add(document, "state", json_object_new_string(state)) < 0 ||
                    json_add(document, "overridden", json_object_new_boolean(overridden)) < 0)
                        return fail_errno(-ENOMEM, "The list");
        }
        if (r < 0)
                return fail_errno(r, "The reply of bpfchaind");
        *ret = TAKE_PTR(list);
        return EXIT_DONE;
}

int verb_documents(Client *client, int argc, char **argv) {
        static const char *const headings[] = { "NAME", "STATE", "PATH" };
        _cleanup_json_ json_object *list = NULL;
        _cleanup_(grid_freep) Grid *grid = grid_new();
        int r, status;

        status = list_documents(client, &list);
        if (status != EXIT_DONE)
                return status;
        if (client->options.json != JSON_MODE_OFF) {
                output_json(&client->output, client->options.json, list);
                return EXIT_DONE;
        }
        if (!grid)
                return fail_errno(-ENOMEM, "The list");
        if (json_length(list) == 0 && client->options.legend) {
                output_text(
                        &client->output, STYLE_NONE,
                        "There is no document. Apply one with \"bpfchain apply FILE\", see bpfchain-document(5).\n");
                return EXIT_DONE;
        }
        grid_headings(grid, client->options.legend, 0, headings, ELEMENTSOF(headings));
        for (size_t i = 0; i < json_length(list); i++) {
                json_object *document = json_object_array_get_idx(list, i);
                const char *state = json_text(document, "state");

                grid_row(grid, 0, NULL);
                grid_cell(grid, STYLE_NONE, json_text(document, "name"));
                grid_cell(grid,
                          streq(state, "active")   ? STYLE_GOOD
                          : streq(state, "failed") ? STYLE_BAD
                                                   : STYLE_DIM,
                          state);
                grid_cell(grid, STYLE_NONE, strempty_to(json_text(document, "path"), "-"));
        }
        r = grid_print(grid, &client->output);
        return r < 0 ? fail_errno(r, "The list") : EXIT_DONE;
}

int verb_document(Client *client, int argc, char **argv) {
        _cleanup_message_ sd_bus_message *call = NULL, *reply = NULL;
        const char *text;
        int r, status;

        status = client_new_call(client, SERVICE_ROOT, INTERFACE_MANAGER, "GetDocument", &call);
        if (status != EXIT_DONE)
                return status;
        r = sd_bus_message_append(call, "s", argv[0]);
        if (r < 0)
                return fail_argument(r, "The document's name");
        status = client_call(client, call, NULL, &reply);
        if (status != EXIT_DONE)
                return status;
        r = sd_bus_message_read(reply, "s", &text);
        if (r < 0)
                return fail_errno(r, "The reply of bpfchaind");

        if (client->options.json != JSON_MODE_OFF) {
                _cleanup_json_ json_object *document = json_tokener_parse(text);

                output_json(&client->output, client->options.json, document);
                return EXIT_DONE;
        }
        /* To a file as it is; to a terminal with its control characters made harmless. */
        if (client->output.terminal)
                output_text(&client->output, STYLE_NONE, text);
        else
                fputs(text, client->output.stream);
        if (!endswith(text, "\n") && client->output.terminal)
                fputc('\n', client->output.stream);
        return EXIT_DONE;
}

int verb_version(Client *client, int argc, char **argv) {
        _cleanup_json_ json_object *properties = NULL;
        const char *service;
        int status;

        status = client_get_manager(client, &properties);
        if (status != EXIT_DONE) {
                if (client->options.json == JSON_MODE_OFF)
                        output_printf(&client->output, STYLE_NONE, "bpfchain   %s\n", BPFCHAIN_VERSION);
                return status;
        }
        service = json_text(properties, "Version");
        if (client->options.json != JSON_MODE_OFF) {
                _cleanup_json_ json_object *versions = json_object_new_object();

                if (!versions || json_add(versions, "client", json_object_new_string(BPFCHAIN_VERSION)) < 0 ||
                    json_add(versions, "service", json_object_new_string(service)) < 0)
                        return fail_errno(-ENOMEM, "The versions");
                output_json(&client->output, client->options.json, versions);
        } else
                output_printf(&client->output, STYLE_NONE, "bpfchain   %s\nbpfchaind  %s\n", BPFCHAIN_VERSION,
                              service);
        return EXIT_DONE;
}
