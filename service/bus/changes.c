/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/changes.h"

#include "bus/chain-bus.h"
#include "bus/context.h"
#include "bus/guard-bus.h"
#include "bus/manager-bus.h"
#include "bus/wire.h"
#include "util/log.h"

typedef struct Change {
        char *path;
        ObjectKind kind;
        bool existed; /* before the first note */
        bool exists;
        bool changed;                                        /* perhaps: the snapshot knows */
        bool conflict;                                       /* a signal of its own */
        const char *properties[SNAPSHOT_PROPERTIES_MAX + 1]; /* to be told, filled in when flushing */
} Change;

typedef struct Membership {
        char *program;
        uint64_t digest;
        uint64_t fresh;
} Membership;

struct Announcement {
        bool rolled_back;
        uint64_t generation; /* the new one */
        uint64_t from;
        char *text; /* origin or reason */
};

/* To be told at once; more than that between two flushes are only kept (Guard.GetEvents). */
#define DISTURBANCES_MAX 64

struct Disturbance {
        GuardEvent event;
        char *chain; /* path, or NULL */
};

typedef enum Note {
        NOTE_ADDED,
        NOTE_CHANGED,
        NOTE_REMOVED,
} Note;

static void change_free(Change *change) {
        free(change->path);
        free(change);
}

static void changes_clear(Changes *changes) {
        TABLE_FOREACH (Change, change, &changes->objects)
                change_free(change);
        changes->objects.n = 0;

        for (size_t i = 0; i < changes->n_announcements; i++)
                free(changes->announcements[i].text);
        for (size_t i = 0; i < changes->n_disturbances; i++)
                free(changes->disturbances[i].chain);
        free(changes->disturbances);
        changes->disturbances = NULL;
        changes->n_disturbances = 0;
        free(changes->announcements);
        changes->announcements = NULL;
        changes->n_announcements = 0;
        changes->chains_changed = false;
}

static void memberships_clear(Changes *changes) {
        TABLE_FOREACH (Membership, membership, &changes->memberships) {
                free(membership->program);
                free(membership);
        }
        changes->memberships.n = 0;
}

/* Whether anybody listens; arms the event that flushes. */
static bool changes_arm(BusContext *context) {
        if (!context || context->n_connections == 0)
                return false;
        (void) sd_event_source_set_enabled(context->changes.deferred, SD_EVENT_ONESHOT);
        return true;
}

static Change *change_get(Changes *changes, ObjectKind kind, const char *first, const char *second, bool existed) {
        _cleanup_free_ char *path = object_path(kind, first, second);
        Change *change;

        if (!path)
                return NULL;
        change = table_get(&changes->objects, path);
        if (change)
                return change;

        change = calloc(1, sizeof(Change));
        if (!change)
                return NULL;
        *change = (Change){ .path = TAKE_PTR(path), .kind = kind, .existed = existed, .exists = existed };
        if (table_add(&changes->objects, change) < 0) {
                change_free(change);
                return NULL;
        }
        return change;
}

static Change *note(BusContext *context, ObjectKind kind, Note note, const char *first, const char *second) {
        Change *change;

        if (!changes_arm(context))
                return NULL;

        change = change_get(&context->changes, kind, first, second, note != NOTE_ADDED);
        if (!change) {
                log_warning("Out of memory: a change signal is lost.");
                return NULL;
        }

        switch (note) {
        case NOTE_ADDED: change->exists = change->changed = true; break;
        case NOTE_CHANGED: change->changed = true; break;
        case NOTE_REMOVED: change->exists = false; break;
        }
        return change;
}

static void on_interface_added(void *userdata, Interface *interface) {
        (void) note(userdata, OBJECT_INTERFACE, NOTE_ADDED, interface->name, NULL);
}

static void on_interface_changed(void *userdata, Interface *interface) {
        (void) note(userdata, OBJECT_INTERFACE, NOTE_CHANGED, interface->name, NULL);
}

static void on_interface_removed(void *userdata, Interface *interface) {
        (void) note(userdata, OBJECT_INTERFACE, NOTE_REMOVED, interface->name, NULL);
}

static Change *note_chain(BusContext *context, Chain *chain, Note what) {
        if (!context)
                return NULL;

        counters_clear(&context->counters);
        context->changes.chains_changed = true;
        return note(context, OBJECT_CHAIN, what, chain->interface, hook_to_string(chain->hook));
}

static void on_chain_added(void *userdata, Chain *chain) {
        (void) note_chain(userdata, chain, NOTE_ADDED);
}

static void on_chain_changed(void *userdata, Chain *chain) {
        (void) note_chain(userdata, chain, NOTE_CHANGED);
}

static void on_chain_removed(void *userdata, Chain *chain) {
        (void) note_chain(userdata, chain, NOTE_REMOVED);
}

static void on_chain_conflict(void *userdata, Chain *chain) {
        Change *change = note_chain(userdata, chain, NOTE_CHANGED);

        if (change)
                change->conflict = true;
}

static void on_program_added(void *userdata, Program *program) {
        (void) note(userdata, OBJECT_PROGRAM, NOTE_ADDED, program->name, NULL);
}

static void on_program_changed(void *userdata, Program *program) {
        (void) note(userdata, OBJECT_PROGRAM, NOTE_CHANGED, program->name, NULL);
}

static void note_maps(BusContext *context, Program *program, Note what) {
        for (size_t i = 0; i < program->info.n_maps; i++)
                (void) note(context, OBJECT_MAP, what, program->name, program->info.maps[i].name);
        (void) note(context, OBJECT_PROGRAM, NOTE_CHANGED, program->name, NULL);
}

static void on_program_maps_removed(void *userdata, Program *program) {
        note_maps(userdata, program, NOTE_REMOVED);
}

static void on_program_maps_added(void *userdata, Program *program) {
        note_maps(userdata, program, NOTE_ADDED);
}

static void on_program_removed(void *userdata, Program *program) {
        (void) note(userdata, OBJECT_PROGRAM, NOTE_REMOVED, program->name, NULL);
}

static void on_manager_changed(void *userdata) {
        (void) note(userdata, OBJECT_MANAGER, NOTE_CHANGED, NULL, NULL);
}

static void announce(BusContext *context, bool rolled_back, uint64_t generation, uint64_t from, const char *text) {
        Announcement *announcement;

        if (!changes_arm(context))
                return;
        announcement = ARRAY_APPEND(context->changes.announcements, context->changes.n_announcements);
        if (!announcement) {
                log_warning("Out of memory: a generation signal is lost.");
                return;
        }
        *announcement = (Announcement){
                .rolled_back = rolled_back,
                .generation = generation,
                .from = from,
                .text = string_make_valid(text ? text : ""),
        };
}

static void on_generation_committed(void *userdata, uint64_t generation, const char *origin) {
        announce(userdata, false, generation, 0, origin);
}

static void on_generation_rolled_back(void *userdata, uint64_t from, uint64_t to, const char *reason) {
        announce(userdata, true, to, from, reason);
}

static void on_guard_event(void *userdata, const GuardEvent *event, Chain *chain) {
        BusContext *context = userdata;
        Disturbance *disturbance;

        if (!changes_arm(context) || context->changes.n_disturbances >= DISTURBANCES_MAX)
                return;
        disturbance = ARRAY_APPEND(context->changes.disturbances, context->changes.n_disturbances);
        if (!disturbance) {
                log_warning("Out of memory: a signal of the guard is lost.");
                return;
        }
        *disturbance = (Disturbance){
                .event = *event,
                .chain = chain ? object_path(OBJECT_CHAIN, chain->interface, hook_to_string(chain->hook)) : NULL,
        };
}

static void on_guard_changed(void *userdata) {
        (void) note(userdata, OBJECT_GUARD, NOTE_CHANGED, NULL, NULL);
}

const Observer bus_observer = {
        .guard_event = on_guard_event,
        .guard_changed = on_guard_changed,
        .interface_added = on_interface_added,
        .interface_changed = on_interface_changed,
        .interface_removed = on_interface_removed,
        .chain_added = on_chain_added,
        .chain_changed = on_chain_changed,
        .chain_removed = on_chain_removed,
        .chain_conflict = on_chain_conflict,
        .program_added = on_program_added,
        .program_changed = on_program_changed,
        .program_maps_removed = on_program_maps_removed,
        .program_maps_added = on_program_maps_added,
        .program_removed = on_program_removed,
        .manager_changed = on_manager_changed,
        .generation_committed = on_generation_committed,
        .generation_rolled_back = on_generation_rolled_back,
};

/* FNV-1a, over the bytes of a string and its NUL. */
static uint64_t digest_string(uint64_t digest, const char *s) {
        do
                digest = (digest ^ (unsigned char) *s) * UINT64_C(0x100000001b3);
        while (*s++);
        return digest;
}

static Membership *membership_get(Changes *changes, const char *program) {
        Membership *membership = table_get(&changes->memberships, program);

        if (membership)
                return membership;
        membership = calloc(1, sizeof(Membership));
        if (!membership)
                return NULL;
        membership->program = strdup(program);
        if (!membership->program || table_add(&changes->memberships, membership) < 0) {
                free(membership->program);
                free(membership);
                return NULL;
        }
        return membership;
}

/* Which programs sit in other chains than before? The model tells of the chain, the property is the program's. */
static void memberships_update(BusContext *context, bool tell) {
        Changes *changes = &context->changes;

        TABLE_FOREACH (Chain, chain, manager_chains(context->manager))
                for (size_t i = 0; i < chain->n_slots; i++) {
                        Membership *membership = membership_get(changes, chain->slots[i].program);

                        if (membership)
                                membership->fresh = digest_string(membership->fresh, chain->key);
                }

        for (size_t i = 0; i < changes->memberships.n;) {
                Membership *membership = changes->memberships.items[i];

                if (tell && membership->digest != membership->fresh &&
                    manager_get_program(context->manager, membership->program))
                        (void) note(context, OBJECT_PROGRAM, NOTE_CHANGED, membership->program, NULL);
                membership->digest = membership->fresh;
                membership->fresh = 0;
                if (membership->digest == 0) {
                        table_remove(&changes->memberships, membership->program);
                        free(membership->program);
                        free(membership);
                } else
                        i++;
        }
}

/* A chain that came or went changes the list that its interface has. */
static void note_interfaces_of_chains(BusContext *context) {
        Changes *changes = &context->changes;
        size_t n = 0;
        char **names = calloc(changes->objects.n + 1, sizeof(char *));

        if (!names)
                return;
        TABLE_FOREACH (Change, change, &changes->objects) {
                _cleanup_free_ char *hook = NULL;

                if (change->kind == OBJECT_CHAIN && change->existed != change->exists &&
                    object_path_parse(change->path, OBJECT_CHAIN, &names[n], &hook) > 0)
                        n++;
        }
        for (size_t i = 0; i < n; i++)
                if (manager_get_interface(context->manager, names[i]))
                        (void) note(context, OBJECT_INTERFACE, NOTE_CHANGED, names[i], NULL);
        object_list_free(names);
}

void changes_begin(BusContext *context) {
        if (!context->manager)
                return;
        memberships_update(context, false);
        snapshots_done(&context->changes.snapshots);
        (void) sd_event_source_set_enabled(context->changes.baseline, SD_EVENT_ONESHOT);
}

static void baseline_kind(BusContext *context, ObjectKind kind) {
        const ObjectImplementation *implementation = object_implementation(kind);
        const char *names[SNAPSHOT_PROPERTIES_MAX + 1];
        sd_bus *bus = context->connections[0]->bus;
        char **paths = NULL;

        if (!implementation->enumerate) {
                (void) snapshots_update(&context->changes.snapshots, bus, context, kind, implementation->path, names);
                return;
        }
        if (implementation->enumerate(bus, implementation->path, context, &paths, NULL) < 0)
                return;
        for (char **path = paths; path && *path; path++)
                (void) snapshots_update(&context->changes.snapshots, bus, context, kind, *path, names);
        object_list_free(paths);
}

/* Once nothing else is to be done: a change that comes before tells of all properties, which is no harm. */
static int on_baseline(sd_event_source *source, void *userdata) {
        BusContext *context = userdata;

        for (ObjectKind kind = 0; context->n_connections > 0 && kind < _OBJECT_KIND_MAX; kind++)
                baseline_kind(context, kind);
        return 0;
}

static int send_conflict(BusContext *context, Connection *connection, const Change *change) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *signal = NULL;
        int r;

        r = sd_bus_message_new_signal(connection->bus, &signal, change->path, chain_implementation.interface,
                                      "Conflict");
        if (r < 0)
                return r;
        r = chain_append_conflict(context, change->path, signal);
        return r > 0 ? sd_bus_send(NULL, signal, NULL) : r;
}

static int send_change(BusContext *context, Connection *connection, const Change *change) {
        const char *interface = object_implementation(change->kind)->interface;
        sd_bus *bus = connection->bus;
        int r = 0;

        if (change->exists && !change->existed)
                r = sd_bus_emit_interfaces_added(bus, change->path, interface, NULL);
        else if (!change->exists && change->existed)
                r = sd_bus_emit_interfaces_removed(bus, change->path, interface, NULL);
        else if (change->exists && change->properties[0])
                r = sd_bus_emit_properties_changed_strv(bus, change->path, interface, (char **) change->properties);

        if (r >= 0 && change->exists && change->conflict)
                r = send_conflict(context, connection, change);
        return r;
}

static int send_event(Connection *connection, const char *path, const char *interface, const char *member,
                      const GuardEvent *event) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *signal = NULL;
        int r;

        r = sd_bus_message_new_signal(connection->bus, &signal, path, interface, member);
        if (r >= 0)
                r = guard_append_event(signal, event);
        return r < 0 ? r : sd_bus_send(NULL, signal, NULL);
}

static void send_disturbance(Connection *connection, const Disturbance *disturbance) {
        int r;

        r = send_event(connection, guard_implementation.path, guard_implementation.interface, "Event",
                       &disturbance->event);
        if (r >= 0 && disturbance->chain)
                r = send_event(connection, disturbance->chain, chain_implementation.interface, "Disturbed",
                               &disturbance->event);
        if (r < 0 && r != -ENOTCONN)
                log_debug("Can't tell of what the guard saw: %s", strerror(-r));
}

static int send_announcement(Connection *connection, const Announcement *announcement) {
        const char *interface = manager_implementation.interface;

        if (announcement->rolled_back)
                return sd_bus_emit_signal(connection->bus, BUS_ROOT, interface, "GenerationRolledBack", "tts",
                                          announcement->from, announcement->generation, strna(announcement->text));
        return sd_bus_emit_signal(connection->bus, BUS_ROOT, interface, "GenerationCommitted", "ts",
                                  announcement->generation, strna(announcement->text));
}

static void changes_send(BusContext *context, Connection *connection) {
        Changes *changes = &context->changes;
        int r;

        for (size_t i = 0; i < changes->n_disturbances; i++)
                send_disturbance(connection, &changes->disturbances[i]);
        TABLE_FOREACH (Change, change, &changes->objects) {
                r = send_change(context, connection, change);
                if (r < 0 && r != -ENOTCONN)
                        log_debug("Can't tell of a change of %s: %s", change->path, strerror(-r));
        }
        for (size_t i = 0; i < changes->n_announcements; i++)
                (void) send_announcement(connection, &changes->announcements[i]);
}

/* Which properties are to be told? */
static void changes_compare(BusContext *context) {
        Changes *changes = &context->changes;
        sd_bus *bus = context->connections[0]->bus;

        TABLE_FOREACH (Change, change, &changes->objects) {
                int r = 0;

                if (!change->exists)
                        snapshots_forget(&changes->snapshots, change->path);
                else if (change->changed)
                        r = snapshots_update(&changes->snapshots, bus, context, change->kind, change->path,
                                             change->properties);
                if (r < 0)
                        log_debug("Can't see what changed of %s: %s", change->path, strerror(-r));
        }
}

void changes_flush(BusContext *context) {
        Changes *changes = &context->changes;

        if (!context->manager)
                return;
        if (changes->chains_changed) {
                memberships_update(context, true);
                note_interfaces_of_chains(context);
        }
        if (context->n_connections == 0 ||
            (changes->objects.n == 0 && changes->n_announcements == 0 && changes->n_disturbances == 0))
                return;

        changes_compare(context);
        for (size_t i = 0; i < context->n_connections; i++) {
                Connection *connection = context->connections[i];

                /* sd-bus would queue for one that waits for its bus to appear, perhaps for ever. */
                if (connection->dead || sd_bus_is_ready(connection->bus) <= 0)
                        continue;
                changes_send(context, connection);
                bus_context_check_connection(context, connection);
        }
        changes_clear(changes);
        (void) sd_event_source_set_enabled(changes->deferred, SD_EVENT_OFF);
}

static int on_deferred(sd_event_source *source, void *userdata) {
        changes_flush(userdata);
        return 0;
}

int changes_init(Changes *changes, BusContext *context) {
        int r;

        r = sd_event_add_defer(context->event, &changes->deferred, on_deferred, context);
        if (r < 0)
                return r;
        (void) sd_event_source_set_description(changes->deferred, "bus-changes");
        r = sd_event_source_set_enabled(changes->deferred, SD_EVENT_OFF);
        if (r < 0)
                return r;

        r = sd_event_add_defer(context->event, &changes->baseline, on_baseline, context);
        if (r < 0)
                return r;
        (void) sd_event_source_set_description(changes->baseline, "bus-baseline");
        r = sd_event_source_set_priority(changes->baseline, SD_EVENT_PRIORITY_IDLE);
        return r < 0 ? r : sd_event_source_set_enabled(changes->baseline, SD_EVENT_OFF);
}

void changes_done(Changes *changes) {
        changes_clear(changes);
        table_done(&changes->objects);
        memberships_clear(changes);
        table_done(&changes->memberships);
        snapshots_done(&changes->snapshots);
        changes->deferred = sd_event_source_unref(changes->deferred);
        changes->baseline = sd_event_source_unref(changes->baseline);
}
