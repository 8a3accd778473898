/* grpc.channelz.v1.Channelz: what a server tells of the servers, channels and sockets of its
 * process. One server is asked, another does the work that is counted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "grpc/channelz/v1/channelz.tern.h"
#include "support/probe.h"
#include "support/tlskit.h"

#define PATIENCE_MS 20000
#define GOOD_CALLS 7
#define BAD_CALLS 3
#define MESSAGES 5
#define READERS 3

typedef Grpc__Channelz__V1__Channel channel_message;
typedef Grpc__Channelz__V1__Server server_message;
typedef Grpc__Channelz__V1__Socket socket_message;

static tern_server *admin, *worker;
static tern_channel *z, *work;
static char worker_target[160];
static _Thread_local tern_status st;

static tern_code unary(void *self, tern_server_call *call)
{
    (void)self;
    size_t len;
    tern_server_call_request(call, &len);
    if (len)
        return tern_server_call_fail(call, TERN_ABORTED, "told so");
    return tern_server_call_response_buffer(call, 3) ? TERN_OK : TERN_RESOURCE_EXHAUSTED;
}

static tern_code bidi(void *self, tern_server_call *call)
{
    (void)self;
    const void *data;
    size_t len;
    while (tern_server_call_recv(call, &data, &len))
        tern_server_call_send(call, data, len);
    return TERN_OK;
}

static const tern_method unary_method = { .path = "/t.S/Unary" };
static const tern_method bidi_method = { .path = "/t.S/Bidi", .kind = TERN_KIND_BIDI_STREAMING };

static tern_server *start(const char *address, uint16_t *port, bool channelz)
{
    tern_server *srv;
    assert_int_equal(tern_server_new(NULL, &srv, &st), TERN_OK);
    if (channelz)
        assert_int_equal(tern_server_add_channelz(srv, &st), TERN_OK);
    assert_int_equal(tern_server_add_raw(srv, &unary_method, unary, NULL, &st), TERN_OK);
    assert_int_equal(tern_server_add_raw(srv, &bidi_method, bidi, NULL, &st), TERN_OK);
    assert_int_equal(tern_server_listen(srv, address, port, &st), TERN_OK);
    assert_int_equal(tern_server_start(srv, &st), TERN_OK);
    return srv;
}

static int setup(void **state)
{
    (void)state;
    char target[64];
    uint16_t port;
    admin = start("ipv4:127.0.0.1:0", &port, true);
    snprintf(target, sizeof target, "ipv4:127.0.0.1:%u", port);
    z = probe_channel(target);
    worker = start("ipv4:127.0.0.1:0", &port, false);
    snprintf(worker_target, sizeof worker_target, "ipv4:127.0.0.1:%u", port);
    work = probe_channel(worker_target);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tern_channel_free(work);
    tern_channel_free(z);
    tern_server_free(worker);
    tern_server_free(admin);
    return 0;
}

/* --- calls that are counted ------------------------------------------------------------------- */

static tern_code call_unary(tern_channel *ch, bool good)
{
    void *answer = NULL;
    size_t len;
    tern_code code =
        tern_call_unary(ch, &unary_method, NULL, "x", good ? 0 : 1, &answer, &len, &st);
    free(answer);
    return code;
}

static void make_calls(void)
{
    for (int i = 0; i < GOOD_CALLS; i++)
        assert_int_equal(call_unary(work, true), TERN_OK);
    for (int i = 0; i < BAD_CALLS; i++)
        assert_int_equal(call_unary(work, false), TERN_ABORTED);
}

static void make_stream(void)
{
    tern_stream *s;
    const void *data;
    size_t len;
    assert_int_equal(tern_stream_open(work, &bidi_method, NULL, &s, &st), TERN_OK);
    for (int i = 0; i < MESSAGES; i++) {
        assert_true(tern_stream_send(s, "abc", 3));
        assert_true(tern_stream_recv(s, &data, &len));
    }
    tern_stream_close_send(s);
    assert_false(tern_stream_recv(s, &data, &len));
    assert_int_equal(tern_stream_finish(s, &st), TERN_OK);
}

/* --- questions -------------------------------------------------------------------------------- */

static Grpc__Channelz__V1__GetServersResponse *servers(void)
{
    Grpc__Channelz__V1__GetServersRequest req = GRPC__CHANNELZ__V1__GET_SERVERS_REQUEST__INIT;
    Grpc__Channelz__V1__GetServersResponse *res = NULL;
    if (grpc_channelz_v1_channelz_get_servers(z, NULL, &req, &res, &st))
        fail_msg("%s", st.message);
    return res;
}

/* The worker is the newest server. */
static Grpc__Channelz__V1__GetServerResponse *get_worker(void)
{
    Grpc__Channelz__V1__GetServersResponse *all = servers();
    Grpc__Channelz__V1__GetServerRequest req = GRPC__CHANNELZ__V1__GET_SERVER_REQUEST__INIT;
    Grpc__Channelz__V1__GetServerResponse *res = NULL;
    assert_true(all->end);
    assert_int_equal(all->n_server, 2);
    assert_true(all->server[0]->ref->server_id < all->server[1]->ref->server_id);
    req.server_id = all->server[1]->ref->server_id;
    if (grpc_channelz_v1_channelz_get_server(z, NULL, &req, &res, &st))
        fail_msg("%s", st.message);
    grpc__channelz__v1__get_servers_response__free_unpacked(all, NULL);
    return res;
}

static Grpc__Channelz__V1__GetTopChannelsResponse *channels(int64_t start_id, int64_t max)
{
    Grpc__Channelz__V1__GetTopChannelsRequest req =
        GRPC__CHANNELZ__V1__GET_TOP_CHANNELS_REQUEST__INIT;
    Grpc__Channelz__V1__GetTopChannelsResponse *res = NULL;
    req.start_channel_id = start_id;
    req.max_results = max;
    if (grpc_channelz_v1_channelz_get_top_channels(z, NULL, &req, &res, &st))
        fail_msg("%s", st.message);
    return res;
}

/* Of the channel to this target; 0: none. */
static int64_t channel_id(const char *target)
{
    int64_t id = 0;
    Grpc__Channelz__V1__GetTopChannelsResponse *all = channels(0, 0);
    for (size_t i = 0; i < all->n_channel; i++)
        if (strcmp(all->channel[i]->data->target, target) == 0)
            id = all->channel[i]->ref->channel_id;
    grpc__channelz__v1__get_top_channels_response__free_unpacked(all, NULL);
    return id;
}

static Grpc__Channelz__V1__GetChannelResponse *get_channel(int64_t id)
{
    Grpc__Channelz__V1__GetChannelRequest req = GRPC__CHANNELZ__V1__GET_CHANNEL_REQUEST__INIT;
    Grpc__Channelz__V1__GetChannelResponse *res = NULL;
    req.channel_id = id;
    grpc_channelz_v1_channelz_get_channel(z, NULL, &req, &res, &st);
    return res;
}

static Grpc__Channelz__V1__GetSubchannelResponse *get_subchannel(const char *target)
{
    Grpc__Channelz__V1__GetChannelResponse *ch = get_channel(channel_id(target));
    Grpc__Channelz__V1__GetSubchannelRequest req = GRPC__CHANNELZ__V1__GET_SUBCHANNEL_REQUEST__INIT;
    Grpc__Channelz__V1__GetSubchannelResponse *res = NULL;
    assert_non_null(ch);
    assert_int_equal(ch->channel->n_subchannel_ref, 1);
    req.subchannel_id = ch->channel->subchannel_ref[0]->subchannel_id;
    if (grpc_channelz_v1_channelz_get_subchannel(z, NULL, &req, &res, &st))
        fail_msg("%s", st.message);
    grpc__channelz__v1__get_channel_response__free_unpacked(ch, NULL);
    return res;
}

static Grpc__Channelz__V1__GetServerSocketsResponse *server_sockets(void)
{
    Grpc__Channelz__V1__GetServerResponse *s = get_worker();
    Grpc__Channelz__V1__GetServerSocketsRequest req =
        GRPC__CHANNELZ__V1__GET_SERVER_SOCKETS_REQUEST__INIT;
    Grpc__Channelz__V1__GetServerSocketsResponse *res = NULL;
    req.server_id = s->server->ref->server_id;
    if (grpc_channelz_v1_channelz_get_server_sockets(z, NULL, &req, &res, &st))
        fail_msg("%s", st.message);
    grpc__channelz__v1__get_server_response__free_unpacked(s, NULL);
    return res;
}

static Grpc__Channelz__V1__GetSocketResponse *get_socket(int64_t id, bool summary)
{
    Grpc__Channelz__V1__GetSocketRequest req = GRPC__CHANNELZ__V1__GET_SOCKET_REQUEST__INIT;
    Grpc__Channelz__V1__GetSocketResponse *res = NULL;
    req.socket_id = id;
    req.summary = summary;
    grpc_channelz_v1_channelz_get_socket(z, NULL, &req, &res, &st);
    return res;
}

/* The one connection of the worker, and that of the channel to it. */
static Grpc__Channelz__V1__GetSocketResponse *server_socket(void)
{
    Grpc__Channelz__V1__GetServerSocketsResponse *refs = server_sockets();
    assert_int_equal(refs->n_socket_ref, 1);
    assert_true(refs->end);
    Grpc__Channelz__V1__GetSocketResponse *s = get_socket(refs->socket_ref[0]->socket_id, false);
    assert_non_null(s);
    grpc__channelz__v1__get_server_sockets_response__free_unpacked(refs, NULL);
    return s;
}

static Grpc__Channelz__V1__GetSocketResponse *client_socket(void)
{
    Grpc__Channelz__V1__GetSubchannelResponse *sub = get_subchannel(worker_target);
    assert_int_equal(sub->subchannel->n_socket_ref, 1);
    Grpc__Channelz__V1__GetSocketResponse *s =
        get_socket(sub->subchannel->socket_ref[0]->socket_id, false);
    assert_non_null(s);
    grpc__channelz__v1__get_subchannel_response__free_unpacked(sub, NULL);
    return s;
}

static void free_socket(Grpc__Channelz__V1__GetSocketResponse *s)
{
    grpc__channelz__v1__get_socket_response__free_unpacked(s, NULL);
}

/* A time within the last minute. */
static void assert_recent(const Google__Protobuf__Timestamp *t)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    assert_non_null(t);
    assert_true(t->seconds > now.tv_sec - 60 && t->seconds <= now.tv_sec + 1);
    assert_in_range(t->nanos, 0, 999999999);
}

/* --- what is told ----------------------------------------------------------------------------- */

static void test_server(void **state)
{
    (void)state;
    make_calls();
    Grpc__Channelz__V1__GetServerResponse *s = get_worker();
    const Grpc__Channelz__V1__ServerData *d = s->server->data;
    assert_int_equal(d->calls_started, GOOD_CALLS + BAD_CALLS);
    assert_int_equal(d->calls_succeeded, GOOD_CALLS);
    assert_int_equal(d->calls_failed, BAD_CALLS);
    assert_recent(d->last_call_started_timestamp);
    assert_recent(d->trace->creation_timestamp);
    assert_int_equal(d->trace->num_events_logged, 1);
    assert_non_null(strstr(d->trace->events[0]->description, "started"));
    assert_int_equal(s->server->n_listen_socket, 1);
    assert_string_equal(s->server->listen_socket[0]->name, worker_target);
    Grpc__Channelz__V1__GetSocketResponse *l =
        get_socket(s->server->listen_socket[0]->socket_id, false);
    assert_non_null(l->socket->local);
    assert_null(l->socket->remote);
    free_socket(l);
    grpc__channelz__v1__get_server_response__free_unpacked(s, NULL);
}

static void test_channel(void **state)
{
    (void)state;
    int64_t id = channel_id(worker_target);
    Grpc__Channelz__V1__GetChannelResponse *c = get_channel(id);
    assert_int_equal(c->channel->data->state->state,
                     GRPC__CHANNELZ__V1__CHANNEL_CONNECTIVITY_STATE__STATE__IDLE);
    assert_null(c->channel->data->last_call_started_timestamp);
    grpc__channelz__v1__get_channel_response__free_unpacked(c, NULL);
    make_calls();
    make_stream();
    c = get_channel(id);
    const Grpc__Channelz__V1__ChannelData *d = c->channel->data;
    assert_string_equal(c->channel->ref->name, worker_target);
    assert_int_equal(d->state->state, GRPC__CHANNELZ__V1__CHANNEL_CONNECTIVITY_STATE__STATE__READY);
    assert_int_equal(d->calls_started, GOOD_CALLS + BAD_CALLS + 1);
    assert_int_equal(d->calls_succeeded, GOOD_CALLS + 1);
    assert_int_equal(d->calls_failed, BAD_CALLS);
    assert_recent(d->last_call_started_timestamp);
    Grpc__Channelz__V1__GetSubchannelResponse *s = get_subchannel(worker_target);
    d = s->subchannel->data;
    assert_int_equal(d->calls_started, GOOD_CALLS + BAD_CALLS + 1);
    assert_int_equal(d->calls_succeeded, GOOD_CALLS + 1);
    assert_int_equal(d->calls_failed, BAD_CALLS);
    assert_int_equal(d->trace->n_events, 1);
    assert_non_null(strstr(d->trace->events[0]->description, "connected"));
    grpc__channelz__v1__get_subchannel_response__free_unpacked(s, NULL);
    grpc__channelz__v1__get_channel_response__free_unpacked(c, NULL);
}

static void expect_counts(const socket_message *s)
{
    const Grpc__Channelz__V1__SocketData *d = s->data;
    assert_int_equal(d->streams_started, GOOD_CALLS + BAD_CALLS + 1);
    assert_int_equal(d->streams_succeeded, GOOD_CALLS + BAD_CALLS + 1);
    assert_int_equal(d->streams_failed, 0);
    assert_int_equal(d->keep_alives_sent, 0);
    assert_recent(d->last_message_sent_timestamp);
    assert_recent(d->last_message_received_timestamp);
    assert_true(d->local_flow_control_window->value > 0);
    assert_true(d->remote_flow_control_window->value > 0);
    assert_int_equal(d->n_option, 1);
    assert_string_equal(d->option[0]->name, "TCP_INFO");
    Grpc__Channelz__V1__SocketOptionTcpInfo *info =
        grpc__channelz__v1__socket_option_tcp_info__unpack(
            NULL, d->option[0]->additional->value.len, d->option[0]->additional->value.data);
    assert_non_null(info);
    assert_true(info->tcpi_snd_mss > 0);
    grpc__channelz__v1__socket_option_tcp_info__free_unpacked(info, NULL);
    assert_null(s->security);
}

static void test_sockets(void **state)
{
    (void)state;
    make_calls();
    make_stream();
    Grpc__Channelz__V1__GetSocketResponse *s = server_socket(), *c = client_socket();
    expect_counts(s->socket);
    expect_counts(c->socket);
    assert_int_equal(c->socket->data->messages_sent, GOOD_CALLS + BAD_CALLS + MESSAGES);
    assert_int_equal(c->socket->data->messages_received, GOOD_CALLS + MESSAGES);
    assert_int_equal(s->socket->data->messages_received, GOOD_CALLS + BAD_CALLS + MESSAGES);
    assert_int_equal(s->socket->data->messages_sent, GOOD_CALLS + MESSAGES);
    assert_recent(c->socket->data->last_local_stream_created_timestamp);
    assert_null(c->socket->data->last_remote_stream_created_timestamp);
    assert_recent(s->socket->data->last_remote_stream_created_timestamp);
    assert_null(s->socket->data->last_local_stream_created_timestamp);
    /* The two ends of one connection. */
    assert_int_equal(c->socket->local->tcpip_address->ip_address.len, 4);
    assert_int_equal(c->socket->local->tcpip_address->port,
                     s->socket->remote->tcpip_address->port);
    assert_int_equal(c->socket->remote->tcpip_address->port,
                     s->socket->local->tcpip_address->port);
    Grpc__Channelz__V1__GetSocketResponse *summary = get_socket(s->socket->ref->socket_id, true);
    assert_int_equal(summary->socket->data->n_option, 0);
    free_socket(summary);
    free_socket(s);
    free_socket(c);
}

static void test_unix_socket(void **state)
{
    (void)state;
    char path[96], target[128];
    probe_unix_path(path);
    snprintf(target, sizeof target, "unix:%s", path);
    tern_server *srv = start(target, NULL, false);
    tern_channel *ch = probe_channel(target);
    assert_int_equal(call_unary(ch, true), TERN_OK);
    Grpc__Channelz__V1__GetSubchannelResponse *sub = get_subchannel(target);
    Grpc__Channelz__V1__GetSocketResponse *s =
        get_socket(sub->subchannel->socket_ref[0]->socket_id, false);
    assert_int_equal(s->socket->remote->address_case,
                     GRPC__CHANNELZ__V1__ADDRESS__ADDRESS_UDS_ADDRESS);
    assert_string_equal(s->socket->remote->uds_address->filename, path);
    assert_int_equal(s->socket->data->n_option, 0);
    free_socket(s);
    grpc__channelz__v1__get_subchannel_response__free_unpacked(sub, NULL);
    tern_channel_free(ch);
    tern_server_free(srv);
}

static void expect_cipher(const Grpc__Channelz__V1__GetSocketResponse *s)
{
    assert_non_null(s);
    assert_int_equal(s->socket->security->model_case, GRPC__CHANNELZ__V1__SECURITY__MODEL_TLS);
    assert_int_equal(s->socket->security->tls->cipher_suite_case,
                     GRPC__CHANNELZ__V1__SECURITY__TLS__CIPHER_SUITE_STANDARD_NAME);
    assert_int_equal(strncmp(s->socket->security->tls->standard_name, "TLS_", 4), 0);
}

static void test_tls(void **state)
{
    (void)state;
    tls_certs certs;
    tls_server secure;
    tls_certs_make(&certs);
    tern_tls_server *creds = tls_server_creds(&certs, (tern_tls_server_options){ 0 });
    tern_tls_client *own = tls_client_creds(&certs, (tern_tls_client_options){ 0 });
    tls_server_start(&secure, NULL, creds, 0);
    tern_channel *ch = tls_channel(secure.target, own);
    assert_int_equal(tls_echo(ch, 10, &st), TERN_OK);
    Grpc__Channelz__V1__GetSubchannelResponse *sub = get_subchannel(secure.target);
    Grpc__Channelz__V1__GetSocketResponse *s =
        get_socket(sub->subchannel->socket_ref[0]->socket_id, true);
    expect_cipher(s);
    /* The server's side of it. */
    Grpc__Channelz__V1__GetServersResponse *all = servers();
    Grpc__Channelz__V1__GetServerSocketsRequest req =
        GRPC__CHANNELZ__V1__GET_SERVER_SOCKETS_REQUEST__INIT;
    Grpc__Channelz__V1__GetServerSocketsResponse *refs;
    req.server_id = all->server[all->n_server - 1]->ref->server_id;
    assert_int_equal(grpc_channelz_v1_channelz_get_server_sockets(z, NULL, &req, &refs, &st),
                     TERN_OK);
    assert_int_equal(refs->n_socket_ref, 1);
    Grpc__Channelz__V1__GetSocketResponse *t = get_socket(refs->socket_ref[0]->socket_id, true);
    expect_cipher(t);
    free_socket(s);
    free_socket(t);
    grpc__channelz__v1__get_servers_response__free_unpacked(all, NULL);
    grpc__channelz__v1__get_server_sockets_response__free_unpacked(refs, NULL);
    grpc__channelz__v1__get_subchannel_response__free_unpacked(sub, NULL);
    tern_channel_free(ch);
    tls_server_stop(&secure);
    tern_tls_client_unref(own);
    tern_tls_server_unref(creds);
    tls_certs_free(&certs);
}

static void test_failing_channel(void **state)
{
    (void)state;
    tern_channel *ch = probe_channel("ipv4:127.0.0.1:1");
    assert_int_equal(call_unary(ch, true), TERN_UNAVAILABLE);
    Grpc__Channelz__V1__GetSubchannelResponse *sub = get_subchannel("ipv4:127.0.0.1:1");
    const Grpc__Channelz__V1__ChannelData *d = sub->subchannel->data;
    assert_int_equal(d->state->state,
                     GRPC__CHANNELZ__V1__CHANNEL_CONNECTIVITY_STATE__STATE__TRANSIENT_FAILURE);
    assert_int_equal(d->calls_failed, d->calls_started);
    assert_int_equal(d->trace->events[0]->severity,
                     GRPC__CHANNELZ__V1__CHANNEL_TRACE_EVENT__SEVERITY__CT_WARNING);
    assert_non_null(strstr(d->trace->events[0]->description, "127.0.0.1:1"));
    assert_recent(d->trace->events[0]->timestamp);
    assert_int_equal(sub->subchannel->n_socket_ref, 0);
    grpc__channelz__v1__get_subchannel_response__free_unpacked(sub, NULL);
    tern_channel_free(ch);
}

/* One server is not there, and is the first to be listed: the channel has both, and is ready. */
static void test_several_servers(void **state)
{
    (void)state;
    tern_channel_options o = TERN_CHANNEL_OPTIONS_INIT;
    char target[200];
    o.load_balancing = "round_robin";
    snprintf(target, sizeof target, "ipv4:127.0.0.1:1,%s", worker_target + strlen("ipv4:"));
    tern_channel *ch = probe_channel_with(target, &o);
    assert_int_equal(tern_channel_wait_ready(ch, PATIENCE_MS, &st), TERN_OK);
    Grpc__Channelz__V1__GetChannelResponse *res = get_channel(channel_id(target));
    assert_int_equal(res->channel->data->state->state,
                     GRPC__CHANNELZ__V1__CHANNEL_CONNECTIVITY_STATE__STATE__READY);
    assert_int_equal(res->channel->n_subchannel_ref, 2);
    assert_string_equal(res->channel->subchannel_ref[0]->name, "ipv4:127.0.0.1:1");
    assert_string_equal(res->channel->subchannel_ref[1]->name, worker_target);
    grpc__channelz__v1__get_channel_response__free_unpacked(res, NULL);
    tern_channel_free(ch);
}

/* --- coming and going ------------------------------------------------------------------------- */

static void test_gone(void **state)
{
    (void)state;
    assert_int_equal(call_unary(work, true), TERN_OK);
    int64_t id = channel_id(worker_target);
    Grpc__Channelz__V1__GetSocketResponse *s = server_socket(), *c = client_socket();
    tern_channel_free(work);
    work = NULL;
    assert_null(get_channel(id));
    assert_int_equal(st.code, TERN_NOT_FOUND);
    assert_null(get_socket(c->socket->ref->socket_id, true));
    assert_int_equal(st.code, TERN_NOT_FOUND);
    int64_t until = probe_now_ms() + PATIENCE_MS;
    Grpc__Channelz__V1__GetSocketResponse *still;
    while ((still = get_socket(s->socket->ref->socket_id, true))) { /* the server has to notice */
        free_socket(still);
        assert_true(probe_now_ms() < until);
    }
    free_socket(s);
    free_socket(c);
    assert_null(get_channel(0));
    assert_null(get_channel(-1));
    assert_null(get_channel(INT64_MAX));
    assert_int_equal(st.code, TERN_NOT_FOUND);
}

static void test_pages(void **state)
{
    (void)state;
    enum { N = TERN_LIMIT_CHANNELZ_RESULTS + 20 };
    static tern_channel *more[N];
    for (int i = 0; i < N; i++)
        more[i] = probe_channel("ipv4:127.0.0.1:1");
    Grpc__Channelz__V1__GetTopChannelsResponse *p = channels(0, 0);
    assert_int_equal(p->n_channel, TERN_LIMIT_CHANNELZ_RESULTS);
    assert_false(p->end);
    grpc__channelz__v1__get_top_channels_response__free_unpacked(p, NULL);
    p = channels(0, 1000000);
    assert_int_equal(p->n_channel, TERN_LIMIT_CHANNELZ_RESULTS);
    grpc__channelz__v1__get_top_channels_response__free_unpacked(p, NULL);
    int64_t next = 0;
    size_t seen = 0;
    bool end = false;
    while (!end) {
        p = channels(next, 7);
        for (size_t i = 0; i < p->n_channel; i++) {
            assert_true(p->channel[i]->ref->channel_id >= next);
            next = p->channel[i]->ref->channel_id + 1;
        }
        seen += p->n_channel;
        end = p->end;
        assert_true(p->n_channel == 7 || end);
        grpc__channelz__v1__get_top_channels_response__free_unpacked(p, NULL);
    }
    assert_int_equal(seen, N + 2); /* and those of the test itself */
    for (int i = 0; i < N; i++)
        tern_channel_free(more[i]);
    Grpc__Channelz__V1__GetTopChannelsRequest req =
        GRPC__CHANNELZ__V1__GET_TOP_CHANNELS_REQUEST__INIT;
    req.max_results = -1;
    assert_int_equal(grpc_channelz_v1_channelz_get_top_channels(z, NULL, &req, &p, &st),
                     TERN_INVALID_ARGUMENT);
}

static void test_not_by_itself(void **state)
{
    (void)state;
    Grpc__Channelz__V1__GetServersRequest req = GRPC__CHANNELZ__V1__GET_SERVERS_REQUEST__INIT;
    Grpc__Channelz__V1__GetServersResponse *res;
    assert_int_equal(grpc_channelz_v1_channelz_get_servers(work, NULL, &req, &res, &st),
                     TERN_UNIMPLEMENTED);
}

static atomic_bool stop;

static void *read_on(void *arg)
{
    (void)arg;
    while (!atomic_load(&stop)) {
        Grpc__Channelz__V1__GetTopChannelsResponse *p = channels(0, 0);
        for (size_t i = 0; i < p->n_channel; i++) {
            Grpc__Channelz__V1__GetSubchannelRequest req =
                GRPC__CHANNELZ__V1__GET_SUBCHANNEL_REQUEST__INIT;
            Grpc__Channelz__V1__GetSubchannelResponse *sub;
            if (p->channel[i]->n_subchannel_ref == 0)
                continue; /* it is just being made */
            req.subchannel_id = p->channel[i]->subchannel_ref[0]->subchannel_id;
            if (grpc_channelz_v1_channelz_get_subchannel(z, NULL, &req, &sub, NULL))
                continue; /* gone meanwhile */
            if (sub->subchannel->n_socket_ref)
                free_socket(get_socket(sub->subchannel->socket_ref[0]->socket_id, false));
            grpc__channelz__v1__get_subchannel_response__free_unpacked(sub, NULL);
        }
        grpc__channelz__v1__get_top_channels_response__free_unpacked(p, NULL);
    }
    return NULL;
}

/* Read by several threads while channels and connections come, work and go. */
static void test_read_meanwhile(void **state)
{
    (void)state;
    pthread_t readers[READERS];
    atomic_store(&stop, false);
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, read_on, NULL), 0);
    for (int i = 0; i < 60; i++) {
        tern_channel *ch = probe_channel(worker_target);
        for (int k = 0; k < 20; k++)
            assert_int_equal(call_unary(ch, true), TERN_OK);
        make_stream();
        tern_channel_free(ch);
    }
    atomic_store(&stop, true);
    for (int i = 0; i < READERS; i++)
        pthread_join(readers[i], NULL);
}

#define WITH(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(test_server),
        WITH(test_channel),
        WITH(test_sockets),
        WITH(test_tls),
        WITH(test_unix_socket),
        WITH(test_failing_channel),
        WITH(test_several_servers),
        WITH(test_gone),
        WITH(test_pages),
        WITH(test_not_by_itself),
        WITH(test_read_meanwhile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
