/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <bpf/bpf.h>
#include <fcntl.h>

#include "kernel/fuse-form.h"
#include "kernel/fuse-load.h"
#include "kernel/uapi.h"
#include "util/clock.h"

static int load_btf(const FuseOutput *output) {
        const void *data;
        uint32_t size;
        int fd;

        if (output->types_fd > 0) {
                fd = fcntl(output->types_fd, F_DUPFD_CLOEXEC, 3);
                return fd < 0 ? -errno : fd;
        }
        if (!output->btf)
                return -EBADF;
        data = btf__raw_data(output->btf, &size);
        if (!data)
                return -ENOMEM;
        fd = bpf_btf_load(data, size, NULL);
        return fd < 0 ? -errno : fd;
}

/* One BPF_PROG_LOAD. TC programs have no attach type: such go on tcx and on clsact, and prog_arrays take only
 * programs of the same attach type as the first one in them. */
static int load_program(const FuseInput *input, const FuseOutput *output, int btf_fd, const char *name,
                        unsigned log_level, char *log, size_t log_size) {
        LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = hook_is_tc(input->hook) ? 0 : BPF_XDP,
                    .prog_flags = (input->frags ? BPF_F_XDP_HAS_FRAGS : 0) |
                                  (input->ifindex > 0 ? UAPI_XDP_DEV_BOUND_ONLY : 0),
                    .prog_ifindex = (uint32_t) input->ifindex, .prog_btf_fd = (uint32_t) MAX2(btf_fd, 0),
                    .func_info = output->func_info, .func_info_cnt = (uint32_t) output->n_func_info,
                    .func_info_rec_size = sizeof(struct bpf_func_info), .line_info = output->line_info,
                    .line_info_cnt = (uint32_t) output->n_line_info,
                    .line_info_rec_size = sizeof(struct bpf_line_info), .fd_array = output->fd_array,
                    .log_level = log_level, .log_buf = log, .log_size = (uint32_t) log_size);
        int fd;

        log[0] = '\0';
        fd = bpf_prog_load(hook_is_tc(input->hook) ? BPF_PROG_TYPE_SCHED_CLS : BPF_PROG_TYPE_XDP, name, "GPL",
                           output->insns, output->n_insns, &opts);
        return fd < 0 ? -errno : fd;
}

/* The member that the verifier was in when it stopped, or -ENOENT. */
static ssize_t find_culprit(const FuseInput *input, const FuseOutput *output, const char *log) {
        int64_t insn = verifier_log_instruction(log);

        for (size_t i = 0; insn >= 0 && i < input->n_members; i++)
                if (fuse_span_has(&output->spans[i], (size_t) insn))
                        return (ssize_t) i;
        return -ENOENT;
}

/* The member whose program the verifier finds most work in, by what it said of each alone. */
static const FuseMember *find_largest(const FuseInput *input, uint32_t *ret_sum) {
        const FuseMember *largest = &input->members[0];

        *ret_sum = 0;
        for (size_t i = 0; i < input->n_members; i++) {
                const FuseMember *m = &input->members[i];

                *ret_sum += m->verified_insns;
                if (m->verified_insns > largest->verified_insns)
                        largest = m;
        }
        return largest;
}

static int refuse_deep(const FuseInput *input, ssize_t culprit, const char *summary, Error *error) {
        const FuseMember *deepest = &input->members[0];

        for (size_t i = 0; i < input->n_members; i++)
                if (input->members[i].stack_depth > deepest->stack_depth)
                        deepest = &input->members[i];
        if (culprit >= 0)
                deepest = &input->members[culprit];
        return error_set(
                error, ERROR_LIMIT_EXCEEDED,
                "Program %s goes too deep to be called from a chain: its deepest function takes %u of the 512 "
                "bytes of stack, or its calls nest as far as the kernel allows (%s).",
                deepest->name, deepest->stack_depth, summary);
}

static const char *find_bound(const FuseInput *input) {
        for (size_t i = 0; i < input->n_members; i++)
                if (input->members[i].member->bound)
                        return input->members[i].name;
        return "of the chain";
}

/* Says what is wrong with a chain whose members do well by themselves. */
static int refuse(const FuseInput *input, const FuseOutput *output, const char *log, int r, Error *error) {
        _cleanup_free_ char *summary = verifier_log_summary(log);
        ssize_t culprit = find_culprit(input, output, log);

        if (verifier_log_too_complex(log)) {
                uint32_t sum;
                const FuseMember *largest = find_largest(input, &sum);

                r = error_set(
                        error, ERROR_LIMIT_EXCEEDED,
                        "This chain is too complex: the verifier gave up after %u instructions. Its programs took %u "
                        "by themselves, %s most of them: %u. Take programs out of the chain.",
                        FUSE_INSNS_MAX, sum, largest->name, largest->verified_insns);
        } else if (verifier_log_too_deep(log) || verifier_log_too_nested(log)) {
                r = refuse_deep(input, culprit, strna(summary), error);
        } else if (verifier_log_has_reason(log)) {
                r = error_set(error, ERROR_VERIFIER_REJECTED,
                              "The verifier refuses this chain%s%s, although its programs do well by themselves: %s.",
                              culprit >= 0 ? " because of program " : "",
                              culprit >= 0 ? input->members[culprit].name : "", strna(summary));
        } else if (r == -EINVAL) {
                /* the kernel does not say why; of what can be, only prog_arrays depend on the chain */
                r = error_set(error, ERROR_INCOMPATIBLE,
                              "The kernel refuses this chain without saying why, although its programs do well by "
                              "themselves. "
                              "If one of them makes tail calls, its prog_array may hold programs of another kind.");
        } else if (r == -EOPNOTSUPP && input->ifindex > 0) {
                r = error_set(error, ERROR_NOT_SUPPORTED,
                              "Program %s asks the driver about packets (bpf_xdp_metadata_*()), and the driver of "
                              "this interface does not know of XDP. Take the program out of the chain.",
                              find_bound(input));
        } else if (r == -EPERM) {
                r = error_set(
                        error, ERROR_NOT_SUPPORTED,
                        "The kernel does not let this service load the chain (%s). It may lack capabilities, or a "
                        "security module may forbid it.",
                        strerror(-r));
        } else if (r != -ENOMEM) {
                r = error_set(error, ERROR_FAILED, "The kernel refuses to load this chain: %s.", strerror(-r));
        }

        if (verifier_log_has_reason(log) && !error->log)
                error->log = verifier_log_copy(log);
        return r;
}

/* Loads what was built, and once more for a log that tells where, if it is refused; after a million instructions that
 * would take seconds. *ret_log (the caller frees it) is there in any case. */
static int load_output(const FuseInput *input, const FuseOutput *output, const char *name, FuseLoad *load,
                       char **ret_log, Error *error) {
        _cleanup_close_ int btf_fd = -EBADF, fd = -EBADF;
        uint64_t started = usec_now(CLOCK_MONOTONIC);
        VerifierStats stats = {};
        int r;

        *ret_log = malloc(VERIFIER_LOG_STATS_ROOM);
        if (!*ret_log)
                return -ENOMEM;
        (*ret_log)[0] = '\0';
        btf_fd = load_btf(output);
        if (btf_fd < 0 && output->btf)
                return error_set(error, ERROR_FAILED, "The kernel refuses the types of this chain: %s.",
                                 strerror(-btf_fd));
        fd = load_program(input, output, btf_fd, name, VERIFIER_LOG_STATS, *ret_log, VERIFIER_LOG_STATS_ROOM);
        if (fd < 0 && !verifier_log_too_complex(*ret_log)) {
                free(*ret_log);
                *ret_log = malloc(VERIFIER_LOG_ROOM);
                if (!*ret_log)
                        return -ENOMEM;
                fd = load_program(input, output, btf_fd, name, VERIFIER_LOG_STATS | VERIFIER_LOG_FULL, *ret_log,
                                  VERIFIER_LOG_ROOM);
        }
        load->load_usec += usec_now(CLOCK_MONOTONIC) - started;
        if (fd < 0)
                return fd;

        verifier_log_stats(*ret_log, &stats);
        load->verified_insns += stats.insns;
        load->n_insns += output->n_insns;
        r = load->program_fd = TAKE_FD(fd);
        return MIN2(r, 0);
}

int fuse_load(const FuseInput *input, FuseMember *members, const char *name, FuseLoad *load, FuseRetry *ret_retry,
              Error *error) {
        _cleanup_(fuse_output_done) FuseOutput output = {};
        _cleanup_free_ char *log = NULL;
        uint64_t started = usec_now(CLOCK_MONOTONIC);
        FuseComplaint complaint = FUSE_COMPLAINT_MEMBER;
        ssize_t culprit;
        int r;

        *ret_retry = FUSE_RETRY_NONE;
        r = fuse_build(input, &output);
        if (r < 0)
                return r;
        load->build_usec += usec_now(CLOCK_MONOTONIC) - started;
        r = load_output(input, &output, name, load, &log, error);
        if (r >= 0 || error_is_set(error) || !log)
                return r;

        if (verifier_log_too_complex(log))
                complaint = FUSE_COMPLAINT_COMPLEX;
        else if (verifier_log_too_deep(log))
                complaint = FUSE_COMPLAINT_DEEP;
        else if (verifier_log_too_nested(log))
                complaint = FUSE_COMPLAINT_NESTED;
        culprit = find_culprit(input, &output, log);
        if (fuse_form_retreat(members, input->n_members, culprit >= 0 ? &members[culprit] : NULL, complaint,
                              input->ifindex == 0)) {
                *ret_retry = FUSE_RETRY_FORMS;
                return r;
        }
        if (complaint == FUSE_COMPLAINT_COMPLEX && input->n_members > 1 && input->ifindex == 0) {
                *ret_retry = FUSE_RETRY_SPLIT;
                return r;
        }
        return refuse(input, &output, log, r, error);
}

int fuse_load_alone(const FuseInput *input, const FuseMember *member, FuseLoad *load, Error *error) {
        _cleanup_(fuse_output_done) FuseOutput output = {};
        _cleanup_free_ char *log = NULL;
        FuseInput alone = *input;
        int r;

        alone.members = member;
        alone.n_members = 1;
        r = fuse_build_alone(member, &output);
        if (r < 0)
                return r;
        r = load_output(&alone, &output, member->name, load, &log, error);
        if (r >= 0 || error_is_set(error) || !log)
                return r;
        return refuse(&alone, &output, log, r, error);
}
