/* The client's side of generated stubs for streams: typed messages over tern_stream. A received
 * message lives in an arena that is emptied at the next receive: no malloc for a small one. */
#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <tern/stub.h>

#include "base/arena.h"
#include "base/sanitize.h"
#include "client/streaming.h"
#include "stub/budget.h"
#include "stub/codec.h"

/* Messages that decode to no more than this need no malloc. */
#define FIRST_BLOCK_BYTES 2048u

typedef struct decoder {
    tern__arena arena;
    tern_stub_received done; /* of the receive that is registered */
    void *ctx;
    tern_stub_typed_received generated; /* instead of `done`, if that is NULL */
    tern_stub_typed_done finished;      /* of a client-streaming call */
    ProtobufCMessage *only;             /* its one response */
    tern_stream *st;
    _Alignas(16) uint8_t first_block[FIRST_BLOCK_BYTES];
} decoder;

static void decoder_free(void *data)
{
    decoder *d = data;
    if (d) {
        tern__arena_deinit(&d->arena);
        TERN__UNPOISON(d->first_block, sizeof d->first_block);
    }
    free(d);
}

static decoder *decoder_new(void)
{
    decoder *d = malloc(sizeof *d);
    if (!d)
        return NULL;
    memset(d, 0, offsetof(decoder, first_block));
    tern__arena_init(&d->arena, d->first_block, sizeof d->first_block, 0);
    return d;
}

static void attach(decoder *d, tern_stream *st)
{
    d->st = st;
    tern__stream_attach(st, d, decoder_free);
}

/* NULL: out of memory. */
static decoder *decoder_of(tern_stream *st)
{
    decoder *d = tern__stream_attached(st);
    if (d)
        return d;
    d = decoder_new();
    if (d)
        attach(d, st);
    return d;
}

static void empty(decoder *d)
{
    tern__arena_deinit(&d->arena);
    tern__arena_init(&d->arena, d->first_block, sizeof d->first_block, 0);
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

static void pack(uint8_t *out, void *ctx)
{
    protobuf_c_message_pack(ctx, out);
}

static tern__call_codec codec_of(const ProtobufCMessage *message)
{
    return (tern__call_codec){
        .request_len = protobuf_c_message_get_packed_size(message),
        .pack = pack,
        .ctx = (void *)(uintptr_t)message, /* pack() only reads it */
    };
}

tern_code tern_stub_open(tern_channel *ch, const tern_method *method, const tern_call_options *opts,
                         const ProtobufCMessage *request, tern_stream **ret, tern_status *reterr)
{
    if (!request)
        return tern__stream_open(ch, method, opts, NULL, ret, reterr);
    assert(request->descriptor == method->request_type);
    const tern__call_codec codec = codec_of(request);
    return tern__stream_open(ch, method, opts, &codec, ret, reterr);
}

bool tern_stub_send(tern_stream *st, const ProtobufCMessage *message)
{
    assert(message->descriptor == tern__stream_method(st)->request_type);
    const tern__call_codec codec = codec_of(message);
    return tern__stream_send(st, &codec);
}

/* NULL: it is no such message; the stream is broken for it. */
static const ProtobufCMessage *decode(decoder *d, const void *data, size_t len)
{
    tern_status why;
    empty(d);
    tern__decode_budget budget = {
        .alloc = arena_alloc,
        .release = arena_free,
        .ctx = &d->arena,
        .left = tern__decode_bytes_max(len),
    };
    const ProtobufCMessage *m =
        tern__codec_unpack(tern__stream_method(d->st)->response_type, data, len, &budget, &why);
    if (!m)
        tern__stream_break(d->st, why.code, why.message);
    return m;
}

bool tern_stub_recv(tern_stream *st, const ProtobufCMessage **ret)
{
    const void *data;
    size_t len;
    if (!tern_stream_recv(st, &data, &len))
        return false;
    decoder *d = decoder_of(st);
    if (!d) {
        tern__stream_break(st, TERN_RESOURCE_EXHAUSTED, "out of memory for a message");
        return false;
    }
    const ProtobufCMessage *m = decode(d, data, len);
    /* *ret is a pointer to the generated type: the bytes are stored, so that no alias is broken. */
    if (m)
        memcpy(ret, &m, sizeof m);
    return m != NULL;
}

static void *heap_alloc(void *ctx, size_t size)
{
    (void)ctx;
    return malloc(size);
}

static void heap_free(void *ctx, void *ptr)
{
    (void)ctx;
    free(ptr);
}

/* A message of its own memory. NULL: the stream is broken. */
static ProtobufCMessage *decode_owned(tern_stream *st, const void *data, size_t len)
{
    tern_status why;
    tern__decode_budget budget = {
        .alloc = heap_alloc,
        .release = heap_free,
        .left = tern__decode_bytes_max(len),
    };
    ProtobufCMessage *m =
        tern__codec_unpack(tern__stream_method(st)->response_type, data, len, &budget, &why);
    if (!m)
        tern__stream_break(st, why.code, why.message);
    return m;
}

static const char more_than_one[] = "the server sent more than one response";

/* The one response of a client-streaming method. NULL: none, or the stream is broken. */
static ProtobufCMessage *recv_only(tern_stream *st)
{
    const void *data;
    size_t len;
    if (!tern_stream_recv(st, &data, &len))
        return NULL;
    ProtobufCMessage *m = decode_owned(st, data, len);
    if (m && tern_stream_recv(st, &data, &len))
        tern__stream_break(st, TERN_UNIMPLEMENTED, more_than_one);
    return m;
}

tern_code tern_stub_finish(tern_stream *st, ProtobufCMessage **ret, tern_status *reterr)
{
    if (!ret)
        return tern_stream_finish(st, reterr);
    tern_stream_close_send(st);
    ProtobufCMessage *m = recv_only(st);
    tern_code code = tern_stream_finish(st, reterr);
    if (code == TERN_OK && !m)
        return tern_status_set(reterr, TERN_UNIMPLEMENTED, "the server sent no response");
    if (code == TERN_OK)
        memcpy(ret, &m, sizeof m);
    else if (m)
        protobuf_c_message_free_unpacked(m, NULL);
    return code;
}

/* --- with callbacks --------------------------------------------------------------------------- */

static void request_sent(void *ctx, bool ok)
{
    (void)ctx;
    (void)ok; /* the end of the stream will tell */
}

tern_code tern_stub_start(tern_channel *ch, const tern_method *method,
                          const tern_call_options *opts, const ProtobufCMessage *request,
                          tern_stream **ret, tern_status *reterr)
{
    tern_stream *st;
    decoder *d = decoder_new();
    if (!d)
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory for a call");
    tern_code code = tern_stream_start(ch, method, opts, &st, reterr);
    if (code != TERN_OK) {
        decoder_free(d);
        return code;
    }
    attach(d, st);
    if (request) {
        tern_stub_send_start(st, request, request_sent, NULL);
        tern_stream_close_send(st);
    }
    *ret = st;
    return TERN_OK;
}

void tern_stub_send_start(tern_stream *st, const ProtobufCMessage *message, tern_stream_sent done,
                          void *ctx)
{
    assert(message->descriptor == tern__stream_method(st)->request_type);
    const tern__call_codec codec = codec_of(message);
    tern__stream_send_start(st, &codec, done, ctx);
}

static void received(void *ctx, const void *data, size_t len)
{
    decoder *d = ctx;
    const ProtobufCMessage *m = data ? decode(d, data, len) : NULL;
    if (d->done)
        d->done(d->ctx, m);
    else
        d->generated.call(d->generated.done, d->generated.ctx, m);
}

tern_code tern_stub_recv_start(tern_stream *st, tern_stub_received done, void *ctx)
{
    decoder *d = decoder_of(st);
    if (!d)
        return TERN_RESOURCE_EXHAUSTED;
    d->done = done;
    d->ctx = ctx;
    tern_stream_recv_start(st, received, d);
    return TERN_OK;
}

tern_code tern_stub_recv_start_typed(tern_stream *st, const tern_stub_typed_received *done)
{
    decoder *d = decoder_of(st);
    if (!d)
        return TERN_RESOURCE_EXHAUSTED;
    d->done = NULL;
    d->generated = *done;
    tern_stream_recv_start(st, received, d);
    return TERN_OK;
}

/* The stream and with it the decoder are freed behind this. */
static void only_finished(void *ctx, const tern_status *st)
{
    decoder *d = ctx;
    tern_status status = *st;
    ProtobufCMessage *m = d->only;
    if (status.code == TERN_OK && !m)
        tern_status_set(&status, TERN_UNIMPLEMENTED, "the server sent no response");
    d->finished.call(d->finished.done, d->finished.ctx, &status, status.code == TERN_OK ? m : NULL);
    if (m)
        protobuf_c_message_free_unpacked(m, NULL);
}

static void only_received(void *ctx, const void *data, size_t len)
{
    decoder *d = ctx;
    if (data && !d->only && (d->only = decode_owned(d->st, data, len))) {
        tern_stream_recv_start(d->st, only_received, d);
        return;
    }
    if (data && d->only)
        tern__stream_break(d->st, TERN_UNIMPLEMENTED, more_than_one);
    tern_stream_finish_start(d->st, only_finished, d);
}

void tern_stub_finish_start_typed(tern_stream *st, const tern_stub_typed_done *done)
{
    decoder *d = tern__stream_attached(st); /* since tern_stub_start() */
    assert(d != NULL);
    d->finished = *done;
    tern_stream_close_send(st);
    tern_stream_recv_start(st, only_received, d);
}
