/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The report of a simulation. It may be long, so that it is written as text and not built as a tree first. Names of
 * programs, verdicts and words of ours need no escapes.
 */
#include <inttypes.h>

#include "model/simulate-internal.h"
#include "util/json.h"

static void put_string(FILE *stream, const char *s) {
        _cleanup_json_ json_object *string = json_object_new_string(s);
        const char *text = string ? json_object_to_json_string_ext(string, JSON_C_TO_STRING_NOSLASHESCAPE) : NULL;

        fputs(text ? text : "\"\"", stream);
}

static void put_hex(FILE *stream, const uint8_t *data, size_t size) {
        static const char digits[] = "0123456789abcdef";

        for (size_t i = 0; i < size; i++) {
                fputc(digits[data[i] >> 4], stream);
                fputc(digits[data[i] & 15], stream);
        }
}

/* "other" says little, so the value stands beside it. */
static void put_verdict(FILE *stream, Hook hook, unsigned bucket, int verdict) {
        fprintf(stream, "\"verdict\":\"%s\"", verdict_bucket_to_string(hook, bucket));
        if (bucket + 1 == verdict_buckets(hook))
                fprintf(stream, ",\"value\":%d", verdict);
}

static void put_step(const Simulation *simulation, const SimulateLane *lane, const SimulateSide *side,
                     const SimulationStep *step) {
        FILE *stream = lane->stream;

        fprintf(stream, "{\"program\":\"%s\",", side->programs[step->slot]);
        put_verdict(stream, lane->hook, step->bucket, step->verdict);
        if (step->changed) {
                fprintf(stream, ",\"changed\":true,\"size\":%" PRIu32, step->size);
                if (simulation->request.contents) {
                        fputs(",\"packet\":\"", stream);
                        put_hex(stream, step->data, MIN2(step->size, (uint32_t) SIMULATION_PACKET_MAX));
                        fputc('"', stream);
                }
        }
        fputc('}', stream);
}

/* The members of a way, without the braces. */
static void put_way(const Simulation *simulation, const SimulateLane *lane, const SimulateSide *side,
                    const SimulatePacket *packet) {
        SimulateEnd end = simulate_end(lane, side, packet);
        FILE *stream = lane->stream;

        put_verdict(stream, lane->hook, end.bucket, end.verdict);
        if (end.program)
                fprintf(stream, ",\"ended-by\":\"%s\"", end.program);
        fprintf(stream, ",\"size\":%zu,\"steps\":[", end.size);
        for (size_t i = 0; side->there && i < side->result.n_steps; i++) {
                if (i > 0)
                        fputc(',', stream);
                put_step(simulation, lane, side, &side->result.steps[i]);
        }
        fputc(']', stream);
}

void simulate_report_packet(const Simulation *simulation, SimulateLane *lane, const SimulatePacket *packet,
                            const char *refused) {
        fputs(simulation->next > 0 ? ",{" : "{", lane->stream);
        if (refused) {
                fputs("\"refused\":", lane->stream);
                put_string(lane->stream, refused);
        } else
                put_way(simulation, lane, &lane->before, packet);
        fputc('}', lane->stream);
}

void simulate_report_difference(const Simulation *simulation, SimulateLane *lane, bool verdict, bool contents,
                                bool ended, const SimulatePacket *packet) {
        FILE *stream = lane->stream;

        fprintf(stream, "%s{\"packet\":%zu,\"differs\":[%s%s%s%s%s],\"before\":{", lane->n_different > 1 ? "," : "",
                simulation->next, verdict ? "\"verdict\"" : "", verdict && (contents || ended) ? "," : "",
                contents ? "\"contents\"" : "", contents && ended ? "," : "", ended ? "\"ended-by\"" : "");
        put_way(simulation, lane, &lane->before, packet);
        fputs("},\"after\":{", stream);
        put_way(simulation, lane, &lane->after, packet);
        fputs("}}", stream);
}

static void put_counts(FILE *stream, Hook hook, const SimulateSide *side) {
        bool first = true;

        fputs("\"verdicts\":{", stream);
        for (unsigned i = 0; i < verdict_buckets(hook); i++)
                if (side->verdicts[i] > 0) {
                        fprintf(stream, "%s\"%s\":%" PRIu64, first ? "" : ",", verdict_bucket_to_string(hook, i),
                                side->verdicts[i]);
                        first = false;
                }
        fputs("},\"ended-by\":{", stream);
        first = true;
        for (size_t i = 0; i < side->n_slots; i++)
                if (side->ended[i] > 0) {
                        fprintf(stream, "%s\"%s\":%" PRIu64, first ? "" : ",", side->programs[i], side->ended[i]);
                        first = false;
                }
        fputc('}', stream);
}

/* The members that tell of a form of the chain, without the braces. */
static void put_side(FILE *stream, Hook hook, const SimulateSide *side) {
        fputs("\"programs\":[", stream);
        for (size_t i = 0; i < side->n_slots; i++)
                fprintf(stream, "%s\"%s\"", i > 0 ? "," : "", side->programs[i]);
        fputs("],\"omissions\":[", stream);
        for (size_t i = 0; i < side->n_omissions; i++) {
                const SimulationOmission *omission = &side->omissions[i];

                fprintf(stream, "%s{\"program\":\"%s\",\"map\":", i > 0 ? "," : "", omission->program);
                put_string(stream, omission->map);
                fputs(",\"reason\":", stream);
                put_string(stream, omission->reason);
                fputc('}', stream);
        }
        fputs("],", stream);
        put_counts(stream, hook, side);
}

static void put_form(FILE *stream, const char *name, Hook hook, const SimulateSide *side) {
        fprintf(stream, ",\"%s\":", name);
        if (!side->there) {
                fputs("null", stream);
                return;
        }
        fputc('{', stream);
        put_side(stream, hook, side);
        fputc('}', stream);
}

static void put_hook(FILE *stream, const SimulateLane *lane) {
        fputs("\"interface\":", stream);
        put_string(stream, lane->interface);
        fprintf(stream, ",\"hook\":\"%s\",", hook_to_string(lane->hook));
}

static void put_planned(FILE *stream, const SimulateLane *lane) {
        fputc('{', stream);
        put_hook(stream, lane);
        fprintf(stream, "\"change\":\"%s\"", lane->change);
        put_form(stream, "before", lane->hook, &lane->before);
        put_form(stream, "after", lane->hook, lane->same ? &lane->before : &lane->after);
        if (lane->unknown) {
                fputs(",\"reason\":", stream);
                put_string(stream, lane->unknown);
        }
        fprintf(stream,
                ",\"refused\":%" PRIu64 ",\"different\":{\"packets\":%" PRIu64 ",\"verdict\":%" PRIu64
                ",\"contents\":%" PRIu64 ",\"ended-by\":%" PRIu64 "},\"packets\":[%s]}",
                lane->n_refused, lane->n_different, lane->n_verdict, lane->n_contents, lane->n_ended, lane->text);
}

static void put_times(FILE *stream, const Simulation *simulation) {
        fprintf(stream, "\"prepare-usec\":%" PRIu64 ",\"run-usec\":%" PRIu64 "}", simulation->prepare_usec,
                simulation->run_usec);
}

static void put_all(FILE *stream, const Simulation *simulation) {
        const SimulateLane *lane = simulation->lanes;

        fputc('{', stream);
        if (!simulation->plans) {
                put_hook(stream, lane);
                put_side(stream, lane->hook, &lane->before);
                fprintf(stream, ",\"refused\":%" PRIu64 ",\"packets\":[%s],", lane->n_refused, lane->text);
                put_times(stream, simulation);
                return;
        }
        fprintf(stream, "\"plan\":%s,\"packets\":%zu,\"chains\":[", simulation->plan, simulation->request.n_packets);
        for (size_t i = 0; i < simulation->n_lanes; i++) {
                if (i > 0)
                        fputc(',', stream);
                put_planned(stream, &simulation->lanes[i]);
        }
        fputs("],", stream);
        put_times(stream, simulation);
}

char *simulation_report(Simulation *simulation) {
        _cleanup_free_ char *text = NULL;
        size_t size = 0;
        FILE *stream;
        bool bad;

        for (size_t i = 0; i < simulation->n_lanes; i++)
                if (fflush(simulation->lanes[i].stream) != 0)
                        return NULL;
        stream = open_memstream(&text, &size);
        if (!stream)
                return NULL;
        put_all(stream, simulation);
        bad = ferror(stream);
        if (fclose(stream) != 0 || bad)
                return NULL;
        return TAKE_PTR(text);
}
