/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <sys/stat.h>

#include "check.h"
#include "util/clock.h"
#include "util/digest.h"
#include "util/file.h"

/* Each test runs in a folder of its own, which is removed with all that is in it. */
static int set_up(void **state) {
        char *folder;

        if (asprintf(&folder, "%s/bct-file-XXXXXX", getenv("TMPDIR") ?: "/tmp") < 0 || !mkdtemp(folder))
                return -1;
        *state = folder;
        return chdir(folder);
}

static int tear_down(void **state) {
        _cleanup_free_ char *command = NULL, *folder = *state;

        if (chdir("/") < 0 || asprintf(&command, "rm -rf '%s'", folder) < 0)
                return -1;
        return system(command);
}

static void check_contents(const char *path, const char *expected) {
        _cleanup_free_ char *data = NULL;
        size_t size;

        assert_int_equal(file_read(path, 1 << 20, &data, &size), 0);
        assert_int_equal(size, strlen(expected));
        assert_string_equal(data, expected);
}

static unsigned count_entries(const char *folder) {
        _cleanup_closedir_ DIR *d = opendir(folder);
        unsigned n = 0;

        assert_non_null(d);
        while (readdir(d))
                n++;
        return n - 2; /* . and .. */
}

static void test_read(void **state) {
        _cleanup_free_ char *data = NULL, *bytes = NULL, *link = NULL, *proc = NULL;
        size_t size = 77;

        assert_int_equal(file_read("missing", 10, &data, &size), -ENOENT);
        assert_int_equal(file_read(".", 10, &data, &size), -EINVAL);
        assert_int_equal(file_read("/dev/null", 10, &data, &size), -EINVAL);
        assert_int_equal(mkfifo("fifo", 0600), 0);
        assert_int_equal(file_read("fifo", 10, &data, &size), -EINVAL); /* and does not wait for a writer */
        assert_int_equal(symlink("/dev/null", "mask"), 0);
        assert_int_equal(file_read("mask", 10, &data, &size), -EINVAL);
        assert_null(data);
        assert_int_equal(size, 77);

        assert_int_equal(file_write_atomic("ten", "0123456789", 10, 0644), 0);
        assert_int_equal(file_read("ten", 9, &data, &size), -EFBIG);
        assert_null(data);
        assert_int_equal(file_read("ten", 10, &data, &size), 0);
        assert_int_equal(size, 10);
        assert_string_equal(data, "0123456789");

        assert_int_equal(symlink("ten", "link"), 0);
        assert_int_equal(file_read("link", 10, &link, NULL), 0);
        assert_string_equal(link, "0123456789");

        assert_int_equal(file_write_atomic("nul", "a\0b", 3, 0644), 0);
        assert_int_equal(file_read("nul", 10, &bytes, &size), 0);
        assert_int_equal(size, 3);
        assert_memory_equal(bytes, "a\0b", 4);

        /* A file that says 0 bytes and has more. */
        assert_int_equal(file_read("/proc/self/mountinfo", 1, &proc, &size), -EFBIG);
        assert_int_equal(file_read("/proc/self/mountinfo", 1 << 22, &proc, &size), 0);
        assert_true(size > 1);
        assert_int_equal(strlen(proc), size);
}

static void test_read_empty(void **state) {
        _cleanup_free_ char *data = NULL;
        size_t size = 1;

        assert_int_equal(file_write_atomic("empty", NULL, 0, 0644), 0);
        assert_int_equal(file_read("empty", 0, &data, &size), 0);
        assert_int_equal(size, 0);
        assert_string_equal(data, "");
}

static void test_write(void **state) {
        struct stat st;
        mode_t old = umask(077);

        assert_int_equal(file_write_atomic("a.json", "one", 3, 0644), 0);
        umask(old);
        assert_int_equal(stat("a.json", &st), 0);
        assert_int_equal(st.st_mode & 07777, 0644);
        check_contents("a.json", "one");
        assert_int_equal(file_write_atomic("./a.json", "two", 3, 0600), 0);
        assert_int_equal(stat("a.json", &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        check_contents("a.json", "two");
        assert_int_equal(count_entries("."), 1);

        /* A link is replaced, not written through. */
        assert_int_equal(symlink("a.json", "b.json"), 0);
        assert_int_equal(file_write_atomic("b.json", "three", 5, 0600), 0);
        check_contents("a.json", "two");
        check_contents("b.json", "three");

        /* Failures leave nothing behind. */
        assert_int_equal(file_write_atomic("none/a", "x", 1, 0600), -ENOENT);
        assert_int_equal(file_write_atomic("", "x", 1, 0600), -EINVAL);
        assert_int_equal(file_write_atomic("x/..", "x", 1, 0600), -EINVAL);
        assert_int_equal(mkdir("folder", 0700), 0);
        assert_int_equal(file_write_atomic("folder", "x", 1, 0600), -EISDIR);
        assert_int_equal(file_write_atomic("folder/", "x", 1, 0600), -EINVAL);
        assert_int_equal(count_entries("."), 3);
        assert_int_equal(count_entries("folder"), 0);
}

static void test_write_long_name(void **state) {
        char name[257];

        memset(name, 'n', sizeof(name));
        name[255] = '\0';
        assert_int_equal(file_write_atomic(name, "x", 1, 0600), 0);
        check_contents(name, "x");
        name[255] = 'n';
        name[256] = '\0';
        assert_int_equal(file_write_atomic(name, "x", 1, 0600), -ENAMETOOLONG);
        assert_int_equal(count_entries("."), 1);
}

static void test_copy(void **state) {
        _cleanup_free_ char *data = malloc(200000);
        char a[DIGEST_HEX_SIZE], b[DIGEST_HEX_SIZE];

        for (unsigned i = 0; i < 200000; i++)
                data[i] = (char) (i * 7 + i / 251);
        assert_int_equal(file_write_atomic("from", data, 200000, 0600), 0);
        assert_int_equal(file_copy_atomic("from", "to", 199999, 0644), -EFBIG);
        assert_int_equal(count_entries("."), 1);
        assert_int_equal(file_copy_atomic("from", "to", 200000, 0644), 0);
        assert_int_equal(digest_file("to", a), 0);
        assert_int_equal(digest_memory(data, 200000, b), 0);
        assert_string_equal(a, b);
        assert_int_equal(file_copy_atomic("missing", "to", 1, 0644), -ENOENT);
        assert_int_equal(file_copy_atomic(".", "to", 1, 0644), -EINVAL);
        assert_int_equal(count_entries("."), 2);
}

static void test_folders(void **state) {
        struct stat st;

        assert_int_equal(mkdir_parents("a/b//c/", 0750), 0);
        assert_int_equal(stat("a/b/c", &st), 0);
        assert_int_equal(st.st_mode & 0777, 0750);
        assert_int_equal(mkdir_parents("a/b/c", 0700), 0);
        assert_int_equal(mkdir_parents("/", 0700), 0);
        assert_int_equal(mkdir_parents("", 0700), -EINVAL);
        assert_int_equal(file_write_atomic("a/file", "x", 1, 0600), 0);
        assert_int_equal(mkdir_parents("a/file", 0700), -ENOTDIR);
        assert_int_equal(mkdir_parents("a/file/below", 0700), -ENOTDIR);

        assert_int_equal(file_remove("a/file"), 0);
        assert_int_equal(access("a/file", F_OK), -1);
        assert_int_equal(file_remove("a/file"), 0);
        assert_int_equal(file_remove("a/b"), -EISDIR);
}

static void test_digest(void **state) {
        _cleanup_(digest_done) Digest digest = {};
        char a[DIGEST_HEX_SIZE], b[DIGEST_HEX_SIZE];

        /* FIPS 180-4, and the digest of nothing. */
        assert_int_equal(digest_memory("abc", 3, a), 0);
        assert_string_equal(a, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_int_equal(digest_memory(NULL, 0, a), 0);
        assert_string_equal(a, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");

        assert_int_equal(digest_init(&digest), 0);
        assert_int_equal(digest_update(&digest, "a", 1), 0);
        assert_int_equal(digest_update_string(&digest, "bc"), 0);
        assert_int_equal(digest_final(&digest, a), 0);
        assert_int_equal(digest_memory("abc\0", 4, b), 0);
        assert_string_equal(a, b);

        assert_int_equal(digest_file("missing", a), -ENOENT);
        assert_int_equal(digest_file("/dev/zero", a), -EINVAL);
        assert_int_equal(digest_init(&digest), 0); /* tidied up by digest_done() */
}

static void check_usec(const char *s, uint64_t expected) {
        uint64_t usec = 0;

        assert_int_equal(usec_from_string(s, &usec), 0);
        assert_true(usec == expected);
}

static void check_no_usec(const char *s, int error) {
        uint64_t usec = 42;

        assert_int_equal(usec_from_string(s, &usec), error);
        assert_true(usec == 42);
}

static void test_usec_from_string(void **state) {
        check_usec("30s", 30 * USEC_PER_SEC);
        check_usec("500ms", 500 * USEC_PER_MSEC);
        check_usec("2min", 120 * USEC_PER_SEC);
        check_usec("1h", 3600 * USEC_PER_SEC);
        check_usec("1h 30min", 5400 * USEC_PER_SEC);
        check_usec("1h30m", 5400 * USEC_PER_SEC);
        check_usec("45", 45 * USEC_PER_SEC);
        check_usec(" 1.5 ", 1500 * USEC_PER_MSEC);
        check_usec("0.25s", 250 * USEC_PER_MSEC);
        check_usec("20us", 20);
        check_usec("2 days", 2 * USEC_PER_DAY);
        check_usec("0", 0);
        check_usec("1.0000001s", USEC_PER_SEC);

        check_no_usec("", -EINVAL);
        check_no_usec(" ", -EINVAL);
        check_no_usec("s", -EINVAL);
        check_no_usec("-1s", -EINVAL);
        check_no_usec("+1s", -EINVAL);
        check_no_usec("1.s", -EINVAL);
        check_no_usec(".5s", -EINVAL);
        check_no_usec("1 2", -EINVAL);
        check_no_usec("1x", -EINVAL);
        check_no_usec("1S", -EINVAL);
        check_no_usec("1s,", -EINVAL);
        check_no_usec("0x10", -EINVAL);
        check_no_usec("18446744073709551615us", -ERANGE); /* that is infinity */
        check_no_usec("18446744073709551616us", -ERANGE);
        check_no_usec("99999999999999999d", -ERANGE);
        check_no_usec("18446744073709551614us 2us", -ERANGE);
}

static void check_usec_string(uint64_t usec, const char *expected) {
        char buffer[USEC_STRING_SIZE];

        assert_string_equal(usec_to_string(usec, buffer), expected);
}

static void test_usec_to_string(void **state) {
        check_usec_string(0, "0");
        check_usec_string(999, "999us");
        check_usec_string(11200, "11.2ms");
        check_usec_string(30 * USEC_PER_SEC, "30s");
        check_usec_string(1500 * USEC_PER_MSEC, "1.5s");
        check_usec_string(90 * USEC_PER_SEC, "1min 30s");
        check_usec_string(3600 * USEC_PER_SEC, "1h");
        check_usec_string(26 * USEC_PER_HOUR + 1, "1d 2h");
        check_usec_string(USEC_INFINITY, "infinity");
        check_usec_string(USEC_INFINITY - 1, "213503982d 8h");
}

static void test_now(void **state) {
        uint64_t a = usec_now(CLOCK_MONOTONIC), b = usec_now(CLOCK_MONOTONIC);

        assert_true(a > 0 && b >= a && b - a < 10 * USEC_PER_SEC);
}

int main(void) {
#define IN_FOLDER(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
        static const struct CMUnitTest tests[] = {
                IN_FOLDER(test_read),
                IN_FOLDER(test_read_empty),
                IN_FOLDER(test_write),
                IN_FOLDER(test_write_long_name),
                IN_FOLDER(test_copy),
                IN_FOLDER(test_folders),
                IN_FOLDER(test_digest),
                cmocka_unit_test(test_usec_from_string),
                cmocka_unit_test(test_usec_to_string),
                cmocka_unit_test(test_now),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
