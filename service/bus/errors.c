/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/errors.h"

#include <stdarg.h>

#include "bus/wire.h"
#include "util/log.h"

#define DECISIVE_LINES 8
#define DECISIVE_BYTES 1024

/* Lines that the verifier and libbpf put behind the reason. */
static bool line_is_statistics(const char *line, size_t size) {
        static const char *const prefixes[] = { "processed ", "verification time ", "stack depth ", "-- ",
                                                "libbpf: " };

        for (size_t i = 0; i < ELEMENTSOF(prefixes); i++)
                if (size >= strlen(prefixes[i]) && strncmp(line, prefixes[i], strlen(prefixes[i])) == 0)
                        return true;
        return size == 0;
}

void verifier_log_decisive(const char *log, char *ret, size_t size) {
        const char *end = log + strlen(log), *begin, *line;
        unsigned lines = 0;

        /* From the end up: first over what is no reason, then as many lines as fit. */
        for (;;) {
                while (end > log && end[-1] == '\n')
                        end--;
                for (line = end; line > log && line[-1] != '\n'; line--)
                        ;
                if (line == end || !line_is_statistics(line, (size_t) (end - line)))
                        break;
                end = line;
        }

        begin = end;
        for (line = end; line > log && lines < DECISIVE_LINES; lines++) {
                while (line > log && line[-1] == '\n')
                        line--;
                while (line > log && line[-1] != '\n')
                        line--;
                if ((size_t) (end - line) >= size)
                        break;
                begin = line;
        }

        /* One line that is too long by itself: its end says most. */
        if (begin == end && end > log)
                begin = (size_t) (end - log) >= size ? end - (size - 1) : log;

        memcpy(ret, begin, (size_t) (end - begin));
        ret[end - begin] = '\0';
}

static int set_message(sd_bus_error *ret_error, ErrorCode code, const char *message) {
        _cleanup_free_ char *name = NULL, *valid = NULL;

        valid = string_make_valid(strempty_to(message, "No reason was given; see the journal of bpfchaind."));
        if (!valid || asprintf(&name, BUS_ERROR_PREFIX "%s", error_code_to_string(code)) < 0)
                return sd_bus_error_set_errno(ret_error, -ENOMEM);

        (void) sd_bus_error_set(ret_error, name, valid);
        return error_code_to_errno(code);
}

static int fail_verifier(sd_bus_error *ret_error, const Error *error) {
        _cleanup_free_ char *message = NULL;
        char lines[DECISIVE_BYTES] = "";
        const char *last;

        log_with(LOG_NOTICE, &((LogFields){ .detail = error->log }), "%s", strna(error->message));

        if (error->log)
                verifier_log_decisive(error->log, lines, sizeof(lines));

        /* Who built the message may have put the reason there already. */
        last = strrchr(lines, '\n');
        last = last ? last + 1 : lines;
        if (error->message && !strempty(last) && strstr(error->message, last))
                lines[0] = '\0';

        if (asprintf(&message, "%s%s%s%s", strempty_to(error->message, "The verifier refused the program."),
                     strempty(lines) ? "" : "\n", lines,
                     error->log ? "\nThe whole log: journalctl -u bpfchaind --all -o verbose BPFCHAIN_DETAIL" : "") <
            0)
                return sd_bus_error_set_errno(ret_error, -ENOMEM);
        return set_message(ret_error, ERROR_VERIFIER_REJECTED, message);
}

int bus_error_fail(sd_bus_error *ret_error, int r, Error *error, const char *what) {
        if (!error_is_set(error)) {
                if (r == -ENOMEM)
                        return sd_bus_error_set_errno(ret_error, r);
                error_ensure(error, r, what);
                log_error("%s", strna(error->message));
        }

        if (error->code == ERROR_VERIFIER_REJECTED)
                return fail_verifier(ret_error, error);
        return set_message(ret_error, error->code, error->message);
}

int bus_error_failf(sd_bus_error *ret_error, ErrorCode code, const char *format, ...) {
        _cleanup_free_ char *message = NULL;
        va_list ap;
        int r;

        va_start(ap, format);
        r = vasprintf(&message, format, ap);
        va_end(ap);
        if (r < 0) {
                message = NULL;
                return sd_bus_error_set_errno(ret_error, -ENOMEM);
        }
        return set_message(ret_error, code, message);
}
