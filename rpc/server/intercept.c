/* See intercept.h. */
#include "server/intercept.h"

#include <stdio.h>

#include "io/clock.h"
#include "policy/interceptors.h"
#include "server/loop.h"
#include "server/server.h"

tern_code tern__server_intercept_begin(tern_server_call *call)
{
    tern_server *srv = call->loop->server;
    if (srv->n_interceptors == 0)
        return TERN_OK;
    tern__interception *x = tern__arena_alloc(&call->arena, sizeof *x);
    tern_metadata *initial = tern_server_call_initial_metadata(call);
    tern_metadata *trailing = tern_server_call_trailing_metadata(call);
    if (!x || !initial || !trailing)
        return tern_server_call_fail(call, TERN_RESOURCE_EXHAUSTED,
                                     "out of memory for the interceptors");
    x->info = (tern_call_info){
        .method = call->method->method,
        .peer = tern_server_call_peer(call),
        .context = &call->context,
        .request = &call->metadata,
        .initial = initial,
        .trailing = trailing,
    };
    call->interception = x;
    tern_code code = tern__intercept_before(x, srv->interceptors, srv->n_interceptors,
                                            tern__clock_now());
    if (code != TERN_OK)
        tern_server_call_fail(call, code, "%s", x->status.message);
    return code;
}

tern_code tern__server_intercept_end(tern_server_call *call, tern_code code)
{
    tern__interception *x = call->interception;
    if (!x)
        return code;
    call->interception = NULL;
    x->status.code = code;
    snprintf(x->status.message, sizeof x->status.message, "%s",
             code != TERN_OK && call->message ? call->message : "");
    tern__intercept_after(x, tern__clock_now());
    if (x->status.code != TERN_OK)
        tern_server_call_fail(call, x->status.code, "%s", x->status.message);
    return x->status.code;
}
