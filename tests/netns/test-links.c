/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs those above */
#include <cmocka.h>

#include "kernel/links.h"
#include "netns.h"

#define SEEN_MAX 4096

/* What the handlers were told. The model that a user of Links would build: a set of ifindexes with records. */
typedef struct Watch {
        Links *links;
        LinkRecord known[SEEN_MAX];
        size_t n_known;
        unsigned appeared, changed, vanished, resynced;
} Watch;

static LinkRecord *watch_find(Watch *watch, int ifindex) {
        for (size_t i = 0; i < watch->n_known; i++)
                if (watch->known[i].ifindex == ifindex)
                        return &watch->known[i];
        return NULL;
}

static LinkRecord *watch_name(Watch *watch, const char *name) {
        for (size_t i = 0; i < watch->n_known; i++)
                if (link_record_matches(&watch->known[i], name))
                        return &watch->known[i];
        return NULL;
}

static void on_appeared(const LinkRecord *record, void *userdata) {
        Watch *watch = userdata;

        assert_null(watch_find(watch, record->ifindex));
        assert_true(watch->n_known < SEEN_MAX);
        assert_int_equal(link_record_copy(record, &watch->known[watch->n_known]), 0);
        watch->n_known++;
        watch->appeared++;
}

static void on_changed(const LinkRecord *record, void *userdata) {
        Watch *watch = userdata;
        LinkRecord *known = watch_find(watch, record->ifindex);

        assert_non_null(known);
        assert_false(link_record_equal(known, record));
        link_record_done(known);
        assert_int_equal(link_record_copy(record, known), 0);
        watch->changed++;
}

static void on_vanished(int ifindex, void *userdata) {
        Watch *watch = userdata;
        LinkRecord *known = watch_find(watch, ifindex);

        assert_non_null(known);
        link_record_done(known);
        *known = watch->known[--watch->n_known];
        watch->vanished++;
}

static void on_resynced(void *userdata) {
        Watch *watch = userdata;

        watch->resynced++;
}

static Watch *watch_new(int receive_buffer) {
        Watch *watch = calloc(1, sizeof(*watch));
        LinksHandlers handlers = {
                .appeared = on_appeared,
                .changed = on_changed,
                .vanished = on_vanished,
                .resynced = on_resynced,
                .userdata = watch,
        };

        assert_non_null(watch);
        assert_int_equal(links_new(receive_buffer, &handlers, &watch->links), 0);
        assert_true(links_needs_retry(watch->links));
        assert_int_equal(links_resync(watch->links), 0);
        assert_false(links_needs_retry(watch->links));
        return watch;
}

static void watch_free(Watch *watch) {
        for (size_t i = 0; i < watch->n_known; i++)
                link_record_done(&watch->known[i]);
        links_free(watch->links);
        free(watch);
}

/* Handles all that has come in. The kernel sends events before the request that caused them is answered. */
static void watch_settle(Watch *watch) {
        struct pollfd p = { .fd = links_fd(watch->links), .events = POLLIN };

        while (poll(&p, 1, 0) > 0)
                assert_int_equal(links_process(watch->links), 0);
}

/* Compares what the handlers built with a fresh dump of the kernel's. */
static void assert_in_step(Watch *watch) {
        Watch *fresh = watch_new(0);

        assert_int_equal(watch->n_known, fresh->n_known);
        assert_int_equal(links_count(watch->links), fresh->n_known);
        for (size_t i = 0; i < fresh->n_known; i++) {
                const LinkRecord *known = watch_find(watch, fresh->known[i].ifindex);

                assert_non_null(known);
                assert_true(link_record_equal(known, &fresh->known[i]));
                assert_true(link_record_equal(links_get(watch->links, known->ifindex), known));
        }
        watch_free(fresh);
}

/* Not by /sys, which shows the namespace that it was mounted in. */
static int clear(void **state) {
        return run_quietly("for i in $(ip -o link | sed -n 's/^[0-9]*: \\(bct-[^:@]*\\).*/\\1/p'); do "
                           "ip link del \"$i\" 2>/dev/null; done; true");
}

static void test_first_dump(void **state) {
        unsigned fds = count_fds();
        Watch *watch = watch_new(0);
        const LinkRecord *lo = watch_name(watch, "lo");

        assert_non_null(lo);
        assert_int_equal(lo->ifindex, 1);
        assert_true(link_record_up(lo));
        assert_int_equal(lo->mtu, 65536);
        assert_int_equal(links_process(watch->links), 0);
        assert_int_equal(watch->appeared, watch->n_known);
        watch_free(watch);
        assert_int_equal(count_fds(), fds);
}

static void test_kinds(void **state) {
        Watch *watch = watch_new(0);
        const LinkRecord *a, *b;

        /* The event of a new veth does not name the peer yet, that of its going up does. */
        run("ip link add bct-a type veth peer name bct-b && ip link set bct-a up && ip link set bct-b up");
        run("ip link add bct-bridge type bridge");
        run("ip link set bct-a master bct-bridge");
        run("ip tuntap add dev bct-tun mode tun && ip tuntap add dev bct-tap mode tap");
        run("ip link add bct-plain type $PLAIN");
        watch_settle(watch);

        a = watch_name(watch, "bct-a");
        b = watch_name(watch, "bct-b");
        assert_string_equal(a->kind, "veth");
        assert_int_equal(a->lower, b->ifindex);
        assert_int_equal(b->lower, a->ifindex);
        assert_string_equal(watch_name(watch, "bct-bridge")->kind, "bridge");
        assert_int_equal(a->master, watch_name(watch, "bct-bridge")->ifindex);
        assert_int_equal(b->master, 0);
        assert_string_equal(watch_name(watch, "bct-tun")->kind, "tun");
        assert_string_equal(watch_name(watch, "bct-tap")->kind, "tun");
        assert_string_equal(watch_name(watch, "bct-plain")->kind, getenv("PLAIN"));
        assert_in_step(watch);
        watch_free(watch);
}

static void test_bond_and_vlan(void **state) {
        Watch *watch = watch_new(0);
        const LinkRecord *port, *vlan;

        if (run_quietly(
                    "ip link add bct-bond type bond 2>/dev/null && ip link add bct-a type veth peer name bct-b && "
                    "ip link add link bct-b name bct-vlan type vlan id 7 2>/dev/null") != 0) {
                print_message("SKIP: this kernel has no bond or VLAN interfaces\n");
                watch_free(watch);
                skip();
        }
        run("ip link set bct-a master bct-bond");
        watch_settle(watch);
        port = watch_name(watch, "bct-a");
        vlan = watch_name(watch, "bct-vlan");
        assert_string_equal(watch_name(watch, "bct-bond")->kind, "bond");
        assert_int_equal(port->master, watch_name(watch, "bct-bond")->ifindex);
        assert_string_equal(vlan->kind, "vlan");
        assert_int_equal(vlan->lower, watch_name(watch, "bct-b")->ifindex);
        assert_in_step(watch);
        watch_free(watch);
}

static void test_changes(void **state) {
        Watch *watch = watch_new(0);
        int ifindex;

        run("ip link add bct-one type $PLAIN");
        watch_settle(watch);
        ifindex = watch_name(watch, "bct-one")->ifindex;
        assert_false(link_record_up(watch_find(watch, ifindex)));

        run("ip link set bct-one up mtu 1400");
        watch_settle(watch);
        assert_true(link_record_up(watch_find(watch, ifindex)));
        assert_int_equal(watch_find(watch, ifindex)->mtu, 1400);

        run("ip link set bct-one down && ip link set bct-one name bct-two && ip link set bct-two up");
        watch_settle(watch);
        assert_null(watch_name(watch, "bct-one"));
        assert_int_equal(watch_name(watch, "bct-two")->ifindex, ifindex);

        run("ip link property add dev bct-two altname bct-other altname bct-an-alternative-name-that-is-long");
        watch_settle(watch);
        assert_int_equal(watch_name(watch, "bct-other")->ifindex, ifindex);
        assert_int_equal(watch_name(watch, "bct-an-alt*-long")->ifindex, ifindex);
        run("ip link property del dev bct-two altname bct-other");
        watch_settle(watch);
        assert_null(watch_name(watch, "bct-other"));
        assert_int_equal(watch->vanished, 0);

        run("ip link del bct-two");
        watch_settle(watch);
        assert_null(watch_find(watch, ifindex));
        assert_int_equal(watch->vanished, 1);

        /* The same name again has another index; and the same index can be another interface. */
        run("ip link add bct-two type $PLAIN");
        watch_settle(watch);
        assert_int_not_equal(watch_name(watch, "bct-two")->ifindex, ifindex);
        run("ip link add bct-three index %d type $PLAIN", ifindex);
        watch_settle(watch);
        assert_int_equal(watch_name(watch, "bct-three")->ifindex, ifindex);
        assert_in_step(watch);
        watch_free(watch);
}

/* What says nothing new calls no handler. */
static void test_quiet(void **state) {
        Watch *watch = watch_new(0);
        unsigned changed;

        run("ip link add bct-q type $PLAIN");
        watch_settle(watch);
        changed = watch->changed;
        run("ip link set bct-q alias nothing-that-counts");
        watch_settle(watch);
        assert_int_equal(watch->changed, changed);
        assert_int_equal(links_resync(watch->links), 0);
        assert_int_equal(watch->changed, changed);
        assert_int_equal(watch->resynced, 0);
        watch_free(watch);
}

/* A port that leaves its bridge sends RTM_DELLINK with the family AF_BRIDGE: the interface is still there. */
static void test_bridge_port(void **state) {
        Watch *watch = watch_new(0);
        int ifindex;

        run("ip link add bct-bridge type bridge && ip link add bct-port type $PLAIN");
        watch_settle(watch);
        ifindex = watch_name(watch, "bct-port")->ifindex;
        run("ip link set bct-port master bct-bridge up");
        watch_settle(watch);
        assert_int_equal(watch_find(watch, ifindex)->master, watch_name(watch, "bct-bridge")->ifindex);
        run("ip link set bct-port nomaster");
        watch_settle(watch);
        assert_int_equal(watch->vanished, 0);
        assert_int_equal(watch_find(watch, ifindex)->master, 0);
        assert_in_step(watch);
        watch_free(watch);
}

static void test_other_namespace(void **state) {
        Watch *watch = watch_new(0);
        int ifindex;

        run("ip link add bct-v type veth peer name bct-w && ip link add bct-away type $PLAIN");
        watch_settle(watch);
        ifindex = watch_name(watch, "bct-away")->ifindex;

        /* A namespace that lives as long as the process behind the pipe. */
        FILE *sleeper = popen("exec unshare --net sh -c 'echo $$; exec sleep 60' 2>/dev/null", "r");
        int pid = 0;

        assert_non_null(sleeper);
        assert_int_equal(fscanf(sleeper, "%d", &pid), 1);
        run("ip link set bct-away netns %d && ip link set bct-w netns %d", pid, pid);
        watch_settle(watch);
        assert_null(watch_find(watch, ifindex));
        assert_null(watch_name(watch, "bct-w"));
        /* The peer's index counts in the other namespace now; that alone makes no event. */
        run("ip link set bct-v up");
        watch_settle(watch);
        assert_int_equal(watch_name(watch, "bct-v")->lower, 0);
        assert_in_step(watch);

        run("nsenter --net=/proc/%d/ns/net ip link set bct-away netns %d", pid, (int) getpid());
        watch_settle(watch);
        assert_non_null(watch_name(watch, "bct-away"));
        kill(pid, SIGKILL);
        pclose(sleeper);
        watch_settle(watch);
        assert_in_step(watch);
        watch_free(watch);
}

static void test_many(void **state) {
        Watch *watch = watch_new(LINKS_RECEIVE_BUFFER_DEFAULT);

        for (int round = 0; round < 3; round++) {
                run("for i in $(seq 64); do echo link add bct-m$i type $PLAIN; echo link set bct-m$i up; done | "
                    "ip -batch -");
                watch_settle(watch);
                assert_in_step(watch);
                assert_true(watch->n_known >= 65);
                run("for i in $(seq 64); do echo link del bct-m$i; done | ip -batch -");
                watch_settle(watch);
                assert_in_step(watch);
        }
        assert_int_equal(watch->vanished, 3 * 64);
        assert_int_equal(watch->appeared, watch->vanished + watch->n_known);
        assert_int_equal(links_statistics(watch->links)->overruns, 0);
        assert_int_equal(links_statistics(watch->links)->malformed, 0);
        watch_free(watch);
}

/* A burst that a tiny receive buffer can't hold: nobody reads while interfaces come, change and go. */
static void test_overrun(void **state) {
        Watch *watch = watch_new(1);

        run("ip link add bct-stays type $PLAIN && ip link add bct-goes type $PLAIN && ip link add bct-old type "
            "$PLAIN");
        assert_int_equal(links_resync(watch->links), 0);

        run("for i in $(seq 64); do echo link add bct-o$i type $PLAIN; done | ip -batch -");
        run("ip link del bct-goes && ip link set bct-old name bct-new");
        run("for i in $(seq 1 2 64); do echo link del bct-o$i; done | ip -batch -");
        watch_settle(watch);

        assert_true(links_statistics(watch->links)->overruns > 0);
        assert_true(watch->resynced > 0);
        assert_false(links_needs_retry(watch->links));
        assert_null(watch_name(watch, "bct-goes"));
        assert_null(watch_name(watch, "bct-old"));
        assert_non_null(watch_name(watch, "bct-new"));
        assert_non_null(watch_name(watch, "bct-stays"));
        assert_in_step(watch);

        /* And events go on to come afterwards. */
        run("ip link add bct-after type $PLAIN");
        watch_settle(watch);
        assert_non_null(watch_name(watch, "bct-after"));
        assert_in_step(watch);
        watch_free(watch);
}

static atomic_bool storm_over;

static void *storm_run(void *userdata) {
        while (!atomic_load(&storm_over))
                if (run_quietly("for i in $(seq 40); do echo link add bct-storm type $PLAIN; "
                                "echo link del bct-storm; done | ip -batch -") != 0)
                        return "failed";
        return NULL;
}

/* Interfaces that come and go while a dump is under way make it inconsistent (NLM_F_DUMP_INTR). However long that
 * lasts, the call returns, and the state is right as soon as it is quiet. */
static void test_interrupted_dump(void **state) {
        Watch *watch = watch_new(LINKS_RECEIVE_BUFFER_DEFAULT);
        unsigned given_up = 0;
        pthread_t storm;
        void *result;

        run("for i in $(seq 128); do echo link add bct-d$i type $PLAIN; done | ip -batch -");
        atomic_store(&storm_over, false);
        assert_int_equal(pthread_create(&storm, NULL, storm_run, NULL), 0);

        for (unsigned i = 0; i < 3000 && links_statistics(watch->links)->interrupted < 20; i++) {
                int r = links_resync(watch->links);

                if (r == -EAGAIN) {
                        assert_true(links_needs_retry(watch->links));
                        given_up++;
                } else
                        assert_int_equal(r, 0);
                assert_int_equal(links_process(watch->links), 0);
        }

        atomic_store(&storm_over, true);
        pthread_join(storm, &result);
        assert_null(result);
        print_message("# %u dumps interrupted, %u calls gave up for the moment\n",
                      (unsigned) links_statistics(watch->links)->interrupted, given_up);
        assert_true(links_statistics(watch->links)->interrupted > 0);

        if (links_needs_retry(watch->links))
                assert_int_equal(links_resync(watch->links), 0);
        watch_settle(watch);
        assert_false(links_needs_retry(watch->links));
        assert_true(watch->n_known >= 129);
        assert_in_step(watch);
        watch_free(watch);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_first_dump, clear, clear),
                cmocka_unit_test_setup_teardown(test_kinds, clear, clear),
                cmocka_unit_test_setup_teardown(test_bond_and_vlan, clear, clear),
                cmocka_unit_test_setup_teardown(test_changes, clear, clear),
                cmocka_unit_test_setup_teardown(test_quiet, clear, clear),
                cmocka_unit_test_setup_teardown(test_bridge_port, clear, clear),
                cmocka_unit_test_setup_teardown(test_other_namespace, clear, clear),
                cmocka_unit_test_setup_teardown(test_many, clear, clear),
                cmocka_unit_test_setup_teardown(test_overrun, clear, clear),
                cmocka_unit_test_setup_teardown(test_interrupted_dump, clear, clear),
        };

        netns_enter();
        netns_choose_plain();
        return cmocka_run_group_tests_name("links", tests, NULL, NULL);
}
