/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Text from bytes, as dbus/map-spec.md says, for many values of one type: the type is compiled to a row of steps,
 * each a piece of fixed text and a value behind it, so that what is done for each value is little more than copying.
 */

#include "util/buffer.h"
#include "value/value-type.h"

typedef enum ValueStyle {
        VALUE_STYLE_JSON,     /* compact, on one line */
        VALUE_STYLE_ARGUMENT, /* the notation of a command line, of tables and CSV */
} ValueStyle;

typedef struct ValuePrinter ValuePrinter;

/* `before` and `after` are put around each value as they are (NULL: nothing), such as "{\"key\":" and ",\"value\":".
 * -E2BIG: the type has too many parts to be printed; value_printer_new_raw() can. */
int value_printer_new(const ValueType *type, ValueStyle style, const char *before, const char *after,
                      ValuePrinter **ret);

/* Without a type: the bytes in hexadecimal digits. */
int value_printer_new_raw(uint32_t size, ValueStyle style, const char *before, const char *after, ValuePrinter **ret);

void value_printer_free(ValuePrinter *printer);
DEFINE_CLEANUP(ValuePrinter *, value_printer_free)
#define _cleanup_value_printer_ _cleanup_(value_printer_freep)

/* Appends the text of the bytes, as many as the type has. -ENOMEM leaves the buffer as it was. */
int value_print(const ValuePrinter *printer, const void *bytes, Buffer *buffer);

/* The same for one value. */
int value_print_once(const ValueType *type, ValueStyle style, const void *bytes, Buffer *buffer);
