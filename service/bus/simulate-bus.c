/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/simulate-bus.h"

#include "bus/context.h"
#include "bus/wire.h"
#include "util/clock.h"
#include "util/log.h"

/* How long other events wait for a simulation. */
#define SLICE (5 * USEC_PER_MSEC)

struct SimulateJob {
        BusContext *context;
        sd_bus_message *message;
        SimulatePackets packets; /* they are in the message */
        Simulation *simulation;
        sd_event_source *source;
        sd_bus_track *track; /* NULL on a private connection: that ends with its client */
        bool gone;           /* the caller is */
        SimulateJob *next;
};

void simulate_packets_done(SimulatePackets *packets) {
        free(packets->items);
        *packets = (SimulatePackets){};
}

static int check_packet(size_t i, size_t size, size_t bytes, sd_bus_error *ret_error) {
        if (i >= SIMULATE_PACKETS_MAX)
                return bus_error_failf(ret_error, ERROR_LIMIT_EXCEEDED,
                                       "More than %d packets: simulate fewer at a time.", SIMULATE_PACKETS_MAX);
        if (size < SIMULATE_PACKET_MIN || size > SIMULATION_PACKET_MAX)
                return bus_error_failf(ret_error, ERROR_INVALID_ARGUMENT,
                                       "Packet %zu has %zu bytes; those that can be simulated have %d to %d.", i,
                                       size, SIMULATE_PACKET_MIN, SIMULATION_PACKET_MAX);
        if (bytes > SIMULATE_BYTES_MAX)
                return bus_error_failf(ret_error, ERROR_LIMIT_EXCEEDED,
                                       "Packets 0 to %zu have %zu bytes together; at most %d are taken. Simulate "
                                       "fewer at a time.",
                                       i, bytes, SIMULATE_BYTES_MAX);
        return 0;
}

static int read_packets(sd_bus_message *message, SimulatePackets *packets, sd_bus_error *ret_error) {
        int r;

        r = sd_bus_message_enter_container(message, 'a', "ay");
        while (r >= 0) {
                SimulatePacket *packet;
                const void *data = NULL;
                size_t size = 0;

                r = sd_bus_message_at_end(message, false);
                if (r != 0)
                        break;
                r = sd_bus_message_read_array(message, 'y', &data, &size);
                if (r < 0)
                        return r;
                r = check_packet(packets->n, size, packets->bytes + size, ret_error);
                if (r < 0)
                        return r;
                packet = ARRAY_APPEND(packets->items, packets->n);
                if (!packet)
                        return -ENOMEM;
                *packet = (SimulatePacket){ data, size };
                packets->bytes += size;
        }
        if (r >= 0)
                r = sd_bus_message_exit_container(message);
        if (r < 0)
                return r;
        if (packets->n == 0)
                return bus_error_failf(ret_error, ERROR_INVALID_ARGUMENT, "There is no packet to simulate.");
        return 0;
}

int simulate_packets_read(sd_bus_message *message, SimulatePackets *ret, sd_bus_error *ret_error) {
        SimulatePackets packets = {};
        int r;

        r = read_packets(message, &packets, ret_error);
        if (r < 0) {
                simulate_packets_done(&packets);
                return r;
        }
        *ret = packets;
        return 0;
}

static SimulateJob *job_free(SimulateJob *job) {
        if (!job)
                return NULL;
        sd_event_source_disable_unref(job->source);
        sd_bus_track_unref(job->track);
        simulation_free(job->simulation);
        simulate_packets_done(&job->packets);
        sd_bus_message_unref(job->message);
        free(job);
        return NULL;
}
DEFINE_CLEANUP(SimulateJob *, job_free)

void simulate_jobs_free(SimulateJob **jobs) {
        while (*jobs) {
                SimulateJob *job = *jobs;

                *jobs = job->next;
                job_free(job);
        }
}

static void job_end(SimulateJob *job) {
        SimulateJob **at = &job->context->simulations;

        while (*at != job)
                at = &(*at)->next;
        *at = job->next;
        job_free(job);
}

static int reply(SimulateJob *job) {
        _cleanup_free_ char *report = simulation_report(job->simulation), *valid = NULL;

        if (!report)
                return -ENOMEM;
        valid = string_make_valid(report);
        if (!valid)
                return -ENOMEM;
        return sd_bus_reply_method_return(job->message, "s", valid);
}

static void reply_error(SimulateJob *job, int r, Error *error) {
        _cleanup_(sd_bus_error_free) sd_bus_error e = SD_BUS_ERROR_NULL;

        (void) bus_error_fail(&e, r, error, "Can't simulate");
        r = sd_bus_reply_method_error(job->message, &e);
        if (r < 0)
                log_debug("Can't answer a call of Simulate: %s", strerror(-r));
}

static int on_slice(sd_event_source *source, void *userdata);

/* A source of its own for each slice: it stands behind what is pending already. One that is used again would keep its
 * place in front of all others. */
static int next_slice(SimulateJob *job) {
        job->source = sd_event_source_disable_unref(job->source);
        return sd_event_add_defer(job->context->event, &job->source, on_slice, job);
}

static int on_slice(sd_event_source *source, void *userdata) {
        _cleanup_error_ Error error = ERROR_INIT;
        SimulateJob *job = userdata;
        int r;

        if (job->gone || sd_bus_is_open(sd_bus_message_get_bus(job->message)) <= 0) {
                job_end(job);
                return 0;
        }
        r = simulation_work(job->simulation, SLICE, &error);
        if (r > 0) {
                r = next_slice(job);
                if (r >= 0)
                        return 0;
        } else if (r == 0)
                r = reply(job);
        if (r < 0)
                reply_error(job, r, &error);
        job_end(job);
        return 0;
}

/* The job is let go in the next slice, and not while the tracker calls. */
static int on_gone(sd_bus_track *track, void *userdata) {
        SimulateJob *job = userdata;

        job->gone = true;
        return 0;
}

static int job_new(BusContext *context, sd_bus_message *message, SimulatePackets *packets, SimulateJob **ret,
                   sd_bus_error *ret_error) {
        _cleanup_(job_freep) SimulateJob *job = NULL;
        unsigned n = 0;
        int r;

        for (SimulateJob *other = context->simulations; other; other = other->next)
                n++;
        if (n >= SIMULATIONS_MAX)
                return bus_error_failf(
                        ret_error, ERROR_BUSY,
                        "%u simulations are under way, no more are done at once. Try again in a moment.", n);
        job = calloc(1, sizeof(SimulateJob));
        if (!job)
                return -ENOMEM;
        job->context = context;
        job->message = sd_bus_message_ref(message);
        job->packets = *packets;
        *packets = (SimulatePackets){};
        if (sd_bus_message_get_sender(message)) {
                r = sd_bus_track_new(sd_bus_message_get_bus(message), &job->track, on_gone, job);
                if (r >= 0)
                        r = sd_bus_track_add_sender(job->track, message);
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(job);
        return 0;
}

static int job_begin(SimulateJob **job) {
        BusContext *context = (*job)->context;
        int r;

        r = next_slice(*job);
        if (r < 0)
                return r;
        (*job)->next = context->simulations;
        context->simulations = TAKE_PTR(*job);
        return 1;
}

static SimulateRequest make_request(const SimulateJob *job, const Options *options) {
        return (SimulateRequest){
                .packets = job->packets.items,
                .n_packets = job->packets.n,
                .contents = options->contents,
                .chain = options->chain,
        };
}

int simulate_chain(BusContext *context, sd_bus_message *message, const Chain *chain, const Options *options,
                   SimulatePackets *packets, sd_bus_error *ret_error) {
        _cleanup_(job_freep) SimulateJob *job = NULL;
        _cleanup_error_ Error error = ERROR_INIT;
        SimulateRequest request;
        int r;

        r = job_new(context, message, packets, &job, ret_error);
        if (r < 0)
                return r;
        request = make_request(job, options);
        r = simulation_new_chain(context->manager, chain, &request, &job->simulation, &error);
        if (r < 0)
                return bus_error_fail(ret_error, r, &error, "Can't simulate the chain");
        return job_begin(&job);
}

int simulate_document(BusContext *context, sd_bus_message *message, const char *name, const char *document,
                      const Options *options, SimulatePackets *packets, sd_bus_error *ret_error) {
        _cleanup_(job_freep) SimulateJob *job = NULL;
        _cleanup_error_ Error error = ERROR_INIT;
        SimulateRequest request;
        int r;

        r = job_new(context, message, packets, &job, ret_error);
        if (r < 0)
                return r;
        request = make_request(job, options);
        r = simulation_new_document(context->manager, name, document, &options->change, &request, &job->simulation,
                                    &error);
        if (r < 0)
                return bus_error_fail(ret_error, r, &error, "Can't simulate the document");
        return job_begin(&job);
}
