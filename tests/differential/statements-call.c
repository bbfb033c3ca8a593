/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Helpers without effect, functions, callbacks, tail calls. */

#include "function.h"

/* All that these do for a program is to use up its registers, and a number that is the same for everybody on this
 * CPU. */
void statement_helper(Function *f) {
        static const int helpers[] = { BPF_FUNC_ktime_get_ns, BPF_FUNC_get_prandom_u32,
                                       BPF_FUNC_get_smp_processor_id };
        int helper = RANDOM_OF(f->random, helpers);

        emit_helper(f, helper);
        if (helper != BPF_FUNC_get_smp_processor_id)
                emit_set(f, BPF_REG_0, random_between(f->random, 0, 9));
}

static bool callable(const Function *f, const Function *callee) {
        if (!callee->complete || callee->level <= f->level || callee->stack_need > f->stack_left || callee->once)
                return false;
        return (callee->kind == FUNCTION_STATIC || callee->kind == FUNCTION_GLOBAL) &&
               (!callee->has_context || f->has_context);
}

/* One that is there already, or a new one. */
static Function *find_callee(Function *f) {
        Generator *generator = f->generator;
        Function *found = NULL;
        uint32_t n = 0;

        if (generator->n_functions == FUNCTIONS_MAX || random_chance(f->random, 40))
                for (size_t i = 0; i < generator->n_functions; i++)
                        if (callable(f, generator->functions[i]) && random_below(f->random, ++n) == 0)
                                found = generator->functions[i];
        if (!found && f->loops == 0)
                found = generate_function(
                        f, f->request->btf && random_chance(f->random, 35) ? FUNCTION_GLOBAL : FUNCTION_STATIC, -1);
        return found;
}

void statement_call(Function *f) {
        int area = pick_area(f, CALLER_AREA);
        Function *callee = area != 0 ? find_callee(f) : NULL;
        unsigned argument = BPF_REG_1;

        if (!callee)
                return;
        f->stack_need = MAX2(f->stack_need, callee->stack_need);
        f->once |= callee->once;
        if (callee->takes_stack)
                fill_area(f, area, CALLER_AREA);

        if (callee->has_context)
                emit_context(f, argument++);
        if (callee->takes_stack)
                emit_stack_address(f, argument++, area);
        for (unsigned i = 0; i < callee->n_arguments; i++, argument++)
                if ((f->state.numbers & CALLEE_SAVED) != 0 && random_chance(f->random, 70))
                        emit_move(f, argument, (unsigned) random_bit(f->random, f->state.numbers & CALLEE_SAVED));
                else
                        emit_set(f, argument, (int32_t) random_number(f->random));
        emit_call(f, callee);
}

void statement_bpf_loop(Function *f) {
        Function *callback;
        int area;

        if (!f->request->features->bpf_loop || !may_use_extras(f) || f->loops > 0)
                return;
        area = pick_area(f, CALLER_AREA);
        callback = area == 0 ? NULL : generate_function(f, FUNCTION_LOOP_CALLBACK, -1);
        if (!callback)
                return;
        f->stack_need = MAX2(f->stack_need, callback->stack_need);
        fill_area(f, area, CALLER_AREA);
        /* not 0: kernels stumble over a callback that is never called */
        emit_set(f, BPF_REG_1, random_between(f->random, 1, 6));
        emit_function_address(f, BPF_REG_2, callback);
        emit_stack_address(f, BPF_REG_3, area);
        emit_set(f, BPF_REG_4, 0);
        emit_helper(f, BPF_FUNC_loop);
}

/* Goes on where the entry is empty. In no function but main: where another one returns by something that is no exit
 * (a tail call, a load of classic BPF), verifiers (seen in 6.18) lose track of whose registers they follow back, and
 * write outside of their own memory. */
void statement_tail_call(Function *f) {
        if (f->request->jumps < 0 || f->loops > 0 || f->kind != FUNCTION_MAIN || f->generator->tail_calls_left == 0)
                return;
        f->generator->tail_calls_left--;
        if (random_chance(f->random, 70)) {
                emit_set(f, BPF_REG_3, random_between(f->random, 0, 4));
        } else {
                make_number(f, BPF_REG_3);
                emit(f, BPF_ALU64 | BPF_AND | BPF_K, BPF_REG_3, 0, 0, 3);
        }
        emit_context(f, BPF_REG_1);
        emit_wide(f, BPF_REG_2, BPF_PSEUDO_MAP_FD, f->request->jumps, 0);
        emit_helper(f, BPF_FUNC_tail_call);
        has_no_number(f, BPF_REG_0);
}
