/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model-fixture.h"

#define EDGE                                                                                                         \
        "{'programs': {'deny': {'object': 'deny.o'}, 'limit': {'object': 'limit.o'}},"                               \
        " 'chains': [{'interfaces': ['eth0'], 'hook': 'xdp', 'programs': ['deny', 'limit']}]}"

static void test_apply(void **state) {
        Fixture *fx = *state;

        fx_object(fx, "deny.o", "map:denied");
        fx_object(fx, "limit.o", "map:buckets");
        fx_link(fx, 2, "eth0");
        fx_start(fx);
        assert_string_equal(manager_state(fx->manager), "running");
        fx_must_apply(fx, "edge", EDGE);
        fx_expect(fx, "eth0", HOOK_XDP, "active deny,limit");
        fx_must_withdraw(fx, "edge");
        fx_expect(fx, "eth0", HOOK_XDP, "-");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                fx_test(test_apply),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
