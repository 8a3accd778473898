/* See subset.h. */
#include "policy/subset.h"

#include <string.h>

#include <tern/limits.h>

#include "base/xxh64.h"
#include "policy/balancer.h"

void tern__lb_subset(tern__lb_endpoint *at, uint32_t n, uint32_t size, uint64_t seed)
{
    uint64_t hash[TERN_LIMIT_ADDRESSES];
    for (uint32_t i = 0; i < n; i++)
        hash[i] = tern__xxh64_of(at[i].name, strlen(at[i].name), seed);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t before = 0; /* those that go before it; equal hashes by name, not by place */
        for (uint32_t k = 0; k < n; k++)
            before += hash[k] < hash[i] ||
                      (hash[k] == hash[i] && strcmp(at[k].name, at[i].name) < 0);
        at[i].left_out = before >= size;
    }
}
