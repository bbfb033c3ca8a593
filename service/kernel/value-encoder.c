/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>

#include "kernel/value-encoder.h"
#include "util/json-reader.h"

/* The depth of places is that of the descent, so it is bounded. */
char *encoder_path(const Place *place) {
        _cleanup_free_ char *base = NULL;

        if (!place->up)
                return strdup(strempty_to(place->path, ""));
        base = encoder_path(place->up);
        if (!base)
                return NULL;
        return place->member ? json_path_member(base, place->member) : json_path_index(base, place->index);
}

int encoder_fault(Encoder *e, const Place *place, ErrorCode code, const char *format, ...) {
        _cleanup_free_ char *path = encoder_path(place), *message = NULL;
        va_list ap;
        int r;

        va_start(ap, format);
        r = vasprintf(&message, format, ap);
        va_end(ap);
        if (r < 0) {
                message = NULL;
                return -ENOMEM;
        }
        return error_set_at(e->error, code, path, "%s", message);
}

int encoder_check(Encoder *e, const Place *place, json_object *value, unsigned kinds) {
        _cleanup_free_ char *path = NULL;

        if (json_is(value, kinds))
                return 0;
        path = encoder_path(place);
        return json_check(value, path, kinds, e->error);
}

const char *encoder_name(const Encoder *e, uint32_t offset) {
        return btf__name_by_offset(e->btf, offset) ?: "";
}

const char *name_for_message(const char *name, char buffer[NAME_SIZE]) {
        size_t n = 0;

        for (; *name && n < NAME_SIZE - 1; name++)
                buffer[n++] = *name > 0x20 && *name < 0x7f ? *name : *name == ' ' ? ' ' : '?';
        buffer[n] = '\0';
        return buffer;
}

const struct btf_type *encoder_resolve(const Encoder *e, uint32_t id) {
        for (unsigned i = 0; i < ENCODER_DEPTH_MAX; i++) {
                const struct btf_type *t = btf__type_by_id(e->btf, id);

                if (!t)
                        return NULL;
                if (!btf_is_mod(t) && !btf_is_typedef(t) && !btf_is_var(t))
                        return t;
                id = t->type;
        }
        return NULL;
}

const char *encoder_type_name(const Encoder *e, uint32_t id, char buffer[TYPE_NAME_SIZE]) {
        const struct btf_type *t = NULL;
        char name[NAME_SIZE], dimensions[NAME_SIZE] = "";
        const char *prefix = "";

        for (unsigned i = 0; i < ENCODER_DEPTH_MAX; i++) {
                t = btf__type_by_id(e->btf, id);
                if (!t)
                        break;
                if (btf_is_array(t)) {
                        size_t n = strlen(dimensions);

                        snprintf(dimensions + n, sizeof(dimensions) - n, "[%u]", btf_array(t)->nelems);
                        id = btf_array(t)->type;
                } else if (btf_is_mod(t) || btf_is_var(t))
                        id = t->type;
                else
                        break;
        }
        if (!t)
                return "unknown";
        if (btf_is_ptr(t))
                name_for_message("pointer", name);
        else if (strempty(encoder_name(e, t->name_off)))
                name_for_message(btf_is_struct(t)     ? "unnamed struct"
                                 : btf_is_union(t)    ? "unnamed union"
                                 : btf_is_any_enum(t) ? "unnamed enum"
                                                      : "unnamed type",
                                 name);
        else {
                prefix = btf_is_struct(t)     ? "struct "
                         : btf_is_union(t)    ? "union "
                         : btf_is_any_enum(t) ? "enum "
                                              : "";
                name_for_message(encoder_name(e, t->name_off), name);
        }
        snprintf(buffer, TYPE_NAME_SIZE, "%s%s%s", prefix, name, dimensions);
        return buffer;
}

char *list_names(size_t n, const char *(*get)(void *userdata, size_t i), void *userdata) {
        _cleanup_free_ char *text = NULL;
        char name[NAME_SIZE];
        size_t size, listed = 0;
        FILE *f;

        f = open_memstream(&text, &size);
        if (!f)
                return NULL;
        for (size_t i = 0; i < n; i++) {
                const char *s = get(userdata, i);

                if (strempty(s))
                        continue;
                if (listed == ENCODER_LIST_MAX) {
                        fputs(", ...", f);
                        break;
                }
                fprintf(f, "%s%s", listed++ > 0 ? ", " : "", name_for_message(s, name));
        }
        if (listed == 0)
                fputs("none", f);
        return fclose(f) == 0 ? TAKE_PTR(text) : NULL;
}
