/* The outcome of a call: a canonical gRPC code, a message for a person, and optional details. */
#ifndef TERN_STATUS_H
#define TERN_STATUS_H

#include <stddef.h>

#include <tern/export.h>

TERN_BEGIN_DECLS

/* The canonical codes, with the numbers of the wire (grpc doc/statuscodes.md). */
typedef enum tern_code {
    TERN_OK = 0,
    TERN_CANCELLED = 1,
    TERN_UNKNOWN = 2,
    TERN_INVALID_ARGUMENT = 3,
    TERN_DEADLINE_EXCEEDED = 4,
    TERN_NOT_FOUND = 5,
    TERN_ALREADY_EXISTS = 6,
    TERN_PERMISSION_DENIED = 7,
    TERN_RESOURCE_EXHAUSTED = 8,
    TERN_FAILED_PRECONDITION = 9,
    TERN_ABORTED = 10,
    TERN_OUT_OF_RANGE = 11,
    TERN_UNIMPLEMENTED = 12,
    TERN_INTERNAL = 13,
    TERN_UNAVAILABLE = 14,
    TERN_DATA_LOSS = 15,
    TERN_UNAUTHENTICATED = 16
} tern_code;

/* Bytes of a status message that are kept, the final NUL included. A longer message is cut at a
 * character boundary: a status is plain memory with nothing to free. */
#define TERN_STATUS_MESSAGE_MAX 1024

/* The outcome of one call. Plain memory: copy it by assignment, drop it without a call.
 * Filled by the library only on failure; leave it uninitialised before the call. */
typedef struct tern_status {
    tern_code code;
    char message[TERN_STATUS_MESSAGE_MAX]; /* UTF-8, NUL-terminated, "" when the peer sent none */
} tern_status;

/* The name of a code as the specification spells it ("DEADLINE_EXCEEDED"); "UNKNOWN" for a number
 * outside 0..16. Static, never NULL. Any thread. */
TERN_API const char *tern_code_name(tern_code code);

/* Finds a code by its name ("NOT_FOUND", case-sensitive). Returns 0 and sets *ret, or -1. */
TERN_API int tern_code_from_name(const char *name, tern_code *ret);

/* Writes code and a printf-style message into *st (NULL: nothing is written) and returns code, so
 * that a function can end with `return tern_status_set(reterr, TERN_NOT_FOUND, "no %s", id);`. */
TERN_API tern_code tern_status_set(tern_status *st, tern_code code, const char *fmt, ...)
    TERN_PRINTF(3, 4);

TERN_END_DECLS

#endif
