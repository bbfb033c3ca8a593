/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/wire.h"

#define JSON_LEVELS_MAX 16

/* Bytes of the valid UTF-8 sequence at s, 0 when there is none (RFC 3629: no surrogates, shortest form only). */
static size_t utf8_sequence(const unsigned char *s) {
        static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
        size_t n = s[0] < 0x80             ? 1
                   : (s[0] & 0xe0) == 0xc0 ? 2
                   : (s[0] & 0xf0) == 0xe0 ? 3
                   : (s[0] & 0xf8) == 0xf0 ? 4
                                           : 0;
        uint32_t c;

        if (n <= 1)
                return n;
        c = s[0] & (0x7fU >> n);
        for (size_t i = 1; i < n; i++) {
                if ((s[i] & 0xc0) != 0x80)
                        return 0;
                c = c << 6 | (s[i] & 0x3f);
        }
        if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
                return 0;
        return n;
}

char *string_make_valid(const char *s) {
        const unsigned char *p = (const unsigned char *) s;
        char *copy = malloc(strlen(s) * 3 + 1), *to = copy;

        if (!copy)
                return NULL;
        while (*p) {
                size_t n = utf8_sequence(p);

                if (n > 0) {
                        memcpy(to, p, n);
                        p += n;
                        to += n;
                } else {
                        to = stpcpy(to, "\xef\xbf\xbd");
                        p++;
                }
        }
        *to = '\0';
        return copy;
}

static bool string_is_valid(const char *s) {
        const unsigned char *p = (const unsigned char *) s;

        for (size_t n; *p; p += n) {
                n = utf8_sequence(p);
                if (n == 0)
                        return false;
        }
        return true;
}

int wire_append_string(sd_bus_message *message, const char *s) {
        _cleanup_free_ char *valid = NULL;

        if (!s)
                s = "";
        if (string_is_valid(s))
                return sd_bus_message_append_basic(message, 's', s);

        valid = string_make_valid(s);
        if (!valid)
                return -ENOMEM;
        return sd_bus_message_append_basic(message, 's', valid);
}

int wire_append_strv(sd_bus_message *message, char *const *strings) {
        int r;

        r = sd_bus_message_open_container(message, 'a', "s");
        if (r < 0)
                return r;
        for (char *const *s = strings; s && *s; s++) {
                r = wire_append_string(message, *s);
                if (r < 0)
                        return r;
        }
        return sd_bus_message_close_container(message);
}

int wire_append_entry_string(sd_bus_message *message, const char *key, const char *value) {
        _cleanup_free_ char *valid = string_make_valid(value ? value : "");

        return valid ? sd_bus_message_append(message, "{sv}", key, "s", valid) : -ENOMEM;
}

int wire_append_entry_u32(sd_bus_message *message, const char *key, uint32_t value) {
        return sd_bus_message_append(message, "{sv}", key, "u", value);
}

int wire_append_entry_u64(sd_bus_message *message, const char *key, uint64_t value) {
        return sd_bus_message_append(message, "{sv}", key, "t", value);
}

static int append_json_members(sd_bus_message *message, json_object *object, unsigned level);
static int append_json_variant(sd_bus_message *message, json_object *value, unsigned level);

static int append_json_list(sd_bus_message *message, json_object *list, unsigned level) {
        int r;

        r = sd_bus_message_open_container(message, 'a', "v");
        for (size_t i = 0; r >= 0 && i < json_object_array_length(list); i++)
                if (json_object_array_get_idx(list, i))
                        r = append_json_variant(message, json_object_array_get_idx(list, i), level + 1);
        return r < 0 ? r : sd_bus_message_close_container(message);
}

static int append_json_value(sd_bus_message *message, json_object *value, unsigned level) {
        switch (json_object_get_type(value)) {
        case json_type_boolean: return sd_bus_message_append(message, "b", json_object_get_boolean(value));
        case json_type_int: return sd_bus_message_append(message, "x", json_object_get_int64(value));
        case json_type_double: return sd_bus_message_append(message, "d", json_object_get_double(value));
        case json_type_array: return append_json_list(message, value, level);
        case json_type_object: return append_json_members(message, value, level);
        case json_type_null:
        case json_type_string: break;
        }
        return wire_append_string(message, json_object_get_string(value));
}

static int append_json_variant(sd_bus_message *message, json_object *value, unsigned level) {
        static const char *const signatures[] = {
                [json_type_boolean] = "b", [json_type_double] = "d",     [json_type_int] = "x",
                [json_type_array] = "av",  [json_type_object] = "a{sv}", [json_type_string] = "s",
        };
        int r;

        if (level > JSON_LEVELS_MAX)
                return -ELOOP;

        r = sd_bus_message_open_container(message, 'v', signatures[json_object_get_type(value)]);
        if (r < 0)
                return r;
        r = append_json_value(message, value, level);
        return r < 0 ? r : sd_bus_message_close_container(message);
}

static int append_json_member(sd_bus_message *message, const char *key, json_object *value, unsigned level) {
        int r;

        r = sd_bus_message_open_container(message, 'e', "sv");
        if (r >= 0)
                r = wire_append_string(message, key);
        if (r >= 0)
                r = append_json_variant(message, value, level + 1);
        return r < 0 ? r : sd_bus_message_close_container(message);
}

static int append_json_members(sd_bus_message *message, json_object *object, unsigned level) {
        int r;

        r = sd_bus_message_open_container(message, 'a', "{sv}");
        if (r < 0)
                return r;
        if (json_object_is_type(object, json_type_object)) {
                json_object_object_foreach (object, key, value) {
                        r = value ? append_json_member(message, key, value, level) : 0;
                        if (r < 0)
                                return r;
                }
        }
        return sd_bus_message_close_container(message);
}

int wire_append_json(sd_bus_message *message, json_object *object) {
        return append_json_members(message, object, 0);
}

int wire_append_verdicts(sd_bus_message *message, Hook hook, const uint64_t verdicts[VERDICT_BUCKETS]) {
        int r;

        r = sd_bus_message_open_container(message, 'a', "{st}");
        for (unsigned i = 0; r >= 0 && i < verdict_buckets(hook); i++)
                if (verdicts[i] > 0)
                        r = sd_bus_message_append(message, "{st}", verdict_bucket_to_string(hook, i), verdicts[i]);
        return r < 0 ? r : sd_bus_message_close_container(message);
}

int wire_append_foreign(sd_bus_message *message, const ForeignInfo *foreign) {
        int r;

        r = wire_append_entry_string(message, "kind", foreign->kind);
        if (r >= 0)
                r = wire_append_entry_u32(message, "program-id", foreign->program_id);
        if (r >= 0)
                r = wire_append_entry_string(message, "name", foreign->name);
        if (r >= 0)
                r = wire_append_entry_string(message, "tag", foreign->tag);
        return r;
}
