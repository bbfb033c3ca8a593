/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What programs do with packets. */

#include "function.h"

static const unsigned sizes[] = { BPF_B, BPF_H, BPF_W, BPF_DW };

/* Offsets in the context. */
static int field_data(const Function *f) {
        return hook_is_tc(f->request->hook) ? (int) offsetof(struct __sk_buff, data)
                                            : (int) offsetof(struct xdp_md, data);
}

static int field_data_end(const Function *f) {
        return hook_is_tc(f->request->hook) ? (int) offsetof(struct __sk_buff, data_end)
                                            : (int) offsetof(struct xdp_md, data_end);
}

static int field_data_meta(const Function *f) {
        return hook_is_tc(f->request->hook) ? (int) offsetof(struct __sk_buff, data_meta)
                                            : (int) offsetof(struct xdp_md, data_meta);
}

/* Three registers for a range of packet bytes. */
typedef struct Range {
        int start;
        int end;
        int probe;
} Range;

static bool take_range(Function *f, Range *range) {
        range->start = take_pointer(f, REGISTERS);
        range->end = range->start < 0 ? -1 : take_pointer(f, REGISTERS);
        range->probe = range->end < 0 ? -1 : take_pointer(f, REGISTERS);
        if (range->probe >= 0) {
                f->packets++;
                return true;
        }
        release(f, range->end);
        release(f, range->start);
        return false;
}

static void release_range(Function *f, const Range *range) {
        f->packets--;
        release(f, range->start);
        release(f, range->end);
        release(f, range->probe);
}

static void emit_range(Function *f, const Range *range, int from, int to) {
        unsigned context = (unsigned) range->probe;

        emit_context(f, context);
        emit_load(f, BPF_W, (unsigned) range->start, context, from);
        emit_load(f, BPF_W, (unsigned) range->end, context, to);
}

/* Jumps where fewer than `size` bytes follow start; aim_here() at what is to be done then. */
static size_t emit_bounds_check(Function *f, const Range *range, unsigned size) {
        unsigned probe = (unsigned) range->probe, end = (unsigned) range->end;

        emit_move(f, probe, (unsigned) range->start);
        emit_add(f, probe, (int32_t) size);
        if (random_chance(f->random, 50))
                return emit(f, BPF_JMP | BPF_JGT | BPF_X, probe, end, 0, 0);
        return emit(f, BPF_JMP | BPF_JLT | BPF_X, end, probe, 0, 0);
}

/* Reads and writes within the `size` bytes that were checked. */
static void access_bytes(Function *f, unsigned start, unsigned size) {
        for (int n = random_between(f->random, 1, 4); n > 0; n--) {
                unsigned width = random_below(f->random, 4), bytes = 1U << width, dst;
                int off;

                if (bytes > size)
                        continue;
                off = random_between(f->random, 0, (int) (size - bytes));
                switch (random_below(f->random, 5)) {
                case 0: emit_store(f, sizes[width], start, off, pick_number(f, REGISTERS)); break;
                case 1:
                        emit(f, BPF_ST | BPF_MEM | sizes[width], start, 0, off, (int32_t) random_number(f->random));
                        break;
                case 2:
                        dst = pick_target(f, REGISTERS);
                        emit_load(f, sizes[width], dst, start, off);
                        has_number(f, dst);
                        emit_add(f, dst, random_between(f->random, -3, 3));
                        emit_store(f, sizes[width], start, off, dst);
                        break;
                default:
                        dst = pick_target(f, REGISTERS);
                        if (f->request->features->v4 && width < 3 && random_chance(f->random, 20))
                                emit(f, BPF_LDX | INSN_MEMSX | sizes[width], dst, start, off, 0);
                        else
                                emit_load(f, sizes[width], dst, start, off);
                        has_number(f, dst);
                }
        }
}

/* Goes over the IPv4 header, whose length is in the packet, to what follows. */
static void follow_length(Function *f, const Range *range) {
        unsigned start = (unsigned) range->start, length = pick_target(f, REGISTERS);
        size_t jump;
        State before;

        emit_load(f, BPF_B, length, start, 14);
        emit(f, BPF_ALU64 | BPF_AND | BPF_K, length, 0, 0, 15);
        emit(f, BPF_ALU64 | BPF_LSH | BPF_K, length, 0, 0, 2);
        has_number(f, length);
        emit(f, BPF_ALU64 | BPF_ADD | BPF_X, start, length, 0, 0);
        jump = emit_bounds_check(f, range, 24);
        before = f->state;
        access_bytes(f, start, 24);
        aim_here(f, jump);
        f->state = merge_states(&f->state, &before);
}

/* Nested: the pointers stay valid, since nothing that could move the packet is called. */
static void within_packet(Function *f, const Range *range, unsigned size) {
        access_bytes(f, (unsigned) range->start, size);
        if (random_chance(f->random, 30)) {
                emit_block(f, 1);
                if (f->state.ended)
                        return;
                access_bytes(f, (unsigned) range->start, size);
        }
        if (size > 14 && random_chance(f->random, 25))
                follow_length(f, range);
}

void statement_packet(Function *f) {
        static const unsigned parts[] = { 4, 14, 14, 15, 20, 34, 42, 54, 64, 100, 200 };
        unsigned size = RANDOM_OF(f->random, parts), length;
        size_t too_short;
        State before;
        Range range;

        if (!take_range(f, &range))
                return;
        emit_range(f, &range, field_data(f), field_data_end(f));
        too_short = emit_bounds_check(f, &range, size);
        before = f->state;
        within_packet(f, &range, size);
        if (!f->state.ended && random_chance(f->random, 20)) {
                /* the length, as a difference of pointers */
                length = pick_target(f, REGISTERS);
                emit_move(f, length, (unsigned) range.end);
                emit(f, BPF_ALU64 | BPF_SUB | BPF_X, length, (unsigned) range.start, 0, 0);
                has_number(f, length);
        }
        if (f->state.ended || !random_chance(f->random, 20)) {
                aim_here(f, too_short);
                f->state = merge_states(&f->state, &before);
        } else {
                /* too short ends it */
                State after = f->state;
                size_t go_on = emit(f, BPF_JMP | BPF_JA, 0, 0, 0, 0);

                aim_here(f, too_short);
                f->state = before;
                emit_ending(f);
                aim_here(f, go_on);
                f->state = after;
        }
        release_range(f, &range);
}

/* Writes to all of the `size` bytes (a multiple of 2) at the start of a range. What a packet gets in front is what
 * happened to be there, so whoever makes room there writes to it. */
static void fill_bytes(Function *f, unsigned start, unsigned size) {
        for (unsigned off = 0; off < size; off += 2)
                if (random_chance(f->random, 50))
                        emit_store(f, BPF_H, start, (int) off, pick_number(f, REGISTERS));
                else
                        emit(f, BPF_ST | BPF_MEM | BPF_H, start, 0, (int) off, (int32_t) random_number(f->random));
}

/* Fills the first `size` bytes of packet or metadata where r0 says that there was room for them. */
static void fill_if_moved(Function *f, int from, int to, unsigned size) {
        size_t failed, too_short;
        State before;
        Range range;

        f->pinned |= REGISTER(BPF_REG_0);
        if (!take_range(f, &range)) {
                f->generator->full = true; /* can't be: nothing but context and counters of loops is pinned */
                return;
        }
        f->pinned &= ~REGISTER(BPF_REG_0);

        failed = emit(f, BPF_JMP | BPF_JNE | BPF_K, BPF_REG_0, 0, 0, 0);
        before = f->state;
        emit_range(f, &range, from, to);
        too_short = emit_bounds_check(f, &range, size);
        fill_bytes(f, (unsigned) range.start, size);
        aim_here(f, too_short);
        aim_here(f, failed);
        f->state = merge_states(&f->state, &before);
        release_range(f, &range);
}

/* A number of bytes that this program may still add, even; 0: none. */
static unsigned take_room(Function *f, unsigned *room, unsigned most) {
        unsigned size = 4 * (unsigned) random_between(f->random, 1, (int) most / 4);

        /* filling it takes three registers, and keeps r0 */
        if (f->loops > 0 || size > *room || free_registers(f) < REGISTERS_LEFT + 4)
                return 0;
        *room -= size;
        f->once = true;
        return size;
}

void statement_move_head(Function *f) {
        unsigned added = random_chance(f->random, 60) ? take_room(f, &f->generator->moves.head, 16) : 0;
        bool tc = hook_is_tc(f->request->hook);

        if (f->request->moves.head == 0 || (tc && added == 0))
                return;
        emit_context(f, BPF_REG_1);
        if (tc) {
                /* the kernel clears what is new */
                emit_set(f, BPF_REG_2, (int32_t) added);
                emit_set(f, BPF_REG_3, 0);
                emit_helper(f, BPF_FUNC_skb_change_head);
                return;
        }
        emit_set(f, BPF_REG_2, added > 0 ? -(int32_t) added : 2 * random_between(f->random, 1, 9));
        emit_helper(f, BPF_FUNC_xdp_adjust_head);
        if (added > 0)
                fill_if_moved(f, field_data(f), field_data_end(f), added);
}

void statement_move_meta(Function *f) {
        unsigned added = random_chance(f->random, 70) ? take_room(f, &f->generator->moves.meta, 8) : 0;

        if (f->request->moves.meta == 0)
                return;
        emit_context(f, BPF_REG_1);
        emit_set(f, BPF_REG_2, added > 0 ? -(int32_t) added : 4);
        emit_helper(f, BPF_FUNC_xdp_adjust_meta);
        if (added > 0)
                fill_if_moved(f, field_data_meta(f), field_data(f), added);
}

static void change_tail_of_skb(Function *f) {
        emit_context(f, BPF_REG_1);
        if (random_chance(f->random, 50)) {
                emit_set(f, BPF_REG_2, random_between(f->random, 60, 1600));
        } else {
                emit_load(f, BPF_W, BPF_REG_2, BPF_REG_1, (int) offsetof(struct __sk_buff, len));
                emit(f, BPF_ALU64 | BPF_AND | BPF_K, BPF_REG_2, 0, 0, 0x7ff);
                emit_add(f, BPF_REG_2, random_between(f->random, -20, 20));
        }
        emit_set(f, BPF_REG_3, 0);
        emit_helper(f, BPF_FUNC_skb_change_tail);
}

void statement_move_tail(Function *f) {
        unsigned added;

        if (f->request->moves.tail == 0 || f->loops > 0)
                return;
        if (hook_is_tc(f->request->hook))
                return change_tail_of_skb(f);

        added = random_chance(f->random, 50) ? take_room(f, &f->generator->moves.tail, 64) : 0;
        emit_context(f, BPF_REG_1);
        emit_set(f, BPF_REG_2, added > 0 ? (int32_t) added : -random_between(f->random, 1, 60));
        emit_helper(f, BPF_FUNC_xdp_adjust_tail);
}

/* Metadata in front of the packet. */
void statement_metadata(Function *f) {
        size_t too_short;
        State before;
        Range range;

        if (!take_range(f, &range))
                return;
        emit_range(f, &range, field_data_meta(f), field_data(f));
        too_short = emit_bounds_check(f, &range, 4);
        before = f->state;
        access_bytes(f, (unsigned) range.start, 4);
        aim_here(f, too_short);
        f->state = merge_states(&f->state, &before);
        release_range(f, &range);
}

/* Copies between packet and stack. */
void statement_packet_bytes(Function *f) {
        bool tc = hook_is_tc(f->request->hook), store = random_chance(f->random, 50);
        unsigned size = 8 * (unsigned) random_between(f->random, 1, 4);
        int off = pick_area(f, size);

        if (off == 0 || (!tc && !f->request->features->xdp_bytes))
                return;
        fill_area(f, off, size);
        emit_context(f, BPF_REG_1);
        emit_set(f, BPF_REG_2, random_between(f->random, 0, 80));
        emit_stack_address(f, BPF_REG_3, off);
        emit_set(f, BPF_REG_4, (int32_t) size);
        emit_set(f, BPF_REG_5, 0);
        if (tc)
                emit_helper(f, store ? BPF_FUNC_skb_store_bytes : BPF_FUNC_skb_load_bytes);
        else
                emit_helper(f, store ? BPF_FUNC_xdp_store_bytes : BPF_FUNC_xdp_load_bytes);
}

static void context_of_xdp(Function *f, unsigned context) {
        static const int fields[] = { offsetof(struct xdp_md, ingress_ifindex),
                                      offsetof(struct xdp_md, rx_queue_index) };
        unsigned dst = pick_target(f, REGISTERS);

        emit_load(f, BPF_W, dst, context, RANDOM_OF(f->random, fields));
        has_number(f, dst);
}

/* Fields that user space can hand on from program to program. */
static void context_of_skb(Function *f, unsigned context) {
        static const int fields[] = {
                offsetof(struct __sk_buff, mark),  offsetof(struct __sk_buff, priority),
                offsetof(struct __sk_buff, cb[0]), offsetof(struct __sk_buff, cb[1]),
                offsetof(struct __sk_buff, cb[2]), offsetof(struct __sk_buff, cb[3]),
                offsetof(struct __sk_buff, cb[4]),
        };
        unsigned dst;

        if (random_chance(f->random, 50)) {
                emit_store(f, BPF_W, context, RANDOM_OF(f->random, fields), pick_number(f, REGISTERS));
                return;
        }
        dst = pick_target(f, REGISTERS);
        if (random_chance(f->random, 20))
                emit_load(f, BPF_W, dst, context, (int) offsetof(struct __sk_buff, len));
        else
                emit_load(f, BPF_W, dst, context, RANDOM_OF(f->random, fields));
        has_number(f, dst);
}

void statement_context(Function *f) {
        int context = take_pointer(f, REGISTERS);

        if (context < 0)
                return;
        emit_context(f, (unsigned) context);
        if (hook_is_tc(f->request->hook))
                context_of_skb(f, (unsigned) context);
        else
                context_of_xdp(f, (unsigned) context);
        release(f, context);
}

/* Loads of classic BPF, which end the program where the packet is too short. They want the context in r6. For why
 * only in the main function, see statement_tail_call(). */
void statement_classic_load(Function *f) {
        static const unsigned widths[] = { BPF_B, BPF_H, BPF_W };
        unsigned index;

        if (f->context_register != BPF_REG_6 || f->kind != FUNCTION_MAIN)
                return;
        if (random_chance(f->random, 70)) {
                emit(f, BPF_LD | BPF_ABS | RANDOM_OF(f->random, widths), 0, 0, 0, random_between(f->random, 0, 40));
        } else {
                index = pick_target(f, CALLEE_SAVED);
                emit_set(f, index, random_between(f->random, 0, 40));
                has_number(f, index);
                emit(f, BPF_LD | BPF_IND | RANDOM_OF(f->random, widths), 0, index, 0,
                     random_between(f->random, 0, 10));
        }
        f->state.numbers &= ~CALLER_SAVED;
        has_number(f, BPF_REG_0);
}

void statement_checksum(Function *f) {
        int off = pick_area(f, 16);

        if (off == 0)
                return;
        fill_area(f, off, 16);
        emit_set(f, BPF_REG_1, 0);
        emit_set(f, BPF_REG_2, 0);
        emit_stack_address(f, BPF_REG_3, off);
        emit_set(f, BPF_REG_4, 16);
        emit_set(f, BPF_REG_5, random_between(f->random, 0, 1000));
        emit_helper(f, BPF_FUNC_csum_diff);
}
