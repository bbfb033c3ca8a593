/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * How each member gets into the chain: inlined where that is right and cheap to verify, else called as a global
 * function, which is verified once and by itself, else called as a static one.
 */

#include "kernel/fuse.h"

/* A member that takes more of the verifier's work than this by itself is called: inlined, its paths may multiply with
 * those of the members before it. */
#define FUSE_INLINE_COST_MAX 5000 /* processed instructions */

/* Frames of inlined members lie in the root's frame, above which (in the 512 bytes of a path of calls) those of
 * called members and subprograms come. */
#define FUSE_INLINE_STACK_MAX 448 /* bytes */

/* Jumps reach 32767 instructions; exits of an inlined member jump to its end. */
#define FUSE_INLINE_INSNS_MAX 16000

/* The form to try first, and why it is not inlined: a phrase for the user, static; NULL where it is. */
SlotForm fuse_form_choose(const FuseMember *member, const char **ret_reason);

/* The kernel refused the chain at an instruction of this member (NULL: it does not tell where). Takes the next form:
 * inlined -> global -> static. `everything`: the chain as a whole was too much (too complex, too deep), so all that
 * is inlined is called from now on. False: there is nothing left to try. */
bool fuse_form_retreat(FuseMember *members, size_t n_members, FuseMember *culprit, bool everything);
