/* The client's side of generated stubs: typed unary calls over protobuf-c. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <tern/stub.h>

#include "client/call.h"
#include "client/unary_async.h"
#include "stub/budget.h"
#include "stub/codec.h"

typedef struct typed_call {
    const tern_method *method;
    const ProtobufCMessage *request;
    ProtobufCMessage *response;
} typed_call;

static void pack(uint8_t *out, void *ctx)
{
    const typed_call *call = ctx;
    protobuf_c_message_pack(call->request, out);
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

static tern_code unpack(const uint8_t *data, size_t len, tern_status *reterr, void *ctx)
{
    typed_call *call = ctx;
    tern__decode_budget budget = {
        .alloc = heap_alloc,
        .release = heap_free,
        .left = tern__decode_bytes_max(len),
    };
    call->response = tern__codec_unpack(call->method->response_type, data, len, &budget, reterr);
    return call->response ? TERN_OK : reterr->code;
}

static void discard(void *ctx)
{
    typed_call *call = ctx;
    protobuf_c_message_free_unpacked(call->response, NULL);
}

tern_code tern_stub_unary(tern_channel *ch, const tern_method *method,
                          const tern_call_options *opts, const ProtobufCMessage *request,
                          ProtobufCMessage **ret, tern_status *reterr)
{
    assert(request->descriptor == method->request_type);
    typed_call call = { .method = method, .request = request };
    const tern__call_codec codec = {
        .request_len = protobuf_c_message_get_packed_size(request),
        .pack = pack,
        .unpack = unpack,
        .discard = discard,
        .ctx = &call,
    };
    tern_code code = tern__call_unary(ch, method, opts, &codec, reterr);
    /* *ret is a pointer to the generated type: the bytes are stored, so that no alias is broken. */
    if (code == TERN_OK)
        memcpy(ret, &call.response, sizeof call.response);
    return code;
}

/* --- with a callback -------------------------------------------------------------------------- */

typedef struct started_call {
    typed_call typed; /* first: what the codec's functions get */
    tern_stub_done done;
    void *ctx;
    tern_stub_typed_done generated; /* instead of `done`, if that is NULL */
} started_call;

static void finish(void *ctx, const tern_status *st)
{
    started_call *call = ctx;
    const ProtobufCMessage *response = st->code == TERN_OK ? call->typed.response : NULL;
    if (call->done)
        call->done(call->ctx, st, response);
    else
        call->generated.call(call->generated.done, call->generated.ctx, st, response);
    if (st->code == TERN_OK)
        protobuf_c_message_free_unpacked(call->typed.response, NULL);
    free(call);
}

static tern_code start(tern_channel *ch, const tern_call_options *opts, const started_call *wanted,
                       tern_status *reterr)
{
    const tern_method *method = wanted->typed.method;
    const ProtobufCMessage *request = wanted->typed.request;
    assert(request->descriptor == method->request_type);
    started_call *call = malloc(sizeof *call);
    if (!call)
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory for a call");
    *call = *wanted;
    const tern__call_codec codec = {
        .request_len = protobuf_c_message_get_packed_size(request),
        .pack = pack,
        .unpack = unpack,
        .discard = discard,
        .ctx = call,
    };
    tern_code code = tern__unary_start(ch, method, opts, &codec, finish, reterr);
    if (code != TERN_OK)
        free(call);
    return code;
}

tern_code tern_stub_unary_start(tern_channel *ch, const tern_method *method,
                                const tern_call_options *opts, const ProtobufCMessage *request,
                                tern_stub_done done, void *ctx, tern_status *reterr)
{
    const started_call wanted = { .typed = { .method = method, .request = request },
                                  .done = done,
                                  .ctx = ctx };
    return start(ch, opts, &wanted, reterr);
}

tern_code tern_stub_unary_start_typed(tern_channel *ch, const tern_method *method,
                                      const tern_call_options *opts,
                                      const ProtobufCMessage *request,
                                      const tern_stub_typed_done *done, tern_status *reterr)
{
    const started_call wanted = { .typed = { .method = method, .request = request },
                                  .generated = *done };
    return start(ch, opts, &wanted, reterr);
}
