/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The dispatcher that libxdp ships, as it is installed: an object with ten functions that do nothing, and a table of
 * how many of them to call and which verdicts to go on after. Programs come in the place of the functions by
 * freplace.
 */

#include "technique.h"

/* Both return the dispatcher's descriptor, or -ENOTSUP with a note where it is not installed or the kernel refuses.
 */

/* With members in the place of its functions. */
int libxdp_make(const Stock *stock, Chain *chain);

/* As it is: what its own calls and comparisons cost. */
int libxdp_make_empty(const Stock *stock, Chain *chain);
