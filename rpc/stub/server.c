/* The server's side of generated stubs: unpack, call the handler table, pack. Request and response
 * live in the call's arena. */
#include <assert.h>
#include <string.h>

#include <tern/stub.h>

#include "server/call.h"
#include "server/server.h"
#include "server/stream.h"
#include "stub/budget.h"
#include "stub/codec.h"
#include "stub/decoder.h"

/* One method bound to its handlers; freed with the server. */
typedef struct binding {
    const void *handlers;
    void *self;
} binding;

static void *arena_alloc(void *ctx, size_t size)
{
    return tern__arena_alloc(ctx, size);
}

static void arena_free(void *ctx, void *ptr)
{
    (void)ctx;
    (void)ptr; /* the arena goes in one step */
}

static tern_code pack_response(tern_server_call *call, void *ctx)
{
    const ProtobufCMessage *response = ctx;
    size_t len = protobuf_c_message_get_packed_size(response);
    uint8_t *to = tern_server_call_response_buffer(call, len);
    if (!to)
        return tern_server_call_fail(call, TERN_RESOURCE_EXHAUSTED,
                                     "out of memory for a response of %zu bytes", len);
    protobuf_c_message_pack(response, to);
    return TERN_OK;
}

static ProtobufCMessage *unpack_request(tern_server_call *call, tern_status *reterr)
{
    size_t len;
    const uint8_t *data = tern_server_call_request(call, &len);
    tern__decode_budget budget = {
        .alloc = arena_alloc,
        .release = arena_free,
        .ctx = &call->arena,
        .left = tern__decode_bytes_max(len),
    };
    return tern__codec_unpack(tern_server_call_method(call)->request_type, data, len, &budget,
                              reterr);
}

static ProtobufCMessage *make_response(tern_server_call *call)
{
    const ProtobufCMessageDescriptor *type = tern_server_call_method(call)->response_type;
    ProtobufCMessage *response = tern__arena_alloc(&call->arena, type->sizeof_message);
    if (!response)
        return NULL;
    protobuf_c_message_init(type, response);
    tern__server_call_set_finisher(call, pack_response, response);
    return response;
}

/* All four kinds: a side that is one message is unpacked or packed here, one that is a stream goes
 * through tern_stub_server_recv() or tern_stub_server_send(). */
static tern_code serve(void *self, tern_server_call *call)
{
    const binding *b = self;
    const tern_method *m = tern_server_call_method(call);
    ProtobufCMessage *request = NULL, *response = NULL;
    tern_status why;
    if (!(m->kind & TERN_KIND_CLIENT_STREAMING) && !(request = unpack_request(call, &why)))
        return tern_server_call_fail(call, why.code, "%s", why.message);
    if (!(m->kind & TERN_KIND_SERVER_STREAMING) && !(response = make_response(call)))
        return tern_server_call_fail(call, TERN_RESOURCE_EXHAUSTED,
                                     "out of memory for the response");
    tern_code code = m->invoke(b->handlers, b->self, call, request, response);
    if (code == TERN_UNIMPLEMENTED && !call->message && !call->deferred)
        return tern_server_call_fail(call, code, "%s is not implemented", m->path);
    return code;
}

/* A table whose author left a method out. */
static tern_code serve_nothing(void *self, tern_server_call *call)
{
    (void)self;
    return tern_server_call_fail(call, TERN_UNIMPLEMENTED, "%s is not implemented",
                                 tern_server_call_method(call)->path);
}

bool tern_stub_server_recv(tern_server_call *call, const ProtobufCMessage **ret)
{
    const void *data;
    size_t len;
    tern_status why;
    if (!tern_server_call_recv(call, &data, &len))
        return false;
    tern__decoder *d = tern__server_stream_attached(call);
    if (!d && (d = tern__decoder_new()))
        tern__server_stream_attach(call, d, tern__decoder_free);
    if (!d) {
        tern__server_stream_fail(call, TERN_RESOURCE_EXHAUSTED,
                                 "out of memory for a request message");
        return false;
    }
    const ProtobufCMessage *m =
        tern__decoder_unpack(d, tern_server_call_method(call)->request_type, data, len, &why);
    if (!m) {
        tern__server_stream_fail(call, why.code, why.message);
        return false;
    }
    /* *ret is a pointer to the generated type: the bytes are stored, so that no alias is broken. */
    memcpy(ret, &m, sizeof m);
    return true;
}

bool tern_stub_server_send(tern_server_call *call, const ProtobufCMessage *message)
{
    assert(message->descriptor == tern_server_call_method(call)->response_type);
    uint8_t *to = tern__server_stream_reserve(call, protobuf_c_message_get_packed_size(message));
    if (!to)
        return false;
    protobuf_c_message_pack(message, to);
    return tern__server_stream_commit(call);
}

tern_code tern_stub_register(tern_server *srv, const tern_service *service, const void *handlers,
                             void *self, tern_status *reterr)
{
    binding *b = tern__server_own(srv, sizeof *b);
    if (!b)
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory for service %s",
                               service->name);
    *b = (binding){ handlers, self };
    tern_code code = TERN_OK;
    for (size_t i = 0; i < service->n_methods && code == TERN_OK; i++) {
        const tern_method *m = &service->methods[i];
        code = tern_server_add_raw(srv, m, m->invoke ? serve : serve_nothing, b, reterr);
    }
    if (code == TERN_OK && tern__server_note_service(srv, service))
        code = tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory for service %s",
                               service->name);
    return code;
}
