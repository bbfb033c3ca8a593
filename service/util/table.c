/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "util/table.h"

void table_done(Table *table) {
        free(table->items);
        *table = (Table){};
}

/* The index of the key, or where it would stand. */
static bool table_find(const Table *table, const char *key, size_t *ret) {
        size_t low = 0, high = table->n;

        while (low < high) {
                size_t middle = low + (high - low) / 2;
                int c = strcmp(*(char **) table->items[middle], key);

                if (c == 0) {
                        *ret = middle;
                        return true;
                }
                if (c < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        *ret = low;
        return false;
}

void *table_get(const Table *table, const char *key) {
        size_t i;

        return key && table_find(table, key, &i) ? table->items[i] : NULL;
}

int table_add(Table *table, void *item) {
        size_t i;

        if (table_find(table, *(char **) item, &i))
                return -EEXIST;

        if (table->n == table->allocated) {
                size_t allocated = table->allocated ? table->allocated * 2 : 8;
                void **items = reallocarray(table->items, allocated, sizeof(void *));

                if (!items)
                        return -ENOMEM;
                table->items = items;
                table->allocated = allocated;
        }
        memmove(table->items + i + 1, table->items + i, (table->n - i) * sizeof(void *));
        table->items[i] = item;
        table->n++;
        return 0;
}

void *table_remove(Table *table, const char *key) {
        void *item;
        size_t i;

        if (!table_find(table, key, &i))
                return NULL;
        item = table->items[i];
        table->n--;
        memmove(table->items + i, table->items + i + 1, (table->n - i) * sizeof(void *));
        return item;
}
