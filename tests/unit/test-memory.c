/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The n-th allocation of the service's own code fails, for each n. Up to the point from where nothing goes back, a
 * change that fails so leaves all as it was; after it, what runs is what was wanted, and another service takes it up.
 * In no case is there a crash, a leak or a misuse of the kernel layer.
 */
#include "fail-memory.h"
#include "fake-internal.h"
#include "model-fixture.h"
#include "model/metrics.h"
#include "model/simulate.h"

static unsigned long n_allocations, fail_at;
static bool armed, failed;

bool memory_fails(void) {
        if (!armed || fake_quiet > 0)
                return false;
        n_allocations++;
        if (n_allocations != fail_at)
                return false;
        failed = true;
        errno = ENOMEM;
        return true;
}

static const char first[] =
        "{\"programs\": {\"a\": {\"object\": \"a.o\", \"maps\": {\"m\": [{\"key\": 1, \"value\": 1}]}},"
        " \"b\": {\"object\": \"b.o\", \"globals\": {\"x\": 1}, \"type\": \"xdp\", \"description\": \"d\"}},"
        " \"chains\": [{\"interfaces\": [\"eth*\", \"lan0\"], \"hook\": \"xdp\", \"programs\": [\"a\", {\"use\": "
        "\"b\","
        " \"proceed-on\": [\"pass\", \"tx\"]}], \"sequence\": [\"b\", \"a\"], \"without\": [\"z\"]}]}";

static const char second[] =
        "{\"programs\": {\"a\": {\"object\": \"a.o\", \"maps\": {\"m\": [{\"key\": 2, \"value\": 1}]}},"
        " \"c\": {\"object\": \"b.o\"}},"
        " \"chains\": [{\"interfaces\": [\"eth0\", \"eth1\"], \"hook\": \"xdp\", \"mode\": \"generic\", "
        " \"programs\": [\"c\", \"a\"]}]}";

static void world(Fixture *fx) {
        fx_object(fx, "a.o", "map:m");
        fx_object(fx, "b.o", "map:n");
        fx_link(fx, 2, "eth0");
        fx_link(fx, 3, "eth1");
        fx_altname(fx, 3, "uplink");
        fx_start(fx);
}

static void world_with_first(Fixture *fx) {
        world(fx);
        fx_must_apply(fx, "edge", first);
}

static int apply(Fixture *fx, const char *text) {
        return manager_apply(fx->manager, "edge", text, &fx->options, &fx->generation, &fx->report, &fx->error);
}

static int apply_first(Fixture *fx) {
        return apply(fx, first);
}

static int apply_second(Fixture *fx) {
        return apply(fx, second);
}

static int withdraw(Fixture *fx) {
        return manager_withdraw(fx->manager, "edge", &fx->options, &fx->generation, &fx->error);
}

static int reload(Fixture *fx) {
        return manager_reload(fx->manager, &fx->options, &fx->generation, &fx->error);
}

static void world_to_reload(Fixture *fx) {
        world_with_first(fx);
        fx_write(fx, LAYER_ADMIN, "edge", second);
        fx_write(fx, LAYER_ADMIN, "bad", "{");
        fx_write(fx, LAYER_VENDOR, "edge", first);
}

static int insert(Fixture *fx) {
        Chain *chain;

        fake_quiet++;
        chain = fx_chain(fx, "eth1", HOOK_XDP);
        fake_quiet--;
        return manager_chain_insert(fx->manager, chain, "b", "first", &fx->options, &fx->generation, &fx->error);
}

static void world_to_insert(Fixture *fx) {
        world_with_first(fx);
        assert_int_equal(manager_chain_remove(fx->manager, fx_chain(fx, "eth1", HOOK_XDP), "b", &fx->options,
                                              &fx->generation, &fx->error),
                         0);
}

static int roll_back(Fixture *fx) {
        return manager_rollback(fx->manager, manager_generation(fx->manager), &fx->generation, &fx->error);
}

static void world_to_roll_back(Fixture *fx) {
        world_with_first(fx);
        fx_must_apply(fx, "edge", second);
}

/* To its end. */
static int simulate(Fixture *fx, Simulation *simulation) {
        int r;

        do
                r = simulation_work(simulation, 1000000, &fx->error);
        while (r > 0);
        if (r == 0) {
                free(fx->report);
                fx->report = simulation_report(simulation);
                r = fx->report ? 0 : -ENOMEM;
        }
        simulation_free(simulation);
        return r;
}

static SimulateRequest packet_request(void) {
        static const uint8_t frame[64];
        static const SimulatePacket packets[] = { { frame, 60 }, { frame, 64 } };

        return (SimulateRequest){ .packets = packets, .n_packets = ELEMENTSOF(packets), .contents = true };
}

static int simulate_chain(Fixture *fx) {
        SimulateRequest request = packet_request();
        Simulation *simulation = NULL;
        Chain *chain;
        int r;

        fake_quiet++;
        chain = fx_chain(fx, "eth0", HOOK_XDP);
        fake_quiet--;
        r = simulation_new_chain(fx->manager, chain, &request, &simulation, &fx->error);
        return r < 0 ? r : simulate(fx, simulation);
}

static int simulate_second(Fixture *fx) {
        SimulateRequest request = packet_request();
        Simulation *simulation = NULL;
        int r;

        r = simulation_new_document(fx->manager, "edge", second, &fx->options, &request, &simulation, &fx->error);
        return r < 0 ? r : simulate(fx, simulation);
}

/* Its programs are taken over, so that they must be loaded for it. */
static void world_after_restart(Fixture *fx) {
        world_with_first(fx);
        fx_kill(fx);
        fx_start(fx);
}

typedef struct Story {
        void (*before)(Fixture *fx);
        int (*change)(Fixture *fx);
        bool small; /* with few allocations */
} Story;

static bool run(const Story *story, unsigned long n) {
        _cleanup_free_ char *before = NULL;
        void *state = NULL;
        Fixture *fx;
        bool hit;
        int r;

        assert_int_equal(fx_set_up(&state), 0);
        fx = state;
        story->before(fx);
        before = fx_picture(fx);
        fake_log_clear(fx->fake);
        free(TAKE_PTR(fx->report));

        n_allocations = 0;
        fail_at = n;
        failed = false;
        armed = true;
        r = story->change(fx);
        armed = false;
        hit = failed;

        if (r < 0) {
                assert_true(hit);
                if (fake_count(fx->fake, FAKE_CHAIN_RELEASE) == 0 && fake_count(fx->fake, FAKE_CHAIN_DETACH) == 0)
                        fx_check_picture(fx, before);
        }
        /* Another service brings it to an end. */
        fx_kill(fx);
        fx_start(fx);
        assert_int_equal(fx_tear_down(&state), 0);
        return hit;
}

static void run_story(const Story *story) {
        unsigned long n = 1;

        /* The first ones all, later ones here and there: they are often of the same kind. */
        while (run(story, n))
                n += n < 100 ? 1 : n < 1000 ? 7 : 31;
        assert_true(n > (story->small ? 10 : 50));
}

static void test_apply(void **state) {
        run_story(&(Story){ world, apply_first });
}

static void test_change(void **state) {
        run_story(&(Story){ world_with_first, apply_second });
}

static void test_withdraw(void **state) {
        run_story(&(Story){ world_with_first, withdraw });
}

static void test_reload(void **state) {
        run_story(&(Story){ world_to_reload, reload });
}

static void test_insert(void **state) {
        run_story(&(Story){ world_to_insert, insert });
}

static void test_roll_back(void **state) {
        run_story(&(Story){ world_to_roll_back, roll_back });
}

static void test_simulate(void **state) {
        run_story(&(Story){ world_after_restart, simulate_chain, .small = true });
}

static void test_simulate_change(void **state) {
        run_story(&(Story){ world_after_restart, simulate_second });
}

/* A start that fails leaves what runs. */
static void test_start(void **state) {
        Fixture *fx = *state;

        world_with_first(fx);
        for (unsigned long n = 1; n == 1 || failed; n += n < 100 ? 1 : 7) {
                _cleanup_free_ char *before = fake_dump(fx->fake), *after = NULL;
                Manager *manager = NULL;
                int r;

                fx_kill(fx);
                n_allocations = 0;
                fail_at = n;
                failed = false;
                armed = true;
                r = manager_new(&fx->paths, &fake_kernel_ops, fx->fake, NULL, NULL, &manager);
                if (r >= 0)
                        r = manager_load(manager);
                for (size_t i = 0; r >= 0 && i < fx->n_links; i++)
                        r = manager_link_changed(manager, &fx->links[i]);
                if (r >= 0)
                        (void) manager_reconcile(manager);
                armed = false;
                assert_true(r >= 0 || failed);
                if (r < 0) {
                        after = fake_dump(fx->fake);
                        assert_string_equal(after, before);
                }
                manager_free(manager);
                fx_start(fx);
                fx_expect(fx, "eth0", HOOK_XDP, "active b,a");
                fx_expect(fx, "eth1", HOOK_XDP, "active b,a");
        }
}

/* Half a text is none; counters that could not be read for lack of memory are told as such. */
static void test_metrics(void **state) {
        Fixture *fx = *state;

        world_with_first(fx);
        for (unsigned long n = 1; n == 1 || failed; n++) {
                char *text = NULL;
                int r;

                n_allocations = 0;
                fail_at = n;
                failed = false;
                armed = true;
                r = metrics_text(fx->manager, METRICS_SIZE_MAX, &text);
                armed = false;
                assert_true(r == 0 || (r == -ENOMEM && failed && !text));
                if (r == 0) {
                        assert_non_null(endswith(text, "# EOF\n"));
                        assert_int_equal(failed, strstr(text, "\nbpfchain_metrics_unreadable 1\n") != NULL);
                }
                assert_true(failed || n > 20);
                free(text);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_apply),
                cmocka_unit_test(test_change),
                cmocka_unit_test(test_withdraw),
                cmocka_unit_test(test_reload),
                cmocka_unit_test(test_insert),
                cmocka_unit_test(test_roll_back),
                cmocka_unit_test(test_simulate),
                cmocka_unit_test(test_simulate_change),
                fx_test(test_start),
                fx_test(test_metrics),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
