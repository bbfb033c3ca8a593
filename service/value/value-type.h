/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the bytes of a map's key, a map's value or a global variable mean: a tree of types, compiled once from BTF
 * (kernel/value-btf.h) and from then on free of it. dbus/map-spec.md says how each kind appears in JSON, on D-Bus and
 * on a command line; value-encode.h, value-print.h and value-schema.h do it.
 *
 * Types are immutable and counted by references; a type that is used in several places is one object. Whoever makes
 * them need not trust what he makes them of: the functions here refuse members that stand outside their struct, trees
 * that are too deep, and types that would be printed as more values than VALUE_WEIGHT_MAX, be it by unions of unions.
 * So whoever walks a tree that exists needs no further bounds than those of its bytes. References are counted without
 * locks: a type belongs to one thread.
 */

#include "util/macros.h"
#include "util/string-table.h"

#define VALUE_DEPTH_MAX   32U         /* types within each other */
#define VALUE_SIZE_MAX    (1U << 28)  /* bytes of a type */
#define VALUE_WEIGHT_MAX  (64U << 20) /* values printed for one of the type */
#define VALUE_MEMBERS_MAX (1U << 16)  /* of one struct, those of anonymous members included */

typedef enum ValueKind {
        VALUE_INTEGER, /* 1, 2, 4, 8 or 16 bytes, or some bits of them */
        VALUE_BOOLEAN,
        VALUE_CHAR, /* a byte that is meant as a character */
        VALUE_ENUM, /* 1, 2, 4 or 8 bytes, or some bits of them */
        VALUE_FLOAT,
        VALUE_ARRAY,
        VALUE_TEXT, /* bytes, padded with NULs */
        VALUE_STRUCT,
        VALUE_UNION,
        VALUE_PREFIX, /* the key of an LPM trie */
        VALUE_POINTER,
        VALUE_OPAQUE, /* bytes without meaning */
        _VALUE_KIND_MAX,
        _VALUE_KIND_INVALID = -EINVAL,
} ValueKind;

/* How a value is written where its type alone doesn't say. */
typedef enum ValueFormat {
        VALUE_FORMAT_NONE,
        VALUE_FORMAT_IPV4, /* 4 bytes in network order */
        VALUE_FORMAT_IPV6, /* 16 bytes in network order */
        VALUE_FORMAT_MAC,  /* 6 bytes */
        VALUE_FORMAT_PORT, /* 2 bytes in network order */
        VALUE_FORMAT_BE16, /* integers in network order */
        VALUE_FORMAT_BE32,
        VALUE_FORMAT_BE64,
        VALUE_FORMAT_NS,       /* a time in nanoseconds */
        VALUE_FORMAT_BYTES,    /* an amount of data */
        VALUE_FORMAT_FLAGS,    /* an enumeration of bits */
        VALUE_FORMAT_TEXT,     /* bytes that are text */
        VALUE_FORMAT_HEX,      /* an integer, or bytes, in hexadecimal digits */
        VALUE_FORMAT_PROTOCOL, /* a protocol of IP by its name */
        _VALUE_FORMAT_MAX,
        _VALUE_FORMAT_INVALID = -EINVAL,
} ValueFormat;

/* What a map or a member is for; it bounds who may do what with it. */
typedef enum ValueRole {
        VALUE_ROLE_NONE,
        VALUE_ROLE_CONFIG, /* user space writes, the program reads */
        VALUE_ROLE_STATS,  /* the program writes, user space reads */
        VALUE_ROLE_EVENTS, /* a stream of records */
        VALUE_ROLE_STATE,  /* the program's own */
        _VALUE_ROLE_MAX,
        _VALUE_ROLE_INVALID = -EINVAL,
} ValueRole;

DECLARE_STRING_TABLE(value_kind, ValueKind)
DECLARE_STRING_TABLE(value_format, ValueFormat)
DECLARE_STRING_TABLE(value_role, ValueRole)

/* What the author notes of a map, a member, a variable or a type. Strings may be NULL. */
typedef struct ValueNotes {
        ValueRole role;
        char *unit;
        char *description;
        char *initial; /* the default, as the author wrote it */
        bool hidden;   /* not shown; may still be written by name */
} ValueNotes;

void value_notes_done(ValueNotes *notes);
int value_notes_copy(const ValueNotes *notes, ValueNotes *ret);

/* Sets one of the strings; what JSON and a terminal can't take becomes '?'. */
int value_note_set(char **note, const char *text);

/* Fills what is empty in `notes` from others, which have less to say. */
int value_notes_merge(ValueNotes *notes, const ValueNotes *others);

typedef struct ValueType ValueType;

typedef struct ValueEnumerator {
        char *name;
        uint64_t value; /* of a signed enumeration in two's complement of 64 bits */
} ValueEnumerator;

typedef struct ValueMember {
        char *name;
        const ValueType *type;
        uint32_t offset; /* bits from the beginning of the struct; a multiple of 8 unless bits > 0 */
        uint8_t bits;    /* of a bit field; 0: the whole type */
        int choice;      /* index into choices of the struct, -1: always there */
        ValueNotes notes;
} ValueMember;

/* Members of a union exclude each other, also where it is an anonymous member of a struct and its members stand among
 * those of the struct. Each member of such a union is a choice; members of a struct in it share one. */
typedef struct ValueChoice {
        int group; /* of all choices of a group one can be taken */
        int up;    /* the choice that this group is part of, or -1 */
} ValueChoice;

struct ValueType {
        unsigned n_refs;
        ValueKind kind;
        ValueFormat format;
        bool is_signed;
        bool hidden;     /* opaque: the kernel's own, never shown */
        uint32_t size;   /* bytes */
        unsigned depth;  /* 1: has no parts */
        uint64_t weight; /* values that are printed for one of it */
        char *name;      /* as the author writes it: "struct flow", "__u32[4]"; fit for messages */
        char *reason;    /* opaque: why it can't be written, "the type information of this member is broken"; NULL: it
                            can, as raw bytes */
        ValueNotes notes;

        const ValueType *element; /* array; of a prefix the type of the whole key, or NULL */
        uint32_t n_elements;      /* array */

        ValueMember *members; /* struct, union: in order of their declaration */
        size_t n_members;
        uint32_t *by_name; /* the same, sorted */
        ValueChoice *choices;
        size_t n_choices;
        size_t n_groups;

        ValueEnumerator *enumerators; /* in order of their declaration */
        size_t n_enumerators;
        uint32_t *by_value; /* sorted by value; of equal ones the first comes first */
        uint32_t *by_label; /* sorted by name, whatever the case of letters */
        size_t prefix;      /* bytes of the "IPPROTO_" that all names share */

        int address;             /* prefix: index of the member that is the address, -1: there is none */
        uint32_t address_offset; /* bytes into the key */
        uint32_t address_size;   /* 4 or 16, 0: none */
};

ValueType *value_type_ref(const ValueType *type);
void value_type_unref(const ValueType *type);
static inline void value_type_unrefp(const ValueType **type) {
        value_type_unref(*type);
}
#define _cleanup_value_type_ _cleanup_(value_type_unrefp)

/* All of these give a type with one reference in *ret. Names are made fit for messages; NULL stands for "unnamed".
 * -EINVAL: there can't be such a type; -E2BIG: it passes one of the limits above. */
int value_type_new_integer(const char *name, uint32_t size, bool is_signed, const ValueType **ret);
int value_type_new_boolean(const char *name, uint32_t size, const ValueType **ret);
int value_type_new_char(const char *name, bool is_signed, const ValueType **ret);
int value_type_new_float(const char *name, uint32_t size, const ValueType **ret);
int value_type_new_pointer(const char *name, uint32_t size, const ValueType **ret);

/* reason: see above; NULL: there is no type information, and the bytes are written as they are. hidden: one of the
 * kernel's own types. */
int value_type_new_opaque(const char *name, uint32_t size, const char *reason, bool hidden, const ValueType **ret);

/* The enumerators' names are copied. */
int value_type_new_enum(const char *name, uint32_t size, bool is_signed, const ValueEnumerator *enumerators, size_t n,
                        const ValueType **ret);

/* The reference stays the caller's. An array of characters becomes a text. */
int value_type_new_array(const char *name, const ValueType *element, uint32_t n, const ValueType **ret);

/* The key of an LPM trie of `size` bytes. `key` is its type, or NULL; the reference stays the caller's. */
int value_type_new_prefix(const ValueType *key, uint32_t size, const ValueType **ret);

/* The same type under another name (a typedef's), with notes where it has none; both may be NULL. */
int value_type_with_name(const ValueType *type, const char *name, const ValueNotes *notes, const ValueType **ret);

/* The same type with a format; of an array of several that the format fits, with elements of this format. -EINVAL:
 * it does not fit. */
int value_type_with_format(const ValueType *type, ValueFormat format, const ValueType **ret);

/* Structs and unions are put together member by member. */
typedef struct ValueBuilder ValueBuilder;

/* kind: VALUE_STRUCT or VALUE_UNION. */
int value_builder_new(ValueKind kind, const char *name, uint32_t size, ValueBuilder **ret);
void value_builder_free(ValueBuilder *builder);
DEFINE_CLEANUP(ValueBuilder *, value_builder_free)
#define _cleanup_value_builder_ _cleanup_(value_builder_freep)

/* A member at an offset in bits; bits > 0: it is a bit field. Reference and notes (may be NULL) stay the caller's. An
 * empty name makes the members of `type`, a struct or union, members of this one; of any other type it is nothing.
 * -EINVAL: it stands outside. */
int value_builder_add(ValueBuilder *builder, const char *name, const ValueType *type, uint64_t offset, unsigned bits,
                      const ValueNotes *notes);

/* -EEXIST: two members have the same name. */
int value_builder_end(ValueBuilder *builder, const ValueType **ret);

/* Members by name, or NULL. */
const ValueMember *value_type_member(const ValueType *type, const char *name);

/* The first enumerator of this value, or NULL. */
const ValueEnumerator *value_type_enumerator(const ValueType *type, uint64_t value);

/* The enumerator of this name; else the first whose name is this one behind the prefix that all share, in any case.
 * NULL: there is none. */
const ValueEnumerator *value_type_enumerator_named(const ValueType *type, const char *name);

/* Is it an array of bytes that is written in hexadecimal digits? */
bool value_type_is_bytes(const ValueType *type);

/* Is it hidden, by the kernel or by its author? */
static inline bool value_member_is_hidden(const ValueMember *member) {
        return member->notes.hidden || member->type->hidden;
}
