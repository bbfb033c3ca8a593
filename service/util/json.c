/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <limits.h>

#include "util/json-scan.h"
#include "util/json-text.h"
#include "util/json.h"

#define QUOTE_MAX 64 /* bytes of a text in a message */

JsonPosition json_position(const char *text, size_t size, size_t offset) {
        JsonPosition position = { .offset = MIN2(offset, size), .line = 1, .column = 1 };

        for (size_t i = 0; i < position.offset; i++) {
                if (text[i] == '\n') {
                        position.line++;
                        position.column = 1;
                } else if ((text[i] & 0xc0) != 0x80) /* else: within a character of UTF-8 */
                        position.column++;
        }
        return position;
}

/* json-c takes a number for unfinished until it sees something behind it, hence the NUL. */
static int build_tree(json_tokener *tokener, const char *text, size_t size, json_object **ret) {
        json_object *value;

        value = json_tokener_parse_ex(tokener, text, (int) size);
        if (!value && json_tokener_get_error(tokener) == json_tokener_continue)
                value = json_tokener_parse_ex(tokener, "", 1);
        if (json_tokener_get_error(tokener) != json_tokener_success) {
                json_object_put(value);
                return -EBADMSG;
        }
        *ret = value;
        return 0;
}

int json_parse(const char *text, size_t size, json_object **ret, JsonPosition *ret_position, Error *error) {
        json_tokener *tokener;
        size_t fault = 0;
        int r;

        r = json_scan(text, size, &fault, error);
        if (r < 0)
                goto finish;

        /* json-c counts one level more than there are brackets, and stops one before its limit. */
        tokener = json_tokener_new_ex(JSON_DEPTH_MAX + 2);
        if (!tokener)
                return -ENOMEM;
        /* Not JSON_TOKENER_STRICT: in json-c 0.18 it takes every byte above 0x7f for a control character. */
        json_tokener_set_flags(tokener, JSON_TOKENER_VALIDATE_UTF8);
        r = build_tree(tokener, text, size, ret);
        if (r < 0) {
                /* The scanner is the stricter one, so json-c is out of memory or has a limit that it does not
                 * tell of. */
                fault = json_tokener_get_parse_end(tokener);
                r = error_set(error, ERROR_INVALID_DOCUMENT, "this can't be read as JSON (%s)",
                              json_tokener_error_desc(json_tokener_get_error(tokener)));
        }
        json_tokener_free(tokener);

finish:
        if (r < 0 && error_is_set(error) && ret_position)
                *ret_position = json_position(text, size, fault);
        return r;
}

static bool is_plain(const char *name) {
        size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");

        return n > 0 && !name[n];
}

/* Writes text with JSON's escapes, without quotes; `out` has room for six bytes a byte and a NUL. */
static void escape(const char *s, size_t n, char *out) {
        for (size_t i = 0; i < n; i++) {
                unsigned char c = (unsigned char) s[i];

                if (c == '"' || c == '\\')
                        out += sprintf(out, "\\%c", c);
                else if (c < 0x20 || c == 0x7f)
                        out += sprintf(out, "\\u%04x", c);
                else
                        *out++ = (char) c;
        }
        *out = '\0';
}

char *json_quote(const char *s) {
        char escaped[QUOTE_MAX * 6 + 1], *quoted;
        size_t n = strlen(s);
        bool cut = n > QUOTE_MAX;

        if (cut)
                for (n = QUOTE_MAX; n > 0 && (s[n] & 0xc0) == 0x80;) /* not within a character */
                        n--;
        escape(s, n, escaped);
        return asprintf(&quoted, "\"%s%s\"", escaped, cut ? "…" : "") < 0 ? NULL : quoted;
}

static char *path_join(const char *base, const char *name, const char *mark) {
        _cleanup_free_ char *escaped = NULL;
        char *path;
        int r;

        base = strempty_to(base, "");
        if (is_plain(name)) {
                r = asprintf(&path, "%s%s%s%s", base, *base ? "." : "", name, mark);
        } else {
                escaped = malloc(strlen(name) * 6 + 1);
                if (!escaped)
                        return NULL;
                escape(name, strlen(name), escaped);
                r = asprintf(&path, "%s[\"%s\"]%s", base, escaped, mark);
        }
        return r < 0 ? NULL : path;
}

char *json_path_member(const char *base, const char *name) {
        return path_join(base, name, "");
}

char *json_path_key(const char *base, const char *name) {
        return path_join(base, name, "~");
}

char *json_path_index(const char *base, size_t i) {
        char *path;

        return asprintf(&path, "%s[%zu]", strempty_to(base, ""), i) < 0 ? NULL : path;
}

static int step_quoted(const char **path, JsonPathStep *step) {
        const char *p = *path + 1; /* the quote */
        size_t size = strlen(p), end, n;

        end = json_skip_string(p, size, 0);
        if (end < 2 || p[end - 1] != '"' || p[end] != ']')
                return -EINVAL;
        n = json_decode_string(p, size, 0, step->name, JSON_NAME_MAX);
        if (n > JSON_NAME_MAX || memchr(step->name, 0, n))
                return -EINVAL;
        step->name[n] = '\0';
        step->kind = JSON_PATH_MEMBER;
        *path = p + end + 1;
        return 1;
}

static int step_index(const char **path, JsonPathStep *step) {
        const char *p = *path + 1;
        size_t n = 0;

        for (; *p >= '0' && *p <= '9'; p++) {
                n = n * 10 + (size_t) (*p - '0');
                if (n > INT_MAX)
                        return -EINVAL;
        }
        if (p == *path + 1 || *p != ']')
                return -EINVAL;
        step->index = n;
        step->kind = JSON_PATH_INDEX;
        *path = p + 1;
        return 1;
}

int json_path_step(const char **path, JsonPathStep *ret) {
        const char *p = *path;
        JsonPathStep step = {};
        size_t n;
        int r;

        if (!*p)
                return 0;
        if (streq(p, "~")) {
                step.kind = JSON_PATH_KEY;
                p++;
        } else if (*p == '[') {
                r = p[1] == '"' ? step_quoted(&p, &step) : step_index(&p, &step);
                if (r < 0)
                        return r;
        } else {
                if (*p == '.')
                        p++;
                n = strcspn(p, ".[~");
                if (n == 0 || n > JSON_NAME_MAX)
                        return -EINVAL;
                memcpy(step.name, p, n);
                if (!is_plain(step.name))
                        return -EINVAL;
                step.kind = JSON_PATH_MEMBER;
                p += n;
        }
        *path = p;
        *ret = step;
        return 1;
}

/* Goes to the value of the member of the object at *at; *ret_key is where its key stands. */
static bool enter_member(const char *text, size_t size, const char *name, size_t *at, size_t *ret_key) {
        char key[JSON_NAME_MAX];
        size_t i = *at, begin, n;

        if (i >= size || text[i] != '{')
                return false;
        i = json_skip_blanks(text, size, i + 1);
        while (i < size && text[i] == '"') {
                begin = i;
                n = json_decode_string(text, size, i, key, sizeof(key));
                i = json_skip_blanks(text, size, json_skip_string(text, size, i));
                if (i >= size || text[i] != ':')
                        return false;
                i = json_skip_blanks(text, size, i + 1);
                if (n == strlen(name) && n <= sizeof(key) && memcmp(key, name, n) == 0) {
                        *at = i;
                        *ret_key = begin;
                        return true;
                }
                i = json_skip_blanks(text, size, json_skip_value(text, size, i));
                if (i >= size || text[i] != ',')
                        return false;
                i = json_skip_blanks(text, size, i + 1);
        }
        return false;
}

static bool enter_element(const char *text, size_t size, size_t index, size_t *at) {
        size_t i = *at;

        if (i >= size || text[i] != '[')
                return false;
        i = json_skip_blanks(text, size, i + 1);
        if (i >= size || text[i] == ']')
                return false;
        for (; index > 0; index--) {
                i = json_skip_blanks(text, size, json_skip_value(text, size, i));
                if (i >= size || text[i] != ',')
                        return false;
                i = json_skip_blanks(text, size, i + 1);
        }
        *at = i;
        return true;
}

int json_locate(const char *text, size_t size, const char *where, JsonPosition *ret) {
        const char *p = strempty_to(where, "");
        size_t at = json_skip_blanks(text, size, 0), key = at;
        bool deeper = true;
        JsonPathStep step;
        int r;

        /* The whole path is read even where the text has only its beginning, so that a bad one is always told. */
        while ((r = json_path_step(&p, &step)) > 0) {
                if (!deeper)
                        continue;
                switch (step.kind) {
                case JSON_PATH_MEMBER: deeper = enter_member(text, size, step.name, &at, &key); break;
                case JSON_PATH_INDEX:
                        deeper = enter_element(text, size, step.index, &at);
                        key = at;
                        break;
                case JSON_PATH_KEY: at = key; break;
                }
        }
        if (r < 0)
                return r;

        *ret = json_position(text, size, at);
        return 0;
}

JsonPosition json_locate_error(const char *text, size_t size, Error *error) {
        JsonPosition position = { .line = 1, .column = 1 };
        char *mark;

        if (error->where) {
                (void) json_locate(text, size, error->where, &position);
                mark = strchr(error->where, '\0');
                if (mark > error->where && mark[-1] == '~')
                        mark[-1] = '\0';
        }
        return position;
}
