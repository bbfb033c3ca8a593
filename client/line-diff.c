/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/line-diff.h"

#define CONTEXT_LINES 3
#define TABLE_MAX     (16U << 20) /* cells of the table of lengths */

typedef struct Line {
        const char *text;
        size_t size;
} Line;

typedef struct Step {
        char mark; /* ' ', '-', '+' */
        Line line;
        size_t old_line, new_line; /* from 0: where the step stands in both texts */
} Step;

typedef struct Script {
        Step *steps;
        size_t n;
        size_t old_line, new_line;
} Script;

static int split(const char *text, Line **ret, size_t *ret_n) {
        _cleanup_free_ Line *lines = NULL;
        size_t n = 0;

        while (*text) {
                size_t size = strcspn(text, "\n");
                Line *line = ARRAY_APPEND(lines, n);

                if (!line)
                        return -ENOMEM;
                *line = (Line){ .text = text, .size = size };
                text += size + (text[size] == '\n');
        }
        *ret = TAKE_PTR(lines);
        *ret_n = n;
        return 0;
}

static bool line_equal(const Line *a, const Line *b) {
        return a->size == b->size && memcmp(a->text, b->text, a->size) == 0;
}

static int script_add(Script *script, char mark, Line line) {
        Step *step = ARRAY_APPEND(script->steps, script->n);

        if (!step)
                return -ENOMEM;
        *step = (Step){ .mark = mark, .line = line, .old_line = script->old_line, .new_line = script->new_line };
        script->old_line += mark != '+';
        script->new_line += mark != '-';
        return 0;
}

/* The middle parts, which begin and end differently. lengths[i][j] is the length of the longest common subsequence
 * of what follows line i of the one and line j of the other. */
static int diff_middle(Script *script, const Line *a, size_t n, const Line *b, size_t m) {
        _cleanup_free_ uint32_t *lengths = NULL;
        size_t i = 0, j = 0, width = m + 1;
        int r = 0;

        if (n > 0 && m > 0 && (n + 1) <= TABLE_MAX / width) {
                lengths = calloc((n + 1) * width, sizeof(uint32_t));
                if (!lengths)
                        return -ENOMEM;
                for (i = n; i-- > 0;)
                        for (j = m; j-- > 0;)
                                lengths[i * width + j] =
                                        line_equal(&a[i], &b[j])
                                                ? lengths[(i + 1) * width + j + 1] + 1
                                                : MAX2(lengths[(i + 1) * width + j], lengths[i * width + j + 1]);
        }
        for (i = j = 0; r >= 0 && (i < n || j < m);)
                if (lengths && i < n && j < m && line_equal(&a[i], &b[j])) {
                        r = script_add(script, ' ', a[i]);
                        i++;
                        j++;
                } else if (i < n &&
                           (!lengths || j == m || lengths[(i + 1) * width + j] >= lengths[i * width + j + 1]))
                        r = script_add(script, '-', a[i++]);
                else
                        r = script_add(script, '+', b[j++]);
        return r;
}

static int diff(const Line *a, size_t n, const Line *b, size_t m, Script *script) {
        size_t head = 0, tail = 0;
        int r = 0;

        while (head < n && head < m && line_equal(&a[head], &b[head]))
                head++;
        while (tail < n - head && tail < m - head && line_equal(&a[n - 1 - tail], &b[m - 1 - tail]))
                tail++;
        for (size_t i = 0; r >= 0 && i < head; i++)
                r = script_add(script, ' ', a[i]);
        if (r >= 0)
                r = diff_middle(script, a + head, n - head - tail, b + head, m - head - tail);
        for (size_t i = n - tail; r >= 0 && i < n; i++)
                r = script_add(script, ' ', a[i]);
        return r;
}

static void show_step(Output *output, const Step *step) {
        _cleanup_free_ char *text = strndup(step->line.text, step->line.size);
        Style style = step->mark == '+' ? STYLE_GOOD : step->mark == '-' ? STYLE_BAD : STYLE_NONE;

        output_printf(output, style, "%c%s", step->mark, strempty_to(text, ""));
        fputc('\n', output->stream);
}

/* Shows changes that are less than two contexts apart as one hunk. Returns the step behind it. */
static size_t show_hunk(Output *output, const Script *script, size_t change) {
        size_t first = change > CONTEXT_LINES ? change - CONTEXT_LINES : 0, last = change, end;
        size_t n_old = 0, n_new = 0;

        for (size_t i = change; i < script->n && i <= last + 2 * CONTEXT_LINES + 1; i++)
                if (script->steps[i].mark != ' ')
                        last = i;
        end = MIN2(last + CONTEXT_LINES + 1, script->n);
        for (size_t i = first; i < end; i++) {
                n_old += script->steps[i].mark != '+';
                n_new += script->steps[i].mark != '-';
        }
        output_printf(output, STYLE_ACCENT, "@@ -%zu,%zu +%zu,%zu @@", script->steps[first].old_line + (n_old > 0),
                      n_old, script->steps[first].new_line + (n_new > 0), n_new);
        fputc('\n', output->stream);
        for (size_t i = first; i < end; i++)
                show_step(output, &script->steps[i]);
        return end;
}

int line_diff_show(Output *output, const char *old_name, const char *old_text, const char *new_name,
                   const char *new_text) {
        _cleanup_free_ Line *a = NULL, *b = NULL;
        Script script = {};
        size_t n, m, i = 0;
        int r;

        r = split(old_text, &a, &n);
        if (r >= 0)
                r = split(new_text, &b, &m);
        if (r >= 0)
                r = diff(a, n, b, m, &script);
        if (r < 0)
                goto finish;

        r = 0;
        while (i < script.n)
                if (script.steps[i].mark == ' ')
                        i++;
                else {
                        if (r == 0) {
                                output_printf(output, STYLE_STRONG, "--- %s", old_name);
                                fputc('\n', output->stream);
                                output_printf(output, STYLE_STRONG, "+++ %s", new_name);
                                fputc('\n', output->stream);
                        }
                        r = 1;
                        i = show_hunk(output, &script, i);
                }

finish:
        free(script.steps);
        return r;
}
