/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The parts of the bus layer that need no bus: paths, strings, JSON to variants, errors. */
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "bus/errors.h"
#include "bus/object.h"
#include "bus/wire.h"

#include "util/json.h"
#include "util/log.h"

/* A bus to make messages with; nothing is ever sent. */
static sd_bus *bus_new(void) {
        sd_bus *bus = NULL;
        int fds[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        assert_true(sd_bus_new(&bus) >= 0);
        assert_true(sd_bus_set_fd(bus, fds[0], fds[0]) >= 0);
        assert_true(sd_bus_start(bus) >= 0);
        close(fds[1]);
        return bus;
}

static sd_bus_message *message_new(sd_bus *bus) {
        sd_bus_message *message = NULL;

        assert_true(sd_bus_message_new_signal(bus, &message, "/x", "x.X", "X") >= 0);
        return message;
}

static void assert_path(ObjectKind kind, const char *first, const char *second, const char *path) {
        _cleanup_free_ char *got = object_path(kind, first, second), *a = NULL, *b = NULL;

        assert_string_equal(got, path);
        assert_int_equal(object_path_parse(path, kind, &a, second ? &b : NULL), 1);
        assert_string_equal(a, first);
        if (second)
                assert_string_equal(b, second);
}

static void paths_go_both_ways(void **state) {
        assert_path(OBJECT_INTERFACE, "eth0", NULL, BUS_ROOT "/interface/eth0");
        assert_path(OBJECT_INTERFACE, "0:\xff", NULL, BUS_ROOT "/interface/_30_3a_ff");
        assert_path(OBJECT_CHAIN, "br-lan", "tc-ingress", BUS_ROOT "/chain/br_2dlan/tc_2dingress");
        assert_path(OBJECT_PROGRAM, "a_b", NULL, BUS_ROOT "/program/a_5fb");
        assert_path(OBJECT_MAP, "p", ".bss", BUS_ROOT "/map/p/_2ebss");
        assert_path(OBJECT_PROGRAM, "", NULL, BUS_ROOT "/program/_");
}

static void other_paths_are_nobodys(void **state) {
        static const char *const paths[] = {
                BUS_ROOT "/chain",
                BUS_ROOT "/chain/eth0",
                BUS_ROOT "/chain/eth0/xdp/x",
                BUS_ROOT "/chain/_65th0/xdp", /* another spelling */
                BUS_ROOT "/chain/_6/xdp",
                BUS_ROOT "/program/eth0/xdp",
                "/",
        };

        for (size_t i = 0; i < ELEMENTSOF(paths); i++) {
                char *a = NULL, *b = NULL;

                assert_int_equal(object_path_parse(paths[i], OBJECT_CHAIN, &a, &b), 0);
                assert_null(a);
                assert_null(b);
        }
}

static void assert_valid(const char *from, const char *to) {
        _cleanup_free_ char *s = string_make_valid(from);

        assert_string_equal(s, to);
}

static void strings_become_utf8(void **state) {
        assert_valid("", "");
        assert_valid("eth0 \xc3\xa4 \xe2\x82\xac \xf0\x9f\x90\x9d", "eth0 \xc3\xa4 \xe2\x82\xac \xf0\x9f\x90\x9d");
        assert_valid("\xff", "\xef\xbf\xbd");
        assert_valid("a\xc3", "a\xef\xbf\xbd");
        assert_valid("\xc0\x80", "\xef\xbf\xbd\xef\xbf\xbd");                 /* not the shortest form */
        assert_valid("\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"); /* a surrogate */
        assert_valid("\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
}

static void any_name_fits_into_a_message(void **state) {
        sd_bus *bus = bus_new();
        sd_bus_message *message = message_new(bus);
        char *list[] = { (char *) "ok", (char *) "\x80", NULL };
        const char *s;

        assert_true(wire_append_string(message, "\xff\xfe") >= 0);
        assert_true(wire_append_string(message, NULL) >= 0);
        assert_true(wire_append_strv(message, list) >= 0);
        assert_true(wire_append_strv(message, NULL) >= 0);
        assert_true(sd_bus_message_seal(message, 1, 0) >= 0);
        assert_true(sd_bus_message_rewind(message, true) >= 0);
        assert_true(sd_bus_message_read(message, "s", &s) > 0);
        assert_string_equal(s, "\xef\xbf\xbd\xef\xbf\xbd");
        assert_true(sd_bus_message_read(message, "s", &s) > 0);
        assert_string_equal(s, "");

        sd_bus_message_unref(message);
        sd_bus_close_unref(bus);
}

static json_object *parse(const char *text) {
        _cleanup_error_ Error error = ERROR_INIT;
        json_object *object = NULL;

        assert_int_equal(json_parse(text, strlen(text), &object, NULL, &error), 0);
        return object;
}

static void json_becomes_variants(void **state) {
        _cleanup_json_ json_object *object =
                parse("{\"t\":true,\"n\":-7,\"d\":0.5,\"s\":\"x\",\"none\":null,"
                      "\"l\":[1,\"a\",null,{\"k\":[]}],\"o\":{\"i\":{\"available\":false}}}");
        sd_bus *bus = bus_new();
        sd_bus_message *message = message_new(bus);
        const char *key, *contents;
        char type, seen[64] = "";

        assert_true(wire_append_json(message, object) >= 0);
        assert_true(wire_append_json(message, NULL) >= 0);
        assert_true(sd_bus_message_seal(message, 1, 0) >= 0);
        assert_true(sd_bus_message_rewind(message, true) >= 0);

        assert_true(sd_bus_message_enter_container(message, 'a', "{sv}") > 0);
        while (sd_bus_message_enter_container(message, 'e', "sv") > 0) {
                assert_true(sd_bus_message_read(message, "s", &key) > 0);
                assert_true(sd_bus_message_peek_type(message, &type, &contents) > 0);
                strcat(strcat(strcat(strcat(seen, key), "="), contents), " ");
                assert_true(sd_bus_message_skip(message, "v") > 0);
                assert_true(sd_bus_message_exit_container(message) >= 0);
        }
        assert_string_equal(seen, "t=b n=x d=d s=s l=av o=a{sv} ");

        sd_bus_message_unref(message);
        sd_bus_close_unref(bus);
}

static void deep_json_is_refused(void **state) {
        char text[128] = "{\"a\":";
        _cleanup_json_ json_object *object = NULL;
        sd_bus *bus = bus_new();
        sd_bus_message *message = message_new(bus);

        for (int i = 0; i < 25; i++)
                strcat(text, "[");
        for (int i = 0; i < 25; i++)
                strcat(text, "]");
        object = parse(strcat(text, "}"));
        assert_int_equal(wire_append_json(message, object), -ELOOP);

        sd_bus_message_unref(message);
        sd_bus_close_unref(bus);
}

static void assert_decisive(const char *log, const char *lines) {
        char got[256];

        verifier_log_decisive(log, got, sizeof(got));
        assert_string_equal(got, lines);
}

static void the_end_of_a_verifier_log_decides(void **state) {
        char log[4096] = "", line[32];

        assert_decisive("", "");
        assert_decisive("\n\n", "");
        assert_decisive("processed 3 insns (limit 1000000)\n", "");
        assert_decisive("R1 invalid mem access 'scalar'\nprocessed 3 insns (limit 1000000) max_states_per_insn 0\n"
                        "-- END PROG LOAD LOG --\n",
                        "R1 invalid mem access 'scalar'");
        assert_decisive("a\nb\nverification time 12 usec\nstack depth 8\nprocessed 1 insns\n\n", "a\nb");

        /* The last eight lines. */
        for (int i = 0; i < 20; i++) {
                snprintf(line, sizeof(line), "line %d\n", i);
                strcat(log, line);
        }
        assert_decisive(log, "line 12\nline 13\nline 14\nline 15\nline 16\nline 17\nline 18\nline 19");

        /* As many as fit; of a line that is too long, its end. */
        memset(log, 'x', 1000);
        strcpy(log + 1000, "\nshort\n");
        assert_decisive(log, "short");
        strcpy(log + 996, "tail");
        {
                char got[16];

                verifier_log_decisive(log, got, sizeof(got));
                assert_string_equal(got, "xxxxxxxxxxxtail");
        }
}

static void errors_carry_name_and_sentence(void **state) {
        for (ErrorCode code = ERROR_FAILED; code < _ERROR_CODE_MAX; code++) {
                _cleanup_error_ Error error = ERROR_INIT;
                sd_bus_error bus_error = SD_BUS_ERROR_NULL;
                char name[128];

                error_set(&error, code, "What happened \xff.");
                assert_int_equal(bus_error_fail(&bus_error, -EIO, &error, "x"), error_code_to_errno(code));
                snprintf(name, sizeof(name), "org.bpfchain1.Error.%s", error_code_to_string(code));
                assert_string_equal(bus_error.name, name);
                assert_non_null(strstr(bus_error.message, "What happened \xef\xbf\xbd."));
                sd_bus_error_free(&bus_error);
        }
}

static void faults_of_our_own_are_failures(void **state) {
        _cleanup_error_ Error error = ERROR_INIT;
        sd_bus_error bus_error = SD_BUS_ERROR_NULL;

        assert_true(bus_error_fail(&bus_error, -ENOSPC, &error, "Can't apply the document") < 0);
        assert_string_equal(bus_error.name, "org.bpfchain1.Error.Failed");
        assert_string_equal(bus_error.message, "Can't apply the document: No space left on device");
        sd_bus_error_free(&bus_error);

        error_done(&error);
        assert_int_equal(bus_error_fail(&bus_error, -ENOMEM, &error, "x"), -ENOMEM);
        assert_string_equal(bus_error.name, SD_BUS_ERROR_NO_MEMORY);
        sd_bus_error_free(&bus_error);
}

static void a_verifier_log_is_pointed_to(void **state) {
        _cleanup_error_ Error error = ERROR_INIT;
        sd_bus_error bus_error = SD_BUS_ERROR_NULL;

        error_set(&error, ERROR_VERIFIER_REJECTED, "x.json: program p is refused by the verifier.");
        error.log = strdup("0: (85) call bpf_x#1\ninvalid access to packet\nprocessed 9 insns\n");
        (void) bus_error_fail(&bus_error, -EACCES, &error, "x");
        assert_non_null(strstr(bus_error.message, "x.json: program p"));
        assert_non_null(strstr(bus_error.message, "\ninvalid access to packet\n"));
        assert_null(strstr(bus_error.message, "processed 9"));
        assert_non_null(strstr(bus_error.message, "journalctl"));
        sd_bus_error_free(&bus_error);

        /* Not twice. */
        error_done(&error);
        error_set(&error, ERROR_VERIFIER_REJECTED, "p: invalid access to packet");
        error.log = strdup("invalid access to packet\n");
        (void) bus_error_fail(&bus_error, -EACCES, &error, "x");
        assert_null(strstr(strstr(bus_error.message, "invalid access") + 1, "invalid access"));
        sd_bus_error_free(&bus_error);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(paths_go_both_ways),
                cmocka_unit_test(other_paths_are_nobodys),
                cmocka_unit_test(strings_become_utf8),
                cmocka_unit_test(any_name_fits_into_a_message),
                cmocka_unit_test(json_becomes_variants),
                cmocka_unit_test(deep_json_is_refused),
                cmocka_unit_test(the_end_of_a_verifier_log_decides),
                cmocka_unit_test(errors_carry_name_and_sentence),
                cmocka_unit_test(faults_of_our_own_are_failures),
                cmocka_unit_test(a_verifier_log_is_pointed_to),
        };

        log_close();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
