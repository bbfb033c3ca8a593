/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A source of the guard: who loaded a program, from the kernel's audit records, on a host that audits already. They
 * name the process with its login uid and executable however soon it is gone, but come a moment behind the others, so
 * that they complete what those told. Nothing is ever switched on or asked for: auditing costs every system call of
 * the host something.
 *
 * Takes CAP_AUDIT_READ. The records are of the initial network namespace only. A filter in the kernel keeps away all
 * but records of bpf(2), so that nothing else wakes us, however much the host audits.
 */

#include <systemd/sd-event.h>

#include "model/culprit.h"

typedef struct AuditRecords AuditRecords;

typedef enum AuditRecordKind {
        AUDIT_RECORD_PROGRAM_LOADED, /* program_id */
        AUDIT_RECORD_SYSTEM_CALL,    /* who */
        AUDIT_RECORD_LISTENER,       /* somebody began to listen to records: the host audits */
} AuditRecordKind;

typedef struct AuditRecord {
        AuditRecordKind kind;
        uint64_t serial; /* of the event; its records have it in common */
        uint32_t program_id;
        Culprit who;
} AuditRecord;

/* who loaded the program; NULL: the host audits, said once. */
typedef void (*AuditRecordsHandler)(uint32_t program_id, const Culprit *who, void *userdata);

/* On failure *ret_reason, a sentence part, says why not (static); nothing is open then. */
int audit_records_new(sd_event *event, AuditRecordsHandler handler, void *userdata, const char **ret_reason,
                      AuditRecords **ret);
AuditRecords *audit_records_free(AuditRecords *records); /* NULL is fine; returns NULL */
DEFINE_CLEANUP(AuditRecords *, audit_records_free)

/* What is to be said of the source until the handler was told that the host audits. */
#define AUDIT_RECORDS_SILENT "this host does not audit, which is its choice: no record has come"

/* The pure parser of a record's text, `size` bytes without a NUL: 1 with ret filled, 0 for what is of no use,
 * -EBADMSG for what the kernel would not write. */
int audit_record_parse(unsigned type, const char *text, size_t size, AuditRecord *ret);

/* The filter, for any socket that receives one record in a datagram. */
int audit_records_attach_filter(int fd);
