/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * How each member gets into the chain: inlined where that is right and cheap to verify, else called as a global
 * function, which is verified once and by itself, else called as a static one, else as a program of its own in a
 * slot.
 */

#include "kernel/fuse.h"

/* A member that takes more of the verifier's work than this by itself is called: inlined, its paths may multiply with
 * those of the members before it. */
#define FUSE_INLINE_COST_MAX 5000 /* processed instructions */

/* Frames of inlined members lie in the root's frame, above which (in the 512 bytes of a path of calls) those of
 * called members and subprograms come. */
#define FUSE_INLINE_STACK_MAX 448 /* bytes */

/* The same where a function that the root calls makes a tail call, be it a member's or our own that reaches a slot:
 * the kernel allows that below frames of less than 256 bytes only (check_max_stack_depth_subprog()). */
#define FUSE_INLINE_STACK_TAIL_CALL_MAX 192

/* Jumps reach 32767 instructions; exits of an inlined member jump to its end. */
#define FUSE_INLINE_INSNS_MAX 16000

/* The form to try first, and why it is not inlined: a phrase for the user, static; NULL where it is. */
SlotForm fuse_form_choose(const FuseMember *member, const char **ret_reason);

/* Changes what the members of a segment exclude each other from: a second arena, much stack beside tail calls. To be
 * called when a form was chosen or has changed.
 *
 * A member that makes tail calls, or packet loads of classic BPF, is never static. Of such a function the verifier of
 * most kernels follows only the ways on which tail calls fail and loads don't, so that it may be sure of a verdict
 * that is another one at run time, and leave out what the chain does then. Of a global function it takes any verdict
 * for possible. */
void fuse_form_settle(FuseMember *members, size_t n_members);

/* What the kernel complained of. */
typedef enum FuseComplaint {
        FUSE_COMPLAINT_MEMBER,  /* of an instruction of a member */
        FUSE_COMPLAINT_COMPLEX, /* too much to verify */
        FUSE_COMPLAINT_DEEP,    /* too much stack */
        FUSE_COMPLAINT_NESTED,  /* too many calls in each other */
} FuseComplaint;

/* The kernel refused a segment at an instruction of this member (NULL: it does not tell where). Takes the next form:
 * inlined -> global -> static -> slot, that one only where `slots` are possible. False: there is nothing left to try.
 */
bool fuse_form_retreat(FuseMember *members, size_t n_members, FuseMember *culprit, FuseComplaint complaint,
                       bool slots);
