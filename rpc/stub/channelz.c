/* See tern/channelz.h: grpc.channelz.v1.Channelz over the generated stubs, read from the registry
 * (io/registry.h). A page is made under the registry's lock; it is bounded, and no call needs that
 * lock. */
#include <tern/channelz.h>
#include <tern/limits.h>

#include "grpc/channelz/v1/channelz.tern.h"
#include "stub/channelz.h"

static tern_code out_of_memory(tern_server_call *call)
{
    return tern_server_call_fail(call, TERN_RESOURCE_EXHAUSTED,
                                 "out of memory for the state of the channels");
}

/* --- pages ------------------------------------------------------------------------------------ */

/* Checks what was asked for; *ret_n is the number of results at most. */
static tern_code check_page(tern_server_call *call, int64_t start, int64_t max, size_t *ret_n)
{
    if (start < 0 || max < 0)
        return tern_server_call_fail(call, TERN_INVALID_ARGUMENT,
                                     "neither the id to start at nor max_results may be negative");
    *ret_n = max == 0 || max > (int64_t)TERN_LIMIT_CHANNELZ_RESULTS
                 ? TERN_LIMIT_CHANNELZ_RESULTS
                 : (size_t)max;
    return TERN_OK;
}

/* Writes entities from `e` on into a new array of at most `max`. *ret_end: there are no more. */
typedef struct page {
    size_t max;
    void *(*describe)(tern__channelz *z, const tern__entity *e);
    tern__entity *(*next)(const tern__entity *e);
} page;

static void *fill_page(tern__channelz *z, const page *p, const tern__entity *e, size_t *ret_n,
                       protobuf_c_boolean *ret_end)
{
    void **items = tern__channelz_array(z, p->max);
    size_t n = 0;
    for (; items && e && n < p->max; e = p->next(e)) {
        items[n] = p->describe(z, e);
        if (!items[n])
            break;
        n++;
    }
    *ret_n = n;
    *ret_end = e == NULL;
    return items;
}

static void *describe_channel(tern__channelz *z, const tern__entity *e)
{
    return tern__channelz_channel(z, e);
}

static void *describe_server(tern__channelz *z, const tern__entity *e)
{
    return tern__channelz_server(z, e);
}

static void *describe_ref(tern__channelz *z, const tern__entity *e)
{
    return tern__channelz_socket_ref(z, e);
}

/* Of channels: those that are not part of another one. */
static tern__entity *next_top(const tern__entity *e)
{
    tern__entity *next = tern__registry_next(e);
    while (next && next->parent)
        next = tern__registry_next(next);
    return next;
}

static tern_code get_top_channels(void *self, tern_server_call *call,
                                  const Grpc__Channelz__V1__GetTopChannelsRequest *req,
                                  Grpc__Channelz__V1__GetTopChannelsResponse *res)
{
    tern__channelz z = { .call = call };
    page p = { .describe = describe_channel, .next = next_top };
    (void)self;
    tern_code code = check_page(call, req->start_channel_id, req->max_results, &p.max);
    if (code != TERN_OK)
        return code;
    tern__registry_lock();
    const tern__entity *e =
        tern__registry_from(TERN__ENTITY_CHANNEL, (uint64_t)req->start_channel_id);
    if (e && e->parent)
        e = next_top(e);
    res->channel = fill_page(&z, &p, e, &res->n_channel, &res->end);
    tern__registry_unlock();
    return z.no_memory ? out_of_memory(call) : TERN_OK;
}

static tern_code get_servers(void *self, tern_server_call *call,
                             const Grpc__Channelz__V1__GetServersRequest *req,
                             Grpc__Channelz__V1__GetServersResponse *res)
{
    tern__channelz z = { .call = call };
    page p = { .describe = describe_server, .next = tern__registry_next };
    (void)self;
    tern_code code = check_page(call, req->start_server_id, req->max_results, &p.max);
    if (code != TERN_OK)
        return code;
    tern__registry_lock();
    const tern__entity *e =
        tern__registry_from(TERN__ENTITY_SERVER, (uint64_t)req->start_server_id);
    res->server = fill_page(&z, &p, e, &res->n_server, &res->end);
    tern__registry_unlock();
    return z.no_memory ? out_of_memory(call) : TERN_OK;
}

/* --- one of them ------------------------------------------------------------------------------ */

static tern_code not_found(tern_server_call *call, const char *what, int64_t id)
{
    return tern_server_call_fail(call, TERN_NOT_FOUND, "there is no %s %lld (any more)", what,
                                 (long long)id);
}

/* With the lock. NULL: there is none. */
static tern__entity *find(tern__entity_kind kind, int64_t id)
{
    return id > 0 ? tern__registry_find(kind, (uint64_t)id) : NULL;
}

static tern_code get_server_sockets(void *self, tern_server_call *call,
                                    const Grpc__Channelz__V1__GetServerSocketsRequest *req,
                                    Grpc__Channelz__V1__GetServerSocketsResponse *res)
{
    tern__channelz z = { .call = call };
    page p = { .describe = describe_ref, .next = tern__registry_next_child };
    (void)self;
    tern_code code = check_page(call, req->start_socket_id, req->max_results, &p.max);
    if (code != TERN_OK)
        return code;
    tern__registry_lock();
    const tern__entity *server = find(TERN__ENTITY_SERVER, req->server_id);
    if (server)
        res->socket_ref = fill_page(&z, &p,
                                    tern__registry_child(server, TERN__ENTITY_SOCKET,
                                                         (uint64_t)req->start_socket_id),
                                    &res->n_socket_ref, &res->end);
    tern__registry_unlock();
    if (!server)
        return not_found(call, "server", req->server_id);
    return z.no_memory ? out_of_memory(call) : TERN_OK;
}

static tern_code get_server(void *self, tern_server_call *call,
                            const Grpc__Channelz__V1__GetServerRequest *req,
                            Grpc__Channelz__V1__GetServerResponse *res)
{
    tern__channelz z = { .call = call };
    (void)self;
    tern__registry_lock();
    const tern__entity *e = find(TERN__ENTITY_SERVER, req->server_id);
    res->server = e ? tern__channelz_server(&z, e) : NULL;
    tern__registry_unlock();
    return !e            ? not_found(call, "server", req->server_id)
           : z.no_memory ? out_of_memory(call)
                         : TERN_OK;
}

static tern_code get_channel(void *self, tern_server_call *call,
                             const Grpc__Channelz__V1__GetChannelRequest *req,
                             Grpc__Channelz__V1__GetChannelResponse *res)
{
    tern__channelz z = { .call = call };
    (void)self;
    tern__registry_lock();
    const tern__entity *e = find(TERN__ENTITY_CHANNEL, req->channel_id);
    res->channel = e ? tern__channelz_channel(&z, e) : NULL;
    tern__registry_unlock();
    return !e            ? not_found(call, "channel", req->channel_id)
           : z.no_memory ? out_of_memory(call)
                         : TERN_OK;
}

static tern_code get_subchannel(void *self, tern_server_call *call,
                                const Grpc__Channelz__V1__GetSubchannelRequest *req,
                                Grpc__Channelz__V1__GetSubchannelResponse *res)
{
    tern__channelz z = { .call = call };
    (void)self;
    tern__registry_lock();
    const tern__entity *e = find(TERN__ENTITY_SUBCHANNEL, req->subchannel_id);
    res->subchannel = e ? tern__channelz_subchannel(&z, e) : NULL;
    tern__registry_unlock();
    return !e            ? not_found(call, "subchannel", req->subchannel_id)
           : z.no_memory ? out_of_memory(call)
                         : TERN_OK;
}

static tern_code get_socket(void *self, tern_server_call *call,
                            const Grpc__Channelz__V1__GetSocketRequest *req,
                            Grpc__Channelz__V1__GetSocketResponse *res)
{
    tern__channelz z = { .call = call };
    (void)self;
    tern__registry_lock();
    const tern__entity *e = find(TERN__ENTITY_SOCKET, req->socket_id);
    if (!e)
        e = find(TERN__ENTITY_LISTEN_SOCKET, req->socket_id);
    res->socket = e ? tern__channelz_socket(&z, e, req->summary) : NULL;
    tern__registry_unlock();
    return !e            ? not_found(call, "socket", req->socket_id)
           : z.no_memory ? out_of_memory(call)
                         : TERN_OK;
}

static const grpc_channelz_v1_channelz_handlers handlers = {
    .get_top_channels = get_top_channels,
    .get_servers = get_servers,
    .get_server = get_server,
    .get_server_sockets = get_server_sockets,
    .get_channel = get_channel,
    .get_subchannel = get_subchannel,
    .get_socket = get_socket,
};

tern_code tern_server_add_channelz(tern_server *srv, tern_status *reterr)
{
    return grpc_channelz_v1_channelz_register(srv, &handlers, NULL, reterr);
}
