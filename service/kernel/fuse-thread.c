/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/fuse-thread.h"
#include "kernel/member.h"

/* may_goto, which newer headers call BPF_JCOND */
#define JCOND 0xe0

#define REGISTERS 10 /* r10 is the frame and no constant */

/* What is known before an instruction, over all paths to it. */
typedef struct Known {
        bool reached;
        bool queued;
        uint16_t constant; /* mask of the registers whose lower half is known */
        uint32_t values[REGISTERS];
} Known;

typedef struct Flow {
        const struct bpf_insn *insns;
        size_t n;
        const ThreadTo *threaded; /* jumps that lead elsewhere already, or NULL */
        Known *before;
        size_t *queue;
        size_t n_queue;
} Flow;

static bool is_exit(const struct bpf_insn *insn) {
        return insn->code == (BPF_JMP | BPF_EXIT);
}

/* Jumps with a 16-bit offset; -1: no such jump. */
static int64_t jump_target(const struct bpf_insn *insns, size_t i) {
        unsigned class = BPF_CLASS(insns[i].code), op = BPF_OP(insns[i].code);

        if ((class != BPF_JMP && class != BPF_JMP32) || op == BPF_CALL || op == BPF_EXIT)
                return -1;
        if (op == BPF_JA && insns[i].code != (BPF_JMP | BPF_JA))
                return -1;
        return (int64_t) i + 1 + insns[i].off;
}

static void forget(Known *known, unsigned reg) {
        known->constant &= (uint16_t) ~(1U << reg);
}

static void learn(Known *known, unsigned reg, uint32_t value) {
        known->constant |= (uint16_t) (1U << reg);
        known->values[reg] = value;
}

static bool knows(const Known *known, unsigned reg) {
        return reg < REGISTERS && (known->constant & (1U << reg));
}

static void step_alu(const struct bpf_insn *insn, Known *known) {
        unsigned dst = insn->dst_reg;

        if (dst >= REGISTERS)
                return;
        forget(known, dst);
        /* moves that extend a sign, or cast an address, have an offset */
        if (BPF_OP(insn->code) != BPF_MOV || insn->off != 0)
                return;
        if (BPF_SRC(insn->code) == BPF_K)
                learn(known, dst, (uint32_t) insn->imm);
        else if (knows(known, insn->src_reg))
                learn(known, dst, known->values[insn->src_reg]);
}

/* What an instruction makes of what was known before it. */
static void step(const struct bpf_insn *insn, Known *known) {
        switch (BPF_CLASS(insn->code)) {
        case BPF_ALU:
        case BPF_ALU64: step_alu(insn, known); break;
        case BPF_LD: /* loads of 64 bits, or classic packet loads, which lose r0 to r5 */
                if (insn_is_wide(insn)) {
                        forget(known, insn->dst_reg);
                        break;
                }
                known->constant &= (uint16_t) ~0x3fU;
                break;
        case BPF_LDX: forget(known, insn->dst_reg); break;
        case BPF_ST: break;
        case BPF_STX: /* atomics may fetch into the source register or into r0, and load-acquire into the other */
                if (BPF_MODE(insn->code) != BPF_MEM) {
                        forget(known, 0);
                        forget(known, insn->src_reg);
                        forget(known, insn->dst_reg);
                }
                break;
        case BPF_JMP:
        case BPF_JMP32:
                if (BPF_OP(insn->code) == BPF_CALL)
                        known->constant &= (uint16_t) ~0x3fU;
                break;
        }
}

static void reach(Flow *flow, size_t i, const Known *from) {
        Known *to;

        if (i >= flow->n)
                return;
        to = &flow->before[i];
        if (!to->reached) {
                bool queued = to->queued;

                *to = *from;
                to->reached = true;
                to->queued = queued;
        } else {
                uint16_t both = to->constant & from->constant;

                for (unsigned reg = 0; reg < REGISTERS; reg++)
                        if ((both & (1U << reg)) && to->values[reg] != from->values[reg])
                                both &= (uint16_t) ~(1U << reg);
                if (both == to->constant)
                        return;
                to->constant = both;
        }
        if (!to->queued) {
                to->queued = true;
                flow->queue[flow->n_queue++] = i;
        }
}

/* Follows all paths. False: a jump that is not understood. */
static bool follow(Flow *flow) {
        Known start = {};

        memset(flow->before, 0, flow->n * sizeof(Known));
        flow->n_queue = 0;
        reach(flow, 0, &start);

        while (flow->n_queue > 0) {
                size_t i = flow->queue[--flow->n_queue];
                const struct bpf_insn *insn = &flow->insns[i];
                int64_t target = jump_target(flow->insns, i);
                Known known = flow->before[i];
                unsigned op = BPF_OP(insn->code), class = BPF_CLASS(insn->code);
                bool is_jump = class == BPF_JMP || class == BPF_JMP32;

                flow->before[i].queued = false;
                if (is_exit(insn))
                        continue;
                step(insn, &known);
                if (is_jump && op == BPF_JA && target < 0) {
                        if (insn->code != (BPF_JMP32 | BPF_JA))
                                return false;
                        reach(flow, (size_t) ((int64_t) i + 1 + insn->imm), &known);
                        continue;
                }
                if (target >= 0 && !(flow->threaded && flow->threaded[i] != THREAD_STAYS))
                        reach(flow, (size_t) target, &known);
                if (!(is_jump && op == BPF_JA))
                        reach(flow, i + (insn_is_wide(insn) ? 2 : 1), &known);
        }
        return true;
}

static ThreadTo lead(const Known *known, Hook hook, uint32_t proceed_on) {
        if (!knows(known, 0))
                return THREAD_TEST;
        return proceed_on >> verdict_bucket_of(hook, (int32_t) known->values[0]) & 1 ? THREAD_NEXT : THREAD_END;
}

/* Jumps to an exit with a known verdict. */
static void thread_jumps(const Flow *flow, Hook hook, uint32_t proceed_on, ThreadTo *ret) {
        for (size_t i = 0; i < flow->n; i++) {
                int64_t target = jump_target(flow->insns, i);
                ThreadTo to;

                if (!flow->before[i].reached || target < 0 || target >= (int64_t) flow->n ||
                    !is_exit(&flow->insns[target]) || BPF_OP(flow->insns[i].code) == JCOND)
                        continue;
                to = lead(&flow->before[i], hook, proceed_on); /* a jump changes no register */
                if (to != THREAD_TEST)
                        ret[i] = to;
        }
}

/* An exit that only threaded jumps led to must still be led to: the verifier refuses what is not. Those jumps of one
 * kind stay, and the exit takes them on. At the end of the function that costs nothing for the next slot. */
static void keep_exit(const struct bpf_insn *insns, size_t n, size_t exit, ThreadTo *ret) {
        ThreadTo keep = THREAD_STAYS;

        for (size_t i = 0; i < n; i++) {
                if (ret[i] == THREAD_STAYS || is_exit(&insns[i]) || jump_target(insns, i) != (int64_t) exit)
                        continue;
                if (keep == THREAD_STAYS || ret[i] == (exit + 1 == n ? THREAD_NEXT : THREAD_END))
                        keep = ret[i];
        }
        for (size_t i = 0; keep != THREAD_STAYS && i < n; i++)
                if (!is_exit(&insns[i]) && ret[i] == keep && jump_target(insns, i) == (int64_t) exit)
                        ret[i] = THREAD_STAYS;
        ret[exit] = keep != THREAD_STAYS ? keep : THREAD_TEST;
}

int fuse_thread(const struct bpf_insn *insns, size_t n, Hook hook, uint32_t proceed_on, ThreadTo *ret) {
        _cleanup_free_ Known *before = NULL;
        _cleanup_free_ size_t *queue = NULL;
        Flow flow = { .insns = insns, .n = n };
        bool tests = false;

        memset(ret, 0, n * sizeof(*ret));
        if (n <= THREAD_INSNS_MAX) {
                flow.before = before = calloc(n, sizeof(Known));
                flow.queue = queue = calloc(n, sizeof(size_t));
                if (!before || !queue)
                        return -ENOMEM;
        }

        if (flow.before && follow(&flow)) {
                thread_jumps(&flow, hook, proceed_on, ret);
                flow.threaded = ret;
                (void) follow(&flow);
        } else
                flow.before = NULL;

        for (size_t i = 0; i < n; i++) {
                if (is_exit(&insns[i])) {
                        if (!flow.before)
                                ret[i] = THREAD_TEST;
                        else if (flow.before[i].reached)
                                ret[i] = lead(&flow.before[i], hook, proceed_on);
                        else
                                keep_exit(insns, n, i, ret);
                        tests = tests || ret[i] == THREAD_TEST;
                }
                if (insn_is_wide(&insns[i]))
                        i++;
        }
        return tests;
}
