/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>

#include "util/digest.h"

#define SHA256_SIZE 32
#define CHUNK       ((size_t) 64 * 1024)

int digest_init(Digest *digest) {
        EVP_MD_CTX *context = EVP_MD_CTX_new();

        if (!context)
                return -ENOMEM;
        if (EVP_DigestInit_ex(context, EVP_sha256(), NULL) != 1) {
                EVP_MD_CTX_free(context);
                return -EIO;
        }
        digest->context = context;
        return 0;
}

int digest_update(Digest *digest, const void *data, size_t size) {
        return size == 0 || EVP_DigestUpdate(digest->context, data, size) == 1 ? 0 : -EIO;
}

int digest_update_string(Digest *digest, const char *s) {
        return digest_update(digest, s, strlen(s) + 1);
}

int digest_final(Digest *digest, char ret[DIGEST_HEX_SIZE]) {
        static const char digits[] = "0123456789abcdef";
        unsigned char bytes[EVP_MAX_MD_SIZE];
        unsigned n = 0;

        if (EVP_DigestFinal_ex(digest->context, bytes, &n) != 1 || n != SHA256_SIZE)
                return -EIO;
        digest_done(digest);
        for (unsigned i = 0; i < n; i++) {
                ret[2 * i] = digits[bytes[i] >> 4];
                ret[2 * i + 1] = digits[bytes[i] & 15];
        }
        ret[2 * n] = '\0';
        return 0;
}

void digest_done(Digest *digest) {
        EVP_MD_CTX_free(digest->context);
        digest->context = NULL;
}

int digest_memory(const void *data, size_t size, char ret[DIGEST_HEX_SIZE]) {
        _cleanup_(digest_done) Digest digest = {};
        int r;

        r = digest_init(&digest);
        if (r < 0)
                return r;
        r = digest_update(&digest, data, size);
        return r < 0 ? r : digest_final(&digest, ret);
}

int digest_file(const char *path, char ret[DIGEST_HEX_SIZE]) {
        _cleanup_(digest_done) Digest digest = {};
        _cleanup_free_ char *buffer = NULL;
        _cleanup_close_ int fd = -EBADF;
        struct stat st;
        ssize_t n;
        int r;

        if (stat(path, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return -EINVAL;
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (fd < 0)
                return -errno;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return -EINVAL;

        buffer = malloc(CHUNK);
        if (!buffer)
                return -ENOMEM;
        r = digest_init(&digest);
        if (r < 0)
                return r;
        while ((n = read(fd, buffer, CHUNK)) != 0) {
                if (n < 0) {
                        if (errno == EINTR)
                                continue;
                        return -errno;
                }
                r = digest_update(&digest, buffer, (size_t) n);
                if (r < 0)
                        return r;
        }
        return digest_final(&digest, ret);
}
