/* The order in which interceptors run (tern/interceptor.h), for both sides. Pure: time is handed
 * in. */
#ifndef TERN__POLICY_INTERCEPTORS_H
#define TERN__POLICY_INTERCEPTORS_H

#include <stdint.h>

#include <tern/interceptor.h>

typedef struct tern__interception {
    const tern_interceptor *list;
    uint32_t n;
    uint32_t entered; /* those whose before() let the call pass */
    int64_t began;    /* ns */
    tern_call_info info;
    tern_status status;
    void *states[TERN_LIMIT_INTERCEPTORS];
} tern__interception;

/* `x->info` is filled by the caller before, but for state and status. TERN_OK: go on. Else the call
 * is stopped, the code also in x->status; after() is still due. */
tern_code tern__intercept_before(tern__interception *x, const tern_interceptor *list, uint32_t n,
                                 int64_t now);
/* The outcome is in x->status; it may be another one afterwards. */
void tern__intercept_after(tern__interception *x, int64_t now);

#endif
