/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "client/connection.h"
#include "client/grid.h"
#include "client/simulation.h"
#include "client/verb.h"
#include "client/verbs.h"
#include "util/clock.h"

static int simulate(Client *client, const char *interface, const char *hook, const Capture *capture,
                    json_object **ret) {
        _cleanup_message_ sd_bus_message *call = NULL, *reply = NULL;
        _cleanup_free_ char *path = NULL;
        int r, status;

        status = client_get_chain(client, interface, hook, &path);
        if (status == EXIT_DONE)
                status = client_new_call(client, path, INTERFACE_CHAIN, "Simulate", &call);
        if (status != EXIT_DONE)
                return status;
        r = simulation_append_packets(call, capture);
        if (r >= 0)
                r = options_begin(client, call);
        if (r >= 0 && client->options.contents)
                r = options_add(call, "contents", "b", 1);
        if (r >= 0)
                r = options_end(call);
        if (r < 0)
                return fail_errno(r, "The packets");
        status = client_call(client, call, "Simulating", &reply);
        return status == EXIT_DONE ? simulation_read_report(reply, capture, ret) : status;
}

/* Number, time, length and summary, as all tables of packets begin. */
static void cell_packet(Client *client, Grid *grid, json_object *packet) {
        int64_t usec = json_object_get_int64(json_member(packet, "usec"));
        uint64_t size = usec < 0 ? -(uint64_t) usec : (uint64_t) usec;
        char buffer[COUNT_SIZE];

        grid_cell(grid, STYLE_NONE,
                  count_to_string(buffer, json_number(packet, "number"), output_group(&client->output)));
        grid_cellf(grid, STYLE_DIM, "%s%" PRIu64 ".%06" PRIu64, usec < 0 ? "-" : "", size / USEC_PER_SEC,
                   size % USEC_PER_SEC);
        grid_cellf(grid, STYLE_NONE, "%" PRIu64, json_number(packet, "length"));
        grid_cell(grid, STYLE_NONE, json_text(packet, "summary"));
}

static Grid *packet_grid(void) {
        Grid *grid = grid_new();

        for (unsigned i = 0; grid && i < 3; i++)
                grid_align_right(grid, 0, i);
        return grid;
}

static void show_packet(Client *client, Grid *grid, json_object *packet) {
        const char *verdict = json_text(packet, "verdict"), *refused = json_text(packet, "refused");
        _cleanup_free_ char *way = simulation_way_text(client, packet);

        grid_row(grid, 0, NULL);
        cell_packet(client, grid, packet);
        if (!strempty(refused)) {
                grid_cell(grid, STYLE_WARNING, "refused");
                grid_cell(grid, STYLE_NONE, "");
                grid_cell(grid, STYLE_NONE, refused);
        } else {
                grid_cell(grid, simulation_style_of_verdict(verdict), verdict);
                grid_cell(grid, STYLE_NONE, json_text(packet, "ended-by"));
                grid_cell(grid, STYLE_NONE, strempty_to(way, ""));
        }
        grid_wrap(grid);
}

static int show_packets(Client *client, json_object *packets) {
        static const char *const headings[] = { "#", "TIME", "BYTES", "PACKET", "VERDICT", "BY", "WAY" };
        _cleanup_(grid_freep) Grid *grid = packet_grid();
        int r = 0;

        if (!grid)
                return -ENOMEM;
        grid_headings(grid, client->options.legend, 0, headings, ELEMENTSOF(headings));
        for (size_t i = 0; i < json_length(packets); i++)
                show_packet(client, grid, json_object_array_get_idx(packets, i));
        r = grid_print(grid, &client->output);
        for (size_t i = 0; r >= 0 && client->options.contents && i < json_length(packets); i++)
                simulation_show_contents(client, json_object_array_get_idx(packets, i));
        return r;
}

static void show_summary(Client *client, json_object *report, size_t n) {
        _cleanup_free_ char *verdicts = simulation_counts_text(client, json_member(report, "verdicts"));
        _cleanup_free_ char *ended = simulation_counts_text(client, json_member(report, "ended-by"));
        Output *out = &client->output;
        char buffer[COUNT_SIZE];

        output_printf(out, STYLE_STRONG,
                      "\n%s packet%s through %s/%s: ", count_to_string(buffer, n, output_group(out)),
                      n == 1 ? "" : "s", json_text(report, "interface"), json_text(report, "hook"));
        output_printf(out, STYLE_NONE, "%s.", strempty_to(verdicts, "none ran"));
        if (!strempty(ended))
                output_printf(out, STYLE_NONE, " Ended by: %s.", ended);
        fputc('\n', out->stream);
}

int verb_explain(Client *client, int argc, char **argv) {
        _cleanup_(capture_done) Capture capture = {};
        _cleanup_json_ json_object *report = NULL;
        _cleanup_free_ char *interface = NULL;
        const char *hook;
        int r, status;

        status = take_hook(&argc, &argv, &interface, &hook);
        if (status != EXIT_DONE)
                return status;
        if (argc > 0)
                return fail(EXIT_USAGE, "\"%s\" is too much behind the hook.", argv[0]);
        if (!client->options.pcap)
                return fail(EXIT_USAGE,
                            "Which packets? --pcap FILE names a capture; \"tcpdump -i %s -w FILE\" makes one.",
                            interface);
        status = simulation_read_capture(client, client->options.pcap, &capture);
        if (status == EXIT_DONE)
                status = simulate(client, interface, hook, &capture, &report);
        if (status != EXIT_DONE)
                return status;

        if (client->options.json != JSON_MODE_OFF) {
                output_json(&client->output, client->options.json, report);
                return EXIT_DONE;
        }
        r = show_packets(client, json_list(report, "packets"));
        if (r < 0)
                return fail_errno(r, "The report");
        show_summary(client, report, capture.n);
        simulation_show_capture_notes(client, &capture);
        simulation_show_omissions(client, report);
        return EXIT_DONE;
}

/* "drop by deny", "pass: no chain". */
static void cell_side(Client *client, Grid *grid, json_object *packet, const char *side) {
        json_object *way = json_member(packet, side);
        const char *verdict = json_text(way, "verdict"), *ended = json_text(way, "ended-by");

        if (strempty(ended))
                grid_cellf(grid, simulation_style_of_verdict(verdict), "%s (no chain)", verdict);
        else
                grid_cellf(grid, simulation_style_of_verdict(verdict), "%s by %s", verdict, ended);
}

static bool differs_by(json_object *packet, const char *what) {
        json_object *differs = json_list(packet, "differs");

        for (size_t i = 0; i < json_length(differs); i++)
                if (streq(json_object_get_string(json_object_array_get_idx(differs, i)), what))
                        return true;
        return false;
}

/* That another program says the same of a packet is no news to most. */
static bool is_shown(const Client *client, json_object *packet) {
        return client->options.verbose || differs_by(packet, "verdict") || differs_by(packet, "contents");
}

static int show_differences(Client *client, json_object *packets) {
        static const char *const headings[] = { "#", "TIME", "BYTES", "PACKET", "NOW", "THEN", "" };
        _cleanup_(grid_freep) Grid *grid = packet_grid();
        bool any = false;

        if (!grid)
                return -ENOMEM;
        for (size_t i = 0; i < json_length(packets); i++) {
                json_object *packet = json_object_array_get_idx(packets, i);

                if (!is_shown(client, packet))
                        continue;
                if (!any)
                        grid_headings(grid, client->options.legend, 0, headings, ELEMENTSOF(headings));
                any = true;
                grid_row(grid, 0, NULL);
                cell_packet(client, grid, packet);
                cell_side(client, grid, packet, "before");
                cell_side(client, grid, packet, "after");
                grid_cell(grid, STYLE_DIM, differs_by(packet, "contents") ? "other contents" : "");
        }
        return grid_print(grid, &client->output);
}

static void show_chain_summary(Client *client, json_object *chain, uint64_t n) {
        json_object *different = json_member(chain, "different");
        uint64_t other = json_number(different, "packets"), silent = 0, refused = json_number(chain, "refused");
        json_object *packets = json_list(chain, "packets");
        Output *out = &client->output;
        char a[COUNT_SIZE], b[COUNT_SIZE];

        for (size_t i = 0; i < json_length(packets); i++)
                silent += !is_shown(client, json_object_array_get_idx(packets, i));
        output_printf(out, STYLE_STRONG, "%s/%s: ", json_text(chain, "interface"), json_text(chain, "hook"));
        if (!strempty(json_text(chain, "reason")))
                output_printf(out, STYLE_WARNING, "nothing to compare with: %s.", json_text(chain, "reason"));
        else if (other == silent)
                output_printf(out, STYLE_NONE, "all %s packets fare as now.",
                              count_to_string(a, n, output_group(out)));
        else
                output_printf(out, STYLE_NONE, "%s of %s packets fare%s differently.",
                              count_to_string(a, other - silent, output_group(out)),
                              count_to_string(b, n, output_group(out)), other - silent == 1 ? "s" : "");
        if (silent > 0)
                output_printf(out, STYLE_DIM,
                              " %s get%s the same verdict from another program (--verbose shows them).",
                              count_to_string(a, silent, output_group(out)), silent == 1 ? "s" : "");
        if (refused > 0)
                output_printf(out, STYLE_WARNING, " %s could not be simulated.",
                              count_to_string(a, refused, output_group(out)));
        fputc('\n', out->stream);
}

static void show_counts(Client *client, const char *when, json_object *form) {
        _cleanup_free_ char *verdicts = simulation_counts_text(client, json_member(form, "verdicts"));
        _cleanup_free_ char *ended = simulation_counts_text(client, json_member(form, "ended-by"));

        if (!form)
                output_printf(&client->output, STYLE_NONE, "  %s  no chain\n", when);
        else
                output_printf(&client->output, STYLE_NONE, "  %s  %s; ended by: %s\n", when,
                              strempty_to(verdicts, "none ran"), strempty_to(ended, "none"));
}

int simulation_show_chains(Client *client, json_object *report, const Capture *capture) {
        json_object *chains = json_list(report, "chains");
        int r = 0;

        if (json_length(chains) == 0)
                output_printf(&client->output, STYLE_NONE, "No chain would change: all packets fare as now.\n");
        for (size_t i = 0; r >= 0 && i < json_length(chains); i++) {
                json_object *chain = json_object_array_get_idx(chains, i);

                fputc('\n', client->output.stream);
                show_chain_summary(client, chain, capture->n);
                show_counts(client, "now: ", json_member(chain, "before"));
                show_counts(client, "then:", json_member(chain, "after"));
                r = show_differences(client, json_list(chain, "packets"));
                simulation_show_omissions(client, json_member(chain, "after"));
        }
        fputc('\n', client->output.stream);
        simulation_show_capture_notes(client, capture);
        return r;
}
