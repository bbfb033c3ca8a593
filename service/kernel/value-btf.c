/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A descent through the types, each of which is compiled once: so the time and memory that it takes are bounded by
 * the size of the BTF, and by MEMBERS_MAX where anonymous members repeat others'.
 */

#include "kernel/value-btf-internal.h"

#define LEVELS_MAX  128U       /* of the descent, typedefs and qualifiers included */
#define MEMBERS_MAX (4U << 20) /* members and enumerators made in all */

static const char reason_broken[] = "the type information of this value is broken, so it can't be written";
static const char reason_deep[] = "types stand within each other more than 32 deep, so this can't be written";
static const char reason_large[] = "this type is too large, so it can't be written";
static const char reason_type[] = "this type can't be written";
static const char reason_kernel[] = "the kernel manages this itself; leave it out";

static int compile(ValueBtf *v, uint32_t id, unsigned level, const ValueType **ret);

void value_btf_free(ValueBtf *values) {
        if (!values)
                return;
        for (uint32_t i = 0; values->types && i < values->n_types; i++)
                value_type_unref(values->types[i]);
        free(values->types);
        free(values->busy);
        free(values->tags);
        free(values);
}

int value_btf_new(const struct btf *btf, ValueBtf **ret) {
        _cleanup_value_btf_ ValueBtf *values = calloc(1, sizeof(*values));
        int r;

        if (!values)
                return -ENOMEM;
        values->btf = btf;
        values->n_types = btf__type_cnt(btf);
        values->types = calloc(values->n_types, sizeof(*values->types));
        values->busy = calloc(values->n_types, sizeof(*values->busy));
        if (!values->types || !values->busy)
                return -ENOMEM;
        r = value_btf_index_tags(values);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(values);
        return 0;
}

const char *value_btf_name(const ValueBtf *v, uint32_t offset) {
        return strempty_to(btf__name_by_offset(v->btf, offset), "");
}

/* Bytes of a type, as far as they can be told. */
static uint32_t size_of(const ValueBtf *v, uint32_t id) {
        int64_t size = btf__resolve_size(v->btf, id);

        return size < 0 || size > VALUE_SIZE_MAX ? 0 : (uint32_t) size;
}

static int opaque(const ValueBtf *v, uint32_t id, const char *reason, const ValueType **ret) {
        const struct btf_type *t = btf__type_by_id(v->btf, id);
        uint32_t size = size_of(v, id);

        return value_type_new_opaque(t ? value_btf_name(v, t->name_off) : "unknown", size, reason, size == 0, ret);
}

/* What there is instead of a type that could not be made. */
static int substitute(const ValueBtf *v, uint32_t id, int r, const ValueType **ret) {
        if (r != -EINVAL && r != -E2BIG && r != -EEXIST)
                return r;
        return opaque(v, id, r == -E2BIG ? reason_large : reason_broken, ret);
}

static int compile_int(ValueBtf *v, uint32_t id, const struct btf_type *t, const ValueType **ret) {
        const char *name = value_btf_name(v, t->name_off);
        uint8_t encoding = btf_int_encoding(t);
        int r;

        /* Compilers of old wrote bit fields as integer types that have fewer bits than bytes; nobody does today. */
        if (btf_int_bits(t) != 8 * t->size || btf_int_offset(t) != 0)
                r = -EINVAL;
        else if (encoding & BTF_INT_BOOL)
                r = value_type_new_boolean(name, t->size, ret);
        else if (t->size == 1 && (streq(name, "char") || (encoding & BTF_INT_CHAR)))
                r = value_type_new_char(name, encoding & BTF_INT_SIGNED, ret);
        else
                r = value_type_new_integer(name, t->size, encoding & BTF_INT_SIGNED, ret);
        return r == -EINVAL ? opaque(v, id, "a value of this size can't be written", ret) : r;
}

static int compile_float(ValueBtf *v, uint32_t id, const struct btf_type *t, const ValueType **ret) {
        int r = value_type_new_float(value_btf_name(v, t->name_off), t->size, ret);

        return r == -EINVAL ? opaque(v, id, "a floating-point number of this size can't be written", ret) : r;
}

/* The kind flag says that values are signed; before Linux 6.0 there was none, so a negative one says so as well. */
static bool enum_is_signed(const struct btf_type *t) {
        if (btf_kflag(t))
                return true;
        for (unsigned i = 0; btf_is_enum(t) && i < btf_vlen(t); i++)
                if (btf_enum(t)[i].val < 0)
                        return true;
        return false;
}

int value_btf_enum(ValueBtf *v, const struct btf_type *t, uint32_t size, const ValueType **ret) {
        _cleanup_free_ ValueEnumerator *enumerators = calloc(MAX2(btf_vlen(t), 1U), sizeof(*enumerators));
        const char *name = value_btf_name(v, t->name_off);
        _cleanup_free_ char *full = NULL;
        bool is_signed = enum_is_signed(t);

        if (!enumerators)
                return -ENOMEM;
        if (asprintf(&full, "enum %s", name) < 0) {
                full = NULL;
                return -ENOMEM;
        }
        v->n_members += btf_vlen(t);
        for (unsigned i = 0; i < btf_vlen(t); i++) {
                const struct btf_enum *e = &btf_enum(t)[i];
                const struct btf_enum64 *wide = &btf_enum64(t)[i];

                /* BTF has the names as const, and those here are copied. */
                if (btf_is_enum(t))
                        enumerators[i] =
                                (ValueEnumerator){ (char *) value_btf_name(v, e->name_off),
                                                   is_signed ? (uint64_t) (int64_t) e->val : (uint32_t) e->val };
                else
                        enumerators[i] = (ValueEnumerator){ (char *) value_btf_name(v, wide->name_off),
                                                            btf_enum64_value(wide) };
        }
        return value_type_new_enum(*name ? full : "unnamed enum", size, is_signed, enumerators, btf_vlen(t), ret);
}

/* Pointers to objects of the kernel have a tag: "kptr", "kptr_untrusted", "percpu_kptr", "uptr". */
static bool is_kernel_pointer(const ValueBtf *v, const struct btf_type *pointer) {
        const struct btf_type *t = btf__type_by_id(v->btf, pointer->type);

        return t && btf_is_type_tag(t) &&
               (strstr(value_btf_name(v, t->name_off), "kptr") || streq(value_btf_name(v, t->name_off), "uptr"));
}

static int compile_pointer(ValueBtf *v, const struct btf_type *t, const ValueType **ret) {
        uint32_t size = (uint32_t) btf__pointer_size(v->btf);

        if (size != 4 && size != 8)
                size = 8;
        return is_kernel_pointer(v, t) ? value_type_new_opaque("pointer", size, reason_kernel, true, ret)
                                       : value_type_new_pointer("pointer", size, ret);
}

static int compile_array(ValueBtf *v, uint32_t id, const struct btf_type *t, unsigned level, const ValueType **ret) {
        _cleanup_value_type_ const ValueType *element = NULL;
        int r;

        r = compile(v, btf_array(t)->type, level + 1, &element);
        if (r < 0)
                return r;
        if (element->kind == VALUE_OPAQUE && element->size == 0)
                return opaque(v, id, element->reason, ret);
        return value_type_new_array(NULL, element, btf_array(t)->nelems, ret);
}

static bool is_kernels_own(const char *name) {
        static const char *const names[] = { "bpf_spin_lock", "bpf_res_spin_lock", "bpf_timer",     "bpf_wq",
                                             "bpf_task_work", "bpf_list_head",     "bpf_list_node", "bpf_rb_root",
                                             "bpf_rb_node",   "bpf_refcount",      "bpf_dynptr" };

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (streq(name, names[i]))
                        return true;
        return false;
}

static int add_opaque(ValueBuilder *builder, const char *name, const char *reason, const ValueNotes *notes) {
        _cleanup_value_type_ const ValueType *type = NULL;
        int r;

        if (!*name)
                return 0;
        r = value_type_new_opaque(NULL, 0, reason, true, &type);
        return r < 0 ? r : value_builder_add(builder, name, type, 0, 0, notes);
}

/* A member or variable with what its tags say. */
static int add_tagged(ValueBtf *v, ValueBuilder *builder, const char *name, const ValueType *plain, uint64_t offset,
                      unsigned bits, uint32_t owner, int component) {
        _cleanup_value_type_ const ValueType *type = NULL;
        ValueNotes notes = {};
        int r;

        r = value_btf_apply_tags(v, owner, component, plain, &type, &notes);
        if (r >= 0)
                r = value_notes_merge(&notes, &type->notes);
        if (r >= 0)
                r = value_builder_add(builder, name, type, offset, bits, &notes);
        if (r == -EINVAL)
                r = add_opaque(builder, name,
                               bits > 0 ? "the type information of this bit field is broken"
                                        : "the type information of this member is broken",
                               &notes);
        value_notes_done(&notes);
        return r;
}

static bool is_composite(const ValueBtf *v, uint32_t id) {
        int resolved = btf__resolve_type(v->btf, id);
        const struct btf_type *t = resolved < 0 ? NULL : btf__type_by_id(v->btf, (uint32_t) resolved);

        return t && btf_is_composite(t);
}

/* *ret_reason: set where the whole struct is opaque, since what is in it can't be told. */
static int add_member(ValueBtf *v, ValueBuilder *builder, uint32_t id, const struct btf_type *t, unsigned i,
                      unsigned level, char **ret_reason) {
        const struct btf_member *m = &btf_members(t)[i];
        const char *name = value_btf_name(v, m->name_off);
        _cleanup_value_type_ const ValueType *type = NULL;
        int r;

        r = compile(v, m->type, level + 1, &type);
        if (r < 0)
                return r;
        if (type->kind == VALUE_OPAQUE && !*name && is_composite(v, m->type))
                return free_and_strdup(ret_reason, type->reason);
        if (type->kind == VALUE_OPAQUE && type->size == 0)
                return add_opaque(builder, name, "the type information of this member is broken", NULL);
        v->n_members += *name ? 1 : (unsigned) type->n_members;
        if (v->n_members > MEMBERS_MAX)
                return -E2BIG;
        return add_tagged(v, builder, name, type, btf_member_bit_offset(t, i), btf_member_bitfield_size(t, i), id,
                          (int) i);
}

static int compile_members(ValueBtf *v, uint32_t id, const struct btf_type *t, unsigned level, ValueBuilder *builder,
                           const ValueType **ret) {
        _cleanup_free_ char *reason = NULL;
        int r;

        for (unsigned i = 0; i < btf_vlen(t); i++) {
                r = add_member(v, builder, id, t, i, level, &reason);
                if (r < 0)
                        return r;
                if (reason)
                        return value_type_new_opaque(value_btf_name(v, t->name_off), 0, reason, true, ret);
        }
        return value_builder_end(builder, ret);
}

static int compile_composite(ValueBtf *v, uint32_t id, const struct btf_type *t, unsigned level,
                             const ValueType **ret) {
        const char *kind = btf_is_union(t) ? "union" : "struct", *name = value_btf_name(v, t->name_off);
        _cleanup_value_builder_ ValueBuilder *builder = NULL;
        _cleanup_value_type_ const ValueType *plain = NULL;
        _cleanup_free_ char *full = NULL;
        ValueFormat format = streq(name, "in_addr")    ? VALUE_FORMAT_IPV4
                             : streq(name, "in6_addr") ? VALUE_FORMAT_IPV6
                                                       : VALUE_FORMAT_NONE;
        int r;

        if (asprintf(&full, *name ? "%1$s %2$s" : "unnamed %1$s", kind, name) < 0) {
                full = NULL;
                return -ENOMEM;
        }
        if (btf_is_struct(t) && is_kernels_own(name) && t->size <= VALUE_SIZE_MAX)
                return value_type_new_opaque(full, t->size, reason_kernel, true, ret);
        r = value_builder_new(btf_is_union(t) ? VALUE_UNION : VALUE_STRUCT, full, t->size, &builder);
        if (r < 0)
                return r;
        r = compile_members(v, id, t, level, builder, &plain);
        if (r < 0)
                return r;
        if (format == VALUE_FORMAT_NONE || value_type_with_format(plain, format, ret) < 0)
                *ret = TAKE_PTR(plain);
        return 0;
}

static int compare_variables(const void *a, const void *b, void *values) {
        const struct btf_var_secinfo *const *x = a, *const *y = b;
        const ValueBtf *v = values;
        const struct btf_type *s = btf__type_by_id(v->btf, (*x)->type), *t = btf__type_by_id(v->btf, (*y)->type);
        int order = strcmp(s ? value_btf_name(v, s->name_off) : "", t ? value_btf_name(v, t->name_off) : "");

        return order != 0 ? order : *x < *y ? -1 : *x > *y;
}

static int add_variable(ValueBtf *v, ValueBuilder *builder, const struct btf_var_secinfo *info, unsigned level) {
        const struct btf_type *var = btf__type_by_id(v->btf, info->type);
        _cleanup_value_type_ const ValueType *type = NULL;
        const char *name;
        int r;

        if (!var || !btf_is_var(var))
                return 0;
        name = value_btf_name(v, var->name_off);
        r = *name ? compile(v, var->type, level + 1, &type) : 0;
        if (r < 0 || !*name)
                return r;
        if (type->size != info->size)
                return add_opaque(builder, name, "the type information of this variable is broken", NULL);
        return add_tagged(v, builder, name, type, 8 * (uint64_t) info->offset, 0, info->type, -1);
}

/* The variables of a section. Of static ones that have the same name the first is reached by it. */
static int compile_section(ValueBtf *v, const struct btf_type *t, unsigned level, const ValueType **ret) {
        _cleanup_free_ const struct btf_var_secinfo **sorted = calloc(MAX2(btf_vlen(t), 1U), sizeof(*sorted));
        _cleanup_free_ bool *twice = calloc(MAX2(btf_vlen(t), 1U), sizeof(*twice));
        const struct btf_var_secinfo *infos = btf_var_secinfos(t);
        _cleanup_value_builder_ ValueBuilder *builder = NULL;
        int r;

        if (!sorted || !twice)
                return -ENOMEM;
        for (unsigned i = 0; i < btf_vlen(t); i++)
                sorted[i] = &infos[i];
        qsort_r(sorted, btf_vlen(t), sizeof(*sorted), compare_variables, v);
        for (unsigned i = 1; i < btf_vlen(t); i++) {
                const struct btf_type *a = btf__type_by_id(v->btf, sorted[i - 1]->type),
                                      *b = btf__type_by_id(v->btf, sorted[i]->type);

                twice[sorted[i] - infos] =
                        a && b && streq(value_btf_name(v, a->name_off), value_btf_name(v, b->name_off));
        }

        r = value_builder_new(VALUE_STRUCT, value_btf_name(v, t->name_off), t->size, &builder);
        for (unsigned i = 0; i < btf_vlen(t) && r >= 0; i++)
                if (!twice[i])
                        r = add_variable(v, builder, &infos[i], level);
        return r < 0 ? r : value_builder_end(builder, ret);
}

/* __be32 and the like say that the number is in network order. */
static ValueFormat format_of_name(const char *name) {
        static const struct {
                const char *name;
                ValueFormat format;
        } known[] = {
                { "__be16", VALUE_FORMAT_BE16 },
                { "__be32", VALUE_FORMAT_BE32 },
                { "__be64", VALUE_FORMAT_BE64 },
        };

        for (size_t i = 0; i < ELEMENTSOF(known); i++)
                if (streq(name, known[i].name))
                        return known[i].format;
        return VALUE_FORMAT_NONE;
}

static int compile_typedef(ValueBtf *v, const struct btf_type *t, unsigned level, const ValueType **ret) {
        _cleanup_value_type_ const ValueType *target = NULL, *named = NULL;
        const char *name = value_btf_name(v, t->name_off);
        int r;

        r = compile(v, t->type, level + 1, &target);
        if (r < 0)
                return r;
        v->n_members += (unsigned) target->n_members;
        if (v->n_members > MEMBERS_MAX)
                return -E2BIG;
        r = value_type_with_name(target, name, NULL, &named);
        if (r < 0)
                return r;
        if (format_of_name(name) == VALUE_FORMAT_NONE || value_type_with_format(named, format_of_name(name), ret) < 0)
                *ret = TAKE_PTR(named);
        return 0;
}

static int compile_kind(ValueBtf *v, uint32_t id, const struct btf_type *t, unsigned level, const ValueType **ret) {
        if (btf_is_int(t))
                return compile_int(v, id, t, ret);
        if (btf_is_any_enum(t))
                return value_btf_enum(v, t, t->size, ret);
        if (btf_is_float(t))
                return compile_float(v, id, t, ret);
        if (btf_is_ptr(t))
                return compile_pointer(v, t, ret);
        if (btf_is_array(t))
                return compile_array(v, id, t, level, ret);
        if (btf_is_composite(t))
                return compile_composite(v, id, t, level, ret);
        if (btf_is_datasec(t))
                return compile_section(v, t, level, ret);
        if (btf_is_typedef(t))
                return compile_typedef(v, t, level, ret);
        if (btf_is_mod(t) || btf_is_var(t))
                return compile(v, t->type, level + 1, ret);
        return opaque(v, id, reason_type, ret);
}

/* The tags of the type itself: a struct's, a union's, a typedef's; or of a variable. */
static int compile_tagged(ValueBtf *v, uint32_t id, const struct btf_type *t, unsigned level, const ValueType **ret) {
        _cleanup_value_type_ const ValueType *plain = NULL, *type = NULL;
        ValueNotes notes = {};
        int r;

        r = compile_kind(v, id, t, level, &plain);
        if (r < 0 || !value_btf_has_tags(v, id)) {
                if (r >= 0)
                        *ret = TAKE_PTR(plain);
                return r;
        }
        r = value_btf_apply_tags(v, id, -1, plain, &type, &notes);
        if (r >= 0)
                r = value_type_with_name(type, NULL, &notes, ret);
        value_notes_done(&notes);
        return r;
}

static int compile(ValueBtf *v, uint32_t id, unsigned level, const ValueType **ret) {
        const struct btf_type *t = id < v->n_types ? btf__type_by_id(v->btf, id) : NULL;
        int r;

        if (!t || id == 0)
                return opaque(v, id, id == 0 ? reason_type : reason_broken, ret);
        if (v->types[id]) {
                *ret = value_type_ref(v->types[id]);
                return 0;
        }
        if (v->busy[id] || level >= LEVELS_MAX)
                return value_type_new_opaque(value_btf_name(v, t->name_off), 0, reason_deep, true, ret);

        v->busy[id] = true;
        r = compile_tagged(v, id, t, level, ret);
        v->busy[id] = false;
        if (r < 0)
                r = substitute(v, id, r, ret);
        if (r >= 0)
                v->types[id] = value_type_ref(*ret);
        return r;
}

int value_btf_type(ValueBtf *values, uint32_t id, const ValueType **ret) {
        return compile(values, id, 0, ret);
}
