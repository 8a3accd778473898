/* A unary call: serialize once, then attempts until one is final. Each attempt asks the breaker,
 * takes a connection, and runs as a stream (transport.h); what became of it goes to breaker,
 * throttle and retry policy, which decide. All attempts share one deadline. */
#include "client/call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tern/limits.h>

#include "base/arena.h"
#include "base/sanitize.h"
#include "base/time.h"
#include "client/channel.h"
#include "io/blocking.h"
#include "io/clock.h"
#include "io/context.h"
#include "wire/timeout.h"

/* Requests up to this size are serialized on the stack, without malloc. */
#define STACK_REQUEST 2048u
#define STACK_METADATA 1024u

typedef struct call {
    tern_channel *ch;
    const tern_method *method;
    const tern_call_options *opts;
    const tern__call_codec *codec;
    int64_t deadline;
    tern_context *context;
    const uint8_t *message;
    size_t len;
    tern__arena arena; /* base64 of -bin metadata */
    tern__h2_field fields[TERN__H2_FIELDS_MAX];
    uint32_t n_fields, timeout_at, attempts_at;
    char timeout_text[TERN__TIMEOUT_TEXT_MAX];
    char attempts_text[4];
    tern__retry retry;
    bool counted;          /* in the channel's calls */
    tern_code former;      /* of an attempt that is being repeated; its message is in `status` */
    tern_status status;
} call;

/* --- header fields ---------------------------------------------------------------------------- */

static tern_code too_much_metadata(call *c)
{
    return tern_status_set(&c->status, TERN_RESOURCE_EXHAUSTED,
                           "the request's metadata is larger than the limit of %u bytes and %u "
                           "pairs",
                           TERN_LIMIT_HEADER_LIST_BYTES, TERN_LIMIT_HEADER_FIELDS);
}

static tern_code add_metadata(call *c)
{
    const tern_metadata *md = c->opts->metadata;
    size_t n = tern_metadata_count(md);
    if (n > TERN_LIMIT_HEADER_FIELDS ||
        (n && tern__metadata_wire_size(md) > TERN_LIMIT_HEADER_LIST_BYTES))
        return too_much_metadata(c);
    for (size_t i = 0; i < n; i++) {
        const tern_metadata_entry *e = tern_metadata_at(md, i);
        const char *value;
        size_t len;
        if (tern__metadata_wire_value(e, &c->arena, &value, &len))
            return tern_status_set(&c->status, TERN_RESOURCE_EXHAUSTED,
                                   "out of memory for the request's metadata");
        c->fields[c->n_fields++] = (tern__h2_field){ e->key, value, (uint32_t)strlen(e->key),
                                                     (uint32_t)len, false };
    }
    return TERN_OK;
}

/* The list is made once; timeout and attempt count are put in place before each attempt. */
static tern_code build_fields(call *c)
{
    const tern_channel *ch = c->ch;
    uint32_t n = 0;
    c->fields[n++] = ch->method;
    c->fields[n++] = ch->scheme;
    c->fields[n++] = (tern__h2_field){ ":path", c->method->path, 5,
                                       (uint32_t)strlen(c->method->path), true };
    c->fields[n++] = ch->authority_field;
    c->timeout_at = 0;
    if (c->deadline != TERN__TIME_NEVER) {
        c->timeout_at = n;
        c->fields[n++] = (tern__h2_field){ "grpc-timeout", c->timeout_text, 12, 0, false };
    }
    c->fields[n++] = ch->te;
    c->fields[n++] = ch->content_type;
    c->fields[n++] = ch->user_agent_field;
    c->n_fields = n;
    return add_metadata(c);
}

static void update_fields(call *c, int64_t now)
{
    if (c->timeout_at) {
        int64_t left = c->deadline > now ? c->deadline - now : 1;
        c->fields[c->timeout_at].value_len =
            (uint32_t)tern__timeout_encode(left, c->timeout_text);
    }
    if (c->retry.attempts > 1) {
        if (!c->attempts_at)
            c->attempts_at = c->n_fields++;
        int len = snprintf(c->attempts_text, sizeof c->attempts_text, "%u",
                           (c->retry.attempts - 1) & 0xff);
        c->fields[c->attempts_at] = (tern__h2_field){ "grpc-previous-rpc-attempts",
                                                      c->attempts_text, 26, (uint32_t)len, false };
    }
}

/* --- one attempt ------------------------------------------------------------------------------ */

static tern_code reject(call *c, tern__breaker_verdict verdict)
{
    if (verdict == TERN__BREAKER_REJECT_IN_FLIGHT)
        return tern_status_set(&c->status, TERN_UNAVAILABLE,
                               "circuit breaker of %.200s: %u calls are in flight already "
                               "(calls_in_flight_max)",
                               c->ch->target_text, c->ch->opt.breaker.calls_in_flight_max);
    return tern_status_set(&c->status, TERN_UNAVAILABLE,
                           "circuit breaker of %.200s is open: calls are refused until the server "
                           "has recovered",
                           c->ch->target_text);
}

static tern_code admit(call *c, int64_t now, tern__breaker_ticket *ticket)
{
    tern_channel *ch = c->ch;
    tern__breaker_change change;
    pthread_mutex_lock(&ch->lock);
    ch->stats.calls += !c->counted;
    c->counted = true;
    tern__breaker_verdict verdict = tern__breaker_admit(&ch->breaker, now, ticket, &change);
    if (verdict == TERN__BREAKER_ADMIT)
        ch->stats.attempts++;
    pthread_mutex_unlock(&ch->lock);
    tern__channel_tell(ch, &change);
    if (verdict == TERN__BREAKER_ADMIT)
        return TERN_OK;
    /* A retry that the breaker stops ends with what the server said, which tells more. */
    return c->former != TERN_OK ? c->former : reject(c, verdict);
}

/* Runs the stream; the outcome is in *s. A connection that took no stream is dropped on the way. */
static void run_stream(call *c, tern__transport *t, tern__client_stream *s)
{
    const tern__request request = {
        .fields = c->fields,
        .n_fields = c->n_fields,
        .message = c->message,
        .len = c->len,
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
static tern__retry_action judge(call *c, const tern__client_stream *s, tern__breaker_ticket ticket,
                                int64_t *ret_delay)
{
    tern_channel *ch = c->ch;
    tern__breaker_change change = { .changed = false };
    tern__retry_action action = TERN__RETRY_STOP;
    int64_t now = tern__clock_now();
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

    if ((*ret = admit(c, tern__clock_now(), &ticket)) != TERN_OK)
        return TERN__RETRY_STOP;
    *ret = tern__subchannel_get(&c->ch->sub, &wait, &t, &c->status);
    if (*ret != TERN_OK) {
        /* That nobody can be reached says the server is unwell as clearly as its own words. */
        tern__breaker_change change = { .changed = false };
        pthread_mutex_lock(&c->ch->lock);
        tern__breaker_outcome(&c->ch->breaker, tern__clock_now(), ticket, *ret, &change);
        pthread_mutex_unlock(&c->ch->lock);
        tern__channel_tell(c->ch, &change);
        return TERN__RETRY_STOP;
    }
    update_fields(c, tern__clock_now());
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

static tern_code check_call(call *c)
{
    if (c->opts->size != sizeof *c->opts)
        return tern_status_set(&c->status, TERN_INTERNAL,
                               "tern_call_options.size is %zu, this library's is %zu: begin with "
                               "TERN_CALL_OPTIONS_INIT",
                               c->opts->size, sizeof *c->opts);
    if (c->codec->request_len > UINT32_MAX - TERN__MESSAGE_PREFIX_LEN)
        return tern_status_set(&c->status, TERN_RESOURCE_EXHAUSTED,
                               "a request of %zu bytes is longer than a gRPC message can be",
                               c->codec->request_len);
    tern_code code = tern_context_error(c->context);
    if (code != TERN_OK)
        return tern_status_set(&c->status, code, "%s before the call began",
                               code == TERN_CANCELLED ? "the context was cancelled"
                                                      : "the deadline passed");
    return TERN_OK;
}

tern_code tern__call_unary(tern_channel *ch, const tern_method *method,
                           const tern_call_options *opts, const tern__call_codec *codec,
                           tern_status *reterr)
{
    static const tern_call_options defaults = TERN_CALL_OPTIONS_INIT;
    uint8_t stack_message[STACK_REQUEST], stack_arena[STACK_METADATA];
    uint8_t *heap = NULL;
    call c;
    c.ch = ch;
    c.method = method;
    c.opts = opts ? opts : &defaults;
    c.codec = codec;
    c.context = c.opts->context;
    c.attempts_at = 0;
    c.counted = false;
    c.former = TERN_OK;
    c.status.code = TERN_OK;
    c.status.message[0] = '\0';
    c.deadline = c.context ? c.context->deadline : TERN__TIME_NEVER;
    if (c.opts->timeout_ms > 0)
        c.deadline = tern__time_min(
            c.deadline, tern__time_add(tern__clock_now(), tern__ms_to_ns(c.opts->timeout_ms)));
    tern__arena_init(&c.arena, stack_arena, sizeof stack_arena, 0);

    c.len = TERN__MESSAGE_PREFIX_LEN + codec->request_len;
    tern_code code = check_call(&c);
    if (code == TERN_OK && c.len > sizeof stack_message && !(heap = malloc(c.len)))
        code = tern_status_set(&c.status, TERN_RESOURCE_EXHAUSTED,
                               "out of memory for a request of %zu bytes", c.len);
    if (code == TERN_OK)
        code = build_fields(&c);
    if (code == TERN_OK) {
        uint8_t *message = heap ? heap : stack_message;
        tern__message_prefix_write(message, (uint32_t)codec->request_len, false);
        codec->pack(message + TERN__MESSAGE_PREFIX_LEN, codec->ctx);
        c.message = message;
        code = run_call(&c);
    }
    if (code != TERN_OK && reterr) {
        reterr->code = code;
        memcpy(reterr->message, c.status.message, strlen(c.status.message) + 1);
    }
    free(heap);
    tern__arena_deinit(&c.arena);
    TERN__UNPOISON(stack_arena, sizeof stack_arena); /* the stack goes on to other uses */
    return code;
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

tern_code tern_call_unary(tern_channel *ch, const tern_method *method,
                          const tern_call_options *opts, const void *request, size_t request_len,
                          void **ret, size_t *ret_len, tern_status *reterr)
{
    raw_call raw = { .request = request, .request_len = request_len };
    const tern__call_codec codec = { request_len, raw_pack, raw_unpack, &raw };
    tern_code code = tern__call_unary(ch, method, opts, &codec, reterr);
    if (code != TERN_OK)
        return code;
    *ret = raw.response;
    *ret_len = raw.response_len;
    return TERN_OK;
}
