/* See tern/stream.h. A stream is one attempt (stream.h) that lives on the heap, with its payload
 * buffered in both directions:
 *
 * In: whoever drives the connection appends payload to body.in; the session keeps the stream's
 * window shut for it. The receiver swaps that buffer for its own empty one, which opens the window,
 * and takes message after message from it without the lock.
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
#include "client/admission.h"
#include "client/channel.h"
#include "client/compress.h"
#include "client/drive.h"
#include "client/head.h"
#include "client/intercept.h"
#include "io/blocking.h"
#include "io/clock.h"
#include "io/context.h"

/* Memory an empty buffer of a stream may keep. */
#define KEEP_BYTES (64u * 1024)

struct tern_stream {
    tern__client_stream s;
    tern__stream_body body;
    tern_channel *ch;
    tern__transport *t; /* a reference */
    const tern_method *method;
    const tern_call_options *opts;
    int64_t deadline;
    tern_context *context;
    tern__cancel_link link;
    tern__breaker_ticket ticket;

    /* the sender's own */
    tern_compress_mode compress_mode;

    /* the receiver's own */
    tern__buf taken;    /* payload with its windows opened */
    uint8_t *message;   /* handed out; freed at the next receive */
    bool compressed;    /* it came so */
    bool over;          /* receive has said that nothing more comes */

    void *attached;
    void (*release)(void *);
    tern__client_interception *interception; /* NULL: no interceptors */
};

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
    tern__buf_trim(&done, KEEP_BYTES);
    b->sending = b->out;
    b->out = done;
    tern__h2_send(t->h2, &s->h2, tern__buf_head(&b->sending), b->sending.len, b->close_send);
    pthread_cond_signal(&b->sender.cond);
}

static void flush(tern_stream *st)
{
    tern__drive_flush(st->t);
    if (tern__drive_unsent(st->t))
        tern__drive_wake(st->t); /* the leader must poll for room in the socket */
}

/* Waits until `what` is there. False: the call is over. */
static bool await(tern_stream *st, tern__waiter *w, tern__wait_for what)
{
    tern__transport *t = st->t;
    tern__client_stream *s = &st->s;
    tern__drive_await(t, s, w, what, st->deadline);
    bool late = st->deadline != TERN__TIME_NEVER && tern__clock_now() >= st->deadline;
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
    tern__blocking_announce();
    return await(st, &st->body.sender, TERN__WAIT_ROOM) && !st->body.close_send;
}

static bool append(tern_stream *st, const tern__call_codec *codec)
{
    size_t len = TERN__MESSAGE_PREFIX_LEN + codec->request_len;
    uint8_t *to = tern__buf_reserve(&st->body.out, len);
    if (!to)
        return false;
    tern__message_prefix_write(to, (uint32_t)codec->request_len, codec->compressed);
    codec->pack(to + TERN__MESSAGE_PREFIX_LEN, codec->ctx);
    st->body.out.len += len;
    return true;
}

/* With the lock. */
static void break_locked(tern_stream *st, tern_code code, const char *message)
{
    tern__client_stream *s = &st->s;
    if (!s->done) {
        tern__response_fail(s, TERN__FATE_COMMITTED, code, message);
        tern__h2_cancel(st->t->h2, &s->h2, TERN__H2_CANCEL);
        tern__transport_forget(st->t, s);
        flush(st);
    } else if (s->status.code == TERN_OK) {
        tern_status_set(&s->status, code, "%s", message);
    }
    tern__client_stream_notify(s);
}

static bool send_packed(tern_stream *st, const tern__call_codec *codec)
{
    char text[100];
    pthread_mutex_lock(&st->t->lock);
    bool ok = room(st);
    if (ok && codec->request_len > UINT32_MAX - TERN__MESSAGE_PREFIX_LEN) {
        snprintf(text, sizeof text, "a message of %zu bytes is longer than gRPC can carry",
                 codec->request_len);
        break_locked(st, TERN_RESOURCE_EXHAUSTED, text);
        ok = false;
    }
    if (ok && !append(st, codec)) {
        break_locked(st, TERN_RESOURCE_EXHAUSTED, "out of memory for a message to send");
        ok = false;
    }
    if (ok) {
        tern__stream_send_more(st->t, &st->s);
        flush(st);
        ok = !st->s.done;
    }
    tern__drive_pass_lead(st->t);
    pthread_mutex_unlock(&st->t->lock);
    return ok;
}

/* Compresses before it takes the lock. */
static int pack(tern_stream *st, tern__packed *p, const tern__call_codec **codec)
{
    return tern__pack_compressed(p, tern__call_compression(st->ch, st->opts), st->compress_mode,
                                 codec);
}

bool tern__stream_send(tern_stream *st, const tern__call_codec *codec)
{
    tern__packed packed;
    bool ok = pack(st, &packed, &codec) == 0;
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
    tern__client_stream *s = &st->s;
    pthread_mutex_lock(&st->t->lock);
    if (!s->done && !st->body.close_send) {
        st->body.close_send = true;
        if (st->body.out.len == 0) {
            /* What is being sent, if anything, is the last. */
            size_t off = s->h2.tx.off;
            tern__h2_send(st->t->h2, &s->h2, s->h2.tx.data + off, s->h2.tx.len - off, true);
        }
        flush(st);
    }
    bool ok = !s->done;
    pthread_mutex_unlock(&st->t->lock);
    return ok;
}

/* --- in --------------------------------------------------------------------------------------- */

/* Takes what has been received; waits for it if need be. False: nothing more comes. */
static bool take_payload(tern_stream *st)
{
    tern__transport *t = st->t;
    tern__buf_trim(&st->taken, KEEP_BYTES);
    pthread_mutex_lock(&t->lock);
    if (st->body.in.len == 0 && !st->s.done) {
        tern__blocking_announce();
        await(st, &st->s.waiter, TERN__WAIT_DATA);
    }
    /* A call that this side has ended gives out nothing more. */
    bool ok = st->body.in.len != 0 && !st->s.cancelled &&
              !(st->s.done && st->s.status.code == TERN_DEADLINE_EXCEEDED);
    if (ok) {
        tern__buf former = st->taken;
        st->taken = st->body.in;
        st->body.in = former;
        tern__h2_release(t->h2, &st->s.h2, st->taken.len);
        if (tern__h2_wants_take(t->h2))
            flush(st);
    }
    t->last_active = tern__clock_now();
    tern__drive_pass_lead(t);
    pthread_mutex_unlock(&t->lock);
    return ok;
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

static bool no_more(tern_stream *st)
{
    st->over = true;
    if (tern__message_reader_partial(&st->s.reader))
        tern__stream_break(st, TERN_INTERNAL, "the stream ended within a message");
    return false;
}

/* Puts the plain message in the place of the one that came. */
static bool decompress(tern_stream *st, const void **message, size_t *len)
{
    tern__buf plain = { 0 };
    tern_status why;
    tern_code code = tern__unpack_compressed(&st->s, (tern__bytes){ *message, *len }, &plain, &why);
    free(st->message);
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

bool tern_stream_recv(tern_stream *st, const void **ret, size_t *ret_len)
{
    tern__message_reader *r = &st->s.reader;
    bool owned;
    free(st->message);
    st->message = NULL;
    while (!st->over) {
        const uint8_t *p = tern__buf_head(&st->taken);
        size_t left = st->taken.len;
        int rv = left ? tern__message_reader_feed(r, &p, &left) : TERN__MESSAGE_MORE;
        tern__buf_consume(&st->taken, st->taken.len - left);
        if (rv == TERN__MESSAGE_DONE && r->compressed && tern__response_encoding_fault(&st->s))
            rv = -EBADMSG;
        if (rv < 0) {
            break_message(st, rv);
            st->over = true;
        } else if (rv == TERN__MESSAGE_DONE) {
            st->compressed = r->compressed;
            uint8_t *data = tern__message_reader_take(r, ret_len, &owned);
            st->message = owned ? data : NULL;
            *ret = data ? (const void *)data : (const void *)"";
            return !st->compressed || decompress(st, ret, ret_len);
        } else if (!take_payload(st)) {
            return no_more(st);
        }
    }
    return false;
}

const tern_metadata *tern_stream_initial_metadata(tern_stream *st)
{
    pthread_mutex_lock(&st->t->lock);
    if (!st->s.headers_seen && !st->s.done) {
        tern__blocking_announce();
        await(st, &st->s.waiter, TERN__WAIT_HEADERS);
    }
    tern__drive_pass_lead(st->t);
    pthread_mutex_unlock(&st->t->lock);
    return &st->s.initial;
}

/* --- life ------------------------------------------------------------------------------------- */

void tern__stream_break(tern_stream *st, tern_code code, const char *message)
{
    pthread_mutex_lock(&st->t->lock);
    break_locked(st, code, message);
    pthread_mutex_unlock(&st->t->lock);
}

void tern_stream_cancel(tern_stream *st)
{
    pthread_mutex_lock(&st->t->lock);
    st->s.cancelled = true;
    tern__client_stream_notify(&st->s);
    tern__drive_wake(st->t);
    tern__drive_give_up(st->t, &st->s, TERN__FATE_IN_DOUBT);
    pthread_mutex_unlock(&st->t->lock);
}

const tern_method *tern__stream_method(const tern_stream *st) { return st->method; }

void tern__stream_attach(tern_stream *st, void *data, void (*release)(void *data))
{
    st->attached = data;
    st->release = release;
}

void *tern__stream_attached(const tern_stream *st) { return st->attached; }

static void free_stream(tern_stream *st)
{
    if (st->release)
        st->release(st->attached);
    free(st->interception);
    free(st->message);
    tern__buf_deinit(&st->taken);
    tern__buf_deinit(&st->body.in);
    tern__buf_deinit(&st->body.out);
    tern__buf_deinit(&st->body.sending);
    tern__waiter_deinit(&st->body.sender);
    tern__waiter_deinit(&st->s.waiter);
    tern__client_stream_deinit(&st->s);
    tern__transport_unref(st->t);
    free(st);
}

static void detach(tern_stream *st)
{
    tern__transport *t = st->t;
    pthread_mutex_lock(&t->lock);
    if (!st->s.done)
        break_locked(st, TERN_CANCELLED, "the stream was finished before its end was read");
    if (st->body.in.len) {
        tern__h2_release(t->h2, NULL, st->body.in.len);
        tern__buf_consume(&st->body.in, st->body.in.len);
        if (tern__h2_wants_take(t->h2))
            flush(st);
    }
    t->last_active = tern__clock_now();
    tern__drive_pass_lead(t);
    pthread_mutex_unlock(&t->lock);
    if (st->context)
        tern__context_unlisten(st->context, &st->link.listener);
}

/* What the breaker, the throttle and the counters learn of a stream that was open. */
static void report(tern_stream *st)
{
    tern_channel *ch = st->ch;
    tern__admission_outcome(ch, st->ticket, st->s.status.code);
    pthread_mutex_lock(&ch->lock);
    if (st->s.status.code == TERN_OK)
        tern__throttle_success(&ch->throttle);
    else
        ch->stats.calls_failed++;
    pthread_mutex_unlock(&ch->lock);
}

static void copy_status(tern_status *to, const tern_status *from)
{
    to->code = from->code;
    memcpy(to->message, from->message, strlen(from->message) + 1);
}

tern_code tern_stream_finish(tern_stream *st, tern_status *reterr)
{
    detach(st);
    tern_status *status = &st->s.status;
    if (st->opts->ret_initial_metadata)
        tern__metadata_append_all(st->opts->ret_initial_metadata, &st->s.initial);
    if (st->opts->ret_trailing_metadata)
        tern__metadata_append_all(st->opts->ret_trailing_metadata, &st->s.trailing);
    report(st);
    if (st->interception)
        tern__client_intercept_end(st->interception, status);
    tern_code code = status->code;
    if (reterr && code != TERN_OK)
        copy_status(reterr, status);
    free_stream(st);
    return code;
}

/* --- open ------------------------------------------------------------------------------------- */

static tern_stream *stream_new(tern_channel *ch, const tern_method *method,
                               const tern_call_options *opts)
{
    tern_stream *st = calloc(1, sizeof *st);
    if (!st)
        return NULL;
    size_t max = opts->receive_message_bytes_max ? opts->receive_message_bytes_max
                                                 : ch->opt.receive_message_bytes_max;
    st->ch = ch;
    st->method = method;
    st->opts = opts;
    st->compress_mode = opts->compress_mode;
    st->context = opts->context;
    st->deadline = tern__call_deadline(opts);
    tern__client_stream_init(&st->s, max, true);
    st->s.body = &st->body;
    tern__waiter_init(&st->s.waiter);
    tern__waiter_init(&st->body.sender);
    return st;
}

/* One try on one connection; the outcome of a failed one is in st->s. */
static bool open_on(tern_stream *st, const tern__head *head, bool close_send)
{
    tern__transport *t = st->t;
    tern__client_stream *s = &st->s;
    const tern__request r = {
        .fields = head->fields,
        .n_fields = head->n_fields,
        .message = tern__buf_head(&st->body.sending),
        .len = st->body.sending.len,
        .last = close_send,
        .deadline = st->deadline,
        .context = st->context,
    };
    st->link.t = t;
    st->link.s = s;
    if (st->context && !tern__drive_listen(&st->link, st->context))
        s->cancelled = true;
    pthread_mutex_lock(&t->lock);
    st->body.close_send = close_send;
    bool ok = tern__drive_open(t, s, &r);
    tern__drive_pass_lead(t);
    pthread_mutex_unlock(&t->lock);
    if (!ok && st->context)
        tern__context_unlisten(st->context, &st->link.listener);
    return ok;
}

/* A connection that was closing just then took nothing: the next one may. */
static bool try_again(const tern_stream *st)
{
    return st->s.fate == TERN__FATE_NEVER_SENT && st->s.status.code == TERN_UNAVAILABLE &&
           !tern__transport_usable(st->t);
}

static tern_code connect_and_open(tern_stream *st, tern__head *head, bool close_send,
                                  tern_status *reterr)
{
    const tern__connect_wait wait = { st->deadline, st->context, st->opts->wait_for_ready };
    for (unsigned i = 0;; i++) {
        tern_code code = tern__subchannel_get(&st->ch->sub, &wait, &st->t, reterr);
        if (code != TERN_OK)
            return code;
        tern__head_update(head, tern__clock_now(), st->deadline, 0);
        if (open_on(st, head, close_send))
            return TERN_OK;
        if (!try_again(st) || i == TERN_LIMIT_TRANSPARENT_RETRIES) {
            copy_status(reterr, &st->s.status);
            return st->s.status.code;
        }
        tern__subchannel_drop(&st->ch->sub, st->t);
        tern__transport_unref(st->t);
        st->t = NULL;
        st->s.done = false;
        st->s.granted = false;
        st->s.status.message[0] = '\0';
    }
}

static tern_code begin(tern_stream *st, const tern__call_codec *codec, tern_status *reterr)
{
    tern__head head;
    tern_code code = tern__head_init(&head, st->ch, st->method, st->opts, st->deadline,
                                     reterr);
    if (code == TERN_OK && codec) {
        tern__packed packed;
        const tern__call_codec *sent = codec;
        bool ok = pack(st, &packed, &sent) == 0 && append(st, sent);
        tern__packed_deinit(&packed);
        if (ok) {
            st->body.sending = st->body.out;
            st->body.out = (tern__buf){ 0 };
        } else {
            code = tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED,
                                   "out of memory for a request of %zu bytes", codec->request_len);
        }
    }
    if (code == TERN_OK)
        code = tern__admit(st->ch, tern__clock_now(), true, TERN_OK, &st->ticket, reterr);
    if (code == TERN_OK) {
        tern__blocking_announce();
        code = connect_and_open(st, &head, codec != NULL, reterr);
        if (code != TERN_OK)
            tern__admission_outcome(st->ch, st->ticket, code);
    }
    tern__head_deinit(&head);
    return code;
}

/* before() of the interceptors, which may change the options the stream is made with. */
static tern_code intercept(tern_channel *ch, const tern_method *method,
                           const tern_call_options **opts, tern__client_interception **ret,
                           tern_status *reterr)
{
    tern__client_interception *x = malloc(sizeof *x);
    if (!x)
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory for a stream");
    tern_code code = tern__client_intercept_begin(x, ch, method, *opts, reterr);
    *opts = &x->opts;
    *ret = x;
    return code;
}

tern_code tern__stream_open(tern_channel *ch, const tern_method *method,
                            const tern_call_options *opts, const tern__call_codec *codec,
                            tern_stream **ret, tern_status *reterr)
{
    static const tern_call_options defaults = TERN_CALL_OPTIONS_INIT;
    tern__client_interception *x = NULL;
    tern_stream *st = NULL;
    tern_status why;
    why.message[0] = '\0';
    if (!opts)
        opts = &defaults;
    tern_code code = tern__call_check(opts, codec ? codec->request_len : 0, &why);
    if (code == TERN_OK && ch->n_interceptors)
        code = intercept(ch, method, &opts, &x, &why);
    if (code == TERN_OK && !(st = stream_new(ch, method, opts)))
        code = tern_status_set(&why, TERN_RESOURCE_EXHAUSTED, "out of memory for a stream");
    if (code == TERN_OK)
        code = begin(st, codec, &why);
    if (code == TERN_OK) {
        st->interception = x;
        *ret = st;
        return TERN_OK;
    }
    why.code = code;
    if (x)
        code = tern__client_intercept_end(x, &why);
    free(x);
    if (reterr)
        copy_status(reterr, &why);
    if (st)
        free_stream(st);
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
