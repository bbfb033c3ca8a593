// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What is resolved at load time: the kernel's configuration and version, an address, and a function that it
 * does not have and that a program can do without. */

#include "test.bpf.h"

extern int LINUX_KERNEL_VERSION __kconfig;
extern bool CONFIG_BPF_SYSCALL __kconfig __weak;
extern const void consume_skb __ksym __weak;
extern int bct_no_such_kernel_function(struct xdp_md *ctx) __ksym __weak;

__u64 seen_address;
__u64 effect; /* each packet adds one for each that is as it must be: 2 */

SEC("xdp")
int xdp_externs(struct xdp_md *ctx) {
        hit();
        if (LINUX_KERNEL_VERSION >= 0x050000)
                effect++;
        if (CONFIG_BPF_SYSCALL)
                effect++;
        if (&consume_skb) /* a host may hide addresses */
                seen_address++;
        if (bct_no_such_kernel_function && bct_no_such_kernel_function(ctx))
                return XDP_ABORTED;
        return answer_xdp();
}
