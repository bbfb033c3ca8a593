/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "client/grid.h"
#include "client/report.h"
#include "util/clock.h"

enum {
        LAYOUT_CHAIN,
        LAYOUT_PROGRAM,
};

static Style style_of_change(const char *change) {
        static const char *const bad[] = { "conflict", "degraded", "failed" };
        static const char *const careful[] = { "waiting", "detached", "removed" };

        if (streq(change, "unchanged"))
                return STYLE_DIM;
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                if (streq(change, bad[i]))
                        return STYLE_BAD;
        for (size_t i = 0; i < ELEMENTSOF(careful); i++)
                if (streq(change, careful[i]))
                        return STYLE_WARNING;
        return STYLE_GOOD;
}

/* "deny, limit → deny, flows, limit", or only one side where there is nothing to compare. */
static void cell_programs(Client *client, Grid *grid, json_object *chain, const char *change) {
        _cleanup_free_ char *before = json_join(json_list(chain, "before"), ", ");
        _cleanup_free_ char *after = json_join(json_list(chain, "after"), ", ");

        if (!before || !after)
                return;
        if (streq(change, "unchanged") || streq(before, after) || strempty(before))
                grid_cell(grid, STYLE_NONE, strempty_to(after, before));
        else if (strempty(after))
                grid_cell(grid, STYLE_NONE, before);
        else
                grid_cellf(grid, STYLE_NONE, "%s  %s  %s", before, output_glyph(&client->output, GLYPH_ARROW), after);
}

static void cell_times(Client *client, Grid *grid, json_object *chain) {
        uint64_t verify = json_number(chain, "verify-usec"), swap = json_number(chain, "swap-usec");
        const char *reason = strempty_to(chain_reason(chain, "reason"), json_text(chain, "note"));
        const char *done = streq(json_text(chain, "change"), "attached") ? "attached" : "swapped";
        char a[USEC_STRING_SIZE], b[USEC_STRING_SIZE];

        if (!strempty(reason)) {
                grid_cell(grid, STYLE_NONE, reason);
                grid_wrap(grid);
        } else if (verify > 0 && swap > 0)
                grid_cellf(grid, STYLE_DIM, "verified in %s, %s in %s", usec_to_string(verify, a), done,
                           usec_to_string(swap, b));
        else if (swap > 0)
                grid_cellf(grid, STYLE_DIM, "%s in %s", done, usec_to_string(swap, b));
        else if (verify > 0)
                grid_cellf(grid, STYLE_DIM, "verified in %s", usec_to_string(verify, a));
}

static void show_chain(Client *client, Grid *grid, json_object *chain) {
        const char *change = json_text(chain, "change");

        grid_row(grid, LAYOUT_CHAIN, NULL);
        grid_cellf(grid, STYLE_STRONG, "%s/%s", json_text(chain, "interface"), json_text(chain, "hook"));
        grid_cell(grid, style_of_change(change), change);
        cell_programs(client, grid, chain, change);
        cell_times(client, grid, chain);
        if (!strempty(json_text(chain, "counters-before"))) {
                grid_row(grid, LAYOUT_PROGRAM, NULL);
                grid_cell(grid, STYLE_NONE, "counters");
                grid_cellf(grid, STYLE_NONE, "%s  %s  %s", json_text(chain, "counters-before"),
                           output_glyph(&client->output, GLYPH_ARROW), json_text(chain, "counters"));
        }
}

/* "hits, denied_v4": the maps of a program that kept their contents, or those that could not. */
static char *maps_text(json_object *maps, bool kept) {
        _cleanup_json_ json_object *names = json_object_new_array();

        if (!names)
                return NULL;
        for (size_t i = 0; i < json_length(maps); i++) {
                json_object *map = json_object_array_get_idx(maps, i);

                if (json_truth(map, "kept") == kept &&
                    json_object_array_add(names, json_object_get(json_member(map, "name"))) < 0)
                        return NULL;
        }
        return json_join(names, ", ");
}

static void show_program(Grid *grid, json_object *program) {
        const char *change = json_text(program, "change");
        const char *reason = strempty_to(json_text(program, "reason"), json_text(program, "note"));
        json_object *maps = json_list(program, "maps");
        _cleanup_free_ char *kept = maps_text(maps, true), *made = maps_text(maps, false);

        grid_row(grid, LAYOUT_PROGRAM, NULL);
        grid_cellf(grid, STYLE_NONE, "program %s", json_text(program, "name"));
        grid_cell(grid, style_of_change(change), change);
        if (!strempty(reason)) {
                grid_cell(grid, STYLE_NONE, reason);
                grid_wrap(grid);
        }
        if (!streq(change, "upgraded"))
                return;
        if (!strempty(kept))
                grid_cellf(grid, STYLE_NONE, "keeps %s", kept);
        if (!strempty(made))
                grid_cellf(grid, STYLE_WARNING, "starts anew: %s", made);
}

static bool changes(json_object *item) {
        return !streq(json_text(item, "change"), "unchanged");
}

int report_show(Client *client, json_object *report, bool all) {
        json_object *chains = json_list(report, "chains"), *programs = json_list(report, "programs");
        _cleanup_(grid_freep) Grid *grid = grid_new();
        int n = 0, r;

        if (!grid)
                return -ENOMEM;
        grid_set_gap(grid, LAYOUT_CHAIN, 1, 3);
        grid_set_gap(grid, LAYOUT_CHAIN, 3, 4);
        for (size_t i = 0; i < json_length(chains); i++) {
                json_object *chain = json_object_array_get_idx(chains, i);

                n += changes(chain);
                if (all || changes(chain))
                        show_chain(client, grid, chain);
        }
        for (size_t i = 0; i < json_length(programs); i++) {
                json_object *program = json_object_array_get_idx(programs, i);

                n += changes(program);
                if (changes(program))
                        show_program(grid, program);
        }
        r = grid_print(grid, &client->output);
        return r < 0 ? r : n;
}
