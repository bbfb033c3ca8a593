/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/options.h"

#include <limits.h>

#include "bus/errors.h"

typedef struct OptionSpec {
        OptionFlags flag;
        const char *name;
        char type; /* of the bus */
        size_t offset;
} OptionSpec;

static const OptionSpec specs[] = {
        { OPTION_RUNTIME, "runtime", 'b', offsetof(Options, change.runtime) },
        { OPTION_EXPECTED_GENERATION, "expected-generation", 't', offsetof(Options, change.expected_generation) },
        { OPTION_CONFIRM_TIMEOUT, "confirm-timeout", 't', offsetof(Options, change.confirm_timeout) },
        { OPTION_DRY_RUN, "dry-run", 'b', offsetof(Options, change.dry_run) },
        { OPTION_BASE_DIRECTORY, "base-directory", 's', offsetof(Options, change.base_directory) },
        { OPTION_CREATE_ONLY, "create-only", 'b', offsetof(Options, create_only) },
        { OPTION_REPLACE_ONLY, "replace-only", 'b', offsetof(Options, replace_only) },
        { OPTION_CONTENTS, "contents", 'b', offsetof(Options, contents) },
        { OPTION_CHAIN, "chain", 's', offsetof(Options, chain) },
        { OPTION_FORCE, "force", 'b', offsetof(Options, force) },
        { OPTION_POLICY, "policy", 's', offsetof(Options, policy) },
};

static const char *type_to_string(char type) {
        return type == 'b' ? "a boolean (b)" : type == 't' ? "an unsigned 64-bit number (t)" : "a string (s)";
}

static const OptionSpec *spec_find(const char *name, OptionFlags known) {
        for (size_t i = 0; i < ELEMENTSOF(specs); i++)
                if ((specs[i].flag & known) && streq(specs[i].name, name))
                        return &specs[i];
        return NULL;
}

static int fail_unknown(const char *name, OptionFlags known, sd_bus_error *ret_error) {
        char list[256] = "";

        for (size_t i = 0; i < ELEMENTSOF(specs); i++)
                if (specs[i].flag & known) {
                        if (list[0])
                                strcat(list, ", ");
                        strcat(list, specs[i].name);
                }

        if (!list[0])
                return bus_error_failf(ret_error, ERROR_INVALID_ARGUMENT,
                                       "There is no option \"%.64s\": this method has none yet.", name);
        return bus_error_failf(ret_error, ERROR_INVALID_ARGUMENT,
                               "There is no option \"%.64s\" here. This method knows: %s.", name, list);
}

static int read_value(sd_bus_message *message, const OptionSpec *spec, Options *options) {
        void *target = (char *) options + spec->offset;
        const char type[2] = { spec->type, '\0' };
        int b, r;

        r = sd_bus_message_enter_container(message, 'v', type);
        if (r < 0)
                return r;

        if (spec->type == 'b') {
                r = sd_bus_message_read_basic(message, 'b', &b);
                if (r >= 0)
                        *(bool *) target = b;
        } else
                r = sd_bus_message_read_basic(message, spec->type, target);
        return r < 0 ? r : sd_bus_message_exit_container(message);
}

static int read_entry(sd_bus_message *message, OptionFlags known, Options *options, sd_bus_error *ret_error) {
        const OptionSpec *spec;
        const char *name, *contents;
        char type;
        int r;

        r = sd_bus_message_read_basic(message, 's', &name);
        if (r < 0)
                return r;

        spec = spec_find(name, known);
        if (!spec)
                return fail_unknown(name, known, ret_error);
        if (options->given & spec->flag)
                return bus_error_failf(ret_error, ERROR_INVALID_ARGUMENT, "Option \"%s\" is given twice.", name);

        r = sd_bus_message_peek_type(message, &type, &contents);
        if (r < 0)
                return r;
        if (type != 'v' || contents[0] != spec->type || contents[1])
                return bus_error_failf(ret_error, ERROR_INVALID_ARGUMENT,
                                       "Option \"%s\" is %s; it was given with the signature \"%s\".", name,
                                       type_to_string(spec->type), contents);

        options->given |= spec->flag;
        return read_value(message, spec, options);
}

static int check(const Options *options, sd_bus_error *ret_error) {
        const char *base = options->change.base_directory;

        if (base && (base[0] != '/' || strlen(base) >= PATH_MAX))
                return bus_error_failf(ret_error, ERROR_INVALID_ARGUMENT,
                                       "Option \"base-directory\" is the absolute path of a folder, shorter than %d "
                                       "bytes.",
                                       PATH_MAX);
        if (options->create_only && options->replace_only)
                return bus_error_failf(ret_error, ERROR_INVALID_ARGUMENT,
                                       "Options \"create-only\" and \"replace-only\" exclude each other.");
        return 0;
}

int options_read(sd_bus_message *message, OptionFlags known, Options *ret, sd_bus_error *ret_error) {
        Options options = {};
        int r;

        r = sd_bus_message_enter_container(message, 'a', "{sv}");
        while (r >= 0) {
                r = sd_bus_message_enter_container(message, 'e', "sv");
                if (r <= 0)
                        break;
                r = read_entry(message, known, &options, ret_error);
                if (r >= 0)
                        r = sd_bus_message_exit_container(message);
        }
        if (r >= 0)
                r = sd_bus_message_exit_container(message);
        if (r < 0)
                return sd_bus_error_is_set(ret_error) ? r : sd_bus_error_set_errno(ret_error, r);

        r = check(&options, ret_error);
        if (r < 0)
                return r;

        options.change.expects_generation = options.given & OPTION_EXPECTED_GENERATION;
        *ret = options;
        return 0;
}
