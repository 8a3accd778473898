/* Waiting on a connection: leader and followers (transport.h).
 *
 * A lone caller that nobody can cancel sleeps in the read itself and so pays one system call beside
 * its write; it is deaf to wake_fd meanwhile, which is of no harm: what another thread has to
 * write, that thread writes. Else the leader polls, then reads. With many callers each wake-up of
 * the leader serves all responses that arrived together; a follower is woken for its own response
 * or to lead, never else. */
#include "client/drive.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <tern/limits.h>

#include "base/time.h"
#include "client/reactor.h"
#include "client/streaming.h"
#include "client/upkeep.h"
#include "io/clock.h"
#include "io/socket.h"
#include "io/tls.h"

/* Bytes read at once, on the leader's stack. */
#define READ_BYTES (32u * 1024)
/* Reads in a row before others get the lock. */
#define READS_PER_TURN 16
/* Memory an output buffer keeps that is used for little: so many writes in a row, or none. */
#define OUT_KEEP_BYTES (16u * 1024)
#define SMALL_FLUSHES 16u
/* Shorter waits than this take poll: the kernel's limit on a read is counted in its ticks (1 to
 * 10 ms), comes up to two of them late, and when it is long up to an eighth besides. */
#define READ_LIMIT_MIN_NS (150 * TERN__NS_PER_MS)
/* A follower that writes for a deaf leader looks so often whether its own answer has come. */
#define WRITE_SLICE_NS (10 * TERN__NS_PER_MS)

void tern__drive_wake(tern__transport *t)
{
    if (!t->led || t->deaf || t->wake_sent)
        return;
    uint64_t one = 1;
    t->wake_sent = write(t->wake_fd, &one, sizeof one) == (ssize_t)sizeof one;
}

/* The end of the stream. Before there is HTTP/2 it often means the wrong choice of port. */
static const char *end_of(const tern__transport *t)
{
    if (t->ready)
        return "the server closed the connection";
    return t->sock.tls ? "the server closed the connection before its HTTP/2 SETTINGS (does it "
                         "want a client certificate, or another one?)"
                       : "the server closed the connection before its HTTP/2 SETTINGS (does this "
                         "port expect TLS?)";
}

/* Whether the first bytes are of another protocol, and of which; SETTINGS begin with a length,
 * whose high byte is no letter. */
static bool is_no_http2(const tern__transport *t, const uint8_t *buf, size_t n, char why[320])
{
    enum { LINE_MAX_SHOWN = 60 };
    int line = 0;
    if (t->ready)
        return false;
    if (!t->sock.tls && tern__tls_is_alert(buf, n)) {
        strcpy(why, "this port takes TLS only (the channel's option `tls`)");
        return true;
    }
    while ((size_t)line < n && line < LINE_MAX_SHOWN && buf[line] >= ' ' && buf[line] <= '~')
        line++;
    if (line < 4)
        return false;
    bool http1 = line > 5 && memcmp(buf, "HTTP/", 5) == 0;
    snprintf(why, 320, "it does not speak %s on this port: it said \"%.*s\"",
             http1 ? "HTTP/2, which gRPC needs, but HTTP/1" : "HTTP/2", line, (const char *)buf);
    return true;
}

/* Handles the result of a read; true while the connection lives. */
static bool take_in(tern__transport *t, const uint8_t *buf, long n)
{
    char why[320];
    if (n == -EAGAIN)
        return true;
    if (n == 0) {
        tern__transport_die(t, end_of(t));
        return false;
    }
    if (n < 0) {
        snprintf(why, sizeof why, "the connection failed: %s", tern__socket_reason(&t->sock, n));
        tern__transport_die(t, why);
        return false;
    }
    if (is_no_http2(t, buf, (size_t)n, why)) {
        tern__transport_die(t, why);
        return false;
    }
    int64_t now = tern__clock_now();
    tern__keepalive_read(&t->keepalive, now);
    if (tern__h2_feed(t->h2, now, buf, (size_t)n)) {
        snprintf(why, sizeof why, "the HTTP/2 session with the server failed: %s",
                 tern__h2_error_text(t->h2));
        tern__transport_die(t, why);
        return false;
    }
    return true;
}

/* Reads and feeds until the socket is empty; true while the connection lives. */
static bool read_all(tern__transport *t, uint8_t *buf)
{
    for (int i = 0; i < READS_PER_TURN; i++) {
        long n = tern__socket_read(&t->sock, buf, READ_BYTES);
        if (!take_in(t, buf, n))
            return false;
        if (n < (long)READ_BYTES)
            break;
    }
    return true;
}

bool tern__drive_take_in_all(tern__transport *t)
{
    uint8_t buf[READ_BYTES];
    return read_all(t, buf);
}

/* Acknowledgements leave between large messages: one small write does not mean that the room will
 * not be needed again, which would have to be made page after page. */
static void settle_out(tern__transport *t, size_t used)
{
    if (t->out.cap / 4 <= used)
        t->small_flushes = 0;
    else if (used && ++t->small_flushes >= SMALL_FLUSHES)
        tern__drive_rest(t);
}

void tern__drive_rest(tern__transport *t)
{
    t->small_flushes = 0;
    tern__buf_trim(&t->out, OUT_KEEP_BYTES);
}

/* Takes what there is to say and writes what can be written: as tern__socket_flush(). Large payload
 * goes from where it lies to the kernel. What owns it can't go meanwhile: that takes the lock. TLS
 * wants whole records, so it is given one run of bytes. *ret_more: there is more to take;
 * *ret_used: bytes of the buffer that were needed. */
static int take_and_write(tern__transport *t, bool *ret_more, size_t *ret_used)
{
    tern__pieces pieces;
    pieces.n = 0;
    pieces.len = 0;
    int more = t->sock.tls
                   ? tern__h2_take(t->h2, &t->out, TERN_LIMIT_OUTBOUND_BYTES)
                   : tern__h2_take_pieces(t->h2, &t->out, &pieces, TERN_LIMIT_OUTBOUND_BYTES);
    *ret_more = more > 0;
    *ret_used = t->out.len;
    int rv = more < 0   ? more
             : pieces.n ? tern__socket_flush_pieces(&t->sock, &t->out, &pieces)
                        : tern__socket_flush(&t->sock, &t->out);
    if (t->out.len > *ret_used)
        *ret_used = t->out.len;
    tern__h2_written(t->h2);
    return rv;
}

void tern__drive_flush(tern__transport *t)
{
    size_t used = 0;
    while (!t->dead) {
        bool more;
        size_t now;
        int rv = take_and_write(t, &more, &now);
        used = now > used ? now : used;
        if (rv < 0) {
            /* What the server said before it hung up decides what may be repeated: read it
             * first. */
            uint8_t buf[READ_BYTES];
            if (read_all(t, buf))
                tern__transport_die(t, "the connection failed while sending");
            return;
        }
        if (rv == 0 || !more)
            break;
    }
    settle_out(t, used);
    if (!t->dead && !tern__h2_alive(t->h2)) {
        char why[320] = "the connection has ended";
        const char *reason = tern__h2_error_text(t->h2);
        if (reason[0])
            snprintf(why, sizeof why, "the HTTP/2 session with the server failed: %.256s", reason);
        tern__transport_die(t, why);
    }
}

/* What was read may have left something to say: acknowledgements, window updates, the end. */
static void flush_answers(tern__transport *t)
{
    if (tern__drive_unsent(t) || tern__h2_wants_take(t->h2) || !tern__h2_alive(t->h2))
        tern__drive_flush(t);
}

void tern__drive_poll(tern__transport *t, int64_t deadline, int64_t slice)
{
    uint8_t buf[READ_BYTES];
    struct pollfd p[2] = {
        { .fd = t->sock.fd, .events = (short)(POLLIN | (tern__drive_unsent(t) ? POLLOUT : 0)) },
        { .fd = t->wake_fd, .events = POLLIN },
    };
    pthread_mutex_unlock(&t->lock);
    int rv = tern__clock_poll(p, 2, deadline, slice);
    pthread_mutex_lock(&t->lock);
    if (rv <= 0 || t->dead)
        return;
    if (p[1].revents) {
        uint64_t n;
        ssize_t got = read(t->wake_fd, &n, sizeof n);
        (void)got; /* non-blocking; nothing to read is fine */
        t->wake_sent = false;
    }
    if (p[0].revents & (POLLIN | POLLHUP | POLLERR) && !read_all(t, buf))
        return;
    flush_answers(t);
}

/* Puts a limit on the read that ends it before the deadline, not after. The one that is set already
 * will do if it is near enough: calls with equal timeouts set it once. False: the rest is too short
 * for it. Nor is TLS read like this: what a TLS session reads is not what the socket gives. */
static bool limit_read(tern__transport *t, int64_t deadline)
{
    int64_t want = 0;
    if (t->sock.tls)
        return false;
    if (deadline != TERN__TIME_NEVER) {
        if (tern__clock_source_get()) /* the kernel does not know a test's clock */
            return false;
        int64_t left = deadline - tern__clock_now();
        if (left < READ_LIMIT_MIN_NS)
            return false;
        if (t->receive_timeout && t->receive_timeout <= left - left / 4 &&
            t->receive_timeout >= left / 2)
            return true;
        want = left - left / 4 - left / 8;
    }
    if (want == t->receive_timeout)
        return true;
    if (tern__socket_set_receive_timeout(t->sock.fd, want))
        return false;
    t->receive_timeout = want;
    return true;
}

/* A leader that is alone: sleeps in the read. */
static void drive_read(tern__transport *t)
{
    uint8_t buf[READ_BYTES];
    t->deaf = true;
    pthread_mutex_unlock(&t->lock);
    long n = tern__socket_read_blocking(&t->sock, buf, READ_BYTES);
    pthread_mutex_lock(&t->lock);
    t->deaf = false;
    if (!t->dead && take_in(t, buf, n))
        flush_answers(t);
}

void tern__drive_async_end(tern__transport *t)
{
    t->n_async--;
    if (t->retired && t->n_async == 0)
        tern__reactor_wake(t->loop);
}

/* To a follower, else to a thread whose stream is queued, else to the loop if calls with callbacks
 * are open. */
void tern__drive_pass_lead(tern__transport *t)
{
    if (t->led)
        return;
    if (!tern__list_empty(&t->waiters)) {
        pthread_cond_signal(&TERN__CONTAINER(t->waiters.next, tern__waiter, node)->cond);
        return;
    }
    for (tern__list *n = t->queue.next; n != &t->queue; n = n->next) {
        tern__client_stream *s = TERN__CONTAINER(n, tern__client_stream, waiter.node);
        if (!s->wake) {
            pthread_cond_signal(&s->waiter.cond);
            return;
        }
    }
    if (t->n_async && t->loop && !t->dead && (!t->bg_armed || tern__drive_unsent(t)))
        tern__reactor_arm(t);
}

bool tern__transport_service(tern__transport *t)
{
    uint8_t buf[READ_BYTES];
    pthread_mutex_lock(&t->lock);
    if (!t->led && !t->dead) {
        bool asked = t->keepalive.pinged_at != TERN__TIME_NEVER;
        t->led = true;
        if (read_all(t, buf))
            tern__drive_flush(t);
        t->led = false;
        /* The loop waits for the answer to a PING; the next one may be due before that time. */
        if (asked && t->keepalive.pinged_at == TERN__TIME_NEVER && t->loop)
            tern__reactor_wake(t->loop);
    }
    bool live = !t->dead;
    tern__drive_pass_lead(t);
    pthread_mutex_unlock(&t->lock);
    return live;
}

/* --- a caller's wait -------------------------------------------------------------------------- */

static bool settled(const tern__transport *t, const tern__client_stream *s, tern__wait_for what)
{
    if (s->done || s->cancelled || t->dead)
        return true;
    switch (what) {
    case TERN__WAIT_PLACE:
        return s->granted;
    case TERN__WAIT_HEADERS:
        return s->headers_seen;
    case TERN__WAIT_DATA:
        return s->body->in.len != 0 || s->body->direct;
    case TERN__WAIT_ROOM:
        return tern__stream_unsent(s) < TERN_LIMIT_STREAM_SEND_BYTES;
    default:
        return false;
    }
}

/* The leader is deaf and something is to be written: wait for room in the socket in its place. */
static void write_for_leader(tern__transport *t, int64_t deadline)
{
    struct pollfd p = { .fd = t->sock.fd, .events = POLLOUT };
    pthread_mutex_unlock(&t->lock);
    tern__clock_poll(&p, 1, deadline, WRITE_SLICE_NS);
    pthread_mutex_lock(&t->lock);
    if (!t->dead)
        tern__drive_flush(t);
}

static void lead(tern__transport *t, const tern__client_stream *s, int64_t deadline)
{
    t->led = true;
    if (t->bg_armed)
        tern__reactor_disarm(t);
    if (tern__upkeep_on(t))
        deadline = tern__time_min(deadline, tern__upkeep(t, true));
    if (t->dead) {
        t->led = false;
        return;
    }
    if (s->may_be_deaf && t->n_streams == 1 && t->out.len == 0 && limit_read(t, deadline))
        drive_read(t);
    else
        tern__drive_poll(t, deadline, 0);
    t->led = false;
}

void tern__drive_await(tern__transport *t, tern__client_stream *s, tern__waiter *w,
                       tern__wait_for what, int64_t deadline)
{
    /* Who leads at once looks at the clock for how long to wait, and need not do so twice. */
    for (bool looked = !t->led; !settled(t, s, what); looked = false) {
        if (!looked && deadline != TERN__TIME_NEVER && tern__clock_now() >= deadline)
            return;
        if (!t->led) {
            lead(t, s, deadline);
            continue;
        }
        if (t->deaf && t->out.len) {
            write_for_leader(t, deadline);
            continue;
        }
        /* A queued stream stands in `queue` with its node already. */
        if (what != TERN__WAIT_PLACE)
            tern__list_append(&t->waiters, &w->node);
        tern__clock_wait(&w->cond, &t->lock, deadline, 0);
        if (what != TERN__WAIT_PLACE)
            tern__list_remove(&w->node);
    }
}

void tern__drive_give_up(tern__transport *t, tern__client_stream *s, tern__attempt_fate fate)
{
    if (s->done)
        return;
    s->given_up = true;
    /* The deadline first: a server cancels what runs into it, and that is its reason. */
    if (s->cancelled && tern__clock_now() < s->deadline)
        tern__response_fail(s, fate, TERN_CANCELLED, "the call was cancelled by its caller");
    else
        tern__response_fail(s, fate, TERN_DEADLINE_EXCEEDED,
                            fate == TERN__FATE_NEVER_SENT
                                ? "the deadline passed while waiting for a free stream"
                            : s->blocks ? "the deadline passed before the server's answer had ended"
                                        : "the deadline passed before the server had answered");
    if (fate == TERN__FATE_NEVER_SENT) {
        if (s->granted) {
            t->n_streams--;
            tern__transport_grant(t);
        } else if (!tern__list_empty(&s->waiter.node)) {
            tern__list_remove(&s->waiter.node);
            t->n_queued--;
        }
        return;
    }
    tern__h2_cancel(t->h2, &s->h2, TERN__H2_CANCEL);
    tern__transport_forget(t, s);
    tern__drive_flush(t);
}

/* Asks for a place for the stream under MAX_CONCURRENT_STREAMS: it has one (granted), waits for one
 * in the queue, or may not even wait (done). */
static void ask_for_place(tern__transport *t, tern__client_stream *s)
{
    if (t->n_streams < tern__h2_peer_streams_max(t->h2) && tern__list_empty(&t->queue)) {
        t->n_streams++;
        s->granted = true;
    } else if (t->n_queued >= t->queue_max) {
        tern__response_fail(s, TERN__FATE_NEVER_SENT, TERN_RESOURCE_EXHAUSTED,
                            "too many calls wait for a free stream (calls_waiting_max)");
    } else {
        tern__list_append(&t->queue, &s->waiter.node);
        t->n_queued++;
    }
}

/* Finds a place; true when the stream has one. */
static bool take_place(tern__transport *t, tern__client_stream *s, const tern__request *r)
{
    ask_for_place(t, s);
    if (s->granted || s->done)
        return s->granted;
    tern__drive_await(t, s, &s->waiter, TERN__WAIT_PLACE, r->deadline);
    if (s->done)
        return false;
    if (!s->granted || s->cancelled || t->dead || t->draining) {
        if (t->dead || t->draining)
            tern__response_fail(s, TERN__FATE_NEVER_SENT, TERN_UNAVAILABLE, t->error);
        if (s->granted && s->done) {
            t->n_streams--;
            return false;
        }
        tern__drive_give_up(t, s, TERN__FATE_NEVER_SENT);
        return false;
    }
    return true;
}

/* It gives no more streams: who waits for one finds another connection. */
static void retire(tern__transport *t)
{
    t->draining = true;
    tern__transport_fail_queued(t);
}

static bool send_request(tern__transport *t, tern__client_stream *s, const tern__request *r)
{
    int rv = tern__h2_request(t->h2, &s->h2, r->fields, r->n_fields, r->message, r->len,
                             r->last);
    if (rv) {
        t->n_streams--;
        if (rv == -ENOBUFS)
            retire(t);
        tern__response_fail(s, TERN__FATE_NEVER_SENT,
                            rv == -ENOBUFS ? TERN_UNAVAILABLE : TERN_RESOURCE_EXHAUSTED,
                            rv == -ENOBUFS ? "the connection's stream ids are used up"
                                           : "out of memory while sending the request");
        tern__drive_flush(t); /* a session without memory has ended */
        return false;
    }
    tern__gauge_set(&tern__h2_counters(t->h2)->last_local_stream, r->now);
    if (r->len)
        tern__count_sent(tern__h2_counters(t->h2), 1, r->now);
    tern__list_append(&t->open, &s->open_node);
    if (tern__h2_ids_spent(t->h2))
        retire(t);
    if (r->lazy) {
        t->unflushed = true;
        return true;
    }
    tern__drive_flush(t);
    if (tern__drive_unsent(t))
        tern__drive_wake(t); /* the leader must poll for room in the socket */
    return true;
}

static void on_context_cancel(tern__context_listener *self)
{
    tern__cancel_link *link = TERN__CONTAINER(self, tern__cancel_link, listener);
    pthread_mutex_lock(&link->t->lock);
    link->s->cancelled = true;
    tern__client_stream_notify(link->s);
    tern__drive_wake(link->t);
    pthread_mutex_unlock(&link->t->lock);
}

bool tern__drive_listen(tern__cancel_link *link, tern_context *context)
{
    link->listener.on_cancel = on_context_cancel;
    return tern__context_listen(context, &link->listener);
}

/* Whether a stream may be opened at all; the outcome otherwise in *s. */
static bool may_open(tern__transport *t, tern__client_stream *s, const tern__request *r)
{
    s->deadline = r->deadline;
    if (s->cancelled) {
        tern__drive_give_up(t, s, TERN__FATE_NEVER_SENT);
        return false;
    }
    /* A connection that was silent for long is asked for a sign of life before the request, so that
     * a dead one is found out as early as can be (gRFC A8). Who leads does so by itself. */
    if (tern__upkeep_on(t) && !t->led && !t->dead)
        tern__upkeep(t, true);
    if (t->dead || t->draining) {
        tern__response_fail(s, TERN__FATE_NEVER_SENT, TERN_UNAVAILABLE, t->error);
        return false;
    }
    return true;
}

void tern__drive_start(tern__transport *t, tern__client_stream *s, const tern__request *r)
{
    if (!may_open(t, s, r))
        return;
    ask_for_place(t, s);
    tern__drive_granted(t, s, r);
}

void tern__drive_granted(tern__transport *t, tern__client_stream *s, const tern__request *r)
{
    if (!s->granted || s->done || s->h2.id)
        return;
    if (t->dead || t->draining) {
        tern__response_fail(s, TERN__FATE_NEVER_SENT, TERN_UNAVAILABLE, t->error);
        t->n_streams--;
        return;
    }
    send_request(t, s, r);
}

bool tern__drive_open(tern__transport *t, tern__client_stream *s, const tern__request *r)
{
    if (!may_open(t, s, r) || !take_place(t, s, r) || !send_request(t, s, r))
        return false;
    if (t->bg_armed && tern__upkeep_on(t))
        tern__reactor_wake(t->loop); /* it watched a connection without calls */
    return true;
}

void tern__transport_run(tern__transport *t, tern__client_stream *s, const tern__request *r)
{
    tern__cancel_link link = { .t = t, .s = s };
    tern__waiter_init(&s->waiter);
    s->may_be_deaf = r->context == NULL;
    if (r->context && !tern__drive_listen(&link, r->context))
        s->cancelled = true;
    pthread_mutex_lock(&t->lock);
    if (tern__drive_open(t, s, r)) {
        tern__drive_await(t, s, &s->waiter, TERN__WAIT_END, r->deadline);
        tern__drive_give_up(t, s, TERN__FATE_IN_DOUBT);
    }
    t->last_active = tern__clock_now();
    if (s->messages)
        tern__count_received(tern__h2_counters(t->h2), s->messages, t->last_active);
    tern__drive_pass_lead(t);
    pthread_mutex_unlock(&t->lock);
    if (r->context)
        tern__context_unlisten(r->context, &link.listener);
    tern__waiter_deinit(&s->waiter);
}
