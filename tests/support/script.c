/* See script.h. */
#include "support/script.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/rawh2.h"
#include "wire/timeout.h"

#define TICK_MS 10
#define SOFT_MAX (256u * 1024)

static script_stream *of(tern__h2_stream *s)
{
    return (script_stream *)(void *)((char *)s - offsetof(script_stream, h2));
}

static uint32_t fill(tern__h2_field *to, const char *const from[8][2])
{
    uint32_t n = 0;
    while (n < 8 && from[n][0]) {
        to[n] = (tern__h2_field){ from[n][0], from[n][1], (uint32_t)strlen(from[n][0]),
                                  (uint32_t)strlen(from[n][1]), false };
        n++;
    }
    return n;
}

/* :status 103, of which HPACK's tables keep nothing. */
static void put_interim(script *s, const script_stream *st)
{
    uint8_t frame[] = "\0\0\5\1\4\0\0\0\0\x08\3" "103";
    frame[8] = (uint8_t)st->h2.id;
    for (unsigned i = 0; i < st->step->interim; i++)
        tern__buf_append(&s->out, frame, sizeof frame - 1);
}

static void respond(script *s, script_stream *st)
{
    put_interim(s, st);
    tern__h2_field headers[8];
    tern__h2_response r = { .headers = headers };
    r.n_headers = fill(headers, st->step->headers);
    r.n_trailers = fill(st->trailers, st->step->trailers);
    r.trailers = st->trailers;
    r.body = (const uint8_t *)st->step->body;
    r.body_len = st->step->body_len;
    tern__h2_respond(s->h2, &st->h2, &r);
}

static void act(script *s, script_stream *st)
{
    if (st->answered)
        return;
    st->answered = true;
    switch (st->step->action) {
    case SCRIPT_RESPOND:
    case SCRIPT_EARLY:
        respond(s, st);
        break;
    case SCRIPT_RESET:
        tern__h2_reset(s->h2, &st->h2, st->step->error);
        break;
    case SCRIPT_CLOSE:
        s->hang_up = true;
        break;
    case SCRIPT_GOAWAY: {
        /* last-stream-id 0: nothing was begun */
        static const uint8_t frame[] = { 0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 };
        tern__buf_append(&s->out, frame, sizeof frame);
        s->hang_up = true;
        break;
    }
    case SCRIPT_HEADERS: {
        /* END_HEADERS; :status 200, content-type by its place in HPACK's static table */
        uint8_t frame[] = "\0\0\24\1\4\0\0\0\0\x88\x0f\x10\x10" "application/grpc";
        frame[8] = (uint8_t)st->h2.id;
        tern__buf_append(&s->out, frame, sizeof frame - 1);
        break;
    }
    case SCRIPT_IGNORE:
        break;
    }
}

static tern__h2_stream *on_open(void *ctx, int32_t id)
{
    script *s = ctx;
    (void)id;
    for (size_t i = 0; i < SCRIPT_STREAMS_MAX; i++) {
        script_stream *st = &s->streams[i];
        if (st->used)
            continue;
        unsigned n = atomic_load(&s->requests);
        memset(st, 0, sizeof *st);
        st->used = true;
        st->step = &s->steps[n < s->n_steps ? n : s->n_steps - 1];
        atomic_store(&s->previous_attempts, -1);
        atomic_store(&s->timeout_ms, -1);
        return &st->h2;
    }
    return NULL;
}

static void on_headers_begin(void *ctx, tern__h2_stream *h2s)
{
    (void)ctx;
    (void)h2s;
}

static void on_field(void *ctx, tern__h2_stream *h2s, const tern__h2_field *f)
{
    script *s = ctx;
    (void)h2s;
    int64_t ns;
    if (strcmp(f->name, "grpc-previous-rpc-attempts") == 0)
        atomic_store(&s->previous_attempts, atoi(f->value));
    if (strcmp(f->name, "grpc-timeout") == 0 &&
        tern__timeout_decode(f->value, f->value_len, &ns) == 0)
        atomic_store(&s->timeout_ms, ns / 1000000);
}

static void on_headers_end(void *ctx, tern__h2_stream *h2s, bool end)
{
    script *s = ctx;
    unsigned n = atomic_load(&s->requests);
    if (n < SCRIPT_STEPS_MAX)
        atomic_store(&s->attempts[n], atomic_load(&s->previous_attempts));
    of(h2s)->number = n;
    atomic_store(&s->requests, n + 1);
    if (end || of(h2s)->step->action == SCRIPT_EARLY)
        act(s, of(h2s));
}

static void on_data(void *ctx, tern__h2_stream *h2s, const uint8_t *data, size_t len)
{
    script *s = ctx;
    (void)data;
    if (of(h2s)->number < SCRIPT_STEPS_MAX)
        atomic_fetch_add(&s->bytes[of(h2s)->number], (unsigned)len);
    /* an early answer comes from one that reads no further: the windows stay shut */
    if (of(h2s)->step->action != SCRIPT_EARLY)
        tern__h2_consume(s->h2, h2s, len);
}

static void on_end(void *ctx, tern__h2_stream *h2s)
{
    act(ctx, of(h2s));
}

static void on_close(void *ctx, tern__h2_stream *h2s, uint32_t error)
{
    script *s = ctx;
    if (error)
        atomic_fetch_add(&s->resets, 1);
    of(h2s)->used = false;
}

static const tern__h2_events events = {
    .on_open = on_open,
    .on_headers_begin = on_headers_begin,
    .on_field = on_field,
    .on_headers_end = on_headers_end,
    .on_data = on_data,
    .on_end = on_end,
    .on_close = on_close,
};

static bool ready(const script *s, int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    while (!atomic_load(&s->stop))
        if (poll(&p, 1, TICK_MS) > 0)
            return true;
    return false;
}

static bool send_all(script *s)
{
    while (s->out.len) {
        ssize_t n = send(s->fd, tern__buf_head(&s->out), s->out.len, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        tern__buf_consume(&s->out, (size_t)n);
    }
    return true;
}

static void converse(script *s)
{
    const tern__h2_options opt = { .concurrent_streams_max = 100,
                                     .stream_window_bytes = 65535,
                                     .connection_window_bytes = 65535,
                                     .window_bytes_max = 0 };
    uint8_t buf[16384];
    s->h2 = tern__h2_new(true, &opt, &events, s, &s->pool);
    s->hang_up = false;
    memset(s->streams, 0, sizeof s->streams);
    while (!s->hang_up && tern__h2_alive(s->h2)) {
        if (tern__h2_take(s->h2, &s->out, SOFT_MAX) < 0 || !send_all(s) || !ready(s, s->fd))
            break;
        ssize_t n = recv(s->fd, buf, sizeof buf, 0);
        if (n <= 0 || tern__h2_feed(s->h2, 0, buf, (size_t)n))
            break;
    }
    send_all(s);
    tern__h2_free(s->h2);
    tern__buf_deinit(&s->out);
    memset(&s->out, 0, sizeof s->out);
}

static void *run(void *arg)
{
    script *s = arg;
    while (ready(s, s->listen_fd)) {
        s->fd = accept(s->listen_fd, NULL, NULL);
        if (s->fd < 0)
            continue;
        atomic_fetch_add(&s->connections, 1);
        if (s->silent) {
            char byte;
            while (ready(s, s->fd) && recv(s->fd, &byte, 1, 0) == 1)
                ;
        } else {
            converse(s);
        }
        close(s->fd);
    }
    return NULL;
}

static void begin(script *s, const script_step *steps, size_t n_steps, bool silent)
{
    memset(s, 0, sizeof *s);
    s->steps = steps;
    s->n_steps = n_steps;
    s->silent = silent;
}

void script_start(script *s, const script_step *steps, size_t n_steps, bool silent)
{
    begin(s, steps, n_steps, silent);
    s->listen_fd = raw_listen(&s->port);
    snprintf(s->target, sizeof s->target, "ipv4:127.0.0.1:%u", s->port);
    assert_int_equal(pthread_create(&s->thread, NULL, run, s), 0);
}

void script_start_local(script *s, const script_step *steps, size_t n_steps)
{
    begin(s, steps, n_steps, false);
    s->listen_fd = raw_listen_local(s->target);
    assert_int_equal(pthread_create(&s->thread, NULL, run, s), 0);
}

void script_stop(script *s)
{
    atomic_store(&s->stop, true);
    pthread_join(s->thread, NULL);
    close(s->listen_fd);
    tern__pool_deinit(&s->pool);
}
