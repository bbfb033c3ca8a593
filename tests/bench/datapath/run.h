/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bench.h"

/* PART_XDP and PART_TC. */
void bench_run(const Settings *settings, Part part);

/* PART_BUILD: time until a chain of programs that are loaded already is verified and can be attached. */
void bench_build(const Settings *settings);
