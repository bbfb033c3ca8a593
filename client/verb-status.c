/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fnmatch.h>
#include <inttypes.h>

#include "client/connection.h"
#include "client/grid.h"
#include "client/snapshot.h"
#include "client/verbs.h"
#include "util/clock.h"

/* The rows of the tree, see grid.h. */
enum {
        LAYOUT_INTERFACE,
        LAYOUT_CHAIN,
        LAYOUT_SLOT,
        LAYOUT_PROBLEM,
};

static Style style_of_state(const char *state) {
        if (streq(state, "active") || streq(state, "running"))
                return STYLE_GOOD;
        if (streq(state, "failed") || streq(state, "conflict"))
                return STYLE_BAD;
        return STYLE_WARNING;
}

/* Does a pattern of the command line mean this interface, or (with a hook) this chain? "eth*", "eth0/xdp" */
static bool pattern_matches(const char *pattern, const char *interface, const char *hook) {
        _cleanup_free_ char *chain = NULL;

        if (fnmatch(pattern, interface, 0) == 0)
                return true;
        if (!hook || asprintf(&chain, "%s/%s", interface, hook) < 0) {
                chain = NULL;
                return false;
        }
        return fnmatch(pattern, chain, 0) == 0;
}

static bool wanted(char **patterns, int n, const char *interface, const char *hook) {
        for (int i = 0; i < n; i++)
                if (pattern_matches(patterns[i], interface, hook))
                        return true;
        return n == 0;
}

/* The interface's object of the result, made where it is not there yet: one that does not exist has only a name. */
static json_object *interface_named(json_object *interfaces, const char *name) {
        json_object *interface;

        for (size_t i = 0; i < json_length(interfaces); i++) {
                interface = json_object_array_get_idx(interfaces, i);
                if (streq(json_text(interface, "name"), name))
                        return interface;
        }
        interface = json_object_new_object();
        if (!interface || json_object_array_add(interfaces, interface) < 0) {
                json_object_put(interface);
                return NULL;
        }
        if (json_add(interface, "name", json_object_new_string(name)) < 0 ||
            json_add(interface, "exists", json_object_new_boolean(false)) < 0 ||
            json_add(interface, "chains", json_object_new_array()) < 0)
                return NULL;
        return interface;
}

/* Interfaces with their chains in them. Without patterns, only those that have a chain or a foreign program. */
static json_object *status_interfaces(json_object *objects, char **patterns, int n_patterns) {
        _cleanup_json_ json_object *all = snapshot_list(objects, INTERFACE_LINK);
        _cleanup_json_ json_object *chains = snapshot_list(objects, INTERFACE_CHAIN);
        _cleanup_json_ json_object *shown = json_object_new_array();

        if (!all || !chains || !shown)
                return NULL;
        for (size_t i = 0; i < json_length(all); i++) {
                json_object *interface = json_object_array_get_idx(all, i);

                if (json_add(interface, "exists", json_object_new_boolean(true)) < 0 ||
                    json_add(interface, "chains", json_object_new_array()) < 0)
                        return NULL;
        }
        for (size_t i = 0; i < json_length(chains); i++) {
                json_object *chain = json_object_array_get_idx(chains, i), *interface;

                if (!wanted(patterns, n_patterns, json_text(chain, "interface"), json_text(chain, "hook")))
                        continue;
                interface = interface_named(all, json_text(chain, "interface"));
                if (!interface || json_object_array_add(json_list(interface, "chains"), json_object_get(chain)) < 0)
                        return NULL;
        }
        for (size_t i = 0; i < json_length(all); i++) {
                json_object *interface = json_object_array_get_idx(all, i);
                bool has = json_length(json_list(interface, "chains")) > 0;

                if (n_patterns == 0)
                        has = has || json_length(json_list(interface, "foreign")) > 0;
                else
                        has = has || wanted(patterns, n_patterns, json_text(interface, "name"), NULL);
                if (has && json_object_array_add(shown, json_object_get(interface)) < 0)
                        return NULL;
        }
        return TAKE_PTR(shown);
}

static const char *plural(size_t n) {
        return n == 1 ? "" : "s";
}

/* The mode in effect, and the one that is wanted where that is another. */
static void show_guard(Output *out, json_object *objects) {
        json_object *guard = json_member(json_member(objects, SERVICE_ROOT "/guard"), INTERFACE_GUARD);
        const char *mode = json_text(guard, "Mode"), *wanted_mode = json_text(guard, "ModeWanted");

        if (!*mode)
                return;
        fputs("   guard ", out->stream);
        if (streq(mode, wanted_mode))
                output_text(out, streq(mode, "enforce") ? STYLE_GOOD : STYLE_NONE, mode);
        else
                output_printf(out, STYLE_WARNING, "%s (%s is wanted)", mode, wanted_mode);
}

static void show_header(Client *client, json_object *manager, json_object *objects, size_t n_chains,
                        size_t n_programs) {
        Output *out = &client->output;
        const char *state = json_text(manager, "state"),
                   *kernel = json_text(json_member(manager, "capabilities"), "kernel");
        Style style = style_of_state(state);

        fprintf(out->stream, "%s%s%s ", output_style(out, style), output_glyph(out, GLYPH_DOT), output_plain(out));
        output_printf(out, STYLE_STRONG, "bpfchaind %s", json_text(manager, "version"));
        if (!streq(state, "running")) {
                fputs("   ", out->stream);
                output_text(out, style, state);
        }
        output_printf(out, STYLE_NONE, "   generation %" PRIu64, json_number(manager, "generation"));
        if (*kernel)
                output_printf(out, STYLE_NONE, "   kernel %s", kernel);
        output_printf(out, STYLE_NONE, "   %zu chain%s, %zu program%s", n_chains, plural(n_chains), n_programs,
                      plural(n_programs));
        show_guard(out, objects);
        fputc('\n', out->stream);
}

static void show_pending(Client *client, json_object *manager) {
        json_object *pending = json_member(manager, "pending-confirmation");
        uint64_t generation = json_number(pending, "generation"), left = json_number(pending, "left");
        char buffer[USEC_STRING_SIZE];

        if (generation == 0)
                return;
        /* Tenths of a second are no help to somebody in a hurry. */
        left = left / USEC_PER_SEC * USEC_PER_SEC;
        output_printf(&client->output, STYLE_WARNING,
                      "  Generation %" PRIu64 " waits for its confirmation, %s left: \"bpfchain confirm %" PRIu64
                      "\" keeps it, else the one before comes back.\n",
                      generation, usec_to_string(left, buffer), generation);
}

static void show_interface(Grid *grid, json_object *interface) {
        const char *driver = json_text(interface, "driver");
        _cleanup_free_ char *others = NULL;

        grid_row(grid, LAYOUT_INTERFACE, NULL);
        grid_cell(grid, STYLE_STRONG, json_text(interface, "name"));
        if (!json_truth(interface, "exists")) {
                grid_cell(grid, STYLE_WARNING, "no such interface");
                return;
        }
        if (json_truth(interface, "up"))
                grid_cell(grid, STYLE_GOOD, "up");
        else if (!strempty(json_text(interface, "held")))
                grid_cell(grid, STYLE_BAD, "held down");
        else
                grid_cell(grid, STYLE_WARNING, "down");
        grid_cell(grid, STYLE_NONE, strempty_to(driver, json_text(interface, "kind")));
        grid_cellf(grid, STYLE_NONE, "index %" PRIu64, json_number(interface, "index"));
        others = json_join(json_list(interface, "alternative-names"), ", ");
        if (!strempty(others))
                grid_cellf(grid, STYLE_DIM, "also %s", others);
        if (!strempty(json_text(interface, "held"))) {
                grid_row(grid, LAYOUT_PROBLEM, NULL);
                grid_cell(grid, STYLE_BAD, json_text(interface, "held"));
                grid_wrap(grid);
        }
}

/* "1.2 MB" on a terminal, "1234567 bytes" elsewhere. */
static const char *bytes_text(Client *client, char buffer[COUNT_SIZE], uint64_t bytes) {
        if (client->output.terminal)
                return bytes_to_short_string(buffer, bytes);
        snprintf(buffer, COUNT_SIZE, "%" PRIu64 " byte%s", bytes, plural(bytes));
        return buffer;
}

/* "(drop 8 213, aborted 1; 1.2 MB)": verdicts of a slot, and with --verbose their bytes. "" where there is none. */
static char *verdicts_text(Client *client, json_object *slot, const char *verdicts, const char *bytes) {
        json_object *counts = json_member(slot, verdicts);
        _cleanup_fclose_ FILE *stream = NULL;
        _cleanup_free_ char *text = NULL;
        char buffer[COUNT_SIZE];
        bool first = true;
        size_t size;

        stream = open_memstream(&text, &size);
        if (!stream)
                return NULL;
        if (json_object_is_type(counts, json_type_object)) {
                json_object_object_foreach (counts, verdict, count) {
                        if (json_object_get_uint64(count) == 0)
                                continue;
                        fprintf(stream, "%s%s %s", first ? "(" : ", ", verdict,
                                count_to_string(buffer, json_object_get_uint64(count),
                                                output_group(&client->output)));
                        first = false;
                }
        }
        if (!first && client->options.verbose)
                fprintf(stream, "; %s", bytes_text(client, buffer, json_number(slot, bytes)));
        if (!first)
                fputc(')', stream);
        if (fclose(TAKE_PTR(stream)) != 0)
                return NULL;
        return TAKE_PTR(text);
}

/* What the service tells is what the level of the chain counts. */
static void show_slot_figures(Client *client, Grid *grid, json_object *slot) {
        _cleanup_free_ char *endings = verdicts_text(client, slot, "endings", "ended-bytes");
        uint64_t ended = json_number(slot, "ended"), saw = json_number(slot, "packets");
        bool group = output_group(&client->output);
        char buffer[COUNT_SIZE];

        if (!json_member(slot, "ended"))
                return;
        grid_cell(grid, STYLE_DIM, "ended");
        grid_cell(grid, ended > 0 ? STYLE_STRONG : STYLE_DIM, count_to_string(buffer, ended, group));
        grid_cell(grid, STYLE_DIM, endings);
        if (!json_member(slot, "packets"))
                return;
        grid_cell(grid, STYLE_DIM, "saw");
        grid_cell(grid, STYLE_NONE, count_to_string(buffer, saw, group));
        if (client->options.verbose) {
                _cleanup_free_ char *verdicts = verdicts_text(client, slot, "verdicts", "bytes");

                grid_cell(grid, STYLE_DIM, verdicts);
        }
}

static void show_slot(Client *client, Grid *grid, const char *prefix, json_object *chain, size_t i) {
        json_object *slots = json_list(chain, "slots"), *slot = json_object_array_get_idx(slots, i);
        bool runs = !strempty(json_text(chain, "mode"));
        _cleanup_free_ char *proceed = json_join(json_list(slot, "proceed-on"), ", ");

        grid_row(grid, LAYOUT_SLOT, prefix);
        grid_cellf(grid, STYLE_DIM, "%zu", i + 1);
        grid_cell(grid, runs ? STYLE_ACCENT : STYLE_DIM, json_text(slot, "program"));
        grid_cell(grid, STYLE_NONE, runs ? json_text(slot, "form") : "");
        grid_cell(grid, STYLE_DIM, "proceeds on");
        grid_cell(grid, STYLE_NONE, strempty_to(proceed, "nothing"));
        if (!runs)
                return;
        show_slot_figures(client, grid, slot);
        if (client->options.verbose && !strempty(json_text(slot, "form-reason")))
                grid_cellf(grid, STYLE_DIM, "not inlined: %s", json_text(slot, "form-reason"));
}

/* "12.4M packets, 9.8 GB", and the time that each took where the kernel keeps it. */
static void show_chain_figures(Client *client, Grid *grid, json_object *chain) {
        uint64_t packets = json_number(chain, "packets"), runs = json_number(chain, "run-count");
        uint64_t nsec = json_number(chain, "run-time-nsec");
        char count[COUNT_SIZE], bytes[COUNT_SIZE];

        if (streq(json_text(chain, "counters"), "off"))
                grid_cell(grid, STYLE_DIM, "not counted");
        else
                grid_cellf(grid, STYLE_NONE, "%s packet%s, %s",
                           client->output.terminal ? count_to_short_string(count, packets)
                                                   : count_to_string(count, packets, false),
                           plural(packets), bytes_text(client, bytes, json_number(chain, "bytes")));
        if (runs > 0)
                grid_cellf(grid, STYLE_NONE, "%.*f ns a packet", nsec / runs < 100 ? 1 : 0,
                           (double) nsec / (double) runs);
        if (client->options.verbose)
                grid_cellf(grid, STYLE_DIM, "counts %s, link %" PRIu64 ", program %" PRIu64,
                           json_text(chain, "counters"), json_number(chain, "link-id"),
                           json_number(chain, "program-id"));
        if (client->options.verbose && json_number(chain, "segments") > 1)
                grid_cellf(grid, STYLE_DIM, "in %" PRIu64 " programs", json_number(chain, "segments"));
}

static void show_chain(Client *client, Grid *grid, json_object *chain, bool last) {
        Output *out = &client->output;
        const char *state = json_text(chain, "state"), *mode = json_text(chain, "mode");
        const char *reason = chain_reason(chain, "reason");
        _cleanup_free_ char *branch = NULL, *child = NULL, *documents = NULL;

        if (asprintf(&branch, "%s ", output_glyph(out, last ? GLYPH_LAST : GLYPH_BRANCH)) < 0 ||
            asprintf(&child, "%s  ", output_glyph(out, last ? GLYPH_BLANK : GLYPH_LINE)) < 0)
                return;

        grid_row(grid, LAYOUT_CHAIN, branch);
        grid_cell(grid, STYLE_STRONG, json_text(chain, "hook"));
        grid_cell(grid, style_of_state(state), state);
        documents = json_join(json_list(chain, "documents"), ", ");
        if (!strempty(mode)) {
                grid_cell(grid, STYLE_NONE, mode);
                show_chain_figures(client, grid, chain);
        } else if (!strempty(documents)) {
                grid_cell(grid, STYLE_NONE, "");
                grid_cellf(grid, STYLE_DIM, "wanted by %s", documents);
        }
        /* That an interface is not there stands in its own line. */
        if (!strempty(reason) && !streq(state, "waiting")) {
                grid_row(grid, LAYOUT_PROBLEM, child);
                grid_cell(grid, style_of_state(state), reason);
                grid_wrap(grid);
        }
        for (size_t i = 0; i < json_length(json_list(chain, "slots")); i++)
                show_slot(client, grid, child, chain, i);
}

static void show_foreign(Client *client, Grid *grid, json_object *foreign, bool last) {
        const char *name = json_text(foreign, "name"), *tag = json_text(foreign, "tag");
        _cleanup_free_ char *branch = NULL;

        if (asprintf(&branch, "%s ", output_glyph(&client->output, last ? GLYPH_LAST : GLYPH_BRANCH)) < 0)
                return;
        grid_row(grid, LAYOUT_CHAIN, branch);
        grid_cell(grid, STYLE_STRONG, json_text(foreign, "hook"));
        grid_cell(grid, STYLE_WARNING, "foreign");
        grid_cell(grid, STYLE_NONE, json_text(foreign, "kind"));
        grid_cellf(grid, STYLE_NONE, "%s%sprogram %" PRIu64 "%s%s", name, *name ? ", " : "",
                   json_number(foreign, "program-id"), *tag ? ", tag " : "", tag);
}

/* Does the tree show this sentence at its chain already? */
static bool problem_is_shown(json_object *interfaces, json_object *problem) {
        const char *where = json_text(problem, "where"), *sentence = json_text(problem, "sentence");

        for (size_t i = 0; i < json_length(interfaces); i++) {
                json_object *chains = json_list(json_object_array_get_idx(interfaces, i), "chains");

                for (size_t j = 0; j < json_length(chains); j++) {
                        json_object *chain = json_object_array_get_idx(chains, j);
                        const char *hook = startswith(where, json_text(chain, "interface"));

                        hook = hook ? startswith(hook, "/") : NULL;
                        if (hook && streq(hook, json_text(chain, "hook")) &&
                            streq(sentence, json_text(chain, "reason")))
                                return true;
                }
        }
        return false;
}

static void show_problems(Grid *grid, json_object *problems, json_object *interfaces) {
        bool first = true;

        for (size_t i = 0; i < json_length(problems); i++) {
                json_object *problem = json_object_array_get_idx(problems, i);
                bool error = streq(json_text(problem, "severity"), "error");

                if (problem_is_shown(interfaces, problem))
                        continue;
                if (first)
                        grid_row(grid, LAYOUT_PROBLEM, NULL);
                first = false;
                grid_row(grid, LAYOUT_PROBLEM, NULL);
                grid_cell(grid, error ? STYLE_BAD : STYLE_WARNING, json_text(problem, "severity"));
                grid_cell(grid, STYLE_STRONG, json_text(problem, "where"));
                grid_cell(grid, STYLE_NONE, json_text(problem, "sentence"));
                grid_wrap(grid);
        }
}

static int show_status(Client *client, json_object *manager, json_object *objects, json_object *interfaces,
                       size_t n_chains, size_t n_programs, bool filtered) {
        _cleanup_(grid_freep) Grid *grid = grid_new();
        Output *out = &client->output;
        int r;

        if (!grid)
                return fail_errno(-ENOMEM, "The status");
        grid_set_gap(grid, LAYOUT_INTERFACE, 1, 3);
        grid_set_gap(grid, LAYOUT_CHAIN, 1, 3);
        grid_set_gap(grid, LAYOUT_CHAIN, 2, 3);
        grid_set_gap(grid, LAYOUT_CHAIN, 3, 3);
        grid_align_right(grid, LAYOUT_SLOT, 0);
        grid_set_gap(grid, LAYOUT_SLOT, 4, 1);
        grid_set_gap(grid, LAYOUT_SLOT, 5, 3);
        grid_align_right(grid, LAYOUT_SLOT, 6);
        grid_set_gap(grid, LAYOUT_SLOT, 8, 3);
        grid_align_right(grid, LAYOUT_SLOT, 9);

        if (client->options.legend && !filtered) {
                show_header(client, manager, objects, n_chains, n_programs);
                show_pending(client, manager);
        }
        for (size_t i = 0; i < json_length(interfaces); i++) {
                json_object *interface = json_object_array_get_idx(interfaces, i);
                json_object *chains = json_list(interface, "chains"), *foreign = json_list(interface, "foreign");
                size_t n_own = json_length(chains), n_foreign = json_length(foreign);

                if (i > 0 || (client->options.legend && !filtered))
                        grid_row(grid, LAYOUT_INTERFACE, NULL);
                show_interface(grid, interface);
                for (size_t j = 0; j < n_own; j++)
                        show_chain(client, grid, json_object_array_get_idx(chains, j), j + 1 == n_own + n_foreign);
                for (size_t j = 0; j < n_foreign; j++)
                        show_foreign(client, grid, json_object_array_get_idx(foreign, j), j + 1 == n_foreign);
        }
        if (!filtered)
                show_problems(grid, json_list(manager, "problems"), interfaces);
        r = grid_print(grid, out);
        if (r < 0)
                return fail_errno(r, "The status");
        if (client->options.legend && !filtered && json_length(interfaces) == 0)
                fputs("\nNo document asks for a chain. Write one, see bpfchain-document(5), and apply it with "
                      "\"bpfchain apply FILE\".\n",
                      out->stream);
        return EXIT_DONE;
}

static int show_status_json(Client *client, json_object *manager, json_object *interfaces) {
        _cleanup_json_ json_object *status = json_object_new_object();

        if (!status || json_add(status, "manager", json_object_get(manager)) < 0 ||
            json_add(status, "interfaces", json_object_get(interfaces)) < 0)
                return fail_errno(-ENOMEM, "The status");
        output_json(&client->output, client->options.json, status);
        return EXIT_DONE;
}

int verb_status(Client *client, int argc, char **argv) {
        _cleanup_json_ json_object *objects = NULL, *properties = NULL, *manager = NULL, *interfaces = NULL;
        _cleanup_json_ json_object *chains = NULL, *programs = NULL;
        int status;

        status = client_get_manager(client, &properties);
        if (status != EXIT_DONE)
                return status;
        status = client_get_objects(client, &objects);
        if (status != EXIT_DONE)
                return status;
        manager = snapshot_manager(properties);
        interfaces = status_interfaces(objects, argv, argc);
        chains = snapshot_list(objects, INTERFACE_CHAIN);
        programs = snapshot_list(objects, INTERFACE_PROGRAM);
        if (!manager || !interfaces || !chains || !programs)
                return fail_errno(-ENOMEM, "The status");

        for (int i = 0; i < argc; i++) {
                bool found = false;

                for (size_t j = 0; j < json_length(interfaces) && !found; j++) {
                        json_object *interface = json_object_array_get_idx(interfaces, j);
                        json_object *list = json_list(interface, "chains");

                        found = pattern_matches(argv[i], json_text(interface, "name"), NULL);
                        for (size_t k = 0; k < json_length(list) && !found; k++)
                                found = pattern_matches(argv[i], json_text(interface, "name"),
                                                        json_text(json_object_array_get_idx(list, k), "hook"));
                }
                if (!found)
                        return fail(EXIT_FAILED,
                                    "There is no interface or chain \"%s\". \"bpfchain interfaces\" shows all.",
                                    argv[i]);
        }
        if (client->options.json != JSON_MODE_OFF)
                return show_status_json(client, manager, interfaces);
        return show_status(client, manager, objects, interfaces, json_length(chains), json_length(programs),
                           argc > 0);
}
