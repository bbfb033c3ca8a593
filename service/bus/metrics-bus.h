/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Manager.GetMetrics: the text of model/metrics.h for whoever asks. */

#include <systemd/sd-bus.h>

/* `userdata` is the BusContext. */
int metrics_bus_get(sd_bus_message *message, void *userdata, sd_bus_error *ret_error);
