/* See codec.h. */
#include "stub/codec.h"

#include <stddef.h>

static void *budget_alloc(void *ctx, size_t size)
{
    tern__decode_budget *b = ctx;
    if (size > b->left) {
        b->exceeded = true;
        return NULL;
    }
    b->left -= size;
    void *p = b->alloc(b->ctx, size);
    b->no_memory |= !p;
    return p;
}

static void budget_free(void *ctx, void *ptr)
{
    tern__decode_budget *b = ctx;
    b->release(b->ctx, ptr);
}

ProtobufCMessage *tern__codec_unpack(const ProtobufCMessageDescriptor *type, const uint8_t *data,
                                     size_t len, tern__decode_budget *budget, tern_status *reterr)
{
    const char *why = tern__codec_check(type, data, len, 1);
    if (why) {
        tern_status_set(reterr, TERN_INTERNAL, "the bytes of the %s cannot be read: %s", type->name,
                        why);
        return NULL;
    }
    ProtobufCAllocator allocator = { budget_alloc, budget_free, budget };
    ProtobufCMessage *m = protobuf_c_message_unpack(type, &allocator, len, data);
    if (m)
        return m;
    if (budget->exceeded)
        tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED,
                        "the %s of %zu bytes needs more memory to decode than is allowed "
                        "(TERN_LIMIT_DECODE_BYTES)",
                        type->name, len);
    else if (budget->no_memory)
        tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory for the %s of %zu bytes",
                        type->name, len);
    else
        tern_status_set(reterr, TERN_INTERNAL,
                        "the bytes of the %s cannot be read: a required field is missing, or a "
                        "field has the wrong wire type",
                        type->name);
    return NULL;
}
