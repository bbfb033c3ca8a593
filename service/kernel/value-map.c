/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <linux/bpf.h>

#include "kernel/value-btf-internal.h"

/* Variables of this name and section point to the type of a map's records (bpf/bpfchain.bpf.h). */
#define EVENT_PREFIX "bpfchain_event_"

void value_map_done(ValueMap *map) {
        value_type_unref(map->key);
        value_type_unref(map->value);
        value_type_unref(map->event);
        value_notes_done(&map->notes);
        *map = (ValueMap){};
}

/* A type that must have a size. */
static int check_size(const ValueType *type, uint32_t size, const ValueType **ret) {
        _cleanup_free_ char *reason = NULL;

        if (type->size == size) {
                *ret = value_type_ref(type);
                return 0;
        }
        if (asprintf(&reason, "type %s has %u bytes, but the kernel expects %u", type->name, type->size, size) < 0) {
                reason = NULL;
                return -ENOMEM;
        }
        return value_type_new_opaque(type->name, size, reason, false, ret);
}

static int make(ValueBtf *values, uint32_t id, uint32_t map_type, uint32_t size, const ValueType **ret) {
        _cleanup_value_type_ const ValueType *type = NULL, *sized = NULL;
        int r;

        if (map_type == BPF_MAP_TYPE_LPM_TRIE && size <= 4)
                return value_type_new_opaque(NULL, size, "the key of an LPM trie has more than 4 bytes", false, ret);
        if (values && id > 0) {
                r = value_btf_type(values, id, &type);
                if (r < 0)
                        return r;
                if (type->kind == VALUE_OPAQUE)
                        return value_type_new_opaque(type->name, size, type->reason, false, ret);
                r = check_size(type, size, &sized);
        } else if (map_type != BPF_MAP_TYPE_LPM_TRIE) {
                r = value_type_new_opaque("bytes", size, NULL, false, &sized);
        } else
                return value_type_new_prefix(NULL, size, ret);
        if (r < 0)
                return r;
        if (map_type == BPF_MAP_TYPE_LPM_TRIE) {
                r = sized->kind == VALUE_OPAQUE ? -EINVAL : value_type_new_prefix(sized, size, ret);
                if (r != -EINVAL && r != -E2BIG)
                        return r;
        }
        *ret = TAKE_PTR(sized);
        return 0;
}

int value_btf_compile(const struct btf *btf, uint32_t id, uint32_t map_type, uint32_t size, const ValueType **ret) {
        _cleanup_value_btf_ ValueBtf *values = NULL;
        int r;

        if (btf && id > 0) {
                r = value_btf_new(btf, &values);
                if (r < 0)
                        return r;
        }
        return make(values, id, map_type, size, ret);
}

static int new_pair(const char *name, const char *first, const char *second, const ValueType **ret) {
        _cleanup_value_builder_ ValueBuilder *builder = NULL;
        _cleanup_value_type_ const ValueType *number = NULL;
        int r;

        r = value_type_new_integer("__u32", 4, false, &number);
        if (r >= 0)
                r = value_builder_new(VALUE_STRUCT, name, 8, &builder);
        if (r >= 0)
                r = value_builder_add(builder, first, number, 0, 0, NULL);
        if (r >= 0)
                r = value_builder_add(builder, second, number, 32, 0, NULL);
        return r < 0 ? r : value_builder_end(builder, ret);
}

/* Values whose meaning the kernel defines, whatever the object says of them. 1: it is one, 0: it is none. */
static int make_known(uint32_t map_type, uint32_t size, const ValueType **ret) {
        int r;

        if (size != 4 && size != 8)
                return 0;
        switch (map_type) {
        case BPF_MAP_TYPE_DEVMAP:
        case BPF_MAP_TYPE_DEVMAP_HASH:
                r = size == 8 ? new_pair("struct bpf_devmap_val", "ifindex", "bpf_prog", ret)
                              : value_type_new_integer("interface index", 4, false, ret);
                return r < 0 ? r : 1;
        case BPF_MAP_TYPE_CPUMAP:
                r = size == 8 ? new_pair("struct bpf_cpumap_val", "qsize", "bpf_prog", ret)
                              : value_type_new_integer("queue size", 4, false, ret);
                return r < 0 ? r : 1;
        case BPF_MAP_TYPE_PROG_ARRAY:
        case BPF_MAP_TYPE_ARRAY_OF_MAPS:
        case BPF_MAP_TYPE_HASH_OF_MAPS:
        case BPF_MAP_TYPE_CGROUP_ARRAY:
        case BPF_MAP_TYPE_PERF_EVENT_ARRAY:
        case BPF_MAP_TYPE_XSKMAP:
                if (size != 4)
                        return 0;
                r = value_type_new_integer(map_type == BPF_MAP_TYPE_PROG_ARRAY ? "program id" : "id", 4, false, ret);
                return r < 0 ? r : 1;
        }
        return 0;
}

static const struct btf_type *find_variable(const ValueBtf *v, const char *section, const char *name,
                                            uint32_t *ret_id) {
        int id = btf__find_by_name_kind(v->btf, section, BTF_KIND_DATASEC);
        const struct btf_type *t = id < 0 ? NULL : btf__type_by_id(v->btf, (uint32_t) id);

        for (unsigned i = 0; t && i < btf_vlen(t); i++) {
                const struct btf_type *var = btf__type_by_id(v->btf, btf_var_secinfos(t)[i].type);

                if (var && btf_is_var(var) && streq(value_btf_name(v, var->name_off), name)) {
                        *ret_id = btf_var_secinfos(t)[i].type;
                        return var;
                }
        }
        return NULL;
}

static int find_event(ValueBtf *v, const char *map, const ValueType **ret) {
        _cleanup_free_ char *name = NULL;
        const struct btf_type *var, *t;
        uint32_t id;
        int resolved;

        if (asprintf(&name, EVENT_PREFIX "%s", map) < 0) {
                name = NULL;
                return -ENOMEM;
        }
        var = find_variable(v, ".bpfchain", name, &id);
        resolved = var ? btf__resolve_type(v->btf, var->type) : -ENOENT;
        t = resolved < 0 ? NULL : btf__type_by_id(v->btf, (uint32_t) resolved);
        return t && btf_is_ptr(t) ? value_btf_type(v, t->type, ret) : 0;
}

static void exchange(const ValueType **a, const ValueType **b) {
        const ValueType *t = *a;

        *a = *b;
        *b = t;
}

/* What the tags of the map's variable say. */
static int apply_map_tags(ValueBtf *v, const char *name, ValueMap *map) {
        _cleanup_value_type_ const ValueType *key = NULL, *value = NULL, *nothing = NULL;
        uint32_t id;
        int r;

        if (!find_variable(v, ".maps", name, &id))
                return 0;
        r = value_type_new_opaque(NULL, 0, NULL, true, &nothing);
        if (r >= 0 && map->key)
                r = value_btf_apply_key_tags(v, id, map->key, &key);
        if (r >= 0)
                r = value_btf_apply_tags(v, id, -1, map->value ? map->value : nothing, &value, &map->notes);
        if (r < 0)
                return r;
        if (map->key)
                exchange(&map->key, &key);
        if (map->value)
                exchange(&map->value, &value);
        return 0;
}

int value_btf_map(ValueBtf *values, const char *name, uint32_t map_type, uint32_t key_id, uint32_t key_size,
                  uint32_t value_id, uint32_t value_size, ValueMap *ret) {
        _cleanup_value_map_ ValueMap map = {};
        int r = 0;

        if (key_size > 0)
                r = make(values, key_id, map_type, key_size, &map.key);
        if (r >= 0 && value_size > 0) {
                r = value_id == 0 ? make_known(map_type, value_size, &map.value) : 0;
                if (r == 0)
                        r = make(values, value_id, 0, value_size, &map.value);
        }
        if (r >= 0 && values)
                r = apply_map_tags(values, name, &map);
        if (r >= 0 && values)
                r = find_event(values, name, &map.event);
        if (r < 0)
                return r;
        *ret = map;
        map = (ValueMap){};
        return 0;
}
