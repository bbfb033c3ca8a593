/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The input is a value and its type information, in a form that lets most inputs get past libbpf's check of the
 * header:
 *
 *   u8  what to do: bit 0: the key of an LPM trie; bit 1: `size` counts, else the type's own; bits 2 and 3: what the
 *       JSON is: 0: JSON, 1: an argument of a command line, 2: the bytes of the value
 *   u8  type id
 *   u16 size of the buffer
 *   u16 bytes of JSON, u16 bytes of the type section; then the JSON, the type section, and the rest is strings
 *
 * The integers are little-endian. Whatever the input, everything must stay within the buffer and come to an end; a
 * refusal has a place that is a path; what is printed is JSON; and what is read back from it prints the same, unless
 * members of the type lie upon each other or enumerators have the same name.
 */

#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include "fuzz.h"
#include "kernel/value-btf.h"
#include "util/json.h"
#include "value/value-encode.h"
#include "value/value-print.h"
#include "value/value-schema.h"

#define BUFFER_MAX 65536
#define WEIGHT_MAX 10000U /* of what is printed here, so that an input takes no seconds */

typedef struct Input {
        uint8_t what;
        uint8_t type_id;
        uint16_t size;
        uint16_t json_size;
        uint16_t types_size;
} Input;

static struct btf *make_btf(const uint8_t *types, size_t types_size, const uint8_t *strings, size_t strings_size) {
        struct btf_header header = {
                .magic = BTF_MAGIC,
                .version = BTF_VERSION,
                .hdr_len = sizeof(header),
                .type_len = (uint32_t) types_size,
                .str_off = (uint32_t) types_size,
                .str_len = (uint32_t) strings_size + 2, /* they begin and end with a NUL */
        };
        size_t size = sizeof(header) + types_size + strings_size + 2;
        _cleanup_free_ uint8_t *raw = calloc(1, size);

        MUST(raw);
        memcpy(raw, &header, sizeof(header));
        memcpy(raw + sizeof(header), types, types_size);
        memcpy(raw + sizeof(header) + types_size + 1, strings, strings_size);
        return btf__new(raw, (uint32_t) size);
}

static void check_error(const Error *error, int r) {
        const char *p = error->where;
        JsonPathStep step;
        int k;

        MUST(r != 0);
        MUST(error->message && p);
        while ((k = json_path_step(&p, &step)) > 0)
                ;
        MUST(k == 0);
}

/* Is there but one way to read the type's bytes? */
static bool is_plain(const ValueType *type) {
        uint64_t end = 0;

        if (type->kind == VALUE_UNION || type->n_choices > 0 || type->kind == VALUE_POINTER ||
            type->kind == VALUE_OPAQUE)
                return false;
        for (size_t i = 0; i < type->n_members; i++) {
                const ValueMember *m = &type->members[i];

                if (m->offset < end || !is_plain(m->type))
                        return false;
                end = m->offset + (m->bits > 0 ? m->bits : 8 * (uint64_t) m->type->size);
        }
        for (size_t i = 0; i < type->n_enumerators; i++) {
                const ValueEnumerator *e = &type->enumerators[i], *named = value_type_enumerator_named(type, e->name);

                if (named && named->value != e->value)
                        return false;
        }
        return !type->element || is_plain(type->element);
}

static json_object *print(const ValueType *type, const void *bytes, Buffer *text) {
        _cleanup_error_ Error error = ERROR_INIT;
        json_object *value = NULL;
        int r;

        MUST(value_print_once(type, VALUE_STYLE_JSON, bytes, text) >= 0);
        r = json_parse(text->data, text->size, &value, NULL, &error);
        MUST(r >= 0 || error.code == ERROR_LIMIT_EXCEEDED);
        return value;
}

static void print_again(const ValueType *type, const uint8_t *bytes) {
        _cleanup_buffer_ Buffer text = {}, again = {}, argument = {};
        _cleanup_free_ uint8_t *copy = malloc(type->size > 0 ? type->size : 1);
        _cleanup_json_ json_object *value = NULL, *other = NULL;
        _cleanup_error_ Error error = ERROR_INIT;
        bool plain = is_plain(type);

        MUST(copy);
        value = print(type, bytes, &text);
        if (value && value_encode(type, value, NULL, copy, type->size, &error) >= 0 && plain) {
                other = print(type, copy, &again);
                MUST(text.size == again.size && memcmp(text.data, again.data, text.size) == 0);
        }
        error_done(&error);

        MUST(value_print_once(type, VALUE_STYLE_ARGUMENT, bytes, &argument) >= 0);
        MUST(buffer_append(&argument, "", 1) >= 0);
        if (value_encode_argument(type, argument.data, NULL, copy, type->size, &error) >= 0 && plain) {
                again.size = 0;
                json_object_put(other);
                other = print(type, copy, &again);
                MUST(text.size == again.size && memcmp(text.data, again.data, text.size) == 0);
        }
}

static void inspect(const ValueType *type, const uint8_t *bytes) {
        _cleanup_buffer_ Buffer schema = {};
        _cleanup_json_ json_object *value = NULL;
        _cleanup_error_ Error error = ERROR_INIT;
        _cleanup_free_ char *signature = NULL;
        int r;

        MUST(value_signature(type, &signature) >= 0);
        if (type->weight > WEIGHT_MAX)
                return;
        print_again(type, bytes);
        r = value_schema(type, NULL, &schema);
        MUST(r >= 0 || r == -E2BIG);
        if (r >= 0 && json_parse(schema.data, schema.size, &value, NULL, &error) < 0)
                MUST(error.code == ERROR_LIMIT_EXCEEDED);
}

static int encode(const ValueType *type, const Input *input, const char *text, size_t text_size, uint8_t *buffer,
                  size_t size, Error *error) {
        const char *where = input->what & 1 ? "maps.m[0]" : NULL;
        _cleanup_error_ Error ignored = ERROR_INIT;
        _cleanup_json_ json_object *value = NULL;
        _cleanup_free_ char *argument = NULL;

        switch (input->what >> 2 & 3) {
        case 0:
                if (json_parse(text, text_size, &value, NULL, &ignored) < 0)
                        return 1;
                return value_encode(type, value, where, buffer, size, error);
        case 1:
                argument = strndup(text, text_size);
                MUST(argument);
                return value_encode_argument(type, argument, where, buffer, size, error);
        }
        memset(buffer, 0, size);
        memcpy(buffer, text, MIN2(text_size, size));
        return 0;
}

static void run(const struct btf *btf, const Input *input, const char *text, size_t text_size) {
        _cleanup_value_type_ const ValueType *type = NULL;
        _cleanup_error_ Error error = ERROR_INIT;
        _cleanup_free_ uint8_t *buffer = NULL;
        int64_t own = btf && input->type_id > 0 ? btf__resolve_size(btf, input->type_id) : -1;
        size_t size = input->size;
        int r;

        if (!(input->what & 2) && own >= 0 && own <= BUFFER_MAX)
                size = (size_t) own;
        buffer = malloc(size > 0 ? size : 1); /* nothing to spare, for ASan */
        MUST(buffer);
        MUST(value_btf_compile(btf, input->type_id, input->what & 1 ? BPF_MAP_TYPE_LPM_TRIE : 0, (uint32_t) size,
                               &type) >= 0);
        MUST(type->size == size);
        r = encode(type, input, text, text_size, buffer, size, &error);
        if (r < 0)
                check_error(&error, r);
        else
                MUST(!error_is_set(&error));
        if (r == 0)
                inspect(type, buffer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        struct btf *btf;
        Input input;

        if (size < 8)
                return 0;
        (void) libbpf_set_print(NULL);
        input = (Input){ data[0], data[1], (uint16_t) (data[2] | data[3] << 8), (uint16_t) (data[4] | data[5] << 8),
                         (uint16_t) (data[6] | data[7] << 8) };
        data += 8;
        size -= 8;
        if ((size_t) input.json_size + input.types_size > size)
                return 0;
        btf = make_btf(data + input.json_size, input.types_size, data + input.json_size + input.types_size,
                       size - input.json_size - input.types_size);
        run(btf, &input, (const char *) data, input.json_size);
        btf__free(btf);
        return 0;
}
