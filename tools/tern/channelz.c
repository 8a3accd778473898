/* tern channelz: fetches all that grpc.channelz.v1.Channelz tells, page by page, then shows it.
 * Things come and go meanwhile: what is gone when it is asked for is left out. */
#include "tools/tern/channelz.h"

#include <stdlib.h>
#include <string.h>

#include "tools/tern/net.h"

typedef struct fetch {
    tern_channel *channel;
    tern_call_options options;
    cli_channelz z;
    cli_error *e;
} fetch;

static int fail(const fetch *f, const tern_status *st)
{
    return cli_fail(f->e, CLI_EXIT_STATUS + (int)st->code, "%s: %s", tern_code_name(st->code),
                    st->message);
}

/* Room for one more of `size` bytes. */
static int grow(const fetch *f, void **array, size_t n, size_t size)
{
    void *grown = n % 64 != 0 ? *array : realloc(*array, (n + 64) * size);
    if (grown == NULL) {
        return cli_fail_memory(f->e);
    }
    *array = grown;
    return 0;
}

/* --- sockets ---------------------------------------------------------------------------------- */

static int fetch_socket(fetch *f, const char *owner, int64_t owner_id, int64_t id)
{
    tern_status st;
    cli_channelz *z = &f->z;
    cli_channelz_socket s = { owner, owner_id, NULL };
    Grpc__Channelz__V1__GetSocketRequest req = GRPC__CHANNELZ__V1__GET_SOCKET_REQUEST__INIT;
    req.socket_id = id;
    req.summary = true;
    if (z->n_sockets == CLI_CHANNELZ_MAX) {
        z->cut = true;
        return 0;
    }
    tern_code code =
        grpc_channelz_v1_channelz_get_socket(f->channel, &f->options, &req, &s.answer, &st);
    if (code == TERN_NOT_FOUND) {
        return 0;
    }
    if (code != TERN_OK) {
        return fail(f, &st);
    }
    void *sockets = z->sockets;
    if (grow(f, &sockets, z->n_sockets, sizeof(s)) != 0) {
        grpc__channelz__v1__get_socket_response__free_unpacked(s.answer, NULL);
        return -1;
    }
    z->sockets = sockets;
    z->sockets[z->n_sockets++] = s;
    return 0;
}

static int fetch_server_sockets(fetch *f, int64_t server)
{
    Grpc__Channelz__V1__GetServerSocketsRequest req =
        GRPC__CHANNELZ__V1__GET_SERVER_SOCKETS_REQUEST__INIT;
    req.server_id = server;
    for (bool end = false; !end && !f->z.cut;) {
        tern_status st;
        Grpc__Channelz__V1__GetServerSocketsResponse *page;
        tern_code code = grpc_channelz_v1_channelz_get_server_sockets(f->channel, &f->options,
                                                                      &req, &page, &st);
        if (code != TERN_OK) {
            return code == TERN_NOT_FOUND ? 0 : fail(f, &st);
        }
        int rc = 0;
        for (size_t i = 0; i < page->n_socket_ref && rc == 0; i++) {
            if (page->socket_ref[i]->socket_id >= req.start_socket_id) {
                req.start_socket_id = page->socket_ref[i]->socket_id + 1;
            }
            rc = fetch_socket(f, "server", server, page->socket_ref[i]->socket_id);
        }
        end = page->end || page->n_socket_ref == 0;
        grpc__channelz__v1__get_server_sockets_response__free_unpacked(page, NULL);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static int fetch_subchannel_sockets(fetch *f, int64_t channel, int64_t subchannel)
{
    tern_status st;
    Grpc__Channelz__V1__GetSubchannelResponse *sub;
    Grpc__Channelz__V1__GetSubchannelRequest req = GRPC__CHANNELZ__V1__GET_SUBCHANNEL_REQUEST__INIT;
    req.subchannel_id = subchannel;
    tern_code code =
        grpc_channelz_v1_channelz_get_subchannel(f->channel, &f->options, &req, &sub, &st);
    if (code != TERN_OK) {
        return code == TERN_NOT_FOUND ? 0 : fail(f, &st);
    }
    int rc = 0;
    size_t n = sub->subchannel != NULL ? sub->subchannel->n_socket_ref : 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        rc = fetch_socket(f, "channel", channel, sub->subchannel->socket_ref[i]->socket_id);
    }
    grpc__channelz__v1__get_subchannel_response__free_unpacked(sub, NULL);
    return rc;
}

/* --- servers and channels --------------------------------------------------------------------- */

static int fetch_servers(fetch *f)
{
    Grpc__Channelz__V1__GetServersRequest req = GRPC__CHANNELZ__V1__GET_SERVERS_REQUEST__INIT;
    cli_channelz *z = &f->z;
    for (bool end = false; !end;) {
        tern_status st;
        Grpc__Channelz__V1__GetServersResponse *page;
        void *pages = z->servers;
        if (grow(f, &pages, z->n_servers, sizeof(z->servers[0])) != 0) {
            return -1;
        }
        z->servers = pages;
        if (grpc_channelz_v1_channelz_get_servers(f->channel, &f->options, &req, &page, &st) !=
            TERN_OK) {
            return fail(f, &st);
        }
        z->servers[z->n_servers++] = page;
        for (size_t i = 0; i < page->n_server; i++) {
            const Grpc__Channelz__V1__ServerRef *ref = page->server[i]->ref;
            int64_t id = ref != NULL ? ref->server_id : 0;
            req.start_server_id = id + 1 > req.start_server_id ? id + 1 : req.start_server_id;
            if (fetch_server_sockets(f, id) != 0) {
                return -1;
            }
        }
        z->cut |= z->n_servers == CLI_CHANNELZ_MAX;
        end = page->end || page->n_server == 0 || z->cut;
    }
    return 0;
}

static int fetch_channel_sockets(fetch *f, const Grpc__Channelz__V1__Channel *c, int64_t id)
{
    for (size_t i = 0; i < c->n_socket_ref; i++) {
        if (fetch_socket(f, "channel", id, c->socket_ref[i]->socket_id) != 0) {
            return -1;
        }
    }
    for (size_t i = 0; i < c->n_subchannel_ref; i++) {
        if (fetch_subchannel_sockets(f, id, c->subchannel_ref[i]->subchannel_id) != 0) {
            return -1;
        }
    }
    return 0;
}

static int fetch_channels(fetch *f)
{
    Grpc__Channelz__V1__GetTopChannelsRequest req =
        GRPC__CHANNELZ__V1__GET_TOP_CHANNELS_REQUEST__INIT;
    cli_channelz *z = &f->z;
    for (bool end = false; !end;) {
        tern_status st;
        Grpc__Channelz__V1__GetTopChannelsResponse *page;
        void *pages = z->channels;
        if (grow(f, &pages, z->n_channels, sizeof(z->channels[0])) != 0) {
            return -1;
        }
        z->channels = pages;
        if (grpc_channelz_v1_channelz_get_top_channels(f->channel, &f->options, &req, &page,
                                                       &st) != TERN_OK) {
            return fail(f, &st);
        }
        z->channels[z->n_channels++] = page;
        for (size_t i = 0; i < page->n_channel; i++) {
            const Grpc__Channelz__V1__ChannelRef *ref = page->channel[i]->ref;
            int64_t id = ref != NULL ? ref->channel_id : 0;
            req.start_channel_id = id + 1 > req.start_channel_id ? id + 1 : req.start_channel_id;
            if (fetch_channel_sockets(f, page->channel[i], id) != 0) {
                return -1;
            }
        }
        z->cut |= z->n_channels == CLI_CHANNELZ_MAX;
        end = page->end || page->n_channel == 0 || z->cut;
    }
    return 0;
}

static void free_all(cli_channelz *z)
{
    for (size_t i = 0; i < z->n_servers; i++) {
        grpc__channelz__v1__get_servers_response__free_unpacked(z->servers[i], NULL);
    }
    for (size_t i = 0; i < z->n_channels; i++) {
        grpc__channelz__v1__get_top_channels_response__free_unpacked(z->channels[i], NULL);
    }
    for (size_t i = 0; i < z->n_sockets; i++) {
        grpc__channelz__v1__get_socket_response__free_unpacked(z->sockets[i].answer, NULL);
    }
    free(z->servers);
    free(z->channels);
    free(z->sockets);
}

static int fetch_and_show(fetch *f, const cli_options *o, const cli_io *io)
{
    if (fetch_servers(f) != 0 || fetch_channels(f) != 0) {
        return -1;
    }
    if (f->z.cut) {
        (void)fprintf(io->err, "tern channelz: there is more; %u of each are shown\n",
                      CLI_CHANNELZ_MAX);
    }
    return o->json ? cli_channelz_json(&f->z, io->out, f->e)
                   : cli_channelz_tables(&f->z, io->out, f->e);
}

int cli_channelz_run(const cli_options *o, const cli_io *io, cli_error *e)
{
    cli_session s;
    if (o->args.n != 1) {
        return cli_fail(e, CLI_EXIT_USAGE,
                        "expected TARGET, got %zu arguments; see `tern channelz --help`",
                        o->args.n);
    }
    const cli_call call = { .target = o->args.items[0], .options = o };
    fetch f = { .options = TERN_CALL_OPTIONS_INIT, .e = e };
    int rc = cli_session_open(&s, &call, io->err, e);
    int64_t timeout_ms = o->timeout_ms != 0 ? o->timeout_ms : CLI_HEALTH_TIMEOUT_MS;
    /* Ctrl-C ends it as well. */
    tern_context *time_left = tern_context_new(s.cancel.context, timeout_ms);
    if (rc == 0 && time_left == NULL) {
        rc = cli_fail_memory(e);
    }
    if (rc == 0) {
        f.channel = s.channel;
        f.options.context = time_left;
        f.options.metadata = s.request;
        f.options.wait_for_ready = o->wait_for_ready;
        rc = fetch_and_show(&f, o, io);
    }
    free_all(&f.z);
    tern_context_free(time_left);
    cli_session_close(&s);
    return rc;
}
