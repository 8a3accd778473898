/* The digest of a request: FNV-1a over the RPC's name and the message as it would go over the wire,
 * streamed through protobuf-c's buffer interface so that it needs no memory, and mixed at the end
 * (murmur3's finalizer) so that short requests fill all 64 bits. It tells two requests with one key
 * apart; whoever forges a collision only fools himself with his own key. */
#include "common/operation.h"

#include <stdint.h>

#define FNV_OFFSET 0xcbf29ce484222325u
#define FNV_PRIME 0x100000001b3u

typedef struct hashing_buffer {
    ProtobufCBuffer base; /* first: protobuf-c hands it back to hash_append */
    uint64_t hash;
} hashing_buffer;

static void hash_append(ProtobufCBuffer *buffer, size_t len, const uint8_t *data)
{
    hashing_buffer *h = (hashing_buffer *)buffer;
    for (size_t i = 0; i < len; i++) {
        h->hash = (h->hash ^ data[i]) * FNV_PRIME;
    }
}

static uint64_t mix(uint64_t x)
{
    x ^= x >> 33;
    x *= 0xff51afd7ed558ccdu;
    x ^= x >> 33;
    x *= 0xc4ceb9fe1a85ec53u;
    return x ^ (x >> 33);
}

int64_t drone_request_digest(const char *name, const ProtobufCMessage *request)
{
    hashing_buffer h = { .base = { .append = hash_append }, .hash = FNV_OFFSET };
    do { /* the NUL is hashed, too, and separates the name from the request */
        hash_append(&h.base, 1, (const uint8_t *)name);
    } while (*name++ != '\0');
    protobuf_c_message_pack_to_buffer(request, &h.base);
    return (int64_t)mix(h.hash);
}
