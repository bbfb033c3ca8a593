/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 *      bench-datapath BUILD-DIR PARTS COUNTS ROUNDS PACKETS SWAPS
 *
 * PARTS and COUNTS are lists with commas ("xdp,tc-hook", "1,2,8"). See bench.h for what it writes, and
 * tests/bench/bench-datapath.py, which runs it.
 */
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <time.h>

#include "run.h"
#include "util/json.h"
#include "util/log.h"

static const char *const part_table[_PART_MAX] = {
        [PART_XDP] = "xdp",     [PART_TC] = "tc",           [PART_HOOK] = "tc-hook",
        [PART_BUILD] = "build", [PART_TRAFFIC] = "traffic",
};

DEFINE_STRING_TABLE(part, Part, _PART_MAX)

const uint8_t bench_packet[64] = {
        [0] = 0x02,  [5] = 0x02,  [6] = 0x02, [11] = 0x01, /* addresses */
        [12] = 0x08, [14] = 0x45, [17] = 50,               /* IPv4, 20 bytes of header, 50 in all */
        [22] = 64,   [23] = 17,                            /* time to live, UDP */
        [26] = 192,  [28] = 2,    [29] = 1,                /* 192.0.2.1 to 192.0.2.2 */
        [30] = 192,  [32] = 2,    [33] = 2,   [39] = 30,
};

void die(const char *format, ...) {
        va_list ap;

        fputs("bench-datapath: ", stderr);
        va_start(ap, format);
        vfprintf(stderr, format, ap);
        va_end(ap);
        fputc('\n', stderr);
        exit(1);
}

void must(int r, const Error *error, const char *format, ...) {
        _cleanup_free_ char *what = NULL;
        va_list ap;

        if (r >= 0)
                return;
        va_start(ap, format);
        if (vasprintf(&what, format, ap) < 0)
                what = NULL;
        va_end(ap);
        if (error && error_is_set(error))
                die("%s: %s\n%s", strna(what), error->message, error->log ? error->log : "");
        die("%s: %s.", strna(what), strerror(r == -1 ? errno : -r));
}

void note(const char *format, ...) {
        _cleanup_json_ json_object *object = NULL;
        _cleanup_free_ char *text = NULL;
        va_list ap;

        va_start(ap, format);
        if (vasprintf(&text, format, ap) < 0)
                die("Out of memory.");
        va_end(ap);
        object = json_object_new_object();
        if (!object || json_object_object_add(object, "note", json_object_new_string(text)) < 0)
                die("Out of memory.");
        puts(json_object_to_json_string(object));
}

uint64_t cpu_nsec(void) {
        struct timespec t;

        if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) < 0)
                die("There is no clock of CPU time: %s.", strerror(errno));
        return (uint64_t) t.tv_sec * 1000000000 + (uint64_t) t.tv_nsec;
}

void pin_thread(bool last) {
        cpu_set_t set;
        int chosen = -1;

        if (sched_getaffinity(0, sizeof(set), &set) < 0)
                die("The CPUs of this process can't be read: %s.", strerror(errno));
        for (int cpu = 0; cpu < CPU_SETSIZE && (last || chosen < 0); cpu++)
                if (CPU_ISSET(cpu, &set))
                        chosen = cpu;
        CPU_ZERO(&set);
        CPU_SET(chosen, &set);
        if (sched_setaffinity(0, sizeof(set), &set) < 0)
                die("This process can't be kept on CPU %d: %s.", chosen, strerror(errno));
}

static unsigned parse_number(const char *text, unsigned max) {
        char *end;
        unsigned long value = strtoul(text, &end, 10);

        if (end == text || *end || value == 0 || value > max)
                die("\"%s\" is no number from 1 to %u.", text, max);
        return (unsigned) value;
}

static void parse(char **argv, Settings *ret) {
        char *word, *rest;

        ret->build_dir = argv[1];
        for (rest = argv[2]; (word = strsep(&rest, ","));) {
                Part part = part_from_string(word);

                if (part < 0)
                        die("There is no part \"%s\".", word);
                ret->parts |= 1U << part;
        }
        for (rest = argv[3]; (word = strsep(&rest, ","));) {
                if (ret->n_counts == ELEMENTSOF(ret->counts))
                        die("Too many lengths of chains.");
                ret->counts[ret->n_counts++] = parse_number(word, BENCH_N_MAX);
        }
        ret->rounds = parse_number(argv[4], 10000);
        ret->packets = parse_number(argv[5], 100000000);
        ret->swaps = parse_number(argv[6], 1000000);
}

/* All that there is of a run belongs to this process, so it goes with whoever started it; descriptors are many; and
 * each run has another order. */
static void settle_process(void) {
        struct rlimit files;
        unsigned seed;

        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
                die("This process can't be tied to its parent: %s.", strerror(errno));
        if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
                files.rlim_cur = files.rlim_max = MAX2(files.rlim_max, 1U << 16);
                (void) setrlimit(RLIMIT_NOFILE, &files);
        }
        if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
                die("There are no random numbers: %s.", strerror(errno));
        srandom(seed);
}

int main(int argc, char **argv) {
        Settings settings = {};

        if (argc != 7)
                die("Wrong arguments, see its source.");
        parse(argv, &settings);

        log_close();
        settle_process();
        if (settings.parts & (1U << PART_TRAFFIC))
                bench_traffic(&settings);
        pin_thread(true);
        if (settings.parts & (1U << PART_XDP))
                bench_run(&settings, PART_XDP);
        if (settings.parts & (1U << PART_TC))
                bench_run(&settings, PART_TC);
        if (settings.parts & (1U << PART_HOOK))
                bench_hook(&settings);
        if (settings.parts & (1U << PART_BUILD))
                bench_build(&settings);
        return 0;
}
