/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "model/simulate-internal.h"
#include "util/clock.h"

/* Without a chain a packet goes on as it came. */
static unsigned no_chain_bucket(Hook hook) {
        return (unsigned) verdict_bucket_from_string(hook, hook_is_tc(hook) ? "next" : "pass");
}

SimulateEnd simulate_end(const SimulateLane *lane, const SimulateSide *side, const SimulatePacket *packet) {
        const SimulationResult *result = &side->result;
        SimulateEnd end = {
                .bucket = no_chain_bucket(lane->hook),
                .data = packet->data,
                .size = packet->size,
                .stored = packet->size,
        };
        const SimulationStep *last;

        end.verdict = verdict_bucket_to_value(lane->hook, end.bucket);
        if (!side->there)
                return end;
        end.bucket = result->bucket;
        end.verdict = result->verdict;
        if (result->n_steps == 0)
                return end;
        last = &result->steps[result->n_steps - 1];
        end.program = side->programs[last->slot];
        end.data = last->data;
        end.size = last->size;
        end.stored = MIN2((size_t) last->size, (size_t) SIMULATION_PACKET_MAX);
        return end;
}

/* 1: it ran; 0: the kernel does not take such a packet on this hook, and `why` says so. */
static int run_side(Simulation *simulation, SimulateLane *lane, SimulateSide *side, const SimulatePacket *packet,
                    Error *why) {
        int r;

        if (side->there) {
                r = simulation->ops->simulation_run(simulation->kernel, side->kernel, packet->data, packet->size,
                                                    &side->result, why);
                if (r < 0)
                        return why->code == ERROR_INVALID_ARGUMENT ? 0 : r;
                if (side->result.n_steps > 0)
                        side->ended[side->result.steps[side->result.n_steps - 1].slot]++;
        }
        side->verdicts[simulate_end(lane, side, packet).bucket]++;
        return 1;
}

static void compare(const Simulation *simulation, SimulateLane *lane, const SimulatePacket *packet) {
        SimulateEnd before = simulate_end(lane, &lane->before, packet);
        SimulateEnd after = simulate_end(lane, &lane->after, packet);
        bool verdict = before.bucket != after.bucket || before.verdict != after.verdict;
        bool contents = before.size != after.size || before.stored != after.stored ||
                        memcmp(before.data, after.data, before.stored) != 0;
        bool ended = before.program && after.program && !streq(before.program, after.program);

        if (!verdict && !contents && !ended)
                return;
        lane->n_different++;
        lane->n_verdict += verdict;
        lane->n_contents += contents;
        lane->n_ended += ended;
        simulate_report_difference(simulation, lane, verdict, contents, ended, packet);
}

static int run_both(Simulation *simulation, SimulateLane *lane, const SimulatePacket *packet, Error *why) {
        int r;

        r = run_side(simulation, lane, &lane->before, packet, why);
        if (r > 0 && simulation->plans && !lane->same)
                r = run_side(simulation, lane, &lane->after, packet, why);
        return r;
}

static int run_lane(Simulation *simulation, SimulateLane *lane, const SimulatePacket *packet, Error *error) {
        _cleanup_error_ Error why = ERROR_INIT;
        int r;

        r = run_both(simulation, lane, packet, &why);
        if (r < 0) {
                error_ensure(&why, r, "the kernel does not run it");
                error_prefix(&why, "packet %zu of %zu bytes, %s/%s: ", simulation->next, packet->size,
                             lane->interface, hook_to_string(lane->hook));
                error_move(error, &why);
                return r;
        }
        lane->n_refused += r == 0;
        if (!simulation->plans)
                simulate_report_packet(simulation, lane, packet, r == 0 ? why.message : NULL);
        else if (r > 0 && !lane->same && !lane->unknown)
                compare(simulation, lane, packet);
        return 0;
}

static int check_report(const Simulation *simulation, Error *error) {
        uint64_t size = simulation->plan ? strlen(simulation->plan) : 0;

        for (size_t i = 0; i < simulation->n_lanes; i++) {
                off_t at = ftello(simulation->lanes[i].stream);

                if (at < 0 || ferror(simulation->lanes[i].stream))
                        return -ENOMEM;
                size += (uint64_t) at;
        }
        if (size <= SIMULATE_REPORT_MAX)
                return 0;
        return error_set(error, ERROR_LIMIT_EXCEEDED,
                         "the report of the first %zu packets has more than %u bytes already; simulate fewer at a "
                         "time%s",
                         simulation->next + 1, SIMULATE_REPORT_MAX,
                         simulation->request.contents ? ", or without their contents" : "");
}

int simulation_work(Simulation *simulation, uint64_t usec, Error *error) {
        const SimulateRequest *request = &simulation->request;
        uint64_t started = usec_now(CLOCK_MONOTONIC), now = started;
        int r;

        for (; simulation->next < request->n_packets && now - started < usec; simulation->next++) {
                const SimulatePacket *packet = &request->packets[simulation->next];

                for (size_t i = 0; i < simulation->n_lanes; i++) {
                        r = run_lane(simulation, &simulation->lanes[i], packet, error);
                        if (r < 0)
                                return r;
                }
                r = check_report(simulation, error);
                if (r < 0)
                        return r;
                now = usec_now(CLOCK_MONOTONIC);
        }
        simulation->run_usec += now - started;
        return simulation->next < request->n_packets;
}
