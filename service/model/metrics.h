/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What runs, as text for monitoring systems: OpenMetrics 1.0
 * (https://prometheus.io/docs/specs/om/open_metrics_spec/) that readers of the older text format of Prometheus take
 * as well, node_exporter's textfile collector among them. So only the types that both know are used, gauge and
 * counter; there are no time stamps, and no quotes or backslashes in help texts. Names and labels are listed in
 * bpfchain-metrics(7) and are not changed once released.
 *
 * Names may hold any bytes, label values are UTF-8: a byte that is no part of valid UTF-8 and a control character
 * (but newline) become \xNN, as does a backslash in front of an x, so that two names never become the same.
 */

#include "model/manager.h"

/* Half of what the usual message bus lets through in one message. */
#define METRICS_SIZE_MAX (16U * 1024 * 1024) /* bytes */

/* The caller frees *ret. Each chain's counters are read from the kernel once. When the text would get longer than
 * size_max, the chains (in order of their keys), then programs, that have no room any more are left out as a whole,
 * and bpfchain_metrics_omitted says how many. What concerns the service itself and the headings (some KiB) is there
 * in any case. */
int metrics_text(Manager *manager, size_t size_max, char **ret);
