/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * SHA-256 as 64 lower-case hexadecimal digits, through libcrypto.
 */

#include "util/macros.h"

#define DIGEST_HEX_SIZE 65 /* with the NUL */

typedef struct Digest {
        void *context; /* EVP_MD_CTX */
} Digest;

/* Piece by piece: init, update as often as wanted, final. digest_done() frees what is left at any time. An error
 * of libcrypto is -EIO. */
int digest_init(Digest *digest);
int digest_update(Digest *digest, const void *data, size_t size);
int digest_final(Digest *digest, char ret[DIGEST_HEX_SIZE]);
void digest_done(Digest *digest);

/* A string with its NUL, so that two strings in a row can't be taken for two others. */
int digest_update_string(Digest *digest, const char *s);

int digest_memory(const void *data, size_t size, char ret[DIGEST_HEX_SIZE]);

/* The contents of a regular file, of whatever size. -EINVAL: not a regular file. */
int digest_file(const char *path, char ret[DIGEST_HEX_SIZE]);
