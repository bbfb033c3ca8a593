/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <bpf/bpf.h>

#include "kernel/map-contents.h"
#include "kernel/map-info.h"
#include "kernel/value-btf.h"
#include "util/json.h"
#include "value/value-encode.h"

/* Bytes of all values together; keys are never larger than values times what follows here. */
#define CONTENTS_BYTES_MAX (256UL * 1024 * 1024)

void map_contents_done(MapContents *contents) {
        free(contents->keys);
        free(contents->values);
        free(contents->where);
        *contents = (MapContents){};
}

void map_undo_done(MapUndo *undo) {
        free(undo->keys);
        free(undo->values);
        free(undo->existed);
        *undo = (MapUndo){};
}

/* The two members of an entry, and nothing else. */
static int parse_entry(json_object *entry, const char *where, json_object **ret_key, json_object **ret_value,
                       Error *error) {
        bool have_key = false, have_value = false;

        if (!json_object_is_type(entry, json_type_object))
                return error_set_at(error, ERROR_INVALID_DOCUMENT, where,
                                    "An entry is an object: {\"key\": …, \"value\": …}.");

        json_object_object_foreach (entry, name, member) {
                if (streq(name, "key")) {
                        *ret_key = member;
                        have_key = true;
                } else if (streq(name, "value")) {
                        *ret_value = member;
                        have_value = true;
                } else {
                        _cleanup_free_ char *at = json_path_key(where, name), *quoted = json_quote(name);

                        return error_set_at(error, ERROR_INVALID_DOCUMENT, at,
                                            "An entry has \"key\" and \"value\", not %s.", strna(quoted));
                }
        }
        if (!have_key || !have_value)
                return error_set_at(error, ERROR_INVALID_DOCUMENT, where, "This entry lacks its \"%s\".",
                                    have_key ? "value" : "key");
        return 0;
}

static int encode_entry(const ValueMap *types, json_object *entry, size_t i, const MapInfo *info,
                        MapContents *contents, Error *error) {
        _cleanup_free_ char *where = json_path_index(contents->where, i), *key_where = NULL, *value_where = NULL;
        uint8_t *key = contents->keys + i * contents->key_size, *value = contents->values + i * contents->value_size;
        size_t stride = contents->value_size / info->n_values;
        json_object *json_key = NULL, *json_value = NULL;
        int r;

        r = parse_entry(entry, where, &json_key, &json_value, error);
        if (r < 0)
                return r;

        key_where = json_path_member(where, "key");
        value_where = json_path_member(where, "value");
        r = value_encode(types->key, json_key, key_where, key, contents->key_size, error);
        if (r >= 0)
                r = value_encode(types->value, json_value, value_where, value, info->value_size, error);
        if (r < 0)
                return r;
        if (!map_value_is_harmless(info, value))
                return error_set_at(error, ERROR_NOT_SUPPORTED, value_where,
                                    "This value would name a program by a descriptor, which a document can't do.");

        for (uint32_t cpu = 1; cpu < info->n_values; cpu++)
                memcpy(value + cpu * stride, value, info->value_size);
        return 0;
}

static int compare_keys(const void *a, const void *b, void *contents) {
        return memcmp(*(uint8_t *const *) a, *(uint8_t *const *) b, ((const MapContents *) contents)->key_size);
}

/* A key that is given twice is a mistake, not an order. */
static int check_duplicates(MapContents *contents, Error *error) {
        _cleanup_free_ uint8_t **keys = calloc(contents->n + 1, sizeof(uint8_t *));

        if (!keys)
                return -ENOMEM;
        for (size_t i = 0; i < contents->n; i++)
                keys[i] = contents->keys + i * contents->key_size;
        qsort_r(keys, contents->n, sizeof(uint8_t *), compare_keys, contents);

        for (size_t i = 1; i < contents->n; i++) {
                size_t a = (size_t) (keys[i - 1] - contents->keys) / contents->key_size,
                       b = (size_t) (keys[i] - contents->keys) / contents->key_size;

                if (memcmp(keys[i - 1], keys[i], contents->key_size) == 0) {
                        _cleanup_free_ char *entry = json_path_index(contents->where, MAX2(a, b)), *where = NULL;

                        where = json_path_member(entry, "key");
                        return error_set_at(error, ERROR_INVALID_DOCUMENT, where,
                                            "This key was given before, in entry %zu. Leave one of them out.",
                                            MIN2(a, b));
                }
        }
        return 0;
}

/* What keys and values mean. */
static int describe(const struct bpf_map *map, const struct btf *btf, const MapInfo *info, ValueMap *ret) {
        _cleanup_value_btf_ ValueBtf *values = NULL;
        int r;

        if (btf) {
                r = value_btf_new(btf, &values);
                if (r < 0)
                        return r;
        }
        return value_btf_map(values, bpf_map__name(map), info->type_number, bpf_map__btf_key_type_id(map),
                             info->key_size, bpf_map__btf_value_type_id(map), info->value_size, ret);
}

int map_contents_parse(const struct bpf_map *map, const struct btf *btf, json_object *entries, const char *where,
                       MapContents *ret, Error *error) {
        _cleanup_(map_contents_done) MapContents contents = {};
        _cleanup_value_map_ ValueMap types = {};
        MapInfo info = {
                .type_number = bpf_map__type(map),
                .key_size = bpf_map__key_size(map),
                .value_size = bpf_map__value_size(map),
                .n_values = 1,
        };
        int r;

        if (!json_object_is_type(entries, json_type_array))
                return error_set_at(error, ERROR_INVALID_DOCUMENT, where,
                                    "The contents of a map are an array of {\"key\": …, \"value\": …}.");
        if (map_type_takes_descriptors(info.type_number) || info.key_size == 0 || info.value_size == 0)
                return error_set_at(error, ERROR_NOT_SUPPORTED, where,
                                    "A map of type %s takes no contents from a document.",
                                    strna(libbpf_bpf_map_type_str(info.type_number)));
        if (map_type_is_per_cpu(info.type_number)) {
                r = libbpf_num_possible_cpus();
                if (r < 0)
                        return r;
                info.n_values = (uint32_t) r;
        }

        contents.n = json_object_array_length(entries);
        contents.key_size = info.key_size;
        contents.value_size = map_info_value_bytes(&info);
        if (contents.n > bpf_map__max_entries(map))
                return error_set_at(error, ERROR_LIMIT_EXCEEDED, where,
                                    "%zu entries do not fit into this map of at most %u.", contents.n,
                                    bpf_map__max_entries(map));
        if (contents.n > CONTENTS_BYTES_MAX / (contents.value_size + contents.key_size))
                return error_set_at(
                        error, ERROR_LIMIT_EXCEEDED, where,
                        "%zu entries of %zu bytes are more than the %lu MiB that a document may give to one map.",
                        contents.n, contents.value_size + contents.key_size, CONTENTS_BYTES_MAX >> 20);

        contents.where = strdup(where);
        contents.keys = calloc(contents.n + 1, contents.key_size);
        contents.values = calloc(contents.n + 1, contents.value_size);
        if (!contents.where || !contents.keys || !contents.values)
                return -ENOMEM;

        r = describe(map, btf, &info, &types);
        if (r < 0)
                return r;
        for (size_t i = 0; i < contents.n; i++) {
                r = encode_entry(&types, json_object_array_get_idx(entries, i), i, &info, &contents, error);
                if (r < 0)
                        return r;
        }
        r = check_duplicates(&contents, error);
        if (r < 0)
                return r;

        *ret = contents;
        contents = (MapContents){};
        return 0;
}

static int write_failed(const MapContents *contents, size_t i, const MapInfo *info, int r, Error *error) {
        _cleanup_free_ char *where = json_path_index(contents->where, i);

        if (r == -ENOMEM)
                return r;
        if (r == -E2BIG || r == -ENOSPC)
                return error_set_at(
                        error, ERROR_LIMIT_EXCEEDED, where,
                        "Map %s of type %s is full or has no place for this key; it has %u entries at most.",
                        info->name, info->type, info->max_entries);
        return error_set_at(error, ERROR_INVALID_DOCUMENT, where, "Map %s of type %s does not take this entry: %s.",
                            info->name, info->type, strerror(-r));
}

static int undo_prepare(const MapContents *contents, MapUndo *undo) {
        *undo = (MapUndo){ .key_size = contents->key_size, .value_size = contents->value_size };
        undo->keys = calloc(contents->n + 1, contents->key_size);
        undo->values = calloc(contents->n + 1, contents->value_size);
        undo->existed = calloc(contents->n + 1, sizeof(bool));
        return undo->keys && undo->values && undo->existed ? 0 : -ENOMEM;
}

/* Writes one entry and tells in *ret_existed and old_value what was there. The attempt to make a new entry comes
 * first, because a look-up in an LPM trie finds any prefix that covers the key and so can't tell whether this very
 * entry exists. */
static int write_entry(int fd, const void *key, const void *value, void *old_value, bool *ret_existed) {
        *ret_existed = false;
        if (bpf_map_update_elem(fd, key, value, BPF_NOEXIST) >= 0)
                return 0;

        *ret_existed = bpf_map_lookup_elem(fd, key, old_value) >= 0;
        return bpf_map_update_elem(fd, key, value, BPF_ANY) < 0 ? -errno : 0;
}

int map_contents_write(const MapContents *contents, int fd, const MapInfo *info, MapUndo *undo, Error *error) {
        _cleanup_(map_undo_done) MapUndo done = {};
        int r = undo_prepare(contents, &done);

        for (size_t i = 0; i < contents->n && r >= 0; i++) {
                const uint8_t *key = contents->keys + i * contents->key_size;

                memcpy(done.keys + i * done.key_size, key, done.key_size);
                r = write_entry(fd, key, contents->values + i * contents->value_size,
                                done.values + i * done.value_size, &done.existed[i]);
                if (r < 0)
                        r = write_failed(contents, i, info, r, error);
                else
                        done.n++;
        }
        if (r < 0) {
                map_undo_restore(&done, fd);
                return r;
        }

        if (undo) {
                *undo = done;
                done = (MapUndo){};
        }
        return 0;
}

void map_undo_restore(const MapUndo *undo, int fd) {
        for (size_t i = undo->n; i-- > 0;) {
                const uint8_t *key = undo->keys + i * undo->key_size;

                if (undo->existed[i])
                        (void) bpf_map_update_elem(fd, key, undo->values + i * undo->value_size, BPF_ANY);
                else
                        (void) bpf_map_delete_elem(fd, key);
        }
}
