/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/bus.h"

#include <assert.h>

#include "bus/context.h"
#include "util/clock.h"
#include "util/log.h"

#define SYSTEM_BUS_ADDRESS "unix:path=/run/dbus/system_bus_socket"

/* Waiting times before the system bus is tried again, doubled with each failure in a row. */
#define RETRY_MIN_USEC USEC_PER_SEC
#define RETRY_MAX_USEC (60 * USEC_PER_SEC)

/* Messages to the system bus that it has not taken. */
#define SYSTEM_QUEUE_MAX 65536

sd_bus_slot **connection_slot(Connection *connection) {
        assert(connection->n_slots < CONNECTION_SLOTS_MAX);
        return &connection->slots[connection->n_slots++];
}

static void connection_free(Connection *connection) {
        if (!connection)
                return;
        for (size_t i = 0; i < connection->n_slots; i++)
                sd_bus_slot_unref(connection->slots[i]);
        sd_bus_close_unref(connection->bus);
        free(connection->origin);
        free(connection);
}

static int register_implementation(Connection *connection, const ObjectImplementation *implementation) {
        int r;

        if (!implementation->find)
                return sd_bus_add_object_vtable(connection->bus, connection_slot(connection), implementation->path,
                                                implementation->interface, implementation->vtable,
                                                connection->context);

        r = sd_bus_add_fallback_vtable(connection->bus, connection_slot(connection), implementation->path,
                                       implementation->interface, implementation->vtable, implementation->find,
                                       connection->context);
        if (r < 0)
                return r;
        return sd_bus_add_node_enumerator(connection->bus, connection_slot(connection), implementation->path,
                                          implementation->enumerate, connection->context);
}

static int register_objects(Connection *connection) {
        int r;

        for (ObjectKind kind = 0; kind < _OBJECT_KIND_MAX; kind++) {
                r = register_implementation(connection, object_implementation(kind));
                if (r < 0)
                        return r;
        }
        return sd_bus_add_object_manager(connection->bus, connection_slot(connection), BUS_ROOT);
}

static void schedule_system_retry(BusContext *context);

static int on_disconnected(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        Connection *connection = userdata;

        if (streq_ptr(sd_bus_message_get_sender(message), "org.freedesktop.DBus.Local"))
                bus_context_drop_connection(connection->context, connection);
        return 0;
}

int bus_context_add_connection(BusContext *context, sd_bus *bus, Connection **ret) {
        Connection *connection, **grown;
        int r;

        grown = reallocarray(context->connections, context->n_connections + 1, sizeof(Connection *));
        if (!grown)
                return -ENOMEM;
        context->connections = grown;

        connection = calloc(1, sizeof(Connection));
        if (!connection)
                return -ENOMEM;
        connection->context = context;
        connection->bus = sd_bus_ref(bus);

        /* At the end of the loop sd-bus would wait for who has not said who they are, and who do not read. */
        r = sd_bus_set_close_on_exit(bus, false);
        if (r >= 0)
                r = register_objects(connection);
        if (r >= 0)
                r = sd_bus_match_signal_async(bus, connection_slot(connection), "org.freedesktop.DBus.Local", NULL,
                                              "org.freedesktop.DBus.Local", "Disconnected", on_disconnected, NULL,
                                              connection);
        if (r < 0) {
                connection_free(connection);
                return r;
        }

        if (context->n_connections == 0)
                changes_begin(context);
        context->connections[context->n_connections++] = connection;
        *ret = connection;
        return 0;
}

void bus_context_drop_connection(BusContext *context, Connection *connection) {
        if (connection->dead)
                return;

        /* We may be within a call-back of it. */
        connection->dead = true;
        (void) sd_event_source_set_enabled(context->reaper, SD_EVENT_ONESHOT);
        if (connection == context->system) {
                log_internal(context->system_failures > 0 ? LOG_DEBUG : LOG_NOTICE, NULL,
                             "Off the system bus; trying again.");
                context->system = NULL;
                polkit_set_bus(context->polkit, NULL);
                schedule_system_retry(context);
        }
}

void bus_context_check_connection(BusContext *context, Connection *connection) {
        uint64_t queued, limit = connection == context->system ? SYSTEM_QUEUE_MAX : PRIVATE_QUEUE_MAX;

        if (connection->dead || sd_bus_get_n_queued_write(connection->bus, &queued) < 0 || queued <= limit)
                return;
        log_warning("Dropping the connection to %s, which does not read what it is sent.",
                    connection->origin ? connection->origin : "the system bus");
        bus_context_drop_connection(context, connection);
}

static int on_reap(sd_event_source *source, void *userdata) {
        BusContext *context = userdata;
        size_t n = 0;

        for (size_t i = 0; i < context->n_connections; i++)
                if (context->connections[i]->dead)
                        connection_free(context->connections[i]);
                else
                        context->connections[n++] = context->connections[i];
        context->n_connections = n;
        return 0;
}

const char *bus_context_origin(BusContext *context, sd_bus_message *message) {
        sd_bus *bus = sd_bus_message_get_bus(message);

        for (size_t i = 0; i < context->n_connections; i++)
                if (context->connections[i]->bus == bus && context->connections[i]->origin)
                        return context->connections[i]->origin;
        snprintf(context->origin, sizeof(context->origin), "bus client %s",
                 strna(sd_bus_message_get_sender(message)));
        return context->origin;
}

/* Reply to RequestName: 1 the name is ours, 2 we stand in the queue for it (D-Bus specification). */
static int on_name_requested(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        Connection *connection = userdata;
        const sd_bus_error *error = sd_bus_message_get_error(reply);
        uint32_t result = 0;

        if (error || sd_bus_message_read(reply, "u", &result) < 0) {
                /* Once; it is tried again every minute. */
                log_internal(connection->context->system_failures > 0 ? LOG_DEBUG : LOG_ERR, NULL,
                             "Can't have the name %s on the system bus: %s. Is the bus policy installed?", BUS_NAME,
                             error ? strna(error->message) : "the reply makes no sense");
                bus_context_drop_connection(connection->context, connection);
                return 0;
        }
        connection->context->system_failures = 0;
        if (result == 2)
                log_notice("Somebody else has the name %s on the system bus; waiting for it.", BUS_NAME);
        else
                log_debug("On the system bus as %s.", BUS_NAME);
        return 0;
}

static int connect_system(BusContext *context) {
        _cleanup_(sd_bus_unrefp) sd_bus *bus = NULL;
        const char *address = secure_getenv("DBUS_SYSTEM_BUS_ADDRESS");
        Connection *connection;
        int r;

        r = sd_bus_new(&bus);
        if (r >= 0)
                r = sd_bus_set_description(bus, "system");
        if (r >= 0)
                r = sd_bus_set_address(bus, strempty_to(address, SYSTEM_BUS_ADDRESS));
        if (r >= 0)
                r = sd_bus_set_bus_client(bus, true);
        /* Waits for the socket to appear, without polling. */
        if (r >= 0)
                r = sd_bus_set_watch_bind(bus, true);
        if (r >= 0)
                r = bus_context_add_connection(context, bus, &connection);
        if (r < 0)
                return r;

        r = sd_bus_attach_event(bus, context->event, SD_EVENT_PRIORITY_NORMAL);
        if (r >= 0)
                r = sd_bus_start(bus);
        if (r >= 0)
                r = sd_bus_request_name_async(bus, connection_slot(connection), BUS_NAME, SD_BUS_NAME_QUEUE,
                                              on_name_requested, connection);
        if (r < 0) {
                bus_context_drop_connection(context, connection);
                return r;
        }
        context->system = connection;
        polkit_set_bus(context->polkit, bus);
        return 0;
}

static int on_system_retry(sd_event_source *source, uint64_t usec, void *userdata) {
        BusContext *context = userdata;
        int r;

        if (context->system)
                return 0;
        r = connect_system(context);
        if (r < 0) {
                log_debug("Can't connect to the system bus: %s", strerror(-r));
                schedule_system_retry(context);
        }
        return 0;
}

static void schedule_system_retry(BusContext *context) {
        uint64_t wait = RETRY_MIN_USEC << MIN2(context->system_failures, 10U);
        int r;

        if (!context->system_wanted)
                return;
        context->system_failures++;
        wait = MIN2(wait, RETRY_MAX_USEC);
        r = sd_event_source_set_time_relative(context->system_retry, wait);
        if (r >= 0)
                r = sd_event_source_set_enabled(context->system_retry, SD_EVENT_ONESHOT);
        if (r < 0)
                log_error("Can't wait for the system bus: %s", strerror(-r));
}

int bus_context_connect_system(BusContext *context) {
        int r;

        context->system_wanted = true;
        r = connect_system(context);
        if (r < 0) {
                log_warning("Can't connect to the system bus: %s. Trying again.", strerror(-r));
                schedule_system_retry(context);
        }
        return 0;
}

int bus_context_new(sd_event *event, Manager *manager, CapabilitiesGetter capabilities, void *userdata,
                    BusContext **ret) {
        _cleanup_(bus_context_freep) BusContext *context = calloc(1, sizeof(BusContext));
        int r;

        if (!context)
                return -ENOMEM;
        context->event = sd_event_ref(event);
        context->manager = manager;
        context->capabilities = capabilities;
        context->userdata = userdata;
        context->private_socket = PRIVATE_SOCKET_INIT;

        r = changes_init(&context->changes, context);
        if (r >= 0)
                r = polkit_new(event, &context->polkit);
        if (r >= 0)
                r = sd_event_add_defer(event, &context->reaper, on_reap, context);
        if (r >= 0)
                r = sd_event_source_set_enabled(context->reaper, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_add_time_relative(event, &context->system_retry, CLOCK_MONOTONIC, RETRY_MIN_USEC,
                                               USEC_PER_SEC, on_system_retry, context);
        if (r >= 0)
                r = sd_event_source_set_enabled(context->system_retry, SD_EVENT_OFF);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(context);
        return 0;
}

void bus_context_set_manager(BusContext *context, Manager *manager) {
        context->manager = manager;
}

void *bus_context_userdata(BusContext *context) {
        return context->userdata;
}

BusContext *bus_context_free(BusContext *context) {
        if (!context)
                return NULL;

        /* Signals of the last moment, then what is queued; but never waits for a bus that is not there. */
        if (context->changes.deferred)
                changes_flush(context);
        if (context->system && sd_bus_is_ready(context->system->bus) > 0)
                (void) sd_bus_flush(context->system->bus);

        private_socket_done(&context->private_socket);
        simulate_jobs_free(&context->simulations);
        polkit_free(context->polkit);
        for (size_t i = 0; i < context->n_connections; i++)
                connection_free(context->connections[i]);
        free(context->connections);
        changes_done(&context->changes);
        counters_done(&context->counters);
        sd_event_source_unref(context->system_retry);
        sd_event_source_unref(context->reaper);
        sd_event_unref(context->event);
        free(context);
        return NULL;
}
