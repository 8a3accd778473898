/* See hedged.h. What is decided is decided by policy/hedge.h; here attempts are begun, watched and
 * ended. Each asks the channel's gates as a retry does; one that they, the budget or the memory of
 * this side refuse is taken back and costs those that run nothing. */
#include "client/hedged.h"

#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "client/drive.h"
#include "client/reactor.h"
#include "io/clock.h"

void tern__hedged_init(tern__hedged *hd, tern__call *c, void (*ring)(void *ctx), void *ctx)
{
    memset(hd, 0, sizeof *hd);
    hd->c = c;
    hd->ring = ring;
    hd->ring_ctx = ctx;
    pthread_mutex_init(&hd->lock, NULL);
    tern__hedge_init(&hd->h, &c->terms.method->hedging, tern__clock_now(), c->terms.deadline);
}

static void drop_stream(tern__hedge_attempt *a)
{
    if (!a->has_stream)
        return;
    tern__waiter_deinit(&a->s.waiter);
    tern__client_stream_deinit(&a->s);
    a->has_stream = false;
}

void tern__hedged_deinit(tern__hedged *hd)
{
    for (uint32_t i = 0; i < TERN_LIMIT_ATTEMPTS; i++) {
        if (hd->attempts[i])
            drop_stream(hd->attempts[i]);
        free(hd->attempts[i]);
    }
    pthread_mutex_destroy(&hd->lock);
}

/* --- the end of attempts ---------------------------------------------------------------------- */

/* With the transport's lock: the stream is done, and leaves it. */
static void leave_transport(tern__hedge_attempt *a)
{
    a->s.wake = NULL;
    tern__drive_async_end(a->t);
    a->t->last_active = tern__clock_now();
    if (a->s.messages)
        tern__count_received(tern__h2_counters(a->t->h2), a->s.messages, a->t->last_active);
}

/* How long an attempt took that was cancelled for another says nothing. */
static void give_back_transport(tern__hedge_attempt *a)
{
    const tern__client_stream *s = &a->s;
    tern__pick_ended(a->t, s, s->status.code != TERN_CANCELLED);
    tern__transport_unref(a->t);
    a->t = NULL;
    a->step = TERN__HEDGE_ENDED;
}

static bool is_connected(tern__hedge_attempt *a)
{
    pthread_mutex_lock(&a->of->lock);
    bool connected = a->connected;
    pthread_mutex_unlock(&a->of->lock);
    return connected;
}

/* Ends an attempt whose outcome is of no interest any more: CANCELLED for one that another has
 * overtaken. One that waits for a connection may have to wait for the connector's answer: false. */
static bool abandon(tern__hedge_attempt *a, tern_code code)
{
    tern_channel *ch = a->of->c->ch;
    if (a->step == TERN__HEDGE_CONNECT) {
        if (!is_connected(a) && !tern__pick_cancel(ch, &a->connect))
            return false;
        if (a->connect.transport)
            tern__pick_unused(a->connect.transport, TERN_CANCELLED);
        tern__transport_unref(a->connect.transport);
        a->connect.transport = NULL;
        a->step = TERN__HEDGE_ENDED;
        tern__admission_outcome(ch, &a->pass, code);
    } else if (a->step == TERN__HEDGE_STREAM) {
        tern__transport *t = a->t;
        pthread_mutex_lock(&t->lock);
        a->s.cancelled = code == TERN_CANCELLED;
        tern__drive_give_up(t, &a->s, a->s.h2.id ? TERN__FATE_IN_DOUBT : TERN__FATE_NEVER_SENT);
        leave_transport(a);
        tern__drive_pass_lead(t);
        pthread_mutex_unlock(&t->lock);
        give_back_transport(a);
        tern__admission_outcome(ch, &a->pass, code);
    }
    return true;
}

/* Ends those of `mask`; whether all have ended. */
static bool abandon_all(tern__hedged *hd, uint32_t mask, tern_code code)
{
    bool all = true;
    for (uint32_t i = 0; i < TERN_LIMIT_ATTEMPTS; i++)
        if (hd->attempts[i] && (mask & (1u << i)))
            all &= abandon(hd->attempts[i], code);
    return all;
}

static void decide(tern__hedged *hd, tern_code code)
{
    hd->decided = true;
    hd->code = code;
}

/* --- the beginning of attempts ---------------------------------------------------------------- */

static void on_stream(tern__client_stream *s)
{
    tern__hedged *hd = TERN__CONTAINER(s, tern__hedge_attempt, s)->of;
    hd->ring(hd->ring_ctx);
}

static void on_connect(tern__connect_op *op)
{
    tern__hedge_attempt *a = TERN__CONTAINER(op, tern__hedge_attempt, connect);
    tern__hedged *hd = a->of;
    pthread_mutex_lock(&hd->lock);
    a->connected = true;
    hd->ring(hd->ring_ctx);
    pthread_mutex_unlock(&hd->lock);
}

static void open_stream(tern__hedge_attempt *a, tern__transport *t)
{
    drop_stream(a); /* of a transparent retry */
    a->of->moved = true;
    a->step = TERN__HEDGE_STREAM;
    a->t = t;
    tern__call_stream_init(a->of->c, &a->s, a->number, &a->request);
    a->request.lazy = a->of->lazy;
    tern__waiter_init(&a->s.waiter);
    a->has_stream = true;
    a->s.wake = on_stream;
    a->s.wake_at_headers = true;
    pthread_mutex_lock(&t->lock);
    tern__reactor_begin(t);
    tern__drive_start(t, &a->s, &a->request);
    pthread_mutex_unlock(&t->lock);
}

/* The attempt is not made. The reason is the call's if nothing else becomes of it. */
static void withdraw(tern__hedged *hd, uint32_t number, tern_code code, const tern_status *why)
{
    tern__hedge_withdraw(&hd->h, number);
    if (hd->newest_failure)
        return;
    hd->code = code;
    hd->c->status.code = code;
    memcpy(hd->c->status.message, why->message, strlen(why->message) + 1);
}

static void settle(tern__hedge_attempt *a, const tern__attempt_result *result, bool says_nothing);

/* No connection is to be had. */
static void fail_connect(tern__hedge_attempt *a, tern_code code, const tern_status *why)
{
    const tern__attempt_result result = { .code = code, .fate = TERN__FATE_NOT_PICKED };
    drop_stream(a);
    a->t = NULL;
    tern__call_stream_init(a->of->c, &a->s, a->number, &a->request);
    tern__waiter_init(&a->s.waiter);
    a->has_stream = true;
    a->step = TERN__HEDGE_ENDED;
    tern__response_fail(&a->s, TERN__FATE_NOT_PICKED, code, why->message);
    settle(a, &result, false);
}

static void connect_attempt(tern__hedge_attempt *a)
{
    tern__call *c = a->of->c;
    tern__transport *t = NULL;
    tern_status why;
    why.message[0] = '\0';
    tern_code code = tern__pick_look(c->ch, &c->terms, &t, &why);
    if (code != TERN_OK) {
        fail_connect(a, code, &why);
        return;
    }
    if (t) {
        open_stream(a, t);
        return;
    }
    a->step = TERN__HEDGE_CONNECT;
    a->connected = false;
    a->connect = (tern__connect_op){ .wait_for_ready = c->terms.wait_for_ready,
                                     .key = c->terms.key,
                                     .done = on_connect };
    tern__list_init(&a->connect.node);
    if (tern__pick_wait(c->ch, &a->connect)) {
        a->step = TERN__HEDGE_ENDED;
        tern__admission_cancel(c->ch, &a->pass);
        code = tern_status_set(&why, TERN_RESOURCE_EXHAUSTED,
                               "out of memory or threads for a connection");
        withdraw(a->of, a->number, code, &why);
    }
}

/* Whether a further attempt may be paid for. */
static bool pay(tern_channel *ch, uint32_t number)
{
    if (number == 0)
        return true;
    pthread_mutex_lock(&ch->lock);
    bool ok = !ch->has_retry_budget ||
              tern__retry_budget_take(&ch->retry_budget, tern__clock_now());
    ch->stats.hedges += ok;
    ch->stats.retries_denied += !ok;
    pthread_mutex_unlock(&ch->lock);
    return ok;
}

static tern__hedge_attempt *attempt_of(tern__hedged *hd, uint32_t number)
{
    tern__hedge_attempt *a = hd->attempts[number];
    if (a)
        return a;
    a = malloc(sizeof *a);
    if (!a)
        return NULL;
    a->of = hd;
    a->number = number;
    a->has_stream = false;
    a->t = NULL;
    a->step = TERN__HEDGE_ENDED;
    hd->attempts[number] = a;
    return a;
}

/* Sends an attempt, for the first time or once more. */
static void send_attempt(tern__hedged *hd, uint32_t number, bool again)
{
    tern__call *c = hd->c;
    tern_status why;
    why.message[0] = '\0';
    tern__hedge_attempt *a = attempt_of(hd, number);
    if (!a) {
        tern_status_set(&why, TERN_RESOURCE_EXHAUSTED, "out of memory for a call");
        withdraw(hd, number, TERN_RESOURCE_EXHAUSTED, &why);
        return;
    }
    if (!again && !pay(c->ch, number)) {
        tern_status_set(&why, TERN_UNAVAILABLE, "the retry budget is spent");
        withdraw(hd, number, TERN_UNAVAILABLE, &why);
        return;
    }
    const tern__applicant who = { .ch = c->ch,
                                  .guard = c->terms.guard,
                                  .now = tern__clock_now(),
                                  .first = !c->counted,
                                  .former = TERN_OK };
    c->counted = true;
    tern_code code = tern__admit(&who, &a->pass, &why);
    if (code == TERN_OK)
        connect_attempt(a);
    else
        withdraw(hd, number, code, &why);
}

/* --- what became of them ---------------------------------------------------------------------- */

/* An attempt has ended by itself: what follows from that. */
static void settle(tern__hedge_attempt *a, const tern__attempt_result *result, bool says_nothing)
{
    tern__hedged *hd = a->of;
    tern_channel *ch = hd->c->ch;
    tern__pass_changes changes;
    uint32_t overtaken = 0;
    int64_t now = tern__clock_now();
    bool ok = result->code == TERN_OK;
    changes.channel.changed = changes.method.changed = false;
    pthread_mutex_lock(&ch->lock);
    tern__hedge_verdict verdict = tern__hedge_outcome(&hd->h, a->number, result, ch->throttle, now,
                                                      &overtaken);
    if (ok)
        tern__throttle_success(ch->throttle);
    if (verdict == TERN__HEDGE_AGAIN || result->fate == TERN__FATE_NEVER_SENT || says_nothing)
        tern__pass_cancel(ch, &a->pass, now, ok);
    else
        tern__pass_outcome(ch, &a->pass, now, result->code, &changes);
    ch->stats.transparent_retries += verdict == TERN__HEDGE_AGAIN;
    hd->c->succeeded = verdict == TERN__HEDGE_FINAL && ok;
    if (hd->c->succeeded)
        tern__count_end(&ch->calls, true);
    pthread_mutex_unlock(&ch->lock);
    tern__pass_tell(ch, &a->pass, &changes);
    if (verdict == TERN__HEDGE_AGAIN) {
        send_attempt(hd, a->number, true);
    } else if (verdict == TERN__HEDGE_GO_ON) {
        hd->newest_failure = a;
    } else if (verdict == TERN__HEDGE_FINAL) {
        (void)abandon_all(hd, overtaken, TERN_CANCELLED);
        decide(hd, tern__call_deliver(hd->c, &a->s));
    }
}

static void look_at_connection(tern__hedge_attempt *a)
{
    if (!is_connected(a))
        return;
    tern__transport *t = a->connect.transport;
    a->connect.transport = NULL;
    if (t)
        open_stream(a, t);
    else if (a->connect.status.code == TERN_OK)
        connect_attempt(a); /* connections come from elsewhere now */
    else
        fail_connect(a, a->connect.status.code, &a->connect.status);
}

static void look_at_stream(tern__hedge_attempt *a)
{
    tern__hedged *hd = a->of;
    tern__call *c = hd->c;
    tern__client_stream *s = &a->s;
    tern__transport *t = a->t;
    pthread_mutex_lock(&t->lock);
    if (s->granted && !s->done && !s->h2.id) { /* the head was another attempt's meanwhile */
        tern__head_update(&c->head, tern__clock_now(), c->terms.deadline, a->number);
        a->request.n_fields = c->head.n_fields;
        tern__drive_granted(t, s, &a->request);
    }
    bool done = s->done, committed = s->headers_seen;
    if (done)
        leave_transport(a);
    tern__drive_pass_lead(t);
    pthread_mutex_unlock(&t->lock);
    if (committed) /* A6: response headers commit the call to this attempt */
        (void)abandon_all(hd, tern__hedge_commit(&hd->h, a->number), TERN_CANCELLED);
    if (!done)
        return;
    if (s->status.code != TERN_OK && !committed && !tern__transport_usable(t))
        tern__pick_drop(c->ch, t);
    give_back_transport(a);
    const tern__attempt_result result = { .code = s->status.code,
                                          .fate = s->fate,
                                          .has_pushback = s->has_pushback,
                                          .pushback_ms = s->pushback_ms };
    settle(a, &result, s->own_fault);
}

/* The call ends from this side. */
static void give_up(tern__hedged *hd, tern_code code)
{
    tern_status_set(&hd->c->status, code, "%s",
                    code == TERN_CANCELLED ? "the call was cancelled by its caller"
                                           : "the deadline passed before the server had answered");
    (void)abandon_all(hd, UINT32_MAX, code);
    decide(hd, code);
}

/* Nothing runs and nothing may be sent. */
static void conclude(tern__hedged *hd)
{
    tern__hedge_attempt *a = hd->newest_failure;
    decide(hd, a ? tern__call_deliver(hd->c, &a->s) : hd->code);
}

/* Looks at what runs, then at what is due. */
static void advance(tern__hedged *hd, int64_t *ret_until)
{
    tern_channel *ch = hd->c->ch;
    for (;;) {
        hd->moved = false;
        for (uint32_t i = 0; i < TERN_LIMIT_ATTEMPTS && !hd->decided; i++) {
            tern__hedge_attempt *a = hd->attempts[i];
            if (a && a->step == TERN__HEDGE_CONNECT)
                look_at_connection(a);
            if (a && a->step == TERN__HEDGE_STREAM && !hd->decided)
                look_at_stream(a);
        }
        if (hd->decided)
            return;
        uint32_t number = 0;
        pthread_mutex_lock(&ch->lock);
        tern__hedge_action action =
            tern__hedge_next(&hd->h, ch->throttle, tern__clock_now(), &number, ret_until);
        pthread_mutex_unlock(&ch->lock);
        if (action == TERN__HEDGE_WAIT && !hd->moved)
            return;
        if (action == TERN__HEDGE_SEND)
            send_attempt(hd, number, false);
        else if (action == TERN__HEDGE_GIVE_UP)
            conclude(hd);
    }
}

bool tern__hedged_step(tern__hedged *hd, bool cancelled, tern_code *ret, int64_t *ret_until)
{
    int64_t deadline = hd->c->terms.deadline;
    *ret_until = TERN__TIME_NEVER;
    if (!hd->decided) {
        if (tern__clock_now() >= deadline) /* first: it may be what it was cancelled for */
            give_up(hd, TERN_DEADLINE_EXCEEDED);
        else if (cancelled)
            give_up(hd, TERN_CANCELLED);
        else
            advance(hd, ret_until);
    }
    *ret_until = hd->decided ? TERN__TIME_NEVER : tern__time_min(*ret_until, deadline);
    *ret = hd->code;
    /* Who waits for a connection still waits for the connector to let go of it. */
    return hd->decided && abandon_all(hd, UINT32_MAX, TERN_CANCELLED);
}
