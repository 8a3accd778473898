/* See strmap.h. Linear probing at a load of at most one half. The hash is fast, not strong: keys
 * are the program's own (methods of its services), what a peer sends is only looked up. */
#include "base/strmap.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define STRMAP_CAP_MIN 16u

/* Eight bytes at a time: multiply by an odd constant (2^64 / golden ratio), fold the high half
 * down. */
static uint32_t hash_of(const char *key, size_t len)
{
    const uint64_t k = UINT64_C(0x9E3779B97F4A7C15);
    uint64_t h = len * k;
    while (len > 0) {
        uint64_t word = 0;
        size_t n = len < sizeof word ? len : sizeof word;
        memcpy(&word, key, n);
        h = (h ^ word) * k;
        h ^= h >> 32;
        key += n;
        len -= n;
    }
    return (uint32_t)h;
}

void tern__strmap_deinit(tern__strmap *m)
{
    free(m->slots);
    *m = (tern__strmap){0};
}

/* The slot of the key, or the empty slot where it would go. There is always an empty one. */
static tern__strmap_slot *find(tern__strmap_slot *slots, uint32_t cap, const char *key, size_t len,
                               uint32_t hash)
{
    for (uint32_t i = hash & (cap - 1);; i = (i + 1) & (cap - 1)) {
        tern__strmap_slot *s = &slots[i];
        if (!s->key)
            return s;
        if (s->hash == hash && s->key_len == len && (len == 0 || memcmp(s->key, key, len) == 0))
            return s;
    }
}

static int grow(tern__strmap *m)
{
    if (m->cap >= UINT32_C(1) << 30)
        return -ENOMEM;
    uint32_t cap = m->cap ? m->cap * 2 : STRMAP_CAP_MIN;
    tern__strmap_slot *slots = calloc(cap, sizeof *slots);
    if (!slots)
        return -ENOMEM;
    for (uint32_t i = 0; i < m->cap; i++) {
        const tern__strmap_slot *s = &m->slots[i];
        if (s->key)
            *find(slots, cap, s->key, s->key_len, s->hash) = *s;
    }
    free(m->slots);
    m->slots = slots;
    m->cap = cap;
    return 0;
}

int tern__strmap_put(tern__strmap *m, const char *key, size_t key_len, void *value)
{
    assert(key);
    uint32_t hash = hash_of(key, key_len);
    if (m->cap && find(m->slots, m->cap, key, key_len, hash)->key)
        return -EEXIST;
    if (m->n >= m->cap / 2 && grow(m) < 0)
        return -ENOMEM;
    *find(m->slots, m->cap, key, key_len, hash) =
        (tern__strmap_slot){.key = key, .key_len = key_len, .value = value, .hash = hash};
    m->n++;
    return 0;
}

__attribute__((hot)) void *tern__strmap_get(const tern__strmap *m, const char *key, size_t key_len)
{
    if (!m->cap)
        return NULL;
    return find(m->slots, m->cap, key, key_len, hash_of(key, key_len))->value;
}
