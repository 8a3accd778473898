/* See names.h: the system's resolver (getaddrinfo). */
#include "client/names.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct names {
    char host[TERN__HOST_MAX];
    char port[8];
} names;

static void resolve(tern__resolver *r)
{
    const names *n = r->self;
    tern_status why;
    tern__resolved *found = tern__resolved_new();
    tern_code code = found ? tern__target_lookup(n->host, n->port, &found->list, &why)
                           : tern_status_set(&why, TERN_UNAVAILABLE,
                                             "out of memory while resolving \"%s\"", n->host);
    if (code == TERN_OK) {
        found->n_best = found->list.n;
        found->config_unknown = true;
        tern__resolver_report(r, found, NULL);
        return;
    }
    tern__resolved_unref(found);
    tern__resolver_report(r, NULL, &why);
}

static const tern__resolver_driver driver = { .resolve = resolve, .free = free };

tern_code tern__names_open(const tern__target *target, tern__resolver **ret, tern_status *reterr)
{
    names *n = calloc(1, sizeof *n);
    if (n) {
        snprintf(n->host, sizeof n->host, "%s", target->host);
        snprintf(n->port, sizeof n->port, "%s", target->port);
        *ret = tern__resolver_new(&driver, n, target->host);
    }
    return n && *ret ? TERN_OK
                     : tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED,
                                       "out of memory for a channel");
}
