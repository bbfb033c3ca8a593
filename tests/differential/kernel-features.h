/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the running kernel lets programs do, found out by trying.
 */

#include "generate.h"

void features_probe(Features *ret);
