/* See xxh64.h. Four lanes take 8 bytes each of every stripe of 32; at the end they are merged, the
 * bytes that fill no stripe are mixed in, and the bits are spread ("avalanche"). All arithmetic is
 * modulo 2^64, all words are little-endian whatever the machine. */
#include "base/xxh64.h"

#include <string.h>

#define STRIPE 32u

#define PRIME_1 UINT64_C(0x9E3779B185EBCA87)
#define PRIME_2 UINT64_C(0xC2B2AE3D27D4EB4F)
#define PRIME_3 UINT64_C(0x165667B19E3779F9)
#define PRIME_4 UINT64_C(0x85EBCA77C2B2AE63)
#define PRIME_5 UINT64_C(0x27D4EB2F165667C5)

static uint64_t rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

static uint64_t word(const unsigned char *p, unsigned n_bytes)
{
    uint64_t x = 0;
    for (unsigned i = 0; i < n_bytes; i++)
        x |= (uint64_t)p[i] << (8 * i);
    return x;
}

static uint64_t mix(uint64_t lane, uint64_t input)
{
    return rotl(lane + input * PRIME_2, 31) * PRIME_1;
}

static void add_stripe(tern__xxh64 *h, const unsigned char *p)
{
    for (unsigned i = 0; i < 4; i++)
        h->lane[i] = mix(h->lane[i], word(p + 8 * (size_t)i, 8));
}

void tern__xxh64_init(tern__xxh64 *h, uint64_t seed)
{
    memset(h, 0, sizeof *h);
    h->seed = seed;
    h->lane[0] = seed + PRIME_1 + PRIME_2;
    h->lane[1] = seed + PRIME_2;
    h->lane[2] = seed;
    h->lane[3] = seed - PRIME_1;
}

void tern__xxh64_add(tern__xxh64 *h, const void *bytes, size_t len)
{
    const unsigned char *p = bytes;
    size_t held = (size_t)(h->len % STRIPE);
    h->len += len;
    if (held) {
        size_t fits = STRIPE - held < len ? STRIPE - held : len;
        memcpy(h->rest + held, p, fits);
        p += fits;
        len -= fits;
        if (held + fits < STRIPE)
            return;
        add_stripe(h, h->rest);
    }
    for (; len >= STRIPE; p += STRIPE, len -= STRIPE)
        add_stripe(h, p);
    if (len)
        memcpy(h->rest, p, len);
}

static uint64_t merged(const tern__xxh64 *h)
{
    uint64_t x = rotl(h->lane[0], 1) + rotl(h->lane[1], 7) + rotl(h->lane[2], 12) +
                 rotl(h->lane[3], 18);
    for (unsigned i = 0; i < 4; i++)
        x = (x ^ mix(0, h->lane[i])) * PRIME_1 + PRIME_4;
    return x;
}

uint64_t tern__xxh64_value(const tern__xxh64 *h)
{
    uint64_t x = h->len >= STRIPE ? merged(h) : h->seed + PRIME_5;
    const unsigned char *p = h->rest;
    size_t left = (size_t)(h->len % STRIPE);
    x += h->len;
    for (; left >= 8; p += 8, left -= 8)
        x = rotl(x ^ mix(0, word(p, 8)), 27) * PRIME_1 + PRIME_4;
    if (left >= 4) {
        x = rotl(x ^ word(p, 4) * PRIME_1, 23) * PRIME_2 + PRIME_3;
        p += 4;
        left -= 4;
    }
    for (; left; p++, left--)
        x = rotl(x ^ *p * PRIME_5, 11) * PRIME_1;
    x = (x ^ (x >> 33)) * PRIME_2;
    x = (x ^ (x >> 29)) * PRIME_3;
    return x ^ (x >> 32);
}

uint64_t tern__xxh64_of(const void *bytes, size_t len, uint64_t seed)
{
    tern__xxh64 h;
    tern__xxh64_init(&h, seed);
    tern__xxh64_add(&h, bytes, len);
    return tern__xxh64_value(&h);
}
