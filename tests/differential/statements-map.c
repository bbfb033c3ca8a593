/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What programs do with maps. */

#include "function.h"

#define HASHES                                                                                                       \
        (TYPE(BPF_MAP_TYPE_HASH) | TYPE(BPF_MAP_TYPE_PERCPU_HASH) | TYPE(BPF_MAP_TYPE_LRU_HASH) |                    \
         TYPE(BPF_MAP_TYPE_LRU_PERCPU_HASH))
#define ARRAYS (TYPE(BPF_MAP_TYPE_ARRAY) | TYPE(BPF_MAP_TYPE_PERCPU_ARRAY))
#define KEYED  (HASHES | ARRAYS | TYPE(BPF_MAP_TYPE_LPM_TRIE))

int pick_map(Function *f, uint64_t types, bool global) {
        const GenerateRequest *request = f->request;
        int found = -1;
        uint32_t n = 0;

        for (size_t i = 0; i < request->n_maps; i++)
                if ((types & TYPE(request->maps[i].type)) && request->maps[i].global == global &&
                    random_below(f->random, ++n) == 0)
                        found = (int) i;
        return found;
}

static void emit_map(Function *f, unsigned dst, int map) {
        emit_wide(f, dst, BPF_PSEUDO_MAP_FD, map, 0);
        has_no_number(f, dst);
}

/* A small number at a place on the stack: constant, or out of any other. */
static void emit_small(Function *f, unsigned size, int off, int most) {
        unsigned n;

        if (random_chance(f->random, 50)) {
                emit(f, BPF_ST | BPF_MEM | size, BPF_REG_10, 0, off, random_between(f->random, 0, most));
                return;
        }
        n = pick_target(f, REGISTERS);
        make_number(f, n);
        emit(f, BPF_ALU64 | BPF_AND | BPF_K, n, 0, 0, most);
        emit_store(f, size, BPF_REG_10, off, n);
}

/* A key on the stack. Returns its place, 0: no room. */
static int emit_key(Function *f, const MapSpec *spec) {
        int off = pick_area(f, spec->key_size);

        if (off == 0)
                return 0;
        if (spec->type == BPF_MAP_TYPE_LPM_TRIE) {
                emit(f, BPF_ST | BPF_MEM | BPF_W, BPF_REG_10, 0, off, random_between(f->random, 24, 32));
                emit(f, BPF_ST | BPF_MEM | BPF_W, BPF_REG_10, 0, off + 4, 0);
                emit_small(f, BPF_B, off + 7, MAP_KEYS - 1);
        } else {
                for (unsigned i = 4; i < spec->key_size; i += 4)
                        emit(f, BPF_ST | BPF_MEM | BPF_W, BPF_REG_10, 0, off + (int) i, 0);
                emit_small(f, BPF_W, off, MAP_KEYS - 1);
        }
        mark_written(f, off, spec->key_size);
        return off;
}

static void atomic(Function *f, unsigned pointer, int off) {
        static const int operations[] = {
                BPF_ADD, BPF_OR, BPF_AND, BPF_XOR, BPF_ADD | BPF_FETCH, BPF_XOR | BPF_FETCH, BPF_XCHG, BPF_CMPXCHG,
        };
        int operation = RANDOM_OF(f->random, operations);
        unsigned size = random_chance(f->random, 50) ? BPF_W : BPF_DW;
        unsigned src = pick_number(f, REGISTERS);

        if ((operation & BPF_FETCH) && ((f->pinned & REGISTER(src)) != 0 || src == pointer))
                operation = BPF_ADD; /* the register would get the old value */
        if (operation == BPF_CMPXCHG && (!(f->state.numbers & REGISTER(BPF_REG_0)) || (f->pinned & 1)))
                operation = BPF_XCHG;
        emit(f, BPF_STX | BPF_ATOMIC | size, pointer, src, off, operation);
}

void emit_value_access(Function *f, unsigned pointer, unsigned value_size, bool writable) {
        static const unsigned sizes[] = { BPF_B, BPF_H, BPF_W, BPF_DW };

        for (int n = random_between(f->random, 1, 3); n > 0; n--) {
                unsigned width = random_below(f->random, 4), dst;
                int off = (int) (random_below(f->random, value_size >> width) << width);

                switch (writable ? random_below(f->random, 6) : 5) {
                case 0: emit_store(f, sizes[width], pointer, off, pick_number(f, REGISTERS)); break;
                case 1:
                        emit(f, BPF_ST | BPF_MEM | sizes[width], pointer, 0, off, (int32_t) random_number(f->random));
                        break;
                case 2: atomic(f, pointer, off & ~7); break;
                case 3:
                        dst = pick_target(f, REGISTERS);
                        emit_load(f, sizes[width], dst, pointer, off);
                        has_number(f, dst);
                        emit_add(f, dst, random_between(f->random, 1, 5));
                        emit_store(f, sizes[width], pointer, off, dst);
                        break;
                default:
                        dst = pick_target(f, REGISTERS);
                        emit_load(f, sizes[width], dst, pointer, off);
                        has_number(f, dst);
                }
        }
}

/* What is done with a value that was found, and is in r0. */
static void use_value(Function *f, const MapSpec *spec) {
        int pointer;

        has_no_number(f, BPF_REG_0);
        f->pinned |= REGISTER(BPF_REG_0);
        pointer = take_pointer(f, random_chance(f->random, 60) ? CALLEE_SAVED : REGISTERS);
        if (pointer < 0) {
                emit_value_access(f, BPF_REG_0, spec->value_size, true);
                f->pinned &= ~REGISTER(BPF_REG_0);
                return;
        }
        emit_move(f, (unsigned) pointer, BPF_REG_0);
        f->pinned &= ~REGISTER(BPF_REG_0);
        emit_value_access(f, (unsigned) pointer, spec->value_size, true);
        if (random_chance(f->random, 30)) {
                emit_block(f, 1);
                if (!f->state.ended)
                        emit_value_access(f, (unsigned) pointer, spec->value_size, true);
        }
        release(f, pointer);
}

static void emit_lookup(Function *f, int map) {
        int key = emit_key(f, &f->request->maps[map]);
        State before, found;
        size_t none, end;

        if (key == 0)
                return;
        emit_map(f, BPF_REG_1, map);
        emit_stack_address(f, BPF_REG_2, key);
        f->state.numbers &= ~(REGISTER(BPF_REG_1) | REGISTER(BPF_REG_2));
        emit_helper(f, BPF_FUNC_map_lookup_elem);
        has_no_number(f, BPF_REG_0);
        none = emit(f, BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_0, 0, 0, 0);
        before = f->state;
        use_value(f, &f->request->maps[map]);
        if (random_chance(f->random, 50) || f->state.ended) {
                aim_here(f, none);
                f->state = merge_states(&f->state, &before);
                return;
        }

        found = f->state;
        end = emit(f, BPF_JMP | BPF_JA, 0, 0, 0, 0);
        aim_here(f, none);
        f->state = before;
        emit_block(f, 1);
        aim_here(f, end);
        f->state = merge_states(&f->state, &found);
}

void statement_map_lookup(Function *f) {
        int map = pick_map(f, KEYED, false);

        if (map >= 0)
                emit_lookup(f, map);
}

void statement_all_maps(Function *f) {
        for (size_t i = 0; i < f->request->n_maps && !f->state.ended; i++)
                if ((KEYED & TYPE(f->request->maps[i].type)) && !f->request->maps[i].global)
                        emit_lookup(f, (int) i);
}

/* Puts key and value, then the arguments that an update has. */
void statement_map_update(Function *f) {
        int map = pick_map(f, KEYED, false), key, value;
        const MapSpec *spec = map < 0 ? NULL : &f->request->maps[map];

        if (!spec || (key = emit_key(f, spec)) == 0)
                return;
        reserve_area(f, key, spec->key_size, true);
        value = pick_area(f, spec->value_size);
        if (value != 0) {
                fill_area(f, value, spec->value_size);
                emit_map(f, BPF_REG_1, map);
                emit_stack_address(f, BPF_REG_2, key);
                emit_stack_address(f, BPF_REG_3, value);
                emit_set(f, BPF_REG_4, random_chance(f->random, 60) ? BPF_ANY : random_between(f->random, 0, 2));
                emit_helper(f, BPF_FUNC_map_update_elem);
        }
        reserve_area(f, key, spec->key_size, false);
}

void statement_map_delete(Function *f) {
        int map = pick_map(f, KEYED, false), key;

        if (map < 0 || (key = emit_key(f, &f->request->maps[map])) == 0)
                return;
        emit_map(f, BPF_REG_1, map);
        emit_stack_address(f, BPF_REG_2, key);
        emit_helper(f, BPF_FUNC_map_delete_elem);
}

void statement_queue(Function *f) {
        int map = pick_map(f, TYPE(BPF_MAP_TYPE_QUEUE) | TYPE(BPF_MAP_TYPE_STACK), false), value;
        unsigned size;

        if (map < 0)
                return;
        size = f->request->maps[map].value_size;
        value = pick_area(f, size);
        if (value == 0)
                return;
        fill_area(f, value, size);
        emit_map(f, BPF_REG_1, map);
        emit_stack_address(f, BPF_REG_2, value);
        switch (random_below(f->random, 3)) {
        case 0:
                emit_set(f, BPF_REG_3, random_chance(f->random, 50) ? BPF_EXIST : BPF_ANY);
                emit_helper(f, BPF_FUNC_map_push_elem);
                break;
        case 1: emit_helper(f, BPF_FUNC_map_pop_elem); break;
        case 2: emit_helper(f, BPF_FUNC_map_peek_elem); break;
        }
}

/* Variables, by their address. */
void statement_global(Function *f) {
        int map = pick_map(f, TYPE(BPF_MAP_TYPE_ARRAY), true), pointer;
        const MapSpec *spec;
        uint32_t off;

        if (map < 0)
                return;
        pointer = take_pointer(f, REGISTERS);
        if (pointer < 0)
                return;
        spec = &f->request->maps[map];
        off = 8 * random_below(f->random, spec->value_size / 8);
        emit_wide(f, (unsigned) pointer, BPF_PSEUDO_MAP_VALUE, map, (int32_t) off);
        emit_value_access(f, (unsigned) pointer, spec->value_size - off, !spec->frozen);
        release(f, pointer);
}

void statement_for_each(Function *f) {
        int map = pick_map(f,
                           ARRAYS | TYPE(BPF_MAP_TYPE_HASH) | TYPE(BPF_MAP_TYPE_LRU_HASH) |
                                   TYPE(BPF_MAP_TYPE_PERCPU_HASH),
                           false),
            area;
        Function *callback;

        if (map < 0 || (area = pick_area(f, CALLER_AREA)) == 0)
                return;
        callback = generate_function(f, FUNCTION_MAP_CALLBACK, map);
        if (!callback)
                return;
        f->stack_need = MAX2(f->stack_need, callback->stack_need);
        fill_area(f, area, CALLER_AREA);
        emit_map(f, BPF_REG_1, map);
        emit_function_address(f, BPF_REG_2, callback);
        emit_stack_address(f, BPF_REG_3, area);
        emit_set(f, BPF_REG_4, 0);
        emit_helper(f, BPF_FUNC_for_each_map_elem);
}
