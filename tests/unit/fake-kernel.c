/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>

#include "fake-internal.h"
#include "model/guard.h"
#include "util/file.h"

int fake_quiet;

/* Text that grows. */
void text_add(char **text, const char *format, ...) {
        _cleanup_free_ char *more = NULL;
        char *joined;
        va_list ap;

        va_start(ap, format);
        assert_true(vasprintf(&more, format, ap) >= 0);
        va_end(ap);
        assert_true(asprintf(&joined, "%s%s", *text ? *text : "", more) >= 0);
        free(*text);
        *text = joined;
}

void fake_note(FakeKernel *fake, FakeOp op, const char *format, ...) {
        _cleanup_free_ char *line = NULL;
        va_list ap;

        fake->count[op]++;
        va_start(ap, format);
        assert_true(vasprintf(&line, format, ap) >= 0);
        va_end(ap);
        text_add(&fake->log, "%s\n", line);
}

/* 0, or the failure that was asked for this call. */
int fake_step(FakeKernel *fake, FakeOp op, Error *error) {
        bool hit = false;

        assert_true(op < _FAKE_OP_FALLIBLE);
        fake->n_any++;
        fake->n_op[op]++;
        if (fake->fail_any > 0 && fake->n_any == fake->fail_any)
                hit = true;
        if (fake->fail_nth > 0 && op == fake->fail_op && fake->n_op[op] == fake->fail_nth)
                hit = true;
        if (fake->fail_always[op] != 0) {
                if (error)
                        error_set(error, ERROR_FAILED, "made to fail always");
                return fake->fail_always[op];
        }
        if (!hit)
                return 0;
        fake->failed = true;
        if (error && !fake->fail_silently)
                error_set(error, ERROR_FAILED, "made to fail");
        return fake->fail_error;
}

static void arm(FakeKernel *fake, int error, bool silently) {
        fake->n_any = fake->fail_any = fake->fail_nth = 0;
        memset(fake->n_op, 0, sizeof(fake->n_op));
        fake->fail_error = error;
        fake->fail_silently = silently;
        fake->failed = false;
}

void fake_fail(FakeKernel *fake, FakeOp op, unsigned n, int error, bool silently) {
        arm(fake, error, silently);
        fake->fail_op = op;
        fake->fail_nth = n;
}

void fake_fail_any(FakeKernel *fake, unsigned n, int error, bool silently) {
        arm(fake, error, silently);
        fake->fail_any = n;
}

void fake_fail_always(FakeKernel *fake, FakeOp op, int error) {
        fake->fail_always[op] = error;
}

bool fake_failed(const FakeKernel *fake) {
        return fake->failed;
}

FakeKernel *fake_kernel_new(void) {
        FakeKernel *fake = calloc(1, sizeof(FakeKernel));

        assert_non_null(fake);
        fake->next_id = 100;
        return fake;
}

static void pins_free(FakePins *pins) {
        fake_pins_clear(pins);
        free(pins->name);
        free(pins);
}

void fake_kernel_free(FakeKernel *fake) {
        assert_int_equal(fake->live_attachments, 0);
        assert_int_equal(fake->live_fused, 0);
        assert_int_equal(fake->live_programs, 0);
        assert_int_equal(fake->live_simulations, 0);
        for (size_t i = 0; i < fake->n_programs; i++) {
                free(fake->programs[i]->words);
                free(fake->programs[i]);
        }
        for (size_t i = 0; i < fake->n_simulations; i++)
                free(fake->simulations[i]);
        free(fake->simulations);
        free(fake->guard_demand);
        for (size_t i = 0; i < fake->n_fused; i++)
                free(fake->fused[i]);
        for (size_t i = 0; i < fake->n_attachments; i++)
                free(fake->attachments[i]);
        for (size_t i = 0; i < fake->n_pins; i++)
                pins_free(fake->pins[i]);
        for (size_t i = 0; i < fake->n_links; i++)
                free(fake->links[i]);
        for (size_t i = 0; i < fake->n_maps; i++) {
                free(fake->maps[i]->name);
                free(fake->maps[i]->contents);
                free(fake->maps[i]);
        }
        free(fake->programs);
        free(fake->fused);
        free(fake->attachments);
        free(fake->pins);
        free(fake->links);
        free(fake->maps);
        free(fake->log);
        free(fake);
}

/* Programs */

FakePins *fake_pins_of(FakeKernel *fake, const char *program) {
        for (size_t i = 0; i < fake->n_pins; i++)
                if (streq(fake->pins[i]->name, program))
                        return fake->pins[i];
        return NULL;
}

void fake_pins_clear(FakePins *pins) {
        free(pins->maps);
        pins->maps = NULL;
        pins->n_maps = 0;
        pins->there = false;
}

static FakeMap *map_new(FakeKernel *fake, const char *name, unsigned size) {
        FakeMap *map = calloc(1, sizeof(FakeMap)), **item = ARRAY_APPEND(fake->maps, fake->n_maps);

        assert_true(map && item);
        map->name = strdup(name);
        map->id = fake->next_id++;
        map->value_size = size;
        *item = map;
        return map;
}

static void add_map(KernelProgram *program, FakeMap *map, bool kept) {
        assert_true(program->n_maps < FAKE_MAPS_MAX);
        program->maps[program->n_maps] = map;
        program->kept[program->n_maps++] = kept;
}

static KernelProgram *program_handle(FakeKernel *fake, const char *name) {
        KernelProgram *program = calloc(1, sizeof(KernelProgram)),
                      **item = ARRAY_APPEND(fake->programs, fake->n_programs);

        assert_true(program && item);
        program->fake = fake;
        program->n_ref = 1;
        snprintf(program->name, sizeof(program->name), "%s", name);
        *item = program;
        fake->live_programs++;
        return program;
}

static void fill_info(const KernelProgram *program, bool pinned, ProgramInfo *ret) {
        ProgramInfo info = { .tc = program->tc, .frags = program->frags, .insns = 10, .verified_insns = 20 };

        info.function = strdup("main");
        snprintf(info.tag, sizeof(info.tag), "%016x", program->instance);
        info.maps = calloc(program->n_maps + 1, sizeof(MapInfo));
        assert_true(info.function && info.maps);
        for (; info.n_maps < program->n_maps; info.n_maps++) {
                MapInfo *map = &info.maps[info.n_maps];

                *map = (MapInfo){ .id = program->maps[info.n_maps]->id,
                                  .key_size = 4,
                                  .value_size = program->maps[info.n_maps]->value_size,
                                  .n_values = 1,
                                  .kept = program->kept[info.n_maps] };
                map->name = strdup(program->maps[info.n_maps]->name);
                map->type = strdup("hash");
                if (pinned)
                        assert_true(asprintf(&map->pin, "/pins/%s/%s", program->name, map->name) >= 0);
        }
        *ret = info;
}

static void read_object(FakeKernel *fake, const ProgramRequest *request, KernelProgram *program) {
        _cleanup_free_ char *text = NULL;
        char *save = NULL;

        assert_int_equal(file_read(request->object_path, 1 << 20, &text, NULL), 0);
        assert_int_equal(free_and_strdup(&program->words, text), 0);
        for (char *word = strtok_r(text, " \n", &save); word; word = strtok_r(NULL, " \n", &save)) {
                FakeMap *map = NULL;
                char name[64];
                unsigned size = 8;

                if (streq(word, "reject"))
                        program->reject = true;
                if (streq(word, "tc"))
                        program->tc = true;
                if (streq(word, "frags"))
                        program->frags = true;
                if (streq(word, "heavy"))
                        program->heavy = true;
                if (sscanf(word, "map:%63[^:]:%u", name, &size) < 1)
                        continue;
                for (size_t i = 0; request->previous && i < request->previous->n_maps; i++)
                        if (streq(request->previous->maps[i]->name, name) &&
                            request->previous->maps[i]->value_size == size)
                                map = request->previous->maps[i];
                add_map(program, map ? map : map_new(fake, name, size), map);
        }
}

static const char *contents_of(json_object *maps, const char *map) {
        json_object *value = NULL;

        if (!maps || !json_object_object_get_ex(maps, map, &value))
                return NULL;
        return json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN);
}

static int program_load(void *userdata, const ProgramRequest *request, KernelProgram **ret, ProgramInfo *ret_info,
                        Error *error) {
        FAKE_QUIET;
        FakeKernel *fake = userdata;
        KernelProgram *program;
        int r;

        assert_true(request->name && request->object_path && request->object_name && request->where);
        assert_false(error_is_set(error));
        assert_null(*ret);
        if (request->previous) {
                assert_true(request->previous->n_ref > 0);
                assert_string_equal(request->previous->name, request->name);
        } else
                assert_false(request->same_object || request->same_contents);
        fake_note(fake, FAKE_PROGRAM_LOAD, "program_load %s", request->name);
        r = fake_step(fake, FAKE_PROGRAM_LOAD, error);
        if (r < 0)
                return r;

        program = program_handle(fake, request->name);
        program->loaded = true;
        program->instance = fake->next_id++;
        program->previous = request->previous;
        read_object(fake, request, program);
        if (program->reject) {
                program->n_ref = 0;
                fake->live_programs--;
                r = error_set(error, ERROR_VERIFIER_REJECTED, "the verifier refuses %s: R1 is no pointer",
                              request->object_name);
                error->log = strdup("0: R1=ctx\nR1 is no pointer\n");
                return r;
        }
        for (size_t i = 0; i < program->n_maps; i++) {
                const char *contents = contents_of(request->maps, program->maps[i]->name);

                if (!contents)
                        continue;
                if (!program->kept[i])
                        assert_int_equal(free_and_strdup(&program->maps[i]->contents, contents), 0);
                else if (!request->same_contents)
                        program->write[i] = strdup(contents);
        }
        fill_info(program, false, ret_info);
        *ret = program;
        return 0;
}

static int program_adopt(void *userdata, const char *name, KernelProgram **ret, ProgramInfo *ret_info) {
        FAKE_QUIET;
        FakeKernel *fake = userdata;
        FakePins *pins = fake_pins_of(fake, name);
        KernelProgram *program;
        int r;

        fake_note(fake, FAKE_PROGRAM_ADOPT, "program_adopt %s", name);
        r = fake_step(fake, FAKE_PROGRAM_ADOPT, NULL);
        if (r < 0)
                return r;
        if (!pins || !pins->there || pins->n_maps == 0)
                return -ENOENT;
        program = program_handle(fake, name);
        program->committed = true;
        for (size_t i = 0; i < pins->n_maps; i++)
                add_map(program, pins->maps[i], true);
        fill_info(program, true, ret_info);
        free(ret_info->function); /* nobody knows it any more */
        ret_info->function = NULL;
        *ret = program;
        return 0;
}

void fake_unpin_maps(KernelProgram *program) {
        assert_true(program->committed);
        program->unpinned = true;
}

static bool program_is_pinned(void *userdata, KernelProgram *program) {
        assert_true(program->n_ref > 0);
        return !program->unpinned;
}

static int program_repin(void *userdata, KernelProgram *program, Error *error) {
        assert_true(program->n_ref > 0 && program->unpinned);
        program->unpinned = false;
        return 0;
}

static int program_commit(void *userdata, KernelProgram *program, ProgramInfo *ret_info, Error *error) {
        FAKE_QUIET;
        FakeKernel *fake = userdata;
        FakePins *pins = fake_pins_of(fake, program->name);
        int r;

        assert_true(program->n_ref > 0 && program->loaded && !program->committed);
        assert_true(!program->previous || program->previous->n_ref > 0);
        assert_false(error_is_set(error));
        fake_note(fake, FAKE_PROGRAM_COMMIT, "program_commit %s", program->name);
        r = fake_step(fake, FAKE_PROGRAM_COMMIT, error);
        if (r < 0)
                return r;

        if (!pins) {
                FakePins **item = ARRAY_APPEND(fake->pins, fake->n_pins);

                pins = calloc(1, sizeof(FakePins));
                assert_true(item && pins);
                pins->name = strdup(program->name);
                *item = pins;
        }
        program->undo = *pins;
        *pins = (FakePins){ .name = pins->name, .there = true };
        pins->maps = calloc(program->n_maps + 1, sizeof(FakeMap *));
        assert_non_null(pins->maps);
        memcpy(pins->maps, program->maps, program->n_maps * sizeof(FakeMap *));
        pins->n_maps = program->n_maps;
        for (size_t i = 0; i < program->n_maps; i++)
                if (program->write[i]) {
                        program->undo_contents[i] = program->maps[i]->contents;
                        program->maps[i]->contents = strdup(program->write[i]);
                }
        program->committed = true;
        fill_info(program, true, ret_info);
        return 0;
}

static void program_rollback(void *userdata, KernelProgram *program) {
        FAKE_QUIET;
        FakeKernel *fake = userdata;
        FakePins *pins = fake_pins_of(fake, program->name);

        fake_note(fake, FAKE_PROGRAM_ROLLBACK, "program_rollback %s", program->name);
        assert_true(program->n_ref > 0 && program->loaded && program->committed);
        assert_true(!program->previous || program->previous->n_ref > 0);
        fake_pins_clear(pins);
        *pins = program->undo;
        program->undo = (FakePins){};
        for (size_t i = 0; i < program->n_maps; i++)
                if (program->write[i]) {
                        free(program->maps[i]->contents);
                        program->maps[i]->contents = TAKE_PTR(program->undo_contents[i]);
                }
        program->committed = false;
}

static KernelProgram *program_ref(KernelProgram *program) {
        FAKE_QUIET;
        assert_true(program->n_ref > 0);
        program->n_ref++;
        return program;
}

static void program_unref(KernelProgram *program) {
        FAKE_QUIET;
        if (!program)
                return;
        assert_true(program->n_ref > 0);
        if (--program->n_ref > 0)
                return;
        program->fake->live_programs--;
        free(program->undo.maps);
        for (size_t i = 0; i < program->n_maps; i++) {
                free(program->write[i]);
                free(program->undo_contents[i]);
        }
}

static void program_remove(void *userdata, const char *name) {
        FAKE_QUIET;
        FakeKernel *fake = userdata;
        FakePins *pins = fake_pins_of(fake, name);

        fake_note(fake, FAKE_PROGRAM_REMOVE, "program_remove %s", name);
        for (size_t i = 0; i < fake->n_links; i++)
                for (size_t j = 0; fake->links[i]->there && j < fake->links[i]->content.n_slots; j++)
                        assert_string_not_equal(fake->links[i]->content.slots[j].name, name);
        if (pins)
                fake_pins_clear(pins);
}

static void program_sweep(void *userdata, bool (*keep)(const char *name, void *keep_userdata), void *keep_userdata) {
        FAKE_QUIET;
        FakeKernel *fake = userdata;

        for (size_t i = 0; i < fake->n_pins; i++)
                if (fake->pins[i]->there && !keep(fake->pins[i]->name, keep_userdata)) {
                        fake_note(fake, FAKE_PROGRAM_REMOVE, "program_sweep %s", fake->pins[i]->name);
                        fake_pins_clear(fake->pins[i]);
                }
}

/* Map access is the kernel layer's own affair; the model only hands the calls on. */
static int map_lookup(void *userdata, KernelProgram *program, const char *map, const void *key, size_t key_size,
                      void *ret_value, size_t value_size, Error *error) {
        return error_set(error, ERROR_NO_SUCH_ENTRY, "the fake has no entries");
}

static int map_update(void *userdata, KernelProgram *program, const char *map, const void *key, size_t key_size,
                      const void *value, size_t value_size, uint64_t flags, Error *error) {
        return error_set(error, ERROR_NOT_SUPPORTED, "the fake has no entries");
}

static int map_delete(void *userdata, KernelProgram *program, const char *map, const void *key, size_t key_size,
                      Error *error) {
        return error_set(error, ERROR_NO_SUCH_ENTRY, "the fake has no entries");
}

static int map_next_key(void *userdata, KernelProgram *program, const char *map, const void *key, void *ret_key,
                        size_t key_size, Error *error) {
        return -ENOENT;
}

static int interface_details(void *userdata, int ifindex, const char *name, InterfaceDetails *ret) {
        FAKE_QUIET;
        *ret = (InterfaceDetails){ .driver = "fake" };
        return 0;
}

static int interface_set_up(void *userdata, int ifindex, bool up) {
        FakeKernel *fake = userdata;
        FakeAdminState *state;

        assert_true(ifindex > 0 && ifindex < FAKE_INTERFACES_MAX);
        if (fake->admin_error < 0)
                return fake->admin_error;
        state = &fake->admin[ifindex];
        state->downs += !up;
        state->ups += up;
        return 0;
}

unsigned fake_set_downs(const FakeKernel *fake, int ifindex) {
        return fake->admin[ifindex].downs;
}

unsigned fake_set_ups(const FakeKernel *fake, int ifindex) {
        return fake->admin[ifindex].ups;
}

void fake_fail_admin(FakeKernel *fake, int error) {
        fake->admin_error = error;
}

static int interface_foreign(void *userdata, int ifindex, KernelAttachment *const *own, size_t n_own,
                             ForeignInfo **ret, size_t *ret_n) {
        FAKE_QUIET;
        for (size_t i = 0; i < n_own; i++)
                assert_true(own[i]->alive);
        *ret = NULL;
        *ret_n = 0;
        return 0;
}

unsigned fake_guard_demands(const FakeKernel *fake) {
        return fake->guard_demands;
}

const char *fake_guard_demand(const FakeKernel *fake) {
        return fake->guard_demand ? fake->guard_demand : "";
}

void fake_guard_refuse(FakeKernel *fake, int least, int error) {
        fake->guard_least = least;
        fake->guard_error = error;
}

static int guard_apply(void *userdata, const GuardDemand *demand, GuardState *ret, Error *error) {
        FAKE_QUIET;
        FakeKernel *fake = userdata;
        bool refused = fake->guard_error != 0 && (int) demand->policy->mode >= fake->guard_least;

        fake->guard_demands++;
        if (!refused) {
                fake->guard_mode = (int) demand->policy->mode;
                free(fake->guard_demand);
                fake->guard_demand = NULL;
                text_add(&fake->guard_demand, "%s", guard_mode_to_string(demand->policy->mode));
                for (size_t i = 0; i < demand->n_hooks; i++)
                        text_add(&fake->guard_demand, " %d/%s/%s", demand->hooks[i].ifindex,
                                 hook_to_string(demand->hooks[i].hook), attach_kind_to_string(demand->hooks[i].kind));
                for (size_t i = 0; i < demand->n_names; i++)
                        text_add(&fake->guard_demand, " %d=%s", demand->names[i].ifindex, demand->names[i].name);
                for (size_t i = 0; i < demand->n_hooks; i++)
                        assert_int_equal(demand->hooks[i].program_id,
                                         fake_link_program_id(fake, demand->hooks[i].ifindex, demand->hooks[i].hook));
        }
        *ret = (GuardState){
                .mode = fake->guard_mode,
                .technique = fake->guard_mode == GUARD_MODE_OFF ? NULL : "fake",
                .pinned = fake->guard_mode != GUARD_MODE_OFF,
        };
        if (!refused)
                return 0;
        snprintf(ret->reason, sizeof(ret->reason), "the fake does not want to");
        (void) error_set(error, ERROR_NOT_SUPPORTED, "the fake does not want to");
        return -fake->guard_error;
}

static int guard_counters(void *userdata, struct GuardRuleCounters *ret) {
        for (int i = 0; i < _GUARD_RULE_MAX; i++)
                ret[i] = (GuardRuleCounters){ .refused = (uint64_t) i + 1 };
        return 0;
}

const KernelOps fake_kernel_ops = {
        .program_load = program_load,
        .program_adopt = program_adopt,
        .program_commit = program_commit,
        .program_is_pinned = program_is_pinned,
        .program_repin = program_repin,
        .program_rollback = program_rollback,
        .program_ref = program_ref,
        .program_unref = program_unref,
        .program_remove = program_remove,
        .program_sweep = program_sweep,
        .map_lookup = map_lookup,
        .map_update = map_update,
        .map_delete = map_delete,
        .map_next_key = map_next_key,
        .chain_build = fake_chain_build,
        .fused_free = fake_fused_free,
        .chain_commit = fake_chain_commit,
        .chain_rollback = fake_chain_rollback,
        .chain_release = fake_chain_release,
        .chain_adopt = fake_chain_adopt,
        .chain_list = fake_chain_list,
        .chain_check = fake_chain_check,
        .chain_inspect = fake_chain_inspect,
        .chain_repin = fake_chain_repin,
        .guard_apply = guard_apply,
        .guard_counters = guard_counters,
        .program_name = fake_program_name,
        .chain_detach = fake_chain_detach,
        .attachment_free = fake_attachment_free,
        .chain_counters = fake_chain_counters,
        .chain_run_time = fake_chain_run_time,
        .simulation_new = fake_simulation_new,
        .simulation_run = fake_simulation_run,
        .simulation_free = fake_simulation_free,
        .interface_details = interface_details,
        .interface_set_up = interface_set_up,
        .interface_foreign = interface_foreign,
};
