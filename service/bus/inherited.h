/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The private socket, as systemd made it (bpfchaind.socket) and handed it over.
 */

#include "util/macros.h"

/* The name of the descriptor, FileDescriptorName= of the unit. */
#define INHERITED_NAME "private"

/* A Unix stream socket that listens, not blocking, close-on-exec: that of the name above where descriptors have
 * names, else the only one. Whatever else was handed over is closed, with a warning. The caller owns it. -EBADF:
 * there is none, or none that fits. */
int inherited_private_socket(void);
