/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>

#include "model/document.h"
#include "util/json-reader.h"
#include "util/strv.h"

static const char *const layer_table[_LAYER_MAX] = {
        [LAYER_VENDOR] = "vendor",
        [LAYER_RUNTIME] = "runtime",
        [LAYER_ADMIN] = "admin",
};

DEFINE_STRING_TABLE(layer, Layer, _LAYER_MAX)

static bool name_is_valid(const char *name, size_t max, const char *also) {
        size_t n = strlen(name);

        if (n < 1 || n > max || !isalnum((unsigned char) *name))
                return false;
        for (const char *p = name; *p; p++)
                if (!isascii((unsigned char) *p) || (!isalnum((unsigned char) *p) && !strchr(also, *p)))
                        return false;
        return true;
}

bool document_name_is_valid(const char *name) {
        return name_is_valid(name, 128, "._@:-") && !endswith(name, ".json");
}

bool program_name_is_valid(const char *name) {
        return name_is_valid(name, PROGRAM_NAME_MAX, "._-");
}

static void program_def_done(ProgramDef *def) {
        free(def->name);
        free(def->where);
        free(def->object);
        free(def->function);
        free(def->type);
        free(def->description);
        free(def->object_path);
        free(def->digest);
        json_object_put(def->globals);
        json_object_put(def->maps);
}

static void chain_def_done(ChainDef *def) {
        free(def->where);
        strv_free(def->interfaces);
        for (size_t i = 0; i < def->n_slots; i++)
                free(def->slots[i].program);
        free(def->slots);
        strv_free(def->sequence);
        strv_free(def->without);
}

Document *document_ref(Document *document) {
        document->n_ref++;
        return document;
}

Document *document_unref(Document *document) {
        if (!document || --document->n_ref > 0)
                return NULL;

        for (size_t i = 0; i < document->n_programs; i++)
                program_def_done(&document->programs[i]);
        for (size_t i = 0; i < document->n_chains; i++)
                chain_def_done(&document->chains[i]);
        free(document->programs);
        free(document->chains);
        free(document->name);
        free(document->path);
        free(document->text);
        free(document->base_directory);
        free(document);
        return NULL;
}

static void prefix_position(const char *name, const JsonPosition *position, Error *error) {
        if (strempty(error->where))
                error_prefix(error, "%s.json:%u:%u: ", name, position->line, position->column);
        else
                error_prefix(error, "%s.json:%u:%u: %s: ", name, position->line, position->column, error->where);
        free(error->where);
        error->where = NULL;
}

void document_locate_error(const Document *document, Error *error) {
        JsonPosition position;

        if (!error_is_set(error))
                return;
        if (!error->where) {
                error_prefix(error, "%s.json: ", document->name);
                return;
        }
        position = json_locate_error(document->text, document->size, error);
        prefix_position(document->name, &position, error);
}

/* Copies a string member; 0 also where it is absent. */
static int read_string(const JsonReader *reader, const char *name, const JsonStringRule *rule, char **ret) {
        const char *s = NULL;
        int r;

        r = json_reader_string(reader, name, rule, &s);
        if (r <= 0)
                return r;
        return free_and_strdup(ret, s);
}

static int read_program(Document *document, const char *name, json_object *value, Error *error) {
        static const JsonField fields[] = {
                { "object", JSON_STRING, true },     { "function", JSON_STRING }, { "type", JSON_STRING },
                { "globals", JSON_OBJECT },          { "maps", JSON_OBJECT },     { "description", JSON_STRING },
                { "keep-tail-calls", JSON_BOOLEAN },
        };
        static const char *const types[] = { "xdp", "tc" };
        _cleanup_free_ char *where = json_path_member("programs", name);
        _cleanup_free_ char *key = json_path_key("programs", name);
        ProgramDef *def = &document->programs[document->n_programs];
        JsonReader reader;
        int r, type = -1;

        if (!where || !key)
                return -ENOMEM;
        if (!program_name_is_valid(name))
                return error_set_at(error, ERROR_INVALID_DOCUMENT, key,
                                    "\"%s\" is no program name: use 1 to %d letters, digits, '.', '_' and '-', "
                                    "beginning with a letter or digit",
                                    name, PROGRAM_NAME_MAX);
        r = json_reader_init(&reader, value, where, fields, ELEMENTSOF(fields), error);
        if (r < 0)
                return r;

        /* From here on the document frees it. */
        *def = (ProgramDef){ .document = document };
        document->n_programs++;
        def->name = strdup(name);
        def->where = TAKE_PTR(where);
        reader.where = def->where;
        if (!def->name)
                return -ENOMEM;

        r = read_string(&reader, "object", &(JsonStringRule){ .what = "an object file", .min = 1, .max = 1024 },
                        &def->object);
        if (r < 0)
                return r;
        if (streq(def->object, "..") || startswith(def->object, "../") || strstr(def->object, "/../"))
                return json_reader_fail(&reader, "object",
                                        "\"..\" is not allowed in the name of an object: give the absolute path, or "
                                        "put the file into an objects folder");
        r = read_string(
                &reader, "function",
                &(JsonStringRule){ .what = "a function name", .min = 1, .max = 127, .characters = "A-Za-z0-9_.$" },
                &def->function);
        if (r < 0)
                return r;
        r = json_reader_word(&reader, "type", types, ELEMENTSOF(types), &type);
        if (r < 0)
                return r;
        if (r > 0) {
                r = free_and_strdup(&def->type, types[type]);
                if (r < 0)
                        return r;
        }
        r = read_string(&reader, "description", NULL, &def->description);
        if (r < 0)
                return r;
        r = json_reader_boolean(&reader, "keep-tail-calls", &def->keep_tail_calls);
        if (r < 0)
                return r;

        if (json_reader_value(&reader, "globals", &def->globals, NULL) > 0)
                json_object_get(def->globals);
        if (json_reader_value(&reader, "maps", &def->maps, NULL) > 0)
                json_object_get(def->maps);
        return 0;
}

/* The form of "maps"; their keys and values are checked against the types when the object is opened. */
static int check_map_contents(const ProgramDef *def, Error *error) {
        static const JsonField fields[] = { { "key", JSON_ANY, true }, { "value", JSON_ANY, true } };
        _cleanup_free_ char *maps = json_path_member(def->where, "maps");

        if (!maps)
                return -ENOMEM;
        json_object_object_foreach (def->maps, name, entries) {
                _cleanup_free_ char *map = json_path_member(maps, name);
                int r;

                if (!map)
                        return -ENOMEM;
                r = json_check(entries, map, JSON_ARRAY, error);
                if (r < 0)
                        return r;
                for (size_t i = 0; i < json_object_array_length(entries); i++) {
                        _cleanup_free_ char *entry = json_path_index(map, i);
                        JsonReader reader;

                        if (!entry)
                                return -ENOMEM;
                        r = json_reader_init(&reader, json_object_array_get_idx(entries, i), entry, fields,
                                             ELEMENTSOF(fields), error);
                        if (r < 0)
                                return r;
                }
        }
        return 0;
}

static int read_programs(Document *document, json_object *programs, Error *error) {
        size_t n = (size_t) json_object_object_length(programs);

        if (n > DOCUMENT_PROGRAMS_MAX)
                return error_set_at(error, ERROR_LIMIT_EXCEEDED, "programs",
                                    "%zu programs are more than the %d that one document may define; split it", n,
                                    DOCUMENT_PROGRAMS_MAX);
        document->programs = calloc(n + 1, sizeof(ProgramDef));
        if (!document->programs)
                return -ENOMEM;

        json_object_object_foreach (programs, name, value) {
                int r;

                r = read_program(document, name, value, error);
                if (r < 0)
                        return r;
                if (document->programs[document->n_programs - 1].maps) {
                        r = check_map_contents(&document->programs[document->n_programs - 1], error);
                        if (r < 0)
                                return r;
                }
        }
        return 0;
}

static int read_names(const JsonReader *reader, const char *name, const JsonStringRule *rule, size_t max,
                      char ***ret) {
        _cleanup_free_ char *where = NULL;
        json_object *array = NULL;
        int r;

        r = json_reader_value(reader, name, &array, &where);
        if (r <= 0)
                return r;
        if (json_object_array_length(array) > max)
                return error_set_at(reader->error, ERROR_LIMIT_EXCEEDED, where,
                                    "%zu are more than the %zu allowed here", json_object_array_length(array), max);

        for (size_t i = 0; i < json_object_array_length(array); i++) {
                _cleanup_free_ char *element = json_path_index(where, i);
                const char *s;

                if (!element)
                        return -ENOMEM;
                r = json_get_string(json_object_array_get_idx(array, i), element, rule, &s, reader->error);
                if (r < 0)
                        return r;
                if (strv_contains(*ret, s))
                        return error_set_at(reader->error, ERROR_INVALID_DOCUMENT, element,
                                            "\"%s\" stands here twice; remove one", s);
                r = strv_append(ret, s);
                if (r < 0)
                        return r;
        }
        return 1;
}

static int read_proceed_on(const ChainDef *chain, const JsonReader *reader, uint32_t *ret) {
        _cleanup_free_ char *where = NULL;
        json_object *array = NULL;
        uint32_t mask = 0;
        int r;

        r = json_reader_value(reader, "proceed-on", &array, &where);
        if (r <= 0)
                return r;

        for (size_t i = 0; i < json_object_array_length(array); i++) {
                const char *names[VERDICT_BUCKETS];
                _cleanup_free_ char *element = json_path_index(where, i);
                size_t n = verdict_buckets(chain->hook) - 1;
                int bucket = 0;

                if (!element)
                        return -ENOMEM;
                for (unsigned b = 0; b < n; b++)
                        names[b] = verdict_bucket_to_string(chain->hook, b);
                r = json_get_word(json_object_array_get_idx(array, i), element, names, n, &bucket, reader->error);
                if (r < 0)
                        return r;
                mask |= UINT32_C(1) << bucket;
        }
        *ret = mask;
        return 1;
}

static const JsonStringRule program_rule = { .what = "a program's name", .min = 1, .max = PROGRAM_NAME_MAX };

static int read_slot(ChainDef *chain, json_object *value, const char *where, Error *error) {
        static const JsonField fields[] = { { "use", JSON_STRING, true }, { "proceed-on", JSON_ARRAY } };
        SlotDef *slot = &chain->slots[chain->n_slots];
        const char *program = NULL;
        uint32_t proceed_on = verdict_default_proceed_on(chain->hook);
        int r;

        r = json_check(value, where, JSON_STRING | JSON_OBJECT, error);
        if (r < 0)
                return r;
        if (json_object_is_type(value, json_type_string))
                r = json_get_string(value, where, &program_rule, &program, error);
        else {
                JsonReader reader;

                r = json_reader_init(&reader, value, where, fields, ELEMENTSOF(fields), error);
                if (r >= 0)
                        r = json_reader_string(&reader, "use", &program_rule, &program);
                if (r >= 0)
                        r = read_proceed_on(chain, &reader, &proceed_on);
        }
        if (r < 0)
                return r;

        for (size_t i = 0; i < chain->n_slots; i++)
                if (streq(chain->slots[i].program, program))
                        return error_set_at(error, ERROR_INVALID_DOCUMENT, where,
                                            "\"%s\" stands in this chain twice; remove one, or define the program "
                                            "under another name as well",
                                            program);

        *slot = (SlotDef){ .program = strdup(program), .proceed_on = proceed_on };
        if (!slot->program)
                return -ENOMEM;
        chain->n_slots++;
        return 0;
}

static int read_slots(ChainDef *chain, const JsonReader *reader) {
        _cleanup_free_ char *where = NULL;
        json_object *array = NULL;
        size_t n;
        int r;

        r = json_reader_value(reader, "programs", &array, &where);
        if (r <= 0)
                return r;

        n = json_object_array_length(array);
        if (n > CHAIN_SLOTS_MAX)
                return error_set_at(reader->error, ERROR_LIMIT_EXCEEDED, where,
                                    "%zu programs are more than the %d that a chain can have", n, CHAIN_SLOTS_MAX);
        chain->slots = calloc(n + 1, sizeof(SlotDef));
        if (!chain->slots)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                _cleanup_free_ char *element = json_path_index(where, i);

                if (!element)
                        return -ENOMEM;
                r = read_slot(chain, json_object_array_get_idx(array, i), element, reader->error);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int read_interfaces(ChainDef *chain, const JsonReader *reader) {
        int r;

        r = read_names(reader, "interfaces",
                       &(JsonStringRule){ .what = "an interface's name", .min = 1, .max = ALTIFNAME_SIZE - 1 },
                       DOCUMENT_INTERFACES_MAX, &chain->interfaces);
        if (r < 0)
                return r;
        if (!chain->interfaces)
                return json_reader_fail(reader, "interfaces", "at least one interface is needed");

        STRV_FOREACH (s, chain->interfaces) {
                _cleanup_free_ char *list = json_path_member(chain->where, "interfaces");
                _cleanup_free_ char *element = list ? json_path_index(list, (size_t) (s - chain->interfaces)) : NULL;
                bool glob = strpbrk(*s, "*?[\\");

                /* dev_valid_name() in net/core/dev.c: no '/', no ':', no white space, not "." or "..". */
                if (strpbrk(*s, "/ \t\n\r\v\f") || (!glob && strchr(*s, ':')) || streq(*s, ".") || streq(*s, ".."))
                        return error_set_at(reader->error, ERROR_INVALID_DOCUMENT, element,
                                            "\"%s\" can't be the name of an interface", *s);
                if (!glob && strlen(*s) >= IFNAMSIZ)
                        return error_set_at(
                                reader->error, ERROR_INVALID_DOCUMENT, element,
                                "\"%s\" has %zu characters, the kernel's interface names have at most %d; "
                                "an alternative name that is longer can be matched with a glob (\"%.*s*\")",
                                *s, strlen(*s), IFNAMSIZ - 1, IFNAMSIZ - 1, *s);
        }
        return 0;
}

/* The members of a chain that are one of a few words. */
static int read_words(ChainDef *def, const JsonReader *reader) {
        const char *hooks[_HOOK_MAX], *modes[_ATTACH_MODE_MAX], *levels[_COUNTER_LEVEL_MAX];
        const char *policies[_RESTORE_POLICY_MAX];
        int r, word = 0;

        for (int i = 0; i < _HOOK_MAX; i++)
                hooks[i] = hook_to_string(i);
        for (int i = 0; i < _ATTACH_MODE_MAX; i++)
                modes[i] = attach_mode_to_string(i);
        for (int i = 0; i < _COUNTER_LEVEL_MAX; i++)
                levels[i] = counter_level_to_string(i);
        for (int i = 0; i < _RESTORE_POLICY_MAX; i++)
                policies[i] = restore_policy_to_string(i);

        r = json_reader_word(reader, "hook", hooks, ELEMENTSOF(hooks), &word);
        if (r < 0)
                return r;
        def->hook = (Hook) word;

        r = json_reader_word(reader, "mode", modes, ELEMENTSOF(modes), &word);
        if (r < 0)
                return r;
        if (r > 0) {
                if (hook_is_tc(def->hook) && word != ATTACH_MODE_BEST)
                        return json_reader_fail(reader, "mode",
                                                "native and generic are modes of XDP; remove it for a TC hook");
                def->mode = (AttachMode) word;
                def->mode_set = true;
        }

        r = json_reader_word(reader, "counters", levels, ELEMENTSOF(levels), &word);
        if (r < 0)
                return r;
        if (r > 0) {
                def->counters = (CounterLevel) word;
                def->counters_set = true;
        }

        r = json_reader_word(reader, "restore", policies, ELEMENTSOF(policies), &word);
        if (r < 0)
                return r;
        if (r > 0) {
                def->restore = (RestorePolicy) word;
                def->restore_set = true;
        }
        return 0;
}

static int read_chain(Document *document, json_object *value, size_t index, Error *error) {
        static const JsonField fields[] = {
                { "interfaces", JSON_ARRAY, true }, { "hook", JSON_STRING, true }, { "mode", JSON_STRING },
                { "order", JSON_INTEGER },          { "programs", JSON_ARRAY },    { "sequence", JSON_ARRAY },
                { "without", JSON_ARRAY },          { "detached", JSON_BOOLEAN },  { "description", JSON_STRING },
                { "counters", JSON_STRING },        { "restore", JSON_STRING },    { "fail-closed", JSON_BOOLEAN },
        };
        ChainDef *def = &document->chains[index];
        JsonReader reader;
        int64_t order = CHAIN_ORDER_DEFAULT;
        int r;

        *def = (ChainDef){ .document = document };
        document->n_chains = index + 1;
        def->where = json_path_index("chains", index);
        if (!def->where)
                return -ENOMEM;
        r = json_reader_init(&reader, value, def->where, fields, ELEMENTSOF(fields), error);
        if (r < 0)
                return r;

        r = read_words(def, &reader);
        if (r < 0)
                return r;
        r = json_reader_integer(&reader, "order", 0, 65535, &order);
        if (r < 0)
                return r;
        def->order = (unsigned) order;

        r = json_reader_boolean(&reader, "detached", &def->detached);
        if (r < 0)
                return r;
        r = json_reader_boolean(&reader, "fail-closed", &def->fail_closed);
        if (r < 0)
                return r;
        r = read_interfaces(def, &reader);
        if (r < 0)
                return r;
        r = read_slots(def, &reader);
        if (r < 0)
                return r;
        r = read_names(&reader, "sequence", &program_rule, CHAIN_SLOTS_MAX, &def->sequence);
        if (r < 0)
                return r;
        r = read_names(&reader, "without", &program_rule, CHAIN_SLOTS_MAX, &def->without);
        return r < 0 ? r : 0;
}

static int read_chains(Document *document, json_object *chains, Error *error) {
        size_t n = json_object_array_length(chains);

        if (n > DOCUMENT_CHAINS_MAX)
                return error_set_at(error, ERROR_LIMIT_EXCEEDED, "chains",
                                    "%zu chains are more than the %d that one document may hold; split it", n,
                                    DOCUMENT_CHAINS_MAX);
        document->chains = calloc(n + 1, sizeof(ChainDef));
        if (!document->chains)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                int r;

                r = read_chain(document, json_object_array_get_idx(chains, i), i, error);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int read_document(Document *document, json_object *root, Error *error) {
        static const JsonField fields[] = {
                { "$schema", JSON_STRING },
                { "description", JSON_STRING },
                { "programs", JSON_OBJECT },
                { "chains", JSON_ARRAY },
        };
        JsonReader reader;
        json_object *value = NULL;
        int r;

        r = json_reader_init(&reader, root, "", fields, ELEMENTSOF(fields), error);
        if (r < 0)
                return r;
        if (json_reader_value(&reader, "programs", &value, NULL) > 0) {
                r = read_programs(document, value, error);
                if (r < 0)
                        return r;
        }
        if (json_reader_value(&reader, "chains", &value, NULL) > 0) {
                r = read_chains(document, value, error);
                if (r < 0)
                        return r;
        }
        return 0;
}

int document_new(const char *name, const char *path, Layer layer, const char *text, size_t size, Document **ret,
                 Error *error) {
        _cleanup_(document_unrefp) Document *document = NULL;
        _cleanup_json_ json_object *root = NULL;
        JsonPosition position = {};
        int r;

        r = json_parse(text, size, &root, &position, error);
        if (r < 0) {
                if (error_is_set(error))
                        prefix_position(name, &position, error);
                return r;
        }

        document = calloc(1, sizeof(Document));
        if (!document)
                return -ENOMEM;
        document->n_ref = 1;
        document->layer = layer;
        document->size = size;
        document->name = strdup(name);
        document->text = malloc(size + 1);
        if (!document->name || !document->text)
                return -ENOMEM;
        memcpy(document->text, text, size);
        document->text[size] = 0;
        r = free_and_strdup(&document->path, path);
        if (r < 0)
                return r;

        r = read_document(document, root, error);
        if (r < 0) {
                document_locate_error(document, error);
                return r;
        }
        *ret = TAKE_PTR(document);
        return 0;
}
