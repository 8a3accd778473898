/* See h2peer.h. */
#include "support/h2peer.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <tern/overload.h>

#include "base/list.h"
#include "support/probe.h"

/* Default of HTTP/2, so that a test can count on it. */
#define WINDOW_BYTES 65535u

static h2peer_stream *of(tern__h2_stream *s) { return TERN__CONTAINER(s, h2peer_stream, h2); }

static void on_headers_begin(void *ctx, tern__h2_stream *s)
{
    (void)ctx;
    of(s)->lists++;
}

static void keep(char *to, size_t cap, const tern__h2_field *f)
{
    snprintf(to, cap, "%.*s", (int)f->value_len, f->value);
}

static void on_field(void *ctx, tern__h2_stream *h2s, const tern__h2_field *f)
{
    (void)ctx;
    h2peer_stream *s = of(h2s);
    if (!strcmp(f->name, ":status"))
        s->http = atoi(f->value);
    else if (!strcmp(f->name, "grpc-status"))
        s->code = atoi(f->value);
    else if (!strcmp(f->name, "grpc-message"))
        keep(s->message, sizeof s->message, f);
    else if (!strcmp(f->name, "grpc-retry-pushback-ms"))
        keep(s->pushback, sizeof s->pushback, f);
    else if (!strcmp(f->name, "x-first"))
        keep(s->first, sizeof s->first, f);
    else if (!strcmp(f->name, "x-last"))
        keep(s->last, sizeof s->last, f);
}

static void on_headers_end(void *ctx, tern__h2_stream *s, bool end_stream)
{
    (void)ctx;
    of(s)->ended |= end_stream;
}

static void on_data(void *ctx, tern__h2_stream *h2s, const uint8_t *data, size_t len)
{
    h2peer *p = ctx;
    h2peer_stream *s = of(h2s);
    assert_int_equal(tern__buf_append(&s->data, data, len), 0);
    if (p->withhold)
        s->withheld += len;
    else
        tern__h2_consume(p->h2, h2s, len);
}

static void on_end(void *ctx, tern__h2_stream *s)
{
    (void)ctx;
    of(s)->ended = true;
}

static void on_close(void *ctx, tern__h2_stream *h2s, uint32_t error)
{
    h2peer *p = ctx;
    h2peer_stream *s = of(h2s);
    s->closed = true;
    s->error = error;
    s->h2.id = 0;
    if (s->withheld)
        tern__h2_consume(p->h2, NULL, s->withheld);
    s->withheld = 0;
}

static void on_goaway(void *ctx, int32_t last, uint32_t error, const char *debug, size_t len)
{
    h2peer *p = ctx;
    (void)last;
    (void)error;
    (void)debug;
    (void)len;
    p->goaway = true;
}

static const tern__h2_events events = {
    .on_headers_begin = on_headers_begin,
    .on_field = on_field,
    .on_headers_end = on_headers_end,
    .on_data = on_data,
    .on_end = on_end,
    .on_close = on_close,
    .on_goaway = on_goaway,
};

void h2peer_connect(h2peer *p, uint16_t port) { h2peer_connect_wide(p, port, WINDOW_BYTES); }

void h2peer_connect_wide(h2peer *p, uint16_t port, uint32_t window_bytes)
{
    const tern__h2_options opt = { .stream_window_bytes = window_bytes,
                                   .connection_window_bytes = window_bytes };
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
    int one = 1;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    memset(p, 0, sizeof *p);
    p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(p->fd >= 0);
    assert_int_equal(connect(p->fd, (struct sockaddr *)&a, sizeof a), 0);
    setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    p->h2 = tern__h2_new(false, &opt, &events, p, &p->pool);
    assert_non_null(p->h2);
}

void h2peer_close(h2peer *p)
{
    if (!p->h2)
        return;
    close(p->fd);
    tern__h2_free(p->h2);
    tern__buf_deinit(&p->out);
    tern__pool_deinit(&p->pool);
    p->h2 = NULL;
}

static void flush(h2peer *p)
{
    int more;
    do {
        more = tern__h2_take(p->h2, &p->out, 1u << 20);
        while (p->out.len && !p->gone) {
            ssize_t n = send(p->fd, tern__buf_head(&p->out), p->out.len,
                             MSG_NOSIGNAL | MSG_DONTWAIT);
            if (n < 0 && errno == EAGAIN)
                return;
            if (n < 0)
                p->gone = true;
            else
                tern__buf_consume(&p->out, (size_t)n);
        }
    } while (more > 0 && !p->gone);
}

void h2peer_open(h2peer *p, h2peer_stream *s, const h2peer_request *r)
{
    tern__h2_field f[9];
    uint32_t n = 0;
    tern__buf_deinit(&s->data);
    memset(s, 0, sizeof *s);
    s->code = -1;
    f[n++] = (tern__h2_field)TERN__H2_FIXED(":method", "POST");
    f[n++] = (tern__h2_field)TERN__H2_FIXED(":scheme", "http");
    f[n++] = (tern__h2_field){ ":path", r->path, 5, (uint32_t)strlen(r->path), false };
    f[n++] = (tern__h2_field)TERN__H2_FIXED(":authority", "test");
    f[n++] = (tern__h2_field)TERN__H2_FIXED("te", "trailers");
    f[n++] = (tern__h2_field)TERN__H2_FIXED("content-type", "application/grpc");
    if (r->timeout)
        f[n++] = (tern__h2_field){ "grpc-timeout", r->timeout, 12, (uint32_t)strlen(r->timeout),
                                   false };
    if (r->encoding)
        f[n++] = (tern__h2_field){ "grpc-encoding", r->encoding, 13,
                                   (uint32_t)strlen(r->encoding), false };
    if (r->priority)
        f[n++] = (tern__h2_field){ TERN_PRIORITY_KEY, r->priority, strlen(TERN_PRIORITY_KEY),
                                   (uint32_t)strlen(r->priority), false };
    assert_int_equal(tern__h2_request(p->h2, &s->h2, f, n, NULL, 0, false), 0);
    flush(p);
}

void h2peer_send(h2peer *p, h2peer_stream *s, const void *data, size_t len, bool last)
{
    tern__h2_send(p->h2, &s->h2, data, len, last);
    flush(p);
}

void h2peer_reset(h2peer *p, h2peer_stream *s, uint32_t error)
{
    tern__h2_cancel(p->h2, &s->h2, error);
    h2peer_credit(p, s); /* to the connection: the stream is gone */
}

void h2peer_credit(h2peer *p, h2peer_stream *s)
{
    size_t n = s->withheld;
    s->withheld = 0;
    if (n)
        tern__h2_consume(p->h2, &s->h2, n);
    flush(p);
}

void h2peer_stream_free(h2peer_stream *s) { tern__buf_deinit(&s->data); }

/* One round: whether something came within timeout_ms. */
static bool round_trip(h2peer *p, int timeout_ms)
{
    static uint8_t bytes[65536];
    flush(p);
    struct pollfd pfd = { .fd = p->fd, .events = POLLIN };
    if (p->out.len)
        pfd.events |= POLLOUT;
    if (p->gone || poll(&pfd, 1, timeout_ms) <= 0)
        return false;
    if (!(pfd.revents & (POLLIN | POLLHUP | POLLERR)))
        return true;
    ssize_t n = recv(p->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN) ||
        (n > 0 && tern__h2_feed(p->h2, 0, bytes, (size_t)n)))
        p->gone = true;
    if (!p->gone)
        flush(p);
    return true;
}

bool h2peer_until(h2peer *p, int timeout_ms, bool (*done)(void *ctx), void *ctx)
{
    int64_t until = probe_now_ms() + timeout_ms;
    while (!done(ctx)) {
        int64_t left = until - probe_now_ms();
        if (left <= 0 || p->gone)
            return false;
        round_trip(p, left < 20 ? (int)left : 20); /* done() may look at other things */
    }
    return true;
}

static bool is_closed(void *ctx) { return ((h2peer_stream *)ctx)->closed; }

static bool is_sent(void *ctx)
{
    const h2peer_stream *s = ctx;
    return s->closed || s->h2.tx.off == s->h2.tx.len;
}

bool h2peer_closed(h2peer *p, h2peer_stream *s, int timeout_ms)
{
    return h2peer_until(p, timeout_ms, is_closed, s);
}

bool h2peer_sent(h2peer *p, h2peer_stream *s, int timeout_ms)
{
    return h2peer_until(p, timeout_ms, is_sent, s);
}

void h2peer_settle(h2peer *p, int quiet_ms)
{
    while (round_trip(p, quiet_ms) && !p->gone)
        ;
}

void h2peer_message(tern__buf *to, const void *data, size_t len)
{
    const uint8_t prefix[5] = { 0, (uint8_t)(len >> 24), (uint8_t)(len >> 16), (uint8_t)(len >> 8),
                                (uint8_t)len };
    assert_int_equal(tern__buf_append(to, prefix, 5), 0);
    assert_int_equal(tern__buf_append(to, data, len), 0);
}

bool h2peer_next(const h2peer_stream *s, size_t *off, const uint8_t **data, size_t *len)
{
    size_t left = s->data.len - *off;
    const uint8_t *p = left ? tern__buf_head(&s->data) + *off : NULL;
    if (left < 5)
        return false;
    *len = (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];
    if (left - 5 < *len)
        return false;
    *data = p + 5;
    *off += 5 + *len;
    return true;
}
