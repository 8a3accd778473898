/* How what `tern channelz` has fetched is shown: tables for people, JSON for programs. */
#include <arpa/inet.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "tools/tern/channelz.h"
#include "tools/tern/table.h"

typedef Google__Protobuf__Timestamp timestamp;

static const char *const STATES[] = { "UNKNOWN",           "IDLE",    "CONNECTING", "READY",
                                      "TRANSIENT_FAILURE", "SHUTDOWN" };
static const char *const SEVERITIES[] = { "UNKNOWN", "INFO", "WARNING", "ERROR" };

enum { WORD_MAX = 200 };

static const char *state_of(const Grpc__Channelz__V1__ChannelData *d)
{
    size_t state = d->state != NULL ? (size_t)d->state->state : 0;
    return state < sizeof(STATES) / sizeof(STATES[0]) ? STATES[state] : "UNKNOWN";
}

/* "127.0.0.1:80", "[::1]:80", a path, or "-". */
static void write_address(const Grpc__Channelz__V1__Address *a, char out[WORD_MAX])
{
    char ip[INET6_ADDRSTRLEN];
    (void)snprintf(out, WORD_MAX, "-");
    if (a == NULL) {
        return;
    }
    if (a->address_case == GRPC__CHANNELZ__V1__ADDRESS__ADDRESS_TCPIP_ADDRESS) {
        const Grpc__Channelz__V1__Address__TcpIpAddress *tcp = a->tcpip_address;
        bool v4 = tcp->ip_address.len == 4;
        if ((v4 || tcp->ip_address.len == 16) &&
            inet_ntop(v4 ? AF_INET : AF_INET6, tcp->ip_address.data, ip, sizeof(ip)) != NULL) {
            (void)snprintf(out, WORD_MAX, v4 ? "%s:%d" : "[%s]:%d", ip, tcp->port);
        }
    } else if (a->address_case == GRPC__CHANNELZ__V1__ADDRESS__ADDRESS_UDS_ADDRESS) {
        (void)snprintf(out, WORD_MAX, "unix:%s", a->uds_address->filename);
    } else if (a->address_case == GRPC__CHANNELZ__V1__ADDRESS__ADDRESS_OTHER_ADDRESS) {
        (void)snprintf(out, WORD_MAX, "%s", a->other_address->name);
    }
}

static const char *cipher_of(const Grpc__Channelz__V1__Socket *s)
{
    const Grpc__Channelz__V1__Security *security = s->security;
    if (security == NULL) {
        return "-";
    }
    if (security->model_case != GRPC__CHANNELZ__V1__SECURITY__MODEL_TLS) {
        return security->model_case == GRPC__CHANNELZ__V1__SECURITY__MODEL_OTHER
                   ? security->other->name
                   : "?";
    }
    switch (security->tls->cipher_suite_case) {
    case GRPC__CHANNELZ__V1__SECURITY__TLS__CIPHER_SUITE_STANDARD_NAME:
        return security->tls->standard_name;
    case GRPC__CHANNELZ__V1__SECURITY__TLS__CIPHER_SUITE_OTHER_NAME:
        return security->tls->other_name;
    default:
        return "TLS";
    }
}

/* --- tables ----------------------------------------------------------------------------------- */

/* "3.2s ago", "5m ago", "never"; by this machine's clock. */
static void add_age(cli_table *t, const timestamp *at)
{
    struct timespec now = { 0, 0 };
    if (at == NULL) {
        cli_table_add(t, "never");
        return;
    }
    (void)clock_gettime(CLOCK_REALTIME, &now);
    double s = (double)(now.tv_sec - at->seconds) + (double)(now.tv_nsec - at->nanos) / 1e9;
    s = s < 0 ? 0 : s;
    if (s < 120) {
        cli_table_add(t, "%.1fs ago", s);
    } else if (s < 7200) {
        cli_table_add(t, "%.0fm ago", s / 60);
    } else {
        cli_table_add(t, "%.0fh ago", s / 3600);
    }
}

static void add_number(cli_table *t, int64_t n)
{
    cli_table_add(t, "%lld", (long long)n);
}

/* Prints a table and frees it. `gap`: something stands above it. */
static int finish(cli_table *t, FILE *out, bool *gap, cli_error *e)
{
    int rc = t->text.error != 0 ? cli_fail_memory(e) : 0;
    if (rc == 0 && t->n_cells > t->n_columns) {
        if (*gap) {
            (void)fputc('\n', out);
        }
        cli_table_print(t, out);
        *gap = true;
    }
    cli_table_deinit(t);
    return rc;
}

static size_t count_sockets(const cli_channelz *z, const char *owner, int64_t id)
{
    size_t n = 0;
    for (size_t i = 0; i < z->n_sockets; i++) {
        n += z->sockets[i].owner_id == id && strcmp(z->sockets[i].owner, owner) == 0;
    }
    return n;
}

static void add_server(cli_table *t, const cli_channelz *z, const Grpc__Channelz__V1__Server *s)
{
    const Grpc__Channelz__V1__ServerData none = GRPC__CHANNELZ__V1__SERVER_DATA__INIT;
    const Grpc__Channelz__V1__ServerData *d = s->data != NULL ? s->data : &none;
    int64_t id = s->ref != NULL ? s->ref->server_id : 0;
    char listens[400] = "";
    size_t len = 0;
    for (size_t i = 0; i < s->n_listen_socket && len < sizeof(listens); i++) {
        len += (size_t)snprintf(listens + len, sizeof(listens) - len, "%s%s", i ? " " : "",
                                s->listen_socket[i]->name);
    }
    add_number(t, id);
    cli_table_add(t, "%s", len ? listens : "-");
    add_number(t, (int64_t)count_sockets(z, "server", id));
    add_number(t, d->calls_started);
    add_number(t, d->calls_succeeded);
    add_number(t, d->calls_failed);
    add_age(t, d->last_call_started_timestamp);
}

static void add_channel(cli_table *t, const Grpc__Channelz__V1__Channel *c)
{
    const Grpc__Channelz__V1__ChannelData none = GRPC__CHANNELZ__V1__CHANNEL_DATA__INIT;
    const Grpc__Channelz__V1__ChannelData *d = c->data != NULL ? c->data : &none;
    add_number(t, c->ref != NULL ? c->ref->channel_id : 0);
    cli_table_add(t, "%s", d->target);
    cli_table_add(t, "%s", state_of(d));
    add_number(t, d->calls_started);
    add_number(t, d->calls_succeeded);
    add_number(t, d->calls_failed);
    add_age(t, d->last_call_started_timestamp);
}

static void add_socket(cli_table *t, const cli_channelz_socket *entry)
{
    const Grpc__Channelz__V1__SocketData none = GRPC__CHANNELZ__V1__SOCKET_DATA__INIT;
    const Grpc__Channelz__V1__Socket *s = entry->answer->socket;
    char local[WORD_MAX], remote[WORD_MAX];
    if (s == NULL) {
        return;
    }
    const Grpc__Channelz__V1__SocketData *d = s->data != NULL ? s->data : &none;
    write_address(s->local, local);
    write_address(s->remote, remote);
    add_number(t, s->ref != NULL ? s->ref->socket_id : 0);
    cli_table_add(t, "%s %lld", entry->owner, (long long)entry->owner_id);
    cli_table_add(t, "%s", local);
    cli_table_add(t, "%s", remote);
    add_number(t, d->streams_started);
    add_number(t, d->streams_failed);
    add_number(t, d->messages_sent);
    add_number(t, d->messages_received);
    add_number(t, d->keep_alives_sent);
    cli_table_add(t, "%s", cipher_of(s));
}

int cli_channelz_tables(const cli_channelz *z, FILE *out, cli_error *e)
{
    static const char *const servers[] = { "SERVER", "LISTENS ON", "CONNECTIONS", "CALLS",
                                           "OK",     "FAILED",     "LAST CALL",   NULL };
    static const char *const channels[] = { "CHANNEL", "TARGET", "STATE",     "CALLS",
                                            "OK",      "FAILED", "LAST CALL", NULL };
    static const char *const sockets[] = { "SOCKET", "OF",   "LOCAL",    "REMOTE",     "STREAMS",
                                           "FAILED", "SENT", "RECEIVED", "KEEPALIVES", "TLS",
                                           NULL };
    cli_table t;
    bool gap = false;
    cli_table_init(&t, servers);
    for (size_t p = 0; p < z->n_servers; p++) {
        for (size_t i = 0; i < z->servers[p]->n_server; i++) {
            add_server(&t, z, z->servers[p]->server[i]);
        }
    }
    if (finish(&t, out, &gap, e) != 0) {
        return -1;
    }
    cli_table_init(&t, channels);
    for (size_t p = 0; p < z->n_channels; p++) {
        for (size_t i = 0; i < z->channels[p]->n_channel; i++) {
            add_channel(&t, z->channels[p]->channel[i]);
        }
    }
    if (finish(&t, out, &gap, e) != 0) {
        return -1;
    }
    cli_table_init(&t, sockets);
    for (size_t i = 0; i < z->n_sockets; i++) {
        add_socket(&t, &z->sockets[i]);
    }
    return finish(&t, out, &gap, e);
}

/* --- JSON ------------------------------------------------------------------------------------- */

/* RFC 3339, as protobuf writes a Timestamp; null for never. */
static json_t *time_json(const timestamp *at)
{
    char day[40], text[64];
    struct tm tm;
    if (at == NULL) {
        return json_null();
    }
    time_t s = (time_t)at->seconds;
    if (gmtime_r(&s, &tm) == NULL || strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm) == 0) {
        return json_null();
    }
    (void)snprintf(text, sizeof(text), "%s.%09dZ", day, (int)at->nanos);
    return json_string(text);
}

static json_t *events_json(const Grpc__Channelz__V1__ChannelTrace *trace)
{
    json_t *events = json_array();
    for (size_t i = 0; trace != NULL && i < trace->n_events; i++) {
        const Grpc__Channelz__V1__ChannelTraceEvent *e = trace->events[i];
        size_t severity = (size_t)e->severity;
        (void)json_array_append_new(
            events, json_pack("{s:o, s:s, s:s}", "at", time_json(e->timestamp), "severity",
                              severity < 4 ? SEVERITIES[severity] : "UNKNOWN", "description",
                              e->description));
    }
    return events;
}

static json_t *server_json(const Grpc__Channelz__V1__Server *s)
{
    const Grpc__Channelz__V1__ServerData none = GRPC__CHANNELZ__V1__SERVER_DATA__INIT;
    const Grpc__Channelz__V1__ServerData *d = s->data != NULL ? s->data : &none;
    json_t *listens = json_array();
    for (size_t i = 0; i < s->n_listen_socket; i++) {
        (void)json_array_append_new(listens, json_string(s->listen_socket[i]->name));
    }
    return json_pack("{s:I, s:o, s:I, s:I, s:I, s:o, s:o}", "id",
                     (json_int_t)(s->ref != NULL ? s->ref->server_id : 0), "listensOn", listens,
                     "callsStarted", (json_int_t)d->calls_started, "callsSucceeded",
                     (json_int_t)d->calls_succeeded, "callsFailed", (json_int_t)d->calls_failed,
                     "lastCallStarted", time_json(d->last_call_started_timestamp), "events",
                     events_json(d->trace));
}

static json_t *channel_json(const Grpc__Channelz__V1__Channel *c)
{
    const Grpc__Channelz__V1__ChannelData none = GRPC__CHANNELZ__V1__CHANNEL_DATA__INIT;
    const Grpc__Channelz__V1__ChannelData *d = c->data != NULL ? c->data : &none;
    return json_pack("{s:I, s:s, s:s, s:I, s:I, s:I, s:o, s:o}", "id",
                     (json_int_t)(c->ref != NULL ? c->ref->channel_id : 0), "target", d->target,
                     "state", state_of(d), "callsStarted", (json_int_t)d->calls_started,
                     "callsSucceeded", (json_int_t)d->calls_succeeded, "callsFailed",
                     (json_int_t)d->calls_failed, "lastCallStarted",
                     time_json(d->last_call_started_timestamp), "events", events_json(d->trace));
}

static json_t *window_json(const Google__Protobuf__Int64Value *v)
{
    return v != NULL ? json_integer((json_int_t)v->value) : json_null();
}

static json_t *socket_json(const cli_channelz_socket *entry)
{
    const Grpc__Channelz__V1__SocketData none = GRPC__CHANNELZ__V1__SOCKET_DATA__INIT;
    const Grpc__Channelz__V1__Socket *s = entry->answer->socket;
    const Grpc__Channelz__V1__SocketData *d = s != NULL && s->data != NULL ? s->data : &none;
    char local[WORD_MAX] = "-", remote[WORD_MAX] = "-";
    if (s == NULL) {
        return NULL;
    }
    write_address(s->local, local);
    write_address(s->remote, remote);
    json_t *o = json_pack(
        "{s:I, s:s, s:I, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "id",
        (json_int_t)(s->ref != NULL ? s->ref->socket_id : 0), "owner", entry->owner, "ownerId",
        (json_int_t)entry->owner_id, "local", local, "remote", remote, "streamsStarted",
        (json_int_t)d->streams_started, "streamsSucceeded", (json_int_t)d->streams_succeeded,
        "streamsFailed", (json_int_t)d->streams_failed, "messagesSent",
        (json_int_t)d->messages_sent, "messagesReceived", (json_int_t)d->messages_received,
        "keepAlivesSent", (json_int_t)d->keep_alives_sent);
    (void)json_object_set_new(o, "lastMessageSent", time_json(d->last_message_sent_timestamp));
    (void)json_object_set_new(o, "lastMessageReceived",
                              time_json(d->last_message_received_timestamp));
    (void)json_object_set_new(o, "localWindow", window_json(d->local_flow_control_window));
    (void)json_object_set_new(o, "remoteWindow", window_json(d->remote_flow_control_window));
    (void)json_object_set_new(o, "tls",
                              s->security != NULL ? json_string(cipher_of(s)) : json_null());
    return o;
}

int cli_channelz_json(const cli_channelz *z, FILE *out, cli_error *e)
{
    json_t *servers = json_array(), *channels = json_array(), *sockets = json_array();
    int bad = 0;
    for (size_t p = 0; p < z->n_servers; p++) {
        for (size_t i = 0; i < z->servers[p]->n_server; i++) {
            bad |= json_array_append_new(servers, server_json(z->servers[p]->server[i]));
        }
    }
    for (size_t p = 0; p < z->n_channels; p++) {
        for (size_t i = 0; i < z->channels[p]->n_channel; i++) {
            bad |= json_array_append_new(channels, channel_json(z->channels[p]->channel[i]));
        }
    }
    for (size_t i = 0; i < z->n_sockets; i++) {
        if (z->sockets[i].answer->socket != NULL) {
            bad |= json_array_append_new(sockets, socket_json(&z->sockets[i]));
        }
    }
    json_t *all =
        json_pack("{s:o, s:o, s:o}", "servers", servers, "channels", channels, "sockets", sockets);
    if (all == NULL || bad != 0) {
        json_decref(all);
        return cli_fail(e, CLI_EXIT_FAILURE, "out of memory, or a text that is not UTF-8");
    }
    bad = json_dumpf(all, out, JSON_INDENT(2));
    json_decref(all);
    (void)fputc('\n', out);
    /* That it could not be written is told by the rest of the command. */
    return bad != 0 && !ferror(out) ? cli_fail_memory(e) : 0;
}
