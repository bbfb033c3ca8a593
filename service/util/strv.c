/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "util/strv.h"

size_t strv_length(char *const *l) {
        size_t n = 0;

        STRV_FOREACH (s, l)
                n++;
        return n;
}

int strv_find(char *const *l, const char *s) {
        for (int i = 0; l && l[i]; i++)
                if (streq(l[i], s))
                        return i;
        return -ENOENT;
}

bool strv_contains(char *const *l, const char *s) {
        return strv_find(l, s) >= 0;
}

bool strv_equal(char *const *a, char *const *b) {
        size_t n = strv_length(a);

        if (strv_length(b) != n)
                return false;
        for (size_t i = 0; i < n; i++)
                if (!streq(a[i], b[i]))
                        return false;
        return true;
}

int strv_insert(char ***l, size_t position, const char *s) {
        size_t n = strv_length(*l);
        char **grown, *copy;

        copy = strdup(s);
        if (!copy)
                return -ENOMEM;
        grown = reallocarray(*l, n + 2, sizeof(char *));
        if (!grown) {
                free(copy);
                return -ENOMEM;
        }
        position = MIN2(position, n);
        memmove(grown + position + 1, grown + position, (n - position) * sizeof(char *));
        grown[position] = copy;
        grown[n + 1] = NULL;
        *l = grown;
        return 0;
}

int strv_append(char ***l, const char *s) {
        return strv_insert(l, SIZE_MAX, s);
}

void strv_remove(char **l, const char *s) {
        char **to = l;

        if (!l)
                return;
        for (char **from = l; *from; from++)
                if (streq(*from, s))
                        free(*from);
                else
                        *to++ = *from;
        *to = NULL;
}

int strv_copy(char *const *l, char ***ret) {
        _cleanup_strv_ char **copy = NULL;

        STRV_FOREACH (s, l)
                if (strv_append(&copy, *s) < 0)
                        return -ENOMEM;
        *ret = TAKE_PTR(copy);
        return 0;
}

char *strv_join(char *const *l, const char *separator) {
        size_t size = 1;
        char *text, *end;

        STRV_FOREACH (s, l)
                size += strlen(*s) + strlen(separator);
        text = end = malloc(size);
        if (!text)
                return NULL;
        *end = 0;
        STRV_FOREACH (s, l) {
                if (s != l)
                        end = stpcpy(end, separator);
                end = stpcpy(end, *s);
        }
        return text;
}

void strv_free(char **l) {
        STRV_FOREACH (s, l)
                free(*s);
        free(l);
}
