/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>

#include "fail-memory.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_reallocarray(void *p, size_t n, size_t size);
char *__real_strdup(const char *s);
char *__real_strndup(const char *s, size_t n);
int __real_vasprintf(char **ret, const char *format, va_list ap);
FILE *__real_open_memstream(char **ret, size_t *ret_size);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t n);
int __wrap_vasprintf(char **ret, const char *format, va_list ap);
int __wrap_asprintf(char **ret, const char *format, ...);
FILE *__wrap_open_memstream(char **ret, size_t *ret_size);

void *__wrap_malloc(size_t size) {
        return memory_fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size) {
        return memory_fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size) {
        return memory_fails() ? NULL : __real_realloc(p, size);
}

void *__wrap_reallocarray(void *p, size_t n, size_t size) {
        return memory_fails() ? NULL : __real_reallocarray(p, n, size);
}

char *__wrap_strdup(const char *s) {
        return memory_fails() ? NULL : __real_strdup(s);
}

char *__wrap_strndup(const char *s, size_t n) {
        return memory_fails() ? NULL : __real_strndup(s, n);
}

/* What *ret is afterwards is undefined by the standard; here it is no good address, to be sure. */
int __wrap_vasprintf(char **ret, const char *format, va_list ap) {
        if (!memory_fails())
                return __real_vasprintf(ret, format, ap);
        *ret = (char *) 8;
        return -1;
}

int __wrap_asprintf(char **ret, const char *format, ...) {
        va_list ap;
        int r;

        va_start(ap, format);
        r = __wrap_vasprintf(ret, format, ap);
        va_end(ap);
        return r;
}

FILE *__wrap_open_memstream(char **ret, size_t *ret_size) {
        return memory_fails() ? NULL : __real_open_memstream(ret, ret_size);
}
