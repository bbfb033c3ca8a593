/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/simulation.h"

#include <inttypes.h>

#include "client/packet-summary.h"

int simulation_read_capture(Client *client, const char *path, Capture *ret) {
        const Options *options = &client->options;
        const CaptureOptions capture = {
                .path = path,
                .filter = options->filter,
                .first = options->packet_first > 0 ? options->packet_first : 1,
                .last = options->packet_first > 0 ? options->packet_last : UINT64_MAX,
                .limit = options->limit,
        };

        if (options->limit > SIMULATE_PACKETS_MAX)
                return fail(EXIT_USAGE, "--limit: one simulation takes %d packets at most.", SIMULATE_PACKETS_MAX);
        return capture_read(&capture, ret);
}

int simulation_append_packets(sd_bus_message *call, const Capture *capture) {
        int r;

        r = sd_bus_message_open_container(call, 'a', "ay");
        for (size_t i = 0; r >= 0 && i < capture->n; i++)
                r = sd_bus_message_append_array(call, 'y', capture_data(capture, i), capture->packets[i].size);
        return r < 0 ? r : sd_bus_message_close_container(call);
}

static int annotate(json_object *object, const Capture *capture, size_t i) {
        const CapturePacket *packet = &capture->packets[i];
        char summary[PACKET_SUMMARY_SIZE];

        packet_summary(capture_data(capture, i), packet->size, summary);
        if (json_add(object, "number", json_object_new_uint64(packet->number)) < 0 ||
            json_add(object, "usec", json_object_new_int64(packet->usec)) < 0 ||
            json_add(object, "length", json_object_new_uint64(packet->length)) < 0 ||
            json_add(object, "captured", json_object_new_uint64(packet->size)) < 0 ||
            json_add(object, "summary", json_object_new_string(summary)) < 0)
                return -ENOMEM;
        return 0;
}

/* A report of Manager.Simulate has chains with some of the packets, and their index; one of Chain.Simulate has all.
 */
static int annotate_list(json_object *list, bool indexed, const Capture *capture) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < json_length(list); i++) {
                json_object *object = json_object_array_get_idx(list, i);
                uint64_t index = indexed ? json_number(object, "packet") : i;

                if (index >= capture->n || !json_object_is_type(object, json_type_object))
                        return -EBADMSG;
                r = annotate(object, capture, (size_t) index);
        }
        return r;
}

int simulation_read_report(sd_bus_message *reply, const Capture *capture, json_object **ret) {
        _cleanup_json_ json_object *report = NULL;
        json_object *chains;
        const char *text;
        int r;

        r = sd_bus_message_read(reply, "s", &text);
        if (r < 0)
                return fail_errno(r, "The reply of bpfchaind");
        report = json_tokener_parse(text);
        if (!json_object_is_type(report, json_type_object))
                return fail(EXIT_FAILED, "The report of bpfchaind is not what it should be.");
        chains = json_list(report, "chains");
        r = chains ? 0 : annotate_list(json_list(report, "packets"), false, capture);
        for (size_t i = 0; r >= 0 && i < json_length(chains); i++)
                r = annotate_list(json_list(json_object_array_get_idx(chains, i), "packets"), true, capture);
        if (r < 0)
                return fail_errno(r, "The report of bpfchaind");
        *ret = TAKE_PTR(report);
        return EXIT_DONE;
}

Style simulation_style_of_verdict(const char *verdict) {
        static const char *const good[] = { "pass", "ok", "next", "pipe" };
        static const char *const bad[] = { "drop", "shot", "aborted" };

        for (size_t i = 0; i < ELEMENTSOF(good); i++)
                if (streq(verdict, good[i]))
                        return STYLE_GOOD;
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                if (streq(verdict, bad[i]))
                        return STYLE_BAD;
        return STYLE_WARNING;
}

static bool joins(json_object *step, json_object *next) {
        return next && !json_truth(step, "changed") && !json_truth(next, "changed") &&
               streq(json_text(step, "verdict"), json_text(next, "verdict")) &&
               json_number(step, "value") == json_number(next, "value");
}

char *simulation_way_text(Client *client, json_object *way) {
        json_object *steps = json_list(way, "steps");
        const char *arrow = output_glyph(&client->output, GLYPH_ARROW);
        size_t n = json_length(steps), size;
        char *text = NULL;
        FILE *stream;

        stream = open_memstream(&text, &size);
        if (!stream)
                return NULL;
        for (size_t i = 0; i < n; i++) {
                json_object *step = json_object_array_get_idx(steps, i);
                json_object *value = json_member(step, "value");

                fputs(json_text(step, "program"), stream);
                if (joins(step, i + 1 < n ? json_object_array_get_idx(steps, i + 1) : NULL)) {
                        fputs(", ", stream);
                        continue;
                }
                fprintf(stream, " %s", json_text(step, "verdict"));
                if (value)
                        fprintf(stream, " %" PRId64, json_object_get_int64(value));
                if (json_truth(step, "changed"))
                        fprintf(stream, " (changed, %" PRIu64 " bytes)", json_number(step, "size"));
                if (i + 1 < n)
                        fprintf(stream, " %s ", arrow);
        }
        if (fclose(stream) != 0) {
                free(text);
                return NULL;
        }
        return text;
}

char *simulation_counts_text(Client *client, json_object *counts) {
        char *text = NULL, buffer[COUNT_SIZE];
        bool first = true;
        FILE *stream;
        size_t size;

        stream = open_memstream(&text, &size);
        if (!stream)
                return NULL;
        if (json_object_is_type(counts, json_type_object)) {
                json_object_object_foreach (counts, name, count) {
                        fprintf(stream, "%s%s %s", first ? "" : ", ", name,
                                count_to_string(buffer, json_object_get_uint64(count),
                                                output_group(&client->output)));
                        first = false;
                }
        }
        if (fclose(stream) != 0) {
                free(text);
                return NULL;
        }
        return text;
}

void simulation_show_contents(Client *client, json_object *packet) {
        Output *out = &client->output;
        json_object *steps = json_list(packet, "steps");

        for (size_t i = 0; i < json_length(steps); i++) {
                json_object *step = json_object_array_get_idx(steps, i);
                const char *hex = json_text(step, "packet");
                size_t n = strlen(hex);

                if (n == 0)
                        continue;
                output_printf(out, STYLE_STRONG, "\nPacket %" PRIu64 " as %s left it", json_number(packet, "number"),
                              json_text(step, "program"));
                for (size_t at = 0; at + 1 < n; at += 2) {
                        if (at % 32 == 0)
                                output_printf(out, STYLE_DIM, "\n  %04zx ", at / 2);
                        fprintf(out->stream, " %.2s", hex + at);
                }
                fputc('\n', out->stream);
        }
}

static void note(Client *client, uint64_t n, const char *what) {
        char buffer[COUNT_SIZE];

        if (n > 0)
                output_printf(&client->output, STYLE_WARNING, "%s packet%s %s\n",
                              count_to_string(buffer, n, output_group(&client->output)), n == 1 ? "" : "s", what);
}

void simulation_show_capture_notes(Client *client, const Capture *capture) {
        char what[128];

        snprintf(what, sizeof(what), "left out: longer than the %d bytes that the kernel simulates.",
                 SIMULATION_PACKET_MAX);
        note(client, capture->n_long, what);
        note(client, capture->n_short, "left out: shorter than an Ethernet header.");
        note(client, capture->n_cut,
             "cut short by the capture: programs saw the beginning only. Capture with a snapshot length of 0.");
        if (capture->more)
                output_printf(&client->output, STYLE_WARNING,
                              "There are more packets in the file than --limit lets "
                              "through.\n");
        if (capture->broken)
                output_printf(&client->output, STYLE_WARNING, "%s\n", capture->broken);
}

void simulation_show_omissions(Client *client, json_object *form) {
        json_object *omissions = json_list(form, "omissions");

        for (size_t i = 0; i < json_length(omissions); i++) {
                json_object *omission = json_object_array_get_idx(omissions, i);
                const char *map = json_text(omission, "map");

                output_printf(&client->output, STYLE_WARNING, "Not as live: %s%s%s: %s.\n",
                              json_text(omission, "program"), strempty(map) ? "" : "/", map,
                              json_text(omission, "reason"));
        }
}
