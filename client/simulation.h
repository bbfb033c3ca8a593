/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What "explain" and "apply --simulate" have in common: packets of a capture into a call, and what became of them for
 * people.
 */

#include "client/bus-json.h"
#include "client/capture.h"

/* The packets that the command line names, of this file. Returns an exit status. */
int simulation_read_capture(Client *client, const char *path, Capture *ret);

/* Writes the argument `packets`. Negative errno. */
int simulation_append_packets(sd_bus_message *call, const Capture *capture);

/* The report in a reply, with what the file says of each packet: "number" (from 1), "usec" (since the first packet),
 * "length", "captured" and "summary". Returns an exit status. */
int simulation_read_report(sd_bus_message *reply, const Capture *capture, json_object **ret);

/* The packet behind each program that changed it, in hexadecimal digits. */
void simulation_show_contents(Client *client, json_object *packet);

/* "deny, limit pass → nat pass (changed, 64 bytes) → flows drop"; the caller frees, NULL when out of memory. */
char *simulation_way_text(Client *client, json_object *way);

/* "drop 4, pass 8": an object of numbers; the caller frees, NULL when out of memory. */
char *simulation_counts_text(Client *client, json_object *counts);

Style simulation_style_of_verdict(const char *verdict);

/* What the file held besides, and in what the simulation differs from the network. `form`: an object with
 * "omissions", may be NULL. */
void simulation_show_capture_notes(Client *client, const Capture *capture);
void simulation_show_omissions(Client *client, json_object *form);

/* verb-explain.c: the chains of a report of Manager.Simulate, and the packets that fare differently. Negative errno.
 */
int simulation_show_chains(Client *client, json_object *report, const Capture *capture);
