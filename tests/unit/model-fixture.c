/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ftw.h>
#include <inttypes.h>
#include <sys/stat.h>

#include "fake-internal.h"
#include "model-fixture.h"
#include "util/file.h"
#include "util/log.h"

char *quotes(const char *text) {
        char *copy = strdup(text);

        assert_non_null(copy);
        for (char *p = copy; *p; p++)
                if (*p == '\'')
                        *p = '"';
        return copy;
}

/* In the place of the C library's: whether files outlast a power cut is not tested here, and takes long. */
int fsync(int fd) {
        return 0;
}

/* Observer */

static void told(Shadow *shadow, char ***names, const char *event, const char *name) {
        FAKE_QUIET;
        size_t n = strlen(event);

        text_add(&shadow->events, "%s %s\n", event, name);
        switch (event[n - 1]) {
        case '+':
                assert_false(strv_contains(*names, name));
                assert_int_equal(strv_append(names, name), 0);
                break;
        case '-':
                assert_true(strv_contains(*names, name));
                strv_remove(*names, name);
                break;
        default: assert_true(strv_contains(*names, name));
        }
}

static void interface_added(void *userdata, Interface *interface) {
        told(userdata, &((Shadow *) userdata)->interfaces, "interface+", interface->name);
}

static void interface_changed(void *userdata, Interface *interface) {
        told(userdata, &((Shadow *) userdata)->interfaces, "interface", interface->name);
}

static void interface_removed(void *userdata, Interface *interface) {
        told(userdata, &((Shadow *) userdata)->interfaces, "interface-", interface->name);
}

static void chain_added(void *userdata, Chain *chain) {
        told(userdata, &((Shadow *) userdata)->chains, "chain+", chain->key);
}

static void chain_changed(void *userdata, Chain *chain) {
        told(userdata, &((Shadow *) userdata)->chains, "chain", chain->key);
}

static void chain_removed(void *userdata, Chain *chain) {
        told(userdata, &((Shadow *) userdata)->chains, "chain-", chain->key);
}

static void chain_conflict(void *userdata, Chain *chain) {
        assert_int_equal(chain->state, CHAIN_STATE_CONFLICT);
        assert_non_null(chain->reason);
        told(userdata, &((Shadow *) userdata)->chains, "conflict", chain->key);
}

static void program_added(void *userdata, Program *program) {
        told(userdata, &((Shadow *) userdata)->programs, "program+", program->name);
}

static void program_changed(void *userdata, Program *program) {
        told(userdata, &((Shadow *) userdata)->programs, "program", program->name);
}

static bool has_maps(const Shadow *shadow, const Program *program) {
        FAKE_QUIET;
        STRV_FOREACH (map, shadow->maps) {
                const char *rest = startswith(*map, program->name);

                if (rest && *rest == '/')
                        return true;
        }
        return false;
}

static void each_map(Shadow *shadow, Program *program, const char *event) {
        FAKE_QUIET;
        for (size_t i = 0; i < program->info.n_maps; i++) {
                _cleanup_free_ char *name = NULL;

                assert_true(asprintf(&name, "%s/%s", program->name, program->info.maps[i].name) >= 0);
                told(shadow, &shadow->maps, event, name);
        }
}

static void program_maps_removed(void *userdata, Program *program) {
        Shadow *shadow = userdata;

        each_map(shadow, program, "map-");
        assert_false(has_maps(shadow, program));
}

static void program_maps_added(void *userdata, Program *program) {
        Shadow *shadow = userdata;

        assert_true(strv_contains(shadow->programs, program->name));
        assert_false(has_maps(shadow, program));
        each_map(shadow, program, "map+");
}

static void program_removed(void *userdata, Program *program) {
        assert_false(has_maps(userdata, program));
        told(userdata, &((Shadow *) userdata)->programs, "program-", program->name);
}

static void generation_committed(void *userdata, uint64_t generation, const char *origin) {
        Shadow *shadow = userdata;

        assert_true(generation > shadow->committed);
        assert_non_null(origin);
        shadow->committed = generation;
}

static void generation_rolled_back(void *userdata, uint64_t from, uint64_t to, const char *reason) {
        assert_true(to > from);
        assert_non_null(reason);
        ((Shadow *) userdata)->rolled_back_to = to;
}

static void deadline_changed(void *userdata, uint64_t deadline) {
        ((Shadow *) userdata)->deadline = deadline;
}

static void guard_event(void *userdata, const GuardEvent *event, Chain *chain) {
        ((Shadow *) userdata)->guard_events++;
}

static void guard_reconfigured(void *userdata) {
        ((Shadow *) userdata)->guard_reconfigured++;
}

static void reconcile_wanted(void *userdata) {
        ((Shadow *) userdata)->reconcile_wanted++;
}

static const Observer observer = {
        .interface_added = interface_added,
        .interface_changed = interface_changed,
        .interface_removed = interface_removed,
        .chain_added = chain_added,
        .chain_changed = chain_changed,
        .chain_removed = chain_removed,
        .chain_conflict = chain_conflict,
        .program_added = program_added,
        .program_changed = program_changed,
        .program_maps_removed = program_maps_removed,
        .program_maps_added = program_maps_added,
        .program_removed = program_removed,
        .generation_committed = generation_committed,
        .generation_rolled_back = generation_rolled_back,
        .deadline_changed = deadline_changed,
        .reconcile_wanted = reconcile_wanted,
        .guard_event = guard_event,
        .guard_reconfigured = guard_reconfigured,
};

static void shadow_done(Shadow *shadow) {
        strv_free(shadow->interfaces);
        strv_free(shadow->chains);
        strv_free(shadow->programs);
        strv_free(shadow->maps);
        free(shadow->events);
        *shadow = (Shadow){ .deadline = UINT64_MAX };
}

void fx_events_clear(Fixture *fx) {
        free(TAKE_PTR(fx->shadow.events));
}

/* Life */

/* In memory if possible: thousands of small files are written and removed. */
static const char *temporary_folder(void) {
        const char *folder = getenv("TMPDIR");

        return folder ? folder : access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
}

int fx_set_up(void **state) {
        Fixture *fx = calloc(1, sizeof(Fixture));

        if (!fx || asprintf(&fx->root, "%s/bct-model-XXXXXX", temporary_folder()) < 0 || !mkdtemp(fx->root))
                return -1;
        if (paths_init(&fx->paths, fx->root) < 0)
                return -1;
        if (!getenv("BPFCHAIN_TEST_LOG"))
                log_close();
        fx->fake = fake_kernel_new();
        fx->shadow.deadline = UINT64_MAX;
        fx->options.origin = "test";
        *state = fx;
        return 0;
}

static int remove_file(const char *path, const struct stat *st, int type, struct FTW *ftw) {
        return remove(path);
}

int fx_tear_down(void **state) {
        Fixture *fx = *state;

        fx_kill(fx);
        fake_kernel_free(fx->fake);
        if (nftw(fx->root, remove_file, 16, FTW_DEPTH | FTW_PHYS) != 0)
                return -1;
        for (size_t i = 0; i < fx->n_links; i++)
                link_record_done(&fx->links[i]);
        error_done(&fx->error);
        free(fx->report);
        paths_done(&fx->paths);
        free(fx->root);
        free(fx);
        return 0;
}

void fx_start_raw(Fixture *fx) {
        assert_null(fx->manager);
        assert_int_equal(manager_new(&fx->paths, &fake_kernel_ops, fx->fake, &observer, &fx->shadow, &fx->manager),
                         0);
        assert_string_equal(manager_state(fx->manager), "starting");
        if (fx->guard_settings)
                assert_int_equal(guard_new(fx->manager, fx->guard_settings, &fx->guard), 0);
        assert_int_equal(manager_load(fx->manager), 0);
}

void fx_start(Fixture *fx) {
        fx_start_raw(fx);
        for (size_t i = 0; i < fx->n_links; i++)
                assert_int_equal(manager_link_changed(fx->manager, &fx->links[i]), 0);
        fx_reconcile(fx);
}

void fx_kill(Fixture *fx) {
        fx->guard = guard_free(fx->guard);
        fx->manager = manager_free(fx->manager);
        shadow_done(&fx->shadow);
        assert_int_equal(fake_live_programs(fx->fake), 0);
        assert_int_equal(fake_live_fused(fx->fake), 0);
        assert_int_equal(fake_live_attachments(fx->fake), 0);
}

void fx_reconcile(Fixture *fx) {
        assert_int_equal(manager_reconcile(fx->manager), 0);
        fx_check(fx);
}

static void tell(Fixture *fx, const LinkRecord *link) {
        if (fx->manager)
                assert_int_equal(manager_link_changed(fx->manager, link), 0);
}

void fx_link(Fixture *fx, int ifindex, const char *name) {
        LinkRecord *link = NULL;

        for (size_t i = 0; i < fx->n_links; i++)
                if (fx->links[i].ifindex == ifindex)
                        link = &fx->links[i];
        if (!link) {
                assert_true(fx->n_links < ELEMENTSOF(fx->links));
                link = &fx->links[fx->n_links++];
                *link = (LinkRecord){ .ifindex = ifindex };
        }
        snprintf(link->name, sizeof(link->name), "%s", name);
        tell(fx, link);
}

void fx_altname(Fixture *fx, int ifindex, const char *name) {
        for (size_t i = 0; i < fx->n_links; i++)
                if (fx->links[i].ifindex == ifindex) {
                        fx->links[i].altnames[fx->links[i].n_altnames++] = strdup(name);
                        tell(fx, &fx->links[i]);
                }
}

void fx_unlink(Fixture *fx, int ifindex) {
        for (size_t i = 0; i < fx->n_links; i++)
                if (fx->links[i].ifindex == ifindex) {
                        link_record_done(&fx->links[i]);
                        fx->links[i] = fx->links[--fx->n_links];
                        fx->links[fx->n_links] = (LinkRecord){};
                }
        fake_interface_gone(fx->fake, ifindex);
        if (fx->manager)
                manager_link_vanished(fx->manager, ifindex);
}

static void put_file(const char *folder, const char *file, const char *text) {
        _cleanup_free_ char *path = NULL;

        assert_int_equal(mkdir_parents(folder, 0755), 0);
        assert_true(asprintf(&path, "%s/%s", folder, file) >= 0);
        if (!text)
                assert_int_equal(file_remove(path), 0);
        else
                assert_int_equal(file_write_atomic(path, text, strlen(text), 0644), 0);
}

void fx_object(Fixture *fx, const char *name, const char *words) {
        _cleanup_free_ char *folder = NULL;

        assert_true(asprintf(&folder, "%s/objects", fx->paths.lib) >= 0);
        put_file(folder, name, words);
}

void fx_write(Fixture *fx, Layer layer, const char *name, const char *text) {
        _cleanup_free_ char *folder = NULL, *file = NULL, *quoted = text ? quotes(text) : NULL;

        assert_true(asprintf(&folder, "%s/chains.d", paths_layer(&fx->paths, layer)) >= 0);
        assert_true(asprintf(&file, "%s.json", name) >= 0);
        put_file(folder, file, quoted);
}

char *fx_read(Fixture *fx, Layer layer, const char *name) {
        _cleanup_free_ char *path = paths_document(&fx->paths, layer, name);
        char *text = NULL;

        return file_read(path, 1 << 20, &text, NULL) < 0 ? NULL : text;
}

/* Changes */

static void after_change(Fixture *fx, int r) {
        if (r < 0)
                (void) error_ensure(&fx->error, r, "unset");
        else
                check_no_error(&fx->error);
        fx_check(fx);
}

int fx_apply(Fixture *fx, const char *name, const char *text) {
        _cleanup_free_ char *quoted = quotes(text);
        int r;

        error_done(&fx->error);
        free(TAKE_PTR(fx->report));
        r = manager_apply(fx->manager, name, quoted, &fx->options, &fx->generation, &fx->report, &fx->error);
        assert_true(r < 0 || fx->report);
        after_change(fx, r);
        return r;
}

int fx_withdraw(Fixture *fx, const char *name) {
        int r;

        error_done(&fx->error);
        r = manager_withdraw(fx->manager, name, &fx->options, &fx->generation, &fx->error);
        after_change(fx, r);
        return r;
}

int fx_reload(Fixture *fx) {
        int r;

        error_done(&fx->error);
        r = manager_reload(fx->manager, &fx->options, &fx->generation, &fx->error);
        after_change(fx, r);
        return r;
}

static void must(Fixture *fx, int r) {
        if (r < 0)
                fail_msg("%s: %s", strerror(-r), strna(fx->error.message));
}

void fx_must_apply(Fixture *fx, const char *name, const char *text) {
        must(fx, fx_apply(fx, name, text));
}

void fx_must_withdraw(Fixture *fx, const char *name) {
        must(fx, fx_withdraw(fx, name));
}

void fx_must_reload(Fixture *fx) {
        must(fx, fx_reload(fx));
}

void fx_refused(Fixture *fx, const char *name, const char *text, ErrorCode code, const char *sentence) {
        _cleanup_free_ char *before = fx_picture(fx);

        assert_int_equal(fx_apply(fx, name, text), error_code_to_errno(code));
        check_error(&fx->error, code, sentence);
        fx_check_picture(fx, before);
}

/* Looking */

Chain *fx_chain(Fixture *fx, const char *interface, Hook hook) {
        Chain *chain = manager_get_chain(fx->manager, interface, hook);

        if (!chain)
                fail_msg("there is no chain %s/%s", interface, hook_to_string(hook));
        return chain;
}

void fx_expect(Fixture *fx, const char *interface, Hook hook, const char *expected) {
        Chain *chain = manager_get_chain(fx->manager, interface, hook);
        _cleanup_free_ char *names = NULL, *found = NULL;

        if (!chain) {
                assert_string_equal("-", expected);
                return;
        }
        if (chain->attachment)
                names = fake_chain(fx->fake, chain->ifindex, hook);
        text_add(&found, "%s%s%s", chain_state_to_string(chain->state), names ? " " : "", names ? names : "");
        if (!streq(found, expected))
                fail_msg("%s is \"%s\" (%s), expected \"%s\"", chain->key, found, strna(chain->reason), expected);
}

void fx_expect_reason(Fixture *fx, const char *interface, Hook hook, const char *text) {
        const char *reason = fx_chain(fx, interface, hook)->reason;

        if (!reason || !strstr(reason, text))
                fail_msg("the reason is \"%s\", expected \"…%s…\"", strna(reason), text);
}

uint64_t fx_packets(Fixture *fx, const char *interface, Hook hook, const char *program) {
        Chain *chain = fx_chain(fx, interface, hook);
        ChainCounters counters;
        int slot = chain_find_slot(chain, program);

        assert_true(slot >= 0);
        assert_int_equal(manager_read_chain_counters(fx->manager, chain, &counters), 0);
        return counters.slots[slot].packets;
}

void fx_send(Fixture *fx, const char *interface, Hook hook, const char *verdict, uint64_t n) {
        int bucket = verdict_bucket_from_string(hook, verdict);

        assert_true(bucket >= 0);
        fake_run_packets(fx->fake, fx_chain(fx, interface, hook)->ifindex, hook, (unsigned) bucket, n);
}

/* Whatever became of seats and levels, what was counted is there. */
static void check_totals(const Fixture *fx, Chain *chain) {
        FakeLink *link = chain->attachment->link;
        ChainCounters counters;

        if (!link->content.has_rows || fx->totals_unknown)
                return;
        chain_count(chain, link->rows, &counters);
        assert_int_equal(counters.packets, link->packets);
        assert_int_equal(counters.bytes, link->packets * FAKE_PACKET_BYTES);
}

static void check_chain(Fixture *fx, Chain *chain) {
        bool seats[CHAIN_SEATS_MAX] = {};

        assert_true((chain->state == CHAIN_STATE_ACTIVE) == (chain->reason == NULL));
        if (!chain->attachment) {
                assert_true(chain->state != CHAIN_STATE_ACTIVE && chain->state != CHAIN_STATE_DEGRADED);
                assert_null(chain->signature);
                assert_int_equal(chain->info.link_id, 0);
                for (size_t i = 0; i < CHAIN_SEATS_MAX; i++)
                        assert_null(chain->seats[i].program);
                return;
        }
        assert_true(chain->state == CHAIN_STATE_ACTIVE || chain->state == CHAIN_STATE_DEGRADED);
        assert_true(chain->attachment->alive);
        assert_int_equal(chain->attachment->link->ifindex, chain->ifindex);
        assert_int_equal(chain->info.link_id, chain->attachment->link->link_id);
        assert_int_equal(chain->info.program_id, chain->attachment->link->content.program_id);
        if (!chain->signature)
                return; /* adopted without a record, and could not be exchanged */
        assert_string_equal(chain->signature, chain->attachment->link->content.signature);
        assert_int_equal(chain->n_slots, chain->attachment->link->content.n_slots);
        assert_int_equal(chain->counters, chain->attachment->link->content.counters);
        check_totals(fx, chain);
        for (size_t i = 0; i < chain->n_slots; i++) {
                const FakeSlot *slot = &chain->attachment->link->content.slots[i];

                assert_string_equal(chain->slots[i].program, slot->name);
                assert_int_equal(chain->slots[i].seat, slot->seat);
                assert_int_equal(chain->slots[i].proceed_on, slot->proceed_on);
                assert_non_null(chain->seats[slot->seat].program);
                assert_string_equal(chain->seats[slot->seat].program, slot->name);
                seats[slot->seat] = true;
                assert_non_null(manager_get_program(fx->manager, slot->name));
        }
        for (size_t i = 0; i < CHAIN_SEATS_MAX; i++)
                assert_true(seats[i] == (chain->seats[i].program != NULL));
}

static void check_program(Fixture *fx, Program *program) {
        assert_true((program->state == PROGRAM_STATE_FAILED) == (program->error != NULL));
        if (program->state == PROGRAM_STATE_LOADED || program->state == PROGRAM_STATE_ADOPTED)
                assert_int_equal(program->captured, program->state == PROGRAM_STATE_LOADED);
        if (program->state == PROGRAM_STATE_DEFINED)
                assert_null(program->kernel);
        if (!program->kernel) {
                assert_int_equal(program->info.n_maps, 0);
                return;
        }
        assert_true(program->kernel->n_ref > 0 && program->kernel->committed);
        assert_int_equal(program->captured, program->kernel->loaded);
        assert_int_equal(program->info.n_maps, program->kernel->n_maps);
        for (size_t i = 0; i < program->info.n_maps; i++) {
                assert_int_equal(program->info.maps[i].id,
                                 fake_map_id(fx->fake, program->name, program->info.maps[i].name));
                assert_non_null(program->info.maps[i].pin);
        }
}

void fx_check(Fixture *fx) {
        size_t n_attachments = 0, n_kernel = 0, n_maps = 0, n_fused = 0;

        if (!fx->manager)
                return;
        TABLE_FOREACH (Interface, interface, manager_interfaces(fx->manager))
                assert_true(strv_contains(fx->shadow.interfaces, interface->name));
        assert_int_equal(strv_length(fx->shadow.interfaces), manager_interfaces(fx->manager)->n);

        TABLE_FOREACH (Chain, chain, manager_chains(fx->manager)) {
                assert_true(strv_contains(fx->shadow.chains, chain->key));
                check_chain(fx, chain);
                n_attachments += chain->attachment != NULL;
                n_fused += chain->attachment && chain->attachment->fused;
        }
        assert_int_equal(strv_length(fx->shadow.chains), manager_chains(fx->manager)->n);

        TABLE_FOREACH (Program, program, manager_programs(fx->manager)) {
                assert_true(strv_contains(fx->shadow.programs, program->name));
                check_program(fx, program);
                n_kernel += program->kernel != NULL;
                n_maps += program->info.n_maps;
                for (size_t i = 0; i < program->info.n_maps; i++) {
                        _cleanup_free_ char *name = NULL;

                        assert_true(asprintf(&name, "%s/%s", program->name, program->info.maps[i].name) >= 0);
                        assert_true(strv_contains(fx->shadow.maps, name));
                }
        }
        assert_int_equal(strv_length(fx->shadow.programs), manager_programs(fx->manager)->n);
        assert_int_equal(strv_length(fx->shadow.maps), n_maps);

        assert_int_equal(fake_live_attachments(fx->fake), n_attachments);
        assert_int_equal(fake_live_fused(fx->fake), n_fused);
        if (fake_live_simulations(fx->fake) == 0) /* they hold programs too */
                assert_int_equal(fake_live_programs(fx->fake), n_kernel);
        if (!fx->holds)
                assert_true((manager_pending(fx->manager).generation == 0) == (fx->shadow.deadline == UINT64_MAX));
}

/* The picture */

static int add_document(const char *name, const char *path, DocumentState state, bool overridden, void *userdata) {
        text_add(userdata, "document %s %s %s%s\n", name, path, document_state_to_string(state),
                 overridden ? " overridden" : "");
        return 0;
}

static void add_chain(char **text, const Chain *chain) {
        text_add(text,
                 "chain %s index %d %s (%s) counters %s retired %" PRIu64
                 " mode %s %s link %u program %u signature %s generation %" PRIu64 ":",
                 chain->key, chain->ifindex, chain_state_to_string(chain->state), strna(chain->reason),
                 counter_level_to_string(chain->counters), chain->retired_packets, attach_mode_to_string(chain->mode),
                 attach_kind_to_string(chain->info.kind), chain->info.link_id, chain->info.program_id,
                 strna(chain->signature), chain->generation);
        for (size_t i = 0; i < chain->n_slots; i++)
                text_add(text, " %s(%x)@%u%s", chain->slots[i].program, chain->slots[i].proceed_on,
                         chain->slots[i].seat, slot_form_to_string(chain->slots[i].form));
        for (size_t i = 0; i < CHAIN_SEATS_MAX; i++)
                if (chain->seats[i].program)
                        text_add(text, " seat %zu %s base %" PRIu64, i, chain->seats[i].program,
                                 chain->seats[i].base[COUNTER_ENDED + 2]);
        STRV_FOREACH (document, chain->documents)
                text_add(text, " from %s", *document);
        text_add(text, "\n");
}

static void add_program(char **text, const Program *program) {
        text_add(text,
                 "program %s %s (%s) object %s digest %s signature %s contents %s document %s tag %s at %" PRIu64,
                 program->name, program_state_to_string(program->state), strna(program->error),
                 strna(program->object), strna(program->digest), strna(program->signature), strna(program->contents),
                 strna(program->document), program->info.tag, program->loaded_at);
        for (size_t i = 0; i < program->info.n_maps; i++)
                text_add(text, " %s#%u%s", program->info.maps[i].name, program->info.maps[i].id,
                         strna(program->info.maps[i].pin));
        text_add(text, "\n");
}

static char **file_lines;
static size_t file_root_size;

static int add_file(const char *path, const struct stat *st, int type, struct FTW *ftw) {
        _cleanup_free_ char *text = NULL;
        char target[256] = "", *line = NULL;

        if (!endswith(path, ".json"))
                return 0;
        if (type == FTW_SL)
                assert_true(readlink(path, target, sizeof(target) - 1) >= 0);
        else
                (void) file_read(path, 1 << 20, &text, NULL);
        text_add(&line, "file %s %o %s %s\n", path + file_root_size, st->st_mode, target, text ? text : "");
        assert_int_equal(strv_append(&file_lines, line), 0);
        free(line);
        return 0;
}

/* Names, links and contents of all files of documents and of the run-time state. */
static void add_files(Fixture *fx, char **text) {
        file_root_size = strlen(fx->root);
        assert_int_equal(nftw(fx->root, add_file, 16, FTW_PHYS), 0);
        if (file_lines)
                qsort(file_lines, strv_length(file_lines), sizeof(char *), line_compare);
        STRV_FOREACH (line, file_lines)
                text_add(text, "%s", *line);
        strv_free(file_lines);
        file_lines = NULL;
}

char *fx_picture(Fixture *fx) {
        _cleanup_free_ char *kernel = fake_dump(fx->fake);
        const Problem *problems;
        Pending pending = manager_pending(fx->manager);
        char *text = NULL;
        size_t n;

        text_add(&text, "generation %" PRIu64 " %s pending %" PRIu64 "/%" PRIu64 "\n",
                 manager_generation(fx->manager), manager_state(fx->manager), pending.generation, pending.deadline);
        TABLE_FOREACH (Chain, chain, manager_chains(fx->manager))
                add_chain(&text, chain);
        TABLE_FOREACH (Program, program, manager_programs(fx->manager))
                add_program(&text, program);
        assert_int_equal(manager_visit_documents(fx->manager, add_document, &text), 0);
        problems = manager_problems(fx->manager, &n);
        for (size_t i = 0; i < n; i++)
                text_add(&text, "problem %s %s %s\n", severity_to_string(problems[i].severity), problems[i].where,
                         problems[i].sentence);
        text_add(&text, "%s", kernel);
        add_files(fx, &text);
        return text;
}

void fx_check_picture(Fixture *fx, const char *before) {
        _cleanup_free_ char *after = fx_picture(fx);
        const char *a = before, *b = after;

        fx_check(fx);
        if (streq(before, after))
                return;
        while (*a == *b)
                a++, b++;
        while (a > before && a[-1] != '\n')
                a--, b--;
        fail_msg("what can be seen has changed\nbefore: %.*s\nafter:  %.*s", (int) strcspn(a, "\n"), a,
                 (int) strcspn(b, "\n"), b);
}
