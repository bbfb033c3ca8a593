/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <bpf/bpf.h>
#include <fcntl.h>

#include "kernel/attach.h"
#include "kernel/run-time.h"

/* A switch of the whole kernel (kernel/bpf/syscall.c, bpf_stats_handler()), so it is looked at each time. Somebody
 * may have it on by a descriptor instead (BPF_ENABLE_STATS), which can't be seen from outside. */
static int statistics_are_kept(void) {
        _cleanup_close_ int fd = open("/proc/sys/kernel/bpf_stats_enabled", O_RDONLY | O_CLOEXEC);
        char value = '0';
        ssize_t n;

        if (fd < 0)
                return errno == ENOENT ? 0 : -errno; /* not before 5.1 */
        n = read(fd, &value, sizeof(value));
        if (n < 0)
                return -errno;
        return value == '1';
}

int kernel_chain_run_time(_unused_ void *userdata, KernelAttachment *attachment, uint64_t *ret_count,
                          uint64_t *ret_nsec) {
        struct bpf_prog_info info = {};
        uint32_t size = sizeof(info);
        int r;

        r = statistics_are_kept();
        if (r <= 0)
                return r < 0 ? r : -ENODATA;
        r = bpf_prog_get_info_by_fd(attachment->fused->program_fd, &info, &size);
        if (r < 0)
                return r;
        *ret_count = info.run_cnt;
        *ret_nsec = info.run_time_ns;
        return 0;
}
