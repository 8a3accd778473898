/* See resolved.h. */
#include "client/resolved.h"

#include <stdlib.h>
#include <string.h>

#include "base/time.h"

tern__resolved *tern__resolved_new(void)
{
    tern__resolved *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    atomic_init(&r->refs, 1);
    r->ttl = TERN__TIME_NEVER;
    return r;
}

tern__resolved *tern__resolved_ref(tern__resolved *r)
{
    atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
    return r;
}

void tern__resolved_unref(tern__resolved *r)
{
    if (!r || atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (uint32_t i = 0; i < r->list.n; i++)
        free(r->hash_key[i]);
    free(r->config);
    free(r);
}

/* What lies behind the end of a unix socket's name differs by who made the address. */
bool tern__address_same(const tern__address *a, const tern__address *b)
{
    char left[TERN__ADDRESS_TEXT_MAX], right[TERN__ADDRESS_TEXT_MAX];
    if (a->u.sa.sa_family != b->u.sa.sa_family)
        return false;
    tern__address_text(a, left);
    tern__address_text(b, right);
    return strcmp(left, right) == 0;
}

bool tern__address_listed(const tern__address_list *list, const tern__address *a)
{
    for (uint32_t i = 0; i < list->n; i++)
        if (tern__address_same(&list->at[i], a))
            return true;
    return false;
}

/* NULL, or what is wrong with it. */
static const char *fault_of(const tern__resolved *r, const tern_resolver_address *one)
{
    if (one->weight > TERN_LIMIT_ADDRESS_WEIGHT)
        return "the weight is above TERN_LIMIT_ADDRESS_WEIGHT";
    if (one->hash_key && strlen(one->hash_key) > TERN_LIMIT_HASH_KEY_BYTES)
        return "the hash key is longer than TERN_LIMIT_HASH_KEY_BYTES";
    if (r->list.n == TERN_LIMIT_ADDRESSES)
        return "there are more than TERN_LIMIT_ADDRESSES addresses";
    return NULL;
}

tern_code tern__resolved_add(tern__resolved *r, const tern_resolver_address *one,
                             tern_status *reterr)
{
    tern__target target;
    tern_code code = tern__target_parse(one->address, &target, reterr);
    if (code != TERN_OK)
        return code;
    const char *why = fault_of(r, one);
    if (!target.literal)
        why = "a name is no address (write its IP address)";
    else if (target.addresses.n != 1)
        why = "several addresses are no address (give each by itself)";
    else if (!why && tern__address_listed(&r->list, &target.addresses.at[0]))
        why = "the address is there already";
    if (why)
        return tern_status_set(reterr, TERN_INVALID_ARGUMENT, "target \"%.200s\": %s", one->address,
                               why);
    char *key = one->hash_key ? strdup(one->hash_key) : NULL;
    if (one->hash_key && !key)
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory for addresses");
    uint32_t i = r->list.n++;
    r->list.at[i] = target.addresses.at[0];
    r->weight[i] = one->weight;
    r->hash_key[i] = key;
    r->n_best = r->list.n;
    return TERN_OK;
}
