/* See transport.h. This file holds the life of a connection and what the session tells; drive.c
 * holds the waiting.
 *
 * States: new (SETTINGS awaited) → ready → draining (GOAWAY: old streams finish) → dead. A dead
 * transport fails its streams at once; the socket is closed with the last reference. */
#include "client/transport.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <tern/limits.h>

#include "base/time.h"
#include "client/drive.h"
#include "client/reactor.h"
#include "client/streaming.h"
#include "client/upkeep.h"
#include "io/clock.h"
#include "io/socket.h"
#include "io/tls.h"
#include "wire/status.h"

static tern__client_stream *of(tern__h2_stream *s)
{
    return TERN__CONTAINER(s, tern__client_stream, h2);
}

/* --- events of the session, with the lock held ------------------------------------------------ */

static void on_headers_begin(void *ctx, tern__h2_stream *s)
{
    (void)ctx;
    tern__response_begin(of(s));
}

static void on_field(void *ctx, tern__h2_stream *s, const tern__h2_field *f)
{
    (void)ctx;
    tern__response_field(of(s), f);
}

/* The whole answer is there. A server that has not read all of the request may leave the rest
 * unread (RFC 9113, 8.1): it need not be sent any more, and must not be waited for. on_close()
 * follows. */
static void stop_sending(tern__transport *t, tern__h2_stream *s)
{
    if (s->tx.off < s->tx.len || !s->tx.last)
        tern__h2_reset(t->h2, s, TERN__H2_NO_ERROR);
}

static void on_headers_end(void *ctx, tern__h2_stream *s, bool end_stream)
{
    tern__transport *t = ctx;
    if (!tern__response_headers_end(of(s), end_stream))
        tern__h2_reset(t->h2, s, TERN__H2_CANCEL);
    else if (end_stream)
        stop_sending(ctx, s);
    else if (of(s)->wake_at_headers && of(s)->wake)
        of(s)->wake(of(s));
}

/* A receiver that waits has nothing left: what comes goes where it would put it, and it need not be
 * woken before the message is complete. */
static void put_together(tern__transport *t, tern__client_stream *s, const uint8_t **data,
                         size_t *len)
{
    size_t all = *len;
    s->body->direct = tern__message_reader_feed(&s->reader, data, len);
    tern__h2_consume(t->h2, &s->h2, all - *len);
}

static void on_data(void *ctx, tern__h2_stream *s, const uint8_t *data, size_t len)
{
    tern__transport *t = ctx;
    tern__stream_body *body = of(s)->body;
    if (!body || !tern__response_has_body(of(s))) {
        tern__h2_consume(t->h2, s, len);
        if (!tern__response_data(of(s), data, len))
            tern__h2_reset(t->h2, s, TERN__H2_CANCEL);
        return;
    }
    if (body->receiving && !body->in.len && !body->direct && !of(s)->body_error)
        put_together(t, of(s), &data, &len);
    if (of(s)->body_error || tern__buf_append(&body->in, data, len)) {
        of(s)->body_error = -ENOMEM;
        tern__h2_consume(t->h2, s, len);
        tern__h2_reset(t->h2, s, TERN__H2_CANCEL);
        return;
    }
    tern__h2_hold(t->h2, len);
    if (body->direct || body->in.len)
        tern__client_stream_notify(of(s));
}

/* What a stream of messages has handed over is sent: the next portion, and room for the sender,
 * who is told of it where no thread waits for it. */
static void on_sent(void *ctx, tern__h2_stream *s)
{
    tern__transport *t = ctx;
    const tern__stream_body *b = of(s)->body;
    if (!b)
        return;
    bool was_full = b->sending.len + b->out.len >= TERN_LIMIT_STREAM_SEND_BYTES;
    tern__stream_send_more(t, of(s));
    if (was_full && of(s)->wake)
        of(s)->wake(of(s));
}

static void on_end(void *ctx, tern__h2_stream *s)
{
    stop_sending(ctx, s); /* without trailers; on_close() works the outcome out */
}

static void on_close(void *ctx, tern__h2_stream *h2s, uint32_t error)
{
    tern__transport *t = ctx;
    tern__client_stream *s = of(h2s);
    tern__response_close(s, error);
    tern__transport_forget(t, s);
    tern__client_stream_notify(s);
}

static void on_settings(void *ctx)
{
    tern__transport *t = ctx;
    t->ready = true;
    tern__transport_grant(t);
}

#define LAST_WORDS_MAX 100 /* of GOAWAY's debug data, in a message */

/* Debug data is for persons: nothing of it may move their terminal. */
static const char *last_words(const char *debug, size_t len, char out[LAST_WORDS_MAX + 1])
{
    size_t n = len < LAST_WORDS_MAX ? len : LAST_WORDS_MAX;
    for (size_t i = 0; i < n; i++)
        out[i] = (char)(debug[i] < 0x20 || debug[i] > 0x7E ? '?' : debug[i]);
    out[n] = '\0';
    return out;
}

static void on_goaway(void *ctx, int32_t last, uint32_t error, const char *debug, size_t debug_len)
{
    tern__transport *t = ctx;
    char words[LAST_WORDS_MAX + 1];
    (void)last; /* nghttp2 closes the streams above it with REFUSED_STREAM */
    if (!t->draining)
        snprintf(t->error, sizeof t->error, "the server is closing the connection: %s%s%s",
                 error ? tern__h2_error_name(error) : "going away", debug_len ? ": " : "",
                 last_words(debug, debug_len, words));
    t->draining = true;
    if (t->owner)
        t->owner->on_end(t->owner);
    t->too_many_pings |= tern__upkeep_is_calm_down(error, debug, debug_len);
    tern__transport_fail_queued(t);
}

static const tern__h2_events events = {
    .on_headers_begin = on_headers_begin,
    .on_field = on_field,
    .on_headers_end = on_headers_end,
    .on_data = on_data,
    .on_end = on_end,
    .on_sent = on_sent,
    .on_close = on_close,
    .on_settings = on_settings,
    .on_goaway = on_goaway,
};

/* --- streams ---------------------------------------------------------------------------------- */

void tern__transport_grant(tern__transport *t)
{
    if (tern__list_empty(&t->queue))
        return;
    uint32_t max = tern__h2_peer_streams_max(t->h2);
    while (t->n_streams < max && !tern__list_empty(&t->queue)) {
        tern__client_stream *s =
            TERN__CONTAINER(tern__list_pop(&t->queue), tern__client_stream, waiter.node);
        t->n_queued--;
        t->n_streams++;
        s->granted = true;
        tern__client_stream_notify(s);
    }
}

void tern__transport_forget(tern__transport *t, tern__client_stream *s)
{
    if (tern__list_empty(&s->open_node))
        return;
    tern__list_remove(&s->open_node);
    if (--t->n_streams == 0 && s->body) {
        /* A stream may end while nobody waits; a unary call says so (tern__transport_run). */
        t->last_active = tern__clock_now();
        if (t->bg_armed)
            tern__reactor_wake(t->loop);
    }
    if (t->retired && t->n_streams == 0)
        tern__reactor_wake(t->loop); /* which lets go of it */
    tern__transport_grant(t);
}

void tern__transport_fail_queued(tern__transport *t)
{
    const char *why = t->error[0] ? t->error : "the connection's stream ids are used up";
    tern__list *node;
    while ((node = tern__list_pop(&t->queue))) {
        tern__client_stream *s = TERN__CONTAINER(node, tern__client_stream, waiter.node);
        t->n_queued--;
        tern__response_fail(s, TERN__FATE_NEVER_SENT, TERN_UNAVAILABLE, why);
        tern__client_stream_notify(s);
    }
}

void tern__transport_die(tern__transport *t, const char *why)
{
    if (t->dead)
        return;
    t->dead = true;
    if (!t->error[0])
        snprintf(t->error, sizeof t->error, "%s", why);
    tern__transport_fail_queued(t);
    tern__list *node;
    while ((node = tern__list_pop(&t->open))) {
        tern__client_stream *s = TERN__CONTAINER(node, tern__client_stream, open_node);
        t->n_streams--;
        s->h2.id = 0;
        tern__response_fail(s, TERN__FATE_IN_DOUBT, TERN_UNAVAILABLE, t->error);
        tern__client_stream_notify(s);
    }
    shutdown(t->sock.fd, SHUT_RDWR);
    if (t->owner)
        t->owner->on_end(t->owner);
}

/* --- life ------------------------------------------------------------------------------------- */

static tern__transport *transport_alloc(tern__socket *sock, const tern__connect_bounds *bounds)
{
    const tern__h2_options opt = {
        .stream_window_bytes = bounds->upkeep->window_bytes_max < TERN_LIMIT_STREAM_WINDOW_BYTES
                                   ? bounds->upkeep->window_bytes_max
                                   : TERN_LIMIT_STREAM_WINDOW_BYTES,
        .connection_window_bytes = TERN_LIMIT_CONNECTION_WINDOW_BYTES,
        .window_bytes_max = bounds->upkeep->window_bytes_max,
        .header_list_bytes_max = bounds->upkeep->header_list_bytes_max,
    };
    tern__transport *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->sock = *sock;
    t->queue_max = bounds->queue_max;
    atomic_init(&t->refs, 1);
    tern__list_init(&t->waiters);
    tern__list_init(&t->queue);
    tern__list_init(&t->open);
    tern__list_init(&t->bg_node);
    t->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    t->h2 = t->wake_fd < 0 ? NULL : tern__h2_new(false, &opt, &events, t, &t->pool);
    if (!t->h2) {
        if (t->wake_fd >= 0)
            close(t->wake_fd);
        tern__pool_deinit(&t->pool);
        free(t);
        return NULL;
    }
    pthread_mutex_init(&t->lock, NULL);
    tern__upkeep_begin(t, bounds->upkeep);
    *sock = (tern__socket){ .fd = -1 };
    return t;
}

static void await_settings(tern__transport *t, const tern__connect_bounds *bounds)
{
    tern__drive_flush(t);
    while (!t->ready && !t->dead && tern_context_error(bounds->context) == TERN_OK) {
        if (tern__clock_now() >= bounds->deadline)
            return;
        tern__drive_poll(t, bounds->deadline, bounds->context ? TERN__CONNECT_SLICE_NS : 0);
    }
}

tern_code tern__transport_new(tern__socket *sock, const tern__connect_bounds *bounds,
                              tern__transport **ret, tern_status *reterr)
{
    tern__transport *t = transport_alloc(sock, bounds);
    if (!t) {
        tern__socket_close(sock);
        return tern_status_set(reterr, TERN_UNAVAILABLE,
                               "out of memory or file descriptors for a connection");
    }
    pthread_mutex_lock(&t->lock);
    t->led = true;
    await_settings(t, bounds);
    t->led = false;
    bool ok = t->ready && !t->dead && tern__socket_set_blocking(t->sock.fd) == 0;
    if (!ok)
        tern_status_set(reterr, TERN_UNAVAILABLE, "%s",
                        t->error[0] ? t->error : "no HTTP/2 SETTINGS came from the server in time");
    pthread_mutex_unlock(&t->lock);
    if (!ok) {
        tern__transport_unref(t);
        return TERN_UNAVAILABLE;
    }
    *ret = t;
    return TERN_OK;
}

void tern__transport_own(tern__transport *t, tern__transport_owner *owner)
{
    owner->hold(owner);
    pthread_mutex_lock(&t->lock);
    t->owner = owner;
    pthread_mutex_unlock(&t->lock);
}

tern__transport *tern__transport_ref(tern__transport *t)
{
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

void tern__transport_unref(tern__transport *t)
{
    if (!t || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1)
        return;
    tern__transport_owner *owner = t->owner;
    tern__registry_remove(&t->entity);
    tern__h2_free(t->h2);
    tern__pool_deinit(&t->pool);
    tern__buf_deinit(&t->out);
    tern__socket_close(&t->sock);
    close(t->wake_fd);
    pthread_mutex_destroy(&t->lock);
    free(t);
    if (owner)
        owner->release(owner);
}

void tern__transport_list(tern__transport *t, tern__entity *subchannel)
{
    t->entity.fd = t->sock.fd;
    t->entity.tls = t->sock.tls != NULL;
    if (t->sock.tls)
        atomic_store(&t->entity.cipher, tern__tls_cipher(t->sock.tls));
    t->entity.socket = tern__h2_counters(t->h2);
    tern__registry_add(&t->entity, TERN__ENTITY_SOCKET, subchannel);
}

bool tern__transport_usable(tern__transport *t)
{
    pthread_mutex_lock(&t->lock);
    bool ok = !t->dead && !t->draining;
    pthread_mutex_unlock(&t->lock);
    return ok;
}

void tern__transport_shutdown(tern__transport *t, const char *why)
{
    pthread_mutex_lock(&t->lock);
    if (!t->dead) {
        /* Say goodbye, as far as the socket takes it without waiting. */
        tern__h2_goaway_final(t->h2, TERN__H2_NO_ERROR);
        tern__drive_flush(t);
    }
    tern__transport_die(t, why);
    pthread_mutex_unlock(&t->lock);
}
