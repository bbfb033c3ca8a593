/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Makes a Member of a program that libbpf is about to load.
 */

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "kernel/member.h"

/* To be called out of prog_prepare_load_fn, where all but the maps is final and descriptors of modules are open. */
int capture_member(const struct bpf_program *program, const struct bpf_prog_load_opts *opts, Member **ret);

/* To be called once the object is loaded, when libbpf tells the descriptors of its maps: puts indexes (the position
 * in object_next_map()) in their place. */
int capture_maps(const struct bpf_object *object, Member *member);
