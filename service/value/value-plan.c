/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * From a type to the steps that print it. Fixed text gathers until there is a value to print behind it.
 */

#include "value/value-digits.h"
#include "value/value-step.h"

#define STEPS_MAX (1U << 18)

typedef struct Plan {
        ValuePrinter *printer;
        size_t pending;          /* where in the texts begins what no step has yet */
        bool json;               /* not the notation of arguments, or within an array */
        const ValueType *prefix; /* the key of an LPM trie whose address is printed with its length, or NULL */
} Plan;

static int plan_value(Plan *plan, const ValueType *type, uint64_t offset, unsigned bits, bool whole);

static int put_text(Plan *plan, const char *s) {
        return s ? buffer_append_string(&plan->printer->texts, s) : 0;
}

static int put_json(Plan *plan, const char *s) {
        return buffer_append_json(&plan->printer->texts, s, strlen(s));
}

/* Adds a step with the text that is pending; `room` is what its value may take. Returns its index. */
static int add_step(Plan *plan, const Step *step, size_t room) {
        ValuePrinter *printer = plan->printer;
        size_t text_size = printer->texts.size - plan->pending;
        Step *s;

        if (printer->n_steps >= STEPS_MAX || text_size > UINT32_MAX)
                return -E2BIG;
        s = ARRAY_APPEND(printer->steps, printer->n_steps);
        if (!s)
                return -ENOMEM;
        *s = *step;
        s->quoted = plan->json;
        s->text = plan->pending;
        s->text_size = (uint32_t) text_size;
        s->room = text_size + room + 1; /* so that there is a buffer in any case */
        plan->pending = printer->texts.size;
        return (int) printer->n_steps - 1;
}

static int add_value(Plan *plan, StepKind kind, const ValueType *type, uint64_t offset, size_t room) {
        int r = add_step(plan,
                         &(Step){ .kind = kind, .offset = (uint32_t) (offset / 8), .size = type->size, .type = type },
                         room);

        return r < 0 ? r : 0;
}

static size_t names_room(const ValueType *type) {
        size_t room = DIGITS_U128_MAX + 8;

        for (size_t i = 0; i < type->n_enumerators; i++) {
                size_t n = 6 * strlen(type->enumerators[i].name) + 3;

                room = type->format == VALUE_FORMAT_FLAGS ? room + n : MAX2(room, n);
        }
        return room;
}

/* Whatever is not one of the plain kinds of numbers. */
static int add_bits(Plan *plan, const ValueType *type, uint64_t offset, unsigned bits) {
        int r;

        r = add_step(plan,
                     &(Step){ .kind = STEP_BITS,
                              .offset = (uint32_t) (offset / 8),
                              .shift = (uint8_t) (offset % 8),
                              .bits = (uint8_t) (bits > 0 ? bits : 8 * type->size),
                              .type = type },
                     names_room(type));
        return r < 0 ? r : 0;
}

static int plan_integer(Plan *plan, const ValueType *type, uint64_t offset) {
        static const StepKind unsigned_steps[] = { [1] = STEP_U8, [2] = STEP_U16, [4] = STEP_U32, [8] = STEP_U64 };
        static const StepKind signed_steps[] = { [1] = STEP_S8, [2] = STEP_S16, [4] = STEP_S32, [8] = STEP_S64 };

        switch (type->format) {
        case VALUE_FORMAT_PORT:
        case VALUE_FORMAT_BE16: return add_value(plan, STEP_BE16, type, offset, DIGITS_U64_MAX);
        case VALUE_FORMAT_BE32: return add_value(plan, STEP_BE32, type, offset, DIGITS_U64_MAX);
        case VALUE_FORMAT_BE64: return add_value(plan, STEP_BE64, type, offset, DIGITS_U64_MAX);
        case VALUE_FORMAT_IPV4: return add_value(plan, STEP_IPV4, type, offset, DIGITS_IPV4_MAX + 2);
        case VALUE_FORMAT_IPV6: return add_value(plan, STEP_IPV6, type, offset, DIGITS_IPV6_MAX + 2);
        case VALUE_FORMAT_HEX:
        case VALUE_FORMAT_PROTOCOL: return add_bits(plan, type, offset, 0);
        case VALUE_FORMAT_NONE:
        case VALUE_FORMAT_NS:
        case VALUE_FORMAT_BYTES:
        case VALUE_FORMAT_MAC:
        case VALUE_FORMAT_FLAGS:
        case VALUE_FORMAT_TEXT:
        case _VALUE_FORMAT_MAX:
        case _VALUE_FORMAT_INVALID: break;
        }
        if (type->size > 8)
                return add_bits(plan, type, offset, 0);
        return add_value(plan, (type->is_signed ? signed_steps : unsigned_steps)[type->size], type, offset,
                         DIGITS_U64_MAX + 1);
}

static int plan_loop(Plan *plan, const ValueType *type, uint64_t offset) {
        bool json = plan->json;
        int loop, r;

        r = put_text(plan, "[");
        if (r < 0)
                return r;
        loop = add_step(plan,
                        &(Step){ .kind = STEP_LOOP,
                                 .offset = (uint32_t) (offset / 8),
                                 .size = type->element->size,
                                 .n = type->n_elements },
                        0);
        if (loop < 0)
                return loop;
        plan->json = true;
        r = plan_value(plan, type->element, 0, 0, false);
        if (r >= 0 && plan->printer->texts.size > plan->pending)
                r = add_step(plan, &(Step){ .kind = STEP_TEXT }, 0);
        plan->json = json;
        if (r < 0)
                return r;
        plan->printer->steps[loop].end = (uint32_t) plan->printer->n_steps;
        return put_text(plan, "]");
}

static int plan_array(Plan *plan, const ValueType *type, uint64_t offset, bool whole) {
        const ValueType *element = type->element;
        int r;

        if (type->format == VALUE_FORMAT_IPV4)
                return add_value(plan, STEP_IPV4, type, offset, DIGITS_IPV4_MAX + 2);
        if (type->format == VALUE_FORMAT_IPV6)
                return add_value(plan, STEP_IPV6, type, offset, DIGITS_IPV6_MAX + 2);
        if (type->format == VALUE_FORMAT_MAC)
                return add_value(plan, STEP_MAC, type, offset, 19);
        if (type->kind == VALUE_TEXT) {
                r = add_step(plan,
                             &(Step){ .kind = STEP_STRING,
                                      .offset = (uint32_t) (offset / 8),
                                      .size = type->size,
                                      .n = whole,
                                      .type = type },
                             type->size > STRING_LARGE ? 0 : 6 * (size_t) type->size + 2);
                return r < 0 ? r : 0;
        }
        if (value_type_is_bytes(type) || (type->format == VALUE_FORMAT_HEX && element->size == 1))
                return add_value(plan, STEP_HEX, type, offset, 2 * (size_t) type->size + 2);
        return plan_loop(plan, type, offset);
}

static bool is_key(const Plan *plan, const ValueType *type) {
        return plan->prefix && plan->prefix->element == type;
}

/* Is it the length of the prefix, where that is printed with the address? */
static bool is_left_out(const Plan *plan, const ValueType *type, const ValueMember *m) {
        return value_member_is_hidden(m) || (is_key(plan, type) && m->offset < 32);
}

static int plan_address(Plan *plan, const ValueType *prefix) {
        int r = add_step(
                plan, &(Step){ .kind = STEP_PREFIX, .offset = prefix->address_offset, .size = prefix->address_size },
                DIGITS_IPV6_MAX + DIGITS_U64_MAX + 3);

        return r < 0 ? r : 0;
}

static int plan_member(Plan *plan, const ValueType *type, size_t i, uint64_t offset) {
        const ValueMember *m = &type->members[i];

        if (is_key(plan, type) && plan->prefix->address == (int) i)
                return plan_address(plan, plan->prefix);
        return plan_value(plan, m->type, offset + m->offset, m->bits, false);
}

static int plan_object(Plan *plan, const ValueType *type, uint64_t offset) {
        bool first = true;
        int r;

        r = put_text(plan, "{");
        for (size_t i = 0; i < type->n_members && r >= 0; i++) {
                if (is_left_out(plan, type, &type->members[i]))
                        continue;
                r = first ? 0 : put_text(plan, ",");
                if (r >= 0)
                        r = put_json(plan, type->members[i].name);
                if (r >= 0)
                        r = put_text(plan, ":");
                if (r >= 0)
                        r = plan_member(plan, type, i, offset);
                first = false;
        }
        return r < 0 ? r : put_text(plan, "}");
}

static bool is_object(const ValueType *type) {
        return (type->kind == VALUE_STRUCT || type->kind == VALUE_UNION) && type->format == VALUE_FORMAT_NONE;
}

/* "a=1,b.c=2" */
static int plan_pairs(Plan *plan, const ValueType *type, uint64_t offset, const char *path, bool *first) {
        int r = 0;

        for (size_t i = 0; i < type->n_members && r >= 0; i++) {
                const ValueMember *m = &type->members[i];
                _cleanup_free_ char *name = NULL;

                if (is_left_out(plan, type, m))
                        continue;
                if (asprintf(&name, "%s%s%s", path, *path ? "." : "", m->name) < 0) {
                        name = NULL;
                        return -ENOMEM;
                }
                if (is_object(m->type)) {
                        r = plan_pairs(plan, m->type, offset + m->offset, name, first);
                        continue;
                }
                r = *first ? 0 : put_text(plan, ",");
                if (r >= 0)
                        r = put_text(plan, name);
                if (r >= 0)
                        r = put_text(plan, "=");
                if (r >= 0)
                        r = plan_member(plan, type, i, offset);
                *first = false;
        }
        return r;
}

static int plan_composite(Plan *plan, const ValueType *type, uint64_t offset, bool whole) {
        const ValueMember *only = NULL;
        bool first = true;
        size_t n = 0;
        int r;

        if (type->format == VALUE_FORMAT_IPV4)
                return add_value(plan, STEP_IPV4, type, offset, DIGITS_IPV4_MAX + 2);
        if (type->format == VALUE_FORMAT_IPV6)
                return add_value(plan, STEP_IPV6, type, offset, DIGITS_IPV6_MAX + 2);
        if (plan->json)
                return plan_object(plan, type, offset);
        for (size_t i = 0; i < type->n_members; i++)
                if (!is_left_out(plan, type, &type->members[i])) {
                        only = &type->members[i];
                        n++;
                }
        /* a struct of one is that one */
        if (n == 1 && whole && !is_key(plan, type))
                return plan_value(plan, only->type, offset + only->offset, only->bits, is_object(only->type));
        r = plan_pairs(plan, type, offset, "", &first);
        return r >= 0 && first ? put_text(plan, "{}") : r;
}

/* Members in front of the address: with the length if it reaches beyond them, else all as they are. */
static int plan_branch(Plan *plan, const ValueType *type, uint64_t offset) {
        ValuePrinter *printer = plan->printer;
        int branch, r;

        branch = add_step(plan, &(Step){ .kind = STEP_BRANCH, .n = 8 * (type->address_offset - 4) }, 0);
        if (branch < 0)
                return branch;
        plan->prefix = type;
        r = plan_composite(plan, type->element, offset, true);
        plan->prefix = NULL;
        if (r >= 0)
                r = add_step(plan, &(Step){ .kind = STEP_TEXT }, 0);
        if (r < 0)
                return r;
        printer->steps[branch].middle = (uint32_t) printer->n_steps;
        r = plan_composite(plan, type->element, offset, true);
        if (r >= 0)
                r = add_step(plan, &(Step){ .kind = STEP_TEXT }, 0);
        if (r < 0)
                return r;
        printer->steps[branch].end = (uint32_t) printer->n_steps;
        return 0;
}

static int plan_prefix(Plan *plan, const ValueType *type, uint64_t offset) {
        if (!type->element)
                return add_value(plan, STEP_HEX, type, offset, 2 * (size_t) type->size + 2);
        if (type->address < 0 || offset != 0)
                return plan_value(plan, type->element, offset, 0, true);
        return type->address_offset == 4 ? plan_address(plan, type) : plan_branch(plan, type, offset);
}

static int plan_value(Plan *plan, const ValueType *type, uint64_t offset, unsigned bits, bool whole) {
        if (bits > 0)
                return add_bits(plan, type, offset, bits);
        switch (type->kind) {
        case VALUE_INTEGER: return plan_integer(plan, type, offset);
        case VALUE_CHAR: return add_value(plan, STEP_U8, type, offset, DIGITS_U64_MAX);
        case VALUE_BOOLEAN:
                return type->size == 1 ? add_value(plan, STEP_BOOL, type, offset, 5)
                                       : add_bits(plan, type, offset, 0);
        case VALUE_ENUM:
        case VALUE_POINTER: return add_bits(plan, type, offset, 0);
        case VALUE_FLOAT: return add_value(plan, STEP_FLOAT, type, offset, DIGITS_FLOAT_MAX);
        case VALUE_ARRAY:
        case VALUE_TEXT: return plan_array(plan, type, offset, whole);
        case VALUE_STRUCT:
        case VALUE_UNION: return plan_composite(plan, type, offset, whole);
        case VALUE_PREFIX: return plan_prefix(plan, type, offset);
        case VALUE_OPAQUE: return add_value(plan, STEP_HEX, type, offset, 2 * (size_t) type->size + 2);
        case _VALUE_KIND_MAX:
        case _VALUE_KIND_INVALID: break;
        }
        return -EINVAL;
}

int value_printer_new(const ValueType *type, ValueStyle style, const char *before, const char *after,
                      ValuePrinter **ret) {
        _cleanup_value_printer_ ValuePrinter *printer = calloc(1, sizeof(*printer));
        Plan plan = { .printer = printer, .json = style == VALUE_STYLE_JSON };
        int r;

        if (!printer)
                return -ENOMEM;
        printer->type = value_type_ref(type);
        r = put_text(&plan, before);
        if (r >= 0)
                r = plan_value(&plan, type, 0, 0, true);
        if (r >= 0)
                r = put_text(&plan, after);
        if (r >= 0 && printer->texts.size > plan.pending)
                r = add_step(&plan, &(Step){ .kind = STEP_TEXT }, 0);
        if (r >= 0)
                r = buffer_reserve(&printer->texts, 1); /* there is something to copy nothing from */
        if (r < 0)
                return r;
        *ret = TAKE_PTR(printer);
        return 0;
}

int value_printer_new_raw(uint32_t size, ValueStyle style, const char *before, const char *after,
                          ValuePrinter **ret) {
        _cleanup_value_type_ const ValueType *type = NULL;
        int r;

        r = value_type_new_opaque(NULL, size, NULL, false, &type);
        return r < 0 ? r : value_printer_new(type, style, before, after, ret);
}

void value_printer_free(ValuePrinter *printer) {
        if (!printer)
                return;
        value_type_unref(printer->type);
        free(printer->steps);
        buffer_done(&printer->texts);
        free(printer);
}
