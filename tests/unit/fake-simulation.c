/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Simulations of the fake kernel. What a program does with a packet are more words in its object, looked at in their
 * order; the byte behind the Ethernet header is the packet's "colour":
 *
 *   drop:N      drops packets of this colour
 *   denies:MAP  drops packets whose colour is a "key" in the contents that the document gives the map
 *   once:MAP    drops a packet of a colour that was seen before, in this simulation
 *   bump        adds 1 to the byte behind the colour
 *   grow        makes the packet one byte longer
 *   says:N      returns this
 *   nocopy:MAP  the map can't be copied
 *   picky       packets of colour 255 are not taken
 *
 * A program that none of this makes end a packet's way returns pass (XDP) or next (TC).
 */
#include "fake-internal.h"

#define COLOUR 14

typedef struct FakeForm {
        char *words;
        char *denied; /* contents of the map of "denies", copied */
        bool seen[256];
} FakeForm;

struct KernelSimulation {
        FakeKernel *fake;
        bool alive;
        Hook hook;
        uint32_t proceed_on[CHAIN_SLOTS_MAX];
        FakeForm forms[CHAIN_SLOTS_MAX];
        size_t n_slots;
        uint8_t data[CHAIN_SLOTS_MAX][SIMULATION_PACKET_MAX];
};

/* Calls visit with each word of the form NAME or NAME:VALUE; stops when it returns true. */
typedef bool (*WordVisitor)(const char *name, const char *value, void *userdata);

static void each_word(const char *words, WordVisitor visit, void *userdata) {
        _cleanup_free_ char *copy = strdup(words);
        char *save = NULL;

        assert_non_null(copy);
        for (char *word = strtok_r(copy, " \n", &save); word; word = strtok_r(NULL, " \n", &save)) {
                char *colon = strchr(word, ':');

                if (colon)
                        *colon++ = 0;
                if (visit(word, colon ? colon : "", userdata))
                        return;
        }
}

/* Contents that wait for the commit are what the planned chain would see. */
static char *copy_map(const KernelProgram *program, const char *name) {
        for (size_t i = 0; i < program->n_maps; i++)
                if (streq(program->maps[i]->name, name)) {
                        const char *contents = program->write[i] ? program->write[i] : program->maps[i]->contents;

                        return strdup(contents ? contents : "[]");
                }
        fail_msg("%s has no map %s", program->name, name);
        return NULL;
}

typedef struct Copying {
        const FuseSlot *slot;
        FakeForm *form;
        SimulationOmission **omissions;
        size_t *n_omissions;
} Copying;

static bool copy_word(const char *name, const char *value, void *userdata) {
        Copying *copying = userdata;

        if (streq(name, "denies"))
                copying->form->denied = copy_map(copying->slot->program, value);
        if (streq(name, "nocopy")) {
                SimulationOmission *omission = ARRAY_APPEND(*copying->omissions, *copying->n_omissions);

                assert_non_null(omission);
                *omission = (SimulationOmission){ strdup(copying->slot->name), strdup(value),
                                                  strdup("\"it\" can't be copied") };
        }
        return false;
}

static void check_request(const FuseRequest *request) {
        assert_true(request->n_slots >= 1 && request->n_slots <= CHAIN_SLOTS_MAX);
        assert_int_equal(strlen(request->signature), 64);
        assert_true(request->ifindex >= 0);
        assert_null(request->attachment); /* nothing of what is live */
        assert_int_equal(request->counters, COUNTER_LEVEL_OFF);
        for (size_t i = 0; i < request->n_slots; i++) {
                assert_non_null(request->slots[i].program);
                assert_true(request->slots[i].program->n_ref > 0);
                assert_true(request->slots[i].program->loaded); /* an adopted one can't be fused */
                assert_string_equal(request->slots[i].program->name, request->slots[i].name);
        }
}

int fake_simulation_new(void *userdata, const FuseRequest *request, KernelSimulation **ret,
                        SimulationOmission **ret_omissions, size_t *ret_n_omissions, Error *error) {
        FAKE_QUIET;
        FakeKernel *fake = userdata;
        KernelSimulation *simulation, **item;
        int r;

        assert_false(error_is_set(error));
        assert_null(*ret);
        assert_int_equal(*ret_n_omissions, 0);
        check_request(request);
        fake_note(fake, FAKE_SIMULATION_NEW, "simulation_new %s/%s %zu", request->interface,
                  hook_to_string(request->hook), request->n_slots);
        r = fake_step(fake, FAKE_SIMULATION_NEW, error);
        if (r < 0)
                return r;

        simulation = calloc(1, sizeof(KernelSimulation));
        item = ARRAY_APPEND(fake->simulations, fake->n_simulations);
        assert_true(simulation && item);
        *item = simulation;
        simulation->fake = fake;
        simulation->alive = true;
        simulation->hook = request->hook;
        for (size_t i = 0; i < request->n_slots; i++) {
                Copying copying = { &request->slots[i], &simulation->forms[i], ret_omissions, ret_n_omissions };

                simulation->proceed_on[i] = request->slots[i].proceed_on;
                simulation->forms[i].words = strdup(request->slots[i].program->words);
                each_word(simulation->forms[i].words, copy_word, &copying);
                simulation->n_slots++;
        }
        fake->live_simulations++;
        *ret = simulation;
        return 0;
}

typedef struct Running {
        KernelSimulation *simulation;
        FakeForm *form;
        uint8_t *data;
        uint32_t *size;
        int verdict;
} Running;

static bool has_key(const char *contents, unsigned colour) {
        char text[32];

        snprintf(text, sizeof(text), "\"key\":%u,", colour);
        return strstr(contents, text);
}

static bool run_word(const char *name, const char *value, void *userdata) {
        Running *running = userdata;
        unsigned colour = running->data[COLOUR];
        bool drop = false;

        if (streq(name, "bump"))
                running->data[COLOUR + 1]++;
        else if (streq(name, "grow") && *running->size < SIMULATION_PACKET_MAX)
                running->data[(*running->size)++] = 0;
        else if (streq(name, "drop"))
                drop = strtoul(value, NULL, 0) == colour;
        else if (streq(name, "denies"))
                drop = has_key(running->form->denied, colour);
        else if (streq(name, "once")) {
                drop = running->form->seen[colour];
                running->form->seen[colour] = true;
        } else if (streq(name, "says")) {
                running->verdict = (int) strtol(value, NULL, 0);
                return true;
        }
        if (drop)
                running->verdict = verdict_bucket_to_value(
                        running->simulation->hook,
                        (unsigned) verdict_bucket_from_string(
                                running->simulation->hook, hook_is_tc(running->simulation->hook) ? "shot" : "drop"));
        return drop;
}

static unsigned bucket_of(Hook hook, int verdict) {
        for (unsigned i = 0; i + 1 < verdict_buckets(hook); i++)
                if (verdict_bucket_to_value(hook, i) == verdict)
                        return i;
        return verdict_buckets(hook) - 1;
}

static bool refuses(const KernelSimulation *simulation, const uint8_t *packet) {
        for (size_t i = 0; i < simulation->n_slots; i++)
                if (strstr(simulation->forms[i].words, "picky") && packet[COLOUR] == 255)
                        return true;
        return false;
}

int fake_simulation_run(void *userdata, KernelSimulation *simulation, const void *packet, size_t size,
                        SimulationResult *ret, Error *error) {
        FAKE_QUIET;
        FakeKernel *fake = userdata;
        SimulationResult result = {};
        int r;

        assert_true(simulation->alive && simulation->fake == fake);
        assert_false(error_is_set(error));
        assert_true(size > COLOUR + 1 && size <= SIMULATION_PACKET_MAX);
        fake->count[FAKE_SIMULATION_RUN]++; /* too many for the log */
        r = fake_step(fake, FAKE_SIMULATION_RUN, error);
        if (r < 0)
                return r;
        if (refuses(simulation, packet))
                return error_set(error, ERROR_INVALID_ARGUMENT, "of colour 255");

        for (size_t i = 0; i < simulation->n_slots; i++) {
                const void *before = i > 0 ? simulation->data[i - 1] : packet;
                uint32_t size_before = i > 0 ? result.steps[i - 1].size : (uint32_t) size;
                SimulationStep *step = &result.steps[result.n_steps++];
                Running running = { simulation, &simulation->forms[i], simulation->data[i], &step->size,
                                    hook_is_tc(simulation->hook) ? -1 : 2 };

                memcpy(simulation->data[i], before, size_before);
                step->slot = (unsigned) i;
                step->size = size_before;
                step->data = simulation->data[i];
                each_word(simulation->forms[i].words, run_word, &running);
                step->verdict = result.verdict = running.verdict;
                step->bucket = result.bucket = bucket_of(simulation->hook, running.verdict);
                step->changed = step->size != size_before || memcmp(simulation->data[i], before, size_before) != 0;
                if (!(simulation->proceed_on[i] & (UINT32_C(1) << step->bucket)))
                        break;
        }
        *ret = result;
        return 0;
}

void fake_simulation_free(KernelSimulation *simulation) {
        FAKE_QUIET;

        if (!simulation)
                return;
        assert_true(simulation->alive);
        simulation->alive = false;
        simulation->fake->live_simulations--;
        for (size_t i = 0; i < simulation->n_slots; i++) {
                free(simulation->forms[i].words);
                free(simulation->forms[i].denied);
        }
}

unsigned fake_live_simulations(const FakeKernel *fake) {
        return (unsigned) fake->live_simulations;
}
