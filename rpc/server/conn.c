/* See conn.h. */
#include "server/conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <tern/limits.h>

#include "base/log.h"
#include "base/time.h"
#include "io/clock.h"
#include "io/socket.h"
#include "io/tls.h"
#include "server/fault.h"
#include "server/handshake.h"
#include "server/loop.h"
#include "server/overload.h"
#include "server/server.h"
#include "server/stream.h"

static const char late[] = "the deadline passed while the server was working on the call";

static tern_server_call *of(tern__h2_stream *s) { return TERN__CONTAINER(s, tern_server_call, h2); }

/* --- calls ------------------------------------------------------------------------------------ */

static tern_server_call *call_new(tern__conn *c)
{
    tern__loop *l = c->loop;
    tern_server_call *call = tern__pool_alloc(&l->pool, TERN__CALL_BYTES);
    if (!call)
        return NULL;
    memset(call, 0, sizeof *call);
    call->conn = c;
    call->loop = l;
    if (c->sock.tls)
        call->identity = tern__identity_ref(tern__tls_identity(c->sock.tls));
    call->timeout = -1;
    tern__list_init(&call->node);
    tern__list_append(&c->calls, &call->conn_node);
    if (c->n_calls++ == 0)
        tern__lifetime_busy(c);
    tern__context_init(&call->context, TERN__TIME_NEVER);
    size_t peer = (strlen(c->peer) + 16) & ~(size_t)15;
    memcpy(call->first_block, c->peer, strlen(c->peer) + 1);
    tern__arena_init(&call->arena, call->first_block + peer,
                     TERN__CALL_BYTES - sizeof *call - peer, 0);
    tern__metadata_init(&call->metadata, &call->arena);
    tern__message_reader_init(&call->reader, l->server->opt.receive_message_bytes_max,
                              tern__arena_alloc(&call->arena, TERN__CALL_SCRATCH),
                              TERN__CALL_SCRATCH);
    return call;
}

void tern__call_free(tern_server_call *call)
{
    tern__loop *l = call->loop;
    if (call->fault == TERN__FAULT_RESTS)
        tern__server_fault_gone(call);
    tern__list_remove(&call->node);
    tern__heap_remove(&l->deadlines, &call->timer);
    if (l->talks_to == call)
        l->talks_to = NULL;
    if (call->stream)
        tern__server_stream_free(call->stream);
    if (call->request_owned)
        free(call->request);
    tern__message_reader_deinit(&call->reader);
    tern_peer_identity_unref(call->identity);
    tern__context_deinit(&call->context);
    tern__arena_deinit(&call->arena);
    tern__pool_free(&l->pool, call);
}

void tern__call_counted(tern_server_call *call, bool ok)
{
    if (call->counted)
        tern__count_end(call->loop->calls, ok);
    call->counted = false;
}

/* It is not to be run any more. A call that is to be resumed is: what it holds must be freed. */
static void unqueue(tern_server_call *call)
{
    if (!call->queued || call->running)
        return;
    tern__list_remove(&call->node);
    call->queued = false;
}

/* The stream is gone; the call goes too unless a handler has it. */
static void call_detach(tern_server_call *call)
{
    tern__list_remove(&call->conn_node);
    if (--call->conn->n_calls == 0)
        tern__lifetime_rest(call->conn);
    call->h2.id = 0;
    tern__call_counted(call, false);
    if (call->gated && !call->running)
        tern__overload_gone(call);
    /* The context first: who returns from a wait finds the reason in it. */
    if (call->running)
        tern_context_cancel(&call->context);
    if (call->stream)
        tern__server_stream_stop(call);
    call->conn = NULL;
    if (call->running) {
        if (!call->queued)
            tern__list_remove(&call->node);
        tern__heap_remove(&call->loop->deadlines, &call->timer);
        if (call->gated)
            tern__overload_abandon(call);
    } else {
        tern__call_free(call);
    }
}

void tern__conn_complete(tern_server_call *call)
{
    if (call->stream && call->stream->resume) {
        tern__server_stream_park(call);
        return;
    }
    call->running = false;
    call->loop->n_running--;
    if (call->gated)
        tern__overload_end(call);
    if (call->stream) {
        tern__server_stream_count(call);
        tern__loop_service(call->loop); /* it must not be among the posted ones any more */
    }
    if (!call->conn) {
        tern__call_free(call);
        return;
    }
    if (call->stream) {
        /* What is left to send may wait for the client: its deadline stays armed. */
        tern__server_stream_stop(call);
    } else {
        tern__list_remove(&call->node);
        tern__heap_remove(&call->loop->deadlines, &call->timer);
    }
    if (call->code == TERN_OK && call->timeout > 0 &&
        tern__clock_now() >= call->context.deadline)
        tern__respond_status(call, TERN_DEADLINE_EXCEEDED, late);
    else
        tern__respond(call);
}

void tern__call_break(tern_server_call *call, tern_code code, const char *why)
{
    tern__respond_status(call, code, why);
    call->rejected = true;
    if (call->running)
        tern_context_cancel(&call->context);
    if (call->stream)
        tern__server_stream_stop(call);
    unqueue(call);
    if (call->gated && !call->running)
        tern__overload_gone(call);
}

void tern__call_expired(tern_server_call *call)
{
    if (call->fault == TERN__FAULT_RESTS) {
        tern__server_fault_expired(call);
        return;
    }
    if (call->gated == TERN__GATED_WAITS) {
        tern__overload_expired(call);
        return;
    }
    if (call->answered && call->stream && !call->running) {
        /* The client knows by its own clock: it does not take the rest. */
        tern__h2_reset(call->conn->h2, &call->h2, TERN__H2_CANCEL);
        tern__loop_dirty(call->loop, call->conn);
        return;
    }
    tern__call_break(call, TERN_DEADLINE_EXCEEDED, late);
}

/* --- events of the session -------------------------------------------------------------------- */

static tern__h2_stream *on_open(void *ctx, int32_t id)
{
    tern__conn *c = ctx;
    (void)id;
    if (c->closing)
        return NULL;
    tern_server_call *call = call_new(c);
    return call ? &call->h2 : NULL;
}

static void on_headers_begin(void *ctx, tern__h2_stream *s)
{
    (void)ctx;
    (void)s;
}

static void on_field(void *ctx, tern__h2_stream *s, const tern__h2_field *f)
{
    (void)ctx;
    tern__request_field(of(s), f);
}

static void on_headers_end(void *ctx, tern__h2_stream *s, bool end_stream)
{
    (void)ctx;
    tern_server_call *call = of(s);
    /* A second list is the client's trailers, which gRPC does not have: only its end counts. */
    tern__request_headers_end(call);
    if (end_stream)
        tern__request_end(call);
}

static void on_data(void *ctx, tern__h2_stream *s, const uint8_t *data, size_t len)
{
    tern__conn *c = ctx;
    tern_server_call *call = of(s);
    if (call->stream) {
        tern__server_stream_data(call, data, len);
        return;
    }
    /* What follows a request that is not gRPC is dropped; no more than a window of it is let in. */
    tern__h2_consume(c->h2, s->may_finish ? NULL : s, len);
    tern__request_data(call, data, len);
}

static void on_sent(void *ctx, tern__h2_stream *s)
{
    (void)ctx;
    tern__server_stream_sent(of(s));
}

static void on_end(void *ctx, tern__h2_stream *s)
{
    (void)ctx;
    tern__request_end(of(s));
}

static void on_close(void *ctx, tern__h2_stream *s, uint32_t error)
{
    (void)ctx;
    (void)error;
    tern_server_call *call = of(s);
    unqueue(call);
    call_detach(call);
}

static void on_settings(void *ctx)
{
    tern__conn *c = ctx;
    if (!c->settings_seen)
        tern__lifetime_shook_hands(c);
    c->settings_seen = true;
}

static void on_ping_ack(void *ctx, uint64_t opaque)
{
    tern__conn *c = ctx;
    if (opaque == TERN__H2_PING_DRAIN && c->drained)
        tern__conn_drain_final(c);
}

static void on_ping(void *ctx, bool payload_sent) { tern__lifetime_ping(ctx, payload_sent); }

static const tern__h2_events events = {
    .on_open = on_open,
    .on_headers_begin = on_headers_begin,
    .on_field = on_field,
    .on_headers_end = on_headers_end,
    .on_data = on_data,
    .on_end = on_end,
    .on_sent = on_sent,
    .on_close = on_close,
    .on_settings = on_settings,
    .on_ping_ack = on_ping_ack,
    .on_ping = on_ping,
};

/* --- life ------------------------------------------------------------------------------------- */

tern__conn *tern__conn_new(tern__loop *loop, const tern__accepted *a)
{
    const tern__h2_options opt = {
        .concurrent_streams_max = loop->server->opt.concurrent_streams_max,
        .stream_window_bytes = loop->server->opt.receive_window_bytes_max <
                                       TERN_LIMIT_STREAM_WINDOW_BYTES
                                   ? loop->server->opt.receive_window_bytes_max
                                   : TERN_LIMIT_STREAM_WINDOW_BYTES,
        .connection_window_bytes = TERN_LIMIT_CONNECTION_WINDOW_BYTES,
        .window_bytes_max = loop->server->opt.receive_window_bytes_max,
        .header_list_bytes_max = loop->server->opt.metadata_bytes_max,
        .resets_burst = loop->server->opt.resets_burst,
        .resets_per_second = loop->server->opt.resets_per_second,
    };
    tern__conn *c = calloc(1, sizeof *c);
    struct epoll_event ev = { .events = EPOLLIN, .data.ptr = c };
    if (!c) {
        close(a->fd);
        return NULL;
    }
    c->loop = loop;
    c->sock.fd = a->fd;
    tern__list_init(&c->calls);
    tern__list_init(&c->abandoned);
    tern__list_init(&c->dirty_node);
    tern__address_text(&a->peer, c->peer);
    tern__lifetime_watch_socket(c);
    c->h2 = tern__h2_new(true, &opt, &events, c, &loop->pool);
    if (!c->h2 || (a->tls && tern__tls_accept(&c->sock, a->tls)) ||
        tern__lifetime_begin(c, tern__clock_now()) ||
        epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, a->fd, &ev)) {
        tern__heap_remove(&loop->timers, &c->timer);
        tern__h2_free(c->h2);
        tern__socket_close(&c->sock);
        free(c);
        return NULL;
    }
    tern__list_append(&loop->conns, &c->node);
    loop->n_conns++;
    atomic_fetch_add(&loop->server->n_conns, 1);
    c->entity.fd = a->fd;
    c->entity.tls = a->tls != NULL;
    c->entity.socket = tern__h2_counters(c->h2);
    tern__registry_add(&c->entity, TERN__ENTITY_SOCKET, &loop->server->entity);
    tern__loop_dirty(loop, c);
    return c;
}

static void drop_calls(tern__conn *c)
{
    while (!tern__list_empty(&c->calls)) {
        tern_server_call *call = TERN__CONTAINER(c->calls.next, tern_server_call, conn_node);
        unqueue(call);
        call_detach(call);
    }
}

void tern__conn_free(tern__conn *c)
{
    tern__loop *l = c->loop;
    tern__registry_remove(&c->entity);
    drop_calls(c);
    tern__overload_forget(c);
    tern__heap_remove(&l->timers, &c->timer);
    tern__list_remove(&c->node);
    tern__list_remove(&c->dirty_node);
    tern__h2_free(c->h2);
    tern__buf_deinit(&c->out);
    /* Closing is not enough: as long as a forked child has the descriptor too, epoll would go on
     * telling of a connection that is gone. */
    epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, c->sock.fd, NULL);
    tern__socket_close(&c->sock);
    free(c);
    l->n_conns--;
    atomic_fetch_sub(&l->server->n_conns, 1);
}

/* --- socket ----------------------------------------------------------------------------------- */

bool tern__conn_readable(tern__conn *c)
{
    tern__loop *l = c->loop;
    int shaken = tern__conn_handshake(c);
    if (shaken <= 0)
        return shaken == 0;
    long n = tern__socket_read(&c->sock, l->read_buf, TERN__LOOP_READ_BYTES);
    if (n == -EAGAIN)
        return true;
    if (n <= 0) {
        tern__conn_free(c);
        return false;
    }
    if (c->closing) { /* what comes after the end of the session is dropped */
        c->dropped += c->ended ? (size_t)n : 0;
        if (c->dropped <= TERN_LIMIT_GOODBYE_BYTES)
            return true;
        tern__conn_free(c);
        return false;
    }
    int64_t now = l->now = tern__clock_now();
    tern__lifetime_read(c, now);
    if (tern__h2_feed(c->h2, now, l->read_buf, (size_t)n)) {
        tern__conn_suspect_tls(c, l->read_buf, (size_t)n);
        c->closing = true;
    }
    tern__loop_dirty(l, c);
    return true;
}

static void set_interest(tern__conn *c, bool out, bool paused)
{
    if (out == c->want_out && paused == c->paused)
        return;
    struct epoll_event ev = { .data.ptr = c };
    ev.events = (paused ? 0u : (uint32_t)EPOLLIN) | (out ? (uint32_t)EPOLLOUT : 0u);
    epoll_ctl(c->loop->epoll_fd, EPOLL_CTL_MOD, c->sock.fd, &ev);
    c->want_out = out;
    c->paused = paused;
}

/* What is queued could not all be written: wait for room, but not for ever, and read no more
 * requests from a peer that does not read its answers. */
static void wait_for_room(tern__conn *c, bool progress)
{
    tern__lifetime_stalled(c, progress);
    set_interest(c, true, c->out.len >= TERN_LIMIT_OUTBOUND_BYTES);
}

/* A connection with nothing to write has no buffer; while it writes it has the loop's, which stays
 * as large as the traffic needs. */
static void borrow_buffer(tern__conn *c)
{
    if (c->out.cap)
        return;
    c->out = c->loop->out;
    c->loop->out = (tern__buf){ 0 };
}

static void give_buffer_back(tern__conn *c)
{
    if (c->loop->out.cap)
        tern__buf_deinit(&c->out);
    else
        c->loop->out = c->out;
    c->out = (tern__buf){ 0 };
}

/* All is written: the socket is watched for reading only, and parked calls may send again. */
static void flows(tern__conn *c)
{
    if (!c->want_out)
        return;
    tern__lifetime_flows(c);
    set_interest(c, false, false);
    for (tern__list *n = c->calls.next; n != &c->calls; n = n->next) {
        tern_server_call *call = TERN__CONTAINER(n, tern_server_call, conn_node);
        if (call->stream)
            tern__server_stream_try_resume(call);
    }
}

/* Before the TLS handshake is over only its own records leave; the session's frames stay where they
 * are. */
static bool flush_handshake(tern__conn *c)
{
    tern__buf none = { 0 };
    int rv = tern__socket_flush(&c->sock, &none);
    if (rv < 0 || c->closing) {
        tern__conn_free(c);
        return false;
    }
    if (rv == 0)
        wait_for_room(c, false);
    else
        flows(c);
    return true;
}

/* Everything has been written. A socket that is closed while something unread lies in it, or comes
 * later, answers with a reset, and that throws away what the client has not received yet. So only
 * this side is closed, and what comes is dropped until the client closes, too. */
static void end(tern__conn *c)
{
    drop_calls(c);
    set_interest(c, false, false);
    tern__socket_end(&c->sock);
    c->closing = c->ended = true;
    tern__lifetime_goodbye(c);
}

bool tern__conn_flush(tern__conn *c)
{
    bool progress = false;
    tern__list_remove(&c->dirty_node);
    if (c->ended)
        return true;
    if (c->sock.tls && !tern__tls_ready(c->sock.tls))
        return flush_handshake(c);
    borrow_buffer(c);
    for (;;) {
        int more = tern__h2_take(c->h2, &c->out, TERN_LIMIT_OUTBOUND_BYTES);
        size_t before = c->out.len + tern__socket_unsent(&c->sock);
        int rv = tern__socket_flush(&c->sock, &c->out);
        progress |= c->out.len + tern__socket_unsent(&c->sock) < before;
        if (rv < 0 || (more < 0 && rv == 1)) {
            tern__conn_free(c);
            return false;
        }
        if (rv == 0) {
            wait_for_room(c, progress);
            return true;
        }
        if (more <= 0)
            break;
    }
    give_buffer_back(c);
    flows(c);
    if (c->closing || !tern__h2_alive(c->h2))
        end(c);
    return true;
}

void tern__conn_drain(tern__conn *c, const char *goaway)
{
    if (c->drained)
        return;
    c->drained = true;
    c->lifetime.goaway = goaway;
    if (tern__h2_goaway_notice(c->h2))
        c->closing = true;
    tern__lifetime_draining(c);
    tern__loop_dirty(c->loop, c);
}

void tern__conn_drain_final(tern__conn *c)
{
    if (c->final_goaway)
        return;
    c->final_goaway = true;
    tern__h2_goaway_debug(c->h2, TERN__H2_NO_ERROR, c->lifetime.goaway);
    tern__lifetime_warned(c);
    tern__loop_dirty(c->loop, c);
}

void tern__conn_cut(tern__conn *c, const char *why)
{
    for (tern__list *n = c->calls.next; n != &c->calls; n = n->next) {
        tern_server_call *call = TERN__CONTAINER(n, tern_server_call, conn_node);
        tern__call_break(call, TERN_UNAVAILABLE, why);
    }
    tern__conn_drain_final(c);
    c->closing = true;
    /* A peer that takes what is queued for it drop by drop has this long, no longer. */
    tern__lifetime_goodbye(c);
    tern__loop_dirty(c->loop, c);
}
