/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/map-types.h"

/* Structures in structures in arrays: deeper ones have no fields that the kernel manages. */
#define DEPTH_MAX 16
#define STEPS_MAX 100000

static const char *name_of(const struct btf *btf, uint32_t offset) {
        return strempty_to(btf__name_by_offset(btf, offset), "");
}

/* Follows typedefs, const and volatile. NULL: no type. */
static const struct btf_type *resolve(const struct btf *btf, uint32_t id) {
        int resolved = btf__resolve_type(btf, id);

        return resolved < 0 ? NULL : btf__type_by_id(btf, (uint32_t) resolved);
}

/* What a member points to: __type(), __uint() and __array() of bpf_helpers.h all make pointers. 0: it does not. */
static uint32_t pointed(const struct btf *btf, uint32_t id) {
        const struct btf_type *t = resolve(btf, id);

        return t && btf_is_ptr(t) ? t->type : 0;
}

/* A number is the length of an array that is pointed to, or with __ulong() the value of an enumeration. */
static int read_number(const struct btf *btf, uint32_t id, uint64_t *ret) {
        const struct btf_type *t = resolve(btf, id);

        if (t && btf_is_enum(t) && btf_vlen(t) > 0) {
                *ret = (uint32_t) btf_enum(t)[0].val;
                return 0;
        }
        if (t && btf_is_enum64(t) && btf_vlen(t) > 0) {
                *ret = btf_enum64_value(btf_enum64(t));
                return 0;
        }
        t = resolve(btf, pointed(btf, id));
        if (!t || !btf_is_array(t))
                return -EINVAL;
        *ret = btf_array(t)->nelems;
        return 0;
}

static int read_type(const struct btf *btf, uint32_t id, uint32_t *ret_type, uint32_t *ret_size) {
        uint32_t type = pointed(btf, id);
        int64_t size = btf__resolve_size(btf, type);

        if (type == 0 || size < 0 || size > UINT32_MAX)
                return -EINVAL;
        *ret_type = type;
        *ret_size = (uint32_t) size;
        return 0;
}

/* `values` is an array of pointers, for maps of maps to the definition of the inner ones. */
static int read_values(const struct btf *btf, uint32_t id, uint32_t *ret) {
        const struct btf_type *t = resolve(btf, id), *target;
        uint32_t element;

        if (!t || !btf_is_array(t))
                return -EINVAL;
        element = pointed(btf, btf_array(t)->type);
        target = resolve(btf, element);
        if (target && btf_is_struct(target))
                *ret = (uint32_t) btf__resolve_type(btf, element);
        return 0;
}

static int read_member(const struct btf *btf, const struct btf_member *member, MapDefinition *ret) {
        const char *name = name_of(btf, member->name_off);
        const struct {
                const char *name;
                uint32_t *number;
        } numbers[] = {
                { "type", &ret->type },
                { "key_size", &ret->key_size },
                { "value_size", &ret->value_size },
                { "max_entries", &ret->max_entries },
                { "map_flags", &ret->flags },
        };
        uint64_t number;
        int r;

        for (size_t i = 0; i < ELEMENTSOF(numbers); i++)
                if (streq(name, numbers[i].name)) {
                        r = read_number(btf, member->type, &number);
                        if (r < 0 || number > UINT32_MAX)
                                return -EINVAL;
                        *numbers[i].number = (uint32_t) number;
                        return 0;
                }
        if (streq(name, "map_extra"))
                return read_number(btf, member->type, &ret->map_extra);
        if (streq(name, "key"))
                return read_type(btf, member->type, &ret->key_type, &ret->key_size);
        if (streq(name, "value"))
                return read_type(btf, member->type, &ret->value_type, &ret->value_size);
        if (streq(name, "values"))
                return read_values(btf, member->type, &ret->inner);
        return 0; /* "pinning", and what is to come */
}

int map_definition_read(const struct btf *btf, uint32_t type_id, MapDefinition *ret) {
        const struct btf_type *t = resolve(btf, type_id);
        MapDefinition definition = {};

        if (!t || !btf_is_struct(t))
                return -EINVAL;
        for (unsigned i = 0; i < btf_vlen(t); i++) {
                int r = read_member(btf, &btf_members(t)[i], &definition);

                if (r < 0)
                        return r;
        }
        *ret = definition;
        return 0;
}

/* A section of variables. */
static int find_section(const struct btf *btf, const char *name, MapDefinition *ret) {
        int id = btf__find_by_name_kind(btf, name, BTF_KIND_DATASEC);

        if (id < 0)
                return -ENOENT;
        *ret = (MapDefinition){
                .type = BPF_MAP_TYPE_ARRAY,
                .key_size = sizeof(uint32_t),
                .value_size = btf__type_by_id(btf, (uint32_t) id)->size,
                .max_entries = 1,
                .value_type = (uint32_t) id,
        };
        return 0;
}

int map_definition_find(const struct btf *btf, const char *name, MapDefinition *ret) {
        const struct btf_type *section;
        int id;

        if (name[0] == '.')
                return find_section(btf, name, ret);
        id = btf__find_by_name_kind(btf, ".maps", BTF_KIND_DATASEC);
        if (id < 0)
                return -ENOENT;

        section = btf__type_by_id(btf, (uint32_t) id);
        for (unsigned i = 0; i < btf_vlen(section); i++) {
                const struct btf_type *variable = btf__type_by_id(btf, btf_var_secinfos(section)[i].type);

                if (variable && btf_is_var(variable) && streq(name_of(btf, variable->name_off), name))
                        return map_definition_read(btf, variable->type, ret);
        }
        return -ENOENT;
}

static unsigned fields_by_name(const char *name) {
        static const struct {
                const char *name;
                unsigned fields;
        } known[] = {
                { "bpf_spin_lock", MAP_FIELD_SPIN_LOCK },
                { "bpf_timer", MAP_FIELD_TIMER },
                { "bpf_wq", MAP_FIELD_TIMER },
                { "bpf_task_work", MAP_FIELD_TIMER },
                { "bpf_list_head", MAP_FIELD_LIST },
                { "bpf_rb_root", MAP_FIELD_LIST },
        };

        for (size_t i = 0; i < ELEMENTSOF(known); i++)
                if (streq(name, known[i].name))
                        return known[i].fields;
        return 0;
}

/* Pointers to objects of the kernel have a tag: "kptr", "kptr_untrusted", "percpu_kptr", "uptr". */
static bool is_kernel_pointer(const struct btf *btf, const struct btf_type *pointer) {
        const struct btf_type *t = btf__type_by_id(btf, pointer->type);

        return t && btf_is_type_tag(t) &&
               (strstr(name_of(btf, t->name_off), "kptr") || streq(name_of(btf, t->name_off), "uptr"));
}

typedef struct Walk {
        const struct btf *btf;
        unsigned steps; /* that are left; structures without bytes could be nested without end */
        unsigned fields;
} Walk;

static void walk(Walk *w, uint32_t id, unsigned depth) {
        const struct btf_type *t = resolve(w->btf, id);
        unsigned fields;

        if (!t || depth > DEPTH_MAX || w->steps == 0)
                return;
        w->steps--;

        if (btf_is_ptr(t)) {
                w->fields |= is_kernel_pointer(w->btf, t) ? MAP_FIELD_POINTER : 0;
        } else if (btf_is_array(t)) {
                walk(w, btf_array(t)->type, depth + 1);
        } else if (btf_is_datasec(t)) {
                for (unsigned i = 0; i < btf_vlen(t); i++)
                        walk(w, btf_var_secinfos(t)[i].type, depth + 1);
        } else if (btf_is_struct(t)) {
                fields = fields_by_name(name_of(w->btf, t->name_off));
                w->fields |= fields;
                for (unsigned i = 0; fields == 0 && i < btf_vlen(t); i++)
                        walk(w, btf_members(t)[i].type, depth + 1);
        }
}

unsigned map_value_fields(const struct btf *btf, uint32_t value_type) {
        Walk w = { .btf = btf, .steps = STEPS_MAX };

        if (value_type > 0)
                walk(&w, value_type, 0);
        return w.fields;
}
