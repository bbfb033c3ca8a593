/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Chains of random programs: fused they must do what they do one after the other. Reports as TAP.
 */

#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/resource.h>

#include "chain.h"
#include "kernel-features.h"
#include "mutate.h"
#include "util/clock.h"
#include "util/log.h"

#define CHAINS_DEFAULT  2000
#define MUTANTS_DEFAULT 60

/* In how many places each mutation is tried in a chain, and in how many chains of a hundred it must be found. */
#define MUTANT_PLACES 4
#define FOUND_PERCENT 8

/* Of all chains, this many in a hundred may be refused by the kernel although their programs load by themselves:
 * they can be too much for it together. */
#define REFUSED_PERCENT 3

/* Programs that the generator got wrong, in a thousand chains. */
#define BAD_PROGRAMS_PERMILLE 5

/* Chains that could not be followed to the end, in a thousand. */
#define STRANDED_PERMILLE 10

#define FAILURES_TOLD 3
#define REASONS_MAX   32

static struct {
        uint64_t chains;
        uint64_t seconds;
        uint64_t seed;
        uint64_t members; /* of a chain that is run again */
        uint32_t packets;
        uint64_t mutants;
        bool seed_given;
        bool forever;
        bool mutate_only;
        bool objects;
        bool verbose;
        bool show;
} arguments = { .chains = CHAINS_DEFAULT, .mutants = MUTANTS_DEFAULT, .members = UINT64_MAX, .packets = UINT32_MAX };

static struct {
        uint64_t chains;
        uint64_t outcomes[_OUTCOME_MAX];
        uint64_t members;
        uint64_t forms[_SLOT_FORM_MAX];
        uint64_t segmented;
        uint64_t packets;
        uint64_t whole_way;
        uint64_t runs;
        uint64_t insns;
        struct {
                char *text;
                uint64_t n;
        } reasons[REASONS_MAX];
        size_t n_reasons;
} totals;

static Features features;
static unsigned n_tests, n_failed;
static volatile sig_atomic_t stopped;

static void ok(bool good, const char *format, ...) _printf_(2, 3);

static void ok(bool good, const char *format, ...) {
        va_list ap;

        n_failed += !good;
        printf("%sok %u - ", good ? "" : "not ", ++n_tests);
        va_start(ap, format);
        vprintf(format, ap);
        va_end(ap);
        putchar('\n');
        fflush(stdout);
}

/* Text as comments. */
static void tell(const char *text) {
        while (*text) {
                size_t n = strcspn(text, "\n");

                printf("# %.*s\n", (int) n, text);
                text += n + (text[n] == '\n');
        }
        fflush(stdout);
}

/* Reasons are told apart by their words, whatever the figures and names in them. */
static void count_reason(const char *text) {
        char reason[160];
        size_t n = 0, i;

        for (; *text && *text != '\n' && n < sizeof(reason) - 1; text++)
                if (*text < '0' || *text > '9')
                        reason[n++] = *text;
        reason[n] = '\0';
        for (i = 0; i < totals.n_reasons && !streq(totals.reasons[i].text, reason);)
                i++;
        if (i == REASONS_MAX)
                return;
        if (i == totals.n_reasons) {
                totals.reasons[i].text = strdup(reason);
                totals.n_reasons++;
        }
        totals.reasons[i].n++;
}

static void count_attempt(const Plan *plan, const Attempt *attempt) {
        totals.outcomes[attempt->outcome]++;
        totals.members += attempt->n_members;
        totals.runs += attempt->runs;
        if (attempt->outcome == OUTCOME_SAME || attempt->outcome == OUTCOME_DIFFERENT) {
                totals.packets += plan->n_packets;
                totals.whole_way += attempt->n_proceeded;
                totals.segmented += attempt->info.n_segments > 1;
                totals.insns += attempt->info.insns;
                for (size_t i = 0; i < attempt->n_members; i++)
                        totals.forms[attempt->info.forms[i]]++;
        } else
                count_reason(strna(attempt->text));
}

/* Leaves out members and packets as long as the chain comes out the same way. */
static void shrink(const Plan *plan, Outcome outcome, Selection *selection) {
        bool progress = true;

        selection->members &= plan->n_members == 64 ? UINT64_MAX : (UINT64_C(1) << plan->n_members) - 1;
        selection->packets &= (UINT32_C(1) << plan->n_packets) - 1;
        while (progress) {
                progress = false;
                for (size_t i = 0; i < plan->n_members + plan->n_packets; i++) {
                        Selection less = *selection;
                        Attempt attempt;

                        if (i < plan->n_members)
                                less.members &= ~(UINT64_C(1) << i);
                        else
                                less.packets &= ~(UINT32_C(1) << (i - plan->n_members));
                        if (less.members == 0 ||
                            (less.members == selection->members && less.packets == selection->packets))
                                continue;
                        chain_try(plan, &less, NULL, &attempt);
                        if (attempt.outcome == outcome) {
                                *selection = less;
                                progress = true;
                        }
                        attempt_done(&attempt);
                }
        }
}

static void describe(const Plan *plan, const Selection *selection) {
        _cleanup_free_ char *text = NULL;
        size_t size = 0;
        FILE *f = open_memstream(&text, &size);

        if (!f)
                return;
        fprintf(f, "hook %s, counters %s, form limit %s, %zu members, %zu maps\n", hook_to_string(plan->hook),
                counter_level_to_string(plan->counters),
                plan->form_limit == SLOT_FORM_NONE ? "none" : slot_form_to_string(plan->form_limit), plan->n_members,
                plan->n_maps);
        for (size_t i = 0; i < plan->n_packets; i++)
                if (selection->packets & UINT32_C(1) << i) {
                        fprintf(f, "packet %zu: ", i);
                        packet_print(&plan->packets[i], f);
                }
        if (fclose(f) == 0 && text)
                tell(text);
}

/* A chain that must not have come out so: the smallest part of it that does, in full. */
static void report(const Plan *plan, const Attempt *attempt) {
        Selection selection = { arguments.members, arguments.packets };
        _cleanup_free_ char *text = NULL;
        size_t size = 0;
        Attempt again;
        FILE *dump;

        printf("# seed %" PRIu64 ":\n", plan->seed);
        tell(strna(attempt->text));
        shrink(plan, attempt->outcome, &selection);
        dump = open_memstream(&text, &size);
        if (!dump)
                return;
        chain_try(plan, &selection, dump, &again);
        (void) fclose(dump);

        printf("# shrunk: --seed %" PRIu64 " --members %#" PRIx64 " --packets %#x%s\n", plan->seed, selection.members,
               selection.packets, again.outcome == attempt->outcome ? "" : "; it does not come back each time");
        describe(plan, &selection);
        tell(strna(again.text));
        tell(strna(text));
        attempt_done(&again);
}

static void try_seed(uint64_t seed) {
        static unsigned told;
        _cleanup_(plan_freep) Plan *plan = NULL;
        Selection selection = { arguments.members, arguments.packets };
        Attempt attempt;
        int r;

        totals.chains++;
        r = plan_make(seed, &features, arguments.objects, &plan);
        if (r < 0) {
                printf("# seed %" PRIu64 ": no plan: %s\n", seed, strerror(-r));
                totals.outcomes[r == -ENOSPC ? OUTCOME_MEMBER_REFUSED : OUTCOME_TROUBLE]++;
                return;
        }
        if (arguments.show)
                return plan_print(plan, stdout);
        chain_try(plan, &selection, NULL, &attempt);
        count_attempt(plan, &attempt);
        if (arguments.verbose || (attempt.outcome != OUTCOME_SAME && attempt.outcome != OUTCOME_DIFFERENT))
                printf("# seed %" PRIu64 ": %u members, outcome %u: %.200s\n", seed, attempt.n_members,
                       attempt.outcome, strempty_to(attempt.text, "same"));
        if (attempt.outcome != OUTCOME_SAME &&
            (arguments.verbose || (attempt.outcome == OUTCOME_DIFFERENT && told < FAILURES_TOLD))) {
                told++;
                report(plan, &attempt);
        }
        attempt_done(&attempt);
}

static void tell_totals(uint64_t usec) {
        struct rusage usage;

        getrusage(RUSAGE_SELF, &usage);
        printf("# %" PRIu64 " chains of %" PRIu64 " members, %" PRIu64 " packets (%" PRIu64
               " came to the last member), %" PRIu64 " runs by themselves; %" PRIu64 " instructions fused\n",
               totals.chains, totals.members, totals.packets, totals.whole_way, totals.runs, totals.insns);
        printf("# forms: inlined %" PRIu64 ", global %" PRIu64 ", static %" PRIu64 ", slot %" PRIu64
               "; chains of several segments %" PRIu64 "\n",
               totals.forms[SLOT_FORM_INLINED], totals.forms[SLOT_FORM_GLOBAL], totals.forms[SLOT_FORM_STATIC],
               totals.forms[SLOT_FORM_SLOT], totals.segmented);
        printf("# same %" PRIu64 ", different %" PRIu64 ", refused %" PRIu64 ", programs refused %" PRIu64
               ", stranded %" PRIu64 ", trouble %" PRIu64 "\n",
               totals.outcomes[OUTCOME_SAME], totals.outcomes[OUTCOME_DIFFERENT], totals.outcomes[OUTCOME_REFUSED],
               totals.outcomes[OUTCOME_MEMBER_REFUSED], totals.outcomes[OUTCOME_STRANDED],
               totals.outcomes[OUTCOME_TROUBLE]);
        for (size_t i = 0; i < totals.n_reasons; i++)
                printf("#   %" PRIu64 " times: %s\n", totals.reasons[i].n, strna(totals.reasons[i].text));
        printf("# %.1f s, of these %.1f s in user space and %.1f s in the kernel\n", (double) usec / 1e6,
               (double) usage.ru_utime.tv_sec + (double) usage.ru_utime.tv_usec / 1e6,
               (double) usage.ru_stime.tv_sec + (double) usage.ru_stime.tv_usec / 1e6);
}

static void test_chains(void) {
        uint64_t started = usec_now(CLOCK_MONOTONIC), limit = arguments.seconds * 1000000;
        uint64_t compared;

        for (uint64_t i = 0; !stopped && (arguments.forever || i < arguments.chains); i++) {
                if (limit > 0 && usec_now(CLOCK_MONOTONIC) - started >= limit)
                        break;
                try_seed(arguments.seed + i);
        }
        tell_totals(usec_now(CLOCK_MONOTONIC) - started);
        compared = totals.outcomes[OUTCOME_SAME] + totals.outcomes[OUTCOME_DIFFERENT];
        ok(totals.outcomes[OUTCOME_DIFFERENT] == 0 && compared > 0,
           "%" PRIu64 " chains do fused what their programs do one after the other (%" PRIu64 " differ)", compared,
           totals.outcomes[OUTCOME_DIFFERENT]);
        ok(totals.outcomes[OUTCOME_REFUSED] <= 1 + totals.chains * REFUSED_PERCENT / 100,
           "%" PRIu64 " of %" PRIu64 " chains refused", totals.outcomes[OUTCOME_REFUSED], totals.chains);
        ok(totals.outcomes[OUTCOME_MEMBER_REFUSED] <= 1 + totals.chains * BAD_PROGRAMS_PERMILLE / 1000,
           "%" PRIu64 " chains with a program that does not load by itself", totals.outcomes[OUTCOME_MEMBER_REFUSED]);
        ok(totals.outcomes[OUTCOME_STRANDED] <= 1 + totals.chains * STRANDED_PERMILLE / 1000,
           "%" PRIu64 " chains in which a packet could not be handed on", totals.outcomes[OUTCOME_STRANDED]);
        ok(totals.outcomes[OUTCOME_TROUBLE] == 0, "no trouble otherwise (%" PRIu64 ")",
           totals.outcomes[OUTCOME_TROUBLE]);
}

/* Breaks the chain in a few places, one after the other, until that is found out. Returns whether there was one. */
static bool try_mutation(const Plan *plan, Mutation mutation, bool *ret_found) {
        bool tried = false;

        *ret_found = false;
        for (unsigned i = 0; i < MUTANT_PLACES && !*ret_found; i++) {
                Attempt attempt;

                mutation_set(mutation, plan->seed + i);
                chain_try(plan, &SELECT_ALL, NULL, &attempt);
                if (attempt.mutated && attempt.outcome != OUTCOME_REFUSED) {
                        tried = true;
                        *ret_found = attempt.outcome == OUTCOME_DIFFERENT;
                }
                attempt_done(&attempt);
        }
        mutation_set(MUTATION_NONE, 0);
        return tried;
}

/* Each mutation on each of some chains that are right without. Many a change is without effect, since no packet comes
 * by there. */
static void test_mutations(void) {
        uint64_t tried[_MUTATION_MAX] = {}, found[_MUTATION_MAX] = {};

        for (uint64_t i = 0; i < arguments.mutants && !stopped; i++) {
                _cleanup_(plan_freep) Plan *plan = NULL;
                Attempt attempt;
                bool same, it;

                if (plan_make(arguments.seed + i, &features, false, &plan) < 0)
                        continue;
                chain_try(plan, &SELECT_ALL, NULL, &attempt);
                same = attempt.outcome == OUTCOME_SAME;
                attempt_done(&attempt);
                for (Mutation mutation = MUTATION_NONE + 1; same && mutation < _MUTATION_MAX; mutation++) {
                        tried[mutation] += try_mutation(plan, mutation, &it);
                        found[mutation] += it;
                }
        }
        for (Mutation mutation = MUTATION_NONE + 1; mutation < _MUTATION_MAX; mutation++)
                ok(found[mutation] * 100 >= tried[mutation] * FOUND_PERCENT && found[mutation] > 0,
                   "%s is found (in %" PRIu64 " of %" PRIu64 " chains)", mutation_name(mutation), found[mutation],
                   tried[mutation]);
}

static void stop(_unused_ int signal_number) {
        stopped = 1;
}

static void usage(void) {
        puts("test-differential [OPTION...]\n\n"
             "Random chains of programs, fused by bpfchain's builder, against the same programs run one after the\n"
             "other: verdicts, packets, maps, counters.\n\n"
             "  --chains N     how many (default 2000)\n"
             "  --seconds S    end after so long\n"
             "  --forever      until it is interrupted\n"
             "  --seed N       of the first chain; the next ones have the next numbers. Without --chains, --seconds\n"
             "                 and --forever only this one\n"
             "  --members MASK with --seed: only these members of the chain, a bit each\n"
             "  --packets MASK with --seed: only these packets\n"
             "  --mutate       only see whether chains that were broken on purpose are found out\n"
             "  --mutants N    how many chains to break so (default 60)\n"
             "  --no-objects   only generated programs, none of the build's BPF objects\n"
             "  --show         only show the programs of the chain; nothing is loaded\n"
             "  --verbose      a line for each chain, and all of those that are refused");
}

static uint64_t number(const char *text) {
        char *end;
        uint64_t value;

        errno = 0;
        value = strtoull(text, &end, 0);
        if (errno != 0 || end == text || *end || *text == '-') {
                fprintf(stderr, "\"%s\" is no number.\n", text);
                exit(2);
        }
        return value;
}

static void parse_arguments(int argc, char **argv) {
        enum {
                CHAINS = 256,
                SECONDS,
                FOREVER,
                SEED,
                MEMBERS,
                PACKETS,
                MUTATE,
                MUTANTS,
                NO_OBJECTS,
                VERBOSE,
                SHOW,
                HELP
        };
        static const struct option options[] = {
                { "chains", required_argument, NULL, CHAINS },
                { "seconds", required_argument, NULL, SECONDS },
                { "forever", no_argument, NULL, FOREVER },
                { "seed", required_argument, NULL, SEED },
                { "members", required_argument, NULL, MEMBERS },
                { "packets", required_argument, NULL, PACKETS },
                { "mutate", no_argument, NULL, MUTATE },
                { "mutants", required_argument, NULL, MUTANTS },
                { "no-objects", no_argument, NULL, NO_OBJECTS },
                { "verbose", no_argument, NULL, VERBOSE },
                { "show", no_argument, NULL, SHOW },
                { "help", no_argument, NULL, HELP },
                {},
        };
        bool many = false;
        int c;

        arguments.objects = true;
        while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0)
                switch (c) {
                case CHAINS:
                        arguments.chains = number(optarg);
                        many = true;
                        break;
                case SECONDS:
                        arguments.seconds = number(optarg);
                        arguments.forever = many = true;
                        break;
                case FOREVER: arguments.forever = many = true; break;
                case SEED:
                        arguments.seed = number(optarg);
                        arguments.seed_given = true;
                        break;
                case MEMBERS: arguments.members = number(optarg); break;
                case PACKETS: arguments.packets = (uint32_t) number(optarg); break;
                case MUTATE: arguments.mutate_only = true; break;
                case MUTANTS: arguments.mutants = number(optarg); break;
                case NO_OBJECTS: arguments.objects = false; break;
                case VERBOSE: arguments.verbose = true; break;
                case SHOW: arguments.show = true; break;
                case HELP: usage(); exit(0);
                default: exit(2);
                }
        if (optind < argc) {
                fprintf(stderr, "There is no argument \"%s\"; see --help.\n", argv[optind]);
                exit(2);
        }
        if (arguments.seed_given && !many && !arguments.mutate_only) {
                arguments.chains = 1;
                arguments.mutants = 0;
                arguments.verbose = true;
        }
        if (!arguments.seed_given && getrandom(&arguments.seed, sizeof(uint32_t), 0) < 0)
                exit(1);
}

/* The build that this executable is part of, where the environment names none. */
static void find_objects(void) {
        char path[PATH_MAX];
        ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

        if (n < 0 || getenv("BPFCHAIN_BUILD"))
                return;
        path[n] = '\0';
        for (unsigned i = 0; i < 3; i++) {
                char *slash = strrchr(path, '/');

                if (slash)
                        *slash = '\0';
        }
        (void) setenv("BPFCHAIN_BUILD", path, 1);
}

/* Everything happens on one CPU: per-CPU maps and free lists are the same for both ways then. */
static void stay_on_this_cpu(void) {
        cpu_set_t set;

        CPU_ZERO(&set);
        CPU_SET(sched_getcpu(), &set);
        if (sched_setaffinity(0, sizeof(set), &set) < 0)
                fprintf(stderr, "can't stay on one CPU: %s\n", strerror(errno));
}

int main(int argc, char **argv) {
        const struct sigaction action = { .sa_handler = stop };

        setvbuf(stdout, NULL, _IOLBF, 0);
        parse_arguments(argc, argv);
        find_objects();
        if (geteuid() != 0) {
                puts("SKIP: loading programs takes root");
                return 77;
        }
        sigaction(SIGINT, &action, NULL);
        sigaction(SIGTERM, &action, NULL);
        log_close();
        libbpf_set_print(NULL);
        stay_on_this_cpu();
        features_probe(&features);
        if (arguments.objects && compiled_probe(stdout) == 0)
                arguments.objects = false;

        printf("# seed %" PRIu64 "\n", arguments.seed);
        if (!arguments.mutate_only)
                test_chains();
        if (arguments.mutants > 0)
                test_mutations();
        printf("1..%u\n", n_tests);
        return n_failed > 0;
}
