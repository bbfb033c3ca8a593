/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>

#include "error.h"

static const struct {
        const char *name;
        int error;
} codes[_ERROR_CODE_MAX] = {
        [ERROR_NONE] = { "None", 0 },
        [ERROR_FAILED] = { "Failed", -EIO },
        [ERROR_INVALID_DOCUMENT] = { "InvalidDocument", -EBADMSG },
        [ERROR_INVALID_ARGUMENT] = { "InvalidArgument", -EINVAL },
        [ERROR_NO_SUCH_DOCUMENT] = { "NoSuchDocument", -ENOENT },
        [ERROR_NO_SUCH_INTERFACE] = { "NoSuchInterface", -ENODEV },
        [ERROR_NO_SUCH_CHAIN] = { "NoSuchChain", -ENOENT },
        [ERROR_NO_SUCH_PROGRAM] = { "NoSuchProgram", -ENOENT },
        [ERROR_NO_SUCH_MAP] = { "NoSuchMap", -ENOENT },
        [ERROR_NO_SUCH_ENTRY] = { "NoSuchEntry", -ENOENT },
        [ERROR_ENTRY_EXISTS] = { "EntryExists", -EEXIST },
        [ERROR_NAME_TAKEN] = { "NameTaken", -EEXIST },
        [ERROR_VERIFIER_REJECTED] = { "VerifierRejected", -EACCES },
        [ERROR_LIMIT_EXCEEDED] = { "LimitExceeded", -E2BIG },
        [ERROR_HOOK_BUSY] = { "HookBusy", -EBUSY },
        [ERROR_INCOMPATIBLE] = { "Incompatible", -EPROTOTYPE },
        [ERROR_STALE_GENERATION] = { "StaleGeneration", -ESTALE },
        [ERROR_NOTHING_TO_CONFIRM] = { "NothingToConfirm", -ENODATA },
        [ERROR_NOT_SUPPORTED] = { "NotSupported", -EOPNOTSUPP },
        [ERROR_BUSY] = { "Busy", -EAGAIN },
};

const char *error_code_to_string(ErrorCode code) {
        return (int) code >= 0 && code < _ERROR_CODE_MAX ? codes[code].name : NULL;
}

ErrorCode error_code_from_string(const char *s) {
        for (int i = 0; s && i < _ERROR_CODE_MAX; i++)
                if (streq(codes[i].name, s))
                        return (ErrorCode) i;
        return _ERROR_CODE_INVALID;
}

int error_code_to_errno(ErrorCode code) {
        return (int) code >= 0 && code < _ERROR_CODE_MAX ? codes[code].error : -EINVAL;
}

void error_done(Error *error) {
        free(error->message);
        free(error->where);
        free(error->log);
        *error = ERROR_INIT;
}

static int error_set_valist(Error *error, ErrorCode code, const char *where, const char *format, va_list ap) {
        if (!error_is_set(error)) {
                error->code = code;
                if (vasprintf(&error->message, format, ap) < 0)
                        error->message = NULL;
                error->where = where ? strdup(where) : NULL;
        }
        return error_code_to_errno(code);
}

int error_set(Error *error, ErrorCode code, const char *format, ...) {
        va_list ap;
        int r;

        va_start(ap, format);
        r = error_set_valist(error, code, NULL, format, ap);
        va_end(ap);
        return r;
}

int error_set_at(Error *error, ErrorCode code, const char *where, const char *format, ...) {
        va_list ap;
        int r;

        va_start(ap, format);
        r = error_set_valist(error, code, where, format, ap);
        va_end(ap);
        return r;
}

void error_prefix(Error *error, const char *format, ...) {
        _cleanup_free_ char *prefix = NULL;
        char *joined = NULL;
        va_list ap;

        if (!error_is_set(error))
                return;

        va_start(ap, format);
        if (vasprintf(&prefix, format, ap) < 0)
                prefix = NULL;
        va_end(ap);

        if (!prefix || asprintf(&joined, "%s%s", prefix, error->message ? error->message : "") < 0)
                return;
        free(error->message);
        error->message = joined;
}

int error_ensure(Error *error, int r, const char *what) {
        if (r < 0 && !error_is_set(error)) {
                error_set(error, ERROR_FAILED, "%s: %s", what, strerror(-r));
        }
        return r;
}

void error_move(Error *to, Error *from) {
        *to = *from;
        *from = ERROR_INIT;
}
