/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What differs between two texts, line by line: the longest common subsequence, shown with three lines around each
 * change.
 */

#include "client/output.h"

/* Writes the differences in colours, or nothing where there are none. The names are shown in front. Texts that
 * differ in many thousand lines are shown as one replaced by the other. Returns 1 where something differs, 0 where
 * not, or -ENOMEM. */
int line_diff_show(Output *output, const char *old_name, const char *old_text, const char *new_name,
                   const char *new_text);
