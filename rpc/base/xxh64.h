/* XXH64, the hash that gRPC's ring_hash and random subsetting use (gRFC A42, A68): fast, spread
 * evenly, the same on every machine. Not for secrets: who knows the seed can make values collide.
 * Written from the specification (github.com/Cyan4973/xxHash, doc/xxhash_spec.md, "XXH64
 * Algorithm Description"). */
#ifndef TERN__BASE_XXH64_H
#define TERN__BASE_XXH64_H

#include <stddef.h>
#include <stdint.h>

/* A hash of bytes that come in parts. */
typedef struct tern__xxh64 {
    uint64_t lane[4];
    uint64_t seed;
    uint64_t len;           /* of all so far */
    unsigned char rest[32]; /* the last len % 32, not yet mixed in */
} tern__xxh64;

void tern__xxh64_init(tern__xxh64 *h, uint64_t seed);
void tern__xxh64_add(tern__xxh64 *h, const void *bytes, size_t len);
/* Of what was added so far; more may be added afterwards. */
uint64_t tern__xxh64_value(const tern__xxh64 *h);

/* Of bytes that are in one place. */
uint64_t tern__xxh64_of(const void *bytes, size_t len, uint64_t seed);

#endif
