/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/objects.h"
#include "model/transaction-internal.h"
#include "util/clock.h"
#include "util/log.h"

static int digest_json(json_object *object, char ret[static DIGEST_HEX_SIZE]) {
        const char *text = json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN);

        return text ? digest_memory(text, strlen(text), ret) : -ENOMEM;
}

/* All that makes an instance what it is. */
static int sign(ProgramChange *change) {
        const ProgramDef *def = change->def;
        char globals[DIGEST_HEX_SIZE] = "";
        Digest digest = {};
        int r = 0;

        if (def->globals)
                r = digest_json(def->globals, globals);
        if (r >= 0 && def->maps)
                r = digest_json(def->maps, change->contents);
        if (r >= 0)
                r = digest_init(&digest);
        if (r < 0)
                return r;

        r = digest_update_string(&digest, def->digest);
        if (r >= 0)
                r = digest_update_string(&digest, def->function ? def->function : "");
        if (r >= 0)
                r = digest_update_string(&digest, def->type ? def->type : "");
        if (r >= 0)
                r = digest_update_string(&digest, globals);
        if (r >= 0)
                r = digest_update_string(&digest, change->contents);
        if (r >= 0 && def->keep_tail_calls)
                r = digest_update_string(&digest, "keep-tail-calls");
        if (r >= 0)
                r = digest_final(&digest, change->signature);
        digest_done(&digest);
        return r;
}

static int resolve(Transaction *t, ProgramChange *change) {
        const char *last = change->program ? change->program->digest : NULL;
        int r;

        if (!change->def)
                return error_set(&change->error, ERROR_INVALID_DOCUMENT,
                                 "no document defines a program \"%s\"; define it under \"programs\"", change->name);

        r = objects_resolve(t->manager->paths, change->def, last, &change->missing, &change->error);
        if (r < 0)
                return r;
        return sign(change);
}

ProgramChange *transaction_get_program(Transaction *t, const char *name) {
        ProgramChange *change = table_get(&t->programs, name);

        if (change)
                return change;

        change = calloc(1, sizeof(ProgramChange));
        if (!change)
                return NULL;
        change->name = strdup(name);
        change->def = (ProgramDef *) desired_get_program(t->desired, name);
        change->program = manager_get_program(t->manager, name);
        if (!change->name || table_add(&t->programs, change) < 0) {
                free(change->name);
                free(change);
                return NULL;
        }
        error_ensure(&change->error, resolve(t, change), "the program can't be prepared");
        return change;
}

void program_change_free(Transaction *t, ProgramChange *change) {
        if (!change)
                return;
        t->manager->ops->program_unref(change->kernel);
        program_info_done(&change->info);
        error_done(&change->error);
        free(change->name);
        free(change);
}

static void load(Transaction *t, ProgramChange *change) {
        const Program *running = change->program && change->program->kernel ? change->program : NULL;
        ProgramRequest request = {
                .name = change->name,
                .object_path = change->def->object_path,
                .object_name = change->def->object,
                .function = change->def->function,
                .type = change->def->type,
                .globals = change->def->globals,
                .maps = change->def->maps,
                .keep_tail_calls = change->def->keep_tail_calls,
                .where = change->def->where,
                .previous = running ? running->kernel : NULL,
                .same_object = running && streq_ptr(running->digest, change->def->digest),
                .same_contents = running && streq_ptr(running->contents, change->contents),
        };
        int r;

        r = t->manager->ops->program_load(t->manager->kernel, &request, &change->kernel, &change->info,
                                          &change->error);
        if (r >= 0)
                return;
        error_ensure(&change->error, r, "the program can't be loaded");
        if (!change->error.where)
                change->error.where = strdup(change->def->where);
        document_locate_error(change->def->document, &change->error);
}

int transaction_load_programs(Transaction *t) {
        TABLE_FOREACH (ProgramChange, change, &t->programs)
                if (change->load && !error_is_set(&change->error))
                        load(t, change);
        return 0;
}

static void fail_users(Transaction *t, const ProgramChange *change) {
        for (size_t i = 0; i < t->n_targets; i++) {
                Target *target = t->targets[i];

                if (target->action != TARGET_BUILD && !(target->action == TARGET_WAIT && target->affected))
                        continue;
                for (size_t j = 0; j < target->n_slots; j++)
                        if (streq(target->slots[j].program, change->name))
                                target_fail(target, &change->error);
        }
}

void transaction_commit_programs(Transaction *t) {
        TABLE_FOREACH (ProgramChange, change, &t->programs) {
                ProgramInfo info = {};
                int r;

                if (!change->kernel || !change->needed)
                        continue;
                r = t->manager->ops->program_commit(t->manager->kernel, change->kernel, &info, &change->error);
                if (r < 0) {
                        error_ensure(&change->error, r, "the maps can't be pinned");
                        error_prefix(&change->error, "program %s: ", change->name);
                        fail_users(t, change);
                        continue;
                }
                program_info_done(&change->info);
                change->info = info;
                change->committed = true;
        }
}

void transaction_rollback_programs(Transaction *t) {
        for (size_t i = t->programs.n; i > 0; i--) {
                ProgramChange *change = t->programs.items[i - 1];

                if (change->committed)
                        t->manager->ops->program_rollback(t->manager->kernel, change->kernel);
                change->committed = false;
        }
}

/* 1: something changed, 0: nothing did. */
static int describe(Program *program, const ProgramDef *def) {
        bool same = streq_ptr(program->document, def->document->name) && streq_ptr(program->object, def->object) &&
                    streq_ptr(program->function, def->function) && streq_ptr(program->description, def->description);

        if (same)
                return 0;
        if (free_and_strdup(&program->document, def->document->name) < 0 ||
            free_and_strdup(&program->object, def->object) < 0 ||
            free_and_strdup(&program->function, def->function) < 0 ||
            free_and_strdup(&program->description, def->description) < 0)
                return -ENOMEM;
        return 1;
}

static int set_state(Program *program, ProgramState state, const char *error) {
        if (program->state == state && streq_ptr(program->error, error))
                return 0;
        program->state = state;
        return free_and_strdup(&program->error, error) < 0 ? -ENOMEM : 1;
}

/* The new instance takes the place of the running one. */
static int exchange(Manager *manager, Program *program, ProgramChange *change) {
        ProgramInfo info;
        int r;

        r = program_info_copy(&change->info, &info);
        if (r < 0)
                return r;
        OBSERVE(manager, program_maps_removed, program);
        program_info_done(&program->info);
        program->info = info;
        manager->ops->program_unref(program->kernel);
        program->kernel = TAKE_PTR(change->kernel);
        program->captured = true;
        program->state = PROGRAM_STATE_LOADED;
        program->loaded_at = usec_now(CLOCK_REALTIME);
        r = 0;
        if (free_and_strdup(&program->digest, change->def->digest) < 0 ||
            free_and_strdup(&program->object_path, change->def->object_path) < 0 ||
            free_and_strdup(&program->signature, change->signature) < 0 ||
            free_and_strdup(&program->contents, change->contents) < 0 || free_and_strdup(&program->error, NULL) < 0)
                r = -ENOMEM;
        OBSERVE(manager, program_maps_added, program);
        return r;
}

static int add_program(Manager *manager, const ProgramDef *def, Program **ret) {
        _cleanup_(program_freep) Program *program = program_new(def->name);
        int r;

        if (!program)
                return -ENOMEM;
        r = describe(program, def);
        if (r >= 0)
                r = table_add(&manager->programs, program);
        if (r < 0)
                return r;
        OBSERVE(manager, program_added, program);
        *ret = TAKE_PTR(program);
        return 1;
}

static void log_failure(const Program *program, const ProgramChange *change) {
        LogFields fields = { .program = program->name,
                             .document = change->def->document->name,
                             .detail = change->error.log };

        log_with(LOG_ERR, &fields, "%s", strna(change->error.message));
}

static int apply_program(Transaction *t, const ProgramDef *def) {
        Manager *manager = t->manager;
        ProgramChange *change = table_get(&t->programs, def->name);
        Program *program = manager_get_program(manager, def->name);
        int described, r = 0;

        described = program ? describe(program, def) : add_program(manager, def, &program);
        if (described < 0)
                return described;

        if (change && change->committed) {
                r = exchange(manager, program, change);
                if (r >= 0)
                        r = 1;
        } else if (change && error_is_set(&change->error)) {
                if (!streq_ptr(program->error, change->error.message))
                        log_failure(program, change);
                r = set_state(program, PROGRAM_STATE_FAILED, strna(change->error.message));
        } else if (program->state == PROGRAM_STATE_FAILED)
                r = set_state(program,
                              program->captured                    ? PROGRAM_STATE_LOADED
                              : program->kernel || program->digest ? PROGRAM_STATE_ADOPTED
                                                                   : PROGRAM_STATE_DEFINED,
                              NULL);
        if (r < 0)
                return r;
        if (described > 0 || r > 0) {
                t->changed = true;
                OBSERVE(manager, program_changed, program);
        }
        return 0;
}

static bool runs_somewhere(Manager *manager, const char *program) {
        TABLE_FOREACH (Chain, chain, &manager->chains)
                if (chain->attachment && chain_find_slot(chain, program) >= 0)
                        return true;
        return false;
}

int transaction_apply_programs(Transaction *t) {
        Manager *manager = t->manager;
        const Table *defs = desired_programs(t->desired);
        int r;

        for (size_t i = 0; i < defs->n; i++) {
                r = apply_program(t, defs->items[i]);
                if (r < 0)
                        return r;
        }

        for (size_t i = manager->programs.n; i > 0; i--) {
                Program *program = manager->programs.items[i - 1];

                if (desired_get_program(t->desired, program->name))
                        continue;
                if (runs_somewhere(manager, program->name)) {
                        if (program->document)
                                OBSERVE(manager, program_changed, program);
                        (void) free_and_strdup(&program->document, NULL);
                        continue;
                }
                t->changed = true;
                OBSERVE(manager, program_maps_removed, program);
                OBSERVE(manager, program_removed, program);
                table_remove(&manager->programs, program->name);
                manager->ops->program_unref(program->kernel);
                manager->ops->program_remove(manager->kernel, program->name);
                program_free(program);
        }
        return 0;
}
