/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <bpf/bpf.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>

#include "kernel/fused.h"
#include "kernel/program.h"
#include "util/log.h"

/* Whoever changes a map of maps waits for a grace period of RCU as well. */
static int wait_by_map(void) {
        LIBBPF_OPTS(bpf_map_create_opts, opts);
        _cleanup_close_ int inner = -EBADF, outer = -EBADF;
        uint32_t key = 0;

        inner = bpf_map_create(BPF_MAP_TYPE_ARRAY, "bc_inner", sizeof(key), sizeof(key), 1, NULL);
        if (inner < 0)
                return inner;
        opts.inner_map_fd = (uint32_t) inner;
        outer = bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, "bc_outer", sizeof(key), sizeof(key), 1, &opts);
        return outer < 0 ? outer : bpf_map_update_elem(outer, &key, &inner, BPF_ANY);
}

/* XDP and TC programs run within read-side critical sections of RCU, and this command of membarrier(2) waits for a
 * grace period of it. The kernel refuses it where CPUs run without a tick (nohz_full). */
static void wait_for_packets(void) {
        int r;

        if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) >= 0)
                return;
        r = wait_by_map();
        if (r < 0)
                log_warning("Can't wait for packets to leave a chain that goes, so that it may drop some: %s",
                            strerror(-r));
}

void kernel_fused_free(KernelFused *fused) {
        if (!fused)
                return;
        if (fused->used && fused->slots_fd >= 0)
                wait_for_packets();
        safe_close(fused->program_fd);
        safe_close(fused->counters_fd);
        safe_close(fused->slots_fd);
        for (size_t i = 0; i < fused->n_programs; i++)
                kernel_program_unref(fused->programs[i]);
        free(fused->programs);
        free(fused);
}
