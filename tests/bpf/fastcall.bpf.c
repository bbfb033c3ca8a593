// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What clang makes of a call that changes no registers (bpf_fastcall, since clang 20): it saves those that it needs
 * around the call for kernels that do not know. Those that do leave the saving out, and say that the program takes no
 * stack; in a larger program they can't. All registers are in use, so that a chain keeps its own values on the stack.
 */

#include "test.bpf.h"

SEC("xdp")
__attribute__((naked)) int xdp_fastcall(struct xdp_md *ctx) {
        asm volatile("r6 = 6;"
                     "r7 = 7;"
                     "r8 = 8;"
                     "r9 = 9;"
                     "r1 = 11;"
                     "r2 = 12;"
                     "r3 = 13;"
                     "r4 = 14;"
                     "*(u64 *)(r10 - 8) = r4;"
                     "*(u64 *)(r10 - 16) = r3;"
                     "*(u64 *)(r10 - 24) = r2;"
                     "*(u64 *)(r10 - 32) = r1;"
                     "call %[get_smp_processor_id];"
                     "r1 = *(u64 *)(r10 - 32);"
                     "r2 = *(u64 *)(r10 - 24);"
                     "r3 = *(u64 *)(r10 - 16);"
                     "r4 = *(u64 *)(r10 - 8);"
                     "r0 = r1;"
                     "r0 += r2;"
                     "r0 += r3;"
                     "r0 += r4;"
                     "if r0 == 50 goto 1f;"
                     "r0 = 0;" /* aborted */
                     "exit;"
                     "1: r0 = 2;" /* pass */
                     "exit;"
                     :
                     : [get_smp_processor_id] "i"(BPF_FUNC_get_smp_processor_id)
                     : "memory");
}
