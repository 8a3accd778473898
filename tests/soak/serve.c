/* The soak's server: tests.v1.Probe in cleartext and with TLS on two ports, and a method that tells
 * what the process holds. Connections end after a second or two (max_connection_age), so that the
 * clients reconnect all the time; their calls are let go on. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "soak/figures.h"
#include "soak/soak.h"
#include "tests/v1/probe.tern.h"

#define CONNECTION_AGE_MS 1500
#define AGE_GRACE_MS 10000
/* What a sleep looks at between two naps, ms. */
#define NAP_MS 2

const tern_method soak_figures_method = { .path = "/tests.v1.Soak/Figures" };

static tern_code figures(void *self, tern_server_call *call)
{
    char text[128];
    soak_figures f = soak_figures_take();
    (void)self;
    soak_figures_format(&f, text, sizeof text);
    size_t len = strlen(text);
    char *to = tern_server_call_response_buffer(call, len);
    if (!to)
        return TERN_RESOURCE_EXHAUSTED;
    memcpy(to, text, len);
    return TERN_OK;
}

static tern_code echo(void *self, tern_server_call *call, const Tests__V1__EchoRequest *req,
                      Tests__V1__EchoResponse *res)
{
    (void)self;
    (void)call;
    res->payload = req->payload; /* lives as long as the call */
    return TERN_OK;
}

static tern_code fail(void *self, tern_server_call *call, const Tests__V1__FailRequest *req,
                      Tests__V1__Empty *res)
{
    (void)self;
    (void)res;
    return req->code ? tern_server_call_fail(call, (tern_code)req->code, "%s", req->message)
                     : TERN_OK;
}

static tern_code nap(void *self, tern_server_call *call, const Tests__V1__SleepRequest *req,
                     Tests__V1__SleepResponse *res)
{
    tern_context *ctx = tern_server_call_context(call);
    const struct timespec ts = { .tv_nsec = NAP_MS * 1000000 };
    (void)self;
    (void)res;
    for (uint32_t ms = 0; ms < req->sleep_ms && tern_context_error(ctx) == TERN_OK; ms += NAP_MS)
        nanosleep(&ts, NULL);
    return tern_context_error(ctx);
}

static tern_code count(void *self, tests_v1_probe_count_stream *stream,
                       const Tests__V1__CountRequest *req)
{
    Tests__V1__Number n = TESTS__V1__NUMBER__INIT;
    (void)self;
    for (uint32_t i = 1; i <= req->n; i++) {
        n.value = i;
        if (!tests_v1_probe_count_stream_send(stream, &n))
            return TERN_CANCELLED;
    }
    return (tern_code)req->code;
}

static tern_code sum(void *self, tests_v1_probe_sum_stream *stream, Tests__V1__Number *res)
{
    const Tests__V1__Number *n;
    (void)self;
    while (tests_v1_probe_sum_stream_recv(stream, &n)) {
        if (n->value < 0)
            return tern_server_call_fail(stream->call, TERN_OUT_OF_RANGE, "below zero");
        res->value += n->value;
    }
    return TERN_OK;
}

static tern_code twice(void *self, tests_v1_probe_double_stream *stream)
{
    const Tests__V1__Number *n;
    Tests__V1__Number answer = TESTS__V1__NUMBER__INIT;
    (void)self;
    while (tests_v1_probe_double_stream_recv(stream, &n)) {
        answer.value = 2 * n->value;
        if (!tests_v1_probe_double_stream_send(stream, &answer))
            return TERN_CANCELLED;
    }
    return TERN_OK;
}

static const tests_v1_probe_handlers handlers = {
    .echo = echo,
    .fail = fail,
    .fail_safe = fail,
    .sleep = nap,
    .count = count,
    .sum = sum,
    .double_ = twice,
};

int soak_serve(const char *cert_file, const char *key_file)
{
    tern_server *srv = NULL;
    tern_tls_server *tls = NULL;
    tern_status why;
    uint16_t ports[2];
    tern_server_options options = TERN_SERVER_OPTIONS_INIT;
    tern_tls_server_options tls_options = TERN_TLS_SERVER_OPTIONS_INIT;
    options.max_connection_age_ms = CONNECTION_AGE_MS;
    options.max_connection_age_grace_ms = AGE_GRACE_MS;
    tls_options.certificate.chain_file = cert_file;
    tls_options.certificate.key_file = key_file;
    tern_server_block_signals();
    tern_code code = tern_tls_server_new(&tls_options, &tls, &why);
    if (code == TERN_OK)
        code = tern_server_new(&options, &srv, &why);
    if (code == TERN_OK)
        code = tests_v1_probe_register(srv, &handlers, NULL, &why);
    if (code == TERN_OK)
        code = tern_server_add_raw(srv, &soak_figures_method, figures, NULL, &why);
    if (code == TERN_OK)
        code = tern_server_listen(srv, "ipv4:127.0.0.1:0", &ports[0], &why);
    if (code == TERN_OK)
        code = tern_server_listen_tls(srv, "ipv4:127.0.0.1:0", tls, &ports[1], &why);
    tern_tls_server_unref(tls);
    if (code == TERN_OK) {
        printf("ipv4:127.0.0.1:%u ipv4:127.0.0.1:%u\n", ports[0], ports[1]);
        fflush(stdout);
        code = tern_server_run(srv, &why);
    }
    tern_server_free(srv);
    if (code != TERN_OK)
        fprintf(stderr, "tern-soak: server: %s: %s\n", tern_code_name(code), why.message);
    return code == TERN_OK ? 0 : 1;
}
