/* Inside of tern_metadata: validation of keys and values, and the coding of "-bin" pairs. Entries
 * live in an arena when one is given (a server call's metadata), else in malloc. */
#ifndef TERN__WIRE_METADATA_H
#define TERN__WIRE_METADATA_H

#include <stdbool.h>
#include <stddef.h>

#include <tern/metadata.h>

#include "base/arena.h"

struct tern_metadata {
    tern_metadata_entry *entries;
    size_t n, cap;
    tern__arena *arena; /* NULL: malloc */
};

void tern__metadata_init(tern_metadata *md, tern__arena *arena);
void tern__metadata_deinit(tern_metadata *md);

/* Whether `key` (any length but 0) may be used for metadata at all: lower-case letters, digits,
 * "_-.", not "grpc-…", not a pseudo-header, not one of te, content-type, user-agent, host,
 * connection and the other connection-specific fields. */
bool tern__metadata_key_ok(const char *key, size_t len);
bool tern__metadata_key_is_bin(const char *key, size_t len);
/* 0x20..0x7E only. */
bool tern__metadata_value_ok(const char *value, size_t len);

/* Adds a pair as it came over the wire: "-bin" values are split at commas and decoded (padded or
 * not); an unusual ASCII value is kept as it is. Names of the runtime (key_ok is false) are
 * ignored. 0, -EINVAL for bad base64 (the call must fail, not the connection), -ENOMEM (also for
 * more pairs than TERN_LIMIT_HEADER_FIELDS, and for a comma list that would be longer than
 * TERN_LIMIT_HEADER_LIST_BYTES as fields of their own). On failure the list is unchanged. */
int tern__metadata_add_received(tern_metadata *md, const char *key, size_t key_len,
                                const char *value, size_t value_len);

/* grpc-status-details-bin, a name of the runtime that programs see all the same: as it came (bad
 * base64 is ignored: the status counts without it), and to be sent. 0 or -ENOMEM. */
#define TERN__STATUS_DETAILS "grpc-status-details-bin"
int tern__metadata_add_received_details(tern_metadata *md, const char *value, size_t value_len);
int tern__metadata_add_details(tern_metadata *md, const void *details, size_t len);

/* grpc-retry-pushback-ms (gRFC A6), to be sent: a number, or -1 for what is negative. 0 or -ENOMEM.
 */
int tern__metadata_add_pushback(tern_metadata *md, int64_t ms);

/* Appends a copy of every pair of `src`. 0 or -ENOMEM (then some may have been added). */
int tern__metadata_append_all(tern_metadata *md, const tern_metadata *src);

/* The value as it goes over the wire: *ret borrows from the entry, without blanks at its ends, or
 * from `arena` for "-bin" (base64, NUL-terminated). 0 or -ENOMEM. */
int tern__metadata_wire_value(const tern_metadata_entry *e, tern__arena *arena, const char **ret,
                              size_t *ret_len);

/* Size by the rule of SETTINGS_MAX_HEADER_LIST_SIZE: name + value as on the wire + 32 for each
 * pair. Beyond every limit (and yet to be added to) when a name or value by itself is longer than
 * TERN_LIMIT_METADATA_VALUE_BYTES. */
size_t tern__metadata_wire_size(const tern_metadata *md);

#endif
