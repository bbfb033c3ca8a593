/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The input is a value and its type information, in a form that lets most inputs get past libbpf's check of the
 * header:
 *
 *   u8  what to do: bit 0: the key of an LPM trie; bit 1: `size` counts, else the type's own
 *   u8  type id
 *   u16 size of the buffer
 *   u16 bytes of JSON, u16 bytes of the type section; then the JSON, the type section, and the rest is strings
 *
 * The integers are little-endian. Whatever the input, the encoder must stay within the buffer, come to an end, and
 * say of a refusal a place that is a path.
 */

#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include "fuzz.h"
#include "kernel/value-btf.h"
#include "util/json.h"
#include "value/value-encode.h"

#define BUFFER_MAX 65536

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

static void encode(const struct btf *btf, const Input *input, json_object *value) {
        _cleanup_error_ Error error = ERROR_INIT;
        _cleanup_value_type_ const ValueType *type = NULL;
        _cleanup_free_ void *buffer = NULL;
        int64_t own = btf && input->type_id > 0 ? btf__resolve_size(btf, input->type_id) : -1;
        size_t size = input->size;
        int r;

        if (!(input->what & 2) && own >= 0 && own <= BUFFER_MAX)
                size = (size_t) own;
        buffer = malloc(size > 0 ? size : 1); /* nothing to spare, for ASan */
        MUST(buffer);
        MUST(value_btf_compile(btf, input->type_id, input->what & 1 ? BPF_MAP_TYPE_LPM_TRIE : 0, (uint32_t) size,
                               &type) >= 0);
        r = value_encode(type, value, input->what & 1 ? "maps.m[0]" : NULL, buffer, size, &error);
        if (r < 0)
                check_error(&error, r);
        else
                MUST(!error_is_set(&error));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_json_ json_object *value = NULL;
        _cleanup_error_ Error error = ERROR_INIT;
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
        if (json_parse((const char *) data, input.json_size, &value, NULL, &error) < 0)
                return 0;
        btf = make_btf(data + input.json_size, input.types_size, data + input.json_size + input.types_size,
                       size - input.json_size - input.types_size);
        encode(btf, &input, value);
        btf__free(btf);
        return 0;
}
