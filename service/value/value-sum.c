/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "value/value-sum.h"
#include "value/value-bits.h"

static void sum(const ValueType *type, const unsigned char *values, size_t n, size_t stride, unsigned char *ret);

static bool is_zero(const unsigned char *bytes, size_t n) {
        return n == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, n - 1) == 0);
}

/* What can't be added: that of the first CPU which has any. */
static void take_first(const ValueType *type, const unsigned char *values, size_t n, size_t stride,
                       unsigned char *ret) {
        for (size_t i = 0; i < n; i++)
                if (i == 0 || !is_zero(values + i * stride, type->size)) {
                        memcpy(ret, values + i * stride, type->size);
                        if (!is_zero(ret, type->size))
                                return;
                }
}

static bool is_amount(const ValueType *type) {
        return type->kind == VALUE_INTEGER && (type->format == VALUE_FORMAT_NONE || type->format == VALUE_FORMAT_NS ||
                                               type->format == VALUE_FORMAT_BYTES);
}

/* Bits that begin `offset` bits into each value. */
static void sum_bits(const ValueType *type, const unsigned char *values, size_t n, size_t stride, size_t offset,
                     unsigned bits, unsigned char *ret) {
        uint128 total = 0;

        for (size_t i = 0; i < n; i++) {
                uint128 v = value_load_bits(values + i * stride, offset, bits);

                if (is_amount(type))
                        total += v;
                else if (type->kind == VALUE_BOOLEAN)
                        total |= v != 0;
                else if (total == 0)
                        total = v;
        }
        value_store_bits(ret, offset, bits, total);
}

static void sum_float(const ValueType *type, const unsigned char *values, size_t n, size_t stride,
                      unsigned char *ret) {
        double total = 0;
        float single;

        for (size_t i = 0; i < n; i++) {
                double v;

                if (type->size == sizeof(single)) {
                        memcpy(&single, values + i * stride, sizeof(single));
                        v = (double) single;
                } else
                        memcpy(&v, values + i * stride, sizeof(v));
                total += v;
        }
        single = (float) total;
        memcpy(ret, type->size == sizeof(single) ? (void *) &single : (void *) &total, type->size);
}

static void sum_members(const ValueType *type, const unsigned char *values, size_t n, size_t stride,
                        unsigned char *ret) {
        for (size_t i = 0; i < type->n_members; i++) {
                const ValueMember *m = &type->members[i];
                size_t at = m->offset / 8;

                if (m->bits > 0)
                        sum_bits(m->type, values, n, stride, m->offset, m->bits, ret);
                else if (m->choice < 0)
                        sum(m->type, values + at, n, stride, ret + at);
                else
                        take_first(m->type, values + at, n, stride, ret + at);
        }
}

static void sum(const ValueType *type, const unsigned char *values, size_t n, size_t stride, unsigned char *ret) {
        bool plain = type->format == VALUE_FORMAT_NONE;

        if (is_amount(type) || type->kind == VALUE_BOOLEAN)
                sum_bits(type, values, n, stride, 0, 8 * type->size, ret);
        else if (type->kind == VALUE_FLOAT)
                sum_float(type, values, n, stride, ret);
        else if (type->kind == VALUE_STRUCT && plain)
                sum_members(type, values, n, stride, ret);
        else if (type->kind == VALUE_ARRAY && plain && !value_type_is_bytes(type))
                for (uint32_t i = 0; i < type->n_elements; i++) {
                        size_t at = (size_t) i * type->element->size;

                        sum(type->element, values + at, n, stride, ret + at);
                }
        else
                take_first(type, values, n, stride, ret);
}

void value_sum(const ValueType *type, const void *values, size_t n, size_t stride, void *ret) {
        if (type->size > 0)
                memset(ret, 0, type->size);
        sum(type, values, n, stride, ret);
}
