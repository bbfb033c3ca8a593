/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The report of Apply() and Plan(), JSON from the service, for people. Members that are not known are passed over.
 */

#include "client/bus-json.h"

/* One line a chain and a program that changes; with `all`, those that stay too. Returns how many chains and programs
 * change, or a negative errno. */
int report_show(Client *client, json_object *report, bool all);
