/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A wire for tests in C: the veth pair bct-a and bct-b, both up, with nothing that sends by itself, and frames on it.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* 0 or -1. */
int make_pair(void);

/* All interfaces whose names begin with "bct-". */
void remove_interfaces(void);

int index_of(const char *name);

/* Sends frames out of an interface, with an EtherType that nobody answers. They reach the other side within the call,
 * or by softirq soon after. */
#define WIRE_FRAME_SIZE 64
void send_frames(const char *interface, unsigned n);

/* A process that sends as many frames as go, until it is killed. */
pid_t flood(const char *interface);

bool program_exists(uint32_t id);

/* The kernel frees programs after a grace period. */
void assert_program_goes(uint32_t id);
