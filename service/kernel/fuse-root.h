/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Where the root of a chain keeps what it needs between its slots: in registers that no inlined member touches, as
 * far as there are such, else on the stack below what inlined members use of it. Called members leave r6 to r9 alone.
 */

#include "kernel/fuse-code.h"
#include "kernel/fuse.h"

typedef enum RootValue {
        ROOT_CONTEXT,
        ROOT_LENGTH,   /* of the packet, as it came into the chain */
        ROOT_COUNTERS, /* the chain's counters of this CPU */
        _ROOT_VALUE_MAX,
} RootValue;

typedef struct Root {
        bool kept[_ROOT_VALUE_MAX];
        unsigned reg[_ROOT_VALUE_MAX]; /* 0: on the stack */
        int offset[_ROOT_VALUE_MAX];   /* from r10 */
        int key;                       /* room for the key of a look-up, from r10; 0: the root has no stack */
} Root;

Root root_layout(const FuseInput *input);

/* Puts away the value in `reg`, if it is kept. */
void root_put(const Root *root, Code *code, RootValue value, unsigned reg);

/* Makes sure that the value is in a register, and says which: its own, or `scratch`. */
unsigned root_get(const Root *root, Code *code, RootValue value, unsigned scratch);
