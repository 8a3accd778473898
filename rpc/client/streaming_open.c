/* Opening a stream, and letting go of it; see streaming.h. */
#include <stdlib.h>

#include <tern/limits.h>

#include "base/time.h"
#include "client/fault.h"
#include "client/pick.h"
#include "client/streaming_parts.h"
#include "client/streaming_retry.h"
#include "io/blocking.h"
#include "io/clock.h"
#include "io/context.h"

tern_stream *tern__stream_make(tern_channel *ch, const tern_method *method,
                              const tern_call_options *opts)
{
    tern_stream *st = calloc(1, sizeof *st);
    if (!st)
        return NULL;
    st->method = method;
    st->opts = *opts;
    st->compress_mode = opts->compress_mode;
    st->context = tern__call_parent(opts);
    st->ch = tern__call_terms_begin(&st->terms, ch, method, opts);
    tern__client_stream_init(&st->s, st->terms.receive_max, true);
    st->s.body = &st->body;
    tern__waiter_init(&st->s.waiter);
    tern__waiter_init(&st->body.sender);
    return st;
}

void tern__stream_discard(tern_stream *st)
{
    if (st->t && !st->picked_done)
        tern__pick_ended(st->t, &st->s, false);
    tern__stream_replay_free(st);
    tern__call_terms_end(&st->terms, st->ch);
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

bool tern__stream_open_on(tern_stream *st, const tern__head *head, bool close_send)
{
    tern__transport *t = st->t;
    tern__client_stream *s = &st->s;
    const tern__request r = {
        .fields = head->fields,
        .n_fields = head->n_fields,
        .message = tern__buf_head(&st->body.sending),
        .len = st->body.sending.len,
        .last = close_send,
        .now = tern__clock_coarse(),
        .deadline = st->terms.deadline,
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

bool tern__stream_try_again(const tern_stream *st)
{
    return st->s.fate == TERN__FATE_NEVER_SENT && st->s.status.code == TERN_UNAVAILABLE &&
           !tern__transport_usable(st->t);
}

void tern__stream_rewind(tern_stream *st)
{
    tern__pick_ended(st->t, &st->s, false);
    tern__pick_drop(st->ch, st->t);
    tern__transport_unref(st->t);
    st->t = NULL;
    st->s.done = false;
    st->s.granted = false;
    st->s.status.message[0] = '\0';
}

static tern_code connect_and_open(tern_stream *st, tern__head *head, bool close_send,
                                  tern_status *reterr)
{
    const tern__connect_wait wait = { .deadline = st->terms.deadline,
                                      .context = st->context,
                                      .wait_for_ready = st->terms.wait_for_ready,
                                      .key = st->terms.key };
    for (unsigned i = 0;; i++) {
        tern_code code = tern__pick_get(st->ch, &wait, &st->t, reterr);
        if (code != TERN_OK)
            return code;
        tern__head_update(head, tern__clock_now(), st->terms.deadline, 0);
        if (tern__stream_open_on(st, head, close_send))
            return TERN_OK;
        if (!tern__stream_try_again(st) || i == TERN_LIMIT_TRANSPARENT_RETRIES) {
            tern__status_copy(reterr, &st->s.status);
            return st->s.status.code;
        }
        tern__stream_rewind(st);
    }
}

tern_code tern__stream_admit(tern_stream *st, tern_status *reterr)
{
    const tern__applicant who = { .ch = st->ch,
                                  .guard = st->terms.guard,
                                  .now = tern__clock_now(),
                                  .first = true,
                                  .former = TERN_OK };
    tern_code code = tern__admit(&who, &st->pass, reterr);
    if (code != TERN_OK)
        tern__admission_lost(st->ch);
    return code;
}

static tern_code admit_and_open(tern_stream *st, tern__head *head, bool close_send,
                                tern_status *reterr)
{
    tern_code code = TERN_OK;
    if (st->ch->opt.fault) {
        code = tern__client_fault_wait(st->ch, st->method, &st->opts, st->terms.deadline, reterr);
        if (code != TERN_OK)
            tern__admission_lost(st->ch);
    }
    if (code == TERN_OK)
        code = tern__stream_admit(st, reterr);
    if (code != TERN_OK)
        return code;
    tern__blocking_announce();
    if (!st->replay) {
        code = connect_and_open(st, head, close_send, reterr);
    } else if (!tern__stream_open_first(st)) {
        code = st->s.status.code;
        tern__status_copy(reterr, &st->s.status);
    }
    if (code == TERN_OK)
        return TERN_OK;
    if (!st->replay || !st->replay->settled)
        tern__admission_outcome(st->ch, &st->pass, code);
    tern__admission_lost(st->ch);
    return code;
}

/* The one request of a method that takes no stream of them. */
static tern_code put_request(tern_stream *st, const tern__call_codec *codec, tern_status *reterr)
{
    tern__packed packed;
    const tern__call_codec *sent = codec;
    tern_code code = TERN_OK;
    bool ok = tern__stream_pack(st, &packed, &sent) == 0;
    if (ok)
        code = tern__call_terms_check(&st->terms, sent->request_len, reterr);
    if (code == TERN_OK)
        ok = ok && tern__stream_append(&st->body.out, sent);
    tern__packed_deinit(&packed);
    if (!ok)
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED,
                               "out of memory for a request of %zu bytes", codec->request_len);
    st->body.sending = st->body.out;
    st->body.out = (tern__buf){ 0 };
    return code;
}

/* A request that is more than may be kept is sent once. */
static void keep_request(tern_stream *st)
{
    if (st->replay)
        tern__stream_keep(st, &st->body.sending, st->body.sending.len);
    if (!st->replay || st->replay->retry.committed)
        tern__stream_replay_free(st);
    else
        tern__buf_consume(&st->body.sending, st->body.sending.len); /* each attempt has a copy */
}

static tern_code begin(tern_stream *st, const tern__call_codec *codec, tern_status *reterr)
{
    tern__head head;
    tern_code code = tern__stream_replay_begin(st, reterr);
    if (code == TERN_OK && codec)
        code = put_request(st, codec, reterr);
    if (code == TERN_OK && codec)
        keep_request(st);
    if (code != TERN_OK)
        return code;
    if (st->replay) {
        st->body.close_send = codec != NULL;
        return admit_and_open(st, NULL, codec != NULL, reterr);
    }
    code = tern__head_init(&head, st->ch, st->method, &st->opts, st->terms.deadline, reterr);
    if (code == TERN_OK)
        code = admit_and_open(st, &head, codec != NULL, reterr);
    tern__head_deinit(&head);
    return code;
}

tern_code tern__stream_intercept(tern_channel *ch, const tern_method *method,
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
    tern_code code = tern__call_check(ch, opts, codec ? codec->request_len : 0, &why);
    if (code == TERN_OK && ch->n_interceptors)
        code = tern__stream_intercept(ch, method, &opts, &x, &why);
    if (code == TERN_OK && !(st = tern__stream_make(ch, method, opts)))
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
        tern__status_copy(reterr, &why);
    if (st)
        tern__stream_discard(st);
    return code;
}
