/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Runs a fuzz target over files and the files of folders, without libFuzzer. Of small files every beginning is run as
 * well, for that is what a lost connection or a full disk leaves.
 */

#include <sys/stat.h>

#include "fuzz.h"
#include "util/file.h"
#include "util/log.h"

#define INPUT_MAX   ((size_t) 1 << 20)
#define PREFIXES_OF ((size_t) 2048)

static int run_bytes(const char *data, size_t size) {
        /* A copy without a byte to spare, so that the sanitizers see what reads beyond it. */
        _cleanup_free_ uint8_t *copy = malloc(size > 0 ? size : 1);

        if (!copy)
                return -ENOMEM;
        memcpy(copy, data, size);
        return LLVMFuzzerTestOneInput(copy, size);
}

static int run_file(const char *path) {
        _cleanup_free_ char *data = NULL;
        size_t size;
        int r;

        r = file_read(path, INPUT_MAX, &data, &size);
        if (r < 0) {
                fprintf(stderr, "%s: %s\n", path, strerror(-r));
                return r;
        }
        for (size_t n = size <= PREFIXES_OF ? 0 : size; n <= size; n++) {
                r = run_bytes(data, n);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int run_folder(const char *path, unsigned *n) {
        _cleanup_closedir_ DIR *d = opendir(path);
        struct dirent *de;
        int r;

        if (!d) {
                fprintf(stderr, "%s: %s\n", path, strerror(errno));
                return -errno;
        }
        while ((de = readdir(d))) {
                _cleanup_free_ char *file = NULL;

                if (de->d_name[0] == '.')
                        continue;
                if (asprintf(&file, "%s/%s", path, de->d_name) < 0)
                        return -ENOMEM;
                r = run_file(file);
                if (r < 0)
                        return r;
                (*n)++;
        }
        return 0;
}

int main(int argc, char **argv) {
        unsigned n = 0;
        struct stat st;

        log_close();
        for (int i = 1; i < argc; i++) {
                bool folder = stat(argv[i], &st) >= 0 && S_ISDIR(st.st_mode);

                if (folder ? run_folder(argv[i], &n) < 0 : run_file(argv[i]) < 0)
                        return EXIT_FAILURE;
                n += !folder;
        }
        printf("%u inputs\n", n);
        return n > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
