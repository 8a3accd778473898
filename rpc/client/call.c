/* A unary call: serialize once, then attempts until one is final. Each attempt asks the breaker,
 * takes a connection, and runs as a stream (transport.h); what became of it goes to breaker,
 * throttle and retry policy, which decide. All attempts share one deadline. */
#include "client/call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tern/limits.h>

#include "base/time.h"
#include "client/attempt.h"
#include "client/channel.h"
#include "client/compress.h"
#include "client/fault.h"
#include "client/hedged.h"
#include "client/intercept.h"
#include "client/pick.h"
#include "io/blocking.h"
#include "io/clock.h"
#include "io/context.h"

/* Requests up to this size are serialized on the stack, without malloc. */
#define STACK_REQUEST 2048u

/* One attempt; RETRY_STOP means that *ret is final. */
static tern__retry_action attempt(tern__call *c, tern_code *ret)
{
    tern__client_stream s;
    tern__request request;
    tern__pass pass;
    tern__transport *t;
    int64_t delay = 0;
    tern__retry_action action;
    const tern__connect_wait wait = { .deadline = c->terms.deadline,
                                      .context = c->context,
                                      .wait_for_ready = c->terms.wait_for_ready,
                                      .key = c->terms.key };

    if ((*ret = tern__call_admit(c, &pass)) != TERN_OK)
        return TERN__RETRY_STOP;
    *ret = tern__pick_get(c->ch, &wait, &t, &c->status);
    if (*ret != TERN_OK) {
        action = tern__call_unreachable(c, &pass, *ret, &delay);
    } else {
        tern__call_stream_init(c, &s, c->retry.attempts - 1, &request);
        tern__transport_run(t, &s, &request);
        action = tern__call_judge(c, &s, t, &pass, ret, &delay);
        tern__client_stream_deinit(&s);
        tern__transport_unref(t);
    }
    if (action != TERN__RETRY_AFTER)
        return action;
    tern_code code = tern__context_sleep(c->context, tern__time_add(tern__clock_now(), delay));
    if (code == TERN_OK)
        return action;
    *ret = tern_status_set(&c->status, code, "%s", tern__call_pause_ended(code));
    return TERN__RETRY_STOP;
}

static tern_code run_call(tern__call *c)
{
    tern_code code = TERN_OK;
    tern__blocking_announce();
    if (c->ch->opt.fault)
        code = tern__client_fault_wait(c->ch, c->method, c->opts, c->terms.deadline, &c->status);
    if (code == TERN_OK && c->hedged)
        code = tern__hedged_run(c);
    else if (code == TERN_OK)
        while (attempt(c, &code) != TERN__RETRY_STOP)
            ;
    tern__call_count(c, code);
    return code;
}

/* The deadline that the call inherits, less the margin; TIME_NEVER: none. */
static int64_t inherited(const tern_channel *ch, const tern_call_options *opts)
{
    const tern_context *parent = tern__call_parent(opts);
    if (!parent || parent->deadline == TERN__TIME_NEVER)
        return TERN__TIME_NEVER;
    return parent->deadline - tern__ms_to_ns(ch->opt.deadline_margin_ms);
}

const char *tern__call_pause_ended(tern_code code)
{
    return code == TERN_CANCELLED ? "the call was cancelled by its caller"
                                  : "the deadline passed between two attempts";
}

tern_code tern__call_check(const tern_channel *ch, const tern_call_options *opts,
                           size_t request_len, tern_status *reterr)
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
    if ((unsigned)opts->compression > TERN_COMPRESSION_ZSTD ||
        (unsigned)opts->compress_mode > TERN_COMPRESS_ALWAYS)
        return tern_status_set(reterr, TERN_INTERNAL,
                               "tern_call_options.compression or compress_mode is not a value of "
                               "its enum (tern/compression.h)");
    if (opts->wait_for_ready > TERN_CHOICE_NO)
        return tern_status_set(reterr, TERN_INTERNAL,
                               "tern_call_options.wait_for_ready is %d, which is no tern_choice",
                               opts->wait_for_ready);
    tern_code code = tern_context_error(tern__call_parent(opts));
    if (code != TERN_OK)
        return tern_status_set(reterr, code, "%s before the call began",
                               code == TERN_CANCELLED ? "the context was cancelled"
                                                      : "the deadline passed");
    if (ch->opt.deadline_margin_ms && inherited(ch, opts) <= tern__clock_now())
        return tern_status_set(reterr, TERN_DEADLINE_EXCEEDED,
                               "the deadline that the call inherits leaves it no time: %u ms of it "
                               "are kept back (deadline_margin_ms)",
                               ch->opt.deadline_margin_ms);
    return TERN_OK;
}

int64_t tern__call_deadline(const tern_channel *ch, const tern_call_options *opts)
{
    int64_t deadline = inherited(ch, opts);
    if (opts->timeout_ms > 0)
        deadline = tern__time_min(
            deadline, tern__time_add(tern__clock_now(), tern__ms_to_ns(opts->timeout_ms)));
    return deadline;
}

/* Serializes the request, on the stack if it is small, and runs the call. */
static tern_code pack_and_run(tern__call *c, const tern__call_codec *codec)
{
    uint8_t stack_message[STACK_REQUEST];
    size_t len = TERN__MESSAGE_PREFIX_LEN + codec->request_len;
    uint8_t *message = len > sizeof stack_message ? malloc(len) : stack_message;
    if (!message)
        return tern_status_set(&c->status, TERN_RESOURCE_EXHAUSTED,
                               "out of memory for a request of %zu bytes", len);
    tern_code code = tern__call_message(c, message, len);
    if (code == TERN_OK) {
        tern__message_prefix_write(message, (uint32_t)codec->request_len, codec->compressed);
        codec->pack(message + TERN__MESSAGE_PREFIX_LEN, codec->ctx);
        code = run_call(c);
    }
    if (message != stack_message)
        free(message);
    return code;
}

static tern_code compress_and_run(tern__call *c)
{
    tern__packed packed;
    const tern__call_codec *codec = c->codec;
    tern_code code;
    if (tern__pack_compressed(&packed, tern__call_compression(c->ch, c->opts),
                              c->opts->compress_mode, &codec))
        code = tern_status_set(&c->status, TERN_RESOURCE_EXHAUSTED,
                               "out of memory for compressing a request of %zu bytes",
                               c->codec->request_len);
    else
        code = pack_and_run(c, codec);
    tern__packed_deinit(&packed);
    return code;
}

/* The call without its interceptors. */
static tern_code make_call(tern_channel *ch, const tern_method *method,
                           const tern_call_options *opts, const tern__call_codec *codec,
                           tern_status *reterr)
{
    tern__call c;
    tern_code code = tern__call_init(&c, ch, method, opts, codec);
    if (code == TERN_OK)
        code = compress_and_run(&c);
    tern__call_deinit(&c);
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
    tern_code code = tern__call_check(ch, opts, codec->request_len, reterr);
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
    const tern__call_codec codec = { request_len, raw_pack, raw_unpack, raw_discard, &raw, false };
    tern_code code = tern__call_unary(ch, method, opts, &codec, reterr);
    if (code != TERN_OK)
        return code;
    *ret = raw.response;
    *ret_len = raw.response_len;
    return TERN_OK;
}
