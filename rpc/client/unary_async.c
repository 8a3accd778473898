/* See unary_async.h. A call is an op (reactor.h) that runs whenever something has happened to it: a
 * connection is there, its stream was granted a place or is done, its time has come, it was
 * cancelled. Each run looks at what there is and makes the next step; nothing of the call is
 * touched outside of it, but for the stream, which the transport's lock guards. */
#include "client/unary_async.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "client/attempt.h"
#include "client/drive.h"
#include "client/fault.h"
#include "client/hedged.h"
#include "client/intercept.h"
#include "client/pick.h"
#include "client/reactor.h"
#include "io/clock.h"
#include "io/context.h"

typedef enum step { NEW, BEGIN, CONNECT, STREAM, PAUSE, HEDGED } step;

typedef struct unary {
    tern__op op;
    tern_loop *loop;
    step step;
    tern__call call;
    tern__call_codec codec;
    void (*finish)(void *ctx, const tern_status *st);
    tern_call_options opts; /* ours: request metadata is below */
    tern_metadata metadata;
    uint8_t *message;
    tern__client_interception *interception;
    tern__context_listener listener;
    atomic_bool cancelled, connected;
    tern__connect_op connect;
    int64_t resume_at;        /* PAUSE */
    tern__hedged *hedged;     /* HEDGED */
    tern__client_fault fault; /* due: PAUSE is its rest */

    /* the attempt */
    tern__pass pass;
    tern__transport *t;
    tern__request request;
    tern__client_stream s;
} unary;

static void step_begin(unary *u);

static void free_call(unary *u)
{
    tern__call_deinit(&u->call);
    tern__metadata_deinit(&u->metadata);
    free(u->hedged);
    free(u->interception);
    free(u->message);
    free(u);
}

/* The end: tells the program, frees. */
static void complete(unary *u, tern_code code)
{
    tern_status *st = &u->call.status;
    st->code = code;
    if (code == TERN_OK)
        st->message[0] = '\0';
    if (u->fault.due)
        tern__client_fault_count(u->call.ch);
    tern__client_fault_end(u->call.ch, &u->fault);
    tern__call_count(&u->call, code);
    tern__call_terms_end(&u->call.terms, u->call.ch); /* after the callback the channel may go */
    if (u->call.context)
        tern__context_unlisten(u->call.context, &u->listener);
    if (u->interception) {
        bool made = code == TERN_OK;
        code = tern__client_intercept_end(u->interception, st);
        if (made && code != TERN_OK && u->codec.discard)
            u->codec.discard(u->codec.ctx);
    }
    tern__reactor_forget(u->loop, &u->op);
    atomic_fetch_sub(&u->loop->n_calls, 1);
    u->finish(u->codec.ctx, st);
    free_call(u);
}

/* Whether the call was cancelled or its time is over; completes it then. */
static bool over(unary *u)
{
    /* The deadline first: it may be what it was cancelled for. */
    tern_code code = tern__clock_now() >= u->call.terms.deadline ? TERN_DEADLINE_EXCEEDED
                     : atomic_load(&u->cancelled)                ? TERN_CANCELLED
                                                                 : TERN_OK;
    if (code == TERN_OK)
        return false;
    tern_status_set(&u->call.status, code, "%s",
                    code == TERN_CANCELLED ? "the call was cancelled by its caller"
                    : u->step == CONNECT   ? "the deadline passed while waiting for a connection"
                    : u->fault.due ? "the deadline passed in the delay of an injected fault"
                                           : "the deadline passed between two attempts");
    complete(u, code);
    return true;
}

/* --- the stream ------------------------------------------------------------------------------- */

static void on_stream(tern__client_stream *s)
{
    unary *u = TERN__CONTAINER(s, unary, s);
    tern__reactor_post(u->loop, &u->op);
}

/* What follows an attempt. */
static void follow(unary *u, tern__retry_action action, tern_code code, int64_t delay)
{
    if (action == TERN__RETRY_STOP) {
        complete(u, code);
    } else if (action == TERN__RETRY_TRANSPARENT) {
        step_begin(u);
    } else {
        u->step = PAUSE;
        u->resume_at = tern__time_add(tern__clock_now(), delay);
        tern__reactor_set_timer(u->loop, &u->op,
                                tern__time_min(u->resume_at, u->call.terms.deadline));
    }
}

/* The stream is done: what follows? */
static void settle(unary *u)
{
    tern_code code = TERN_OK;
    int64_t delay = 0;
    tern__retry_action action = tern__call_judge(&u->call, &u->s, u->t, &u->pass, &code, &delay);
    tern__waiter_deinit(&u->s.waiter);
    tern__client_stream_deinit(&u->s);
    tern__transport_unref(u->t);
    u->t = NULL;
    follow(u, action, code, delay);
}

/* With the lock: done, the stream leaves the transport. */
static bool look_at_stream(unary *u)
{
    tern__client_stream *s = &u->s;
    bool cancelled = atomic_load(&u->cancelled);
    tern__drive_granted(u->t, s, &u->request);
    if (!s->done && (cancelled || tern__clock_now() >= u->call.terms.deadline)) {
        s->cancelled = cancelled;
        tern__drive_give_up(u->t, s, s->h2.id ? TERN__FATE_IN_DOUBT : TERN__FATE_NEVER_SENT);
    }
    if (s->done) {
        s->wake = NULL;
        tern__drive_async_end(u->t);
        u->t->last_active = tern__clock_now();
        if (s->messages)
            tern__count_received(tern__h2_counters(u->t->h2), s->messages, u->t->last_active);
    }
    tern__drive_pass_lead(u->t);
    return s->done;
}

static void step_stream(unary *u)
{
    pthread_mutex_lock(&u->t->lock);
    bool done = look_at_stream(u);
    pthread_mutex_unlock(&u->t->lock);
    if (done)
        settle(u);
}

static void open_stream(unary *u, tern__transport *t)
{
    u->step = STREAM;
    u->t = t;
    tern__call_stream_init(&u->call, &u->s, u->call.retry.attempts - 1, &u->request);
    u->request.lazy = true;
    tern__waiter_init(&u->s.waiter);
    u->s.wake = on_stream;
    pthread_mutex_lock(&t->lock);
    tern__reactor_begin(t);
    tern__drive_start(t, &u->s, &u->request);
    bool done = look_at_stream(u);
    pthread_mutex_unlock(&t->lock);
    if (done)
        settle(u);
}

/* --- the connection --------------------------------------------------------------------------- */

static void fail_connect(unary *u, tern_code code)
{
    int64_t delay = 0;
    follow(u, tern__call_unreachable(&u->call, &u->pass, code, &delay), code, delay);
}

static void on_connect(tern__connect_op *op)
{
    unary *u = TERN__CONTAINER(op, unary, connect);
    tern__reactor_raise(u->loop, &u->op, &u->connected);
}

static void get_connection(unary *u)
{
    tern__transport *t = NULL;
    tern_code code = tern__pick_look(u->call.ch, &u->call.terms, &t, &u->call.status);
    if (code != TERN_OK) {
        fail_connect(u, code);
    } else if (t) {
        open_stream(u, t);
    } else {
        u->step = CONNECT;
        if (tern__pick_wait(u->call.ch, &u->connect))
            fail_connect(u, tern_status_set(&u->call.status, TERN_RESOURCE_EXHAUSTED,
                                            "out of memory or threads for a connection"));
    }
}

static void step_connect(unary *u)
{
    if (atomic_load(&u->connected)) {
        atomic_store(&u->connected, false);
        if (u->connect.transport) {
            open_stream(u, u->connect.transport);
        } else if (u->connect.status.code == TERN_OK) { /* connections come from elsewhere now */
            get_connection(u);
        } else {
            u->call.status = u->connect.status;
            fail_connect(u, u->call.status.code);
        }
        return;
    }
    bool late = atomic_load(&u->cancelled) || tern__clock_now() >= u->call.terms.deadline;
    if (!late || !tern__pick_cancel(u->call.ch, &u->connect))
        return; /* nothing yet, or its answer is on the way */
    tern__admission_outcome(u->call.ch, &u->pass, TERN_DEADLINE_EXCEEDED);
    over(u);
}

static void step_begin(unary *u)
{
    u->step = BEGIN;
    if (over(u))
        return;
    tern_code code = tern__call_admit(&u->call, &u->pass);
    if (code != TERN_OK) {
        complete(u, code);
        return;
    }
    tern__reactor_set_timer(u->loop, &u->op, u->call.terms.deadline);
    get_connection(u);
}

/* --- several attempts at once ----------------------------------------------------------------- */

static void on_ring(void *ctx)
{
    unary *u = ctx;
    tern__reactor_post(u->loop, &u->op);
}

static void step_hedged(unary *u)
{
    tern_code code;
    int64_t until;
    if (!tern__hedged_step(u->hedged, atomic_load(&u->cancelled), &code, &until)) {
        tern__reactor_set_timer(u->loop, &u->op, until);
        return;
    }
    tern__hedged_deinit(u->hedged);
    complete(u, code);
}

static void begin_hedged(unary *u)
{
    u->hedged = malloc(sizeof *u->hedged);
    if (!u->hedged) {
        complete(u, tern_status_set(&u->call.status, TERN_RESOURCE_EXHAUSTED,
                                    "out of memory for a call"));
        return;
    }
    u->step = HEDGED;
    tern__hedged_init(u->hedged, &u->call, on_ring, u);
    u->hedged->lazy = true;
    step_hedged(u);
}

static void begin_attempts(unary *u)
{
    if (u->call.hedged)
        begin_hedged(u);
    else
        step_begin(u);
}

/* After the pause before a retry, or the rest of a fault. */
static void step_pause(unary *u)
{
    if (over(u) || tern__clock_now() < u->resume_at)
        return;
    if (u->fault.due && u->fault.abort) {
        complete(u, tern__client_fault_status(&u->fault, &u->call.status));
        return;
    }
    tern__client_fault_end(u->call.ch, &u->fault);
    begin_attempts(u);
}

/* The first step: from now on it is the loop's alone. The call rests if a fault says so. */
static void step_new(unary *u)
{
    if (u->call.context && !tern__context_listen(u->call.context, &u->listener))
        atomic_store(&u->cancelled, true);
    if (u->call.ch->opt.fault)
        u->fault = tern__client_fault_begin(u->call.ch, u->call.method, u->call.opts->metadata);
    if (!u->fault.due) {
        begin_attempts(u);
        return;
    }
    u->step = PAUSE;
    u->resume_at = u->fault.until;
    tern__reactor_set_timer(u->loop, &u->op, tern__time_min(u->resume_at, u->call.terms.deadline));
}

static void run(tern__op *op)
{
    unary *u = TERN__CONTAINER(op, unary, op);
    switch (u->step) {
    case NEW:
        step_new(u);
        break;
    case BEGIN:
        begin_attempts(u);
        break;
    case HEDGED:
        step_hedged(u);
        break;
    case CONNECT:
        step_connect(u);
        break;
    case STREAM:
        step_stream(u);
        break;
    case PAUSE:
        step_pause(u);
        break;
    }
}

/* --- begin ------------------------------------------------------------------------------------ */

static void on_cancel(tern__context_listener *self)
{
    unary *u = TERN__CONTAINER(self, unary, listener);
    atomic_store(&u->cancelled, true);
    tern__reactor_post(u->loop, &u->op);
}

static tern_code no_memory(tern_status *reterr)
{
    return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory for a call");
}

/* The request as it is sent, compressed if that is asked for. */
static tern_code pack(unary *u, tern_status *reterr)
{
    tern__packed packed;
    tern__call *c = &u->call;
    const tern__call_codec *codec = &u->codec;
    tern_code code = TERN_OK;
    if (tern__pack_compressed(&packed, tern__call_compression(c->ch, c->opts),
                              c->opts->compress_mode, &codec) ||
        !(u->message = malloc(TERN__MESSAGE_PREFIX_LEN + codec->request_len))) {
        code = no_memory(reterr);
    } else {
        tern__message_prefix_write(u->message, (uint32_t)codec->request_len, codec->compressed);
        codec->pack(u->message + TERN__MESSAGE_PREFIX_LEN, codec->ctx);
        code = tern__call_message(c, u->message, TERN__MESSAGE_PREFIX_LEN + codec->request_len);
        if (code != TERN_OK)
            *reterr = c->status;
    }
    tern__packed_deinit(&packed);
    return code;
}

/* Interceptors may change the options. A call they stop is not begun at all. */
static tern_code intercept(unary *u, const tern_method *method, tern_status *reterr)
{
    tern_channel *ch = u->call.ch;
    if (ch->n_interceptors == 0)
        return TERN_OK;
    u->interception = malloc(sizeof *u->interception);
    if (!u->interception)
        return no_memory(reterr);
    return tern__client_intercept_begin(u->interception, ch, method, &u->opts, reterr);
}

static tern_code prepare(unary *u, const tern_method *method, tern_status *reterr)
{
    tern_channel *ch = u->call.ch;
    tern_code code = TERN_OK;
    if (u->opts.metadata && tern__metadata_append_all(&u->metadata, u->opts.metadata))
        return no_memory(reterr);
    u->opts.metadata = &u->metadata;
    code = intercept(u, method, reterr);
    if (code != TERN_OK)
        return code;
    code = tern__call_init(&u->call, ch, method,
                           u->interception ? &u->interception->opts : &u->opts, &u->codec);
    u->connect.wait_for_ready = u->call.terms.wait_for_ready;
    u->connect.key = u->call.terms.key;
    if (code != TERN_OK)
        *reterr = u->call.status;
    if (code == TERN_OK)
        code = pack(u, reterr);
    /* Memory for its timer; nothing runs before the call is posted. */
    if (code == TERN_OK && tern__reactor_set_timer(u->loop, &u->op, TERN__TIME_NEVER))
        code = no_memory(reterr);
    return code;
}

static unary *unary_new(tern_channel *ch, const tern_call_options *opts,
                        const tern__call_codec *codec)
{
    unary *u = calloc(1, sizeof *u);
    if (!u)
        return NULL;
    u->loop = ch->sub.loop;
    u->opts = *opts;
    u->codec = *codec;
    u->call.ch = ch;
    u->connect.done = on_connect;
    u->listener.on_cancel = on_cancel;
    tern__list_init(&u->connect.node);
    tern__op_init(&u->op, run);
    tern__metadata_init(&u->metadata, NULL);
    return u;
}

tern_code tern__unary_start(tern_channel *ch, const tern_method *method,
                            const tern_call_options *opts, const tern__call_codec *codec,
                            void (*finish)(void *ctx, const tern_status *st), tern_status *reterr)
{
    static const tern_call_options defaults = TERN_CALL_OPTIONS_INIT;
    tern_status why;
    unary *u = NULL;
    why.message[0] = '\0';
    if (!opts)
        opts = &defaults;
    tern_code code = tern__call_check(ch, opts, codec->request_len, &why);
    if (code == TERN_OK && (!tern__reactor_ready(ch->sub.loop) ||
                            !(u = unary_new(ch, opts, codec))))
        code = no_memory(&why);
    if (code == TERN_OK)
        code = prepare(u, method, &why);
    if (code == TERN_OK) {
        u->finish = finish;
        atomic_fetch_add(&u->loop->n_calls, 1);
        tern__reactor_post(u->loop, &u->op);
        return TERN_OK;
    }
    if (u && u->interception) {
        why.code = code;
        code = tern__client_intercept_end(u->interception, &why);
    }
    if (u) {
        tern__reactor_forget(u->loop, &u->op);
        free_call(u);
    }
    if (reterr)
        *reterr = why;
    return code;
}

/* --- raw bytes -------------------------------------------------------------------------------- */

typedef struct raw_call {
    tern_unary_done done;
    void *ctx;
    const void *request; /* until it is packed */
    size_t request_len;
    void *response;
    size_t response_len;
} raw_call;

static void raw_pack(uint8_t *out, void *ctx)
{
    const raw_call *raw = ctx;
    if (raw->request_len)
        memcpy(out, raw->request, raw->request_len);
}

static tern_code raw_unpack(const uint8_t *data, size_t len, tern_status *reterr, void *ctx)
{
    raw_call *raw = ctx;
    raw->response = malloc(len ? len : 1);
    if (!raw->response)
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED,
                               "out of memory for a response of %zu bytes", len);
    if (len)
        memcpy(raw->response, data, len);
    raw->response_len = len;
    return TERN_OK;
}

static void raw_finish(void *ctx, const tern_status *st)
{
    raw_call *raw = ctx;
    bool ok = st->code == TERN_OK;
    raw->done(raw->ctx, st, ok ? raw->response : NULL, ok ? raw->response_len : 0);
    free(raw->response);
    free(raw);
}

tern_code tern_call_unary_start(tern_channel *ch, const tern_method *method,
                                const tern_call_options *opts, const void *request,
                                size_t request_len, tern_unary_done done, void *ctx,
                                tern_status *reterr)
{
    raw_call *raw = calloc(1, sizeof *raw);
    if (!raw)
        return no_memory(reterr);
    *raw = (raw_call){ .done = done, .ctx = ctx, .request = request, .request_len = request_len };
    const tern__call_codec codec = { .request_len = request_len, .pack = raw_pack,
                                     .unpack = raw_unpack, .ctx = raw };
    tern_code code = tern__unary_start(ch, method, opts, &codec, raw_finish, reterr);
    if (code != TERN_OK)
        free(raw);
    return code;
}
