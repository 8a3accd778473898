/* See tern/stream.h. A stream is one attempt (stream.h) that lives on the heap, with its payload
 * buffered in both directions:
 *
 * In: whoever drives the connection appends payload to body.in; the session keeps the stream's
 * window shut for it. The receiver swaps that buffer for its own empty one, which opens the window,
 * and takes message after message from it without the lock. While it waits for a message, the
 * driver puts that together in its place (body.receiving), one copy and many wake-ups less.
 *
 * Out: a sender appends to body.out; body.sending is with the session. When that has left, the two
 * are swapped. A sender waits while too much is in both. */
#include "client/streaming.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tern/limits.h>

#include "base/time.h"
#include "client/pick.h"
#include "client/reactor.h"
#include "client/streaming_parts.h"
#include "client/streaming_retry.h"
#include "io/blocking.h"
#include "io/clock.h"
#include "io/context.h"

/* Memory an empty buffer of a stream may keep. */
#define KEEP_BYTES (64u * 1024)
/* Buffered messages that leave together: the payload of a frame of HTTP/2. */
#define BUFFER_BYTES (16u * 1024)

/* --- out -------------------------------------------------------------------------------------- */

size_t tern__stream_unsent(const tern__client_stream *s)
{
    return s->body->out.len + (s->h2.tx.len - s->h2.tx.off);
}

void tern__stream_send_more(tern__transport *t, tern__client_stream *s)
{
    tern__stream_body *b = s->body;
    if (s->h2.tx.off < s->h2.tx.len)
        return;
    tern__buf done = b->sending;
    tern__buf_consume(&done, done.len);
    tern__buf_trim_unused(&done, KEEP_BYTES, b->filled);
    b->sending = b->out;
    if (b->sending.len)
        b->filled = b->sending.len;
    b->out = done;
    tern__h2_send(t->h2, &s->h2, tern__buf_head(&b->sending), b->sending.len, b->close_send);
    pthread_cond_signal(&b->sender.cond);
}

static void flush(tern_stream *st)
{
    if (st->async) {
        st->t->unflushed = true; /* by the loop, at the end of its turn */
        return;
    }
    tern__drive_flush(st->t);
    if (!tern__drive_unsent(st->t))
        return;
    tern__drive_wake(st->t); /* the leader must poll for room in the socket */
    if ((!st->t->led || st->t->deaf) && st->t->loop) {
        /* Nobody does, and this thread may go on to other things. */
        st->t->unflushed = true;
        tern__reactor_wake(st->t->loop);
    }
}

/* Hands what is buffered to the session, and writes. */
static void push(tern_stream *st)
{
    tern__stream_send_more(st->t, &st->s);
    flush(st);
}

/* Waits until `what` is there, unless the stream has callbacks. False: the call is over. */
static bool await(tern_stream *st, tern__waiter *w, tern__wait_for what)
{
    tern__transport *t = st->t;
    tern__client_stream *s = &st->s;
    if (!st->async) {
        tern__blocking_announce();
        tern__drive_await(t, s, w, what, st->terms.deadline);
    }
    bool late = st->terms.deadline != TERN__TIME_NEVER && tern__clock_now() >= st->terms.deadline;
    if (!s->done && (s->cancelled || late))
        tern__drive_give_up(t, s, TERN__FATE_IN_DOUBT);
    return !s->done;
}

static bool room(tern_stream *st)
{
    if (st->s.done || st->body.close_send)
        return false;
    if (tern__stream_unsent(&st->s) < TERN_LIMIT_STREAM_SEND_BYTES && !st->s.cancelled)
        return true;
    if (st->body.out.len && !st->s.cancelled)
        push(st);
    return await(st, &st->body.sender, TERN__WAIT_ROOM) && !st->body.close_send;
}

bool tern__stream_append(tern__buf *out, const tern__call_codec *codec)
{
    size_t len = TERN__MESSAGE_PREFIX_LEN + codec->request_len;
    uint8_t *to = tern__buf_reserve(out, len);
    if (!to)
        return false;
    tern__message_prefix_write(to, (uint32_t)codec->request_len, codec->compressed);
    codec->pack(to + TERN__MESSAGE_PREFIX_LEN, codec->ctx);
    out->len += len;
    return true;
}

void tern__stream_break_locked(tern_stream *st, tern_code code, const char *message)
{
    tern__client_stream *s = &st->s;
    tern__stream_commit(st);
    if (!s->done) {
        tern__response_fail(s, TERN__FATE_COMMITTED, code, message);
        tern__h2_cancel(st->t->h2, &s->h2, TERN__H2_CANCEL);
        tern__transport_forget(st->t, s);
        flush(st);
    } else if (s->status.code == TERN_OK) {
        tern_status_set(&s->status, code, "%s", message);
        s->own_fault = code == TERN_RESOURCE_EXHAUSTED;
    }
    tern__client_stream_notify(s);
    tern__drive_wake(st->t); /* the stream's other thread may lead, and would not hear of it */
}

/* With the lock. False: the message is longer than may be sent, which has ended the stream. */
static bool may_send(tern_stream *st, size_t len)
{
    tern_status why;
    if (len > UINT32_MAX - TERN__MESSAGE_PREFIX_LEN)
        tern_status_set(&why, TERN_RESOURCE_EXHAUSTED,
                        "a message of %zu bytes is longer than gRPC can carry", len);
    else if (tern__call_terms_check(&st->terms, len, &why) == TERN_OK)
        return true;
    tern__stream_break_locked(st, TERN_RESOURCE_EXHAUSTED, why.message);
    return false;
}

/* One try. *ret_dead: the attempt of *ret_epoch has failed, and another one may follow it;
 * *ret_kept: with the message, which needs no second try then. */
static bool try_send(tern_stream *st, const tern__call_codec *codec, uint32_t *ret_epoch,
                     bool *ret_dead, bool *ret_kept)
{
    tern__stream_enter(st, ret_epoch);
    *ret_kept = false;
    bool ok = room(st) && may_send(st, codec->request_len);
    if (ok && !tern__stream_append(&st->body.out, codec)) {
        tern__stream_break_locked(st, TERN_RESOURCE_EXHAUSTED,
                                  "out of memory for a message to send");
        ok = false;
    }
    if (ok) {
        tern__count_sent(tern__h2_counters(st->t->h2), 1, tern__clock_coarse());
        if (st->replay)
            tern__stream_keep(st, &st->body.out, TERN__MESSAGE_PREFIX_LEN + codec->request_len);
        *ret_kept = true;
    }
    if (ok && !(st->buffering && st->body.out.len < BUFFER_BYTES)) {
        push(st);
        ok = !st->s.done;
    }
    *ret_dead = !ok && !st->body.close_send && tern__stream_is_dead(st);
    tern__drive_pass_lead(st->t);
    tern__stream_exit(st);
    return ok;
}

static bool send_packed(tern_stream *st, const tern__call_codec *codec)
{
    uint32_t epoch;
    bool dead, kept;
    while (!try_send(st, codec, &epoch, &dead, &kept)) {
        if (!dead || !tern__stream_revive(st, epoch))
            return false;
        if (kept)
            return true;
    }
    return true;
}

void tern_stream_set_buffering(tern_stream *st, bool on) { st->buffering = on; }

bool tern_stream_flush(tern_stream *st)
{
    if (st->async)
        return false; /* the loop flushes, at the end of each turn */
    uint32_t epoch;
    tern__stream_enter(st, &epoch);
    if (!st->s.done && st->body.out.len)
        push(st);
    bool ok = !st->s.done || tern__stream_is_dead(st); /* what is kept goes with the next attempt */
    tern__stream_exit(st);
    return ok;
}

int tern__stream_pack(tern_stream *st, tern__packed *p, const tern__call_codec **codec)
{
    return tern__pack_compressed(p, tern__call_compression(st->ch, &st->opts), st->compress_mode,
                                 codec);
}

bool tern__stream_send(tern_stream *st, const tern__call_codec *codec)
{
    tern__packed packed;
    if (st->async)
        return false;
    bool ok = tern__stream_pack(st, &packed, &codec) == 0; /* before it takes the lock */
    if (ok)
        ok = send_packed(st, codec);
    else
        tern__stream_break(st, TERN_RESOURCE_EXHAUSTED,
                           "out of memory for compressing a message to send");
    tern__packed_deinit(&packed);
    return ok;
}

void tern_stream_set_compress_mode(tern_stream *st, tern_compress_mode mode)
{
    st->compress_mode = mode;
}

bool tern_stream_close_send(tern_stream *st)
{
    if (st->async)
        return tern__stream_async_close_send(st);
    tern__client_stream *s = &st->s;
    uint32_t epoch;
    tern__stream_enter(st, &epoch);
    bool dead = tern__stream_is_dead(st); /* who receives revives it */
    st->body.close_send |= dead;
    if (!s->done && !st->body.close_send) {
        st->body.close_send = true;
        if (st->body.out.len && s->h2.tx.off == s->h2.tx.len) {
            tern__stream_send_more(st->t, s); /* buffered messages */
        } else if (st->body.out.len == 0) {
            /* What is being sent, if anything, is the last. */
            size_t off = s->h2.tx.off;
            tern__h2_send(st->t->h2, &s->h2, s->h2.tx.data + off, s->h2.tx.len - off, true);
        }
        flush(st);
    }
    bool ok = !s->done || dead;
    tern__stream_exit(st);
    return ok;
}

/* --- in --------------------------------------------------------------------------------------- */

/* Messages are split without the lock, and counted when it is held next. */
static void count_given(tern_stream *st)
{
    if (st->n_given)
        tern__count_received(tern__h2_counters(st->t->h2), st->n_given, st->t->last_active);
    st->n_given = 0;
}

/* Takes what has been received; waits for it if need be. Then *fed is what the reader has said, if
 * it was fed meanwhile (0: it was not). *ret_dead: the attempt of *ret_epoch has failed, and
 * another one may follow it. */
static tern__stream_next try_take(tern_stream *st, int *fed, uint32_t *ret_epoch, bool *ret_dead)
{
    tern__buf_trim_unused(&st->taken, KEEP_BYTES, st->n_taken);
    tern__stream_enter(st, ret_epoch);
    tern__transport *t = st->t;
    if (st->body.in.len == 0 && !st->s.done) {
        if (st->body.out.len)
            push(st); /* the answer may depend on it */
        st->body.receiving = !st->async;
        await(st, &st->s.waiter, TERN__WAIT_DATA);
        st->body.receiving = false;
    }
    /* A call that this side has ended gives out nothing more, and does not pretend that it has
     * given out all, though the server's end may have come by now. */
    bool cut = st->s.cancelled || st->s.given_up, there = st->body.in.len || st->body.direct;
    bool ok = there && !cut;
    if (cut && (there || tern__message_reader_partial(&st->s.reader)))
        tern__stream_break_locked(st, TERN_CANCELLED, "the call was cancelled by its caller");
    *fed = st->body.direct;
    st->body.direct = 0;
    if (ok && !*fed) {
        tern__buf former = st->taken;
        st->taken = st->body.in;
        st->n_taken = st->taken.len;
        st->body.in = former;
        tern__h2_release(t->h2, &st->s.h2, st->taken.len);
    }
    if (ok && tern__h2_wants_take(t->h2))
        flush(st);
    bool later = !ok && !st->s.done;
    *ret_dead = tern__stream_is_dead(st);
    t->last_active = tern__clock_now();
    count_given(st);
    tern__drive_pass_lead(t);
    tern__stream_exit(st);
    return ok ? TERN__STREAM_MESSAGE : later ? TERN__STREAM_LATER : TERN__STREAM_OVER;
}

static tern__stream_next take_payload(tern_stream *st, int *fed)
{
    uint32_t epoch;
    bool dead;
    tern__stream_next next;
    do
        next = try_take(st, fed, &epoch, &dead);
    while (dead && !st->async && tern__stream_revive(st, epoch));
    return next;
}

static void break_message(tern_stream *st, int error)
{
    char text[160];
    tern_code code = error == -EMSGSIZE || error == -ENOMEM ? TERN_RESOURCE_EXHAUSTED
                                                            : TERN_INTERNAL;
    if (error == -EMSGSIZE)
        snprintf(text, sizeof text,
                 "a message of %u bytes is longer than the limit of %zu bytes "
                 "(receive_message_bytes_max)",
                 st->s.reader.len, st->s.reader.len_max);
    else
        snprintf(text, sizeof text, "%s",
                 error == -ENOMEM    ? "out of memory while receiving a message"
                 : error == -EBADMSG ? tern__response_encoding_fault(&st->s)
                                     : "a message's prefix is malformed");
    tern__stream_break(st, code, text);
}

static tern__stream_next no_more(tern_stream *st)
{
    st->over = true;
    if (tern__message_reader_partial(&st->s.reader))
        tern__stream_break(st, TERN_INTERNAL, "the stream ended within a message");
    return TERN__STREAM_OVER;
}

/* Puts the plain message in the place of the one that came. */
static bool decompress(tern_stream *st, const void **message, size_t *len)
{
    tern__buf plain = { 0 };
    tern_status why;
    tern_code code = tern__unpack_compressed(&st->s, (tern__bytes){ *message, *len }, &plain, &why);
    tern__message_reader_give_back(&st->s.reader, st->message, st->message_cap);
    st->message_cap = 0;
    st->message = plain.data; /* a new buffer begins at its first byte */
    if (code != TERN_OK) {
        tern__stream_break(st, code, why.message);
        st->over = true;
        return false;
    }
    *message = plain.len ? (const void *)plain.data : (const void *)"";
    *len = plain.len;
    return true;
}

bool tern_stream_message_compressed(const tern_stream *st) { return st->compressed; }

/* A message is complete: hands it out. */
static tern__stream_next give(tern_stream *st, const void **ret, size_t *ret_len)
{
    tern__message_reader *r = &st->s.reader;
    bool owned;
    st->compressed = r->compressed;
    uint8_t *data = tern__message_reader_take(r, ret_len, &owned);
    st->message = owned ? data : NULL;
    st->message_cap = r->taken_cap;
    st->n_given++;
    *ret = data ? (const void *)data : (const void *)"";
    if (st->compressed && !decompress(st, ret, ret_len))
        return TERN__STREAM_OVER;
    return TERN__STREAM_MESSAGE;
}

tern__stream_next tern__stream_receive(tern_stream *st, const void **ret, size_t *ret_len)
{
    tern__message_reader *r = &st->s.reader;
    tern__message_reader_give_back(r, st->message, st->message_cap);
    st->message = NULL;
    while (!st->over) {
        const uint8_t *p = tern__buf_head(&st->taken);
        size_t left = st->taken.len;
        int rv = left ? tern__message_reader_feed(r, &p, &left) : TERN__MESSAGE_MORE;
        tern__buf_consume(&st->taken, st->taken.len - left);
        if (rv == TERN__MESSAGE_MORE) {
            tern__stream_next next = take_payload(st, &rv);
            if (next != TERN__STREAM_MESSAGE)
                return next == TERN__STREAM_LATER ? next : no_more(st);
        }
        if (rv == TERN__MESSAGE_DONE && r->compressed && tern__response_encoding_fault(&st->s))
            rv = -EBADMSG;
        if (rv < 0) {
            break_message(st, rv);
            st->over = true;
        } else if (rv == TERN__MESSAGE_DONE) {
            return give(st, ret, ret_len);
        }
    }
    return TERN__STREAM_OVER;
}

bool tern_stream_recv(tern_stream *st, const void **ret, size_t *ret_len)
{
    return !st->async && tern__stream_receive(st, ret, ret_len) == TERN__STREAM_MESSAGE;
}

static bool await_headers(tern_stream *st, uint32_t *ret_epoch)
{
    tern__stream_enter(st, ret_epoch);
    if (!st->s.headers_seen && !st->s.done) {
        if (st->body.out.len)
            push(st);
        await(st, &st->s.waiter, TERN__WAIT_HEADERS);
    }
    bool dead = tern__stream_is_dead(st);
    tern__drive_pass_lead(st->t);
    tern__stream_exit(st);
    return !dead;
}

const tern_metadata *tern_stream_initial_metadata(tern_stream *st)
{
    uint32_t epoch;
    if (st->async)
        return &st->s.initial; /* in a callback: by the thread that fills it */
    while (!await_headers(st, &epoch) && tern__stream_revive(st, epoch))
        ;
    return &st->s.initial;
}

/* --- life ------------------------------------------------------------------------------------- */

void tern__stream_break(tern_stream *st, tern_code code, const char *message)
{
    uint32_t epoch;
    tern__stream_enter(st, &epoch);
    tern__stream_break_locked(st, code, message);
    tern__stream_exit(st);
}

void tern_stream_cancel(tern_stream *st)
{
    if (st->async) {
        tern__stream_async_cancel(st);
        return;
    }
    uint32_t epoch;
    if (st->replay)
        tern_context_cancel(st->replay->context); /* whoever revives it gives up */
    tern__stream_enter(st, &epoch);
    st->s.cancelled = true;
    tern__client_stream_notify(&st->s);
    tern__drive_wake(st->t);
    tern__drive_give_up(st->t, &st->s, TERN__FATE_IN_DOUBT);
    tern__stream_exit(st);
}

const tern_method *tern__stream_method(const tern_stream *st) { return st->method; }

void tern__stream_attach(tern_stream *st, void *data, void (*release)(void *data))
{
    st->attached = data;
    st->release = release;
}

void *tern__stream_attached(const tern_stream *st) { return st->attached; }

void tern__stream_leave(tern_stream *st)
{
    tern__transport *t = st->t;
    pthread_mutex_lock(&t->lock);
    if (!st->s.done)
        tern__stream_break_locked(st, TERN_CANCELLED,
                                  "the stream was finished before its end was read");
    if (st->body.in.len) {
        tern__h2_release(t->h2, NULL, st->body.in.len);
        tern__buf_consume(&st->body.in, st->body.in.len);
        if (tern__h2_wants_take(t->h2))
            flush(st);
    }
    t->last_active = tern__clock_now();
    count_given(st);
    tern__drive_pass_lead(t);
    pthread_mutex_unlock(&t->lock);
    if (st->context && !st->async)
        tern__context_unlisten(st->context, &st->link.listener);
}

/* What the gates, the throttle and the counters learn of a stream that was open. */
static void report(tern_stream *st)
{
    tern_channel *ch = st->ch;
    tern_code code = st->s.status.code;
    /* how long a stream lasts says nothing of the server */
    st->pass.channel.began = st->pass.method.began = TERN__TIME_NEVER;
    if (st->replay && st->replay->settled)
        ; /* it ended between two attempts */
    else if (st->s.own_fault)
        tern__admission_cancel(ch, &st->pass);
    else
        tern__admission_outcome(ch, &st->pass, code);
    pthread_mutex_lock(&ch->lock);
    if (code == TERN_OK)
        tern__throttle_success(ch->throttle);
    else
        ch->stats.calls_failed++;
    tern__count_end(&ch->calls, code == TERN_OK);
    pthread_mutex_unlock(&ch->lock);
}

void tern__stream_conclude(tern_stream *st)
{
    if (st->opts.ret_initial_metadata)
        tern__metadata_append_all(st->opts.ret_initial_metadata, &st->s.initial);
    if (st->opts.ret_trailing_metadata)
        tern__metadata_append_all(st->opts.ret_trailing_metadata, &st->s.trailing);
    report(st);
    if (st->t && !st->picked_done)
        tern__pick_ended(st->t, &st->s, false);
    st->picked_done = true;
    tern__call_terms_end(&st->terms, st->ch); /* after the callback the channel may go */
    if (st->interception)
        tern__client_intercept_end(st->interception, &st->s.status);
}

tern_code tern_stream_finish(tern_stream *st, tern_status *reterr)
{
    tern__stream_leave(st);
    tern__stream_conclude(st);
    tern_code code = st->s.status.code;
    if (reterr && code != TERN_OK)
        tern__status_copy(reterr, &st->s.status);
    tern__stream_discard(st);
    return code;
}

/* --- raw bytes -------------------------------------------------------------------------------- */

typedef struct raw_message {
    const void *data;
    size_t len;
} raw_message;

static void raw_pack(uint8_t *out, void *ctx)
{
    const raw_message *m = ctx;
    if (m->len)
        memcpy(out, m->data, m->len);
}

tern_code tern_stream_open(tern_channel *ch, const tern_method *method,
                           const tern_call_options *opts, tern_stream **ret, tern_status *reterr)
{
    return tern__stream_open(ch, method, opts, NULL, ret, reterr);
}

bool tern_stream_send(tern_stream *st, const void *message, size_t len)
{
    raw_message m = { message, len };
    const tern__call_codec codec = { .request_len = len, .pack = raw_pack, .ctx = &m };
    return tern__stream_send(st, &codec);
}
