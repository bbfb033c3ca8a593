/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The last argument of methods that change something: a{sv} options. Each method says which it knows; others are
 * errors, so that a misspelt "dry-run" never runs.
 */

#include <systemd/sd-bus.h>

#include "model/manager.h"

typedef enum OptionFlags {
        OPTION_RUNTIME = 1 << 0,
        OPTION_EXPECTED_GENERATION = 1 << 1,
        OPTION_CONFIRM_TIMEOUT = 1 << 2,
        OPTION_DRY_RUN = 1 << 3,
        OPTION_BASE_DIRECTORY = 1 << 4,
        OPTION_CREATE_ONLY = 1 << 5,
        OPTION_REPLACE_ONLY = 1 << 6,
        OPTION_CONTENTS = 1 << 7,
        OPTION_CHAIN = 1 << 8,
        OPTION_FORCE = 1 << 9,
        OPTION_POLICY = 1 << 10,

        OPTIONS_CHANGE = OPTION_RUNTIME | OPTION_EXPECTED_GENERATION | OPTION_CONFIRM_TIMEOUT | OPTION_DRY_RUN,
        OPTIONS_APPLY = OPTIONS_CHANGE | OPTION_BASE_DIRECTORY,
        OPTIONS_SIMULATE = OPTIONS_APPLY | OPTION_CONTENTS | OPTION_CHAIN,
        OPTIONS_MAP_SET = OPTION_CREATE_ONLY | OPTION_REPLACE_ONLY,
        OPTIONS_NONE = 0,
} OptionFlags;

typedef struct Options {
        OptionFlags given;
        ChangeOptions change; /* without origin; strings belong to the message */
        bool create_only;
        bool replace_only;
        bool contents;      /* of Simulate */
        const char *chain;  /* of Simulate; belongs to the message */
        bool force;         /* of Guard.SetMode */
        const char *policy; /* of Guard.Test; belongs to the message */
} Options;

/* Reads the dictionary that comes next in the message. ret_error is set when it returns less than 0. */
int options_read(sd_bus_message *message, OptionFlags known, Options *ret, sd_bus_error *ret_error);
