/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdio.h>
#include <stdlib.h>

#include "util/macros.h"

/* What libFuzzer calls; always 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A property that must hold, whatever the input. */
#define MUST(condition)                                                                                              \
        do {                                                                                                         \
                if (!(condition)) {                                                                                  \
                        fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);               \
                        abort();                                                                                     \
                }                                                                                                    \
        } while (0)
