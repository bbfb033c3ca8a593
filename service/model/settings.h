/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Settings of the service, from bpfchain.json in /etc/bpfchain, else /run/bpfchain, else /usr/lib/bpfchain. They are
 * read at start, those of the guard again at each reload. service/schema/bpfchain-settings.schema.json is their JSON
 * Schema.
 */

#include "model/guard.h"
#include "model/paths.h"

typedef struct Settings {
        TcAttach tc_attach;
        int log_level;                   /* syslog level, -1: not set */
        uint32_t netlink_receive_buffer; /* bytes, 0: not set */
        GuardSettings guard;
} Settings;

#define SETTINGS_INIT ((Settings){ .log_level = -1, .guard = GUARD_SETTINGS_DEFAULT })

/* What "guard" of the settings may hold, from a text of its own. Errors as below, with line and column in front. */
int settings_read_guard(const char *text, size_t size, GuardSettings *ret, Error *error);

/* 0: read, or there is no file. On failure *ret is untouched and the error says where and why. */
int settings_load(const Paths *paths, Settings *ret, Error *error);
