/* See dial.h. A channel of its own for each connection: the channels are what the streams and calls
 * are spread over. */
#include "tools/bench/dial.h"

#include <stdio.h>

/* How long a client waits for its server to appear, ms. */
#define CONNECT_WAIT_MS 5000

/* Everything of docs/service-config.md that a call passes on its way. */
static const char all_armed[] =
    "{\"methodConfig\":[{\"name\":[{}],\"timeout\":\"30s\",\"retryPolicy\":{\"maxAttempts\":4,"
    "\"initialBackoff\":\"0.1s\",\"maxBackoff\":\"1s\",\"backoffMultiplier\":2,"
    "\"retryableStatusCodes\":[\"UNAVAILABLE\"]},\"tern\":{\"breaker\":{\"callsInFlightMax\":10000}"
    ","
    "\"callsInFlightMax\":10000}}],"
    "\"retryThrottling\":{\"maxTokens\":100,\"tokenRatio\":0.1},"
    "\"tern\":{\"retryBudget\":{},\"adaptiveThrottling\":{}}}";

tern_code bench_dial_init(bench_dial *d, const bench_options *o, tern_status *reterr)
{
    *d = (bench_dial){ .target = o->target, .resilience = o->resilience };
    if (!o->tls_roots)
        return TERN_OK;
    tern_tls_client_options tls = TERN_TLS_CLIENT_OPTIONS_INIT;
    tls.roots_file = o->tls_roots;
    return tern_tls_client_new(&tls, &d->tls, reterr);
}

void bench_dial_deinit(bench_dial *d)
{
    tern_tls_client_unref(d->tls);
    d->tls = NULL;
}

tern_code bench_dial_channel(const bench_dial *d, tern_channel **ret, tern_status *reterr)
{
    tern_channel *ch;
    tern_channel_options options = TERN_CHANNEL_OPTIONS_INIT;
    /* Answers are the same size as requests may be: more than the default of 4 MiB. */
    options.receive_message_bytes_max = BENCH_PAYLOAD_BYTES_MAX + 1024;
    /* A breaker would hide failures behind refusals, and caps the calls in flight below what a load
     * may ask for. */
    options.breaker.disabled = true;
    if (d->resilience == BENCH_RESILIENCE_NONE) {
        options.retry.disabled = true;
    } else if (d->resilience == BENCH_RESILIENCE_ALL) {
        options.breaker = (tern_breaker_options){ .calls_in_flight_max = BENCH_CONCURRENCY_MAX };
        options.service_config = all_armed;
    }
    options.tls = d->tls;
    tern_code code = tern_channel_new(d->target, &options, &ch, reterr);
    if (code != TERN_OK)
        return code;
    code = tern_channel_wait_ready(ch, CONNECT_WAIT_MS, reterr);
    if (code != TERN_OK) {
        tern_channel_free(ch);
        return code;
    }
    *ret = ch;
    return TERN_OK;
}

int bench_dial_many(const bench_options *o, uint32_t n, tern_channel **ret, uint32_t *ret_n)
{
    bench_dial d;
    tern_status err;
    *ret_n = 0;
    tern_code code = bench_dial_init(&d, o, &err);
    if (code != TERN_OK) {
        fprintf(stderr, "tern-bench: %s\n", err.message);
        return -1;
    }
    while (code == TERN_OK && *ret_n < n) {
        code = bench_dial_channel(&d, &ret[*ret_n], &err);
        *ret_n += code == TERN_OK;
    }
    bench_dial_deinit(&d);
    if (code == TERN_OK)
        return 0;
    fprintf(stderr, "tern-bench: no connection %u to %s: %s: %s\n", *ret_n + 1, o->target,
            tern_code_name(code), err.message);
    return -1;
}

void bench_dial_hang_up(tern_channel **channels, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        tern_channel_free(channels[i]);
}
