/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A packet in one line, for people: "VLAN 7 TCP 192.0.2.1:4000 > 198.51.100.1:80 SYN". Pure and bounded, whatever the
 * bytes are: they come from anybody.
 */

#include "util/macros.h"

#define PACKET_SUMMARY_SIZE 256

/* `size` bytes are there; the packet may have been longer. The result is printable ASCII, never empty. */
const char *packet_summary(const uint8_t *data, size_t size, char ret[PACKET_SUMMARY_SIZE]);
