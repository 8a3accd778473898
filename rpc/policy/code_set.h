/* Sets of status codes, as policies are configured with them (gRFC A6: retryableStatusCodes,
 * nonFatalStatusCodes), and the names that configurations call codes by. */
#ifndef TERN__POLICY_CODE_SET_H
#define TERN__POLICY_CODE_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tern/status.h>

#define TERN__CODES 17u

typedef uint32_t tern__code_set; /* bit n: code n */

/* Empty for a number that is no code. */
static inline tern__code_set tern__code_set_of(tern_code code)
{
    return (unsigned)code < TERN__CODES ? UINT32_C(1) << code : 0;
}

static inline bool tern__code_set_has(tern__code_set set, tern_code code)
{
    return (set & tern__code_set_of(code)) != 0;
}

/* "UNAVAILABLE"; "UNKNOWN" for a number that is no code. Static. */
const char *tern__code_label(tern_code code);
/* Finds a code by its name, in capitals or not (A6); false: there is none. */
bool tern__code_find(const char *name, tern_code *ret);

#endif
