/* See decoder.h. */
#include "stub/decoder.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/sanitize.h"
#include "stub/budget.h"
#include "stub/codec.h"

/* Messages that decode to no more than this need no malloc. */
#define FIRST_BLOCK_BYTES 2048u

struct tern__decoder {
    tern__arena arena;
    _Alignas(16) uint8_t first_block[FIRST_BLOCK_BYTES];
};

tern__decoder *tern__decoder_new(void)
{
    tern__decoder *d = malloc(sizeof *d);
    if (d)
        tern__arena_init(&d->arena, d->first_block, sizeof d->first_block, 0);
    return d;
}

void tern__decoder_free(void *ptr)
{
    tern__decoder *d = ptr;
    if (!d)
        return;
    tern__arena_deinit(&d->arena);
    TERN__UNPOISON(d->first_block, sizeof d->first_block);
    free(d);
}

static void *arena_alloc(void *ctx, size_t size)
{
    return tern__arena_alloc(ctx, size);
}

static void arena_free(void *ctx, void *ptr)
{
    (void)ctx;
    (void)ptr; /* the arena goes in one step */
}

ProtobufCMessage *tern__decoder_unpack(tern__decoder *d, const ProtobufCMessageDescriptor *type,
                                       const uint8_t *data, size_t len, tern_status *reterr)
{
    tern__arena_deinit(&d->arena);
    tern__arena_init(&d->arena, d->first_block, sizeof d->first_block, 0);
    tern__decode_budget budget = {
        .alloc = arena_alloc,
        .release = arena_free,
        .ctx = &d->arena,
        .left = tern__decode_bytes_max(len),
    };
    return tern__codec_unpack(type, data, len, &budget, reterr);
}
