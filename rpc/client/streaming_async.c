/* Streams with callbacks (tern/async.h). Like a unary call with a callback (unary_async.c) the
 * stream is an op that looks, whenever something has happened, at what there is and makes the next
 * steps: towards a connection, then messages in both directions, then the end. What the program
 * asks for is left under a lock of the stream's own, a leaf, and taken up by the op. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <tern/limits.h>

#include "base/time.h"
#include "client/fault.h"
#include "client/pick.h"
#include "client/reactor.h"
#include "client/streaming_parts.h"
#include "client/streaming_retry.h"
#include "io/clock.h"
#include "io/context.h"

/* REST: in the delay of a fault. PAUSE: before another attempt. CLOSED: it never got a stream of
 * HTTP/2, or has given it back; the status is in st->s. */
typedef enum step { NEW, REST, BEGIN, CONNECT, OPEN, PAUSE, CLOSED } step;

typedef struct tern__stream_async {
    tern__op op;
    tern_loop *loop;
    tern_stream *st;
    step step;
    unsigned tries;
    int64_t resume_at; /* PAUSE: before another attempt */
    tern_metadata metadata; /* the request's: a copy */
    tern__head head;
    tern__request request;
    tern__connect_op connect;
    tern__client_fault fault;
    tern__context_listener listener;
    atomic_bool connected, cancelled;

    pthread_mutex_t lock; /* what the program asks for */
    tern__buf queue;      /* messages to send */
    uint32_t n_queued;    /* so many, for the connection's count */
    bool no_memory, close_send;
    size_t too_long;      /* bytes of a message that is longer than may be sent; 0: none is */
    tern_stream_sent on_sent;
    tern_stream_received on_received;
    tern_stream_finished on_finished;
    void *sent_ctx, *received_ctx, *finished_ctx;
} stream_async;

static void post(stream_async *a)
{
    tern__reactor_post(a->loop, &a->op);
}

/* --- towards a connection --------------------------------------------------------------------- */

static void fail(stream_async *a, tern_code code, const char *message)
{
    tern__client_stream *s = &a->st->s;
    tern__response_fail(s, TERN__FATE_NEVER_SENT, code, message);
    a->step = CLOSED;
}

/* An attempt has ended: the stream has, or a retryPolicy wants another one. */
static void follow(stream_async *a)
{
    int64_t delay = 0;
    tern__retry_action action =
        a->st->replay ? tern__stream_judge(a->st, &delay) : TERN__RETRY_STOP;
    a->step = CLOSED;
    if (action == TERN__RETRY_STOP)
        return;
    a->step = PAUSE;
    a->resume_at = tern__time_add(tern__clock_now(), delay);
    tern__reactor_set_timer(a->loop, &a->op, tern__time_min(a->resume_at, a->st->terms.deadline));
    post(a);
}

/* No connection is to be had. */
static void unreachable(stream_async *a, tern_code code, const char *message)
{
    tern__response_fail(&a->st->s, TERN__FATE_NOT_PICKED, code, message);
    a->st->s.given_up = code != TERN_UNAVAILABLE;
    follow(a);
}

static void on_stream(tern__client_stream *s)
{
    post(TERN__CONTAINER(s, tern_stream, s)->async);
}

static void on_connect(tern__connect_op *op)
{
    stream_async *a = TERN__CONTAINER(op, stream_async, connect);
    tern__reactor_raise(a->loop, &a->op, &a->connected);
}

static void open_on(stream_async *a, tern__transport *t)
{
    tern_stream *st = a->st;
    st->t = t;
    st->picked_done = false;
    a->step = OPEN;
    uint32_t former = st->replay ? st->replay->retry.attempts - 1 : 0;
    tern__head_update(&a->head, tern__clock_now(), st->terms.deadline, former);
    a->request = (tern__request){
        .fields = a->head.fields,
        .n_fields = a->head.n_fields,
        .lazy = true,
        .now = tern__clock_coarse(),
        .deadline = st->terms.deadline,
    };
    st->s.wake = on_stream;
    pthread_mutex_lock(&t->lock);
    tern__reactor_begin(t);
    tern__drive_start(t, &st->s, &a->request);
    pthread_mutex_unlock(&t->lock);
}

static void begin(stream_async *a)
{
    tern__transport *t = NULL;
    tern_status why;
    why.message[0] = '\0';
    tern_code code = tern__pick_look(a->st->ch, &a->st->terms, &t, &why);
    if (code != TERN_OK) {
        unreachable(a, code, why.message);
    } else if (t) {
        open_on(a, t);
    } else {
        a->step = CONNECT;
        if (tern__pick_wait(a->st->ch, &a->connect))
            fail(a, TERN_RESOURCE_EXHAUSTED, "out of memory or threads for a connection");
    }
}

static bool finish_asked(stream_async *a)
{
    pthread_mutex_lock(&a->lock);
    bool asked = a->on_finished != NULL;
    pthread_mutex_unlock(&a->lock);
    return asked;
}

/* Whether the call is to end from this side, and how. */
static tern_code own_end(const stream_async *a)
{
    if (tern__clock_now() >= a->st->terms.deadline) /* first: it may be what it was cancelled for */
        return TERN_DEADLINE_EXCEEDED;
    return atomic_load(&a->cancelled) ? TERN_CANCELLED : TERN_OK;
}

/* Faults are no concern of the breaker's: they say nothing of the server. */
static void fail_at_rest(stream_async *a, tern_code code, const char *message)
{
    fail(a, code, message);
    a->st->s.own_fault = true;
}

static void look_at_rest(stream_async *a)
{
    tern_status why;
    pthread_mutex_lock(&a->lock);
    bool unwanted = a->on_finished != NULL;
    pthread_mutex_unlock(&a->lock);
    tern_code code = unwanted ? TERN_CANCELLED : own_end(a);
    if (code == TERN_OK && tern__clock_now() < a->fault.until)
        return;
    tern__client_fault_end(a->st->ch, &a->fault);
    if (code != TERN_OK) {
        fail_at_rest(a, code, code == TERN_CANCELLED
                                  ? "the call was cancelled by its caller"
                                  : "the deadline passed in the delay of an injected fault");
    } else if (a->fault.abort) {
        code = tern__client_fault_status(&a->fault, &why);
        fail_at_rest(a, code, why.message);
    } else {
        a->step = BEGIN;
        tern__reactor_set_timer(a->loop, &a->op, a->st->terms.deadline);
    }
}

static void look_at_connection(stream_async *a)
{
    if (atomic_load(&a->connected)) {
        atomic_store(&a->connected, false);
        if (a->connect.transport)
            open_on(a, a->connect.transport);
        else if (a->connect.status.code == TERN_OK)
            begin(a); /* connections come from elsewhere now */
        else
            unreachable(a, a->connect.status.code, a->connect.status.message);
        return;
    }
    tern_code code = finish_asked(a) ? TERN_CANCELLED : own_end(a);
    if (code != TERN_OK && tern__pick_cancel(a->st->ch, &a->connect))
        fail(a, code, code == TERN_CANCELLED
                          ? "the call was cancelled by its caller"
                          : "the deadline passed while waiting for a connection");
}

/* --- on the connection ------------------------------------------------------------------------ */

/* What the program has asked to send goes to the stream. With the transport's lock. */
static void move_messages(stream_async *a)
{
    tern_stream *st = a->st;
    tern__client_stream *s = &st->s;
    pthread_mutex_lock(&a->lock);
    bool more = a->queue.len != 0, broken = a->no_memory;
    size_t too_long = a->too_long;
    if (a->n_queued)
        tern__count_sent(tern__h2_counters(st->t->h2), a->n_queued, tern__clock_coarse());
    a->n_queued = 0;
    if (more && st->replay)
        tern__stream_keep(st, &a->queue, a->queue.len);
    if (more && st->body.out.len == 0) {
        tern__buf former = st->body.out;
        st->body.out = a->queue;
        a->queue = former;
    } else if (more) {
        broken |= tern__buf_append(&st->body.out, tern__buf_head(&a->queue), a->queue.len) != 0;
        tern__buf_consume(&a->queue, a->queue.len);
    }
    bool closes = a->close_send && !st->body.close_send;
    st->body.close_send |= a->close_send;
    pthread_mutex_unlock(&a->lock);
    if (broken || too_long) {
        tern_status why;
        tern_status_set(&why, TERN_RESOURCE_EXHAUSTED, "out of memory for a message to send");
        if (too_long)
            tern__call_terms_check(&st->terms, too_long, &why);
        tern__stream_break_locked(st, TERN_RESOURCE_EXHAUSTED, why.message);
        return;
    }
    bool again = st->body.out.len != 0; /* what another attempt had sent */
    if (more || again) {
        tern__stream_send_more(st->t, s);
    } else if (closes && st->body.out.len == 0) {
        size_t off = s->h2.tx.off;
        tern__h2_send(st->t->h2, &s->h2, s->h2.tx.data + off, s->h2.tx.len - off, true);
    }
    st->t->unflushed |= more || again || closes;
}

/* Gives the connection back when the stream is done, or begins anew on another. */
static void close_stream(stream_async *a)
{
    tern_stream *st = a->st;
    if (tern__stream_is_dead(st)) {
        follow(a);
        return;
    }
    if (!st->replay && tern__stream_try_again(st) && a->tries++ < TERN_LIMIT_TRANSPARENT_RETRIES) {
        tern__stream_rewind(st);
        a->step = BEGIN;
        post(a);
        return;
    }
    a->step = CLOSED;
}

/* Between two attempts. */
static void resume(stream_async *a)
{
    tern_stream *st = a->st;
    tern_code code = finish_asked(a) ? TERN_CANCELLED : own_end(a);
    if (code != TERN_OK) {
        tern__stream_commit(st);
        tern_status_set(&st->s.status, code, "%s", tern__call_pause_ended(code));
        a->step = CLOSED;
        return;
    }
    if (tern__clock_now() < a->resume_at)
        return;
    tern__reactor_set_timer(a->loop, &a->op, st->terms.deadline);
    tern__transport_unref(st->t);
    st->t = NULL;
    a->step = CLOSED;
    if (tern__stream_begin_again(st) && tern__stream_refill(st)) {
        st->body.close_send = false; /* it is asked for anew */
        a->step = BEGIN;
    }
}

static void pump(stream_async *a)
{
    tern_stream *st = a->st;
    tern__client_stream *s = &st->s;
    tern__transport *t = st->t;
    tern_code code = own_end(a);
    pthread_mutex_lock(&t->lock);
    tern__drive_granted(t, s, &a->request);
    if (!s->done && s->h2.id)
        move_messages(a);
    if (!s->done && code != TERN_OK) {
        s->cancelled = code == TERN_CANCELLED;
        tern__drive_give_up(t, s, s->h2.id ? TERN__FATE_IN_DOUBT : TERN__FATE_NEVER_SENT);
    }
    bool done = s->done;
    if (done) {
        s->wake = NULL;
        tern__drive_async_end(t);
    }
    tern__drive_pass_lead(t);
    pthread_mutex_unlock(&t->lock);
    if (done)
        close_stream(a);
}

/* --- callbacks -------------------------------------------------------------------------------- */

/* Takes a callback for calling: it comes once. */
#define TAKE(a, fn, ctx_ret)                                                                       \
    (pthread_mutex_lock(&(a)->lock), taken_##fn = (a)->on_##fn, (a)->on_##fn = NULL,               \
     (ctx_ret) = (a)->fn##_ctx, pthread_mutex_unlock(&(a)->lock), taken_##fn)

static bool has_room(stream_async *a)
{
    tern_stream *st = a->st;
    if (a->step != OPEN)
        return false;
    pthread_mutex_lock(&st->t->lock);
    bool ok = st->s.h2.id && tern__stream_unsent(&st->s) < TERN_LIMIT_STREAM_SEND_BYTES;
    pthread_mutex_unlock(&st->t->lock);
    return ok;
}

static void tell_sent(stream_async *a)
{
    tern_stream_sent taken_sent;
    void *ctx;
    bool ok = has_room(a);
    if ((ok || a->step == CLOSED) && TAKE(a, sent, ctx))
        taken_sent(ctx, ok);
}

static bool wants_message(stream_async *a)
{
    pthread_mutex_lock(&a->lock);
    bool wants = a->on_received != NULL;
    pthread_mutex_unlock(&a->lock);
    return wants;
}

static void tell_received(stream_async *a)
{
    tern_stream_received taken_received;
    void *ctx;
    const void *message = NULL;
    size_t len = 0;
    tern__stream_next next = TERN__STREAM_OVER;
    if (!wants_message(a) || (a->step != OPEN && a->step != CLOSED))
        return;
    if (a->st->t)
        next = tern__stream_receive(a->st, &message, &len);
    if (next != TERN__STREAM_LATER && TAKE(a, received, ctx))
        taken_received(ctx, next == TERN__STREAM_MESSAGE ? message : NULL, len);
}

static void free_async(stream_async *a)
{
    tern_stream *st = a->st;
    tern__head_deinit(&a->head);
    tern__metadata_deinit(&a->metadata);
    tern__buf_deinit(&a->queue);
    pthread_mutex_destroy(&a->lock);
    tern__stream_discard(st);
    free(a);
}

/* The end: everything that is still due, then the status. */
static void finish(stream_async *a)
{
    tern_stream *st = a->st;
    tern_stream_sent taken_sent;
    tern_stream_received taken_received;
    tern_stream_finished taken_finished;
    void *ctx;
    if (st->context)
        tern__context_unlisten(st->context, &a->listener);
    if (st->t && a->step == OPEN) {
        pthread_mutex_lock(&st->t->lock);
        st->s.wake = NULL;
        if (!st->s.done && !st->s.h2.id) { /* it waits for a place: it must leave the queue */
            st->s.cancelled = true;
            tern__drive_give_up(st->t, &st->s, TERN__FATE_NEVER_SENT);
        }
        tern__drive_async_end(st->t);
        pthread_mutex_unlock(&st->t->lock);
    }
    if (st->t)
        tern__stream_leave(st);
    if (TAKE(a, sent, ctx))
        taken_sent(ctx, false);
    if (TAKE(a, received, ctx))
        taken_received(ctx, NULL, 0);
    tern__stream_conclude(st);
    tern__reactor_forget(a->loop, &a->op);
    atomic_fetch_sub(&a->loop->n_calls, 1);
    if (TAKE(a, finished, ctx))
        taken_finished(ctx, &st->s.status);
    free_async(a);
}

/* The first step. */
static void set_out(stream_async *a)
{
    tern_stream *st = a->st;
    if (st->context && !tern__context_listen(st->context, &a->listener))
        atomic_store(&a->cancelled, true);
    a->step = BEGIN;
    tern__reactor_set_timer(a->loop, &a->op, st->terms.deadline);
    if (!st->ch->opt.fault)
        return;
    a->fault = tern__client_fault_begin(st->ch, st->method, st->opts.metadata);
    if (!a->fault.due)
        return;
    a->step = REST;
    tern__reactor_set_timer(a->loop, &a->op, tern__time_min(a->fault.until, st->terms.deadline));
}

static void run(tern__op *op)
{
    stream_async *a = TERN__CONTAINER(op, stream_async, op);
    if (a->step == NEW)
        set_out(a);
    if (a->step == REST)
        look_at_rest(a);
    if (a->step == PAUSE)
        resume(a);
    if (a->step == BEGIN)
        begin(a);
    if (a->step == CONNECT)
        look_at_connection(a);
    if (a->step == OPEN)
        pump(a);
    if (a->step != CLOSED && a->step != OPEN)
        return;
    tell_sent(a);
    tell_received(a);
    if (finish_asked(a))
        finish(a);
}

/* --- what the program asks for ---------------------------------------------------------------- */

/* All of it is posted with the lock held: once it is released, the loop may have seen that the
 * stream is to be finished, and the stream may be gone. */

static void on_cancel(tern__context_listener *self)
{
    stream_async *a = TERN__CONTAINER(self, stream_async, listener);
    atomic_store(&a->cancelled, true);
    post(a);
}

void tern__stream_async_cancel(tern_stream *st)
{
    atomic_store(&st->async->cancelled, true);
    post(st->async);
}

bool tern__stream_async_close_send(tern_stream *st)
{
    stream_async *a = st->async;
    pthread_mutex_lock(&a->lock);
    a->close_send = true;
    post(a);
    pthread_mutex_unlock(&a->lock);
    return true;
}

void tern__stream_send_start(tern_stream *st, const tern__call_codec *codec, tern_stream_sent done,
                             void *ctx)
{
    stream_async *a = st->async;
    tern__packed packed;
    bool ok = tern__stream_pack(st, &packed, &codec) == 0 &&
              codec->request_len <= UINT32_MAX - TERN__MESSAGE_PREFIX_LEN;
    pthread_mutex_lock(&a->lock);
    if (tern__call_terms_check(&st->terms, codec->request_len, NULL) != TERN_OK)
        a->too_long = codec->request_len;
    bool queued = ok && !a->close_send && !a->too_long && tern__stream_append(&a->queue, codec);
    a->n_queued += queued;
    a->no_memory |= !ok || (!a->close_send && !queued && !a->too_long);
    a->on_sent = done;
    a->sent_ctx = ctx;
    post(a);
    pthread_mutex_unlock(&a->lock);
    tern__packed_deinit(&packed);
}

void tern_stream_recv_start(tern_stream *st, tern_stream_received done, void *ctx)
{
    stream_async *a = st->async;
    pthread_mutex_lock(&a->lock);
    a->on_received = done;
    a->received_ctx = ctx;
    post(a);
    pthread_mutex_unlock(&a->lock);
}

void tern_stream_finish_start(tern_stream *st, tern_stream_finished done, void *ctx)
{
    stream_async *a = st->async;
    pthread_mutex_lock(&a->lock);
    a->on_finished = done;
    a->finished_ctx = ctx;
    post(a);
    pthread_mutex_unlock(&a->lock);
}

/* --- start ------------------------------------------------------------------------------------ */

static stream_async *async_new(tern_channel *ch, const tern_method *method,
                               const tern_call_options *opts)
{
    stream_async *a = calloc(1, sizeof *a);
    if (!a)
        return NULL;
    a->st = tern__stream_make(ch, method, opts);
    if (!a->st) {
        free(a);
        return NULL;
    }
    a->st->async = a;
    a->loop = ch->sub.loop;
    a->connect.wait_for_ready = a->st->terms.wait_for_ready;
    a->connect.key = a->st->terms.key;
    a->connect.done = on_connect;
    a->listener.on_cancel = on_cancel;
    tern__list_init(&a->connect.node);
    tern__metadata_init(&a->metadata, NULL);
    tern__op_init(&a->op, run);
    pthread_mutex_init(&a->lock, NULL);
    return a;
}

static tern_code prepare(stream_async *a, tern_status *reterr)
{
    tern_stream *st = a->st;
    if (st->opts.metadata && tern__metadata_append_all(&a->metadata, st->opts.metadata))
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED,
                               "out of memory for the request's metadata");
    st->opts.metadata = &a->metadata;
    tern_code code =
        tern__head_init(&a->head, st->ch, st->method, &st->opts, st->terms.deadline, reterr);
    /* Memory for its timer; nothing runs before the launch. */
    if (code == TERN_OK && tern__reactor_set_timer(a->loop, &a->op, TERN__TIME_NEVER))
        code = tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory for a stream");
    if (code == TERN_OK)
        code = tern__stream_replay_begin(st, reterr);
    return code == TERN_OK ? tern__stream_admit(st, reterr) : code;
}

static void launch(stream_async *a)
{
    atomic_fetch_add(&a->loop->n_calls, 1);
    post(a);
}

tern_code tern_stream_start(tern_channel *ch, const tern_method *method,
                            const tern_call_options *opts, tern_stream **ret, tern_status *reterr)
{
    static const tern_call_options defaults = TERN_CALL_OPTIONS_INIT;
    tern__client_interception *x = NULL;
    stream_async *a = NULL;
    tern_status why;
    why.message[0] = '\0';
    if (!opts)
        opts = &defaults;
    tern_code code = tern__call_check(ch, opts, 0, &why);
    if (code == TERN_OK && ch->n_interceptors)
        code = tern__stream_intercept(ch, method, &opts, &x, &why);
    if (code == TERN_OK &&
        (!tern__reactor_ready(ch->sub.loop) || !(a = async_new(ch, method, opts))))
        code = tern_status_set(&why, TERN_RESOURCE_EXHAUSTED, "out of memory for a stream");
    if (code == TERN_OK)
        code = prepare(a, &why);
    if (code == TERN_OK) {
        a->st->interception = x;
        *ret = a->st;
        launch(a);
        return TERN_OK;
    }
    why.code = code;
    if (x)
        code = tern__client_intercept_end(x, &why);
    free(x);
    if (reterr)
        tern__status_copy(reterr, &why);
    if (a) {
        tern__reactor_forget(a->loop, &a->op);
        free_async(a);
    }
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

void tern_stream_send_start(tern_stream *st, const void *message, size_t len,
                            tern_stream_sent done, void *ctx)
{
    raw_message m = { message, len };
    const tern__call_codec codec = { .request_len = len, .pack = raw_pack, .ctx = &m };
    tern__stream_send_start(st, &codec, done, ctx);
}
