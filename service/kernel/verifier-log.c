/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>

#include "kernel/verifier-log.h"

void text_make_printable(char *text) {
        for (; *text; text++)
                if (((unsigned char) *text < ' ' && *text != '\n' && *text != '\t') || (unsigned char) *text > '~')
                        *text = '?';
}

/* The first line that begins with `prefix`, behind it. */
static const char *find_line(const char *log, const char *prefix) {
        for (const char *line = log; line; line = strchr(line, '\n')) {
                const char *rest = startswith(line += *line == '\n', prefix);

                if (rest)
                        return rest;
        }
        return NULL;
}

void verifier_log_stats(const char *log, VerifierStats *ret) {
        const char *line, *states;

        *ret = (VerifierStats){ .main_stack = UINT32_MAX };

        line = find_line(log, "processed ");
        if (line) {
                ret->insns = (uint32_t) strtoul(line, NULL, 10);
                states = strstr(line, "total_states ");
                if (states)
                        ret->states_total = (uint32_t) strtoul(states + strlen("total_states "), NULL, 10);
        }

        /* one figure a function, "stack depth 8+0+64" */
        line = find_line(log, "stack depth ");
        while (line && isdigit((unsigned char) *line)) {
                char *end;
                uint32_t depth = (uint32_t) strtoul(line, &end, 10);

                ret->stack_depth = MAX2(ret->stack_depth, depth);
                if (ret->main_stack == UINT32_MAX)
                        ret->main_stack = depth;
                line = *end == '+' ? end + 1 : NULL;
        }
}

/* An instruction as the log lists it: "12: (bf) r6 = r1". Returns its number. */
static int64_t parse_instruction(const char *line) {
        char *end;
        long n;

        if (!isdigit((unsigned char) *line))
                return -ENOENT;
        n = strtol(line, &end, 10);
        return startswith(end, ": (") ? n : -ENOENT;
}

static bool is_figures(const char *line) {
        return startswith(line, "processed ") || startswith(line, "verification time ") ||
               startswith(line, "stack depth ");
}

/* The last lines of each kind that a summary is made of. */
typedef struct LastLines {
        const char *instruction; /* NULL: none */
        const char *source;      /* "; …" */
        const char *words;       /* what follows the last instruction, up to the figures */
        size_t n_words;
} LastLines;

static LastLines find_last_lines(const char *log) {
        LastLines last = { .words = log };
        const char *line, *next;

        for (line = log; *line; line = next) {
                next = strchr(line, '\n');
                next = next ? next + 1 : line + strlen(line);

                if (is_figures(line))
                        break;
                if (parse_instruction(line) >= 0) {
                        last.instruction = line;
                        last.words = next;
                } else if (startswith(line, "; ")) {
                        last.source = line;
                        last.words = next;
                } else if (startswith(line, "from ") || startswith(line, "mark_precise") ||
                           isdigit((unsigned char) *line)) {
                        last.words = next; /* states */
                }
        }
        last.n_words = (size_t) (line - last.words);
        return last;
}

/* One line of text without surrounding blanks. */
static int print_line(FILE *f, const char *before, const char *line, size_t n, const char *after) {
        const char *end = memchr(line, '\n', n);

        if (end)
                n = (size_t) (end - line);
        while (n > 0 && isspace((unsigned char) line[n - 1]))
                n--;
        return fprintf(f, "%s%.*s%s", before, (int) MIN2(n, 256U), line, after);
}

char *verifier_log_summary(const char *log) {
        LastLines last = find_last_lines(log);
        _cleanup_free_ char *text = NULL;
        size_t size;
        unsigned n_lines = 0;
        FILE *f;

        f = open_memstream(&text, &size);
        if (!f)
                return NULL;

        for (const char *p = last.words, *end = p + last.n_words; p < end && n_lines < 4;) {
                const char *eol = memchr(p, '\n', (size_t) (end - p));

                eol = eol ? eol : end;
                if (eol > p)
                        print_line(f, n_lines++ > 0 ? "; " : "", p, (size_t) (eol - p), "");
                p = eol + 1;
        }
        if (n_lines == 0)
                fputs("the log gives no reason", f);
        if (last.source)
                print_line(f, ", at \"", last.source + 2, strlen(last.source + 2), "\"");
        if (last.instruction) {
                /* behind a semicolon the state of registers may follow */
                const char *end = strpbrk(last.instruction, ";\n");

                print_line(f, ", instruction ", last.instruction,
                           end ? (size_t) (end - last.instruction) : strlen(last.instruction), "");
        }
        if (fclose(f) != 0 || !text)
                return NULL;

        text_make_printable(text);
        return TAKE_PTR(text);
}

int64_t verifier_log_instruction(const char *log) {
        LastLines last = find_last_lines(log);

        return last.instruction ? parse_instruction(last.instruction) : -ENOENT;
}

bool verifier_log_has_reason(const char *log) {
        return find_last_lines(log).n_words > 0;
}

bool verifier_log_too_complex(const char *log) {
        return strstr(log, "BPF program is too large. Processed") != NULL;
}

bool verifier_log_too_deep(const char *log) {
        return strstr(log, "combined stack size of") || strstr(log, "call stack of previous frames is");
}

bool verifier_log_too_nested(const char *log) {
        return strstr(log, "frames is too deep");
}

/* Words of bpf_dev_bound_kfunc_check() of the kernel. */
bool verifier_log_wants_device(const char *log) {
        return strstr(log, "metadata kfuncs require device-bound program");
}

char *verifier_log_copy(const char *log) {
        size_t n = strlen(log);
        char *copy;

        if (n > VERIFIER_LOG_KEPT) {
                const char *eol;

                log += n - VERIFIER_LOG_KEPT;
                eol = strchr(log, '\n');
                if (eol)
                        log = eol + 1;
        }
        copy = strdup(log);
        if (copy)
                text_make_printable(copy);
        return copy;
}
