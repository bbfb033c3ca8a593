/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Protocols of IP by the names that IANA gives them, those that are met in practice; dbus/map-spec.md has the list.
 */

#include "util/macros.h"

const char *protocol_to_string(uint32_t protocol);

/* In any case; -ENOENT: none of the list. */
int protocol_from_string(const char *s);
