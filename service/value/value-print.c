/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <endian.h>

#include "util/json-text.h"
#include "value/value-bits.h"
#include "value/value-digits.h"
#include "value/value-protocol.h"
#include "value/value-step.h"

/* Reads an integer that may lie anywhere. */
#define LOAD(type, at)                                                                                               \
        ({                                                                                                           \
                type _v;                                                                                             \
                memcpy(&_v, (at), sizeof(_v));                                                                       \
                _v;                                                                                                  \
        })

static char *put_quote(char *p, bool quoted) {
        *p = '"';
        return p + quoted;
}

static char *put_integer(char *p, uint128 v, bool is_signed) {
        if (is_signed && v >> 127) {
                *p++ = '-';
                v = -v;
        }
        return put_u128(p, v);
}

static char *put_name(char *p, const char *name, bool quoted) {
        p = put_quote(p, quoted);
        p = json_escape(p, name, strlen(name));
        return put_quote(p, quoted);
}

static char *put_hexadecimal(char *p, uint128 v, bool quoted) {
        p = put_quote(p, quoted);
        memcpy(p, "0x", 2);
        p = put_hex(p + 2, v);
        return put_quote(p, quoted);
}

/* An enumerator is named where all its bits are set, and not all of them named before. */
static char *put_flags(char *p, const ValueType *type, uint64_t v, unsigned bits, bool quoted) {
        uint64_t mask = bits < 64 ? (UINT64_C(1) << bits) - 1 : UINT64_MAX, rest = v & mask;
        bool first = true;

        if (quoted)
                *p++ = '[';
        for (size_t i = 0; i < type->n_enumerators; i++) {
                uint64_t flag = type->enumerators[i].value & mask;

                if (flag == 0 || (v & flag) != flag || (rest & flag) == 0 || !*type->enumerators[i].name)
                        continue;
                if (!first)
                        *p++ = quoted ? ',' : '|';
                p = put_name(p, type->enumerators[i].name, quoted);
                rest &= ~flag;
                first = false;
        }
        if (rest != 0 || (first && !quoted)) {
                if (!first)
                        *p++ = quoted ? ',' : '|';
                p = rest == 0 ? put_u8(p, 0) : put_hexadecimal(p, rest, quoted);
        }
        if (quoted)
                *p++ = ']';
        return p;
}

static char *put_enum(char *p, const Step *step, uint128 v) {
        const ValueEnumerator *enumerator;

        if (step->type->format == VALUE_FORMAT_FLAGS)
                return put_flags(p, step->type, (uint64_t) v, step->bits, step->quoted);
        enumerator = value_type_enumerator(step->type, (uint64_t) v);
        return enumerator && *enumerator->name ? put_name(p, enumerator->name, step->quoted)
                                               : put_integer(p, v, step->type->is_signed);
}

static char *put_bits(char *p, const Step *step, const unsigned char *bytes) {
        const ValueType *type = step->type;
        uint128 v = value_load_bits(bytes, step->shift, step->bits);
        const char *protocol;

        if (type->kind == VALUE_POINTER)
                return put_hexadecimal(p, v, step->quoted);
        if (type->kind == VALUE_BOOLEAN) {
                memcpy(p, v ? "true" : "false", 5);
                return p + (v ? 4 : 5);
        }
        if (type->format == VALUE_FORMAT_HEX)
                return put_hexadecimal(p, v, step->quoted);
        if (type->format == VALUE_FORMAT_PROTOCOL && (protocol = protocol_to_string((uint32_t) v)))
                return put_name(p, protocol, step->quoted);
        if (type->is_signed)
                v = value_extend_sign(v, step->bits);
        if (type->kind == VALUE_ENUM)
                return put_enum(p, step, v);
        p = put_quote(p, step->quoted && type->size == 16);
        p = put_integer(p, v, type->is_signed);
        return put_quote(p, step->quoted && type->size == 16);
}

static bool is_utf8(const char *s, size_t n) {
        uint32_t code;

        for (size_t i = 0, step; i < n; i += step) {
                step = utf8_decode(s, n, i, &code);
                if (step == 0)
                        return false;
        }
        return true;
}

/* May it stand without quotes among other members? */
static bool is_plain(const char *s, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (!((s[i] >= '0' && s[i] <= '9') || ((s[i] | 0x20) >= 'a' && (s[i] | 0x20) <= 'z') ||
                      (s[i] != '\0' && strchr("_.:/@%+-", s[i]))))
                        return false;
        return n > 0;
}

/* May it stand without quotes as a whole argument? */
static bool is_verbatim(const char *s, size_t n) {
        for (size_t i = 0; i < n; i++)
                if ((unsigned char) s[i] < 0x20 || s[i] == 0x7f)
                        return false;
        return n == 0 || (s[0] != '"' && s[0] != '[');
}

static bool is_zero(const unsigned char *bytes, size_t n) {
        return n == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, n - 1) == 0);
}

/* step->n: it is the whole of an argument. */
static char *put_string(char *p, const Step *step, const unsigned char *bytes) {
        const unsigned char *nul = memchr(bytes, 0, step->size);
        size_t n = nul ? (size_t) (nul - bytes) : step->size;
        const char *s = (const char *) bytes;

        if (!is_zero(bytes + n, step->size - n) || !is_utf8(s, n)) {
                *p++ = '[';
                for (size_t i = 0; i < step->size; i++) {
                        p = put_u8(p, bytes[i]);
                        *p++ = ',';
                }
                p[-1] = ']';
                return p;
        }
        if (!step->quoted && (step->n ? is_verbatim(s, n) : is_plain(s, n))) {
                memcpy(p, s, n);
                return p + n;
        }
        *p++ = '"';
        p = json_escape(p, s, n);
        *p++ = '"';
        return p;
}

static char *put_prefix(char *p, const Step *step, const unsigned char *base) {
        const unsigned char *address = base + step->offset;

        p = put_quote(p, step->quoted);
        p = step->size == 4 ? put_ipv4(p, address) : put_ipv6(p, address);
        *p++ = '/';
        p = put_u64(p, LOAD(uint32_t, base) - 8 * (step->offset - 4));
        return put_quote(p, step->quoted);
}

static char *put_other(char *p, const Step *step, const unsigned char *base) {
        const unsigned char *bytes = base + step->offset;

        if (step->kind == STEP_PREFIX)
                return put_prefix(p, step, base);
        if (step->kind == STEP_FLOAT)
                return step->size == sizeof(float) ? put_float(p, (double) LOAD(float, bytes), true, step->quoted)
                                                   : put_float(p, LOAD(double, bytes), false, step->quoted);
        if (step->kind == STEP_STRING)
                return put_string(p, step, bytes);
        if (step->kind == STEP_BITS)
                return put_bits(p, step, bytes);
        p = put_quote(p, step->quoted);
        if (step->kind == STEP_HEX)
                p = put_bytes(p, bytes, step->size);
        else if (step->kind == STEP_MAC)
                p = put_mac(p, bytes);
        else if (step->kind == STEP_IPV4)
                p = put_ipv4(p, bytes);
        else
                p = put_ipv6(p, bytes);
        return put_quote(p, step->quoted);
}

static char *put_step(char *p, const Step *step, const unsigned char *base) {
        const unsigned char *bytes = base + step->offset;

        switch (step->kind) {
        case STEP_TEXT: return p;
        case STEP_U8: return put_u8(p, bytes[0]);
        case STEP_U16: return put_u64(p, LOAD(uint16_t, bytes));
        case STEP_U32: return put_u64(p, LOAD(uint32_t, bytes));
        case STEP_U64: return put_u64(p, LOAD(uint64_t, bytes));
        case STEP_S8: return put_s64(p, LOAD(int8_t, bytes));
        case STEP_S16: return put_s64(p, LOAD(int16_t, bytes));
        case STEP_S32: return put_s64(p, LOAD(int32_t, bytes));
        case STEP_S64: return put_s64(p, LOAD(int64_t, bytes));
        case STEP_BE16: return put_u64(p, be16toh(LOAD(uint16_t, bytes)));
        case STEP_BE32: return put_u64(p, be32toh(LOAD(uint32_t, bytes)));
        case STEP_BE64: return put_u64(p, be64toh(LOAD(uint64_t, bytes)));
        case STEP_BOOL: memcpy(p, bytes[0] ? "true" : "false", 5); return p + (bytes[0] ? 4 : 5);
        case STEP_BITS:
        case STEP_FLOAT:
        case STEP_STRING:
        case STEP_HEX:
        case STEP_IPV4:
        case STEP_IPV6:
        case STEP_MAC:
        case STEP_PREFIX: break;
        case STEP_LOOP:
        case STEP_BRANCH: return p;
        }
        return put_other(p, step, base);
}

static int run(const ValuePrinter *printer, size_t from, size_t to, const unsigned char *base, Buffer *buffer);

static int run_loop(const ValuePrinter *printer, size_t i, const unsigned char *base, Buffer *buffer) {
        const Step *step = &printer->steps[i];

        for (uint32_t k = 0; k < step->n; k++) {
                int r = buffer_reserve(buffer, 1);

                if (r < 0)
                        return r;
                if (k > 0)
                        buffer->data[buffer->size++] = ',';
                r = run(printer, i + 1, step->end, base + step->offset + (size_t) k * step->size, buffer);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int run_branch(const ValuePrinter *printer, size_t i, const unsigned char *base, Buffer *buffer) {
        const Step *step = &printer->steps[i];

        return LOAD(uint32_t, base) >= step->n ? run(printer, i + 1, step->middle, base, buffer)
                                               : run(printer, step->middle, step->end, base, buffer);
}

/* Of large texts only what is there, instead of what could be. */
static size_t string_room(const Step *step, const unsigned char *bytes) {
        const unsigned char *nul = memchr(bytes, 0, step->size);
        size_t n = nul ? (size_t) (nul - bytes) : step->size;

        if (is_zero(bytes + n, step->size - n) && is_utf8((const char *) bytes, n))
                return step->room + 6 * n + 2;
        return step->room + 4 * (size_t) step->size + 2; /* as numbers */
}

static int run(const ValuePrinter *printer, size_t from, size_t to, const unsigned char *base, Buffer *buffer) {
        int r;

        for (size_t i = from; i < to; i++) {
                const Step *step = &printer->steps[i];
                char *p;

                r = buffer_reserve(buffer, step->kind == STEP_STRING && step->size > STRING_LARGE
                                                   ? string_room(step, base + step->offset)
                                                   : step->room);
                if (r < 0)
                        return r;
                p = buffer->data + buffer->size;
                memcpy(p, printer->texts.data + step->text, step->text_size);
                p = put_step(p + step->text_size, step, base);
                buffer->size = (size_t) (p - buffer->data);

                if (step->kind == STEP_LOOP || step->kind == STEP_BRANCH) {
                        r = step->kind == STEP_LOOP ? run_loop(printer, i, base, buffer)
                                                    : run_branch(printer, i, base, buffer);
                        if (r < 0)
                                return r;
                        i = step->end - 1;
                }
        }
        return 0;
}

int value_print(const ValuePrinter *printer, const void *bytes, Buffer *buffer) {
        size_t size = buffer->size;
        int r;

        r = run(printer, 0, printer->n_steps, bytes, buffer);
        if (r < 0)
                buffer->size = size;
        return r;
}

int value_print_once(const ValueType *type, ValueStyle style, const void *bytes, Buffer *buffer) {
        _cleanup_value_printer_ ValuePrinter *printer = NULL;
        int r;

        r = value_printer_new(type, style, NULL, NULL, &printer);
        return r < 0 ? r : value_print(printer, bytes, buffer);
}
