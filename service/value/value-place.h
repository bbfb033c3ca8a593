/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the parts of value/value-encode.h share: where in the document the descent is, and how it complains.
 */

#include <json-c/json.h>

#include "util/error.h"
#include "value/value-text.h"
#include "value/value-type.h"

#define NAMES_MAX 24U /* in one message */

/* A chain of frames on the stack; it becomes a path only when an error needs it. */
typedef struct Place {
        const struct Place *up;
        const char *path;   /* where the descent began, if there is nothing up */
        const char *member; /* else this member, or if NULL */
        size_t index;       /* this element */
} Place;

typedef struct Encoder {
        Error *error;
        const ValueType *prefix; /* the key of an LPM trie that is being written, or NULL */
        unsigned char *key;      /* where its bytes begin */
        bool length_seen;        /* its length was written */
} Encoder;

int encoder_fault(Encoder *e, const Place *place, ErrorCode code, const char *format, ...) _printf_(4, 5);

/* The value is wrong, or the type can't be written. */
#define WRONG(e, place, ...)  encoder_fault((e), (place), ERROR_INVALID_DOCUMENT, __VA_ARGS__)
#define BROKEN(e, place, ...) encoder_fault((e), (place), ERROR_INCOMPATIBLE, __VA_ARGS__)

/* The path of a place; NULL when out of memory. The caller frees it. */
char *encoder_path(const Place *place);

/* json_check() of util/json-reader.h. */
int encoder_check(Encoder *e, const Place *place, json_object *value, unsigned kinds);

/* Names for messages, cut where they are long. */
#define NAME_SIZE 64
const char *name_for_message(const char *name, char buffer[NAME_SIZE]);

/* "a, b, c" of the n names that get() yields, without empty ones and NULL; long lists are cut. */
char *list_names(size_t n, const char *(*get)(void *userdata, size_t i), void *userdata);

/* value-scalar.c: one value that has no parts in JSON: all but arrays, structs, unions and prefixes. `bits` of it
 * (all, or those of a bit field), beginning `offset` bits into the buffer, which has room for it. */
int encode_scalar(Encoder *e, const ValueType *type, json_object *value, const Place *place, unsigned char *buffer,
                  size_t offset, unsigned bits);

/* value-enum.c */
int encode_enum(Encoder *e, const ValueType *type, json_object *value, const Place *place, unsigned char *buffer,
                size_t offset, unsigned bits);

/* Shared by these two. 1: the value is a whole number; 0: it is something else (a string that may mean another
 * thing). */
int encode_read_number(Encoder *e, const Place *place, json_object *value, Number *ret);
int encode_fault_range(Encoder *e, const Place *place, Number number, Number min, Number max, const char *type);
