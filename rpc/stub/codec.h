/* protobuf-c as the serializer: unpacking with limits. */
#ifndef TERN__STUB_CODEC_H
#define TERN__STUB_CODEC_H

#include <stdbool.h>

#include <protobuf-c/protobuf-c.h>

#include <tern/status.h>

/* Where the memory of an unpacked message comes from, and how much of it there may be. */
typedef struct tern__decode_budget {
    void *(*alloc)(void *ctx, size_t size);
    void (*release)(void *ctx, void *ptr);
    void *ctx;
    size_t left;
    bool exceeded, no_memory; /* why an allocation was refused */
} tern__decode_budget;

/* Unpacks `len` bytes. NULL on failure, with the code in *ret_code and the reason in *reterr:
 * INTERNAL for bytes that are not such a message (malformed, nested too deep, a string with a NUL
 * or that is not UTF-8), RESOURCE_EXHAUSTED beyond the budget or the memory. */
ProtobufCMessage *tern__codec_unpack(const ProtobufCMessageDescriptor *type, const uint8_t *data,
                                     size_t len, tern__decode_budget *budget, tern_status *reterr);

/* Walks the bytes of a message before protobuf-c does (check.c): NULL when they are well-formed,
 * else what is wrong. protobuf-c recurses without a limit, and hands strings out as C strings,
 * where what follows a NUL would silently vanish. */
const char *tern__codec_check(const ProtobufCMessageDescriptor *type, const uint8_t *data,
                              size_t len, unsigned depth);

#endif
