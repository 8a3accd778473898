/* See interceptors.h. */
#include "policy/interceptors.h"

#include <string.h>

#include "base/time.h"

tern_code tern__intercept_before(tern__interception *x, const tern_interceptor *list, uint32_t n,
                                 int64_t now)
{
    x->list = list;
    x->n = n;
    x->began = now;
    x->status.code = TERN_OK;
    x->status.message[0] = '\0';
    x->info.status = &x->status;
    memset(x->states, 0, sizeof x->states);
    for (x->entered = 0; x->entered < n; x->entered++) {
        const tern_interceptor *i = &list[x->entered];
        x->info.state = NULL;
        tern_code code = i->before ? i->before(i->self, &x->info) : TERN_OK;
        x->states[x->entered] = x->info.state;
        if (code != TERN_OK) {
            x->status.code = (unsigned)code > TERN_UNAUTHENTICATED ? TERN_UNKNOWN : code;
            return x->status.code;
        }
    }
    x->status.code = TERN_OK; /* what a before() wrote there and did not mean */
    x->status.message[0] = '\0';
    return TERN_OK;
}

void tern__intercept_after(tern__interception *x, int64_t now)
{
    x->info.elapsed_us = (now - x->began) / TERN__NS_PER_US;
    while (x->entered > 0) {
        const tern_interceptor *i = &x->list[--x->entered];
        tern_code before = x->status.code;
        x->info.state = x->states[x->entered];
        if (i->after)
            i->after(i->self, &x->info);
        if (before != TERN_OK && x->status.code == TERN_OK)
            x->status.code = before; /* there is no response to go with it */
        if ((unsigned)x->status.code > TERN_UNAUTHENTICATED)
            x->status.code = TERN_UNKNOWN;
    }
}
