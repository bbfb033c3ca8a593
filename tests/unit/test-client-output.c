/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The parts of the client that need no service: what is shown, and what the command line means.
 */
#include <locale.h>

#include "client/bus-json.h"
#include "client/grid.h"
#include "client/hex.h"
#include "client/line-diff.h"
#include "client/report.h"
#include "client/snapshot.h"
#include "client/verb.h"

/* Behind the client's headers: cmocka has a macro fail(). */
#include "check.h"

/* An output that writes to memory and never to stdout. */
static void output_open(Output *output, bool color, bool utf8) {
        *output = (Output){ .color = color, .utf8 = utf8 };
        output->stream = open_memstream(&output->buffer, &output->size);
        assert_non_null(output->stream);
}

static void assert_output(Output *output, const char *expected) {
        assert_int_equal(fflush(output->stream), 0);
        assert_string_equal(output->buffer, expected);
        output_done(output);
}

static void groups_thousands(void **state) {
        static const struct {
                uint64_t count;
                const char *grouped, *plain, *brief;
        } cases[] = {
                { 0, "0", "0", "0" },
                { 999, "999", "999", "999" },
                { 1000, "1 000", "1000", "1000" },
                { 9999, "9 999", "9999", "9999" },
                { 10000, "10 000", "10000", "10.0k" },
                { 12409352, "12 409 352", "12409352", "12.4M" },
                { 999999, "999 999", "999999", "999k" },
                { 999999999, "999 999 999", "999999999", "999M" },
                { 1000000000, "1 000 000 000", "1000000000", "1.0G" },
                { UINT64_MAX, "18 446 744 073 709 551 615", "18446744073709551615", "18.4E" },
        };
        char buffer[COUNT_SIZE];

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                assert_string_equal(count_to_string(buffer, cases[i].count, true), cases[i].grouped);
                assert_string_equal(count_to_string(buffer, cases[i].count, false), cases[i].plain);
                assert_string_equal(count_to_short_string(buffer, cases[i].count), cases[i].brief);
        }
}

static void shortens_bytes(void **state) {
        static const struct {
                uint64_t bytes;
                const char *text;
        } cases[] = {
                { 0, "0 B" },
                { 9999, "9999 B" },
                { 10000, "10.0 kB" },
                { 12345678, "12.3 MB" },
                { 999999999, "999 MB" },
                { UINT64_MAX, "18.4 EB" },
        };
        char buffer[COUNT_SIZE];

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                assert_string_equal(bytes_to_short_string(buffer, cases[i].bytes), cases[i].text);
}

static void aligns_columns(void **state) {
        _cleanup_(grid_freep) Grid *grid = grid_new();
        static const char *const headings[] = { "NAME", "COUNT", "REST" };
        Output output;

        output_open(&output, false, true);
        grid_align_right(grid, 0, 1);
        grid_headings(grid, true, 0, headings, ELEMENTSOF(headings));
        grid_row(grid, 0, NULL);
        grid_cell(grid, STYLE_NONE, "deny");
        grid_cellf(grid, STYLE_NONE, "%d", 7);
        grid_cell(grid, STYLE_NONE, "a long last cell");
        grid_row(grid, 0, NULL);
        grid_cell(grid, STYLE_NONE, "größer→");
        grid_cell(grid, STYLE_NONE, "1 234 567");
        grid_cell(grid, STYLE_NONE, "");
        grid_row(grid, 0, "└─ ");
        grid_cell(grid, STYLE_NONE, "x");
        assert_int_equal(grid_print(grid, &output), 0);
        /* Characters count, not bytes; nothing trails. */
        assert_output(&output, "NAME         COUNT  REST\n"
                               "deny             7  a long last cell\n"
                               "größer→  1 234 567\n"
                               "└─ x\n");
}

static void mixes_layouts(void **state) {
        _cleanup_(grid_freep) Grid *grid = grid_new();
        Output output;

        output_open(&output, false, true);
        grid_set_gap(grid, 0, 1, 1);
        grid_row(grid, 0, NULL);
        grid_cell(grid, STYLE_NONE, "a");
        grid_cell(grid, STYLE_NONE, "b");
        grid_row(grid, 1, NULL);
        grid_cell(grid, STYLE_NONE, "longer than those");
        grid_cell(grid, STYLE_NONE, "c");
        grid_row(grid, 0, NULL);
        grid_cell(grid, STYLE_NONE, "alone in its row, so it widens nothing");
        grid_row(grid, 0, NULL);
        assert_int_equal(grid_print(grid, &output), 0);
        assert_output(&output, "a b\nlonger than those  c\nalone in its row, so it widens nothing\n\n");
}

static void pads_outside_of_styles(void **state) {
        _cleanup_(grid_freep) Grid *grid = grid_new();
        Output output;

        output_open(&output, true, true);
        grid_row(grid, 0, NULL);
        grid_cell(grid, STYLE_GOOD, "up");
        grid_cell(grid, STYLE_NONE, "x");
        grid_row(grid, 0, NULL);
        grid_cell(grid, STYLE_NONE, "down");
        grid_cell(grid, STYLE_NONE, "y");
        assert_int_equal(grid_print(grid, &output), 0);
        assert_output(&output, "\033[32mup\033[0m    x\ndown  y\n");

        output_open(&output, true, true);
        output_text(&output, STYLE_STRONG, "a\nb\n\n");
        output_text(&output, STYLE_STRONG, "");
        assert_output(&output, "\033[1ma\nb\033[0m\n\n");
}

static void wrapping_grid(Output *output, unsigned columns, const char *first, const char *sentence) {
        _cleanup_(grid_freep) Grid *grid = grid_new();

        output_open(output, false, true);
        output->columns = columns;
        grid_row(grid, 0, "│ ");
        grid_cell(grid, STYLE_NONE, first);
        grid_cell(grid, STYLE_NONE, sentence);
        grid_wrap(grid);
        assert_int_equal(grid_print(grid, output), 0);
}

static void wraps_sentences(void **state) {
        static const char sentence[] = "The hook is held by somebody else, and größer words follow here.";
        Output output;

        /* Off a terminal, and where there is room, a line is a line. */
        wrapping_grid(&output, 0, "error", sentence);
        assert_output(&output, "│ error  The hook is held by somebody else, and größer words follow here.\n");
        wrapping_grid(&output, 73, "error", sentence);
        assert_output(&output, "│ error  The hook is held by somebody else, and größer words follow here.\n");

        wrapping_grid(&output, 72, "error", sentence);
        assert_output(&output, "│ error  The hook is held by somebody else, and größer words follow\n"
                               "│        here.\n");
        wrapping_grid(&output, 50, "error", sentence);
        assert_output(&output, "│ error  The hook is held by somebody else, and\n"
                               "│        größer words follow here.\n");

        /* Too narrow beside the first cell: below it. A word that fits nowhere stands alone. */
        wrapping_grid(&output, 44, "error", sentence);
        assert_output(&output, "│ error\n"
                               "│     The hook is held by somebody else, and\n"
                               "│     größer words follow here.\n");
        wrapping_grid(&output, 5, "e", "aaaa bbbb");
        assert_output(&output, "│ e\n│     aaaa\n│     bbbb\n");
        wrapping_grid(&output, 5, "eeeee", "");
        assert_output(&output, "│ eeeee\n");
}

static void makes_names_harmless(void **state) {
        static const struct {
                const char *text, *clean;
        } cases[] = {
                { "eth0", "eth0" },
                { "e\033[2Jth", "e?[2Jth" },
                { "a\tb\nc", "a?b?c" },
                { "\xc2\x9b"
                  "31m",
                  "?31m" },                        /* CSI in one character */
                { "\xe2\x80\xae/evil", "?/evil" }, /* right-to-left override */
                { "\xff\xc3(", "?"
                               "?(" }, /* no UTF-8 */
                { "\xc3", "?" },       /* cut short */
                { "größer", "größer" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *clean = text_clean(cases[i].text, false);

                assert_string_equal(clean, cases[i].clean);
        }

        _cleanup_free_ char *lines = text_clean("a\tb\nc\r", true);
        assert_string_equal(lines, "a\tb\nc?");
}

static void measures_text(void **state) {
        assert_int_equal(text_width(""), 0);
        assert_int_equal(text_width("abc"), 3);
        assert_int_equal(text_width("├─→"), 3);
        assert_int_equal(text_width("漢字"), 4);
        assert_int_equal(text_width("e\xcc\x81"), 1); /* a combining accent takes no room */
        assert_int_equal(text_width("\xff"), 1);
}

static void finds_what_is_no_utf8(void **state) {
        assert_int_equal(utf8_check("", 0), 0);
        assert_int_equal(utf8_check("{\"größe\": 1}", 13), 13);
        assert_int_equal(utf8_check("ab\0c", 4), 2);
        assert_int_equal(utf8_check("ab\xff", 3), 2);
        assert_int_equal(utf8_check("ab\xc3", 3), 2);           /* cut short by the end */
        assert_int_equal(utf8_check("\xc0\x80", 2), 0);         /* overlong */
        assert_int_equal(utf8_check("\xed\xa0\x80", 3), 0);     /* surrogate */
        assert_int_equal(utf8_check("\xf4\x90\x80\x80", 4), 0); /* beyond Unicode */
}

static void reads_hexadecimal(void **state) {
        static const struct {
                const char *word;
                int n; /* bytes, or a negative errno */
                uint8_t bytes[8];
        } cases[] = {
                { "", 0, {} },
                { "0a000001", 4, { 10, 0, 0, 1 } },
                { "0x0a000001", 4, { 10, 0, 0, 1 } },
                { "0A 00 00 01", 4, { 10, 0, 0, 1 } },
                { " 0a:00-00  01 ", 4, { 10, 0, 0, 1 } },
                { "a 0 0 1", 4, { 10, 0, 0, 1 } },
                { "0x1 0xff", 2, { 1, 255 } },
                { "ffee 1", 3, { 255, 238, 1 } },
                { "abc", -EINVAL, {} },
                { "0g", -EINVAL, {} },
                { "0x", -EINVAL, {} },
                { "10.0.0.1", -EINVAL, {} },
                { "0000000000000000 00", -E2BIG, {} },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ uint8_t *bytes = NULL;
                size_t n = 0;
                int r;

                r = hex_append(cases[i].word, &bytes, &n, 8);
                if (cases[i].n < 0) {
                        assert_int_equal(r, cases[i].n);
                        assert_int_equal(n, 0);
                        continue;
                }
                assert_int_equal(r, 0);
                assert_int_equal(n, cases[i].n);
                if (n > 0)
                        assert_memory_equal(bytes, cases[i].bytes, n);
        }
}

static void appends_hexadecimal(void **state) {
        _cleanup_free_ uint8_t *bytes = NULL;
        _cleanup_free_ char *text = NULL, *nothing = hex_to_string(NULL, 0);
        size_t n = 0;

        assert_int_equal(hex_append("18 00", &bytes, &n, 4), 0);
        assert_int_equal(hex_append("cbff", &bytes, &n, 4), 0);
        assert_int_equal(hex_append("00", &bytes, &n, 4), -E2BIG);
        assert_int_equal(n, 4);
        text = hex_to_string(bytes, n);
        assert_string_equal(text, "18 00 cb ff");
        assert_string_equal(nothing, "");
}

static void completes_words(void **state) {
        static const char *const words[] = { "map", "maps", "monitor", "move", NULL, "status" };

        assert_int_equal(word_match("map", words, ELEMENTSOF(words)), 0); /* whole before longer ones */
        assert_int_equal(word_match("maps", words, ELEMENTSOF(words)), 1);
        assert_int_equal(word_match("mon", words, ELEMENTSOF(words)), 2);
        assert_int_equal(word_match("s", words, ELEMENTSOF(words)), 5);
        assert_int_equal(word_match("m", words, ELEMENTSOF(words)), -EEXIST);
        assert_int_equal(word_match("ma", words, ELEMENTSOF(words)), -EEXIST);
        assert_int_equal(word_match("mapsy", words, ELEMENTSOF(words)), -ENOENT);
        assert_int_equal(word_match("", words, ELEMENTSOF(words)), -ENOENT);
}

static void completes_hooks(void **state) {
        assert_string_equal(hook_match("xdp"), "xdp");
        assert_string_equal(hook_match("x"), "xdp");
        assert_string_equal(hook_match("ingress"), "tc-ingress");
        assert_string_equal(hook_match("egress"), "tc-egress");
        assert_string_equal(hook_match("tc-e"), "tc-egress");
        assert_string_equal(hook_match("in"), "tc-ingress");
        assert_null(hook_match("tc"));
        assert_null(hook_match("tc-"));
        assert_null(hook_match("kprobe"));
        assert_null(hook_match(""));
}

static void takes_hooks(void **state) {
        static const struct {
                const char *arguments[4];
                const char *interface, *hook;
                int left;
        } cases[] = {
                { { "eth0", "xdp", "deny" }, "eth0", "xdp", 1 },
                { { "eth0/xdp", "deny", "last" }, "eth0", "xdp", 2 },
                { { "eth0/ingress" }, "eth0", "tc-ingress", 0 },
                { { "br-lan.7", "e" }, "br-lan.7", "tc-egress", 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *interface = NULL;
                char *arguments[4], **argv = arguments;
                const char *hook = NULL;
                int argc = 0;

                for (; argc < 4 && cases[i].arguments[argc]; argc++)
                        arguments[argc] = (char *) cases[i].arguments[argc];
                assert_int_equal(take_hook(&argc, &argv, &interface, &hook), EXIT_DONE);
                assert_string_equal(interface, cases[i].interface);
                assert_string_equal(hook, cases[i].hook);
                assert_int_equal(argc, cases[i].left);
        }
}

static void refuses_hooks(void **state) {
        static const char *const cases[][2] = { { "eth0" }, { "eth0", "xpd" }, { "/xdp" }, { "eth0/" }, { NULL } };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char *arguments[2] = { (char *) cases[i][0], (char *) cases[i][1] }, **argv = arguments;
                int argc = (cases[i][0] != NULL) + (cases[i][1] != NULL);
                char *interface = NULL;
                const char *hook;

                assert_int_equal(take_hook(&argc, &argv, &interface, &hook), EXIT_USAGE);
                assert_null(interface);
        }
}

static void names_documents(void **state) {
        static const struct {
                const char *path, *name;
        } cases[] = {
                { "edge.json", "edge" }, { "/etc/x/50-edge.json", "50-edge" },
                { "edge", "edge" },      { "a.b/edge.conf", "edge.conf" },
                { ".json", NULL },       { "folder/", NULL },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *name = document_name_of_path(cases[i].path);

                if (cases[i].name)
                        assert_string_equal(name, cases[i].name);
                else
                        assert_null(name);
        }
}

static void names_members(void **state) {
        static const char *const cases[][2] = {
                { "State", "state" }, { "LinkId", "link-id" }, { "XdpFeatures", "xdp-features" },
                { "Mtu", "mtu" },     { "MapID", "map-id" },   { "already-so", "already-so" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *name = kebab(cases[i][0]);

                assert_string_equal(name, cases[i][1]);
        }
}

static void names_objects(void **state) {
        static const char *const cases[][2] = {
                { "/org/bpfchain1", "manager" },
                { "/org/bpfchain1/chain/eth0/tc_2dingress", "chain eth0/tc-ingress" },
                { "/org/bpfchain1/interface/br_2elan", "interface br.lan" },
                { "/org/bpfchain1/program/_31st", "program 1st" },
                { "/org/bpfchain1/map/deny/_2erodata", "map deny/.rodata" },
                { "/org/freedesktop/DBus", "/org/freedesktop/DBus" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *label = path_to_label(cases[i][0]);

                assert_string_equal(label, cases[i][1]);
        }
}

static void tolerates_strange_members(void **state) {
        _cleanup_json_ json_object *object = json_tokener_parse(
                "{\"text\": 7, \"number\": \"7\", \"list\": {}, \"truth\": \"yes\", \"none\": null}");

        assert_string_equal(json_text(object, "text"), "");
        assert_string_equal(json_text(object, "none"), "");
        assert_string_equal(json_text(NULL, "text"), "");
        assert_int_equal(json_number(object, "number"), 0);
        assert_false(json_truth(object, "truth"));
        assert_null(json_list(object, "list"));
        assert_null(json_member(object, "absent"));
        assert_int_equal(json_length(NULL), 0);
}

static void compares_texts(void **state) {
        Output output;

        output_open(&output, false, true);
        assert_int_equal(line_diff_show(&output, "a", "1\n2\n3\n", "b", "1\n2\n3\n"), 0);
        assert_output(&output, "");

        output_open(&output, false, true);
        assert_int_equal(
                line_diff_show(&output, "a", "1\n2\n3\n4\n5\n6\n7\n8\n9\n", "b", "1\n2\n3\n4\nx\n6\n7\n8\n9\n"), 1);
        assert_output(&output, "--- a\n+++ b\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+x\n 6\n 7\n 8\n");

        output_open(&output, false, true);
        assert_int_equal(line_diff_show(&output, "a", "", "b", "1\n2\n"), 1);
        assert_output(&output, "--- a\n+++ b\n@@ -0,0 +1,2 @@\n+1\n+2\n");

        output_open(&output, false, true);
        assert_int_equal(line_diff_show(&output, "a", "1\n2\n", "b", ""), 1);
        assert_output(&output, "--- a\n+++ b\n@@ -1,2 +0,0 @@\n-1\n-2\n");

        /* far apart: two hunks; no newline at the end counts as one */
        output_open(&output, false, true);
        assert_int_equal(line_diff_show(&output, "a", "a\n1\n2\n3\n4\n5\n6\n7\n8\nb", "b",
                                        "A\n1\n2\n3\n4\n5\n6\n7\n8\nB\nC\n"),
                         1);
        assert_output(&output, "--- a\n+++ b\n@@ -1,4 +1,4 @@\n-a\n+A\n 1\n 2\n 3\n"
                               "@@ -7,4 +7,5 @@\n 6\n 7\n 8\n-b\n+B\n+C\n");
}

static void compares_large_texts(void **state) {
        _cleanup_free_ char *a = NULL, *b = NULL;
        size_t size_a, size_b, n = 0;
        FILE *stream_a = open_memstream(&a, &size_a), *stream_b = open_memstream(&b, &size_b);
        Output output;

        /* Nothing in common, and more pairs of lines than the table may have. */
        for (int i = 0; i < 5000; i++) {
                fprintf(stream_a, "a%d\n", i);
                fprintf(stream_b, "b%d\n", i);
        }
        fclose(stream_a);
        fclose(stream_b);
        output_open(&output, false, true);
        assert_int_equal(line_diff_show(&output, "a", a, "b", b), 1);
        assert_int_equal(fflush(output.stream), 0);
        for (const char *p = output.buffer; (p = strchr(p, '\n')); p++)
                n++;
        assert_int_equal(n, 10000 + 3);
        output_done(&output);
}

static void shows_reports(void **state) {
        _cleanup_json_ json_object *report = json_tokener_parse(
                "{\"generation\": 15, \"unknown\": [], \"chains\": ["
                "{\"interface\": \"eth0\", \"hook\": \"xdp\", \"change\": \"replaced\", \"before\": [\"deny\", "
                "\"limit\"],"
                " \"after\": [\"limit\", \"deny\"], \"verify-usec\": 1500, \"swap-usec\": 9000},"
                "{\"interface\": \"eth0\", \"hook\": \"tc-egress\", \"change\": \"unchanged\", \"before\": [\"x\"],"
                " \"after\": [\"x\"]},"
                "{\"interface\": \"e\", \"hook\": \"xdp\", \"change\": \"conflict\", \"after\": [\"x\"],"
                " \"reason\": \"held by 7\"}],"
                "\"programs\": [{\"name\": \"deny\", \"change\": \"upgraded\","
                " \"maps\": [{\"name\": \"hits\", \"kept\": true}, {\"name\": \"new\", \"kept\": false}]},"
                " {\"name\": \"x\", \"change\": \"unchanged\"}]}");
        Client client = {};

        output_open(&client.output, false, false);
        assert_int_equal(report_show(&client, report, false), 3);
        assert_output(&client.output,
                      "eth0/xdp   replaced  deny, limit  ->  limit, deny    verified in 1.5ms, swapped in 9ms\n"
                      "e/xdp      conflict  x                               held by 7\n"
                      "program deny  upgraded  keeps hits  starts anew: new\n");

        output_open(&client.output, false, false);
        assert_int_equal(report_show(&client, NULL, true), 0);
        assert_output(&client.output, "");
}

static void writes_json(void **state) {
        _cleanup_json_ json_object *value = json_tokener_parse("{\"a/b\": [1, 18446744073709551615]}");
        Output output;

        output_open(&output, false, true);
        output_json(&output, JSON_MODE_SHORT, value);
        output_json(&output, JSON_MODE_SHORT, NULL);
        assert_output(&output, "{\"a/b\":[1,18446744073709551615]}\nnull\n");

        for (JsonMode mode = 0; mode < _JSON_MODE_MAX; mode++)
                assert_int_equal(json_mode_from_string(json_mode_to_string(mode)), mode);
        assert_int_equal(json_mode_from_string("long"), _JSON_MODE_INVALID);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(groups_thousands),
                cmocka_unit_test(shortens_bytes),
                cmocka_unit_test(aligns_columns),
                cmocka_unit_test(mixes_layouts),
                cmocka_unit_test(pads_outside_of_styles),
                cmocka_unit_test(wraps_sentences),
                cmocka_unit_test(makes_names_harmless),
                cmocka_unit_test(measures_text),
                cmocka_unit_test(finds_what_is_no_utf8),
                cmocka_unit_test(reads_hexadecimal),
                cmocka_unit_test(appends_hexadecimal),
                cmocka_unit_test(completes_words),
                cmocka_unit_test(completes_hooks),
                cmocka_unit_test(takes_hooks),
                cmocka_unit_test(refuses_hooks),
                cmocka_unit_test(names_documents),
                cmocka_unit_test(names_members),
                cmocka_unit_test(names_objects),
                cmocka_unit_test(tolerates_strange_members),
                cmocka_unit_test(compares_texts),
                cmocka_unit_test(compares_large_texts),
                cmocka_unit_test(shows_reports),
                cmocka_unit_test(writes_json),
        };

        setlocale(LC_CTYPE, "C.UTF-8"); /* for the width of characters */
        return cmocka_run_group_tests_name("client", tests, NULL, NULL);
}
