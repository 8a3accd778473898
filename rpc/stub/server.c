/* The server's side of generated stubs: unpack, call the handler table, pack. Request and response
 * live in the call's arena. */
#include <stdlib.h>

#include <tern/stub.h>

#include "server/call.h"
#include "server/server.h"
#include "stub/budget.h"
#include "stub/codec.h"

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

static tern_code serve(void *self, tern_server_call *call)
{
    const binding *b = self;
    const tern_method *m = tern_server_call_method(call);
    const ProtobufCMessageDescriptor *response_type = m->response_type;
    size_t len;
    const uint8_t *data = tern_server_call_request(call, &len);
    tern__decode_budget budget = {
        .alloc = arena_alloc,
        .release = arena_free,
        .ctx = &call->arena,
        .left = tern__decode_bytes_max(len),
    };
    tern_status why;
    ProtobufCMessage *request = tern__codec_unpack(m->request_type, data, len, &budget, &why);
    if (!request)
        return tern_server_call_fail(call, why.code, "%s", why.message);
    ProtobufCMessage *response = tern__arena_alloc(&call->arena, response_type->sizeof_message);
    if (!response)
        return tern_server_call_fail(call, TERN_RESOURCE_EXHAUSTED,
                                     "out of memory for the response");
    protobuf_c_message_init(response_type, response);
    tern__server_call_set_finisher(call, pack_response, response);
    tern_code code = m->invoke(b->handlers, b->self, call, request, response);
    if (code == TERN_UNIMPLEMENTED && !call->message && !call->deferred)
        return tern_server_call_fail(call, code, "%s is not implemented", m->path);
    return code;
}

static tern_code serve_streaming(void *self, tern_server_call *call)
{
    (void)self;
    return tern_server_call_fail(call, TERN_UNIMPLEMENTED, "%s is a streaming method, which this "
                                 "server does not serve", tern_server_call_method(call)->path);
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
        code = tern_server_add_raw(srv, m, m->invoke ? serve : serve_streaming, b, reterr);
    }
    return code;
}
