// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The guard: keeps others from the hooks that chains are on, and from what belongs to them. Each program is there
 * twice, as BPF LSM program and, for kernels on which those are not called, as one that decides for the function
 * security_*() that would call them; the service loads one set (service/kernel/guard-programs.c).
 *
 * Arguments that the hooks got in later kernels are not looked at, nor what programs of others answered: who refuses
 * ends the call.
 */
#include "guard-calls.bpf.h"
#include "guard-netlink.bpf.h"
#include "guard-pins.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* arguments: as declared, values: as handed on. */
#define GUARD_PAIR(name, arguments, call)                                                                            \
        SEC("lsm/" #name) int BPF_PROG(lsm_##name, GUARD_UNPACK arguments) {                                         \
                const bool ask = true;                                                                               \
                return call;                                                                                         \
        }                                                                                                            \
        SEC("fmod_ret/security_" #name) int BPF_PROG(mod_##name, GUARD_UNPACK arguments) {                           \
                const bool ask = false;                                                                              \
                return call;                                                                                         \
        }
#define GUARD_UNPACK(...) __VA_ARGS__

GUARD_PAIR(bpf, (int command, union bpf_attr *attr, unsigned size), guard_bpf(command, attr, ask))
GUARD_PAIR(bpf_map, (struct bpf_map * map, unsigned mode), guard_map(map, mode, ask))
GUARD_PAIR(bpf_prog, (struct bpf_prog * program), guard_prog(program, ask))
GUARD_PAIR(netlink_send, (struct sock * sock, struct sk_buff *skb), guard_netlink(sock, skb, ask))
GUARD_PAIR(inode_unlink, (struct inode * folder, struct dentry *entry), guard_unpin(entry, ask))
GUARD_PAIR(inode_rmdir, (struct inode * folder, struct dentry *entry), guard_unpin(entry, ask))
GUARD_PAIR(inode_rename,
           (struct inode * folder, struct dentry *entry, struct inode *new_folder, struct dentry *new_entry),
           guard_unpin(entry, ask) ?: guard_unpin(new_entry, ask))
GUARD_PAIR(sb_umount, (struct vfsmount * mount, int flags), guard_unmount(mount, ask))
GUARD_PAIR(task_kill, (struct task_struct * task, void *info, int signal), guard_signal(task, signal, ask))
/* The lock that is held here is of the kind that asking for a path takes. */
GUARD_PAIR(ptrace_access_check, (struct task_struct * task, unsigned mode), guard_trace(task, mode, ask && false))

/* What the service makes is ours until it goes. With other names and arguments before 6.9. */

#define GUARD_NOTE(section, name, argument, call)                                                                    \
        SEC(section) int BPF_PROG(name, argument) {                                                                  \
                return call;                                                                                         \
        }
#define GUARD_NOTES(hook, old_hook, name, argument, call, old_argument, old_call)                                    \
        GUARD_NOTE("lsm/" hook, lsm_##name, argument, call)                                                          \
        GUARD_NOTE("lsm/" old_hook "_security", lsm_##name##_old, old_argument, old_call)

GUARD_NOTES("bpf_map_create", "bpf_map_alloc", bpf_map_create, struct bpf_map *map, guard_made(map),
            struct bpf_map *map, guard_made(map))
GUARD_NOTES("bpf_map_free", "bpf_map_free", bpf_map_free, struct bpf_map *map, guard_goes(map), struct bpf_map *map,
            guard_goes(map))
GUARD_NOTES("bpf_prog_load", "bpf_prog_alloc", bpf_prog_load, struct bpf_prog *program,
            guard_made(BPF_CORE_READ(program, aux)), struct bpf_prog_aux *aux, guard_made(aux))
GUARD_NOTES("bpf_prog_free", "bpf_prog_free", bpf_prog_free, struct bpf_prog *program,
            guard_goes(BPF_CORE_READ(program, aux)), struct bpf_prog_aux *aux, guard_goes(aux))

GUARD_NOTE("fmod_ret/security_bpf_map_create", mod_bpf_map_create, struct bpf_map *map, guard_made(map))
GUARD_NOTE("fmod_ret/security_bpf_map_alloc", mod_bpf_map_create_old, struct bpf_map *map, guard_made(map))
GUARD_NOTE("fentry/security_bpf_map_free", mod_bpf_map_free, struct bpf_map *map, guard_goes(map))
GUARD_NOTE("fentry/security_bpf_map_free", mod_bpf_map_free_old, struct bpf_map *map, guard_goes(map))
GUARD_NOTE("fmod_ret/security_bpf_prog_load", mod_bpf_prog_load, struct bpf_prog *program,
           guard_made(BPF_CORE_READ(program, aux)))
GUARD_NOTE("fmod_ret/security_bpf_prog_alloc", mod_bpf_prog_load_old, struct bpf_prog_aux *aux, guard_made(aux))
GUARD_NOTE("fentry/security_bpf_prog_free", mod_bpf_prog_free, struct bpf_prog *program,
           guard_goes(BPF_CORE_READ(program, aux)))
GUARD_NOTE("fentry/security_bpf_prog_free", mod_bpf_prog_free_old, struct bpf_prog_aux *aux, guard_goes(aux))
