/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <time.h>

#include "client/connection.h"
#include "client/grid.h"
#include "client/snapshot.h"
#include "client/verbs.h"
#include "util/clock.h"

/* All objects of one kind, as snapshot_list() has them. Returns an exit status. */
static int get_list(Client *client, const char *bus_interface, json_object **ret) {
        _cleanup_json_ json_object *objects = NULL;
        int status;

        status = client_get_objects(client, &objects);
        if (status != EXIT_DONE)
                return status;
        *ret = snapshot_list(objects, bus_interface);
        return *ret ? EXIT_DONE : fail_errno(-ENOMEM, "The list");
}

/* Keeps the items whose member is one of the words; a word that none has is an error. */
static int filter_list(json_object **list, const char *member, const char *what, int n, char **words) {
        _cleanup_json_ json_object *kept = json_object_new_array();

        if (n == 0)
                return EXIT_DONE;
        if (!kept)
                return fail_errno(-ENOMEM, "The list");
        for (int i = 0; i < n; i++) {
                bool found = false;

                for (size_t j = 0; j < json_length(*list); j++) {
                        json_object *item = json_object_array_get_idx(*list, j);

                        if (!streq(json_text(item, member), words[i]))
                                continue;
                        found = true;
                        if (json_object_array_add(kept, json_object_get(item)) < 0)
                                return fail_errno(-ENOMEM, "The list");
                }
                if (!found)
                        return fail(EXIT_FAILED, "There is no %s \"%s\".", what, words[i]);
        }
        json_object_put(*list);
        *list = TAKE_PTR(kept);
        return EXIT_DONE;
}

static int finish(Client *client, Grid *grid, json_object *list, const char *nothing) {
        int r;

        if (json_length(list) == 0 && client->options.legend) {
                output_printf(&client->output, STYLE_NONE, "%s\n", nothing);
                return EXIT_DONE;
        }
        r = grid_print(grid, &client->output);
        return r < 0 ? fail_errno(r, "The list") : EXIT_DONE;
}

/* "eth0/xdp, eth0/tc-ingress" from the paths of chains; "deny/hits" from those of maps. */
static char *labels_text(json_object *paths, const char *separator) {
        _cleanup_json_ json_object *labels = json_object_new_array();

        if (!labels)
                return NULL;
        for (size_t i = 0; i < json_length(paths); i++) {
                _cleanup_free_ char *label =
                        path_to_label(strempty_to(json_object_get_string(json_object_array_get_idx(paths, i)), ""));
                const char *name = label ? strchr(label, ' ') : NULL;

                if (!label || json_object_array_add(labels, json_object_new_string(name ? name + 1 : label)) < 0)
                        return NULL;
        }
        return json_join(labels, separator);
}

static Style style_of_program(const char *state) {
        return streq(state, "failed") ? STYLE_BAD : streq(state, "defined") ? STYLE_DIM : STYLE_GOOD;
}

static int show_programs(Client *client, json_object *list) {
        static const char *const headings[] = { "NAME", "TYPE", "STATE", "ENDED", "OBJECT", "FUNCTION", "CHAINS" };
        _cleanup_(grid_freep) Grid *grid = grid_new();
        char buffer[COUNT_SIZE];

        if (!grid)
                return fail_errno(-ENOMEM, "The list");
        grid_align_right(grid, 0, 3);
        grid_headings(grid, client->options.legend, 0, headings, ELEMENTSOF(headings));
        for (size_t i = 0; i < json_length(list); i++) {
                json_object *program = json_object_array_get_idx(list, i);
                _cleanup_free_ char *chains = labels_text(json_list(program, "chains"), ", ");
                const char *state = json_text(program, "state");

                grid_row(grid, 0, NULL);
                grid_cell(grid, STYLE_ACCENT, json_text(program, "name"));
                grid_cell(grid, STYLE_NONE, strempty_to(json_text(program, "type"), "-"));
                grid_cell(grid, style_of_program(state), state);
                grid_cell(grid, STYLE_NONE,
                          count_to_string(buffer, json_number(program, "ended"), output_group(&client->output)));
                grid_cell(grid, STYLE_NONE, json_text(program, "object"));
                grid_cell(grid, STYLE_NONE, strempty_to(json_text(program, "function"), "-"));
                grid_cell(grid, strempty(chains) ? STYLE_DIM : STYLE_NONE, strempty_to(chains, "-"));
        }
        return finish(client, grid, list, "No document defines a program.");
}

static void row_text(Grid *grid, const char *label, const char *text) {
        if (strempty(text))
                return;
        grid_row(grid, 0, NULL);
        grid_cell(grid, STYLE_DIM, label);
        grid_cell(grid, STYLE_NONE, text);
        grid_wrap(grid);
}

static char *verdicts_text(json_object *verdicts, bool group) {
        _cleanup_fclose_ FILE *stream = NULL;
        _cleanup_free_ char *text = NULL;
        const char *separator = "";
        size_t size;

        stream = open_memstream(&text, &size);
        if (!stream || !json_object_is_type(verdicts, json_type_object))
                return NULL;
        json_object_object_foreach (verdicts, verdict, count) {
                char buffer[COUNT_SIZE];

                fprintf(stream, "%s%s %s", separator, verdict,
                        count_to_string(buffer, json_object_get_uint64(count), group));
                separator = ", ";
        }
        if (fclose(TAKE_PTR(stream)) != 0)
                return NULL;
        return TAKE_PTR(text);
}

/* "412 instructions (processed 1 733 in 1.2ms), 32 bytes of stack" */
static char *verifier_text(json_object *verifier, bool group) {
        char count[COUNT_SIZE], processed[COUNT_SIZE], time[USEC_STRING_SIZE];
        uint64_t stack = json_number(verifier, "stack-depth");
        char *text;

        if (!json_member(verifier, "instructions-processed") && !json_member(verifier, "instructions"))
                return NULL;
        if (asprintf(&text, "%s instructions, %s processed in %s%s%.0" PRIu64 "%s",
                     count_to_string(count, json_number(verifier, "instructions"), group),
                     count_to_string(processed, json_number(verifier, "instructions-processed"), group),
                     usec_to_string(json_number(verifier, "time"), time), stack > 0 ? ", " : "", stack,
                     stack > 0 ? " bytes of stack" : "") < 0)
                return NULL;
        return text;
}

static const char *time_text(uint64_t usec, char *buffer, size_t size) {
        time_t seconds = (time_t) (usec / USEC_PER_SEC);
        struct tm tm;

        if (usec == 0 || !localtime_r(&seconds, &tm) || strftime(buffer, size, "%a %Y-%m-%d %H:%M:%S %Z", &tm) == 0)
                return "";
        return buffer;
}

static int show_program(Client *client, json_object *program) {
        _cleanup_(grid_freep) Grid *grid = grid_new();
        bool group = output_group(&client->output);
        _cleanup_free_ char *chains = labels_text(json_list(program, "chains"), ", ");
        _cleanup_free_ char *maps = labels_text(json_list(program, "maps"), ", ");
        _cleanup_free_ char *endings = verdicts_text(json_member(program, "endings"), group);
        _cleanup_free_ char *verdicts = verdicts_text(json_member(program, "verdicts"), group);
        _cleanup_free_ char *verifier = verifier_text(json_member(program, "verifier"), group);
        const char *state = json_text(program, "state");
        char buffer[64];
        int r;

        if (!grid)
                return fail_errno(-ENOMEM, "The program");
        grid_align_right(grid, 0, 0);
        grid_row(grid, 0, NULL);
        grid_cell(grid, STYLE_DIM, "Program");
        grid_cell(grid, STYLE_STRONG, json_text(program, "name"));
        grid_row(grid, 0, NULL);
        grid_cell(grid, STYLE_DIM, "State");
        grid_cell(grid, style_of_program(state), state);
        row_text(grid, "Error", json_text(program, "error"));
        row_text(grid, "Description", json_text(program, "description"));
        row_text(grid, "Type", json_text(program, "type"));
        row_text(grid, "Object", json_text(program, "object"));
        row_text(grid, "Function", json_text(program, "function"));
        row_text(grid, "Document", json_text(program, "document"));
        row_text(grid, "Chains", strempty_to(chains, "none"));
        row_text(grid, "Maps", maps);
        row_text(grid, "Ended", count_to_string(buffer, json_number(program, "ended"), group));
        row_text(grid, "Endings", endings);
        if (json_number(program, "packets") > 0)
                row_text(grid, "Saw", count_to_string(buffer, json_number(program, "packets"), group));
        row_text(grid, "Verdicts", verdicts);
        row_text(grid, "Verifier", verifier);
        row_text(grid, "Loaded", time_text(json_number(program, "loaded-at"), buffer, sizeof(buffer)));
        row_text(grid, "Tag", json_text(program, "tag"));
        row_text(grid, "Digest", json_text(program, "digest"));
        r = grid_print(grid, &client->output);
        return r < 0 ? fail_errno(r, "The program") : EXIT_DONE;
}

int verb_programs(Client *client, int argc, char **argv) {
        _cleanup_json_ json_object *list = NULL;
        int status;

        status = get_list(client, INTERFACE_PROGRAM, &list);
        if (status == EXIT_DONE)
                status = filter_list(&list, "name", "program", argc, argv);
        if (status != EXIT_DONE)
                return status;
        if (client->options.json != JSON_MODE_OFF) {
                output_json(&client->output, client->options.json, list);
                return EXIT_DONE;
        }
        if (argc == 0)
                return show_programs(client, list);
        for (size_t i = 0; i < json_length(list) && status == EXIT_DONE; i++) {
                if (i > 0)
                        fputc('\n', client->output.stream);
                status = show_program(client, json_object_array_get_idx(list, i));
        }
        return status;
}

/* "xdp" for each foreign program: on which hooks others sit. */
static char *foreign_text(json_object *foreign) {
        _cleanup_json_ json_object *hooks = json_object_new_array();

        for (size_t i = 0; hooks && i < json_length(foreign); i++)
                if (json_object_array_add(
                            hooks, json_object_get(json_member(json_object_array_get_idx(foreign, i), "hook"))) < 0)
                        return NULL;
        return json_join(hooks, ", ");
}

/* The hooks of an interface's chains, "xdp, tc-ingress". */
static char *hooks_text(json_object *paths) {
        _cleanup_json_ json_object *hooks = json_object_new_array();

        for (size_t i = 0; hooks && i < json_length(paths); i++) {
                _cleanup_free_ char *name =
                        path_to_name(strempty_to(json_object_get_string(json_object_array_get_idx(paths, i)), ""));

                if (name && json_object_array_add(hooks, json_object_new_string(name)) < 0)
                        return NULL;
        }
        return json_join(hooks, ", ");
}

int verb_interfaces(Client *client, int argc, char **argv) {
        static const char *const headings[] = { "INDEX", "NAME", "STATE", "KIND", "DRIVER", "CHAINS", "FOREIGN" };
        _cleanup_(grid_freep) Grid *grid = grid_new();
        _cleanup_json_ json_object *list = NULL;
        int status;

        status = get_list(client, INTERFACE_LINK, &list);
        if (status == EXIT_DONE)
                status = filter_list(&list, "name", "interface", argc, argv);
        if (status != EXIT_DONE)
                return status;
        if (client->options.json != JSON_MODE_OFF) {
                output_json(&client->output, client->options.json, list);
                return EXIT_DONE;
        }
        if (!grid)
                return fail_errno(-ENOMEM, "The list");
        grid_align_right(grid, 0, 0);
        grid_headings(grid, client->options.legend, 0, headings, ELEMENTSOF(headings));
        for (size_t i = 0; i < json_length(list); i++) {
                json_object *interface = json_object_array_get_idx(list, i);
                _cleanup_free_ char *chains = hooks_text(json_list(interface, "chains"));
                _cleanup_free_ char *foreign = foreign_text(json_list(interface, "foreign"));
                bool up = json_truth(interface, "up");

                grid_row(grid, 0, NULL);
                grid_cellf(grid, STYLE_NONE, "%" PRIu64, json_number(interface, "index"));
                grid_cell(grid, STYLE_STRONG, json_text(interface, "name"));
                grid_cell(grid, up ? STYLE_GOOD : STYLE_DIM, up ? "up" : "down");
                grid_cell(grid, STYLE_NONE, strempty_to(json_text(interface, "kind"), "-"));
                grid_cell(grid, STYLE_NONE, strempty_to(json_text(interface, "driver"), "-"));
                grid_cell(grid, STYLE_ACCENT, strempty_to(chains, "-"));
                grid_cell(grid, STYLE_WARNING, strempty_to(foreign, "-"));
        }
        return finish(client, grid, list, "There are no interfaces.");
}

int verb_maps(Client *client, int argc, char **argv) {
        static const char *const headings[] = { "PROGRAM", "MAP", "TYPE", "KEY", "VALUE", "CAPACITY", "ID", "FLAGS" };
        _cleanup_(grid_freep) Grid *grid = grid_new();
        _cleanup_json_ json_object *list = NULL;
        char buffer[COUNT_SIZE];
        int status;

        status = get_list(client, INTERFACE_MAP, &list);
        if (status == EXIT_DONE)
                status = filter_list(&list, "program", "program with maps called", argc, argv);
        if (status != EXIT_DONE)
                return status;
        if (client->options.json != JSON_MODE_OFF) {
                output_json(&client->output, client->options.json, list);
                return EXIT_DONE;
        }
        if (!grid)
                return fail_errno(-ENOMEM, "The list");
        for (unsigned column = 3; column <= 6; column++)
                grid_align_right(grid, 0, column);
        grid_headings(grid, client->options.legend, 0, headings, ELEMENTSOF(headings));
        for (size_t i = 0; i < json_length(list); i++) {
                json_object *map = json_object_array_get_idx(list, i);
                _cleanup_free_ char *flags = json_join(json_list(map, "flags"), ", ");
                bool internal = json_truth(map, "internal");

                grid_row(grid, 0, NULL);
                grid_cell(grid, STYLE_ACCENT, json_text(map, "program"));
                grid_cell(grid, internal ? STYLE_DIM : STYLE_STRONG, json_text(map, "name"));
                grid_cell(grid, STYLE_NONE, json_text(map, "type"));
                grid_cellf(grid, STYLE_NONE, "%" PRIu64, json_number(map, "key-size"));
                grid_cellf(grid, STYLE_NONE, "%" PRIu64, json_number(map, "value-size"));
                grid_cell(grid, STYLE_NONE,
                          count_to_string(buffer, json_number(map, "max-entries"), output_group(&client->output)));
                grid_cellf(grid, STYLE_NONE, "%" PRIu64, json_number(map, "map-id"));
                grid_cell(grid, STYLE_DIM, strempty_to(flags, json_truth(map, "frozen") ? "frozen" : "-"));
        }
        return finish(client, grid, list, "No program with maps is loaded.");
}
