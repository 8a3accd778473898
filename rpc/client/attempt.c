/* See attempt.h. */
#include "client/attempt.h"

#include <string.h>

#include <tern/limits.h>

#include "base/time.h"
#include "client/pick.h"
#include "io/clock.h"
#include "io/context.h"

static bool may_repeat(const tern_method *m, tern_call_retry how)
{
    if (how == TERN_RETRY_BY_METHOD)
        return m->idempotency != TERN_IDEMPOTENCY_UNKNOWN;
    return how == TERN_RETRY_SAFE;
}

/* A policy of the service config goes before what idempotency says. */
static void init_retry(tern__call *c)
{
    const tern__method_config *m = c->terms.method;
    const tern_retry_options *o = &c->ch->opt.retry;
    if (m && m->has_retry)
        tern__retry_init_policy(&c->retry, &m->retry);
    else
        tern__retry_init(&c->retry, o, may_repeat(c->method, c->opts->retry));
    if (c->opts->retry == TERN_RETRY_NEVER || o->disabled)
        c->retry.disabled = true;
    c->hedged = m && m->has_hedging && !c->retry.disabled;
}

tern_code tern__call_init(tern__call *c, tern_channel *ch, const tern_method *method,
                          const tern_call_options *opts, const tern__call_codec *codec)
{
    c->method = method;
    c->opts = opts;
    c->codec = codec;
    c->counted = c->succeeded = false;
    c->former = TERN_OK;
    c->status.code = TERN_OK;
    c->status.message[0] = '\0';
    c->context = tern__call_parent(opts);
    c->ch = ch = tern__call_terms_begin(&c->terms, ch, method, opts);
    init_retry(c);
    return tern__head_init(&c->head, ch, method, opts, c->terms.deadline, &c->status);
}

void tern__call_deinit(tern__call *c)
{
    tern__call_terms_end(&c->terms, c->ch);
    tern__head_deinit(&c->head);
}

tern_code tern__call_message(tern__call *c, const uint8_t *message, size_t len)
{
    c->message = message;
    c->len = len;
    /* A6: a call whose messages need more memory than may be kept for repetitions is not repeated
     * by a policy. It is kept here all the same, for what the protocol proves to be safe. */
    const tern__method_config *m = c->terms.method;
    if (m && (m->has_retry || m->has_hedging) && len > TERN_LIMIT_RETRY_BUFFER_BYTES) {
        c->retry.disabled = true;
        c->hedged = false;
    }
    return tern__call_terms_check(&c->terms, len - TERN__MESSAGE_PREFIX_LEN, &c->status);
}

tern_code tern__call_admit(tern__call *c, tern__pass *pass)
{
    /* The first attempt follows at once, and the gates' windows are coarse. */
    bool just_begun = !c->counted && c->terms.began;
    const tern__applicant who = { .ch = c->ch,
                                  .guard = c->terms.guard,
                                  .now = just_begun ? c->terms.began : tern__clock_now(),
                                  .first = !c->counted,
                                  .former = c->former };
    c->counted = true;
    return tern__admit(&who, pass, &c->status);
}

void tern__call_stream_init(tern__call *c, tern__client_stream *s, uint32_t former,
                            tern__request *ret)
{
    int64_t now = tern__clock_now();
    tern__head_update(&c->head, now, c->terms.deadline, former);
    tern__client_stream_init(s, c->terms.receive_max,
                             c->opts->ret_initial_metadata || c->opts->ret_trailing_metadata);
    s->began = now;
    *ret = (tern__request){
        .fields = c->head.fields,
        .n_fields = c->head.n_fields,
        .message = c->message,
        .len = c->len,
        .last = true,
        .now = now,
        .deadline = c->terms.deadline,
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

tern_code tern__call_deliver(tern__call *c, tern__client_stream *s)
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

tern__retry_action tern__retry_judge(tern_channel *ch, tern__retry *r,
                                     const tern__attempt_result *result, int64_t deadline,
                                     int64_t *ret_delay)
{
    int64_t now = tern__clock_now();
    tern__retry_action action =
        tern__retry_decide(r, result, ch->throttle, now, deadline, &ch->rng, ret_delay);
    if (action == TERN__RETRY_AFTER && ch->has_retry_budget &&
        !tern__retry_budget_take(&ch->retry_budget, now)) {
        ch->stats.retries_denied++;
        return TERN__RETRY_STOP;
    }
    ch->stats.retries += action == TERN__RETRY_AFTER;
    ch->stats.transparent_retries += action == TERN__RETRY_TRANSPARENT;
    return action;
}

/* Whether a stream ended with this side's own deadline or cancellation, which no policy is asked
 * about. */
static bool ended_here(const tern__client_stream *s, int64_t now, int64_t deadline)
{
    return s->given_up || (s->status.code == TERN_DEADLINE_EXCEEDED && now >= deadline);
}

/* What follows from an attempt's outcome: breaker, throttle, retry. */
static tern__retry_action judge(tern__call *c, tern__client_stream *s, const tern__pass *pass,
                                int64_t *ret_delay)
{
    tern_channel *ch = c->ch;
    tern__pass_changes changes;
    tern__config *last = NULL;
    tern__retry_action action = TERN__RETRY_STOP;
    int64_t now = tern__clock_now();
    changes.channel.changed = changes.method.changed = false;
    /* An answer that a late thread finds in the socket is no answer any more: what a call returns
     * must not depend on how busy the machine is. */
    if (s->status.code == TERN_OK && now >= c->terms.deadline)
        tern_status_set(&s->status, TERN_DEADLINE_EXCEEDED,
                        "the server's answer came after the deadline");
    pthread_mutex_lock(&ch->lock);
    if (s->status.code == TERN_OK) {
        tern__throttle_success(ch->throttle);
    } else if (!ended_here(s, now, c->terms.deadline)) {
        const tern__attempt_result result = {
            .code = s->status.code,
            .fate = s->fate,
            .has_pushback = s->has_pushback,
            .pushback_ms = s->pushback_ms,
        };
        action = tern__retry_judge(ch, &c->retry, &result, c->terms.deadline, ret_delay);
    }
    /* What is repeated transparently says nothing of the server's health; a refusal that stays
     * does. */
    c->succeeded = s->status.code == TERN_OK;
    if (action == TERN__RETRY_TRANSPARENT || s->fate == TERN__FATE_NEVER_SENT || s->own_fault)
        tern__pass_cancel(ch, pass, now, c->succeeded);
    else
        tern__pass_outcome(ch, pass, now, s->status.code, &changes);
    if (c->succeeded)
        tern__count_end(&ch->calls, true);
    if (!changes.method.changed && action == TERN__RETRY_STOP && c->terms.config)
        last = tern__call_terms_end_locked(&c->terms);
    pthread_mutex_unlock(&ch->lock);
    tern__config_free(last);
    if (changes.channel.changed || changes.method.changed)
        tern__pass_tell(ch, pass, &changes);
    return action;
}

tern__retry_action tern__call_judge(tern__call *c, tern__client_stream *s, tern__transport *t,
                                    const tern__pass *pass, tern_code *ret, int64_t *ret_delay)
{
    /* A connection that took no stream is of no more use. */
    if (s->fate != TERN__FATE_COMMITTED && s->status.code != TERN_OK && !tern__transport_usable(t))
        tern__pick_drop(c->ch, t);
    tern__pick_ended(t, s, true);
    tern__retry_action action = judge(c, s, pass, ret_delay);
    if (action == TERN__RETRY_STOP) {
        *ret = tern__call_deliver(c, s);
    } else {
        keep_status(c, s);
        c->former = s->status.code;
    }
    return action;
}

/* That nobody can be reached says the server is unwell as clearly as its own words. A retryPolicy
 * is asked whether it is worth another try (A6 counts it as an attempt); without one the caller
 * hears of it at once. */
tern__retry_action tern__call_unreachable(tern__call *c, const tern__pass *pass, tern_code code,
                                          int64_t *ret_delay)
{
    const tern__attempt_result result = { .code = code, .fate = TERN__FATE_NOT_PICKED };
    tern__retry_action action = TERN__RETRY_STOP;
    tern__admission_outcome(c->ch, pass, code);
    if (code != TERN_UNAVAILABLE || !c->retry.codes)
        return action;
    pthread_mutex_lock(&c->ch->lock);
    action = tern__retry_judge(c->ch, &c->retry, &result, c->terms.deadline, ret_delay);
    pthread_mutex_unlock(&c->ch->lock);
    c->former = code; /* the reason is in c->status */
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
