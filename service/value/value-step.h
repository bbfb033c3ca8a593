/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What value-print.c does and value-plan.c decides: steps, one behind the other. Each puts down its fixed text, and
 * then what its kind says of the bytes at its offset. Loops and branches have their steps right behind them.
 */

#include "util/buffer.h"
#include "value/value-print.h"

#define STRING_LARGE 1024U /* bytes */

typedef enum StepKind {
        STEP_TEXT, /* nothing but the fixed text */
        STEP_U8,
        STEP_U16,
        STEP_U32,
        STEP_U64,
        STEP_S8,
        STEP_S16,
        STEP_S32,
        STEP_S64,
        STEP_BE16,
        STEP_BE32,
        STEP_BE64,
        STEP_BITS, /* what else is a number: bit fields, 128 bits, numbers that are named or in hexadecimal digits */
        STEP_BOOL,
        STEP_FLOAT,
        STEP_STRING, /* char[N] */
        STEP_HEX,    /* bytes in hexadecimal digits */
        STEP_IPV4,
        STEP_IPV6,
        STEP_MAC,
        STEP_PREFIX, /* an address, and the length of the prefix from the beginning of the key */
        STEP_LOOP,   /* n times the steps up to `end` */
        STEP_BRANCH, /* the steps up to `middle` where the length of the prefix is at least n, else those up to `end`
                      */
} StepKind;

typedef struct Step {
        StepKind kind;
        bool quoted;        /* strings in quotes */
        uint8_t bits;       /* STEP_BITS: of how many */
        uint8_t shift;      /* and how many bits behind the byte at the offset */
        uint32_t text_size; /* the fixed text in front */
        size_t text;        /* offset in the printer's texts */
        size_t room;        /* bytes that the step may write at most, but for strings above STRING_LARGE */
        uint32_t offset;    /* bytes from the beginning of the value, or of the element of a loop */
        uint32_t size;      /* bytes of the value; of a loop from one to the next */
        uint32_t n;
        uint32_t middle;
        uint32_t end;
        const ValueType *type; /* STEP_BITS, STEP_STRING: borrowed from the printer's */
} Step;

struct ValuePrinter {
        const ValueType *type;
        Step *steps;
        size_t n_steps;
        Buffer texts;
};
