/* See channelz.h: channels, subchannels and servers. */
#include "stub/channelz.h"

#include <string.h>

#include "base/time.h"
#include "io/clock.h"

typedef Grpc__Channelz__V1__ChannelData channel_data;
typedef Grpc__Channelz__V1__ChannelTrace channel_trace;
typedef Grpc__Channelz__V1__ChannelTraceEvent trace_event;

void *tern__channelz_make(tern__channelz *z, const ProtobufCMessageDescriptor *type)
{
    ProtobufCMessage *m = tern_server_call_alloc(z->call, type->sizeof_message);
    if (m)
        protobuf_c_message_init(type, m);
    z->no_memory |= !m;
    return m;
}

void *tern__channelz_array(tern__channelz *z, size_t n)
{
    void *array = tern_server_call_alloc(z->call, (n ? n : 1) * sizeof(void *));
    z->no_memory |= !array;
    return array;
}

char *tern__channelz_text(tern__channelz *z, const char *s)
{
    char *copy = tern_server_call_strdup(z->call, s ? s : "");
    z->no_memory |= !copy;
    if (!copy)
        return (char *)(uintptr_t)protobuf_c_empty_string;
    for (char *c = copy; *c; c++)
        if (*c < 0x20 || *c > 0x7e)
            *c = '?';
    return copy;
}

Google__Protobuf__Timestamp *tern__channelz_time(tern__channelz *z, int64_t at)
{
    if (!at)
        return NULL;
    Google__Protobuf__Timestamp *t =
        tern__channelz_make(z, &google__protobuf__timestamp__descriptor);
    if (t) {
        int64_t ns = tern__clock_wall(at);
        t->seconds = ns / TERN__NS_PER_S;
        t->nanos = (int32_t)(ns % TERN__NS_PER_S);
    }
    return t;
}

/* --- parts ------------------------------------------------------------------------------------ */

static channel_trace *describe_trace(tern__channelz *z, const tern__trace *trace)
{
    if (!trace)
        return NULL;
    channel_trace *t = tern__channelz_make(z, &grpc__channelz__v1__channel_trace__descriptor);
    uint32_t n = tern__trace_kept(trace);
    trace_event **events = tern__channelz_array(z, n);
    if (!t || !events)
        return t;
    t->num_events_logged = (int64_t)trace->n;
    t->creation_timestamp = tern__channelz_time(z, trace->created);
    t->events = events;
    for (uint32_t i = 0; i < n; i++) {
        const tern__trace_event *from = tern__trace_at(trace, i);
        trace_event *e =
            tern__channelz_make(z, &grpc__channelz__v1__channel_trace_event__descriptor);
        if (!e)
            return t;
        e->description = tern__channelz_text(z, from->text);
        e->severity = (Grpc__Channelz__V1__ChannelTraceEvent__Severity)from->severity;
        e->timestamp = tern__channelz_time(z, from->at);
        events[t->n_events++] = e;
    }
    return t;
}

/* What an entity's counters add up to. */
typedef struct sums {
    int64_t started, succeeded, failed, last_started;
} sums;

static void add_own(sums *s, const tern__entity *e)
{
    for (uint32_t i = 0; i < e->n_calls; i++) {
        const tern__call_counters *c = &e->calls[i];
        int64_t last = tern__gauge_get(&c->last_started);
        /* The ends first: whoever subtracts finds no more of them than of beginnings. */
        s->succeeded += (int64_t)tern__counter_get(&c->succeeded);
        s->failed += (int64_t)tern__counter_get(&c->failed);
        s->started += (int64_t)tern__counter_get(&c->started);
        if (last > s->last_started)
            s->last_started = last;
    }
}

/* The calls of a channel's clusters are its own, too. */
static sums add_up(const tern__entity *e)
{
    sums s = { 0 };
    add_own(&s, e);
    for (const tern__entity *c = tern__registry_child(e, TERN__ENTITY_CHANNEL, 0); c;
         c = tern__registry_next_child(c))
        add_own(&s, c);
    return s;
}

/* A channel's is what its subchannels' come to, the best of them ("Connectivity Semantics and
 * API"); 0: it has none. */
static int state_of(const tern__entity *e)
{
    static const int worth[TERN__SHUTDOWN + 1] = { [TERN__TRANSIENT_FAILURE] = 1, [TERN__IDLE] = 2,
                                 [TERN__CONNECTING] = 3, [TERN__READY] = 4 };
    int best = 0;
    if (e->kind != TERN__ENTITY_CHANNEL)
        return atomic_load(&e->state);
    for (const tern__entity *c = tern__registry_child(e, TERN__ENTITY_SUBCHANNEL, 0); c;
         c = tern__registry_next_child(c)) {
        int state = atomic_load(&c->state);
        if (worth[state] > worth[best])
            best = state;
    }
    return best;
}

static channel_data *describe_data(tern__channelz *z, const tern__entity *e)
{
    channel_data *d = tern__channelz_make(z, &grpc__channelz__v1__channel_data__descriptor);
    if (!d)
        return NULL;
    const sums s = add_up(e);
    d->state =
        tern__channelz_make(z, &grpc__channelz__v1__channel_connectivity_state__descriptor);
    if (d->state)
        d->state->state = (Grpc__Channelz__V1__ChannelConnectivityState__State)state_of(e);
    d->target = tern__channelz_text(z, e->name);
    d->trace = describe_trace(z, e->trace);
    d->calls_started = s.started;
    d->calls_succeeded = s.succeeded;
    d->calls_failed = s.failed;
    d->last_call_started_timestamp = tern__channelz_time(z, s.last_started);
    return d;
}

static size_t count_children(const tern__entity *e, tern__entity_kind kind)
{
    size_t n = 0;
    for (const tern__entity *c = tern__registry_child(e, kind, 0); c;
         c = tern__registry_next_child(c))
        n++;
    return n;
}

static Grpc__Channelz__V1__SocketRef **describe_sockets(tern__channelz *z, const tern__entity *e,
                                                        tern__entity_kind kind, size_t *ret_n)
{
    Grpc__Channelz__V1__SocketRef **refs = tern__channelz_array(z, count_children(e, kind));
    *ret_n = 0;
    for (const tern__entity *c = tern__registry_child(e, kind, 0); refs && c;
         c = tern__registry_next_child(c)) {
        refs[*ret_n] = tern__channelz_socket_ref(z, c);
        if (!refs[*ret_n])
            break;
        ++*ret_n;
    }
    return refs;
}

static Grpc__Channelz__V1__SubchannelRef *subchannel_ref(tern__channelz *z, const tern__entity *e)
{
    Grpc__Channelz__V1__SubchannelRef *ref =
        tern__channelz_make(z, &grpc__channelz__v1__subchannel_ref__descriptor);
    if (ref) {
        ref->subchannel_id = (int64_t)e->id;
        ref->name = tern__channelz_text(z, e->name);
    }
    return ref;
}

/* One for each server of a channel that spreads its calls. */
static Grpc__Channelz__V1__SubchannelRef **describe_subchannels(tern__channelz *z,
                                                                const tern__entity *e,
                                                                size_t *ret_n)
{
    size_t n = count_children(e, TERN__ENTITY_SUBCHANNEL);
    Grpc__Channelz__V1__SubchannelRef **refs = tern__channelz_array(z, n);
    *ret_n = 0;
    for (const tern__entity *c = tern__registry_child(e, TERN__ENTITY_SUBCHANNEL, 0); refs && c;
         c = tern__registry_next_child(c)) {
        refs[*ret_n] = subchannel_ref(z, c);
        if (!refs[*ret_n])
            break;
        ++*ret_n;
    }
    return refs;
}

static Grpc__Channelz__V1__ChannelRef *channel_ref(tern__channelz *z, const tern__entity *e)
{
    Grpc__Channelz__V1__ChannelRef *ref =
        tern__channelz_make(z, &grpc__channelz__v1__channel_ref__descriptor);
    if (ref) {
        ref->channel_id = (int64_t)e->id;
        ref->name = tern__channelz_text(z, e->name);
    }
    return ref;
}

/* The clusters of a channel, which are channels. */
static Grpc__Channelz__V1__ChannelRef **describe_clusters(tern__channelz *z, const tern__entity *e,
                                                          size_t *ret_n)
{
    size_t n = count_children(e, TERN__ENTITY_CHANNEL);
    *ret_n = 0;
    if (n == 0)
        return NULL;
    Grpc__Channelz__V1__ChannelRef **refs = tern__channelz_array(z, n);
    for (const tern__entity *c = tern__registry_child(e, TERN__ENTITY_CHANNEL, 0); refs && c;
         c = tern__registry_next_child(c)) {
        refs[*ret_n] = channel_ref(z, c);
        if (!refs[*ret_n])
            break;
        ++*ret_n;
    }
    return refs;
}

/* --- whole ------------------------------------------------------------------------------------ */

Grpc__Channelz__V1__Channel *tern__channelz_channel(tern__channelz *z, const tern__entity *e)
{
    Grpc__Channelz__V1__Channel *c =
        tern__channelz_make(z, &grpc__channelz__v1__channel__descriptor);
    if (!c || !(c->ref = channel_ref(z, e)))
        return NULL;
    c->channel_ref = describe_clusters(z, e, &c->n_channel_ref);
    c->data = describe_data(z, e);
    c->subchannel_ref = describe_subchannels(z, e, &c->n_subchannel_ref);
    return c;
}

Grpc__Channelz__V1__Subchannel *tern__channelz_subchannel(tern__channelz *z, const tern__entity *e)
{
    Grpc__Channelz__V1__Subchannel *s =
        tern__channelz_make(z, &grpc__channelz__v1__subchannel__descriptor);
    if (!s)
        return NULL;
    s->ref = subchannel_ref(z, e);
    s->data = describe_data(z, e);
    s->socket_ref = describe_sockets(z, e, TERN__ENTITY_SOCKET, &s->n_socket_ref);
    return s;
}

Grpc__Channelz__V1__Server *tern__channelz_server(tern__channelz *z, const tern__entity *e)
{
    Grpc__Channelz__V1__Server *s = tern__channelz_make(z, &grpc__channelz__v1__server__descriptor);
    Grpc__Channelz__V1__ServerData *d =
        tern__channelz_make(z, &grpc__channelz__v1__server_data__descriptor);
    Grpc__Channelz__V1__ServerRef *ref =
        tern__channelz_make(z, &grpc__channelz__v1__server_ref__descriptor);
    if (!s || !d || !ref)
        return NULL;
    const sums total = add_up(e);
    ref->server_id = (int64_t)e->id;
    d->trace = describe_trace(z, e->trace);
    d->calls_started = total.started;
    d->calls_succeeded = total.succeeded;
    d->calls_failed = total.failed;
    d->last_call_started_timestamp = tern__channelz_time(z, total.last_started);
    s->ref = ref;
    s->data = d;
    s->listen_socket =
        describe_sockets(z, e, TERN__ENTITY_LISTEN_SOCKET, &s->n_listen_socket);
    return s;
}
