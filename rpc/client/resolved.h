/* What name resolution has found for a channel: its servers, and what its owner says of them.
 * Immutable once it is handed on, and counted. */
#ifndef TERN__CLIENT_RESOLVED_H
#define TERN__CLIENT_RESOLVED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <tern/resolver.h>

#include "io/address.h"
#include "policy/service_config.h"

typedef struct tern__resolved {
    atomic_uint refs;
    tern__address_list list; /* in order of preference */
    uint32_t n_best;         /* to spread over; the others are for pick_first, if these fail */
    uint32_t weight[TERN_LIMIT_ADDRESSES]; /* 0 is 1 */
    char *hash_key[TERN_LIMIT_ADDRESSES];  /* NULL: none */
    int64_t ttl;                           /* ns that it holds for; TERN__TIME_NEVER: not known */
    char *config;        /* JSON of a service config; NULL: there is none, or */
    bool config_unknown; /* whether there is one could not be found out: the former stays */
    bool choices;        /* it is a list of choices (A2) */
} tern__resolved;

/* Empty, with one reference. NULL: out of memory. */
tern__resolved *tern__resolved_new(void);
tern__resolved *tern__resolved_ref(tern__resolved *r);
/* NULL is fine. */
void tern__resolved_unref(tern__resolved *r);

/* Appends a server, of which `one` says all. INVALID_ARGUMENT with the reason, which quotes the
 * address; RESOURCE_EXHAUSTED: out of memory. n_best grows with the list. */
tern_code tern__resolved_add(tern__resolved *r, const tern_resolver_address *one,
                             tern_status *reterr);
bool tern__address_same(const tern__address *a, const tern__address *b);
bool tern__address_listed(const tern__address_list *list, const tern__address *a);

#endif
