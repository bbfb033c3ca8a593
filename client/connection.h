/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The way to the service: the system bus where the service is on it, else its private socket.
 */

#include "client/client.h"

#define SERVICE_NAME      "org.bpfchain1"
#define SERVICE_ROOT      "/org/bpfchain1"
#define SERVICE_ERROR     "org.bpfchain1.Error."
#define INTERFACE_MANAGER "org.bpfchain1.Manager"
#define INTERFACE_CHAIN   "org.bpfchain1.Chain"
#define INTERFACE_PROGRAM "org.bpfchain1.Program"
#define INTERFACE_MAP     "org.bpfchain1.Map"
#define INTERFACE_GUARD   "org.bpfchain1.Guard"
#define INTERFACE_LINK    "org.bpfchain1.Interface"
#define PRIVATE_SOCKET    "/run/bpfchain/private"

/* Longest that the service may take for anything; verifying a large chain takes seconds, and somebody may have to
 * type a password. Microseconds. */
#define CALL_TIMEOUT UINT64_C(300000000)

#define _cleanup_message_   _cleanup_(sd_bus_message_unrefp)
#define _cleanup_bus_error_ _cleanup_(sd_bus_error_free)

/* Connects unless that is done. Returns an exit status. */
int client_connect(Client *client);
void client_disconnect(Client *client);

/* Makes a method call that may ask for authorization interactively. Connects first. Returns an exit status. */
int client_new_call(Client *client, const char *path, const char *interface, const char *member,
                    sd_bus_message **ret);

/* Makes the call and waits for the reply. `doing` (may be NULL) is shown with a spinner where it takes long and
 * stderr is a terminal. Returns 0 or a negative errno with `error` set. */
int client_call_error(Client *client, sd_bus_message *call, const char *doing, sd_bus_error *error,
                      sd_bus_message **ret_reply);

/* The same; says what went wrong and returns an exit status. ret_reply may be NULL. */
int client_call(Client *client, sd_bus_message *call, const char *doing, sd_bus_message **ret_reply);

/* Says what went wrong; returns the exit status for it. */
int client_fail_bus(Client *client, int r, const sd_bus_error *error);

/* The exit status that stands for an error of the bus. */
int bus_error_to_status(int r, const sd_bus_error *error);

/* For a call that changes something: starts polkit's agent where it makes sense, opens an array of options and writes
 * the common ones of the command line. The verb may add its own with options_add(); options_end() closes the array.
 * Negative errno. */
int options_begin(Client *client, sd_bus_message *call);
int options_add(sd_bus_message *call, const char *name, const char *type, ...);
int options_end(sd_bus_message *call);

/* Reads what the reply of a changing method holds, a generation, and shows it behind the sentence that says what was
 * done: "Removed deny from eth0/xdp." Returns an exit status. */
int client_show_generation(Client *client, sd_bus_message *reply, const char *format, ...) _printf_(3, 4);
