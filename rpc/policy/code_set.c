/* See code_set.h. The names are those of wire/status.c, which is of a sibling layer; a test
 * compares the two tables. */
#include "policy/code_set.h"

#include <strings.h>

static const char *const labels[TERN__CODES] = {
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
};

const char *tern__code_label(tern_code code)
{
    return (unsigned)code < TERN__CODES ? labels[code] : labels[TERN_UNKNOWN];
}

bool tern__code_find(const char *name, tern_code *ret)
{
    for (unsigned i = 0; i < TERN__CODES; i++) {
        if (strcasecmp(name, labels[i]) == 0) {
            *ret = (tern_code)i;
            return true;
        }
    }
    return false;
}
