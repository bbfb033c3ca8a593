/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Bytes of a kernel object (a map's key or value, a global variable) from JSON, by the type that BTF gives it.
 *
 *   integer          number, or string "42", "-1", "0x2a"; unsigned ones of 4 bytes also "203.0.113.7", which is laid
 *                    down in network order as programs expect it of an address
 *   128-bit integer  the same; numbers beyond 64 bits only as strings
 *   _Bool            true, false, 0, 1
 *   char, u8, s8     number, or string of one character that is no digit
 *   enum, enum64     name or number (a number need not have a name)
 *   float, double    number
 *   char[N]          text of at most N bytes, zero padded; or as the arrays below
 *   u8[N]            array of numbers; text: IPv4 address (N = 4), IPv6 address (N = 16), MAC address (N = 6), else
 *                    2 * N hexadecimal digits, blanks and colons between bytes allowed
 *   16 bytes of larger integers, struct in_addr, struct in6_addr: also text, an address
 *   T[N], T[N][M]    array of at most N elements; what is missing is zero
 *   struct           object; members that are missing are zero; members of anonymous structs and unions are named
 *                    as if they were of the struct itself, as in C
 *   union            object with one member
 *   without BTF      exactly 2 * size hexadecimal digits, blanks and colons between bytes allowed
 *
 * Pointers, functions and the like are refused. Bytes are laid down as this machine's programs see them.
 */

#include <bpf/btf.h>
#include <json-c/json.h>

#include "util/error.h"

/* Writes `value` into the `size` bytes of `buffer` (which is zeroed first). `btf` may be NULL and `type_id` 0:
 * without BTF. `where` is the path of the value (util/json.h), NULL: the document. `size` is what the kernel says
 * and must be the size of the type.
 *
 * ERROR_INVALID_DOCUMENT with the path of what does not fit and a sentence that names the type; ERROR_INCOMPATIBLE
 * when type and size disagree or the type can't be written at all. The buffer's contents are undefined then. */
int btf_value_encode(const struct btf *btf, uint32_t type_id, json_object *value, const char *where, void *buffer,
                     size_t size, Error *error);

/* The same for the key of a map of type enum bpf_map_type. The key of an LPM trie (struct bpf_lpm_trie_key: a prefix
 * length of 4 bytes and data behind it, whatever its members are called) may also be given as "203.0.113.0/24" or
 * "2001:db8::/32" where its data has 4 or 16 bytes (an address alone is a prefix of full length), and its prefix
 * length is checked against the data's size. Bits beyond the prefix are left as given; the kernel ignores them. */
int btf_value_encode_map_key(const struct btf *btf, uint32_t type_id, uint32_t bpf_map_type, json_object *value,
                             const char *where, void *buffer, size_t size, Error *error);
