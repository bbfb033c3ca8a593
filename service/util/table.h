/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * An ordered table of named things: pointers sorted by the string key that each begins with (its first member is
 * a `char *`, its name). Look-up by bisection, iteration in order of names. The table does not own its items.
 */

#include "util/macros.h"

typedef struct Table {
        void **items;
        size_t n;
        size_t allocated;
} Table;

void table_done(Table *table);

/* NULL where there is none. */
void *table_get(const Table *table, const char *key);

/* -EEXIST where the key is taken, -ENOMEM. The key is read from the item and must not change while it is in. */
int table_add(Table *table, void *item);

/* Takes the item out; returns it, or NULL where there is none. */
void *table_remove(Table *table, const char *key);

#define TABLE_FOREACH(type, item, table)                                                                             \
        for (size_t item##_i = 0; item##_i < (table)->n; item##_i++)                                                 \
                for (type *item = (table)->items[item##_i], *item##_once = item; item##_once; item##_once = NULL)
