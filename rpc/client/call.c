/* A unary call: serialize once, then attempts until one is final. Each attempt asks the breaker,
 * takes a connection, and runs as a stream (transport.h); what became of it goes to breaker,
 * throttle and retry policy, which decide. All attempts share one deadline. */
#include "client/call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tern/limits.h>

#include "base/time.h"
#include "client/admission.h"
#include "client/channel.h"
#include "client/head.h"
#include "client/intercept.h"
#include "io/blocking.h"
#include "io/clock.h"
#include "io/context.h"

/* Requests up to this size are serialized on the stack, without malloc. */
#define STACK_REQUEST 2048u

typedef struct call {
    tern_channel *ch;
    const tern_method *method;
    const tern_call_options *opts;
    const tern__call_codec *codec;
    int64_t deadline;
    tern_context *context;
    const uint8_t *message;
    size_t len;
    tern__head head;
    tern__retry retry;
    bool counted;          /* in the channel's calls */
    tern_code former;      /* of an attempt that is being repeated; its message is in `status` */
    tern_status status;
} call;

/* --- one attempt ------------------------------------------------------------------------------ */

/* Runs the stream; the outcome is in *s. A connection that took no stream is dropped on the way. */
static void run_stream(call *c, tern__transport *t, tern__client_stream *s)
{
    const tern__request request = {
        .fields = c->head.fields,
        .n_fields = c->head.n_fields,
        .message = c->message,
        .len = c->len,
        .last = true,
        .deadline = c->deadline,
        .context = c->context,
    };
    tern__transport_run(t, s, &request);
    if (s->fate != TERN__FATE_COMMITTED && s->status.code != TERN_OK && !tern__transport_usable(t))
        tern__subchannel_drop(&c->ch->sub, t);
}

static void keep_status(call *c, const tern__client_stream *s)
{
    c->status.code = s->status.code;
    memcpy(c->status.message, s->status.message, strlen(s->status.message) + 1);
}

static tern_code deliver(call *c, tern__client_stream *s)
{
    if (c->opts->ret_initial_metadata)
        tern__metadata_append_all(c->opts->ret_initial_metadata, &s->initial);
    if (c->opts->ret_trailing_metadata)
        tern__metadata_append_all(c->opts->ret_trailing_metadata, &s->trailing);
    if (s->status.code != TERN_OK) {
        keep_status(c, s);
        return s->status.code;
    }
    return c->codec->unpack(s->message, s->message_len, &c->status, c->codec->ctx);
}

/* What follows from an attempt's outcome: breaker, throttle, retry. */
static tern__retry_action judge(call *c, tern__client_stream *s, tern__breaker_ticket ticket,
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
    if (action == TERN__RETRY_TRANSPARENT || s->fate == TERN__FATE_NEVER_SENT)
        tern__breaker_cancel(&ch->breaker, ticket);
    else
        tern__breaker_outcome(&ch->breaker, now, ticket, s->status.code, &change);
    pthread_mutex_unlock(&ch->lock);
    tern__channel_tell(ch, &change);
    return action;
}

/* One round; RETRY_STOP means that *ret is final. */
static tern__retry_action attempt(call *c, tern_code *ret)
{
    tern__client_stream s;
    tern__breaker_ticket ticket;
    tern__transport *t;
    int64_t delay = 0;
    const tern__connect_wait wait = { c->deadline, c->context, c->opts->wait_for_ready };

    *ret = tern__admit(c->ch, tern__clock_now(), !c->counted, c->former, &ticket, &c->status);
    c->counted = true;
    if (*ret != TERN_OK)
        return TERN__RETRY_STOP;
    *ret = tern__subchannel_get(&c->ch->sub, &wait, &t, &c->status);
    if (*ret != TERN_OK) {
        /* That nobody can be reached says the server is unwell as clearly as its own words. */
        tern__admission_outcome(c->ch, ticket, *ret);
        return TERN__RETRY_STOP;
    }
    tern__head_update(&c->head, tern__clock_now(), c->deadline, c->retry.attempts - 1);
    tern__client_stream_init(&s, c->opts->receive_message_bytes_max
                                     ? c->opts->receive_message_bytes_max
                                     : c->ch->opt.receive_message_bytes_max,
                             c->opts->ret_initial_metadata || c->opts->ret_trailing_metadata);
    run_stream(c, t, &s);
    tern__retry_action action = judge(c, &s, ticket, &delay);
    if (action == TERN__RETRY_STOP) {
        *ret = deliver(c, &s);
    } else {
        keep_status(c, &s);
        c->former = s.status.code;
    }
    tern__client_stream_deinit(&s);
    tern__transport_unref(t);
    if (action == TERN__RETRY_AFTER &&
        tern__context_sleep(c->context, tern__time_add(tern__clock_now(), delay)) != TERN_OK) {
        *ret = tern_status_set(&c->status, TERN_CANCELLED, "the call was cancelled by its caller");
        return TERN__RETRY_STOP;
    }
    return action;
}

/* --- the call --------------------------------------------------------------------------------- */

static bool may_repeat(const tern_method *m, tern_call_retry how)
{
    if (how == TERN_RETRY_BY_METHOD)
        return m->idempotency != TERN_IDEMPOTENCY_UNKNOWN;
    return how == TERN_RETRY_SAFE;
}

static tern_code run_call(call *c)
{
    tern_code code;
    tern_channel *ch = c->ch;
    tern__retry_init(&c->retry, &ch->opt.retry, may_repeat(c->method, c->opts->retry));
    if (c->opts->retry == TERN_RETRY_NEVER)
        c->retry.disabled = true;
    tern__blocking_announce();
    while (attempt(c, &code) != TERN__RETRY_STOP)
        ;
    if (code != TERN_OK) {
        pthread_mutex_lock(&ch->lock);
        ch->stats.calls_failed++;
        pthread_mutex_unlock(&ch->lock);
    }
    return code;
}

tern_code tern__call_check(const tern_call_options *opts, size_t request_len, tern_status *reterr)
{
    if (opts->size != sizeof *opts)
        return tern_status_set(reterr, TERN_INTERNAL,
                               "tern_call_options.size is %zu, this library's is %zu: begin with "
                               "TERN_CALL_OPTIONS_INIT",
                               opts->size, sizeof *opts);
    if (request_len > UINT32_MAX - TERN__MESSAGE_PREFIX_LEN)
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED,
                               "a request of %zu bytes is longer than a gRPC message can be",
                               request_len);
    tern_code code = tern_context_error(opts->context);
    if (code != TERN_OK)
        return tern_status_set(reterr, code, "%s before the call began",
                               code == TERN_CANCELLED ? "the context was cancelled"
                                                      : "the deadline passed");
    return TERN_OK;
}

int64_t tern__call_deadline(const tern_call_options *opts)
{
    int64_t deadline = opts->context ? opts->context->deadline : TERN__TIME_NEVER;
    if (opts->timeout_ms > 0)
        deadline = tern__time_min(
            deadline, tern__time_add(tern__clock_now(), tern__ms_to_ns(opts->timeout_ms)));
    return deadline;
}

/* Serializes the request, on the stack if it is small, and runs the call. */
static tern_code pack_and_run(call *c)
{
    uint8_t stack_message[STACK_REQUEST];
    c->len = TERN__MESSAGE_PREFIX_LEN + c->codec->request_len;
    uint8_t *message = c->len > sizeof stack_message ? malloc(c->len) : stack_message;
    if (!message)
        return tern_status_set(&c->status, TERN_RESOURCE_EXHAUSTED,
                               "out of memory for a request of %zu bytes", c->len);
    tern__message_prefix_write(message, (uint32_t)c->codec->request_len, false);
    c->codec->pack(message + TERN__MESSAGE_PREFIX_LEN, c->codec->ctx);
    c->message = message;
    tern_code code = run_call(c);
    if (message != stack_message)
        free(message);
    return code;
}

/* The call without its interceptors. */
static tern_code make_call(tern_channel *ch, const tern_method *method,
                           const tern_call_options *opts, const tern__call_codec *codec,
                           tern_status *reterr)
{
    call c;
    c.ch = ch;
    c.method = method;
    c.opts = opts;
    c.codec = codec;
    c.counted = false;
    c.former = TERN_OK;
    c.status.code = TERN_OK;
    c.status.message[0] = '\0';
    c.context = opts->context;
    c.deadline = tern__call_deadline(opts);
    tern_code code = tern__head_init(&c.head, ch, method, opts->metadata, c.deadline, &c.status);
    if (code == TERN_OK)
        code = pack_and_run(&c);
    tern__head_deinit(&c.head);
    if (code != TERN_OK && reterr) {
        reterr->code = code;
        memcpy(reterr->message, c.status.message, strlen(c.status.message) + 1);
    }
    return code;
}

static tern_code intercepted_call(tern_channel *ch, const tern_method *method,
                                  const tern_call_options *opts, const tern__call_codec *codec,
                                  tern_status *reterr)
{
    tern__client_interception x;
    tern_status st;
    st.message[0] = '\0';
    st.code = tern__client_intercept_begin(&x, ch, method, opts, &st);
    bool called = st.code == TERN_OK;
    if (called)
        st.code = make_call(ch, method, &x.opts, codec, &st);
    bool made = called && st.code == TERN_OK;
    tern_code code = tern__client_intercept_end(&x, &st);
    if (made && code != TERN_OK && codec->discard)
        codec->discard(codec->ctx);
    if (code != TERN_OK && reterr)
        *reterr = st;
    return code;
}

tern_code tern__call_unary(tern_channel *ch, const tern_method *method,
                           const tern_call_options *opts, const tern__call_codec *codec,
                           tern_status *reterr)
{
    static const tern_call_options defaults = TERN_CALL_OPTIONS_INIT;
    if (!opts)
        opts = &defaults;
    tern_code code = tern__call_check(opts, codec->request_len, reterr);
    if (code != TERN_OK)
        return code;
    return ch->n_interceptors ? intercepted_call(ch, method, opts, codec, reterr)
                              : make_call(ch, method, opts, codec, reterr);
}

/* --- raw bytes -------------------------------------------------------------------------------- */

typedef struct raw_call {
    const void *request;
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

static void raw_discard(void *ctx)
{
    free(((raw_call *)ctx)->response);
}

tern_code tern_call_unary(tern_channel *ch, const tern_method *method,
                          const tern_call_options *opts, const void *request, size_t request_len,
                          void **ret, size_t *ret_len, tern_status *reterr)
{
    raw_call raw = { .request = request, .request_len = request_len };
    const tern__call_codec codec = { request_len, raw_pack, raw_unpack, raw_discard, &raw };
    tern_code code = tern__call_unary(ch, method, opts, &codec, reterr);
    if (code != TERN_OK)
        return code;
    *ret = raw.response;
    *ret_len = raw.response_len;
    return TERN_OK;
}
