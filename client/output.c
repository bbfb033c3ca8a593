/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <inttypes.h>
#include <langinfo.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <wchar.h>

#include "client/output.h"
#include "util/json-text.h"

static const char *const json_mode_table[_JSON_MODE_MAX] = {
        [JSON_MODE_OFF] = "off",
        [JSON_MODE_SHORT] = "short",
        [JSON_MODE_PRETTY] = "pretty",
};

DEFINE_STRING_TABLE(json_mode, JsonMode, _JSON_MODE_MAX)

bool color_allowed(int fd) {
        const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");

        return isatty(fd) && strempty(no_color) && !strempty(term) && !streq(term, "dumb");
}

bool utf8_allowed(void) {
        return streq(nl_langinfo(CODESET), "UTF-8");
}

int output_init(Output *output, bool pager) {
        struct winsize screen = {};

        *output = (Output){
                .terminal = isatty(STDOUT_FILENO),
                .color = color_allowed(STDOUT_FILENO),
                .utf8 = utf8_allowed(),
        };
        output->pager = pager && output->terminal;
        if (output->terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &screen) >= 0)
                output->columns = screen.ws_col;
        output->stream = open_memstream(&output->buffer, &output->size);
        return output->stream ? 0 : -errno;
}

void output_done(Output *output) {
        if (output->stream)
                fclose(output->stream);
        free(output->buffer);
        *output = (Output){ 0 };
}

static int write_all(int fd, const char *data, size_t size) {
        while (size > 0) {
                ssize_t n = write(fd, data, size);

                if (n < 0) {
                        if (errno == EINTR)
                                continue;
                        return -errno;
                }
                data += n;
                size -= (size_t) n;
        }
        return 0;
}

static bool fits_screen(const Output *output) {
        struct winsize screen = {};
        unsigned lines = 0;

        if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &screen) < 0 || screen.ws_row == 0)
                return true;
        for (const char *p = output->buffer; (p = memchr(p, '\n', output->size - (size_t) (p - output->buffer))); p++)
                lines++;
        return lines < screen.ws_row;
}

/* Hands the output to the user's pager. -ENOENT: there is none. */
static int show_in_pager(const Output *output) {
        const char *pager = strempty_to(getenv("BPFCHAIN_PAGER"), strempty_to(getenv("PAGER"), "less"));
        _cleanup_close_ int reading = -EBADF, writing = -EBADF;
        int fds[2], status, r;
        pid_t pid;

        if (streq(pager, "cat"))
                return -ENOENT;
        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        reading = fds[0];
        writing = fds[1];

        pid = fork();
        if (pid < 0)
                return -errno;
        if (pid == 0) {
                /* Colours through, long lines cut, and no new screen for what fits into this one. */
                setenv("LESS", "FRSXMK", 0);
                if (dup2(reading, STDIN_FILENO) >= 0)
                        execlp("/bin/sh", "sh", "-c", pager, NULL);
                _exit(127);
        }

        reading = safe_close(reading);
        (void) signal(SIGPIPE, SIG_IGN);
        (void) signal(SIGINT, SIG_IGN); /* Ctrl-C is for the pager */
        r = write_all(writing, output->buffer, output->size);
        writing = safe_close(writing);
        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return -errno;
        if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
                return -ENOENT;
        return r;
}

int output_finish(Output *output) {
        int r = 0;

        if (fclose(output->stream) != 0)
                r = -errno;
        output->stream = NULL;
        if (r >= 0 && output->size > 0) {
                r = output->pager && !fits_screen(output) ? show_in_pager(output) : -ENOENT;
                if (r == -ENOENT)
                        r = write_all(STDOUT_FILENO, output->buffer, output->size);
        }
        output_done(output);
        return r == -EPIPE ? 0 : r;
}

int output_flush(Output *output) {
        int r;

        if (fflush(output->stream) != 0)
                return -errno;
        r = write_all(STDOUT_FILENO, output->buffer, output->size);
        rewind(output->stream); /* open_memstream(3) takes what comes from here on */
        return r;
}

const char *output_style(const Output *output, Style style) {
        static const char *const escapes[_STYLE_MAX] = {
                [STYLE_NONE] = "",           [STYLE_STRONG] = "\033[1m",   [STYLE_DIM] = "\033[2m",
                [STYLE_GOOD] = "\033[32m",   [STYLE_WARNING] = "\033[33m", [STYLE_BAD] = "\033[1;31m",
                [STYLE_ACCENT] = "\033[36m",
        };

        return output->color ? escapes[style] : "";
}

const char *output_plain(const Output *output) {
        return output->color ? "\033[0m" : "";
}

const char *output_glyph(const Output *output, Glyph glyph) {
        static const char *const glyphs[_GLYPH_MAX][2] = {
                [GLYPH_BRANCH] = { "|-", "├─" },   [GLYPH_LAST] = { "`-", "└─" }, [GLYPH_LINE] = { "| ", "│ " },
                [GLYPH_BLANK] = { "  ", "  " },    [GLYPH_DOT] = { "*", "●" },    [GLYPH_ARROW] = { "->", "→" },
                [GLYPH_ELLIPSIS] = { "...", "…" },
        };

        return glyphs[glyph][output->utf8];
}

size_t utf8_check(const char *text, size_t size) {
        size_t i = 0, n;
        uint32_t c;

        for (; i < size && (n = utf8_decode(text, size, i, &c)) > 0; i += n)
                if (c == 0)
                        break;
        return i;
}

static bool is_control(uint32_t c) {
        /* C0, DEL, C1, and the marks that turn the direction of text around */
        return c < 0x20 || (c >= 0x7F && c < 0xA0) || (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069);
}

char *text_clean(const char *text, bool allow_lines) {
        size_t size = strlen(text), n;
        char *clean = malloc(size + 1), *p = clean;
        uint32_t c;

        if (!clean)
                return NULL;
        for (size_t i = 0; i < size; i += MAX2(n, (size_t) 1)) {
                bool harmless;

                n = utf8_decode(text, size, i, &c);
                harmless = n > 0 && (!is_control(c) || (allow_lines && (c == '\n' || c == '\t')));
                if (harmless)
                        p = mempcpy(p, text + i, n);
                else
                        *p++ = '?';
        }
        *p = 0;
        return clean;
}

unsigned text_width(const char *text) {
        size_t size = strlen(text), n;
        unsigned width = 0;
        uint32_t c;

        for (size_t i = 0; i < size; i += MAX2(n, (size_t) 1)) {
                int columns = 1;

                n = utf8_decode(text, size, i, &c);
                if (n > 1)
                        columns = wcwidth((wchar_t) c);
                width += columns < 0 ? 1 : (unsigned) columns;
        }
        return width;
}

void output_text(Output *output, Style style, const char *text) {
        _cleanup_free_ char *clean = text_clean(text, true);
        size_t n = clean ? strlen(clean) : 0, newlines = 0;

        /* A style ends before the end of its line, so that it can't leak into what a pager shows next. */
        for (; newlines < n && clean[n - 1 - newlines] == '\n'; newlines++)
                ;
        if (n > newlines)
                fprintf(output->stream, "%s%.*s%s", output_style(output, style), (int) (n - newlines), clean,
                        style == STYLE_NONE ? "" : output_plain(output));
        for (; newlines > 0; newlines--)
                fputc('\n', output->stream);
}

void output_printf(Output *output, Style style, const char *format, ...) {
        _cleanup_free_ char *text = NULL;
        va_list ap;
        int n;

        va_start(ap, format);
        n = vasprintf(&text, format, ap);
        va_end(ap);
        if (n < 0) {
                text = NULL;
                return;
        }
        output_text(output, style, text);
}

void output_json(Output *output, JsonMode mode, json_object *value) {
        int flags = JSON_C_TO_STRING_NOSLASHESCAPE |
                    (mode == JSON_MODE_PRETTY ? JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED
                                              : JSON_C_TO_STRING_PLAIN);

        fputs(value ? json_object_to_json_string_ext(value, flags) : "null", output->stream);
        fputc('\n', output->stream);
}

const char *count_to_string(char buffer[COUNT_SIZE], uint64_t count, bool group) {
        char digits[COUNT_SIZE];
        size_t n, j = 0;

        n = (size_t) snprintf(digits, sizeof(digits), "%" PRIu64, count);
        for (size_t i = 0; i < n; i++) {
                if (group && i > 0 && (n - i) % 3 == 0)
                        buffer[j++] = ' ';
                buffer[j++] = digits[i];
        }
        buffer[j] = 0;
        return buffer;
}

static const char *shorten(char buffer[COUNT_SIZE], uint64_t count, const char *blank, const char *what) {
        static const char units[] = "kMGTPE";
        const char *unit = units;
        uint64_t scale = 1000;

        if (count < 10000) {
                snprintf(buffer, COUNT_SIZE, "%" PRIu64 "%s%s", count, blank, what);
                return buffer;
        }
        while (count / scale >= 1000 && unit[1]) {
                scale *= 1000;
                unit++;
        }
        if (count / scale >= 100)
                snprintf(buffer, COUNT_SIZE, "%" PRIu64 "%s%c%s", count / scale, blank, *unit, what);
        else
                snprintf(buffer, COUNT_SIZE, "%" PRIu64 ".%" PRIu64 "%s%c%s", count / scale,
                         count % scale / (scale / 10), blank, *unit, what);
        return buffer;
}

const char *count_to_short_string(char buffer[COUNT_SIZE], uint64_t count) {
        return shorten(buffer, count, "", "");
}

const char *bytes_to_short_string(char buffer[COUNT_SIZE], uint64_t bytes) {
        return shorten(buffer, bytes, " ", "B");
}
