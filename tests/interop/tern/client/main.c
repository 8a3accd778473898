/* The interop client of grpc doc/interop-test-descriptions.md on Tern, with the official flags.
 * Runs one case and exits with 0 when it holds. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tests/interop/tern/client/cases.h"
#include "tests/interop/tern/flags.h"

static const struct {
    const char *name;
    interop_case run;
} cases[] = {
    { "empty_unary", case_empty_unary },
    { "large_unary", case_large_unary },
    { "cacheable_unary", case_cacheable_unary },
    { "client_streaming", case_client_streaming },
    { "server_streaming", case_server_streaming },
    { "ping_pong", case_ping_pong },
    { "half_duplex", case_half_duplex },
    { "empty_stream", case_empty_stream },
    { "client_compressed_unary", case_client_compressed_unary },
    { "server_compressed_unary", case_server_compressed_unary },
    { "client_compressed_streaming", case_client_compressed_streaming },
    { "server_compressed_streaming", case_server_compressed_streaming },
    { "custom_metadata", case_custom_metadata },
    { "status_code_and_message", case_status_code_and_message },
    { "special_status_message", case_special_status_message },
    { "unimplemented_method", case_unimplemented_method },
    { "unimplemented_service", case_unimplemented_service },
    { "cancel_after_begin", case_cancel_after_begin },
    { "cancel_after_first_response", case_cancel_after_first_response },
    { "timeout_on_sleeping_server", case_timeout_on_sleeping_server },
    { "rpc_soak", case_rpc_soak },
    { "channel_soak", case_channel_soak },
};
#define N_CASES (sizeof cases / sizeof *cases)

static client_options opt = {
    .host = "localhost",
    .port = 10000,
    .test_case = "large_unary",
    .soak_iterations = 10,
    .soak_latency_ms = 1000,
    .soak_timeout_s = 10,
    .soak_request = LARGE_REQUEST,
    .soak_response = LARGE_RESPONSE,
    .soak_threads = 1,
};

static const interop_flag flags[] = {
    { "server_host", INTEROP_TEXT, &opt.host, "host name or address; default localhost" },
    { "server_port", INTEROP_NUMBER, &opt.port, "port; default 10000" },
    { "server_host_override", INTEROP_TEXT, &opt.host_override,
      "name that the server's certificate must have, and :authority" },
    { "test_case", INTEROP_TEXT, &opt.test_case, "case to run; default large_unary" },
    { "use_tls", INTEROP_BOOL, &opt.use_tls, "TLS" },
    { "use_test_ca", INTEROP_BOOL, &opt.use_test_ca,
      "trust --ca_file instead of the system's roots" },
    { "ca_file", INTEROP_TEXT, &opt.ca_file, "PEM certificates to trust" },
    { "soak_iterations", INTEROP_NUMBER, &opt.soak_iterations, "calls of a soak case; default 10" },
    { "soak_max_failures", INTEROP_NUMBER, &opt.soak_max_failures, "of which may fail; default 0" },
    { "soak_per_iteration_max_acceptable_latency_ms", INTEROP_NUMBER, &opt.soak_latency_ms,
      "longest call; default 1000" },
    { "soak_overall_timeout_seconds", INTEROP_NUMBER, &opt.soak_timeout_s, "for all; default 10" },
    { "soak_min_time_ms_between_rpcs", INTEROP_NUMBER, &opt.soak_pause_ms, "default 0" },
    { "soak_request_size", INTEROP_NUMBER, &opt.soak_request, "bytes; default 271828" },
    { "soak_response_size", INTEROP_NUMBER, &opt.soak_response, "bytes; default 314159" },
    { "soak_num_threads", INTEROP_NUMBER, &opt.soak_threads, "threads of a soak case; default 1" },
    { NULL, INTEROP_TEXT, NULL, NULL },
};

bool case_fail(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fprintf(stderr, "%s: ", opt.test_case);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);
    return false;
}

bool case_status(const char *what, tern_code got, const tern_status *st, tern_code wanted,
                 const char *message)
{
    const char *text = got == TERN_OK ? "" : st->message;
    if (got != wanted)
        return case_fail("%s ended with %s%s%s instead of %s", what, tern_code_name(got),
                         *text ? ": " : "", text, tern_code_name(wanted));
    if (message && strcmp(text, message) != 0)
        return case_fail("%s: the status message is \"%s\" instead of \"%s\"", what, text, message);
    return true;
}

/* The body of every payload: never written, so it costs no memory. */
static uint8_t zeros[4 * 1024 * 1024];

void fill_payload(Grpc__Testing__Payload *p, size_t size)
{
    grpc__testing__payload__init(p);
    p->body.data = zeros;
    p->body.len = size < sizeof zeros ? size : sizeof zeros;
}

bool check_payload(const char *what, const Grpc__Testing__Payload *p, size_t size)
{
    size_t len = p ? p->body.len : 0;
    if (len != size)
        return case_fail("%s: the payload has %zu bytes instead of %zu", what, len, size);
    for (size_t at = 0; at < len; at += sizeof zeros) {
        size_t n = len - at < sizeof zeros ? len - at : sizeof zeros;
        if (memcmp(p->body.data + at, zeros, n) != 0)
            return case_fail("%s: the payload is not of zeros", what);
    }
    return true;
}

tern_channel *client_channel(const client_options *o)
{
    tern_channel_options co = TERN_CHANNEL_OPTIONS_INIT;
    tern_tls_client *tls = NULL;
    tern_channel *ch = NULL;
    tern_status st;
    tern_code code = TERN_OK;
    char target[512], authority[512];
    snprintf(target, sizeof target, "dns:%s:%d", o->host, o->port);
    if (o->use_tls) {
        tern_tls_client_options to = TERN_TLS_CLIENT_OPTIONS_INIT;
        to.roots_file = o->use_test_ca ? o->ca_file : NULL;
        to.allow_tls12 = true;
        code = tern_tls_client_new(&to, &tls, &st);
        co.tls = tls;
        if (o->host_override) {
            snprintf(authority, sizeof authority, "%s", o->host_override);
            co.authority = authority;
        }
    }
    if (code == TERN_OK)
        code = tern_channel_new(target, &co, &ch, &st);
    tern_tls_client_unref(tls);
    if (code != TERN_OK)
        case_fail("no channel to %s: %s: %s", target, tern_code_name(code), st.message);
    return ch;
}

int main(int argc, char **argv)
{
    bool quit;
    int rc = interop_flags_parse(flags, "tern-interop-client", argc, argv, &quit);
    if (quit)
        return rc;
    if (opt.use_test_ca && !opt.ca_file) {
        fputs("tern-interop-client: --use_test_ca needs --ca_file=PEM\n", stderr);
        return 2;
    }
    for (size_t i = 0; i < N_CASES; i++) {
        if (strcmp(cases[i].name, opt.test_case) != 0)
            continue;
        tern_channel *ch = client_channel(&opt);
        bool ok = ch && cases[i].run(ch, &opt);
        tern_channel_free(ch);
        return ok ? 0 : 1;
    }
    fprintf(stderr, "tern-interop-client: --test_case=%s is not one of:", opt.test_case);
    for (size_t i = 0; i < N_CASES; i++)
        fprintf(stderr, " %s", cases[i].name);
    fputc('\n', stderr);
    return 2;
}
