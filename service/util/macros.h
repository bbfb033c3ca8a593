/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The few macros that every file may use: scope-bound clean-up, moving out of owning locals, and small
 * conveniences. An owning local is declared with one of the _cleanup_*_ attributes, is initialised where it is
 * declared (NULL, or -EBADF for descriptors), and leaves its scope only through TAKE_PTR() or TAKE_FD().
 */

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define _cleanup_(f)   __attribute__((cleanup(f)))
#define _printf_(a, b) __attribute__((format(printf, a, b)))
#define _unused_       __attribute__((unused))
#define _pure_         __attribute__((pure))

#define ELEMENTSOF(a) (sizeof(a) / sizeof((a)[0]))
#define MIN2(a, b)    ((a) < (b) ? (a) : (b))
#define MAX2(a, b)    ((a) > (b) ? (a) : (b))

/* Moves a pointer out of an owning local. */
#define TAKE_PTR(p)                                                                                                  \
        ({                                                                                                           \
                typeof(p) *_p = &(p);                                                                                \
                typeof(p) _v = *_p;                                                                                  \
                *_p = NULL;                                                                                          \
                _v;                                                                                                  \
        })

/* Moves a descriptor out of an owning local. */
#define TAKE_FD(fd)                                                                                                  \
        ({                                                                                                           \
                int *_p = &(fd);                                                                                     \
                int _v = *_p;                                                                                        \
                *_p = -EBADF;                                                                                        \
                _v;                                                                                                  \
        })

/* Defines <func>p(), the form that the cleanup attribute wants, for a `T *func(T *)` or `void func(T *)`. */
#define DEFINE_CLEANUP(type, func)                                                                                   \
        static inline void func##p(type *p) {                                                                        \
                if (*p)                                                                                              \
                        func(*p);                                                                                    \
        }

static inline void cleanup_free(void *p) {
        free(*(void **) p);
}

static inline void cleanup_close(int *fd) {
        if (*fd >= 0) {
                int saved = errno;

                close(*fd);
                errno = saved;
        }
}

static inline void cleanup_fclose(FILE **f) {
        if (*f)
                fclose(*f);
}

static inline void cleanup_closedir(DIR **d) {
        if (*d)
                closedir(*d);
}

#define _cleanup_free_     _cleanup_(cleanup_free)
#define _cleanup_close_    _cleanup_(cleanup_close)
#define _cleanup_fclose_   _cleanup_(cleanup_fclose)
#define _cleanup_closedir_ _cleanup_(cleanup_closedir)

/* Closes a descriptor if there is one; returns the empty descriptor. */
static inline int safe_close(int fd) {
        cleanup_close(&fd);
        return -EBADF;
}

static inline bool streq(const char *a, const char *b) {
        return strcmp(a, b) == 0;
}

/* Like streq(), with NULL equal to NULL only. */
static inline bool streq_ptr(const char *a, const char *b) {
        return a && b ? streq(a, b) : a == b;
}

static inline bool strempty(const char *s) {
        return !s || !*s;
}

static inline const char *strna(const char *s) {
        return s ? s : "n/a";
}

static inline const char *strempty_to(const char *s, const char *other) {
        return strempty(s) ? other : s;
}

/* The rest of s behind prefix, or NULL where s does not begin with it. */
static inline const char *startswith(const char *s, const char *prefix) {
        size_t n = strlen(prefix);

        return strncmp(s, prefix, n) == 0 ? s + n : NULL;
}

/* A pointer into s where suffix begins, or NULL where s does not end with it. */
static inline const char *endswith(const char *s, const char *suffix) {
        size_t n = strlen(s), m = strlen(suffix);

        return n >= m && streq(s + n - m, suffix) ? s + n - m : NULL;
}

/* Replaces *p by a copy of s (NULL empties it). On -ENOMEM *p is untouched. */
static inline int free_and_strdup(char **p, const char *s) {
        char *copy = NULL;

        if (s) {
                copy = strdup(s);
                if (!copy)
                        return -ENOMEM;
        }

        free(*p);
        *p = copy;
        return 0;
}

/* Makes room for one more element in a growing array: doubles when full. Returns the array, or NULL when out of
 * memory (the old array is then still there). */
static inline void *array_grow(void *array, size_t n, size_t size) {
        if (n > 0 && (n & (n - 1)) != 0)
                return array;
        return reallocarray(array, n > 0 ? n * 2 : 1, size);
}

#define ARRAY_APPEND(array, n)                                                                                       \
        ({                                                                                                           \
                void *_a = array_grow((array), (n), sizeof(*(array)));                                               \
                if (_a)                                                                                              \
                        (array) = _a;                                                                                \
                _a ? &(array)[(n)++] : NULL;                                                                         \
        })
