/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The text for monitoring systems: what is told at which level, in what form, and how much of it. Whether all of it
 * is OpenMetrics is checked by a parser of its own on the bus (test-metrics.py); here every line is looked at.
 */
#include <regex.h>

#include "config-build.h"
#include "fake-internal.h"
#include "model-fixture.h"
#include "model/manager-internal.h"
#include "model/metrics.h"

#define PROGRAMS "'programs': {'a': {'object': 'a.o'}, 'b': {'object': 'b.o'}, 't': {'object': 't.o'}}"

static void world(Fixture *fx, const char *chains) {
        _cleanup_free_ char *text = NULL;

        fx_object(fx, "a.o", "map:ma map:mb");
        fx_object(fx, "b.o", "");
        fx_object(fx, "t.o", "tc");
        fx_start(fx);
        assert_true(asprintf(&text, "{" PROGRAMS ", 'chains': [%s]}", chains) >= 0);
        fx_must_apply(fx, "edge", text);
}

static int compare(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

/* Compiled for each text only, for there may be many lines. */
static void sample_compile(regex_t *regex) {
        const char *label = "[a-z]+=\"([^\"\\]|\\\\[n\"\\])*\"";
        _cleanup_free_ char *pattern = NULL;

        assert_true(asprintf(&pattern, "^[a-z_]+(\\{%s(,%s)*\\})? [0-9]+(\\.[0-9]+)?$", label, label) >= 0);
        assert_int_equal(regcomp(regex, pattern, REG_EXTENDED | REG_NOSUB), 0);
}

/* Headings in order, samples behind the headings of their family, no series twice, the end at the end. Returns how
 * many samples there are. */
static size_t check_form(const char *text) {
        _cleanup_free_ char *copy = strdup(text);
        char **series = NULL, *save = NULL, family[80] = "", type[16] = "";
        size_t n = 0;
        bool ended = false;
        regex_t regex;

        assert_non_null(copy);
        assert_true(endswith(text, "\n# EOF\n"));
        sample_compile(&regex);
        for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
                char **item, name[90], expected[90];

                assert_false(ended);
                if (streq(line, "# EOF")) {
                        ended = true;
                        continue;
                }
                if (startswith(line, "# TYPE ")) {
                        assert_int_equal(sscanf(line, "# TYPE %79s %15s", family, type), 2);
                        assert_true(streq(type, "gauge") || streq(type, "counter"));
                        assert_true(startswith(family, "bpfchain_") && !endswith(family, "_total"));
                        continue;
                }
                if (startswith(line, "# UNIT ")) {
                        char unit[32];

                        assert_int_equal(sscanf(line, "# UNIT %89s %31s", name, unit), 2);
                        assert_string_equal(name, family);
                        assert_true(endswith(family, unit));
                        continue;
                }
                if (startswith(line, "# HELP ")) {
                        assert_int_equal(sscanf(line, "# HELP %89s", name), 1);
                        assert_string_equal(name, family);
                        assert_null(strpbrk(line, "\"\\"));
                        assert_true(endswith(line, "."));
                        continue;
                }
                if (regexec(&regex, line, 0, NULL, 0) != 0)
                        fail_msg("\"%s\" is no sample", line);
                snprintf(name, sizeof(name), "%.*s", (int) strcspn(line, "{ "), line);
                snprintf(expected, sizeof(expected), "%s%s", family, streq(type, "counter") ? "_total" : "");
                assert_string_equal(name, expected);
                *strrchr(line, ' ') = '\0';
                item = ARRAY_APPEND(series, n);
                assert_non_null(item);
                *item = line;
        }
        assert_true(ended);
        qsort(series, n, sizeof(char *), compare);
        for (size_t i = 1; i < n; i++)
                if (streq(series[i - 1], series[i]))
                        fail_msg("%s is there twice", series[i]);
        free(series);
        regfree(&regex);
        return n;
}

static char *metrics_up_to(Fixture *fx, size_t size_max) {
        char *text = NULL;

        assert_int_equal(metrics_text(fx->manager, size_max, &text), 0);
        (void) check_form(text);
        return text;
}

static char *metrics(Fixture *fx) {
        return metrics_up_to(fx, METRICS_SIZE_MAX);
}

/* The line is there, in single quotes for double ones. */
static void expect(const char *text, const char *line) {
        _cleanup_free_ char *quoted = quotes(line), *whole = NULL;

        assert_true(asprintf(&whole, "\n%s\n", quoted) >= 0);
        if (!strstr(text, whole))
                fail_msg("no line \"%s\" in\n%s", quoted, text);
}

static void expect_none(const char *text, const char *part) {
        _cleanup_free_ char *quoted = quotes(part);

        if (strstr(text, quoted))
                fail_msg("\"%s\" is in\n%s", quoted, text);
}

static void test_empty(void **state) {
        _cleanup_free_ char *text = NULL;
        Fixture *fx = *state;

        fx_start(fx);
        text = metrics(fx);
        assert_non_null(startswith(text, "# TYPE bpfchain_build_info gauge\n"));
        expect(text, "bpfchain_build_info{version='" BPFCHAIN_VERSION "'} 1");
        expect(text, "bpfchain_generation 1");
        expect(text, "bpfchain_problems{severity='warning'} 0");
        expect(text, "bpfchain_problems{severity='error'} 0");
        expect(text, "bpfchain_metrics_omitted{kind='chains'} 0");
        expect(text, "bpfchain_metrics_omitted{kind='programs'} 0");
        expect(text, "bpfchain_metrics_unreadable 0");
        assert_int_equal(check_form(text), 7);
}

/* Cells of a row as the kernel has them: the program was met by 70 packets, 20 of them ended there. */
static void fill_row(uint64_t *row) {
        row[1] = 20; /* drop */
        row[2] = 50; /* pass */
        row[COUNTER_SEEN_BYTES] = 7000;
        row[COUNTER_ENDED + 1] = 20;
        row[COUNTER_ENDED_BYTES] = 2000;
}

static void test_levels(void **state) {
        Fixture *fx = *state;
        Chain *chain;

        fx_link(fx, 2, "eth0");
        world(fx, "{'interfaces': ['eth0'], 'hook': 'xdp', 'programs': ['a', 'b']}");
        chain = fx_chain(fx, "eth0", HOOK_XDP);
        fill_row(fake_counters(fx->fake, 2, HOOK_XDP, chain->slots[0].seat));
        fake_counters(fx->fake, 2, HOOK_XDP, chain->slots[1].seat)[COUNTER_ENDED + 2] = 50;
        fake_counters(fx->fake, 2, HOOK_XDP, chain->slots[1].seat)[COUNTER_ENDED_BYTES] = 5000;

        for (CounterLevel level = 0; level < _COUNTER_LEVEL_MAX; level++) {
                unsigned before = fake_count(fx->fake, FAKE_CHAIN_COUNTERS);
                _cleanup_free_ char *text = NULL;

                chain->counters = level;
                text = metrics(fx);
                expect(text, "bpfchain_chain_state{interface='eth0',hook='xdp',state='active'} 1");
                expect(text, "bpfchain_chain_state{interface='eth0',hook='xdp',state='waiting'} 0");
                expect(text, "bpfchain_chain_state{interface='eth0',hook='xdp',state='detached'} 0");
                if (level == COUNTER_LEVEL_OFF) {
                        /* Six states of the chain, seven lines about the service, the rest about programs. */
                        expect_none(text, "bpfchain_slot_info{");
                        expect_none(text, "bpfchain_chain_packets_total");
                        expect_none(text, "bpfchain_chain_programs{");
                        assert_int_equal(fake_count(fx->fake, FAKE_CHAIN_COUNTERS), before);
                        continue;
                }
                assert_int_equal(fake_count(fx->fake, FAKE_CHAIN_COUNTERS), before + 1);
                expect(text, "bpfchain_chain_packets_total{interface='eth0',hook='xdp'} 70");
                expect(text, "bpfchain_chain_bytes_total{interface='eth0',hook='xdp'} 7000");
                expect(text, "bpfchain_chain_programs{interface='eth0',hook='xdp'} 2");
                expect(text, "bpfchain_chain_generation{interface='eth0',hook='xdp'} 2");
                expect(text, "bpfchain_chain_instructions{interface='eth0',hook='xdp'} 100");
                expect(text, "bpfchain_chain_verified_instructions{interface='eth0',hook='xdp'} 200");
                expect(text,
                       "bpfchain_slot_info{interface='eth0',hook='xdp',program='a',position='1',form='called'} 1");
                expect(text,
                       "bpfchain_slot_info{interface='eth0',hook='xdp',program='b',position='2',form='called'} 1");
                expect(text, "bpfchain_slot_ended_packets_total{interface='eth0',hook='xdp',program='a',verdict='"
                             "drop'} 20");
                expect(text,
                       "bpfchain_slot_ended_packets_total{interface='eth0',hook='xdp',program='a',verdict='pass'} 0");
                expect(text, "bpfchain_slot_ended_packets_total{interface='eth0',hook='xdp',program='b',verdict='"
                             "pass'} 50");
                expect(text, "bpfchain_slot_ended_packets_total{interface='eth0',hook='xdp',program='b',verdict='"
                             "other'} 0");
                expect(text, "bpfchain_slot_ended_bytes_total{interface='eth0',hook='xdp',program='a'} 2000");
                expect(text,
                       level == COUNTER_LEVEL_ALL
                               ? "bpfchain_chain_info{interface='eth0',hook='xdp',mode='native',counters='all'} 1"
                               : "bpfchain_chain_info{interface='eth0',hook='xdp',mode='native',"
                                 "counters='verdicts'} 1");
                if (level == COUNTER_LEVEL_VERDICTS) {
                        expect_none(text, "bpfchain_slot_seen_packets_total");
                        expect_none(text, "bpfchain_slot_seen_bytes_total");
                        continue;
                }
                expect(text,
                       "bpfchain_slot_seen_packets_total{interface='eth0',hook='xdp',program='a',verdict='pass'} 50");
                expect(text,
                       "bpfchain_slot_seen_packets_total{interface='eth0',hook='xdp',program='a',verdict='drop'} 20");
                expect(text, "bpfchain_slot_seen_bytes_total{interface='eth0',hook='xdp',program='a'} 7000");
        }
}

static void test_tc_verdicts(void **state) {
        _cleanup_free_ char *text = NULL;
        Fixture *fx = *state;

        fx_link(fx, 2, "eth0");
        world(fx, "{'interfaces': ['eth0'], 'hook': 'tc-egress', 'programs': ['t']}");
        fx_send(fx, "eth0", HOOK_TC_EGRESS, "shot", 9);
        text = metrics(fx);
        expect(text,
               "bpfchain_slot_ended_packets_total{interface='eth0',hook='tc-egress',program='t',verdict='shot'} 9");
        expect(text,
               "bpfchain_slot_ended_packets_total{interface='eth0',hook='tc-egress',program='t',verdict='trap'} 0");
}

/* Programs that change their places keep their series: the place is not part of what names them. */
static void test_series_stay(void **state) {
        const char *line =
                "bpfchain_slot_ended_packets_total{interface='eth0',hook='xdp',program='a',verdict='drop'} 20";
        _cleanup_free_ char *before = NULL, *after = NULL;
        Fixture *fx = *state;
        uint64_t generation;

        fx_link(fx, 2, "eth0");
        world(fx, "{'interfaces': ['eth0'], 'hook': 'xdp', 'programs': ['a', 'b']}");
        fill_row(fake_counters(fx->fake, 2, HOOK_XDP, fx_chain(fx, "eth0", HOOK_XDP)->slots[0].seat));
        before = metrics(fx);
        expect(before, line);
        assert_int_equal(manager_chain_move(fx->manager, fx_chain(fx, "eth0", HOOK_XDP), "a", "last", &fx->options,
                                            &generation, &fx->error),
                         0);
        after = metrics(fx);
        expect(after, line);
        expect(after, "bpfchain_slot_info{interface='eth0',hook='xdp',program='a',position='2',form='called'} 1");
}

static void test_nothing_attached(void **state) {
        _cleanup_free_ char *text = NULL;
        Fixture *fx = *state;

        fx_link(fx, 2, "eth0");
        fake_set_foreign(fx->fake, 2, HOOK_XDP, "another");
        world(fx, "{'interfaces': ['eth0', 'eth9'], 'hook': 'xdp', 'programs': ['a']}");
        text = metrics(fx);
        expect(text, "bpfchain_chain_state{interface='eth0',hook='xdp',state='conflict'} 1");
        expect(text, "bpfchain_chain_state{interface='eth9',hook='xdp',state='waiting'} 1");
        expect(text, "bpfchain_chain_info{interface='eth9',hook='xdp',mode='none',counters='verdicts'} 1");
        expect(text, "bpfchain_chain_programs{interface='eth9',hook='xdp'} 1");
        expect(text, "bpfchain_problems{severity='error'} 1");
        expect(text, "bpfchain_metrics_unreadable 0");
        expect_none(text, "packets_total{");
        expect_none(text, "chain_runs_total{");
}

static void test_unreadable(void **state) {
        _cleanup_free_ char *text = NULL;
        Fixture *fx = *state;

        fx_link(fx, 2, "eth0");
        world(fx, "{'interfaces': ['eth0'], 'hook': 'xdp', 'programs': ['a']}");
        fake_fail_always(fx->fake, FAKE_CHAIN_COUNTERS, -EPERM);
        text = metrics(fx);
        expect(text, "bpfchain_metrics_unreadable 1");
        expect(text, "bpfchain_chain_state{interface='eth0',hook='xdp',state='active'} 1");
        expect(text, "bpfchain_slot_info{interface='eth0',hook='xdp',program='a',position='1',form='called'} 1");
        expect_none(text, "packets_total{");
        expect_none(text, "bytes_total{");
}

static int run_time_error;

static int fake_run_time(void *userdata, KernelAttachment *attachment, uint64_t *ret_count, uint64_t *ret_nsec) {
        assert_true(attachment->alive);
        if (run_time_error < 0)
                return run_time_error;
        *ret_count = UINT64_MAX;
        *ret_nsec = UINT64_C(12000000345);
        return 0;
}

static void test_run_time(void **state) {
        _cleanup_free_ char *kept = NULL, *without = NULL;
        KernelOps ops = fake_kernel_ops;
        Fixture *fx = *state;

        fx_link(fx, 2, "eth0");
        world(fx, "{'interfaces': ['eth0'], 'hook': 'xdp', 'programs': ['a']}");
        ops.chain_run_time = fake_run_time;
        fx->manager->ops = &ops;
        run_time_error = 0;
        kept = metrics(fx);
        run_time_error = -ENODATA;
        without = metrics(fx);
        fx->manager->ops = &fake_kernel_ops;

        expect(kept, "bpfchain_chain_runs_total{interface='eth0',hook='xdp'} 18446744073709551615");
        expect(kept, "bpfchain_chain_run_time_seconds_total{interface='eth0',hook='xdp'} 12.000000345");
        expect_none(without, "bpfchain_chain_runs_total{");
        expect_none(without, "bpfchain_chain_run_time_seconds_total{");
}

static void test_programs(void **state) {
        _cleanup_free_ char *text = NULL;
        Fixture *fx = *state;
        Program *program;

        fx_link(fx, 2, "eth0");
        world(fx, "{'interfaces': ['eth0'], 'hook': 'xdp', 'programs': ['a']}");
        program = manager_get_program(fx->manager, "a");
        program->info.states_total = 17;
        program->info.stack_depth = 48;
        program->info.load_usec = 1002003;
        program->loaded_at = UINT64_C(1700000000000001);
        program->info.maps[0].max_entries = 4096;
        program->info.maps[1].internal = true;
        text = metrics(fx);
        expect(text, "bpfchain_program_instructions{program='a'} 10");
        expect(text, "bpfchain_program_verified_instructions{program='a'} 20");
        expect(text, "bpfchain_program_verifier_states{program='a'} 17");
        expect(text, "bpfchain_program_stack_bytes{program='a'} 48");
        expect(text, "bpfchain_program_load_seconds{program='a'} 1.002003");
        expect(text, "bpfchain_program_loaded_timestamp_seconds{program='a'} 1700000000.000001");
        expect(text, "bpfchain_map_max_entries{program='a',map='ma',type='hash'} 4096");
        expect_none(text, "map='mb'");
        expect_none(text, "{program='b'}"); /* defined, never loaded: there is nothing to tell */
}

/* Names that interfaces can have: they become labels that both formats take, and stay different from each other. */
static void test_escaping(void **state) {
        static const struct {
                const char *name, *label;
        } names[] = {
                { "plain0", "plain0" },
                { "q\"uote", "q\\\"uote" },
                { "back\\slash", "back\\\\slash" },
                { "end\\", "end\\\\" },
                { "\\xff", "\\\\x5cxff" },
                { "\xff", "\\\\xff" },
                { "\xfe", "\\\\xfe" },
                { "cut\xc3", "cut\\\\xc3" },
                { "\xed\xa0\x80", "\\\\xed\\\\xa0\\\\x80" },
                { "\xc3\xbc", "\xc3\xbc" },
                { "esc\033[1m", "esc\\\\x1b[1m" },
                { "del\x7f", "del\\\\x7f" },
                { "line\nfeed", "line\\nfeed" },
                { "return\rx", "return\\\\x0dx" },
                { "a,b}={", "a,b}={" },
                { "#x", "#x" },
        };
        _cleanup_free_ char *text = NULL;
        Fixture *fx = *state;

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                fx_link(fx, 10 + (int) i, names[i].name);
        world(fx, "{'interfaces': ['*'], 'hook': 'xdp', 'programs': ['a']}");
        assert_int_equal(manager_chains(fx->manager)->n, ELEMENTSOF(names));
        text = metrics(fx); /* no series is there twice */
        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                _cleanup_free_ char *line = NULL;

                assert_true(asprintf(&line, "\nbpfchain_chain_programs{interface=\"%s\",hook=\"xdp\"} 1\n",
                                     names[i].label) >= 0);
                if (!strstr(text, line))
                        fail_msg("no%s in\n%s", line, text);
        }
}

/* Chains that nobody made: waiting, with the same two programs. */
static void add_chains(Fixture *fx, unsigned n) {
        for (unsigned i = 0; i < n; i++) {
                char name[16];
                Chain *chain;

                snprintf(name, sizeof(name), "v%u", i);
                chain = chain_new(name, HOOK_XDP);
                assert_non_null(chain);
                chain->state = CHAIN_STATE_WAITING;
                chain->n_slots = 2;
                chain->slots = calloc(2, sizeof(Slot));
                chain->slots[0].program = strdup("a");
                chain->slots[1].program = strdup("b");
                assert_int_equal(table_add(&fx->manager->chains, chain), 0);
        }
}

static void test_many(void **state) {
        _cleanup_free_ char *all = NULL;
        Fixture *fx = *state;
        unsigned n_shown[2] = {};

        fx_start(fx);
        add_chains(fx, 5000);
        all = metrics(fx);
        assert_int_equal(check_form(all), 7 + 5000 * (6 + 1 + 1 + 1 + 2));
        expect(all, "bpfchain_metrics_omitted{kind='chains'} 0");

        /* With less room there are fewer chains, those from the front, each with all of its lines. */
        for (unsigned i = 0; i < 2; i++) {
                size_t size_max = i == 0 ? strlen(all) / 2 : strlen(all) / 10;
                _cleanup_free_ char *text = metrics_up_to(fx, size_max), *line = NULL;
                size_t n = check_form(text);

                assert_true(strlen(text) <= size_max + 512); /* the last words and the end */
                assert_true(strlen(text) > size_max - 2048);
                assert_int_equal((n - 7) % (6 + 1 + 1 + 1 + 2), 0);
                n_shown[i] = (unsigned) (n - 7) / (6 + 1 + 1 + 1 + 2);
                assert_true(asprintf(&line, "bpfchain_metrics_omitted{kind='chains'} %u", 5000 - n_shown[i]) >= 0);
                expect(text, line);
                expect(text, "bpfchain_chain_state{interface='v0',hook='xdp',state='waiting'} 1");
        }
        assert_true(n_shown[0] > n_shown[1] && n_shown[1] > 100);
}

static void test_no_room(void **state) {
        _cleanup_free_ char *text = NULL;
        Fixture *fx = *state;

        fx_link(fx, 2, "eth0");
        world(fx, "{'interfaces': ['eth0'], 'hook': 'xdp', 'programs': ['a']}");
        text = metrics_up_to(fx, 0);
        expect(text, "bpfchain_metrics_omitted{kind='chains'} 1");
        expect(text, "bpfchain_metrics_omitted{kind='programs'} 3");
        expect(text, "bpfchain_generation 2");
        expect(text, "bpfchain_metrics_unreadable 0");
        expect_none(text, "eth0");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                fx_test(test_empty),       fx_test(test_levels),           fx_test(test_tc_verdicts),
                fx_test(test_series_stay), fx_test(test_nothing_attached), fx_test(test_unreadable),
                fx_test(test_run_time),    fx_test(test_programs),         fx_test(test_escaping),
                fx_test(test_many),        fx_test(test_no_room),
        };

        return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
