/* See streaming_retry.h. The reader and what the receiver has taken stay as they are over attempts:
 * before response headers there is nothing in them. */
#include "client/streaming_retry.h"

#include <stdlib.h>
#include <string.h>

#include <tern/limits.h>

#include "base/time.h"
#include "client/attempt.h"
#include "client/pick.h"
#include "io/clock.h"
#include "io/context.h"

/* --- what is kept ----------------------------------------------------------------------------- */

tern_code tern__stream_replay_begin(tern_stream *st, tern_status *reterr)
{
    const tern__method_config *m = st->terms.method;
    if (!m || !m->has_retry || st->ch->opt.retry.disabled || st->opts.retry == TERN_RETRY_NEVER)
        return TERN_OK;
    tern__stream_replay *r = calloc(1, sizeof *r);
    if (!r)
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory for a stream");
    tern__retry_init_policy(&r->retry, &m->retry);
    tern__metadata_init(&r->metadata, NULL);
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->changed, NULL);
    st->replay = r;
    if (st->async)
        return TERN_OK;
    r->context = tern_context_new(st->context, 0);
    if (!r->context || (st->opts.metadata &&
                        tern__metadata_append_all(&r->metadata, st->opts.metadata)))
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory for a stream");
    st->context = r->context;
    st->opts.metadata = &r->metadata;
    return tern__head_init(&r->head, st->ch, st->method, &st->opts, st->terms.deadline, reterr);
}

void tern__stream_replay_free(tern_stream *st)
{
    tern__stream_replay *r = st->replay;
    if (!r)
        return;
    if (r->head.n_fields)
        tern__head_deinit(&r->head);
    tern__metadata_deinit(&r->metadata);
    tern_context_free(r->context);
    tern__buf_deinit(&r->sent);
    pthread_cond_destroy(&r->changed);
    pthread_mutex_destroy(&r->lock);
    free(r);
    st->replay = NULL;
}

void tern__stream_commit(tern_stream *st)
{
    tern__stream_replay *r = st->replay;
    if (!r || r->retry.committed)
        return;
    tern__retry_commit(&r->retry);
    tern__buf_deinit(&r->sent);
    r->sent = (tern__buf){ 0 };
}

void tern__stream_keep(tern_stream *st, const tern__buf *from, size_t n)
{
    tern__stream_replay *r = st->replay;
    if (!r || r->retry.committed)
        return;
    if (st->s.headers_seen || r->sent.len + n > TERN_LIMIT_RETRY_BUFFER_BYTES ||
        tern__buf_append(&r->sent, tern__buf_head(from) + from->len - n, n))
        tern__stream_commit(st);
}

/* --- who uses the attempt --------------------------------------------------------------------- */

void tern__stream_enter(tern_stream *st, uint32_t *ret_epoch)
{
    tern__stream_replay *r = st->replay;
    *ret_epoch = 0;
    if (r && !st->async) {
        pthread_mutex_lock(&r->lock);
        while (r->reviving)
            pthread_cond_wait(&r->changed, &r->lock);
        r->n_inside++;
        *ret_epoch = r->epoch;
        pthread_mutex_unlock(&r->lock);
    }
    pthread_mutex_lock(&st->t->lock);
}

void tern__stream_exit(tern_stream *st)
{
    tern__stream_replay *r = st->replay;
    pthread_mutex_unlock(&st->t->lock);
    if (!r || st->async)
        return;
    pthread_mutex_lock(&r->lock);
    if (--r->n_inside == 0)
        pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
}

bool tern__stream_is_dead(const tern_stream *st)
{
    const tern__client_stream *s = &st->s;
    return st->replay && !st->replay->retry.committed && s->done && s->status.code != TERN_OK &&
           !s->headers_seen && !s->given_up && !s->cancelled;
}

/* The connection stays the stream's until it has another one; how this attempt went on it is told
 * once. */
static void tell_balancer(tern_stream *st)
{
    if (st->t && !st->picked_done)
        tern__pick_ended(st->t, &st->s, false);
    st->picked_done = true;
}

/* --- attempts --------------------------------------------------------------------------------- */

tern__retry_action tern__stream_judge(tern_stream *st, int64_t *ret_delay)
{
    tern__stream_replay *r = st->replay;
    tern__client_stream *s = &st->s;
    tern__pass_changes changes;
    changes.channel.changed = changes.method.changed = false;
    if (!tern__stream_is_dead(st))
        return TERN__RETRY_STOP;
    if (st->t && !tern__transport_usable(st->t))
        tern__pick_drop(st->ch, st->t);
    tell_balancer(st);
    const tern__attempt_result result = { .code = s->status.code,
                                          .fate = s->fate,
                                          .has_pushback = s->has_pushback,
                                          .pushback_ms = s->pushback_ms };
    int64_t now = tern__clock_now();
    pthread_mutex_lock(&st->ch->lock);
    tern__retry_action action =
        tern__retry_judge(st->ch, &r->retry, &result, st->terms.deadline, ret_delay);
    st->pass.channel.began = st->pass.method.began = TERN__TIME_NEVER;
    if (action == TERN__RETRY_STOP)
        tern__retry_commit(&r->retry); /* the rest is told when the stream is concluded */
    else if (action == TERN__RETRY_TRANSPARENT || s->fate == TERN__FATE_NEVER_SENT || s->own_fault)
        tern__pass_cancel(st->ch, &st->pass, now, false);
    else
        tern__pass_outcome(st->ch, &st->pass, now, s->status.code, &changes);
    r->settled = action != TERN__RETRY_STOP;
    pthread_mutex_unlock(&st->ch->lock);
    tern__pass_tell(st->ch, &st->pass, &changes);
    return action;
}

/* Makes the stream as it was before its first attempt; what the receiver uses without a lock stays.
 */
static void renew(tern_stream *st)
{
    tern__client_stream *s = &st->s;
    memset(&s->h2, 0, sizeof s->h2);
    tern__list_init(&s->open_node);
    s->done = s->granted = s->own_fault = false;
    s->trailers_only = s->trailers_seen = s->type_ok = s->type_seen = s->status_seen = false;
    s->encoding = TERN_COMPRESSION_IDENTITY;
    s->is_1xx = s->bad_metadata = s->no_memory = s->too_large = s->has_pushback = false;
    s->has_load = false;
    s->blocks = s->interim = 0;
    s->http_status = 200;
    s->grpc_code = TERN_OK;
    tern_metadata_clear(&s->block);
    tern_metadata_clear(&s->trailing);
    s->body_error = 0;
    s->status.code = TERN_UNKNOWN;
    s->status.message[0] = '\0';
    s->fate = TERN__FATE_NEVER_SENT;
    tern__buf_consume(&st->body.in, st->body.in.len);
    tern__buf_consume(&st->body.out, st->body.out.len);
    tern__buf_consume(&st->body.sending, st->body.sending.len);
    st->body.filled = 0;
}

bool tern__stream_begin_again(tern_stream *st)
{
    const tern__applicant who = { .ch = st->ch,
                                  .guard = st->terms.guard,
                                  .now = tern__clock_now(),
                                  .former = st->s.status.code };
    tern_status why;
    if (tern__admit(&who, &st->pass, &why) != TERN_OK) {
        tern__stream_commit(st); /* it ends with what the server said */
        return false;
    }
    st->replay->settled = false;
    renew(st);
    return true;
}

static bool no_memory(tern_stream *st)
{
    tern__response_fail(&st->s, TERN__FATE_NEVER_SENT, TERN_RESOURCE_EXHAUSTED,
                        "out of memory for repeating a stream");
    tern__stream_commit(st);
    return false;
}

bool tern__stream_refill(tern_stream *st)
{
    const tern__buf *sent = &st->replay->sent;
    return !sent->len || tern__buf_append(&st->body.out, tern__buf_head(sent), sent->len) == 0 ||
           no_memory(st);
}

/* Takes a connection, opens the stream on it and sends what was sent before. */
static bool open_attempt(tern_stream *st)
{
    tern__stream_replay *r = st->replay;
    tern__transport *t = NULL;
    tern_status why;
    why.message[0] = '\0';
    const tern__connect_wait wait = { .deadline = st->terms.deadline,
                                      .context = st->context,
                                      .wait_for_ready = st->terms.wait_for_ready,
                                      .key = st->terms.key };
    tern_code code = tern__pick_get(st->ch, &wait, &t, &why);
    if (code != TERN_OK) {
        tern__response_fail(&st->s, TERN__FATE_NOT_PICKED, code, why.message);
        st->s.given_up = code != TERN_UNAVAILABLE;
        return false;
    }
    tern__transport_unref(st->t);
    st->t = t;
    st->picked_done = false;
    if (!tern__stream_refill(st))
        return false;
    tern__buf former = st->body.sending;
    st->body.sending = st->body.out;
    st->body.out = former;
    st->body.filled = st->body.sending.len;
    tern__head_update(&r->head, tern__clock_now(), st->terms.deadline, r->retry.attempts - 1);
    return tern__stream_open_on(st, &r->head, st->body.close_send);
}

/* Alone with the stream, whose attempt is dead. */
static bool revive_alone(tern_stream *st)
{
    for (;;) {
        int64_t delay = 0;
        tern__retry_action action = tern__stream_judge(st, &delay);
        if (action == TERN__RETRY_STOP)
            return false;
        tern_code code = TERN_OK;
        if (action == TERN__RETRY_AFTER)
            code = tern__context_sleep(st->context, tern__time_add(tern__clock_now(), delay));
        if (code != TERN_OK) {
            tern__stream_commit(st);
            tern_status_set(&st->s.status, code, "%s", tern__call_pause_ended(code));
            return false;
        }
        if (!tern__stream_begin_again(st))
            return false;
        if (open_attempt(st))
            return true;
    }
}

bool tern__stream_open_first(tern_stream *st)
{
    return open_attempt(st) || revive_alone(st);
}

bool tern__stream_revive(tern_stream *st, uint32_t epoch)
{
    tern__stream_replay *r = st->replay;
    pthread_mutex_lock(&r->lock);
    while (r->reviving)
        pthread_cond_wait(&r->changed, &r->lock);
    if (r->epoch != epoch) { /* another thread has */
        pthread_mutex_unlock(&r->lock);
        return true;
    }
    r->reviving = true;
    while (r->n_inside)
        pthread_cond_wait(&r->changed, &r->lock);
    pthread_mutex_unlock(&r->lock);
    tern__context_unlisten(st->context, &st->link.listener);
    bool good = revive_alone(st);
    pthread_mutex_lock(&r->lock);
    r->reviving = false;
    r->epoch++;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
    return good;
}
