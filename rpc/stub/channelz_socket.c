/* See channelz.h: sockets. What the kernel knows of a socket is asked when somebody wants to see
 * it; the descriptor is open as long as the entity is listed. */
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "io/address.h"
#include "stub/channelz.h"

#define TCP_INFO_URL "type.googleapis.com/grpc.channelz.v1.SocketOptionTcpInfo"

typedef Grpc__Channelz__V1__Address address;

static bool look_up(int fd, bool remote, tern__address *ret)
{
    memset(ret, 0, sizeof *ret);
    ret->len = sizeof ret->u;
    return (remote ? getpeername(fd, &ret->u.sa, &ret->len)
                   : getsockname(fd, &ret->u.sa, &ret->len)) == 0;
}

static bool is_listening(const tern__entity *e) { return e->kind == TERN__ENTITY_LISTEN_SOCKET; }

Grpc__Channelz__V1__SocketRef *tern__channelz_socket_ref(tern__channelz *z, const tern__entity *e)
{
    char text[TERN__ADDRESS_TEXT_MAX] = "";
    tern__address a;
    Grpc__Channelz__V1__SocketRef *ref =
        tern__channelz_make(z, &grpc__channelz__v1__socket_ref__descriptor);
    if (!ref)
        return NULL;
    if (look_up(e->fd, !is_listening(e), &a))
        tern__address_text(&a, text);
    ref->socket_id = (int64_t)e->id;
    ref->name = tern__channelz_text(z, text);
    return ref;
}

/* --- addresses -------------------------------------------------------------------------------- */

static void set_ip(tern__channelz *z, address *to, const void *bytes, size_t len, uint16_t port)
{
    Grpc__Channelz__V1__Address__TcpIpAddress *tcp =
        tern__channelz_make(z, &grpc__channelz__v1__address__tcp_ip_address__descriptor);
    void *copy = tern_server_call_alloc(z->call, len);
    z->no_memory |= !copy;
    if (!tcp || !copy)
        return;
    memcpy(copy, bytes, len);
    tcp->ip_address = (ProtobufCBinaryData){ len, copy };
    tcp->port = port;
    to->tcpip_address = tcp;
    to->address_case = GRPC__CHANNELZ__V1__ADDRESS__ADDRESS_TCPIP_ADDRESS;
}

static void set_path(tern__channelz *z, address *to, const char *path)
{
    Grpc__Channelz__V1__Address__UdsAddress *uds =
        tern__channelz_make(z, &grpc__channelz__v1__address__uds_address__descriptor);
    if (!uds)
        return;
    uds->filename = tern__channelz_text(z, path);
    to->uds_address = uds;
    to->address_case = GRPC__CHANNELZ__V1__ADDRESS__ADDRESS_UDS_ADDRESS;
}

static address *describe_address(tern__channelz *z, int fd, bool remote)
{
    char text[TERN__ADDRESS_TEXT_MAX];
    tern__address a;
    if (!look_up(fd, remote, &a))
        return NULL;
    address *to = tern__channelz_make(z, &grpc__channelz__v1__address__descriptor);
    if (!to)
        return NULL;
    switch (a.u.sa.sa_family) {
    case AF_INET:
        set_ip(z, to, &a.u.in.sin_addr, sizeof a.u.in.sin_addr, ntohs(a.u.in.sin_port));
        break;
    case AF_INET6:
        set_ip(z, to, &a.u.in6.sin6_addr, sizeof a.u.in6.sin6_addr, ntohs(a.u.in6.sin6_port));
        break;
    default: /* "unix:/path" or "unix-abstract:name": without the scheme */
        tern__address_text(&a, text);
        set_path(z, to, strchr(text, ':') ? strchr(text, ':') + 1 : text);
    }
    return to;
}

/* --- security --------------------------------------------------------------------------------- */

static Grpc__Channelz__V1__Security *describe_security(tern__channelz *z, const tern__entity *e)
{
    const char *cipher = atomic_load(&e->cipher);
    if (!e->tls)
        return NULL;
    Grpc__Channelz__V1__Security *s =
        tern__channelz_make(z, &grpc__channelz__v1__security__descriptor);
    Grpc__Channelz__V1__Security__Tls *tls =
        tern__channelz_make(z, &grpc__channelz__v1__security__tls__descriptor);
    if (!s || !tls)
        return NULL;
    if (cipher) {
        tls->standard_name = tern__channelz_text(z, cipher);
        tls->cipher_suite_case = GRPC__CHANNELZ__V1__SECURITY__TLS__CIPHER_SUITE_STANDARD_NAME;
    }
    s->tls = tls;
    s->model_case = GRPC__CHANNELZ__V1__SECURITY__MODEL_TLS;
    return s;
}

/* --- options ---------------------------------------------------------------------------------- */

static Grpc__Channelz__V1__SocketOptionTcpInfo tcp_info_of(const struct tcp_info *from)
{
    Grpc__Channelz__V1__SocketOptionTcpInfo to = GRPC__CHANNELZ__V1__SOCKET_OPTION_TCP_INFO__INIT;
    to.tcpi_state = from->tcpi_state;
    to.tcpi_ca_state = from->tcpi_ca_state;
    to.tcpi_retransmits = from->tcpi_retransmits;
    to.tcpi_probes = from->tcpi_probes;
    to.tcpi_backoff = from->tcpi_backoff;
    to.tcpi_options = from->tcpi_options;
    to.tcpi_snd_wscale = from->tcpi_snd_wscale;
    to.tcpi_rcv_wscale = from->tcpi_rcv_wscale;
    to.tcpi_rto = from->tcpi_rto;
    to.tcpi_ato = from->tcpi_ato;
    to.tcpi_snd_mss = from->tcpi_snd_mss;
    to.tcpi_rcv_mss = from->tcpi_rcv_mss;
    to.tcpi_unacked = from->tcpi_unacked;
    to.tcpi_sacked = from->tcpi_sacked;
    to.tcpi_lost = from->tcpi_lost;
    to.tcpi_retrans = from->tcpi_retrans;
    to.tcpi_fackets = from->tcpi_fackets;
    to.tcpi_last_data_sent = from->tcpi_last_data_sent;
    to.tcpi_last_ack_sent = from->tcpi_last_ack_sent;
    to.tcpi_last_data_recv = from->tcpi_last_data_recv;
    to.tcpi_last_ack_recv = from->tcpi_last_ack_recv;
    to.tcpi_pmtu = from->tcpi_pmtu;
    to.tcpi_rcv_ssthresh = from->tcpi_rcv_ssthresh;
    to.tcpi_rtt = from->tcpi_rtt;
    to.tcpi_rttvar = from->tcpi_rttvar;
    to.tcpi_snd_ssthresh = from->tcpi_snd_ssthresh;
    to.tcpi_snd_cwnd = from->tcpi_snd_cwnd;
    to.tcpi_advmss = from->tcpi_advmss;
    to.tcpi_reordering = from->tcpi_reordering;
    return to;
}

/* NULL: no TCP, or no memory. */
static Grpc__Channelz__V1__SocketOption *describe_tcp(tern__channelz *z, int fd)
{
    struct tcp_info info;
    socklen_t len = sizeof info;
    memset(&info, 0, sizeof info);
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len))
        return NULL;
    const Grpc__Channelz__V1__SocketOptionTcpInfo m = tcp_info_of(&info);
    Grpc__Channelz__V1__SocketOption *o =
        tern__channelz_make(z, &grpc__channelz__v1__socket_option__descriptor);
    Google__Protobuf__Any *any = tern__channelz_make(z, &google__protobuf__any__descriptor);
    size_t size = protobuf_c_message_get_packed_size(&m.base);
    uint8_t *bytes = tern_server_call_alloc(z->call, size ? size : 1);
    z->no_memory |= !bytes;
    if (!o || !any || !bytes)
        return NULL;
    any->type_url = tern__channelz_text(z, TCP_INFO_URL);
    any->value = (ProtobufCBinaryData){ protobuf_c_message_pack(&m.base, bytes), bytes };
    o->name = tern__channelz_text(z, "TCP_INFO");
    o->additional = any;
    return o;
}

/* --- whole ------------------------------------------------------------------------------------ */

static Google__Protobuf__Int64Value *describe_window(tern__channelz *z, const tern__gauge *g)
{
    Google__Protobuf__Int64Value *v =
        tern__channelz_make(z, &google__protobuf__int64_value__descriptor);
    if (v)
        v->value = tern__gauge_get(g);
    return v;
}

static void fill_data(tern__channelz *z, Grpc__Channelz__V1__SocketData *d,
                      const tern__socket_counters *c)
{
    int64_t ended = (int64_t)tern__counter_get(&c->streams_ended);
    int64_t closed = (int64_t)tern__counter_get(&c->streams_closed);
    d->streams_succeeded = ended;
    d->streams_failed = closed > ended ? closed - ended : 0;
    d->streams_started = (int64_t)(tern__counter_get(&c->streams_local) +
                                   tern__counter_get(&c->streams_remote));
    d->messages_sent = (int64_t)tern__counter_get(&c->messages_sent);
    d->messages_received = (int64_t)tern__counter_get(&c->messages_received);
    d->keep_alives_sent = (int64_t)tern__counter_get(&c->keepalives_sent);
    d->last_local_stream_created_timestamp =
        tern__channelz_time(z, tern__gauge_get(&c->last_local_stream));
    d->last_remote_stream_created_timestamp =
        tern__channelz_time(z, tern__gauge_get(&c->last_remote_stream));
    d->last_message_sent_timestamp =
        tern__channelz_time(z, tern__gauge_get(&c->last_message_sent));
    d->last_message_received_timestamp =
        tern__channelz_time(z, tern__gauge_get(&c->last_message_received));
    d->local_flow_control_window = describe_window(z, &c->window_local);
    d->remote_flow_control_window = describe_window(z, &c->window_remote);
}

Grpc__Channelz__V1__Socket *tern__channelz_socket(tern__channelz *z, const tern__entity *e,
                                                  bool summary)
{
    Grpc__Channelz__V1__Socket *s = tern__channelz_make(z, &grpc__channelz__v1__socket__descriptor);
    Grpc__Channelz__V1__SocketData *d =
        tern__channelz_make(z, &grpc__channelz__v1__socket_data__descriptor);
    if (!s || !d)
        return NULL;
    s->ref = tern__channelz_socket_ref(z, e);
    s->data = d;
    s->local = describe_address(z, e->fd, false);
    s->security = describe_security(z, e);
    if (is_listening(e))
        return s;
    s->remote = describe_address(z, e->fd, true);
    fill_data(z, d, e->socket);
    if (!summary && (d->option = tern__channelz_array(z, 1)) &&
        (d->option[0] = describe_tcp(z, e->fd)))
        d->n_option = 1;
    return s;
}
