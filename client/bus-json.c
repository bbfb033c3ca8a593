/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>

#include "client/bus-json.h"
#include "client/connection.h"
#include "client/hex.h"

static int read_basic(sd_bus_message *message, char type, json_object **ret) {
        union {
                const char *s;
                uint8_t y;
                int16_t n;
                uint16_t q;
                int32_t i;
                uint32_t u;
                int64_t x;
                uint64_t t;
                double d;
                int b;
        } v = {};
        json_object *value = NULL;
        int r;

        r = sd_bus_message_read_basic(message, type, &v);
        if (r < 0)
                return r;
        switch (type) {
        case 's':
        case 'o':
        case 'g': value = json_object_new_string(v.s); break;
        case 'b': value = json_object_new_boolean(v.b); break;
        case 'y': value = json_object_new_int(v.y); break;
        case 'n': value = json_object_new_int(v.n); break;
        case 'q': value = json_object_new_int(v.q); break;
        case 'i': value = json_object_new_int(v.i); break;
        case 'u': value = json_object_new_int64(v.u); break;
        case 'x': value = json_object_new_int64(v.x); break;
        case 't': value = json_object_new_uint64(v.t); break;
        case 'd': value = json_object_new_double(v.d); break;
        case 'h': value = json_object_new_int(v.i); break;
        }
        if (!value)
                return -ENOMEM;
        *ret = value;
        return 0;
}

static int read_bytes(sd_bus_message *message, json_object **ret) {
        _cleanup_free_ char *text = NULL;
        const void *bytes;
        size_t n;
        int r;

        r = sd_bus_message_read_array(message, 'y', &bytes, &n);
        if (r < 0)
                return r;
        text = hex_to_string(bytes, n);
        *ret = text ? json_object_new_string(text) : NULL;
        return *ret ? 0 : -ENOMEM;
}

static int read_dictionary(sd_bus_message *message, const char *contents, json_object **ret) {
        _cleanup_json_ json_object *object = json_object_new_object();
        char entry[256];
        size_t n = strlen(contents);
        int r;

        if (!object)
                return -ENOMEM;
        if (n < 4 || n - 2 >= sizeof(entry))
                return -EBADMSG;
        memcpy(entry, contents + 1, n - 2); /* without the braces */
        entry[n - 2] = 0;

        r = sd_bus_message_enter_container(message, 'a', contents);
        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(message, 'e', entry)) > 0) {
                _cleanup_json_ json_object *key = NULL;
                json_object *value = NULL;

                r = bus_json_read_value(message, &key);
                if (r >= 0)
                        r = bus_json_read_value(message, &value);
                if (r >= 0)
                        r = json_add(object, json_object_get_string(key), value);
                if (r >= 0)
                        r = sd_bus_message_exit_container(message);
                if (r < 0)
                        return r;
        }
        if (r >= 0)
                r = sd_bus_message_exit_container(message);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(object);
        return 0;
}

/* The rest of the open container, as an array. */
static int read_sequence(sd_bus_message *message, json_object **ret) {
        _cleanup_json_ json_object *array = json_object_new_array();
        int r;

        if (!array)
                return -ENOMEM;
        while ((r = sd_bus_message_at_end(message, false)) == 0) {
                json_object *value = NULL;

                r = bus_json_read_value(message, &value);
                if (r < 0)
                        return r;
                if (json_object_array_add(array, value) < 0) {
                        json_object_put(value);
                        return -ENOMEM;
                }
        }
        if (r < 0)
                return r;
        *ret = TAKE_PTR(array);
        return 0;
}

int bus_json_read_value(sd_bus_message *message, json_object **ret) {
        _cleanup_json_ json_object *value = NULL;
        const char *contents;
        char type;
        int r;

        r = sd_bus_message_peek_type(message, &type, &contents);
        if (r < 0)
                return r;
        if (r == 0)
                return -EBADMSG;
        if (type == 'a' && streq(contents, "y"))
                return read_bytes(message, ret);
        if (type == 'a' && contents[0] == '{')
                return read_dictionary(message, contents, ret);
        if (type != 'a' && type != 'r' && type != 'v')
                return read_basic(message, type, ret);

        r = sd_bus_message_enter_container(message, type, contents);
        if (r < 0)
                return r;
        r = type == 'v' ? bus_json_read_value(message, &value) : read_sequence(message, &value);
        if (r < 0)
                return r;
        r = sd_bus_message_exit_container(message);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(value);
        return 0;
}

int bus_json_read(sd_bus_message *message, json_object **ret) {
        json_object *array = NULL;
        int r;

        r = read_sequence(message, &array);
        if (r < 0)
                return r;
        if (json_object_array_length(array) == 1) {
                *ret = json_object_get(json_object_array_get_idx(array, 0));
                json_object_put(array);
        } else
                *ret = array;
        return 0;
}

char *kebab(const char *camel) {
        char *name = malloc(strlen(camel) * 2 + 1), *p = name;

        if (!name)
                return NULL;
        for (const char *c = camel; *c; c++) {
                if (isupper((unsigned char) *c) && c != camel && !isupper((unsigned char) c[-1]))
                        *p++ = '-';
                *p++ = (char) tolower((unsigned char) *c);
        }
        *p = 0;
        return name;
}

json_object *kebab_members(json_object *object) {
        _cleanup_json_ json_object *copy = json_object_new_object();

        if (!copy)
                return NULL;
        json_object_object_foreach (object, key, value) {
                _cleanup_free_ char *name = kebab(key);

                if (!name || json_add(copy, name, json_object_get(value)) < 0)
                        return NULL;
        }
        return TAKE_PTR(copy);
}

static int call_for_json(Client *client, const char *path, const char *interface, const char *member,
                         const char *argument, json_object **ret) {
        _cleanup_message_ sd_bus_message *call = NULL, *reply = NULL;
        int r, status;

        status = client_new_call(client, path, interface, member, &call);
        if (status != EXIT_DONE)
                return status;
        if (argument) {
                r = sd_bus_message_append(call, "s", argument);
                if (r < 0)
                        return fail_errno(r, member);
        }
        status = client_call(client, call, NULL, &reply);
        if (status != EXIT_DONE)
                return status;
        r = bus_json_read(reply, ret);
        if (r < 0)
                return fail_errno(r, "The reply of bpfchaind");
        if (!json_object_is_type(*ret, json_type_object)) {
                json_object_put(*ret);
                return fail(EXIT_FAILED, "The reply of bpfchaind to %s is not what it should be.", member);
        }
        return EXIT_DONE;
}

int client_get_objects(Client *client, json_object **ret) {
        return call_for_json(client, SERVICE_ROOT, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", NULL,
                             ret);
}

int client_get_manager(Client *client, json_object **ret) {
        return call_for_json(client, SERVICE_ROOT, "org.freedesktop.DBus.Properties", "GetAll", INTERFACE_MANAGER,
                             ret);
}

json_object *json_member(json_object *object, const char *name) {
        json_object *value = NULL;

        if (!json_object_is_type(object, json_type_object))
                return NULL;
        return json_object_object_get_ex(object, name, &value) ? value : NULL;
}

const char *json_text(json_object *object, const char *name) {
        json_object *value = json_member(object, name);

        return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : "";
}

uint64_t json_number(json_object *object, const char *name) {
        json_object *value = json_member(object, name);

        return json_object_is_type(value, json_type_int) ? json_object_get_uint64(value) : 0;
}

bool json_truth(json_object *object, const char *name) {
        json_object *value = json_member(object, name);

        return json_object_is_type(value, json_type_boolean) && json_object_get_boolean(value);
}

json_object *json_list(json_object *object, const char *name) {
        json_object *value = json_member(object, name);

        return json_object_is_type(value, json_type_array) ? value : NULL;
}

size_t json_length(json_object *array) {
        return json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;
}

const char *chain_reason(json_object *chain, const char *name) {
        const char *reason = json_text(chain, name), *rest;

        rest = startswith(reason, json_text(chain, "interface"));
        rest = rest ? startswith(rest, "/") : NULL;
        rest = rest ? startswith(rest, json_text(chain, "hook")) : NULL;
        rest = rest ? startswith(rest, ": ") : NULL;
        return rest ? rest : reason;
}

int json_add(json_object *object, const char *name, json_object *value) {
        if (json_object_object_add(object, name, value) < 0) {
                json_object_put(value);
                return -ENOMEM;
        }
        return 0;
}

char *json_join(json_object *array, const char *separator) {
        _cleanup_free_ char *text = NULL;
        _cleanup_fclose_ FILE *stream = NULL;
        size_t size;

        stream = open_memstream(&text, &size);
        if (!stream)
                return NULL;
        for (size_t i = 0; i < json_length(array); i++)
                fprintf(stream, "%s%s", i > 0 ? separator : "",
                        strempty_to(json_object_get_string(json_object_array_get_idx(array, i)), ""));
        if (fclose(TAKE_PTR(stream)) != 0)
                return NULL;
        return TAKE_PTR(text);
}
