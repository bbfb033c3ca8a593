/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <linux/membarrier.h>
#include <sys/syscall.h>

#include "kernel/fused.h"
#include "kernel/program.h"
#include "util/log.h"

/* XDP and TC programs run within read-side critical sections of RCU, and this command of membarrier(2) waits for a
 * grace period of it. */
void fused_wait(const KernelFused *fused) {
        if (fused->slots_fd >= 0 && syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) < 0)
                log_debug("membarrier: %s", strerror(errno));
}

void kernel_fused_free(KernelFused *fused) {
        if (!fused)
                return;
        safe_close(fused->program_fd);
        safe_close(fused->counters_fd);
        safe_close(fused->slots_fd);
        for (size_t i = 0; i < fused->n_programs; i++)
                kernel_program_unref(fused->programs[i]);
        free(fused->programs);
        free(fused);
}
