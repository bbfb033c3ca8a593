/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/*
 * What authors may say of their maps, members and variables, for those who read and write them from user space
 * (dbus/map-spec.md has all of it). Nothing of this is needed, for BTF describes the types; and nothing of it costs
 * anything at run time, for it is kept in the BTF of the object (declaration tags). Compilers that have none (clang
 * before 14, gcc before 16) take it and leave it out, so that headers shared with user space may use it.
 *
 *      struct key {
 *              __u8 source[4] BPFCHAIN_FORMAT("ipv4");
 *              __u16 port BPFCHAIN_FORMAT("port");
 *      };
 *
 *      const volatile __u64 rate BPFCHAIN_UNIT("packets/s") BPFCHAIN_DESCRIPTION("Packets let through.") = 1000;
 *
 *      struct { ... } denied SEC(".maps") BPFCHAIN_ROLE("config");
 *
 *      struct { ... __uint(type, BPF_MAP_TYPE_RINGBUF); } drops SEC(".maps") BPFCHAIN_ROLE("events");
 *      BPFCHAIN_EVENT(drops, struct drop);
 */

#if defined(__has_attribute)
#if __has_attribute(btf_decl_tag)
#define BPFCHAIN_TAG(text) __attribute__((btf_decl_tag("bpfchain:" text)))
#endif
#endif
#ifndef BPFCHAIN_TAG
#define BPFCHAIN_TAG(text)
#endif

/* Of a map, a variable or a member: "config" (user space writes it), "stats" (the program writes it), "events" (a
 * stream of records), "state" (the program's own). */
#define BPFCHAIN_ROLE(role) BPFCHAIN_TAG("role=" role)

/* How the bytes are written: "ipv4", "ipv6", "mac", "port", "be16", "be32", "be64" (all of these in network order),
 * "ns", "bytes", "flags", "text", "hex", "protocol", "enum:NAME", "flags:NAME". On a map: those of its values. */
#define BPFCHAIN_FORMAT(format) BPFCHAIN_TAG("format=" format)

/* The same on a map, of its keys. */
#define BPFCHAIN_KEY_FORMAT(format) BPFCHAIN_TAG("key-format=" format)

/* Of a number: "packets", "bytes", "ns", "packets/s", ... */
#define BPFCHAIN_UNIT(unit) BPFCHAIN_TAG("unit=" unit)

/* One sentence. */
#define BPFCHAIN_DESCRIPTION(text) BPFCHAIN_TAG("description=" text)

/* What is there as long as nobody writes, as JSON. */
#define BPFCHAIN_DEFAULT(value) BPFCHAIN_TAG("default=" value)

/* Not shown; can still be written by name. */
#define BPFCHAIN_HIDDEN BPFCHAIN_TAG("hidden")

/* The type of the records in a ring buffer or perf array. A statement of its own, behind the map. Loaders pass over
 * the section that it goes to. */
#define BPFCHAIN_EVENT(map, type)                                                                                    \
        static type *const bpfchain_event_##map __attribute__((used, section(".bpfchain"))) = (void *) 0

/* Keeps an enumeration in the BTF that nothing but a format names: BPFCHAIN_KEEP(color) for "enum:color". The keys of
 * arrays need it, which must be integers. */
#define BPFCHAIN_KEEP(name)                                                                                          \
        static enum name *const bpfchain_keep_##name __attribute__((used, section(".bpfchain"))) = (void *) 0
