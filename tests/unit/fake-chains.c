/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake-internal.h"

/* The link that is on the hook, or pinned for it though somebody took it off. */
static FakeLink *link_of(FakeKernel *fake, int ifindex, Hook hook) {
        for (size_t i = 0; i < fake->n_links; i++)
                if (fake->links[i]->there && fake->links[i]->ifindex == ifindex && fake->links[i]->hook == hook)
                        return fake->links[i];
        return NULL;
}

static FakeForeign *foreign_of(FakeKernel *fake, int ifindex, Hook hook) {
        for (size_t i = 0; i < ELEMENTSOF(fake->foreign); i++)
                if (fake->foreign[i].there && fake->foreign[i].ifindex == ifindex && fake->foreign[i].hook == hook)
                        return &fake->foreign[i];
        return NULL;
}

static char *content_names(const FakeContent *content) {
        char *text = NULL;

        for (size_t i = 0; i < content->n_slots; i++)
                text_add(&text, "%s%s", i > 0 ? "," : "", content->slots[i].name);
        return text;
}

void fake_set_foreign(FakeKernel *fake, int ifindex, Hook hook, const char *holder) {
        FakeForeign *foreign = foreign_of(fake, ifindex, hook);

        if (foreign)
                foreign->there = false;
        if (!holder)
                return;
        for (size_t i = 0; i < ELEMENTSOF(fake->foreign); i++)
                if (!fake->foreign[i].there) {
                        fake->foreign[i] = (FakeForeign){ .ifindex = ifindex, .hook = hook, .there = true };
                        snprintf(fake->foreign[i].holder, sizeof(fake->foreign[i].holder), "%s", holder);
                        return;
                }
        fail_msg("too many foreign programs");
}

void fake_set_no_native(FakeKernel *fake, int ifindex, bool no_native) {
        fake->no_native[ifindex] = no_native;
}

void fake_set_no_generic(FakeKernel *fake, int ifindex, bool no_generic) {
        fake->no_generic[ifindex] = no_generic;
}

void fake_take_off(FakeKernel *fake, int ifindex, Hook hook) {
        FakeLink *link = link_of(fake, ifindex, hook);

        assert_non_null(link);
        link->off_hook = true;
}

void fake_interface_gone(FakeKernel *fake, int ifindex) {
        for (size_t i = 0; i < fake->n_links; i++)
                if (fake->links[i]->ifindex == ifindex)
                        fake->links[i]->off_hook = true;
}

void fake_intrude(FakeKernel *fake, int ifindex, Hook hook, bool intrude) {
        FakeLink *link = link_of(fake, ifindex, hook);

        assert_non_null(link);
        link->intruded = intrude;
}

void fake_unpin(FakeKernel *fake, int ifindex, Hook hook) {
        FakeLink *link = link_of(fake, ifindex, hook);

        assert_non_null(link);
        link->unpinned = true;
}

void fake_precede(FakeKernel *fake, int ifindex, Hook hook, uint32_t program_id) {
        FakeLink *link = link_of(fake, ifindex, hook);

        assert_non_null(link);
        link->first = program_id;
}

uint64_t *fake_counters(FakeKernel *fake, int ifindex, Hook hook, unsigned seat) {
        FakeLink *link = link_of(fake, ifindex, hook);

        assert_non_null(link);
        assert_true(seat < CHAIN_SEATS_MAX);
        return link->rows[seat];
}

void fake_run_packets(FakeKernel *fake, int ifindex, Hook hook, unsigned bucket, uint64_t n) {
        FakeLink *link = link_of(fake, ifindex, hook);

        assert_non_null(link);
        link->runs += n;
        if (link->content.counters == COUNTER_LEVEL_OFF)
                return;
        link->packets += n;
        for (size_t i = 0; i < link->content.n_slots; i++) {
                const FakeSlot *slot = &link->content.slots[i];
                uint64_t *row = link->rows[slot->seat];

                if (link->content.counters == COUNTER_LEVEL_ALL) {
                        row[bucket] += n;
                        row[COUNTER_SEEN_BYTES] += n * FAKE_PACKET_BYTES;
                }
                if (i + 1 == link->content.n_slots || !(slot->proceed_on & (UINT32_C(1) << bucket))) {
                        row[COUNTER_ENDED + bucket] += n;
                        row[COUNTER_ENDED_BYTES] += n * FAKE_PACKET_BYTES;
                        return;
                }
        }
}

uint64_t fake_packets(FakeKernel *fake, int ifindex, Hook hook) {
        const FakeLink *link = link_of(fake, ifindex, hook);

        assert_non_null(link);
        return link->packets;
}

void fake_drop_rows(FakeKernel *fake, bool drop) {
        fake->drops_rows = drop;
}

void fake_time_runs(FakeKernel *fake, bool times) {
        fake->times_runs = times;
}

static void check_slots(const FuseRequest *request) {
        bool seats[CHAIN_SEATS_MAX] = {};

        for (size_t i = 0; i < request->n_slots; i++) {
                const FuseSlot *slot = &request->slots[i];

                assert_non_null(slot->program);
                assert_true(slot->program->n_ref > 0);
                assert_true(slot->program->loaded); /* an adopted one can't be fused */
                assert_string_equal(slot->program->name, slot->name);
                assert_true(slot->seat < CHAIN_SEATS_MAX);
                assert_false(seats[slot->seat]);
                seats[slot->seat] = true;
                for (size_t j = 0; j < i; j++)
                        assert_string_not_equal(request->slots[j].name, slot->name);
        }
}

int fake_chain_build(void *userdata, const FuseRequest *request, KernelFused **ret, FusedInfo *ret_info,
                     Error *error) {
        FAKE_QUIET;
        FakeKernel *fake = userdata;
        KernelFused *fused, **item;
        _cleanup_free_ char *names = NULL;
        int r;

        assert_true(request->n_slots >= 1 && request->n_slots <= CHAIN_SLOTS_MAX);
        assert_int_equal(strlen(request->signature), 64);
        assert_true(request->ifindex >= 0); /* 0: on trial */
        assert_true((int) request->counters >= 0 && request->counters < _COUNTER_LEVEL_MAX);
        assert_false(error_is_set(error));
        assert_null(*ret);
        check_slots(request);
        if (request->attachment) {
                assert_true(request->attachment->alive);
                assert_int_equal(request->attachment->link->ifindex, request->ifindex);
                assert_int_equal(request->attachment->link->hook, request->hook);
        }

        fused = calloc(1, sizeof(KernelFused));
        item = ARRAY_APPEND(fake->fused, fake->n_fused);
        assert_true(fused && item);
        *item = fused;
        *fused = (KernelFused){ .fake = fake, .ifindex = request->ifindex, .hook = request->hook };
        fused->content.counters = request->counters;
        snprintf(fused->content.signature, sizeof(fused->content.signature), "%s", request->signature);
        *ret_info = (FusedInfo){ .insns = 100, .verified_insns = 200 };
        for (size_t i = 0; i < request->n_slots; i++) {
                FakeSlot *slot = &fused->content.slots[fused->content.n_slots++];

                snprintf(slot->name, sizeof(slot->name), "%s", request->slots[i].name);
                slot->instance = request->slots[i].program->instance;
                slot->proceed_on = request->slots[i].proceed_on;
                slot->seat = request->slots[i].seat;
                ret_info->forms[i] = SLOT_FORM_GLOBAL;
        }
        names = content_names(&fused->content);
        fake_note(fake, FAKE_CHAIN_BUILD, "chain_build %d %s %s", request->ifindex, hook_to_string(request->hook),
                  names);
        r = fake_step(fake, FAKE_CHAIN_BUILD, error);
        if (r < 0)
                return r;
        for (size_t i = 0; i < request->n_slots; i++) {
                if (request->slots[i].program->tc != hook_is_tc(request->hook))
                        return error_set(error, ERROR_INCOMPATIBLE, "%s is no program for this hook",
                                         request->slots[i].name);
                if (request->slots[i].program->heavy)
                        return error_set(error, ERROR_LIMIT_EXCEEDED, "1000001 instructions, 1000000 are allowed");
        }
        fused->content.program_id = ret_info->program_id = fake->next_id++;
        fused->alive = true;
        fake->live_fused++;
        *ret = fused;
        return 0;
}

void fake_fused_free(KernelFused *fused) {
        FAKE_QUIET;
        if (!fused)
                return;
        assert_true(fused->alive);
        assert_false(fused->owned);
        fused->alive = false;
        fused->fake->live_fused--;
}

static int check_busy(FakeKernel *fake, ChainCommit *item) {
        const FakeForeign *foreign = foreign_of(fake, item->ifindex, item->hook);
        const FakeLink *link = link_of(fake, item->ifindex, item->hook);

        if (foreign)
                return error_set(&item->error, ERROR_HOOK_BUSY, "%s holds the hook", foreign->holder);
        if (link && hook_is_tc(item->hook) && link->first > 0)
                return 0; /* the new one goes before all of them */
        if (link && !link->off_hook)
                return error_set(&item->error, ERROR_HOOK_BUSY, "a link of our own that nobody knows holds the hook");
        assert_null(link); /* a dead one is to be detached first: its pins are in the way */
        return 0;
}

static int commit_new(FakeKernel *fake, ChainCommit *item) {
        KernelAttachment *attachment, **a;
        FakeLink *link, **l;
        bool native = item->hook == HOOK_XDP && item->mode != ATTACH_MODE_GENERIC;
        int r;

        r = check_busy(fake, item);
        if (r < 0)
                return r;
        if (native && fake->no_native[item->ifindex]) {
                if (item->mode == ATTACH_MODE_NATIVE)
                        return error_set(&item->error, ERROR_NOT_SUPPORTED, "the driver has no native XDP");
                native = false;
        }
        if (item->hook == HOOK_XDP && !native && fake->no_generic[item->ifindex])
                return error_set(&item->error, ERROR_NOT_SUPPORTED, "no generic XDP here");

        attachment = calloc(1, sizeof(KernelAttachment));
        a = ARRAY_APPEND(fake->attachments, fake->n_attachments);
        link = calloc(1, sizeof(FakeLink));
        l = ARRAY_APPEND(fake->links, fake->n_links);
        assert_true(attachment && a && link && l);
        *a = attachment;
        *l = link;
        *link = (FakeLink){ .there = true, .ifindex = item->ifindex, .hook = item->hook, .native = native };
        link->link_id = fake->next_id++;
        *attachment = (KernelAttachment){ .fake = fake, .alive = true, .link = link };
        fake->live_attachments++;
        item->attachment = attachment;
        item->created = true;
        return 0;
}

static int commit_exchange(ChainCommit *item) {
        FakeLink *link = item->attachment->link;

        assert_true(item->attachment->alive && link->there);
        if (link->off_hook)
                return error_set(&item->error, ERROR_FAILED, "the chain was taken off its hook");
        if (link->intruded)
                return error_set(&item->error, ERROR_HOOK_BUSY, "somebody put a program in the place of the chain");
        if (item->hook == HOOK_XDP && item->mode != ATTACH_MODE_BEST &&
            link->native != (item->mode == ATTACH_MODE_NATIVE))
                return error_set(&item->error, ERROR_NOT_SUPPORTED, "the mode can't be changed");
        item->undo = item->attachment->fused;
        return 0;
}

static void fill_attachment_info(const FakeLink *link, AttachmentInfo *ret) {
        *ret = (AttachmentInfo){ .kind = link->hook == HOOK_XDP ? ATTACH_KIND_XDP_LINK : ATTACH_KIND_TCX_LINK,
                                 .native = link->native,
                                 .link_id = link->link_id,
                                 .program_id = link->content.program_id };
}

/* Rows go on where there are some, as far as the kernel layer has them go on. */
static void take_rows(FakeKernel *fake, ChainCommit *item) {
        FakeLink *link = item->attachment->link;
        bool had = !item->created && link->content.has_rows;
        FakeContent *content = &item->fused->content;

        content->has_rows = content->counters != COUNTER_LEVEL_OFF || (had && !fake->drops_rows);
        if (content->has_rows && !had)
                memset(link->rows, 0, sizeof(link->rows));
        link->runs = 0;
}

static int commit_one(FakeKernel *fake, ChainCommit *item) {
        _cleanup_free_ char *names = NULL;
        int r;

        assert_non_null(item->fused);
        assert_true(item->fused->alive && !item->fused->owned);
        assert_int_equal(item->fused->ifindex, item->ifindex);
        assert_int_equal(item->fused->hook, item->hook);
        assert_non_null(item->interface);
        assert_false(error_is_set(&item->error));

        names = content_names(&item->fused->content);
        fake_note(fake, FAKE_CHAIN_COMMIT, "chain_commit %d %s %s %s", item->ifindex, hook_to_string(item->hook),
                  item->attachment ? "exchange" : "new", names);
        r = fake_step(fake, FAKE_CHAIN_COMMIT, &item->error);
        if (r >= 0)
                r = item->attachment ? commit_exchange(item) : commit_new(fake, item);
        if (r < 0)
                return r;

        item->fused->owned = true;
        item->attachment->fused = item->fused;
        /* The kernel's part of it, that stays when the handles go. For an adopted one the old content must be kept
         * for the undo: a fused program without handle. */
        if (!item->created && !item->undo) {
                KernelFused *old = calloc(1, sizeof(KernelFused)), **f = ARRAY_APPEND(fake->fused, fake->n_fused);

                assert_true(old && f);
                *f = old;
                *old = (KernelFused){ .fake = fake, .alive = true, .owned = true };
                old->ifindex = item->ifindex;
                old->hook = item->hook;
                old->content = item->attachment->link->content;
                fake->live_fused++;
                item->undo = old;
        }
        take_rows(fake, item);
        item->attachment->link->content = item->fused->content;
        fill_attachment_info(item->attachment->link, &item->info);
        item->fused = NULL;
        return 0;
}

int fake_chain_commit(void *userdata, ChainCommit *items, size_t n_items) {
        FAKE_QUIET;
        FakeKernel *fake = userdata;
        int result = 0;

        assert_true(n_items > 0);
        for (size_t i = 0; i < n_items; i++) {
                items[i].undo = NULL;
                items[i].created = false;
                items[i].result = commit_one(fake, &items[i]);
                if (items[i].result < 0 && result >= 0)
                        result = items[i].result;
        }
        return result;
}

void fake_chain_rollback(void *userdata, ChainCommit *item) {
        FAKE_QUIET;
        FakeKernel *fake = userdata;
        KernelAttachment *attachment = item->attachment;

        fake_note(fake, FAKE_CHAIN_ROLLBACK, "chain_rollback %d %s", item->ifindex, hook_to_string(item->hook));
        assert_true(item->result >= 0);
        assert_non_null(attachment);
        assert_true(attachment->alive && attachment->fused);
        item->fused = attachment->fused;
        item->fused->owned = false;
        if (item->created) {
                attachment->link->there = false;
                attachment->alive = false;
                fake->live_attachments--;
                item->attachment = NULL;
                item->created = false;
                return;
        }
        assert_non_null(item->undo);
        attachment->fused = TAKE_PTR(item->undo);
        attachment->link->content = attachment->fused->content;
        fill_attachment_info(attachment->link, &item->info);
}

void fake_chain_release(void *userdata, ChainCommit *item) {
        FAKE_QUIET;
        FakeKernel *fake = userdata;

        fake_note(fake, FAKE_CHAIN_RELEASE, "chain_release %d %s", item->ifindex, hook_to_string(item->hook));
        assert_true(item->result >= 0);
        if (item->undo) {
                item->undo->owned = false;
                fake_fused_free(item->undo);
        }
        item->undo = NULL;
}

int fake_chain_adopt(void *userdata, int ifindex, Hook hook, KernelAttachment **ret, AttachmentInfo *ret_info,
                     char *ret_signature) {
        FAKE_QUIET;
        FakeKernel *fake = userdata;
        KernelAttachment *attachment, **item;
        FakeLink *link = link_of(fake, ifindex, hook);
        int r;

        fake_note(fake, FAKE_CHAIN_ADOPT, "chain_adopt %d %s", ifindex, hook_to_string(hook));
        r = fake_step(fake, FAKE_CHAIN_ADOPT, NULL);
        if (r < 0)
                return r;
        if (!link)
                return -ENOENT;
        if (link->off_hook) {
                link->there = false;
                return -ENOENT;
        }
        for (size_t i = 0; i < fake->n_attachments; i++)
                assert_false(fake->attachments[i]->alive && fake->attachments[i]->link == link);
        attachment = calloc(1, sizeof(KernelAttachment));
        item = ARRAY_APPEND(fake->attachments, fake->n_attachments);
        assert_true(attachment && item);
        *item = attachment;
        *attachment = (KernelAttachment){ .fake = fake, .alive = true, .link = link };
        fake->live_attachments++;
        fill_attachment_info(link, ret_info);
        if (!link->intruded)
                snprintf(ret_signature, 11, "%.10s", link->content.signature);
        *ret = attachment;
        return 0;
}

int fake_chain_list(void *userdata, int **ret_ifindexes, Hook **ret_hooks, size_t *ret_n) {
        FAKE_QUIET;
        FakeKernel *fake = userdata;
        int *ifindexes, r;
        Hook *hooks;
        size_t n = 0;

        fake_note(fake, FAKE_CHAIN_LIST, "chain_list");
        r = fake_step(fake, FAKE_CHAIN_LIST, NULL);
        if (r < 0)
                return r;
        ifindexes = calloc(fake->n_links + 1, sizeof(int));
        hooks = calloc(fake->n_links + 1, sizeof(Hook));
        assert_true(ifindexes && hooks);
        for (size_t i = 0; i < fake->n_links; i++)
                if (fake->links[i]->there) {
                        ifindexes[n] = fake->links[i]->ifindex;
                        hooks[n++] = fake->links[i]->hook;
                }
        *ret_ifindexes = ifindexes;
        *ret_hooks = hooks;
        *ret_n = n;
        return 0;
}

int fake_chain_check(void *userdata, KernelAttachment *attachment) {
        FAKE_QUIET;
        FakeKernel *fake = userdata;
        int r;

        assert_true(attachment->alive);
        fake_note(fake, FAKE_CHAIN_CHECK, "chain_check %d %s", attachment->link->ifindex,
                  hook_to_string(attachment->link->hook));
        r = fake_step(fake, FAKE_CHAIN_CHECK, NULL);
        if (r < 0)
                return r;
        return attachment->link->off_hook ? -ENOENT : attachment->link->intruded ? -ESTALE : 0;
}

#define FAKE_INTRUDER 4040

int fake_chain_inspect(void *userdata, KernelAttachment *attachment, unsigned what, ChainFacts *ret) {
        FakeLink *link = attachment->link;

        assert_true(attachment->alive);
        *ret = (ChainFacts){
                .ifindex = link->there && !link->off_hook ? link->ifindex : 0,
                .program_id = link->intruded ? FAKE_INTRUDER : link->content.program_id,
                .own = !link->intruded,
                .pinned = !(what & INSPECT_PINS) || !link->unpinned,
                .first_program = link->first,
        };
        return 0;
}

int fake_chain_repin(void *userdata, KernelAttachment *attachment, Error *error) {
        assert_true(attachment->alive);
        attachment->link->unpinned = false;
        return 0;
}

int fake_program_name(void *userdata, uint32_t program_id, char ret[16]) {
        if (program_id != FAKE_INTRUDER)
                return -ENOENT;
        snprintf(ret, 16, "intruder");
        return 0;
}

static void drop(KernelAttachment *attachment) {
        assert_true(attachment->alive);
        attachment->alive = false;
        attachment->fake->live_attachments--;
        if (attachment->fused) {
                attachment->fused->owned = false;
                fake_fused_free(attachment->fused);
        }
}

void fake_chain_detach(void *userdata, KernelAttachment *attachment) {
        FAKE_QUIET;
        FakeKernel *fake = userdata;

        fake_note(fake, FAKE_CHAIN_DETACH, "chain_detach %d %s", attachment->link->ifindex,
                  hook_to_string(attachment->link->hook));
        drop(attachment);
        attachment->link->there = false;
}

void fake_attachment_free(KernelAttachment *attachment) {
        FAKE_QUIET;
        if (attachment)
                drop(attachment);
}

int fake_chain_counters(void *userdata, KernelAttachment *attachment, uint64_t ret[CHAIN_SEATS_MAX][COUNTER_CELLS]) {
        FAKE_QUIET;
        FakeKernel *fake = userdata;
        int r;

        assert_true(attachment->alive);
        fake_note(fake, FAKE_CHAIN_COUNTERS, "chain_counters %d %s", attachment->link->ifindex,
                  hook_to_string(attachment->link->hook));
        r = fake_step(fake, FAKE_CHAIN_COUNTERS, NULL);
        if (r < 0)
                return r;
        if (!attachment->link->content.has_rows)
                return -ENODATA;
        memcpy(ret, attachment->link->rows, sizeof(attachment->link->rows));
        return 0;
}

int fake_chain_run_time(void *userdata, KernelAttachment *attachment, uint64_t *ret_count, uint64_t *ret_nsec) {
        FAKE_QUIET;
        FakeKernel *fake = userdata;

        assert_true(attachment->alive);
        if (!fake->times_runs)
                return -ENODATA;
        *ret_count = attachment->link->runs;
        *ret_nsec = attachment->link->runs * FAKE_RUN_NSEC;
        return 0;
}

/* Looking at it */

char *fake_chain(FakeKernel *fake, int ifindex, Hook hook) {
        const FakeLink *link = link_of(fake, ifindex, hook);

        return link && !link->off_hook ? content_names(&link->content) : NULL;
}

uint32_t fake_link_id(FakeKernel *fake, int ifindex, Hook hook) {
        const FakeLink *link = link_of(fake, ifindex, hook);

        return link && !link->off_hook ? link->link_id : 0;
}

uint32_t fake_link_program_id(FakeKernel *fake, int ifindex, Hook hook) {
        const FakeLink *link = link_of(fake, ifindex, hook);

        return link && !link->off_hook ? link->content.program_id : 0;
}

static const FakeMap *pinned_map(FakeKernel *fake, const char *program, const char *map) {
        const FakePins *pins = fake_pins_of(fake, program);

        for (size_t i = 0; pins && pins->there && i < pins->n_maps; i++)
                if (streq(pins->maps[i]->name, map))
                        return pins->maps[i];
        return NULL;
}

uint32_t fake_map_id(FakeKernel *fake, const char *program, const char *map) {
        const FakeMap *m = pinned_map(fake, program, map);

        return m ? m->id : 0;
}

const char *fake_map_contents(FakeKernel *fake, const char *program, const char *map) {
        const FakeMap *m = pinned_map(fake, program, map);

        return m ? m->contents : NULL;
}

int line_compare(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

char *fake_dump(FakeKernel *fake) {
        char **lines = calloc(fake->n_links + fake->n_pins + 1, sizeof(char *)), *text = strdup("");
        size_t n = 0;

        assert_true(lines && text);
        for (size_t i = 0; i < fake->n_links; i++) {
                const FakeLink *link = fake->links[i];

                if (!link->there)
                        continue;
                text_add(&lines[n], "link %d %s id %u program %u %s%s%s %s:", link->ifindex,
                         hook_to_string(link->hook), link->link_id, link->content.program_id,
                         link->native ? "native" : "-", link->off_hook ? " off" : "",
                         link->intruded ? " intruded" : "", link->content.signature);
                for (size_t j = 0; j < link->content.n_slots; j++)
                        text_add(&lines[n], " %s#%u(%x)@%u", link->content.slots[j].name,
                                 link->content.slots[j].instance, link->content.slots[j].proceed_on,
                                 link->content.slots[j].seat);
                n++;
        }
        for (size_t i = 0; i < fake->n_pins; i++) {
                const FakePins *pins = fake->pins[i];

                if (!pins->there || pins->n_maps == 0)
                        continue;
                text_add(&lines[n], "pins %s:", pins->name);
                for (size_t j = 0; j < pins->n_maps; j++)
                        text_add(&lines[n], " %s#%u=%s", pins->maps[j]->name, pins->maps[j]->id,
                                 strna(pins->maps[j]->contents));
                n++;
        }
        qsort(lines, n, sizeof(char *), line_compare);
        for (size_t i = 0; i < n; i++) {
                text_add(&text, "%s\n", lines[i]);
                free(lines[i]);
        }
        free(lines);
        return text;
}

const char *fake_log(const FakeKernel *fake) {
        return fake->log ? fake->log : "";
}

void fake_log_clear(FakeKernel *fake) {
        free(TAKE_PTR(fake->log));
        memset(fake->count, 0, sizeof(fake->count));
}

unsigned fake_count(const FakeKernel *fake, FakeOp op) {
        return fake->count[op];
}

unsigned fake_live_programs(const FakeKernel *fake) {
        return (unsigned) fake->live_programs;
}

unsigned fake_live_fused(const FakeKernel *fake) {
        return (unsigned) fake->live_fused;
}

unsigned fake_live_attachments(const FakeKernel *fake) {
        return (unsigned) fake->live_attachments;
}
