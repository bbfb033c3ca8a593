/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The vectors of dbus/map-spec.md: types in BTF, bytes, and what they look like. Each file in tests/data/map-vectors
 * says what it is about; a case may have
 *
 *   map, part        which type: "key", "value", or "event" of a map
 *   bytes            in hexadecimal digits, little-endian
 *   json             what they read as
 *   argument         the same in the notation of a command line
 *   lossy            true: what is read can't be written back (unions, pointers, what is hidden)
 *   signature        of D-Bus
 *   schema           of JSON
 *   accepted         list of {json or argument, bytes}; with "merge" over the bytes in "over"
 *   refused          list of {json or argument, where}
 */

#include "check.h"

#include <bpf/libbpf.h>
#include <sys/socket.h>

#include "bus/value-wire.h"

#include "kernel/map-types.h"
#include "kernel/value-btf.h"
#include "util/file.h"
#include "util/json.h"
#include "value/value-encode.h"
#include "value/value-print.h"
#include "value/value-schema.h"
#include "value/value-text.h"

#define FILE_MAX ((size_t) 4 << 20)

static struct btf *btf;
static ValueBtf *values;
static unsigned n_cases;

static const char *text_of(json_object *object, const char *name) {
        json_object *value;

        return json_object_object_get_ex(object, name, &value) ? json_object_get_string(value) : NULL;
}

static char *path_of(const char *name) {
        char *path;

        assert_return_code(asprintf(&path, "%s/tests/data/map-vectors/%s", getenv("BPFCHAIN_SOURCE"), name), errno);
        return path;
}

static void read_bytes(const char *hex, uint8_t **ret, size_t *ret_size) {
        size_t n = 0;

        for (const char *p = hex; *p; p++)
                n += *p != '\n';
        *ret = malloc(n / 2 + 1);
        *ret_size = n / 2;
        assert_int_equal(bytes_from_hex(hex, *ret, n / 2), 0);
}

static void load_types(const char *name) {
        _cleanup_free_ char *path = path_of(name), *text = NULL;
        _cleanup_free_ uint8_t *raw = NULL;
        size_t size;

        assert_int_equal(file_read(path, FILE_MAX, &text, &size), 0);
        read_bytes(text, &raw, &size);
        btf = btf__new(raw, (uint32_t) size);
        assert_non_null(btf);
        assert_int_equal(value_btf_new(btf, &values), 0);
}

static const ValueType *find_type(json_object *c) {
        const char *map = text_of(c, "map"), *part = text_of(c, "part");
        _cleanup_value_map_ ValueMap found = {};
        MapDefinition definition;
        const ValueType *type;

        assert_int_equal(map_definition_find(btf, map, &definition), 0);
        assert_int_equal(value_btf_map(values, map, definition.type, definition.key_type, definition.key_size,
                                       definition.value_type, definition.value_size, &found),
                         0);
        type = streq(part, "key") ? found.key : streq(part, "value") ? found.value : found.event;
        assert_non_null(type);
        return value_type_ref(type);
}

static char *print(const ValueType *type, ValueStyle style, const uint8_t *bytes) {
        _cleanup_buffer_ Buffer buffer = {};

        assert_int_equal(value_print_once(type, style, bytes, &buffer), 0);
        return buffer_take(&buffer);
}

static void check_json(const char *what, const char *text, json_object *expected) {
        _cleanup_error_ Error error = ERROR_INIT;
        _cleanup_json_ json_object *value = NULL;

        if (json_parse(text, strlen(text), &value, NULL, &error) < 0)
                fail_msg("%s is no JSON: %s: %s", what, error.message, text);
        if (!json_object_equal(value, expected))
                fail_msg("%s is %s instead of %s", what, text, json_object_to_json_string(expected));
}

/* The bytes that an input gives, or an error. */
static int write_input(const ValueType *type, json_object *input, const char *where, uint8_t *bytes, Error *error) {
        const char *argument = text_of(input, "argument"), *over = text_of(input, "over");
        json_object *value = NULL;

        if (argument)
                return value_encode_argument(type, argument, where, bytes, type->size, error);
        assert_true(json_object_object_get_ex(input, "json", &value));
        if (!over)
                return value_encode(type, value, where, bytes, type->size, error);
        assert_int_equal(bytes_from_hex(over, bytes, type->size), 0);
        return value_merge(type, value, where, bytes, type->size, error);
}

static void check_written(const ValueType *type, json_object *input, const char *where, const char *hex) {
        _cleanup_free_ uint8_t *bytes = malloc(type->size), *expected = NULL;
        _cleanup_error_ Error error = ERROR_INIT;
        size_t size;

        read_bytes(hex, &expected, &size);
        assert_int_equal(size, type->size);
        if (write_input(type, input, where, bytes, &error) < 0)
                fail_msg("refused: %s: %s: %s", json_object_to_json_string(input), strna(error.where),
                         strna(error.message));
        if (memcmp(bytes, expected, size) != 0) {
                _cleanup_free_ char *got = print(type, VALUE_STYLE_JSON, bytes);

                fail_msg("%s gives other bytes: %s", json_object_to_json_string(input), got);
        }
}

static void check_refused_input(const ValueType *type, json_object *input, const char *where) {
        _cleanup_free_ uint8_t *bytes = malloc(type->size);
        _cleanup_error_ Error error = ERROR_INIT;

        if (write_input(type, input, where, bytes, &error) >= 0)
                fail_msg("taken: %s", json_object_to_json_string(input));
        if (!error.message || !streq_ptr(error.where, text_of(input, "where")))
                fail_msg("%s is refused at %s: %s", json_object_to_json_string(input), strna(error.where),
                         strna(error.message));
}

static void check_inputs(const ValueType *type, json_object *c) {
        json_object *list;

        if (json_object_object_get_ex(c, "accepted", &list))
                for (size_t i = 0; i < json_object_array_length(list); i++) {
                        json_object *input = json_object_array_get_idx(list, i);

                        check_written(type, input, text_of(c, "part"), text_of(input, "bytes"));
                }
        if (json_object_object_get_ex(c, "refused", &list))
                for (size_t i = 0; i < json_object_array_length(list); i++)
                        check_refused_input(type, json_object_array_get_idx(list, i), text_of(c, "part"));
}

static void check_description(const ValueType *type, json_object *c) {
        _cleanup_free_ char *signature = NULL, *text = NULL;
        _cleanup_buffer_ Buffer schema = {};
        json_object *expected;

        assert_int_equal(value_signature(type, &signature), 0);
        assert_string_equal(signature, text_of(c, "signature"));
        assert_int_equal(value_schema(type, NULL, &schema), 0);
        text = buffer_take(&schema);
        if (json_object_object_get_ex(c, "schema", &expected))
                check_json("the schema", text, expected);
        else {
                _cleanup_json_ json_object *own = json_tokener_parse(text);

                check_json("the schema", text, own);
        }
}

static sd_bus *bus_new(void) {
        sd_bus *bus = NULL;
        int fds[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        assert_return_code(sd_bus_new(&bus), 0);
        assert_return_code(sd_bus_set_fd(bus, fds[0], fds[0]), 0);
        assert_return_code(sd_bus_start(bus), 0);
        close(fds[1]);
        return bus;
}

/* On the bus it is a variant of its signature, and comes back as it was. */
static void check_wire(const ValueType *type, json_object *c, const uint8_t *bytes, bool lossy) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *message = NULL;
        _cleanup_free_ uint8_t *copy = malloc(type->size);
        _cleanup_json_ json_object *value = NULL;
        _cleanup_error_ Error error = ERROR_INIT;
        const char *signature = text_of(c, "signature"), *contents;
        sd_bus *bus = bus_new();
        char kind;
        int r;

        assert_return_code(sd_bus_message_new_signal(bus, &message, "/x", "x.X", "X"), 0);
        r = value_wire_append(message, type, bytes);
        if (r < 0)
                fail_msg("%s of %s: %s", text_of(c, "part"), text_of(c, "map"), strerror(-r));
        assert_return_code(sd_bus_message_seal(message, 1, 0), 0);
        assert_int_equal(sd_bus_message_peek_type(message, &kind, &contents), 1);
        assert_int_equal(kind, 'v');
        if (!streq(signature, "v"))
                assert_string_equal(contents, signature);
        assert_int_equal(value_wire_read(message, type, &value, &error), 0);
        assert_int_equal(sd_bus_message_at_end(message, true), 1);
        if (!lossy) {
                if (value_encode(type, value, NULL, copy, type->size, &error) < 0)
                        fail_msg("%s: %s: %s", json_object_to_json_string(value), error.where, error.message);
                assert_memory_equal(copy, bytes, type->size);
        }
        sd_bus_close_unref(bus);
}

static void check_case(json_object *c) {
        _cleanup_value_type_ const ValueType *type = find_type(c);
        _cleanup_free_ char *json = NULL, *argument = NULL;
        _cleanup_free_ uint8_t *bytes = NULL;
        json_object *expected = NULL, *lossy = NULL;
        size_t size;

        read_bytes(text_of(c, "bytes"), &bytes, &size);
        assert_int_equal(size, type->size);
        assert_true(json_object_object_get_ex(c, "json", &expected));
        json = print(type, VALUE_STYLE_JSON, bytes);
        check_json(text_of(c, "bytes"), json, expected);
        argument = print(type, VALUE_STYLE_ARGUMENT, bytes);
        if (text_of(c, "argument"))
                assert_string_equal(argument, text_of(c, "argument"));

        if (!json_object_object_get_ex(c, "lossy", &lossy)) {
                _cleanup_json_ json_object *back = json_object_new_object();

                json_object_object_add(back, "json", json_object_get(expected));
                check_written(type, back, text_of(c, "part"), text_of(c, "bytes"));
                json_object_object_add(back, "argument", json_object_new_string(argument));
                check_written(type, back, text_of(c, "part"), text_of(c, "bytes"));
        }
        check_wire(type, c, bytes, lossy);
        check_inputs(type, c);
        check_description(type, c);
        n_cases++;
}

static void check_file(const char *name) {
        _cleanup_free_ char *path = path_of(name), *text = NULL;
        _cleanup_error_ Error error = ERROR_INIT;
        _cleanup_json_ json_object *vectors = NULL;
        json_object *cases;
        size_t size;

        assert_int_equal(file_read(path, FILE_MAX, &text, &size), 0);
        if (json_parse(text, size, &vectors, NULL, &error) < 0)
                fail_msg("%s: %s", name, error.message);
        load_types(text_of(vectors, "btf"));
        assert_true(json_object_object_get_ex(vectors, "cases", &cases));
        for (size_t i = 0; i < json_object_array_length(cases); i++)
                check_case(json_object_array_get_idx(cases, i));
        value_btf_free(values);
        btf__free(btf);
}

static void test_vectors(void **state) {
        _cleanup_free_ char *path = NULL;
        _cleanup_closedir_ DIR *d = NULL;
        struct dirent *de;

        if (__BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__) {
                print_message("SKIP: the vectors are little-endian\n");
                skip();
        }
        path = path_of("");
        d = opendir(path);
        assert_non_null(d);
        while ((de = readdir(d)))
                if (endswith(de->d_name, ".json"))
                        check_file(de->d_name);
        assert_true(n_cases >= 20);
}

int main(void) {
        static const struct CMUnitTest tests[] = { cmocka_unit_test(test_vectors) };

        libbpf_set_print(NULL);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
