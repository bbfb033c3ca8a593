/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stddef.h>

#include "kernel/fuse-count.h"

static int cell(unsigned seat, unsigned i) {
        return (int) (seat * COUNTER_CELLS + i) * (int) sizeof(uint64_t);
}

static void keep_length(const FuseInput *input, const Root *root, Code *code) {
        if (hook_is_tc(input->hook)) {
                emit_load(code, BPF_W, BPF_REG_2, BPF_REG_1, offsetof(struct __sk_buff, len));
                root_put(root, code, ROOT_LENGTH, BPF_REG_2);
        } else if (input->frags) {
                emit_helper(code, BPF_FUNC_xdp_get_buff_len);
                root_put(root, code, ROOT_LENGTH, BPF_REG_0);
        } else {
                emit_load(code, BPF_W, BPF_REG_2, BPF_REG_1, offsetof(struct xdp_md, data_end));
                emit_load(code, BPF_W, BPF_REG_3, BPF_REG_1, offsetof(struct xdp_md, data));
                emit(code, BPF_ALU64 | BPF_SUB | BPF_X, BPF_REG_2, BPF_REG_3, 0, 0);
                root_put(root, code, ROOT_LENGTH, BPF_REG_2);
        }
}

/* r0 = the first value of an array, or NULL. */
static void emit_look_up(Code *code, int fd, int key) {
        emit(code, BPF_ST | BPF_MEM | BPF_W, BPF_REG_10, 0, key, 0);
        emit_move(code, BPF_REG_2, BPF_REG_10);
        emit(code, BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_2, 0, 0, key);
        emit_map(code, BPF_REG_1, fd);
        emit_helper(code, BPF_FUNC_map_lookup_elem);
}

/* Further segments get the length that the packet came into the chain with, which is not the one that it has. */
static void take_carried(const FuseInput *input, const Root *root, Code *code) {
        emit_look_up(code, input->carry_fd, root->key);
        emit(code, BPF_JMP | BPF_JNE | BPF_K, BPF_REG_0, 0, 2, 0);
        emit_set32(code, BPF_REG_0, (uint32_t) fuse_fail_verdict(input->hook));
        emit_exit(code);
        emit_load(code, BPF_DW, BPF_REG_2, BPF_REG_0, 0);
        root_put(root, code, ROOT_LENGTH, BPF_REG_2);
}

void count_carry(const FuseInput *input, const Root *root, Code *code) {
        unsigned length;
        size_t none;

        if (input->carry_fd < 0)
                return;
        emit_look_up(code, input->carry_fd, root->key);
        emit(code, BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_0, 0, 0, 0);
        none = code->n - 1;
        length = root_get(root, code, ROOT_LENGTH, BPF_REG_2);
        emit_store(code, BPF_DW, BPF_REG_0, 0, length);
        set_jump(code, none, code->n);
}

void count_begin(const FuseInput *input, const Root *root, Code *code, size_t *ret_call) {
        *ret_call = 0;
        if (input->counters == COUNTER_LEVEL_OFF)
                return;

        if (input->first > 0 && input->carry_fd >= 0)
                take_carried(input, root, code);
        else
                keep_length(input, root, code);
        if (root->key != 0)
                emit_look_up(code, input->counters_fd, root->key);
        else
                *ret_call = emit_call(code);
        emit(code, BPF_JMP | BPF_JNE | BPF_K, BPF_REG_0, 0, 2, 0);
        emit_set32(code, BPF_REG_0, (uint32_t) fuse_fail_verdict(input->hook));
        emit_exit(code);
        root_put(root, code, ROOT_COUNTERS, BPF_REG_0);
}

void count_bucket(Hook hook, Code *code) {
        unsigned other = verdict_buckets(hook) - 1;

        emit_move32(code, BPF_REG_1, BPF_REG_0);
        if (hook_is_tc(hook))
                emit(code, BPF_ALU | BPF_ADD | BPF_K, BPF_REG_1, 0, 0, 1);
        emit_jump_if(code, BPF_JLT, BPF_REG_1, other, 1);
        emit_set32(code, BPF_REG_1, other);
}

/* Counts the verdict in w0, and the bytes of the packet, in one half of the seat's row. */
static void emit_count(const FuseInput *input, const Root *root, Code *code, unsigned seat, unsigned verdicts,
                       unsigned bytes) {
        unsigned counters, length;

        count_bucket(input->hook, code);
        counters = root_get(root, code, ROOT_COUNTERS, BPF_REG_5);
        length = root_get(root, code, ROOT_LENGTH, BPF_REG_4);
        emit(code, BPF_ALU64 | BPF_LSH | BPF_K, BPF_REG_1, 0, 0, 3);
        emit(code, BPF_ALU64 | BPF_ADD | BPF_X, BPF_REG_1, counters, 0, 0);
        emit_increment(code, BPF_REG_1, cell(seat, verdicts), BPF_REG_3);
        emit_add_to(code, counters, cell(seat, bytes), length, BPF_REG_3);
}

void count_hop(const FuseInput *input, const Root *root, Code *code, unsigned seat) {
        emit_count(input, root, code, seat, 0, COUNTER_SEEN_BYTES);
}

void count_end(const FuseInput *input, const Root *root, Code *code, unsigned seat) {
        if (input->counters != COUNTER_LEVEL_OFF)
                emit_count(input, root, code, seat, COUNTER_ENDED, COUNTER_ENDED_BYTES);
        emit_exit(code);
}

void count_emit_counters(const FuseInput *input, Code *code) {
        emit_look_up(code, input->counters_fd, -4);
        emit_exit(code);
}

void count_emit_trace(const FuseInput *input, Code *code) {
        size_t no_entry, short_enough, empty;
        bool tc = hook_is_tc(input->hook);

        emit_move(code, BPF_REG_6, BPF_REG_1);
        emit_move32(code, BPF_REG_7, BPF_REG_2);
        emit_store(code, BPF_W, BPF_REG_10, -4, BPF_REG_3);
        emit_move(code, BPF_REG_2, BPF_REG_10);
        emit(code, BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_2, 0, 0, -4);
        emit_map(code, BPF_REG_1, input->trace_fd);
        emit_helper(code, BPF_FUNC_map_lookup_elem);
        emit(code, BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_0, 0, 0, 0);
        no_entry = code->n - 1;

        emit_move(code, BPF_REG_8, BPF_REG_0);
        emit(code, BPF_ST | BPF_MEM | BPF_W, BPF_REG_8, 0, offsetof(FuseTrace, seen), 1);
        emit_store(code, BPF_W, BPF_REG_8, offsetof(FuseTrace, verdict), BPF_REG_7);
        if (tc) {
                emit_load(code, BPF_W, BPF_REG_1, BPF_REG_6, offsetof(struct __sk_buff, mark));
                emit_store(code, BPF_W, BPF_REG_8, offsetof(FuseTrace, mark), BPF_REG_1);
                emit_load(code, BPF_W, BPF_REG_0, BPF_REG_6, offsetof(struct __sk_buff, len));
        } else {
                emit_move(code, BPF_REG_1, BPF_REG_6);
                emit_helper(code, BPF_FUNC_xdp_get_buff_len);
        }
        emit_store(code, BPF_W, BPF_REG_8, offsetof(FuseTrace, size), BPF_REG_0);
        emit_move32(code, BPF_REG_4, BPF_REG_0);
        short_enough = emit_jump_if(code, BPF_JLT, BPF_REG_4, sizeof(((FuseTrace *) NULL)->data), 0);
        emit_set32(code, BPF_REG_4, sizeof(((FuseTrace *) NULL)->data));
        set_jump(code, short_enough, code->n);
        /* kernels before 6.8 learn nothing of a number from its not being 0 */
        empty = emit_jump_if(code, BPF_JLT, BPF_REG_4, 1, 0);
        emit_move(code, BPF_REG_1, BPF_REG_6);
        emit_set32(code, BPF_REG_2, 0);
        emit_move(code, BPF_REG_3, BPF_REG_8);
        emit(code, BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_3, 0, 0, offsetof(FuseTrace, data));
        emit_helper(code, tc ? BPF_FUNC_skb_load_bytes : BPF_FUNC_xdp_load_bytes);

        set_jump(code, no_entry, code->n);
        set_jump(code, empty, code->n);
        emit_move32(code, BPF_REG_0, BPF_REG_7);
        emit_exit(code);
}
