/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/snapshot.h"

#include <assert.h>

#define DIGEST_INIT UINT64_C(0xcbf29ce484222325)

typedef struct Snapshot {
        char *path;
        uint64_t digests[SNAPSHOT_PROPERTIES_MAX];
} Snapshot;

/* FNV-1a. */
static uint64_t digest_bytes(uint64_t digest, const void *data, size_t size) {
        const unsigned char *p = data;

        for (size_t i = 0; i < size; i++)
                digest = (digest ^ p[i]) * UINT64_C(0x100000001b3);
        return digest;
}

static uint64_t digest_string(uint64_t digest, const char *s) {
        return digest_bytes(digest, s, strlen(s) + 1);
}

static int digest_basic(sd_bus_message *message, char type, uint64_t *digest) {
        union {
                const char *string;
                uint64_t number;
        } value = {};
        int r;

        r = sd_bus_message_read_basic(message, type, &value);
        if (r < 0)
                return r;
        *digest = type == 's' || type == 'o' || type == 'g' ? digest_string(*digest, value.string)
                                                            : digest_bytes(*digest, &value, sizeof(value));
        return 0;
}

/* All that is left in the container that the message stands in. With without_counters, figures are passed over: in
 * Chain.Slots those are all of type t. */
static int digest_contents(sd_bus_message *message, bool without_counters, uint64_t *digest) {
        const char *contents;
        char type;
        int r;

        while ((r = sd_bus_message_peek_type(message, &type, &contents)) > 0) {
                if (without_counters && (type == 't' || (type == 'a' && streq(contents, "{st}")))) {
                        r = sd_bus_message_skip(message, type == 't' ? "t" : "a{st}");
                        if (r < 0)
                                return r;
                        continue;
                }

                *digest = digest_bytes(*digest, &type, 1);
                if (!contents) {
                        r = digest_basic(message, type, digest);
                        if (r < 0)
                                return r;
                        continue;
                }

                *digest = digest_string(*digest, contents);
                r = sd_bus_message_enter_container(message, type, contents);
                if (r >= 0)
                        r = digest_contents(message, without_counters, digest);
                if (r >= 0)
                        r = sd_bus_message_exit_container(message);
                if (r < 0)
                        return r;
                *digest = digest_bytes(*digest, "\xff", 1);
        }
        return r;
}

static bool is_telling(const sd_bus_vtable *entry) {
        return entry->type == _SD_BUS_VTABLE_PROPERTY &&
               entry->flags & (SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE | SD_BUS_VTABLE_PROPERTY_EMITS_INVALIDATION);
}

#define FOREACH_TELLING(entry, implementation)                                                                       \
        for (const sd_bus_vtable *entry = (implementation)->vtable; entry->type != _SD_BUS_VTABLE_END; entry++)      \
                if (is_telling(entry))

/* One struct with one value for each property that tells of its changes. */
static int append_properties(sd_bus_message *message, void *userdata, const ObjectImplementation *implementation,
                             const char *path, sd_bus *bus) {
        int r;

        FOREACH_TELLING(entry, implementation) {
                sd_bus_error error = SD_BUS_ERROR_NULL;

                r = sd_bus_message_open_container(message, 'r', entry->x.property.signature);
                if (r < 0)
                        return r;
                r = entry->x.property.get(bus, path, implementation->interface, entry->x.property.member, message,
                                          userdata, &error);
                sd_bus_error_free(&error);
                if (r < 0)
                        return r;
                r = sd_bus_message_close_container(message);
                if (r < 0)
                        return r;
        }
        return sd_bus_message_seal(message, 1, 0);
}

static int digest_properties(sd_bus_message *message, const ObjectImplementation *implementation,
                             uint64_t ret[SNAPSHOT_PROPERTIES_MAX]) {
        size_t n = 0;
        int r;

        r = sd_bus_message_rewind(message, true);
        if (r < 0)
                return r;

        FOREACH_TELLING(entry, implementation) {
                assert(n < SNAPSHOT_PROPERTIES_MAX);
                ret[n] = DIGEST_INIT;
                r = sd_bus_message_enter_container(message, 'r', entry->x.property.signature);
                if (r >= 0)
                        r = digest_contents(message, entry->flags & SD_BUS_VTABLE_PROPERTY_EMITS_INVALIDATION,
                                            &ret[n]);
                if (r >= 0)
                        r = sd_bus_message_exit_container(message);
                if (r < 0)
                        return r;
                n++;
        }
        return 0;
}

static Snapshot *snapshot_get(Snapshots *snapshots, const char *path) {
        Snapshot *snapshot = table_get(&snapshots->objects, path);

        if (snapshot)
                return snapshot;
        snapshot = calloc(1, sizeof(Snapshot));
        if (!snapshot)
                return NULL;
        snapshot->path = strdup(path);
        if (!snapshot->path || table_add(&snapshots->objects, snapshot) < 0) {
                free(snapshot->path);
                free(snapshot);
                return NULL;
        }
        return snapshot;
}

int snapshots_update(Snapshots *snapshots, sd_bus *bus, void *userdata, ObjectKind kind, const char *path,
                     const char *ret_names[SNAPSHOT_PROPERTIES_MAX + 1]) {
        const ObjectImplementation *implementation = object_implementation(kind);
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *message = NULL;
        uint64_t digests[SNAPSHOT_PROPERTIES_MAX] = {};
        Snapshot *snapshot;
        size_t n = 0;
        int r, changed = 0;

        r = sd_bus_message_new_signal(bus, &message, path, implementation->interface, "Snapshot");
        if (r >= 0)
                r = append_properties(message, userdata, implementation, path, bus);
        if (r >= 0)
                r = digest_properties(message, implementation, digests);
        if (r < 0)
                return r;

        snapshot = snapshot_get(snapshots, path);
        if (!snapshot)
                return -ENOMEM;
        FOREACH_TELLING(entry, implementation) {
                if (snapshot->digests[n] != digests[n])
                        ret_names[changed++] = entry->x.property.member;
                n++;
        }
        ret_names[changed] = NULL;
        memcpy(snapshot->digests, digests, sizeof(digests));
        return changed;
}

static void snapshot_free(Snapshot *snapshot) {
        if (!snapshot)
                return;
        free(snapshot->path);
        free(snapshot);
}

void snapshots_forget(Snapshots *snapshots, const char *path) {
        snapshot_free(table_remove(&snapshots->objects, path));
}

void snapshots_done(Snapshots *snapshots) {
        TABLE_FOREACH (Snapshot, snapshot, &snapshots->objects)
                snapshot_free(snapshot);
        table_done(&snapshots->objects);
}
