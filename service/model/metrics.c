/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <stdarg.h>

#include "config-build.h"
#include "model/metrics.h"
#include "util/clock.h"
#include "util/json-text.h"
#include "util/log.h"

#define NSEC_PER_SEC UINT64_C(1000000000)

/* All samples of a family must stand together, while all families have something to say of each chain. So each has a
 * text of its own; they are joined at the end. */
typedef enum FamilyId {
        FAMILY_BUILD_INFO,
        FAMILY_GENERATION,
        FAMILY_PROBLEMS,
        FAMILY_METRICS_OMITTED,
        FAMILY_METRICS_UNREADABLE,
        FAMILY_CHAIN_STATE,
        FAMILY_CHAIN_INFO,
        FAMILY_CHAIN_PROGRAMS,
        FAMILY_CHAIN_GENERATION,
        FAMILY_CHAIN_PACKETS,
        FAMILY_CHAIN_BYTES,
        FAMILY_CHAIN_RUNS,
        FAMILY_CHAIN_RUN_TIME,
        FAMILY_CHAIN_SEGMENTS,
        FAMILY_CHAIN_INSTRUCTIONS,
        FAMILY_CHAIN_VERIFIED_INSTRUCTIONS,
        FAMILY_SLOT_INFO,
        FAMILY_SLOT_ENDED_PACKETS,
        FAMILY_SLOT_ENDED_BYTES,
        FAMILY_SLOT_SEEN_PACKETS,
        FAMILY_SLOT_SEEN_BYTES,
        FAMILY_PROGRAM_INSTRUCTIONS,
        FAMILY_PROGRAM_VERIFIED_INSTRUCTIONS,
        FAMILY_PROGRAM_VERIFIER_STATES,
        FAMILY_PROGRAM_STACK,
        FAMILY_PROGRAM_LOAD_TIME,
        FAMILY_PROGRAM_LOADED,
        FAMILY_MAP_MAX_ENTRIES,
        _FAMILY_MAX,
} FamilyId;

typedef struct Family {
        const char *name; /* without "bpfchain_", and without the "_total" that samples of counters have */
        bool counter;     /* else a gauge */
        const char *unit; /* the name ends in it, or NULL */
        const char *help; /* without quotes and backslashes: the two formats escape them differently */
} Family;

static const Family families[_FAMILY_MAX] = {
        /* Names of gauges may end in _info in both formats, though one would rather not; but everybody's do. */
        [FAMILY_BUILD_INFO] = { "build_info", false, NULL, "Always 1; the label has the version of bpfchaind." },
        [FAMILY_GENERATION] = { "generation", false, NULL, "Number of the desired state that was committed last." },
        [FAMILY_PROBLEMS] = { "problems", false, NULL, "Problems that bpfchain status shows, by severity." },
        [FAMILY_METRICS_OMITTED] = { "metrics_omitted", false, NULL,
                                     "Chains and programs left out of this text because it got too long." },
        [FAMILY_METRICS_UNREADABLE] = { "metrics_unreadable", false, NULL,
                                        "Chains that run and whose counters could not be read for this text." },
        [FAMILY_CHAIN_STATE] = { "chain_state", false, NULL, "1 for the state that the chain is in, 0 for others." },
        [FAMILY_CHAIN_INFO] = { "chain_info", false, NULL,
                                "Always 1; labels say how the chain is attached and what it counts." },
        [FAMILY_CHAIN_PROGRAMS] = { "chain_programs", false, "programs", "Programs in the chain." },
        [FAMILY_CHAIN_GENERATION] = { "chain_generation", false, NULL, "Generation that changed the chain last." },
        [FAMILY_CHAIN_PACKETS] = { "chain_packets", true, "packets", "Packets that came into the chain." },
        [FAMILY_CHAIN_BYTES] = { "chain_bytes", true, "bytes", "Bytes of the packets that came into the chain." },
        [FAMILY_CHAIN_RUNS] = { "chain_runs", true, NULL,
                                "Runs that the kernel counted while kernel.bpf_stats_enabled was on." },
        [FAMILY_CHAIN_RUN_TIME] = { "chain_run_time_seconds", true, "seconds",
                                    "Time that those runs took, on all CPUs together." },
        [FAMILY_CHAIN_SEGMENTS] = { "chain_segments", false, "segments",
                                    "Programs of the kernel that the chain was put together as." },
        [FAMILY_CHAIN_INSTRUCTIONS] = { "chain_instructions", false, "instructions",
                                        "Instructions of the chain as it was put together." },
        [FAMILY_CHAIN_VERIFIED_INSTRUCTIONS] = { "chain_verified_instructions", false, "instructions",
                                                 "Instructions that the verifier went through for the chain." },
        [FAMILY_SLOT_INFO] = { "slot_info", false, NULL,
                               "Always 1; labels say where in the chain the program stands, from 1, and how it is "
                               "linked." },
        [FAMILY_SLOT_ENDED_PACKETS] = { "slot_ended_packets", true, "packets",
                                        "Packets whose way ended at the program, by its verdict." },
        [FAMILY_SLOT_ENDED_BYTES] = { "slot_ended_bytes", true, "bytes",
                                      "Bytes of the packets whose way ended at the program." },
        [FAMILY_SLOT_SEEN_PACKETS] = { "slot_seen_packets", true, "packets",
                                       "Packets that the program saw, by its verdict." },
        [FAMILY_SLOT_SEEN_BYTES] = { "slot_seen_bytes", true, "bytes", "Bytes of the packets that it saw." },
        [FAMILY_PROGRAM_INSTRUCTIONS] = { "program_instructions", false, "instructions",
                                          "Instructions of the program by itself." },
        [FAMILY_PROGRAM_VERIFIED_INSTRUCTIONS] = { "program_verified_instructions", false, "instructions",
                                                   "Instructions that the verifier went through for the program." },
        [FAMILY_PROGRAM_VERIFIER_STATES] = { "program_verifier_states", false, "states",
                                             "States that the verifier kept for the program." },
        [FAMILY_PROGRAM_STACK] = { "program_stack_bytes", false, "bytes", "Deepest stack frame of the program." },
        [FAMILY_PROGRAM_LOAD_TIME] = { "program_load_seconds", false, "seconds",
                                       "Time that the kernel took to verify and translate the program." },
        [FAMILY_PROGRAM_LOADED] = { "program_loaded_timestamp_seconds", false, "seconds",
                                    "When the program was loaded, since 1970." },
        [FAMILY_MAP_MAX_ENTRIES] = { "map_max_entries", false, "entries", "Entries that the map has room for." },
};

/* Text that grows; once memory ran out it stays as it is, and says so at the end. */
typedef struct Text {
        char *data;
        size_t n, allocated;
        bool failed;
} Text;

static void text_add(Text *text, const char *data, size_t n) {
        if (n > text->allocated - text->n) {
                size_t allocated = MAX2(text->allocated * 2, text->n + n + 256);
                char *grown = text->failed ? NULL : realloc(text->data, allocated);

                if (!grown) {
                        text->failed = true;
                        return;
                }
                text->data = grown;
                text->allocated = allocated;
        }
        memcpy(text->data + text->n, data, n);
        text->n += n;
}

static void text_puts(Text *text, const char *s) {
        text_add(text, s, strlen(s));
}

/* Short pieces of bounded length. */
static _printf_(2, 3) void text_printf(Text *text, const char *format, ...) {
        char buffer[256];
        va_list ap;
        int n;

        va_start(ap, format);
        n = vsnprintf(buffer, sizeof(buffer), format, ap);
        va_end(ap);
        if (n < 0 || (size_t) n >= sizeof(buffer))
                text->failed = true;
        else
                text_add(text, buffer, (size_t) n);
}

static void text_done(Text *text) {
        free(text->data);
}

static void text_value(Text *text, const char *s) {
        size_t size = strlen(s), n;

        for (size_t i = 0; i < size; i += MAX2(n, 1U)) {
                uint32_t code = 0;

                n = utf8_decode(s, size, i, &code);
                if (n == 0 || (code < ' ' && code != '\n') || code == 0x7f || (code == '\\' && s[i + 1] == 'x'))
                        text_printf(text, "\\\\x%02x", (unsigned) (uint8_t) s[i]);
                else if (code == '\n')
                        text_puts(text, "\\n");
                else if (code == '\\' || code == '"') {
                        text_add(text, "\\", 1);
                        text_add(text, s + i, 1);
                } else
                        text_add(text, s + i, n);
        }
}

/* Adds `name="value"`, behind a comma unless it is the first. */
static void text_label(Text *text, const char *name, const char *value) {
        if (text->n > 0)
                text_add(text, ",", 1);
        text_puts(text, name);
        text_add(text, "=\"", 2);
        text_value(text, value);
        text_add(text, "\"", 1);
}

typedef struct Sheet {
        Text texts[_FAMILY_MAX];
        Text labels; /* of the thing at hand */
        size_t mark[_FAMILY_MAX];
        size_t size_max;
        bool full;
        unsigned n_unreadable;
        unsigned omitted_chains, omitted_programs;
} Sheet;

static void sheet_done(Sheet *sheet) {
        for (FamilyId id = 0; id < _FAMILY_MAX; id++)
                text_done(&sheet->texts[id]);
        text_done(&sheet->labels);
}

static void sheet_begin(Sheet *sheet) {
        for (FamilyId id = 0; id < _FAMILY_MAX; id++) {
                const Family *family = &families[id];
                Text *text = &sheet->texts[id];

                text_printf(text, "# TYPE bpfchain_%s %s\n", family->name, family->counter ? "counter" : "gauge");
                if (family->unit)
                        text_printf(text, "# UNIT bpfchain_%s %s\n", family->name, family->unit);
                text_printf(text, "# HELP bpfchain_%s %s\n", family->name, family->help);
        }
}

static void sheet_mark(Sheet *sheet) {
        for (FamilyId id = 0; id < _FAMILY_MAX; id++)
                sheet->mark[id] = sheet->texts[id].n;
}

/* Takes back what was added since the mark if it is too much. Behind the first that had no room nothing is tried any
 * more, so that what is left out does not change with every packet. */
static bool sheet_fits(Sheet *sheet) {
        size_t total = 0;

        for (FamilyId id = 0; id < _FAMILY_MAX; id++)
                total += sheet->texts[id].n;
        if (total <= sheet->size_max)
                return true;
        for (FamilyId id = 0; id < _FAMILY_MAX; id++)
                sheet->texts[id].n = sheet->mark[id];
        sheet->full = true;
        return false;
}

/* One sample up to its value, with the labels at hand and, unless `name` is NULL, another one that needs no escaping.
 */
static Text *sheet_sample(Sheet *sheet, FamilyId id, const char *name, const char *value) {
        Text *text = &sheet->texts[id];
        const Text *labels = &sheet->labels;

        text_add(text, "bpfchain_", strlen("bpfchain_"));
        text_puts(text, families[id].name);
        if (families[id].counter)
                text_puts(text, "_total");
        if (labels->n > 0 || name) {
                text_add(text, "{", 1);
                if (labels->n > 0)
                        text_add(text, labels->data, labels->n);
                if (name)
                        text_printf(text, "%s%s=\"%s\"", labels->n > 0 ? "," : "", name, value);
                text_add(text, "}", 1);
        }
        text_add(text, " ", 1);
        return text;
}

static void add_with(Sheet *sheet, FamilyId id, const char *name, const char *value, uint64_t count) {
        text_printf(sheet_sample(sheet, id, name, value), "%" PRIu64 "\n", count);
}

static void add(Sheet *sheet, FamilyId id, uint64_t count) {
        add_with(sheet, id, NULL, NULL, count);
}

/* What the kernel does not tell is 0, and is left out. */
static void add_known(Sheet *sheet, FamilyId id, uint64_t count) {
        if (count > 0)
                add(sheet, id, count);
}

static void add_seconds(Sheet *sheet, FamilyId id, uint64_t nsec) {
        text_printf(sheet_sample(sheet, id, NULL, NULL), "%" PRIu64 ".%09" PRIu64 "\n", nsec / NSEC_PER_SEC,
                    nsec % NSEC_PER_SEC);
}

static void add_usec(Sheet *sheet, FamilyId id, uint64_t usec) {
        text_printf(sheet_sample(sheet, id, NULL, NULL), "%" PRIu64 ".%06" PRIu64 "\n", usec / USEC_PER_SEC,
                    usec % USEC_PER_SEC);
}

static void add_service(Sheet *sheet, Manager *manager) {
        uint64_t count[_SEVERITY_MAX] = {};
        const Problem *problems;
        size_t n = 0;

        problems = manager_problems(manager, &n);
        for (size_t i = 0; i < n; i++)
                count[problems[i].severity]++;
        for (Severity severity = 0; severity < _SEVERITY_MAX; severity++)
                add_with(sheet, FAMILY_PROBLEMS, "severity", severity_to_string(severity), count[severity]);
        add_with(sheet, FAMILY_BUILD_INFO, "version", BPFCHAIN_VERSION, 1);
        add(sheet, FAMILY_GENERATION, manager_generation(manager));
}

static void add_slot(Sheet *sheet, const Chain *chain, size_t i, const SlotCounters *counters) {
        size_t n_labels = sheet->labels.n;
        char position[24];

        snprintf(position, sizeof(position), "%zu", i + 1);
        text_label(&sheet->labels, "program", chain->slots[i].program);
        if (counters) {
                bool all = chain->counters == COUNTER_LEVEL_ALL;

                for (unsigned bucket = 0; bucket < verdict_buckets(chain->hook); bucket++) {
                        const char *verdict = verdict_bucket_to_string(chain->hook, bucket);

                        add_with(sheet, FAMILY_SLOT_ENDED_PACKETS, "verdict", verdict, counters->endings[bucket]);
                        if (all)
                                add_with(sheet, FAMILY_SLOT_SEEN_PACKETS, "verdict", verdict,
                                         counters->verdicts[bucket]);
                }
                add(sheet, FAMILY_SLOT_ENDED_BYTES, counters->ended_bytes);
                if (all)
                        add(sheet, FAMILY_SLOT_SEEN_BYTES, counters->bytes);
        }
        text_label(&sheet->labels, "position", position);
        text_label(&sheet->labels, "form", slot_form_to_string(chain->slots[i].form));
        add(sheet, FAMILY_SLOT_INFO, 1);
        sheet->labels.n = n_labels;
}

static void add_run_time(Sheet *sheet, Manager *manager, Chain *chain) {
        uint64_t count, nsec;

        /* -ENODATA mostly: the kernel measures when it is told to. */
        if (manager_read_run_time(manager, chain, &count, &nsec) < 0)
                return;
        add(sheet, FAMILY_CHAIN_RUNS, count);
        add_seconds(sheet, FAMILY_CHAIN_RUN_TIME, nsec);
}

static void add_chain_info(Sheet *sheet, const Chain *chain) {
        size_t n_labels = sheet->labels.n;

        text_label(&sheet->labels, "mode", strempty_to(chain_mode_in_effect(chain), "none"));
        text_label(&sheet->labels, "counters", counter_level_to_string(chain->counters));
        add(sheet, FAMILY_CHAIN_INFO, 1);
        sheet->labels.n = n_labels;
}

static void add_counted_chain(Sheet *sheet, Manager *manager, Chain *chain) {
        ChainCounters counters;
        int r = manager_read_chain_counters(manager, chain, &counters);

        if (r >= 0) {
                add(sheet, FAMILY_CHAIN_PACKETS, counters.packets);
                add(sheet, FAMILY_CHAIN_BYTES, counters.bytes);
        } else if (r != -ENODATA) {
                log_debug("Can't read the counters of %s: %s", chain->key, strerror(-r));
                sheet->n_unreadable++;
        }
        add_run_time(sheet, manager, chain);
        add_chain_info(sheet, chain);
        add(sheet, FAMILY_CHAIN_PROGRAMS, chain->n_slots);
        add(sheet, FAMILY_CHAIN_GENERATION, chain->generation);
        add_known(sheet, FAMILY_CHAIN_SEGMENTS, chain->fused.n_segments);
        add_known(sheet, FAMILY_CHAIN_INSTRUCTIONS, chain->fused.insns);
        add_known(sheet, FAMILY_CHAIN_VERIFIED_INSTRUCTIONS, chain->fused.verified_insns);
        for (size_t i = 0; i < chain->n_slots; i++)
                add_slot(sheet, chain, i, r >= 0 ? &counters.slots[i] : NULL);
}

/* Of a chain that counts nothing, the state alone is told. */
static void add_chain(Sheet *sheet, Manager *manager, Chain *chain) {
        unsigned n_unreadable = sheet->n_unreadable;

        if (sheet->full) {
                sheet->omitted_chains++;
                return;
        }
        sheet_mark(sheet);
        sheet->labels.n = 0;
        text_label(&sheet->labels, "interface", chain->interface);
        text_label(&sheet->labels, "hook", hook_to_string(chain->hook));
        for (ChainState state = 0; state < _CHAIN_STATE_MAX; state++)
                add_with(sheet, FAMILY_CHAIN_STATE, "state", chain_state_to_string(state), chain->state == state);
        if (chain->counters != COUNTER_LEVEL_OFF)
                add_counted_chain(sheet, manager, chain);
        if (!sheet_fits(sheet)) {
                sheet->omitted_chains++;
                sheet->n_unreadable = n_unreadable;
        }
}

static void add_program(Sheet *sheet, const Program *program) {
        const ProgramInfo *info = &program->info;

        if (sheet->full) {
                sheet->omitted_programs++;
                return;
        }
        sheet_mark(sheet);
        sheet->labels.n = 0;
        text_label(&sheet->labels, "program", program->name);
        add_known(sheet, FAMILY_PROGRAM_INSTRUCTIONS, info->insns);
        add_known(sheet, FAMILY_PROGRAM_VERIFIED_INSTRUCTIONS, info->verified_insns);
        add_known(sheet, FAMILY_PROGRAM_VERIFIER_STATES, info->states_total);
        add_known(sheet, FAMILY_PROGRAM_STACK, info->stack_depth);
        if (info->load_usec > 0)
                add_usec(sheet, FAMILY_PROGRAM_LOAD_TIME, info->load_usec);
        if (program->loaded_at > 0)
                add_usec(sheet, FAMILY_PROGRAM_LOADED, program->loaded_at);
        for (size_t i = 0; i < info->n_maps; i++) {
                size_t n_labels = sheet->labels.n;

                if (info->maps[i].internal)
                        continue;
                text_label(&sheet->labels, "map", info->maps[i].name);
                text_label(&sheet->labels, "type", strempty_to(info->maps[i].type, "unknown"));
                add(sheet, FAMILY_MAP_MAX_ENTRIES, info->maps[i].max_entries);
                sheet->labels.n = n_labels;
        }
        if (!sheet_fits(sheet))
                sheet->omitted_programs++;
}

static int sheet_join(const Sheet *sheet, char **ret) {
        static const char eof[] = "# EOF\n";
        size_t size = sizeof(eof), n = 0;
        char *joined;

        if (sheet->labels.failed)
                return -ENOMEM;
        for (FamilyId id = 0; id < _FAMILY_MAX; id++) {
                if (sheet->texts[id].failed)
                        return -ENOMEM;
                size += sheet->texts[id].n;
        }
        joined = malloc(size);
        if (!joined)
                return -ENOMEM;
        for (FamilyId id = 0; id < _FAMILY_MAX; id++) {
                memcpy(joined + n, sheet->texts[id].data, sheet->texts[id].n);
                n += sheet->texts[id].n;
        }
        memcpy(joined + n, eof, sizeof(eof));
        *ret = joined;
        return 0;
}

int metrics_text(Manager *manager, size_t size_max, char **ret) {
        _cleanup_(sheet_done) Sheet sheet = { .size_max = size_max };

        sheet_begin(&sheet);
        add_service(&sheet, manager);
        TABLE_FOREACH (Chain, chain, manager_chains(manager))
                add_chain(&sheet, manager, chain);
        TABLE_FOREACH (Program, program, manager_programs(manager))
                add_program(&sheet, program);

        sheet.labels.n = 0;
        add_with(&sheet, FAMILY_METRICS_OMITTED, "kind", "chains", sheet.omitted_chains);
        add_with(&sheet, FAMILY_METRICS_OMITTED, "kind", "programs", sheet.omitted_programs);
        add(&sheet, FAMILY_METRICS_UNREADABLE, sheet.n_unreadable);
        return sheet_join(&sheet, ret);
}
