/* See attempt.h. */
#include "client/attempt.h"

#include <string.h>

#include "base/time.h"
#include "client/admission.h"
#include "client/pick.h"
#include "io/clock.h"
#include "io/context.h"

static bool may_repeat(const tern_method *m, tern_call_retry how)
{
    if (how == TERN_RETRY_BY_METHOD)
        return m->idempotency != TERN_IDEMPOTENCY_UNKNOWN;
    return how == TERN_RETRY_SAFE;
}

tern_code tern__call_init(tern__call *c, tern_channel *ch, const tern_method *method,
                          const tern_call_options *opts, const tern__call_codec *codec)
{
    c->ch = ch;
    c->method = method;
    c->opts = opts;
    c->codec = codec;
    c->counted = c->succeeded = false;
    c->former = TERN_OK;
    c->status.code = TERN_OK;
    c->status.message[0] = '\0';
    c->context = opts->context;
    c->deadline = tern__call_deadline(opts);
    tern__retry_init(&c->retry, &ch->opt.retry, may_repeat(method, opts->retry));
    if (opts->retry == TERN_RETRY_NEVER)
        c->retry.disabled = true;
    return tern__head_init(&c->head, ch, method, opts, c->deadline, &c->status);
}

void tern__call_deinit(tern__call *c)
{
    tern__head_deinit(&c->head);
}

tern_code tern__call_admit(tern__call *c, tern__breaker_ticket *ticket)
{
    tern_code code = tern__admit(c->ch, tern__clock_now(), !c->counted, c->former, ticket,
                                 &c->status);
    c->counted = true;
    return code;
}

void tern__call_stream_init(tern__call *c, tern__client_stream *s, tern__request *ret)
{
    size_t max = c->opts->receive_message_bytes_max ? c->opts->receive_message_bytes_max
                                                    : c->ch->opt.receive_message_bytes_max;
    int64_t now = tern__clock_now();
    tern__head_update(&c->head, now, c->deadline, c->retry.attempts - 1);
    tern__client_stream_init(s, max,
                             c->opts->ret_initial_metadata || c->opts->ret_trailing_metadata);
    s->began = now;
    *ret = (tern__request){
        .fields = c->head.fields,
        .n_fields = c->head.n_fields,
        .message = c->message,
        .len = c->len,
        .last = true,
        .now = now,
        .deadline = c->deadline,
        .context = c->context,
    };
}

static void keep_status(tern__call *c, const tern__client_stream *s)
{
    c->status.code = s->status.code;
    memcpy(c->status.message, s->status.message, strlen(s->status.message) + 1);
}

static tern_code deliver_compressed(tern__call *c, const tern__client_stream *s)
{
    tern__buf plain = { 0 };
    const tern__bytes message = { s->message, s->message_len };
    tern_code code = tern__unpack_compressed(s, message, &plain, &c->status);
    if (code == TERN_OK)
        code = c->codec->unpack(tern__buf_head(&plain), plain.len, &c->status, c->codec->ctx);
    tern__buf_deinit(&plain);
    return code;
}

static tern_code deliver(tern__call *c, tern__client_stream *s)
{
    if (c->opts->ret_initial_metadata)
        tern__metadata_append_all(c->opts->ret_initial_metadata, &s->initial);
    if (c->opts->ret_trailing_metadata)
        tern__metadata_append_all(c->opts->ret_trailing_metadata, &s->trailing);
    if (s->status.code != TERN_OK) {
        keep_status(c, s);
        return s->status.code;
    }
    if (c->opts->ret_compressed)
        *c->opts->ret_compressed = s->message_compressed;
    if (s->message_compressed)
        return deliver_compressed(c, s);
    return c->codec->unpack(s->message, s->message_len, &c->status, c->codec->ctx);
}

/* What follows from an attempt's outcome: breaker, throttle, retry. */
static tern__retry_action judge(tern__call *c, tern__client_stream *s, tern__breaker_ticket ticket,
                                int64_t *ret_delay)
{
    tern_channel *ch = c->ch;
    tern__breaker_change change = { .changed = false };
    tern__retry_action action = TERN__RETRY_STOP;
    int64_t now = tern__clock_now();
    /* An answer that a late thread finds in the socket is no answer any more: what a call returns
     * must not depend on how busy the machine is. */
    if (s->status.code == TERN_OK && now >= c->deadline)
        tern_status_set(&s->status, TERN_DEADLINE_EXCEEDED,
                        "the server's answer came after the deadline");
    pthread_mutex_lock(&ch->lock);
    if (s->status.code == TERN_OK) {
        tern__throttle_success(&ch->throttle);
    } else if (s->status.code != TERN_DEADLINE_EXCEEDED && s->status.code != TERN_CANCELLED) {
        const tern__attempt_result result = {
            .code = s->status.code,
            .fate = s->fate,
            .has_pushback = s->has_pushback,
            .pushback_ms = s->pushback_ms,
        };
        action = tern__retry_decide(&c->retry, &result, &ch->throttle, now, c->deadline, &ch->rng,
                                    ret_delay);
        ch->stats.retries += action == TERN__RETRY_AFTER;
        ch->stats.transparent_retries += action == TERN__RETRY_TRANSPARENT;
    }
    /* What is repeated transparently says nothing of the server's health; a refusal that stays
     * does. */
    if (action == TERN__RETRY_TRANSPARENT || s->fate == TERN__FATE_NEVER_SENT || s->own_fault)
        tern__breaker_cancel(&ch->breaker, ticket);
    else
        tern__breaker_outcome(&ch->breaker, now, ticket, s->status.code, &change);
    c->succeeded = s->status.code == TERN_OK;
    tern__count_end(&ch->attempts, c->succeeded);
    if (c->succeeded)
        tern__count_end(&ch->calls, true);
    pthread_mutex_unlock(&ch->lock);
    tern__channel_tell(ch, &change);
    return action;
}

tern__retry_action tern__call_judge(tern__call *c, tern__client_stream *s, tern__transport *t,
                                    tern__breaker_ticket ticket, tern_code *ret,
                                    int64_t *ret_delay)
{
    /* A connection that took no stream is of no more use. */
    if (s->fate != TERN__FATE_COMMITTED && s->status.code != TERN_OK && !tern__transport_usable(t))
        tern__pick_drop(c->ch, t);
    tern__pick_done(t, s->began, s->status.code, s->fate);
    tern__retry_action action = judge(c, s, ticket, ret_delay);
    if (action == TERN__RETRY_STOP) {
        *ret = deliver(c, s);
    } else {
        keep_status(c, s);
        c->former = s->status.code;
    }
    return action;
}

void tern__call_count(tern__call *c, tern_code code)
{
    if (code == TERN_OK)
        return; /* judge() has counted it, with the lock that it held */
    pthread_mutex_lock(&c->ch->lock);
    c->ch->stats.calls_failed++;
    tern__count_end(&c->ch->calls, false);
    if (c->succeeded) /* what the server answered was no message */
        tern__count(&c->ch->calls.succeeded, UINT64_MAX); /* -1 */
    pthread_mutex_unlock(&c->ch->lock);
}
