/* Metadata: the ordered list of key/value pairs that travels beside a call (custom headers and
 * trailers). Keys are lower-case; a key that ends in "-bin" carries arbitrary bytes, any other
 * carries printable ASCII (grpc doc/PROTOCOL-HTTP2.md, "Custom-Metadata").
 *
 * A tern_metadata is not thread-safe. Getters borrow: pointers live until the list is changed or
 * freed. */
#ifndef TERN_METADATA_H
#define TERN_METADATA_H

#include <stddef.h>

#include <tern/export.h>

TERN_BEGIN_DECLS

typedef struct tern_metadata tern_metadata;

/* One pair, borrowed from its list. `value` is followed by a NUL that `value_len` does not count;
 * the value of a "-bin" key is the decoded bytes. */
typedef struct tern_metadata_entry {
    const char *key;
    const char *value;
    size_t value_len;
} tern_metadata_entry;

/* A new empty list, or NULL when out of memory. Free it with tern_metadata_free(). */
TERN_API tern_metadata *tern_metadata_new(void);
TERN_API void tern_metadata_free(tern_metadata *md);

/* Appends a copy of a pair. An ASCII value must be printable (0x20..0x7E); `value_len` of
 * tern_metadata_add_bin() is in bytes. Upper-case letters of a key are folded to lower case.
 * Returns 0, -EINVAL for a key or value that may not be sent (a bad character, an empty key, a key
 * that begins with "grpc-" or is a reserved HTTP header, a "-bin" key given to the ASCII function
 * or the reverse), or -ENOMEM; on failure the list is unchanged. */
TERN_API int tern_metadata_add(tern_metadata *md, const char *key, const char *value);
TERN_API int tern_metadata_add_bin(tern_metadata *md, const char *key, const void *value,
                                   size_t value_len);

/* Number of pairs (0 for NULL), and the pair at `index` (NULL when out of range). */
TERN_API size_t tern_metadata_count(const tern_metadata *md);
TERN_API const tern_metadata_entry *tern_metadata_at(const tern_metadata *md, size_t index);

/* The last value of `key` as a NUL-terminated string, or NULL when there is none (or md is
 * NULL). */
TERN_API const char *tern_metadata_get(const tern_metadata *md, const char *key);

/* The details of a failed call: a serialized google.rpc.Status, found in the trailing metadata
 * (grpc-status-details-bin). Borrowed from the list; NULL when the server sent none. Decode it with
 * the code that protoc-gen-tern makes of google/rpc/status.proto. */
TERN_API const void *tern_metadata_status_details(const tern_metadata *md, size_t *ret_len);

/* Removes all pairs; the memory is kept for reuse. */
TERN_API void tern_metadata_clear(tern_metadata *md);

TERN_END_DECLS

#endif
