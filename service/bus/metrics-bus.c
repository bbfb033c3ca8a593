/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/metrics-bus.h"

#include "bus/context.h"
#include "bus/options.h"
#include "model/metrics.h"

/* All of this can be had by reading properties, which takes no right either. */
int metrics_bus_get(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        _cleanup_free_ char *text = NULL;
        BusContext *context = userdata;
        Options options;
        int r;

        r = options_read(message, OPTIONS_NONE, &options, ret_error);
        if (r < 0)
                return r;
        r = metrics_text(context->manager, METRICS_SIZE_MAX, &text);
        if (r < 0)
                return r;
        return sd_bus_reply_method_return(message, "s", text);
}
