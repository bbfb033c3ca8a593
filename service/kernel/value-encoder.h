/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the parts of kernel/btf-value.h share: the state of a descent through type and value, where in the document it
 * is, and how types are called in messages.
 *
 * Type information comes out of object files, so it may be anything that libbpf's parser lets pass: types that
 * contain themselves, members that stand outside their struct, names that are none. Hence every descent counts
 * against ENCODER_DEPTH_MAX, every member that is looked at against ENCODER_WORK_MAX, and every write is checked
 * against the bytes of the enclosing type.
 */

#include <bpf/btf.h>
#include <json-c/json.h>

#include "util/error.h"

#define ENCODER_DEPTH_MAX 32U
#define ENCODER_WORK_MAX  (4U << 20) /* members and values looked at */
#define ENCODER_LIST_MAX  24U        /* names in one message */

/* A chain of frames on the stack; it becomes a path only when an error needs it. */
typedef struct Place {
        const struct Place *up;
        const char *path;   /* where the descent began, if there is nothing up */
        const char *member; /* else this member, or if NULL */
        size_t index;       /* this element */
} Place;

typedef struct Encoder {
        const struct btf *btf;
        Error *error;
        unsigned depth;
        unsigned work;
        const unsigned char *prefix_length; /* where the prefix length of an LPM trie's key is written, or NULL */
        size_t prefix_data;                 /* bytes of the data behind it */
        bool prefix_seen;
} Encoder;

int encoder_fault(Encoder *e, const Place *place, ErrorCode code, const char *format, ...) _printf_(4, 5);

/* The value is wrong, or the type can't be written. */
#define WRONG(e, place, ...)  encoder_fault((e), (place), ERROR_INVALID_DOCUMENT, __VA_ARGS__)
#define BROKEN(e, place, ...) encoder_fault((e), (place), ERROR_INCOMPATIBLE, __VA_ARGS__)

/* The path of a place; NULL when out of memory. The caller frees it. */
char *encoder_path(const Place *place);

/* json_check() of util/json-reader.h. */
int encoder_check(Encoder *e, const Place *place, json_object *value, unsigned kinds);

/* Name at an offset into the strings; never NULL. */
const char *encoder_name(const Encoder *e, uint32_t offset);

/* The type behind typedefs, qualifiers and variables; NULL where it is missing or they go on for ever. */
const struct btf_type *encoder_resolve(const Encoder *e, uint32_t id);

/* Names for messages: nobody has checked those of the object file. */
#define NAME_SIZE      64
#define TYPE_NAME_SIZE 136
const char *name_for_message(const char *name, char buffer[NAME_SIZE]);

/* What the author would call the type: "__u32", "struct flow", "__u8[16]". */
const char *encoder_type_name(const Encoder *e, uint32_t id, char buffer[TYPE_NAME_SIZE]);

/* "a, b, c" of the n names that get() yields, without empty ones and NULL; long lists are cut. */
char *list_names(size_t n, const char *(*get)(void *userdata, size_t i), void *userdata);

/* value-scalar.c: one value of an integer, enum or floating-point type t (id resolved), `bits` of it (all, or those
 * of a bit field), beginning `offset` bits into the buffer, which has room for it and holds zeros. */
int encode_scalar(Encoder *e, uint32_t id, const struct btf_type *t, json_object *value, const Place *place,
                  unsigned char *buffer, size_t offset, unsigned bits);
